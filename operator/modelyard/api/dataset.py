"""Figures of a dataset and their form in MLflow, for the trainer's pod and the client.

Standard library only, because pods import it: the caller passes pandas in. Files are read by
`modelyard_runtime.dataset` and `client.profile`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelyard.api.wire import DATASET_TAGS

__all__ = ["Counter", "Figures", "described", "row_hashes", "tagged"]

_CLASSES = 100
"""A target with more distinct values has no classes."""
_DUPLICATES_OF = 10_000_000
"""Number of rows among which duplicates are counted; each takes eight bytes."""
_TYPES = {"f": "double", "i": "long", "u": "long", "b": "boolean", "M": "datetime"}
_SCHEMA_LIMIT, _TAG_LIMIT = 1_048_575, 8000
"""Greatest length of a schema and of a tag, in characters. MLflow refuses a longer schema and cuts
a longer tag.
"""
_MLFLOW_DIGEST = 32
"""Characters of a digest in MLflow, which has room for 36; the full digest is in a tag."""


@dataclass(frozen=True)
class Figures:
    """Figures of a dataset.

    Attributes:
        rows: Number of rows.
        columns: MLflow's type of each column.
        missing: Number of missing values, for columns that have any.
        duplicates: Number of rows that equal an earlier one, among the first `duplicates_of`.
        duplicates_of: Number of rows among which duplicates were counted.
        classes: Number of rows per value of the target; None without a target, or with over 100
            values.

    """

    rows: int
    columns: Mapping[str, str]
    missing: Mapping[str, int]
    duplicates: int
    duplicates_of: int
    classes: Mapping[str, int] | None


class Counter:
    """Counts a dataset piece by piece, so that it need not fit into memory."""

    def __init__(self, pandas: Any, target: str | None) -> None:
        """Create a counter.

        Args:
            pandas: The module pandas.
            target: The column whose values are counted, or None.

        """
        self._pandas, self._target = pandas, target
        self._rows = 0
        self._columns: dict[str, str] = {}
        self._missing: dict[str, int] = {}
        self._hashes: list[Any] = []
        self._classes: dict[str, int] | None = None if target is None else {}

    def add(self, piece: Any) -> None:
        """Count a DataFrame's rows."""
        left = _DUPLICATES_OF - self._rows
        self._rows += len(piece)
        for column, values in piece.items():
            name = str(column)
            self._columns[name] = _wider(self._columns.get(name), _type(values))
            if count := int(values.isna().sum()):
                self._missing[name] = self._missing.get(name, 0) + count
            if self._classes is not None and name == self._target:
                self._classes = _counted(self._classes, values)
        if left > 0:
            self._hashes.append(row_hashes(self._pandas, piece.head(left)))

    def figures(self) -> Figures:
        """Return the figures of all pieces.

        Raises:
            ValueError: The dataset has no rows.

        """
        if not self._rows:
            raise ValueError("the dataset has no rows")
        hashes = self._pandas.concat(self._hashes)
        return Figures(
            self._rows,
            self._columns,
            self._missing,
            duplicates=len(hashes) - int(hashes.nunique()),
            duplicates_of=len(hashes),
            classes=self._classes or None,
        )


def row_hashes(pandas: Any, frame: Any) -> Any:
    """Return a Series with one uint64 per row, equal for equal rows of all pieces.

    Numbers are hashed as floats, because a column may be whole in one piece and decimal in the
    next; nested values, which have no hash, as texts.
    """
    types = pandas.api.types

    def kind(values: Any) -> Any:
        number = types.is_numeric_dtype(values) and not types.is_bool_dtype(values)
        return "float64" if number else str

    same = {str(name): values.astype(kind(values)) for name, values in frame.items()}
    return pandas.util.hash_pandas_object(pandas.DataFrame(same, index=frame.index), index=False)


def _type(values: Any) -> str:
    return _TYPES.get(getattr(values.dtype, "kind", "O"), "string")


def _wider(known: str | None, now: str) -> str:
    """Return the type that holds both pieces, because CSV columns are typed piece by piece."""
    if known in {None, now}:
        return now
    return "double" if {known, now} == {"double", "long"} else "string"


def _counted(classes: dict[str, int], values: Any) -> dict[str, int] | None:
    """Add a piece's target values; None if there are too many for classes."""
    total = dict(classes)
    for value, count in values.value_counts().items():
        label = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
        total[label] = total.get(label, 0) + int(count)
    return total if len(total) <= _CLASSES else None


# --- for MLflow -----------------------------------------------------------------------------------
def described(
    name: str,
    digest: str,
    found: Figures,
    source_type: str,
    source: Mapping[str, Any],
) -> dict[str, str | None]:
    """Return the fields of MLflow's `Dataset`. A schema that is too long for MLflow is left out.

    Args:
        name: Its name.
        digest: `sha256:<hex>`.
        found: Its figures.
        source_type: MLflow's type of the source, such as s3.
        source: The source, in MLflow's format for that type.

    """
    figures = {
        "rows": found.rows,
        "missing": dict(found.missing),
        "duplicates": found.duplicates,
        "duplicates_of": found.duplicates_of,
        "classes": dict(found.classes) if found.classes else None,
        "digest": digest,
    }
    columns = [
        {
            "name": column,
            "type": type_,
            "required": column not in found.missing,
        }
        for column, type_ in found.columns.items()
    ]
    schema = json.dumps({"mlflow_colspec": columns})
    return {
        "name": name,
        "digest": digest.removeprefix("sha256:")[:_MLFLOW_DIGEST],
        "source_type": source_type,
        "source": json.dumps(source),
        "schema": schema if len(schema) <= _SCHEMA_LIMIT else None,
        "profile": json.dumps(figures),
    }


def tagged(name: str, digest: str, uri: str, found: Figures) -> dict[str, str]:
    """Return the run's tags for its dataset, without those that are too long for MLflow."""
    values = {
        "name": name,
        "digest": digest,
        "uri": uri,
        "rows": str(found.rows),
        "missing": str(sum(found.missing.values())),
        "duplicates": str(found.duplicates),
        "classes": json.dumps(found.classes) if found.classes else "",
    }
    fits = {key: value for key, value in values.items() if value and len(value) <= _TAG_LIMIT}
    return {f"{DATASET_TAGS}{key}": value for key, value in fits.items()}
