"""The V1 protocol: `{"instances": [...]}` in, `{"predictions": [...]}` out."""

import base64
from datetime import datetime
from typing import Any

import numpy as np
import orjson

from modelyard_runtime.serve.parsing import decoded
from modelyard_runtime.serve.predictor import Answer, AnswerGenerator, Predictor
from modelyard_runtime.serve.values import Columns, Matrix, Records, Refused, Table

__all__ = ["dumps", "plain", "predict", "refusal", "table"]


def refusal(message: str, _status: int) -> bytes:
    """Return an error in the format of V1 and V2."""
    return orjson.dumps({"error": message})


def predict(model: Predictor, body: bytes) -> AnswerGenerator:
    """Answer `:predict`.

    Raises:
        Refused: The input is not V1, or does not fit the signature.

    """
    found = plain((yield model.given(table(decoded(body)))))
    return Answer(dumps({"predictions": found}), rows=len(found) if isinstance(found, list) else 1)


def table(body: dict[str, Any]) -> Table:
    """Return the rows of a request.

    Raises:
        Refused: It has no rows, or they have an unknown form.

    """
    forms = [form for form in ("instances", "inputs") if form in body]
    if len(forms) != 1:
        raise Refused(
            f"the body must have instances, a list of rows; it has {', '.join(body) or 'nothing'}"
        )
    rows = body[forms[0]]
    if isinstance(rows, dict) and rows and all(isinstance(each, list) for each in rows.values()):
        return Columns(rows)
    if not isinstance(rows, list) or not rows:
        raise Refused(f"{forms[0]} must be a non-empty list of rows")
    if isinstance(rows[0], dict):
        if not all(isinstance(row, dict) for row in rows):
            raise Refused(f"{forms[0]} must be either all objects or all lists")
        return Records(rows)
    return Matrix(rows)


def plain(found: Any) -> Any:
    """Return predictions as lists, numbers, strings and objects."""
    if isinstance(found, np.ndarray | np.generic):
        return found.tolist()
    if hasattr(found, "to_dict"):  # pandas: a series is a list, a frame a list of records
        return found.to_dict(orient="records") if hasattr(found, "columns") else found.tolist()
    if hasattr(found, "toarray"):
        return found.toarray().tolist()
    if isinstance(found, dict):
        return {str(name): plain(value) for name, value in found.items()}
    return [plain(value) for value in found] if isinstance(found, list | tuple) else found


def dumps(value: Any) -> bytes:
    """Return JSON; NaN and infinity, which JSON does not have, become null."""
    return orjson.dumps(value, default=_other, option=orjson.OPT_NON_STR_KEYS)


def _other(value: Any) -> Any:
    """Convert a value that JSON does not have to one that it has."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, set | frozenset):
        return sorted(value)
    if hasattr(value, "model_dump"):
        return value.model_dump()
    raise TypeError(f"a prediction contains a {type(value).__name__}, which JSON cannot represent")
