"""Read an MLmodel file safely, as plain data; nothing in it is executed.

The operator never loads a model.
"""

import json
from dataclasses import dataclass
from typing import Any

import yaml

from modelyard.api.text import printable

__all__ = ["MLMODEL_LIMIT", "Column", "MLModel", "Signature", "read_mlmodel", "read_signature"]

MLMODEL_LIMIT = 1024 * 1024
"""Greatest size of an MLmodel file in bytes; a signature of several thousand columns fits."""

_SHOWN_COLUMNS = 6
_INPUTS, _OUTPUTS = 128, 52
"""Characters of the two sides of a shortened signature; a status has room for 184 in total."""
_DEPTH, _EVENTS = 32, 20_000
"""Limits of depth and events. A real MLmodel has a depth of five and a few hundred events; parsing
a hostile one could take minutes.
"""

_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_NO_KEY = object()


@dataclass(frozen=True)
class MLModel:
    """The content of an MLmodel file.

    Attributes:
        flavor: The model's own flavour, such as `xgboost`; `python_function` if it has no other;
            empty if the file is malformed.
        signature: Inputs and outputs, shortened: `feature_00: double, ... (20) -> long`; empty if
            there are none.

    """

    flavor: str
    signature: str


@dataclass(frozen=True)
class Column:
    """One column, or tensor, of a signature.

    Attributes:
        name: Its full name, or `column 0` by position.
        type: Its full MLflow type, such as `double` or `tensor(float64)`, with nested types as
            JSON.
        shape: Sizes of a tensor; -1 is any.
        required: Whether a request must contain it.

    """

    name: str
    type: str
    shape: tuple[str, ...] | None = None
    required: bool = True


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a model, in full."""

    inputs: tuple[Column, ...]
    outputs: tuple[Column, ...]


def read_mlmodel(text: bytes) -> MLModel:
    """Read an MLmodel file; the result for a malformed one is empty."""
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
    """Read the signature of an MLmodel file; None if it has none or an unreadable one."""
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
    """Return a column in full; one without a name is named by its position."""
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
    """Read the first document as maps, lists and texts: tags are ignored, texts are not converted.

    Raises:
        yaml.YAMLError: The text is not YAML.
        ValueError: The document is too deep or too long.

    """
    anchors: dict[str | None, Any] = {}
    within: list[
        tuple[Any, list[Any]]
    ] = []  # open containers, each with the key whose value follows
    for count, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        if count > _EVENTS or len(within) > _DEPTH:
            raise ValueError("the document is too deep or too long for an MLmodel file")
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
    """Return the initial value of a node; an alias is the same object as its anchor, not a copy."""
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
    name = column.get("name")  # a number, for a DataFrame without column names
    return kind if name in (None, "") else f"{name}: {kind}"


def _shown(text: str, limit: int) -> str:
    """Cut a text, and drop invisible characters, which databases do not accept."""
    return printable(text[:limit])
