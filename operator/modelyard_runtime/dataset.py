"""A dataset's file: making the synthetic one, reading it in pieces, and the figures that say how good it is.

Fetching it and telling MLflow do not belong here.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelyard.api.pod_end import PodReason
from modelyard_runtime.config import Task
from modelyard_runtime.outcome import Failure, one_line

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Profile", "find", "invalid", "make_synthetic", "pieces", "profile"]

_FEATURES, _INFORMATIVE = 20, 15
_PIECE = 65_536
_CLASSES = 100
_DUPLICATES_OF = 10_000_000  # rows; eight bytes each are kept


@dataclass(frozen=True)
class Profile:
    """What a dataset is like."""

    rows: int
    columns: Mapping[str, str]
    """MLflow's type of every column."""
    missing: Mapping[str, int]
    """Missing values of the columns that have any."""
    duplicates: int
    """Rows that are equal to an earlier one, among the first `duplicates_of`."""
    duplicates_of: int
    classes: Mapping[str, int] | None
    """Rows per value of the target; None if there is no target, it has over 100 values, or the task is regression."""


def invalid(message: str) -> Failure:
    """Return the failure of a dataset that is not what it should be."""
    return Failure(PodReason.DATASET_INVALID, message)


def find(folder: Path) -> Path:
    """Return the dataset's file.

    Raises:
        Failure: DatasetUnavailable.

    """
    for name in ("dataset.parquet", "dataset.csv"):
        if (path := folder / name).is_file():
            return path
    raise Failure(PodReason.DATASET_UNAVAILABLE, f"there is no dataset.parquet or dataset.csv in {folder}; name one in spec.dataset")


def make_synthetic(name: str, task: Task, rows: int, path: Path) -> None:
    """Write a Parquet file with columns `feature_00` ... `feature_19` and `target`. The same name gives the same bytes."""
    import pyarrow as pa  # noqa: PLC0415 - seconds, and the model server shares this package
    import pyarrow.parquet as pq  # noqa: PLC0415
    from sklearn import datasets  # noqa: PLC0415

    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
    shape = {"n_samples": rows, "n_features": _FEATURES, "n_informative": _INFORMATIVE, "random_state": seed}
    make = datasets.make_classification if task == "classification" else datasets.make_regression
    features, target = make(**shape)
    columns = {f"feature_{i:02d}": features[:, i] for i in range(_FEATURES)}
    pq.write_table(pa.table(columns | {"target": target}), path)


def pieces(path: Path) -> Iterator["pd.DataFrame"]:
    """Read a file piece by piece: its size is not bounded, the pod's memory is.

    Raises:
        Failure: DatasetInvalid, when it is no Parquet or CSV file.

    """
    import pandas as pd  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        if path.suffix == ".parquet":
            with pq.ParquetFile(path) as file:
                yield from (batch.to_pandas() for batch in file.iter_batches(_PIECE))
        else:
            with pd.read_csv(path, chunksize=_PIECE) as file:
                yield from file
    except (pa.ArrowException, OSError, ValueError) as error:  # pandas' and Arrow's own errors are ValueErrors
        raise invalid(f"the dataset cannot be read as {path.suffix[1:]}: {one_line(error)}") from error


def profile(path: Path, target: str, task: Task | None) -> Profile:
    """Read a file once, and count.

    Raises:
        Failure: DatasetInvalid, when it cannot be read or has no rows.

    """
    import numpy as np  # noqa: PLC0415

    rows, columns, missing, hashes = 0, dict[str, str](), dict[str, int](), list[Any]()
    classes: dict[str, int] | None = None if task == "regression" else {}
    for piece in pieces(path):
        rows += len(piece)
        for column, values in piece.items():
            name = str(column)
            columns[name] = _wider(columns.get(name), _type(values))
            if count := int(values.isna().sum()):
                missing[name] = missing.get(name, 0) + count
        if rows - len(piece) < _DUPLICATES_OF:
            hashes.append(_hashes(piece)[: _DUPLICATES_OF - rows + len(piece)])
        if classes is not None and target in piece:
            classes = _counted(classes, piece[target])
    if not rows:
        raise invalid("the dataset has no rows")
    seen = np.concatenate(hashes)
    return Profile(rows, columns, missing, len(seen) - len(np.unique(seen)), len(seen), classes or None)


def _type(values: "pd.Series") -> str:
    """Return MLflow's name of a column's type."""
    names = {"f": "double", "i": "long", "u": "long", "b": "boolean", "M": "datetime"}
    return names.get(getattr(values.dtype, "kind", "O"), "string")


def _wider(known: str | None, now: str) -> str:
    """Return the type that holds both pieces: CSV columns get theirs piece by piece."""
    if known in {None, now}:
        return now
    return "double" if {known, now} == {"double", "long"} else "string"


def _hashes(piece: "pd.DataFrame") -> Any:
    """Return one uint64 per row, the same for equal rows of any piece."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype  # noqa: PLC0415
    from pandas.util import hash_pandas_object  # noqa: PLC0415

    # One column may be whole numbers in one piece and have decimals in the next; nested values cannot be hashed as they are.
    same = {
        column: values.astype("float64") if is_numeric_dtype(values) and not is_bool_dtype(values) else values.astype(str)
        for column, values in piece.items()
    }
    return hash_pandas_object(piece.assign(**{str(name): values for name, values in same.items()}), index=False).to_numpy()


def _counted(classes: dict[str, int], values: "pd.Series") -> dict[str, int] | None:
    """Add a piece's target values, or give up when they are too many to be classes."""
    total = dict(classes)
    for value, count in values.value_counts().items():
        label = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
        total[label] = total.get(label, 0) + int(count)
    return total if len(total) <= _CLASSES else None
