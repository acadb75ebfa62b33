"""The MLmodel file, as far as it may be trusted: plain data, read safely, nothing in it is ever run.

Loading a model does not belong here, nor anywhere in the operator.
"""

import json
from dataclasses import dataclass
from typing import Any

import yaml

__all__ = ["MLMODEL_LIMIT", "MLModel", "read_mlmodel"]

MLMODEL_LIMIT = 1024 * 1024
"""Bytes of MLmodel that are read; a signature of some thousand columns fits."""

_SHOWN_COLUMNS = 8


@dataclass(frozen=True)
class MLModel:
    """What an MLmodel file says.

    Attributes:
        flavor: The model's own flavour, such as `xgboost`; `python_function` when it has no other; empty when the file is malformed.
        signature: Inputs and outputs in short: `feature_00: double, ... (20) -> long`; empty when it has none.

    """

    flavor: str
    signature: str


def read_mlmodel(text: bytes) -> MLModel:
    """Read an MLmodel file; a malformed one says nothing."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        content = None
    if not isinstance(content, dict):
        return MLModel("", "")
    flavors = content.get("flavors")
    names = [str(name) for name in flavors] if isinstance(flavors, dict) else []
    own = next((name for name in names if name != "python_function"), names[0] if names else "")
    signature = content.get("signature")
    if not isinstance(signature, dict):
        return MLModel(own[:64], "")
    inputs, outputs = _side(signature.get("inputs")), _side(signature.get("outputs"))
    return MLModel(own[:64], f"{inputs} -> {outputs}" if inputs or outputs else "")


def _side(text: Any) -> str:
    try:
        columns = json.loads(text) if isinstance(text, str) else []
    except json.JSONDecodeError:
        return ""
    if not isinstance(columns, list):
        return ""
    shown = [_column(column) for column in columns[:_SHOWN_COLUMNS] if isinstance(column, dict)]
    more = f", ... ({len(columns)})" if len(columns) > _SHOWN_COLUMNS else ""
    return (", ".join(shown) + more)[:480]


def _column(column: dict[str, Any]) -> str:
    spec = column.get("tensor-spec")
    kind = f"tensor({spec.get('dtype')}, {spec.get('shape')})" if isinstance(spec, dict) else str(column.get("type"))
    return f"{column['name']}: {kind}" if column.get("name") else kind
