"""A dataset's file: make a synthetic one, and read a file in pieces to profile it.

The counting itself is `modelyard.api.dataset`.
"""

import hashlib
from collections import Counter as Counts
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from modelyard.api.dataset import Counter, Figures
from modelyard.api.pod_end import PodReason
from modelyard_runtime.config import Task
from modelyard_runtime.outcome import Failure, one_line

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["find", "invalid", "make_synthetic", "pieces", "profile"]

_FEATURES, _INFORMATIVE = 20, 15
_ROWS, _CELLS = 65_536, 4_000_000
"""Most rows, and most cells, of a piece: pieces of wide and narrow tables have a similar size."""
_BUFFER = 65_536
"""Bytes that are read ahead for each column."""


def invalid(message: str) -> Failure:
    """Return a Failure with the reason DatasetInvalid."""
    return Failure(PodReason.DATASET_INVALID, message)


def find(folder: Path) -> Path:
    """Return the dataset's file.

    Raises:
        Failure: DatasetUnavailable.

    """
    for name in ("dataset.parquet", "dataset.csv"):
        if (path := folder / name).is_file():
            return path
    raise Failure(
        PodReason.DATASET_UNAVAILABLE,
        f"there is no dataset.parquet or dataset.csv in {folder}; name one in spec.dataset",
    )


def make_synthetic(name: str, task: Task, rows: int, path: Path) -> None:
    """Write a Parquet file with columns `feature_00` ... `feature_19` and `target`.

    The same name gives the same bytes.
    """
    import pyarrow as pa  # noqa: PLC0415 - takes seconds, and the model server shares this package
    import pyarrow.parquet as pq  # noqa: PLC0415
    from sklearn import datasets  # noqa: PLC0415

    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
    shape = {
        "n_samples": rows,
        "n_features": _FEATURES,
        "n_informative": _INFORMATIVE,
        "random_state": seed,
    }
    make = datasets.make_classification if task == "classification" else datasets.make_regression
    features, target = make(**shape)
    columns = {f"feature_{i:02d}": features[:, i] for i in range(_FEATURES)}
    pq.write_table(pa.table(columns | {"target": target}), path)


def pieces(path: Path) -> Iterator["pd.DataFrame"]:
    """Read a file in pieces: its size is not bounded, the pod's memory is.

    Raises:
        Failure: DatasetInvalid, when it is not a Parquet or CSV file.

    """
    import pandas as pd  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        if path.suffix == ".parquet":
            with pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False) as file:
                yield from (
                    batch.to_pandas() for batch in file.iter_batches(_rows(len(file.schema_arrow)))
                )
        else:
            columns = len(pd.read_csv(path, nrows=0).columns)
            with pd.read_csv(path, chunksize=_rows(columns)) as file:
                yield from file
    except UnicodeDecodeError as error:
        raise invalid(
            f"the dataset is not CSV in UTF-8, or it is compressed: {one_line(error)}; write it as"
            " uncompressed UTF-8"
        ) from error
    # pandas' and most of Arrow's errors are ValueErrors
    except (pa.ArrowException, OSError, ValueError) as error:
        raise invalid(
            f"the dataset cannot be read as {path.suffix[1:]}: {one_line(error)}"
        ) from error


def _once(path: Path) -> None:
    """Reject duplicate column names. In CSV pandas numbers them: `a`, `a.1`."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    names = pq.read_schema(path).names
    if twice := [name for name, count in Counts(names).items() if count > 1]:
        raise invalid(
            f"the dataset has several columns named {twice[0]}; give each column its own name"
        )


def _rows(columns: int) -> int:
    return min(_ROWS, max(1, _CELLS // max(1, columns)))


def profile(path: Path, target: str, task: Task | None) -> Figures:
    """Read a file once and count; a target's values are counted unless the task is regression.

    Raises:
        Failure: DatasetInvalid, when it cannot be read or has no rows.

    """
    import pandas as pd  # noqa: PLC0415

    counter = Counter(pd, None if task == "regression" else target)
    for piece in pieces(path):
        counter.add(piece)
    # Only for a tabular trainer: how a script reads its file is up to the script.
    if task is not None and path.suffix == ".parquet":
        _once(path)
    try:
        return counter.figures()
    except ValueError as error:
        raise invalid(str(error)) from error
