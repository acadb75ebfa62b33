"""The MLmodel file, as far as it may be trusted: plain data, read safely, nothing in it is ever
run.

Loading a model does not belong here, nor anywhere in the operator.
"""

import json
from dataclasses import dataclass
from typing import Any

import yaml

from modelyard.api.text import printable

__all__ = ["MLMODEL_LIMIT", "Column", "MLModel", "Signature", "read_mlmodel", "read_signature"]

MLMODEL_LIMIT = 1024 * 1024
"""Bytes of MLmodel that are read; a signature of some thousand columns fits."""

_SHOWN_COLUMNS = 6
_INPUTS, _OUTPUTS = 128, 52
"""Characters of the two sides of a signature in short; a status has room for 184 in all."""
_DEPTH, _EVENTS = 32, 20_000
"""A real MLmodel has a depth of five and some hundred events; parsers take minutes over a
hostile one.
"""

_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_NO_KEY = object()


@dataclass(frozen=True)
class MLModel:
    """What an MLmodel file says.

    Attributes:
        flavor: The model's own flavour, such as `xgboost`; `python_function` when it has no other;
            empty when the file is malformed.
        signature: Inputs and outputs in short: `feature_00: double, ... (20) -> long`; empty when
            it has none.

    """

    flavor: str
    signature: str


@dataclass(frozen=True)
class Column:
    """One column, or tensor, of a signature.

    Attributes:
        name: Its name, whole and as it is written there, or `column 0` by its position.
        type: MLflow's type, such as `double` or `tensor(float64)`, with what is nested in it as
            JSON; whole.
        shape: Sizes of a tensor; -1 is any.
        required: Whether a request must have it.

    """

    name: str
    type: str
    shape: tuple[str, ...] | None = None
    required: bool = True


@dataclass(frozen=True)
class Signature:
    """What a model takes and answers, whole."""

    inputs: tuple[Column, ...]
    outputs: tuple[Column, ...]


def read_mlmodel(text: bytes) -> MLModel:
    """Read an MLmodel file; a malformed one says nothing."""
    try:
        content = _document(text)
    except (yaml.YAMLError, ValueError):
        content = None
    if not isinstance(content, dict):
        return MLModel("", "")
    flavors = content.get("flavors")
    names = list(flavors) if isinstance(flavors, dict) else []
    own = next((name for name in names if name != "python_function"), names[0] if names else "")
    signature = content.get("signature")
    if not isinstance(signature, dict):
        return MLModel(_shown(own, 64), "")
    inputs, outputs = (
        _side(signature.get("inputs"), _INPUTS),
        _side(signature.get("outputs"), _OUTPUTS),
    )
    return MLModel(_shown(own, 64), f"{inputs} -> {outputs}" if inputs or outputs else "")


def read_signature(text: bytes) -> Signature | None:
    """Read the signature of an MLmodel file; None when it has none that can be read."""
    try:
        content = _document(text)
    except (yaml.YAMLError, ValueError):
        return None
    signature = content.get("signature") if isinstance(content, dict) else None
    if not isinstance(signature, dict):
        return None
    inputs, outputs = _columns(signature.get("inputs")), _columns(signature.get("outputs"))
    return Signature(inputs, outputs) if inputs or outputs else None


def _columns(text: Any) -> tuple[Column, ...]:
    try:
        content = json.loads(text) if isinstance(text, str) else []
        columns = content if isinstance(content, list) else []
        return tuple(
            _whole(number, each) for number, each in enumerate(columns) if isinstance(each, dict)
        )
    except (ValueError, RecursionError):
        return ()


def _whole(number: int, column: dict[str, Any]) -> Column:
    """Return a column whole. One without a name, of a tensor or an unnamed DataFrame, has its
    position.
    """
    name = column.get("name")
    spec = column.get("tensor-spec")
    if isinstance(spec, dict):
        shape = spec.get("shape")
        sizes = tuple(map(str, shape)) if isinstance(shape, list) else ()
        kind = f"tensor({spec.get('dtype')})"
    else:
        inner = {
            key: value
            for key, value in column.items()
            if key not in {"name", "required", "type", "optional"}
        }
        kind = str(column.get("type")) + (json.dumps(inner, sort_keys=True) if inner else "")
        sizes = None
    required = column.get("required", not column.get("optional", False))
    return Column(
        f"column {number}" if name in (None, "") else str(name), kind, sizes, required is not False
    )


def _document(text: bytes) -> Any:
    """Read the first document as maps, lists and texts: no tag is heeded, no text becomes anything
    else.

    Raises:
        yaml.YAMLError: It is no YAML.
        ValueError: It is too deep, or too much.

    """
    anchors: dict[str | None, Any] = {}
    within: list[
        tuple[Any, list[Any]]
    ] = []  # the containers that are open, each with the key that waits for its value
    for count, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        if count > _EVENTS or len(within) > _DEPTH:
            raise ValueError("no MLmodel is that deep or that long")
        if isinstance(event, yaml.CollectionEndEvent):
            root, _ = within.pop()
            if not within:
                return root
        elif isinstance(event, yaml.NodeEvent):
            value = _value(event, anchors)
            if within:
                _put(*within[-1], value)
            if isinstance(event, yaml.CollectionStartEvent):
                within.append((value, [_NO_KEY]))
            elif not within:
                return value
    return None


def _value(event: Any, anchors: dict[str | None, Any]) -> Any:
    """What a node begins with; an alias is what its anchor stands for, the thing itself and no
    copy.
    """
    if isinstance(event, yaml.AliasEvent):
        return anchors.get(event.anchor)
    value: Any = (
        {}
        if isinstance(event, yaml.MappingStartEvent)
        else []
        if isinstance(event, yaml.SequenceStartEvent)
        else event.value
    )
    if event.anchor:
        anchors[event.anchor] = value
    return value


def _put(container: Any, key: list[Any], value: Any) -> None:
    if isinstance(container, list):
        container.append(value)
    elif key[0] is _NO_KEY:
        key[0] = value if isinstance(value, str) else ""
    else:
        container[key[0]] = value
        key[0] = _NO_KEY


def _side(text: Any, limit: int) -> str:
    try:
        columns = json.loads(text) if isinstance(text, str) else []
        if not isinstance(columns, list):
            return ""
        shown = [_column(column) for column in columns[:_SHOWN_COLUMNS] if isinstance(column, dict)]
    except (ValueError, RecursionError):
        return ""
    more = f", ... ({len(columns)})" if len(columns) > _SHOWN_COLUMNS else ""
    return _shown(", ".join(shown), limit - len(more)) + more


def _column(column: dict[str, Any]) -> str:
    spec = column.get("tensor-spec")
    kind = (
        f"tensor({spec.get('dtype')}, {spec.get('shape')})"
        if isinstance(spec, dict)
        else str(column.get("type"))
    )
    name = column.get("name")  # a number, of a DataFrame without names
    return kind if name in (None, "") else f"{name}: {kind}"


def _shown(text: str, limit: int) -> str:
    """Cut it, and drop what no reader can see and no database takes."""
    return printable(text[:limit])
