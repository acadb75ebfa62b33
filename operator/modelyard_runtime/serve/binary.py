"""The binary tensor data extension of the Open Inference Protocol: tensors as bytes after the JSON.

Source: "Binary Tensor Data Extension",
https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/protocol
"""

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from modelyard_runtime.serve.predictor import Request
from modelyard_runtime.serve.signature import NUMPY_TYPES
from modelyard_runtime.serve.values import Array, Refused

__all__ = ["EXTENSION", "HEADER", "Tail", "encoded", "parts", "size_of", "wants"]

EXTENSION = "binary_tensor_data"
"""Its name in the server's metadata."""
HEADER = b"inference-header-content-length"
_LENGTH = struct.Struct("<I")


def parts(request: Request) -> tuple[bytes | memoryview, "Tail"]:
    """Return the JSON of a request, and the bytes after it.

    Raises:
        Refused: The header Inference-Header-Content-Length is not a number of bytes of the body.

    """
    if request.head is None:
        return request.body, Tail(memoryview(b""))
    is_number = request.head.isdecimal() and len(request.head) <= 18
    if not is_number or int(request.head) > len(request.body):
        raise Refused(
            f"the header Inference-Header-Content-Length is {request.head}; it must be the number"
            f" of bytes of JSON at the start of the body, at most {len(request.body)}"
        )
    whole, head = memoryview(request.body), int(request.head)
    return whole[:head], Tail(whole[head:])


def size_of(tensor: Mapping[str, Any], label: str) -> int | None:
    """Return the number of a tensor's bytes after the JSON; None: its data are in the JSON.

    Raises:
        Refused: It is not a number.

    """
    size = parameters(tensor, label).get("binary_data_size")
    if size is not None and (type(size) is not int or size < 0):
        raise Refused(f"{label}: binary_data_size must be a number of bytes")
    return size


def wants(
    request: Mapping[str, Any], outputs: list[dict[str, Any]]
) -> tuple[bool, Mapping[str, bool]]:
    """Return whether a request asks for binary outputs by default, and for each named output.

    Raises:
        Refused: It asks for a form of output that is not supported.

    """
    usual = bool(parameters(request, "the request").get("binary_data_output", False))
    named = {}
    for output in outputs:
        given = parameters(output, str(output.get("name")))
        for other in ("classification", "shared_memory_region"):
            if given.get(other):
                raise Refused(f"output {output.get('name')}: {other} is not supported")
        named[str(output.get("name"))] = bool(given.get("binary_data", usual))
    return usual, named


def parameters(part: Mapping[str, Any], label: str) -> Mapping[str, Any]:
    """Return the parameters of a part of a request.

    Raises:
        Refused: They are not an object.

    """
    found = part.get("parameters") or {}
    if not isinstance(found, dict):
        raise Refused(f"{label}: parameters must be an object")
    return found


class Tail:
    """The bytes after the JSON: one tensor after the other, in the order of the inputs."""

    def __init__(self, left: memoryview) -> None:
        """Start at the first tensor."""
        self._left = left

    def tensor(self, label: str, datatype: str, count: int, size: int, *, text: bool) -> Array:
        """Return the next tensor, flat.

        Args:
            label: The tensor's name, for messages.
            datatype: V2's name of its type.
            count: The number of values of its shape.
            size: The number of its bytes.
            text: BYTES must be UTF-8.

        Raises:
            Refused: The bytes are not such a tensor.

        """
        if size > len(self._left):
            raise Refused(
                f"{label}: binary_data_size is {size}, but {len(self._left)} bytes are left after"
                " the JSON; the header Inference-Header-Content-Length must be the JSON's length"
            )
        raw, self._left = self._left[:size], self._left[size:]
        if datatype == "BYTES":
            return _texts(label, raw, count, text=text)
        kind = np.dtype(NUMPY_TYPES[datatype]).newbyteorder("<")
        if size != count * kind.itemsize:
            raise Refused(
                f"{label}: the shape has {count} {datatype} values of {kind.itemsize} bytes, but"
                f" binary_data_size is {size}"
            )
        if datatype == "BOOL":
            flags = np.frombuffer(raw, np.uint8)
            if flags.size and flags.max() > 1:
                raise Refused(f"{label}: a byte of BOOL must be 0 or 1")
            return flags.view(np.bool_)
        return np.frombuffer(raw, kind).astype(kind.newbyteorder("="), copy=False)

    def end(self) -> None:
        """Check that no bytes are left.

        Raises:
            Refused: There are some.

        """
        if self._left:
            raise Refused(
                f"{len(self._left)} bytes after the JSON belong to no input; give each binary input"
                " its binary_data_size"
            )


def encoded(datatype: str, array: Array) -> bytes:
    """Return a tensor's bytes. BYTES are strings or None, which becomes an empty string."""
    if datatype != "BYTES":
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    texts = [(text or "").encode() for text in array.reshape(-1).tolist()]
    return b"".join(part for text in texts for part in (_LENGTH.pack(len(text)), text))


def _texts(label: str, raw: memoryview, count: int, *, text: bool) -> Array:
    found: Array = np.empty(count if _LENGTH.size * count <= len(raw) else 0, object)
    at = 0
    try:
        for index in range(count):
            end = at + _LENGTH.size + _LENGTH.unpack_from(raw, at)[0]
            value = bytes(raw[at + _LENGTH.size : end])
            found[index] = value.decode() if text else value
            at = end
            if end > len(raw):
                break
    except UnicodeDecodeError:
        raise Refused(f"{label}: value {index} is not UTF-8") from None
    except (struct.error, IndexError):
        at = -1
    if at != len(raw):
        raise Refused(
            f"{label}: the bytes are not {count} values, each preceded by its length in four bytes"
        )
    return found
