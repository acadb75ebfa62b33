"""JSON as clients write it. What it holds belongs to the protocols."""

import json
from typing import Any

import orjson

from modelyard_runtime.outcome import one_line
from modelyard_runtime.serve.values import Refused

__all__ = ["decoded"]


def decoded(body: bytes | memoryview) -> dict[str, Any]:
    """Parse a JSON object. NaN and Infinity are taken: Python's clients write them.

    Raises:
        Refused: It is none.

    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            value = json.loads(bytes(body))
        except (ValueError, RecursionError) as error:
            raise Refused(f"the body is not JSON: {one_line(error)}") from None
    if not isinstance(value, dict):
        raise Refused(f"the body must be a JSON object, not {type(value).__name__}")
    return value
