"""Parse JSON as clients write it, with NaN and Infinity."""

import json
import re
from typing import Any

import orjson

from modelyard_runtime.outcome import one_line
from modelyard_runtime.serve.values import Refused

__all__ = ["decoded"]

_SUSPECT = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|u([dD][89a-fA-F])|.)", re.DOTALL)
"""An escape in a string; the group is a lone surrogate, which Python parses but cannot encode."""


def decoded(body: bytes | memoryview) -> dict[str, Any]:
    """Parse a JSON object. NaN and Infinity are accepted, because Python's clients write them.

    Raises:
        Refused: It is not a JSON object.

    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            value = json.loads(bytes(body))
            if _SUSPECT.search(body) and any(found[1] for found in _ESCAPE.finditer(body)):
                raise ValueError("half of a surrogate pair is not a character")
        except (ValueError, RecursionError) as error:
            raise Refused(f"the body is not JSON: {one_line(error)}") from None
    if not isinstance(value, dict):
        raise Refused(f"the body must be a JSON object, not {type(value).__name__}")
    return value
