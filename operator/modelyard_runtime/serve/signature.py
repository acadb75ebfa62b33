"""A model's signature in its MLmodel file, read without MLflow; and V2's names of its types."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

__all__ = ["NUMPY_TYPES", "Column", "Signature", "Tensor", "parse", "v2_datatype"]

# V2's datatype -> numpy's name
NUMPY_TYPES = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
    "BYTES": "object",
}
_V2_OF_NUMPY = {name: v2 for v2, name in NUMPY_TYPES.items()}
_V2_OF_COLUMN = {
    "boolean": "BOOL",
    "integer": "INT32",
    "long": "INT64",
    "float": "FP32",
    "double": "FP64",
}
_SCALARS = frozenset({*_V2_OF_COLUMN, "string", "binary", "datetime"})


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str | None
    type: str
    """MLflow's name of a scalar type, or `any` for nested types."""
    required: bool = True
    number: int | None = None
    """The label of a column with a number as its name, as in a DataFrame without column names."""


@dataclass(frozen=True)
class Tensor:
    """An n-dimensional array."""

    name: str | None
    dtype: str
    """numpy's name."""
    shape: tuple[int, ...]
    """-1 stands for any length."""


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a model."""

    inputs: tuple[Column, ...] | tuple[Tensor, ...]
    outputs: tuple[Column, ...] | tuple[Tensor, ...]
    has_params: bool = False

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The inputs, if they are columns."""
        return tuple(spec for spec in self.inputs if isinstance(spec, Column))

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The inputs, if they are tensors."""
        return tuple(spec for spec in self.inputs if isinstance(spec, Tensor))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The inputs' names; empty if they have none."""
        return tuple(spec.name for spec in self.inputs if spec.name is not None)

    @cached_property
    def labels(self) -> frozenset[str]:
        """The inputs' names, without their order."""
        return frozenset(self.names)

    @cached_property
    def raw(self) -> frozenset[str | None]:
        """The names of columns that hold bytes, not text."""
        return frozenset(column.name for column in self.columns if column.type == "binary")


def parse(raw: Mapping[str, Any] | None) -> Signature | None:
    """Parse the `signature` of an MLmodel file; None if it is missing or has no inputs.

    Raises:
        ValueError: It does not have a form that MLflow writes.

    """
    if not raw or not raw.get("inputs"):
        return None
    try:
        return Signature(
            _specs(raw["inputs"]),
            _specs(raw.get("outputs") or "[]"),
            bool(json.loads(raw.get("params") or "null")),
        )
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"the signature has no form that MLflow writes: {error!r}") from error


def v2_datatype(spec: Column | Tensor) -> str:
    """Return V2's name of a type; types without a name in V2 are sent as BYTES."""
    if isinstance(spec, Column):
        return _V2_OF_COLUMN.get(spec.type, "BYTES")
    return _V2_OF_NUMPY.get(spec.dtype, "BYTES")


def _specs(text: str) -> tuple[Column, ...] | tuple[Tensor, ...]:
    """Parse a JSON list of MLflow's ColSpec or TensorSpec."""
    entries = json.loads(text)
    if any(entry["type"] == "tensor" for entry in entries):
        return tuple(
            Tensor(
                entry.get("name"),
                entry["tensor-spec"]["dtype"],
                tuple(int(size) for size in entry["tensor-spec"]["shape"]),
            )
            for entry in entries
        )
    return tuple(_column(entry.get("name"), entry) for entry in entries)


def _column(label: Any, entry: Mapping[str, Any]) -> Column:
    if isinstance(label, list):
        words = (
            f"{label} names a column by several levels, as a MultiIndex does, which MLflow cannot"
            " predict with"
        )
        raise ValueError(f"{words}: train on a DataFrame with flat column names")  # noqa: TRY004 - the file is wrong, not an argument
    kind = entry["type"] if entry["type"] in _SCALARS else "any"
    number = label if type(label) is int else None
    return Column(
        None if label is None else str(label), kind, bool(entry.get("required", True)), number
    )
