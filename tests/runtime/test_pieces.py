"""A dataset is read in pieces, and pieces of wide and narrow tables have a similar size."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from modelyard_runtime.dataset import pieces, profile

CELLS = 4_000_000


@pytest.mark.parametrize(("suffix", "rows"), [("parquet", 6000), ("csv", 4600)])
def test_a_wide_table_is_read_in_small_pieces(tmp_path: Path, suffix: str, rows: int):
    columns = 900
    values = np.arange(rows * columns, dtype="int64").reshape(rows, columns) % 7
    frame = pd.DataFrame(values, columns=[f"c{index}" for index in range(columns)])
    path = tmp_path / f"dataset.{suffix}"
    if suffix == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path, index=False)
    sizes = [piece.size for piece in pieces(path)]
    assert len(sizes) > 1
    assert max(sizes) <= CELLS
    assert sum(sizes) == rows * columns


def test_pieces_of_any_width_give_the_same_statistics(tmp_path: Path):
    path = tmp_path / "dataset.parquet"
    pd.DataFrame({"a": range(100_000), "target": [0, 1] * 50_000}).to_parquet(path, index=False)
    found = profile(path, "target", "classification")
    assert (found.rows, found.duplicates, found.classes) == (100_000, 0, {"0": 50_000, "1": 50_000})
