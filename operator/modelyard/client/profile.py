"""What a dataset is like: digest, rows, missing values, duplicates, classes. The same figures as the cluster's trainer gives.

Telling MLflow does not belong here. pandas is what the data came with, or is needed to read a file.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelyard.client.packages import need
from modelyard.kube.names import DATASET_TAGS

__all__ = ["Profile", "entity", "profile", "tags"]

_CLASSES = 100
_DUPLICATES_OF = 10_000_000
_MLFLOW_DIGEST = 32  # MLflow keeps 36 characters of a digest; the whole one is in a tag and in the profile


@dataclass(frozen=True)
class Profile:
    """What a dataset is like.

    Attributes:
        digest: `sha256:<hex>`: of a file's bytes; of a DataFrame's columns, types and values.
        rows: How many.
        columns: MLflow's type of each column.
        missing: Missing values of the columns that have any.
        duplicates: Rows that are equal to an earlier one, among the first `duplicates_of`.
        duplicates_of: How many rows that was counted of.
        classes: Rows per value of the target; None if no target is named, or it has over 100 values.

    """

    digest: str
    rows: int
    columns: Mapping[str, str]
    missing: Mapping[str, int]
    duplicates: int
    duplicates_of: int
    classes: Mapping[str, int] | None


def profile(data: Any, target: str | None) -> Profile:
    """Count.

    Args:
        data: A DataFrame, or the path of a Parquet or CSV file.
        target: The column whose values are counted.

    Raises:
        ValueError: It is neither, has no rows, or has no such column.
        Missing: pandas is needed to read a file.

    """
    frame, digest = _read(data)
    if not len(frame):
        raise ValueError("the dataset has no rows")
    if target is not None and target not in frame:
        raise ValueError(f"the dataset has no column {target}; it has {', '.join(map(str, list(frame.columns)[:20]))}")
    hashes = _hashes(frame.head(_DUPLICATES_OF))
    absent = {str(name): int(count) for name, count in frame.isna().sum().items() if count}
    return Profile(
        digest=digest or _content(frame, hashes),
        rows=len(frame),
        columns={str(name): _type(values) for name, values in frame.items()},
        missing=absent,
        duplicates=len(hashes) - len(set(hashes.tolist())),
        duplicates_of=len(hashes),
        classes=_classes(frame[target]) if target is not None else None,
    )


def _read(data: Any) -> tuple[Any, str]:
    """Return a DataFrame, and the digest of the file that it was read from."""
    if hasattr(data, "columns") and hasattr(data, "isna"):
        return data, ""
    if not isinstance(data, str | Path):
        raise ValueError(f"a {type(data).__name__} is no dataset: give a DataFrame, or the path of a Parquet or CSV file")  # noqa: TRY004
    path = Path(data)
    readers = {".parquet": "read_parquet", ".csv": "read_csv"}
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path} ends in neither .parquet nor .csv")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return getattr(need("pandas", "Reading a dataset"), readers[path.suffix.lower()])(path), f"sha256:{digest}"


def _hashes(frame: Any) -> Any:
    """Return one uint64 a row, the same for equal rows."""
    types, util = need("pandas.api.types", "Looking at a dataset"), need("pandas.util", "Looking at a dataset")
    same = {
        column: values.astype("float64") if types.is_numeric_dtype(values) and not types.is_bool_dtype(values) else values.astype(str)
        for column, values in frame.items()
    }
    return util.hash_pandas_object(frame.assign(**{str(name): values for name, values in same.items()}), index=False).to_numpy()


def _content(frame: Any, hashes: Any) -> str:
    head = json.dumps([[str(name), str(values.dtype)] for name, values in frame.items()]).encode()
    return "sha256:" + hashlib.sha256(head + hashes.tobytes()).hexdigest()


def _type(values: Any) -> str:
    names = {"f": "double", "i": "long", "u": "long", "b": "boolean", "M": "datetime"}
    return names.get(getattr(values.dtype, "kind", "O"), "string")


def _classes(values: Any) -> dict[str, int] | None:
    total: dict[str, int] = {}
    for value, count in values.value_counts().items():
        label = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
        total[label] = total.get(label, 0) + int(count)
    return total if len(total) <= _CLASSES else None


def tags(name: str, uri: str, found: Profile) -> dict[str, str]:
    """Return the figures as the tags that the cluster's trainer sets."""
    values = {
        "name": name,
        "digest": found.digest,
        "uri": uri,
        "rows": str(found.rows),
        "missing": str(sum(found.missing.values())),
        "duplicates": str(found.duplicates),
        "classes": json.dumps(found.classes) if found.classes else "",
    }
    return {f"{DATASET_TAGS}{key}": value for key, value in values.items() if value}


def entity(name: str, uri: str, found: Profile) -> dict[str, str]:
    """Return MLflow's `Dataset` of it, field by field."""
    figures = {
        "rows": found.rows,
        "missing": dict(found.missing),
        "duplicates": found.duplicates,
        "duplicates_of": found.duplicates_of,
        "classes": dict(found.classes) if found.classes else None,
        "digest": found.digest,
    }
    columns = [{"name": column, "type": type_, "required": column not in found.missing} for column, type_ in found.columns.items()]
    return {
        "name": name,
        "digest": found.digest.removeprefix("sha256:")[:_MLFLOW_DIGEST],
        "source_type": "local" if uri else "code",
        "source": json.dumps({"uri": uri} if uri else {"tags": {"mlflow.source.name": "a DataFrame"}}),
        "schema": json.dumps({"mlflow_colspec": columns}),
        "profile": json.dumps(figures),
    }
