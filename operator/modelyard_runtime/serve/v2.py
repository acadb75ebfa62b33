"""The Open Inference Protocol V2 over HTTP: metadata, and tensors in JSON or after it (`binary`).

gRPC is not supported.
"""

import struct
from collections.abc import Mapping
from contextlib import suppress
from reprlib import repr as shown
from typing import Any

import numpy as np

from modelyard_runtime.serve import binary, weight
from modelyard_runtime.serve.parsing import decoded
from modelyard_runtime.serve.predictor import Answer, AnswerGenerator, Predictor, Request
from modelyard_runtime.serve.signature import NUMPY_TYPES, Column, Signature, Tensor, v2_datatype
from modelyard_runtime.serve.v1 import dumps, plain
from modelyard_runtime.serve.values import Array, Columns, Matrix, Refused, Table, has_text

__all__ = ["infer", "model_metadata"]

_SMALL = 1 << 20
"""For a shape with fewer values, the message gives their number."""
_NAMES = {name: v2 for v2, name in NUMPY_TYPES.items() if name != "object"}
_TYPES = {np.dtype(name): v2 for name, v2 in _NAMES.items()}
"""The same for this machine's byte order: a lookup that is faster than by name."""


def model_metadata(
    name: str, version: str, platform: str, signature: Signature | None
) -> dict[str, Any]:
    """Return the model's metadata. Without a signature, the inputs and outputs are empty."""
    inputs: tuple[Column | Tensor, ...] = signature.inputs if signature else ()
    outputs: tuple[Column | Tensor, ...] = signature.outputs if signature else ()
    return {
        "name": name,
        "versions": [version],
        "platform": platform,
        "inputs": [_described(spec, f"input-{index}") for index, spec in enumerate(inputs)],
        "outputs": [_described(spec, f"output-{index}") for index, spec in enumerate(outputs)],
    }


def infer(model: Predictor, name: str, version: str, asked: Request) -> AnswerGenerator:
    """Answer an inference request.

    Raises:
        Refused: The request is not V2, or does not fit the signature.

    """
    head, tail = binary.parts(asked)
    request = decoded(head)
    table = _table(request, tail, model.signature)
    wanted = request.get("outputs") or []
    if not isinstance(wanted, list) or not all(isinstance(output, dict) for output in wanted):
        raise Refused("outputs must be a list of objects with a name")
    usual, named = binary.wants(request, wanted)
    outputs = _tensors((yield model.given(table)), model.signature)
    if unknown := [label for label in named if label not in outputs]:
        raise Refused(f"there is no output {unknown[0]}; the model has {', '.join(outputs)}")
    response = {"model_name": name, "model_version": version}
    if isinstance(request.get("id"), str):
        response["id"] = request["id"]
    return _answer(
        response,
        {label: outputs[label] for label in named or outputs},
        named or dict.fromkeys(outputs, usual),
    )


def _answer(
    response: dict[str, Any], outputs: Mapping[str, Array], as_bytes: Mapping[str, bool]
) -> Answer:
    """Return outputs as JSON, and those in `as_bytes` as bytes after it."""
    described: list[dict[str, Any]] = []
    behind: list[bytes] = []
    for label, array in outputs.items():
        datatype, values = _typed(array)
        output: dict[str, Any] = {"name": label, "datatype": datatype, "shape": list(array.shape)}
        if as_bytes[label]:
            behind.append(binary.encoded(datatype, values))
            output["parameters"] = {"binary_data_size": len(behind[-1])}
        else:
            output["data"] = values.reshape(-1).tolist()
        described.append(output)
    head = dumps(response | {"outputs": described})
    shape = described[0]["shape"] if described else []
    rows = shape[0] if shape else 1
    if not behind:
        return Answer(head, rows=rows)
    return Answer(
        b"".join((head, *behind)),
        content_type=b"application/octet-stream",
        rows=rows,
        head=len(head),
    )


def _described(spec: Column | Tensor, fallback: str) -> dict[str, Any]:
    shape = list(spec.shape) if isinstance(spec, Tensor) else [-1]
    return {"name": spec.name or fallback, "datatype": v2_datatype(spec), "shape": shape}


def _table(request: Mapping[str, Any], tail: binary.Tail, signature: Signature | None) -> Table:
    """Return the input tensors: by the signature's names, or one tensor for all columns."""
    inputs = request.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise Refused("the body must have inputs, a non-empty list of tensors")
    raw = signature.raw if signature else frozenset()
    tensors: dict[str, Array] = {}
    for given in inputs:
        label, array = _tensor(given, tail, raw)
        if label in tensors:
            raise Refused(f"the input {label} is given twice")
        tensors[label] = array
    tail.end()
    names = signature.names if signature else ()
    if len(tensors) == 1 and (signature is None or signature.labels.isdisjoint(tensors)):
        only = next(iter(tensors.values()))
        if only.ndim > 1 or len(names) <= 1:
            return Matrix(only)
    if names and (unknown := [label for label in tensors if label not in names]):
        more = ", ..." if len(names) > 10 else ""
        raise Refused(
            f"there is no input {unknown[0]}; the model takes {', '.join(names[:10])}{more}, or one"
            " tensor with all of them"
        )
    return Columns(tensors)


