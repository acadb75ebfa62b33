"""The Open Inference Protocol V2, as JSON: metadata from the signature, tensors in, tensors out.

Checking values and predicting do not belong here. Binary tensors and gRPC are not spoken.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from modelyard_runtime.serve.invocations import decoded
from modelyard_runtime.serve.predictor import Answer, Predictor
from modelyard_runtime.serve.signature import NUMPY_TYPES, Column, Signature, Tensor, v2_datatype
from modelyard_runtime.serve.v1 import dumps, plain
from modelyard_runtime.serve.values import Array, Columns, Matrix, Refused, Table

__all__ = ["infer", "model_metadata"]

_NAMES = {name: v2 for v2, name in NUMPY_TYPES.items() if name != "object"}


def model_metadata(name: str, version: str, platform: str, signature: Signature | None) -> dict[str, Any]:
    """Return what a model takes and gives. Without a signature the lists are empty: nothing is known."""
    inputs: tuple[Column | Tensor, ...] = signature.inputs if signature else ()
    outputs: tuple[Column | Tensor, ...] = signature.outputs if signature else ()
    return {
        "name": name,
        "versions": [version],
        "platform": platform,
        "inputs": [_described(spec, f"input-{index}") for index, spec in enumerate(inputs)],
        "outputs": [_described(spec, f"output-{index}") for index, spec in enumerate(outputs)],
    }


def infer(model: Predictor, name: str, version: str, body: bytes) -> Answer:
    """Answer an inference request.

    Raises:
        Refused: The request is not V2, or does not fit the signature.

    """
    request = decoded(body)
    table = _table(request, model.signature)
    outputs = _tensors(model.predict(table), model.signature)
    if wanted := request.get("outputs"):
        if not isinstance(wanted, list) or not all(isinstance(output, dict) for output in wanted):
            raise Refused("outputs must be a list of objects with a name")
        known = {output["name"]: output for output in outputs}
        if unknown := [str(output.get("name")) for output in wanted if output.get("name") not in known]:
            raise Refused(f"there is no output {unknown[0]}; the model gives {', '.join(known)}")
        outputs = [known[output["name"]] for output in wanted]
    response = {"model_name": name, "model_version": version, "outputs": outputs}
    if isinstance(request.get("id"), str):
        response["id"] = request["id"]
    return Answer(dumps(response), rows=outputs[0]["shape"][0] if outputs and outputs[0]["shape"] else 1)


def _described(spec: Column | Tensor, fallback: str) -> dict[str, Any]:
    shape = list(spec.shape) if isinstance(spec, Tensor) else [-1]
    return {"name": spec.name or fallback, "datatype": v2_datatype(spec), "shape": shape}


def _table(request: Mapping[str, Any], signature: Signature | None) -> Table:
    """Return the input tensors: by name as the signature has them, or one for all columns."""
    inputs = request.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise Refused("the body must have inputs, a list of tensors, and not an empty one")
    tensors: dict[str, Array] = {}
    for given in inputs:
        label, array = _tensor(given)
        if label in tensors:
            raise Refused(f"the input {label} is given twice")
        tensors[label] = array
    names = signature.names if signature else ()
    if len(tensors) == 1 and not set(names).intersection(tensors):
        only = next(iter(tensors.values()))
        if only.ndim > 1 or len(names) <= 1:
            return Matrix(only)
    if names and (unknown := [label for label in tensors if label not in names]):
        more = ", ..." if len(names) > 10 else ""
        raise Refused(f"there is no input {unknown[0]}; the model takes {', '.join(names[:10])}{more}, or one tensor of them all")
    return Columns(tensors)


def _tensor(given: Any) -> tuple[str, Array]:
    """Check one tensor against what it says of itself, and return it with its name."""
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        raise Refused("every input must be an object with a name")
    label, datatype, shape, data = given["name"], given.get("datatype"), given.get("shape"), given.get("data")
    if "binary_data_size" in (given.get("parameters") or {}):
        raise Refused(f"input {label}: binary tensors are not supported; send data as JSON", 415)
    if datatype not in NUMPY_TYPES:
        raise Refused(f"input {label}: the datatype {datatype} is not one of {', '.join(NUMPY_TYPES)}")
    if not isinstance(shape, list) or not shape or not all(type(size) is int and size >= 0 for size in shape):
        raise Refused(f"input {label}: shape must be a list of sizes")
    if not isinstance(data, list):
        raise Refused(f"input {label}: data must be a list")
    array = _array(label, datatype, data)
    if array.size != math.prod(shape):
        raise Refused(f"input {label}: the shape {shape} takes {math.prod(shape)} values, data has {array.size}")
    return label, array.reshape(shape)


def _array(label: str, datatype: str, data: list[Any]) -> Array:
    """Return flat or nested lists as an array of the datatype; values of another kind are refused, not converted."""
    if datatype == "BYTES":
        flat: list[Any] = []
        _flatten(data, flat)
        if wrong := next((value for value in flat if not isinstance(value, str | None)), None):
            raise Refused(f"input {label}: {wrong!r} is not text, as BYTES are in JSON")
        array = np.empty(len(flat), object)
        array[:] = flat
        return array
    try:
        found = np.array(data)
        if found.dtype.kind == "O" and datatype.startswith("FP"):
            found = np.array(data, np.float64)  # null is a missing value
    except (ValueError, TypeError):
        raise Refused(f"input {label}: the lists in data differ in length, or hold something else than {datatype} values") from None
    target = np.dtype(NUMPY_TYPES[datatype])
    kinds = {"b": "b", "i": "iu", "u": "iu", "f": "iuf"}[target.kind]
    if found.size and found.dtype.kind not in kinds:
        raise Refused(f"input {label}: data holds something else than {datatype} values")
    if target.kind in "iu" and found.size and not (np.iinfo(target).min <= found.min() and found.max() <= np.iinfo(target).max):
        raise Refused(f"input {label}: a value does not fit {datatype}")
    with np.errstate(over="ignore"):
        return found.astype(target)


def _flatten(data: list[Any], into: list[Any]) -> None:
    for value in data:
        if isinstance(value, list):
            _flatten(value, into)
        else:
            into.append(value)


def _tensors(found: Any, signature: Signature | None) -> list[dict[str, Any]]:
    """Return predictions as tensors: one a column or key, or one for all."""
    specs = signature.outputs if signature else ()
    if hasattr(found, "columns"):
        return [_output(str(name), found[name].to_numpy()) for name in found.columns]
    if isinstance(found, dict):
        return [_output(str(name), np.asarray(values)) for name, values in found.items()]
    if hasattr(found, "toarray"):
        found = found.toarray()
    name = specs[0].name if len(specs) == 1 else None
    try:
        array = np.asarray(found)
    except ValueError:  # ragged: every row is a value of its own
        array = np.empty(len(found), object)
        array[:] = found
    return [_output(name or "output-0", array if array.ndim else array.reshape(1))]


def _output(name: str, array: Array) -> dict[str, Any]:
    if datatype := _NAMES.get(array.dtype.name):
        return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": array.reshape(-1).tolist()}
    flat = [value if isinstance(value, str) or value is None else dumps(plain(value)).decode() for value in array.reshape(-1).tolist()]
    return {"name": name, "datatype": "BYTES", "shape": list(array.shape), "data": flat}