def _tensor(given: Any, tail: binary.Tail, raw: frozenset[str | None]) -> tuple[str, Array]:
    """Check one tensor's datatype and shape against its data, and return its name and values.

    `raw` has the names of inputs that hold bytes, not text.
    """
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        raise Refused("every input must be an object with a name")
    name, data = given["name"], given.get("data")
    datatype, shape = given.get("datatype"), given.get("shape")
    label = f"input {name}"
    if not isinstance(datatype, str) or datatype not in NUMPY_TYPES:
        raise Refused(
            f"{label}: the datatype {shown(datatype)} is not one of {', '.join(NUMPY_TYPES)}"
        )
    if (
        not isinstance(shape, list)
        or not shape
        or not all(type(size) is int and size >= 0 for size in shape)
    ):
        raise Refused(f"{label}: shape must be a list of sizes")
    size = binary.size_of(given, label)
    if size is not None:
        if data is not None:
            raise Refused(f"{label} has both data and binary_data_size; send one of them")
        count = weight.product(shape, size, label)
        return name, tail.tensor(label, datatype, count, size, text=name not in raw).reshape(shape)
    if not isinstance(data, list):
        raise Refused(f"{label}: data must be a list")
    array = _array(label, datatype, data)
    if (count := weight.product(shape, max(array.size, _SMALL), label)) != array.size:
        raise Refused(
            f"{label}: the shape {shown(shape)} has {count} values, but data has {array.size}"
        )
    return name, array.reshape(shape)


def _array(label: str, datatype: str, data: list[Any]) -> Array:
    """Return flat or nested lists as an array; refuse values of another type."""
    if datatype == "BYTES":
        flat = _flat(data)
        if wrong := next((value for value in flat if not isinstance(value, str | None)), None):
            raise Refused(f"{label}: {shown(wrong)} is not a string, which BYTES must be in JSON")
        array = np.empty(len(flat), object)
        array[:] = flat
        return array
    # Not bool: _numbers refuses it.
    if datatype == "FP64" and data and type(data[0]) in {float, int}:
        with suppress(struct.error, OverflowError):
            return np.frombuffer(struct.pack(f"{len(data)}d", *data))
    return _numbers(label, datatype, data)


def _numbers(label: str, datatype: str, data: list[Any]) -> Array:
    try:
        if has_text(data):
            raise ValueError
        found = np.array(data)
        if found.dtype.kind == "O" and datatype.startswith("FP"):
            found = np.array(data, np.float64)  # null is a missing value
    except (ValueError, TypeError, OverflowError):
        raise Refused(
            f"{label}: the lists in data differ in length, or contain other values than {datatype}"
        ) from None
    target = np.dtype(NUMPY_TYPES[datatype])
    kinds = {"b": "b", "i": "iu", "u": "iu", "f": "iuf"}[target.kind]
    if found.size and found.dtype.kind not in kinds:
        raise Refused(f"{label}: data contains other values than {datatype}")
    if target.kind in "iu" and found.size:
        range_ = np.iinfo(target)
        if found.min() < range_.min or found.max() > range_.max:
            raise Refused(f"{label}: a value is out of the range of {datatype}")
    with np.errstate(over="ignore"):
        return found.astype(target)


def _flat(data: list[Any]) -> list[Any]:
    """Return the values of nested lists of any depth."""
    found: list[Any] = []
    open_lists = [iter(data)]
    while open_lists:
        for value in open_lists[-1]:
            if isinstance(value, list):
                open_lists.append(iter(value))
                break
            found.append(value)
        else:
            open_lists.pop()
    return found


def _tensors(found: Any, signature: Signature | None) -> dict[str, Array]:
    """Return predictions as tensors by name: one per column or key, or one for all."""
    specs = signature.outputs if signature else ()
    if hasattr(found, "columns"):
        return {str(name): found[name].to_numpy() for name in found.columns}
    if isinstance(found, dict):
        return {str(name): np.asarray(values) for name, values in found.items()}
    if hasattr(found, "toarray"):
        found = found.toarray()
    name = specs[0].name if len(specs) == 1 else None
    try:
        array = np.asarray(found)
    except ValueError:  # ragged: every row becomes one value
        array = np.empty(len(found), object)
        array[:] = found
    return {name or "output-0": array if array.ndim else array.reshape(1)}


def _typed(array: Array) -> tuple[str, Array]:
    """Return an output's V2 datatype and values; a type without one becomes JSON in BYTES."""
    if datatype := _TYPES.get(array.dtype) or _NAMES.get(array.dtype.name):
        return datatype, array
    flat = [
        value if isinstance(value, str) or value is None else dumps(plain(value)).decode()
        for value in array.reshape(-1).tolist()
    ]
    texts = np.empty(len(flat), object)
    texts[:] = flat
    return "BYTES", texts
