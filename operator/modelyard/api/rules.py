"""CEL rules that the API server enforces, declared with the fields they apply to (decision 0004).

A rule can read only the object and its previous state. The operator checks everything else, and
reports it in conditions.
"""

from collections.abc import Iterable
from typing import Any

from modelyard.api.keys import CHARACTERS_ADVICE, KEY_LIMIT, PATH_ADVICE

__all__ = [
    "exactly_one",
    "immutable",
    "list_type",
    "metric_name",
    "mlflow_pairs",
    "mlflow_text",
    "rule",
    "rules",
]

# `api.keys` in CEL, whose \w is ASCII only; MLflow's includes letters and digits of all languages.
_CHARACTERS, _NO_PATH = r"^[\p{L}\p{Nd}_./: -]+$", r"^/|//|/$|^[.][.]|(^|/)[.]{1,2}(/|$)"
_NULL = "MLflow's database does not accept the null character (U+0000): remove it"


def rule(expression: str, message: str) -> dict[str, str]:
    """Return a validation: a CEL expression over `self` and `oldSelf`, and its message if false."""
    return {"rule": expression, "message": message}


def exactly_one(fields: Iterable[str], message: str) -> dict[str, str]:
    """Return a rule for a model: exactly one of these fields is set."""
    return rule(
        f"[{', '.join(f'has(self.{field})' for field in fields)}].filter(x, x).size() == 1", message
    )


def rules(*validations: dict[str, str]) -> dict[str, Any]:
    """Return validations as `json_schema_extra` of a field or a model."""
    return {"x-kubernetes-validations": list(validations)}


def immutable(field: str, message: str) -> dict[str, str]:
    """Return a rule for a model: an optional field cannot be set, changed or removed later."""
    return rule(
        f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} =="
        f" oldSelf.{field})",
        message,
    )


def list_type(*keys: str) -> dict[str, Any]:
    """Return the list type of a field: a map with these keys, or atomic without keys."""
    if keys:
        return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}
    return {"x-kubernetes-list-type": "atomic"}


def mlflow_pairs() -> tuple[dict[str, str], ...]:
    """Return the rules of a map that is written to MLflow as parameters or tags."""
    return (
        rule(f"self.all(key, {_characters('key')})", CHARACTERS_ADVICE),
        rule(f"self.all(key, {_path('key')})", PATH_ADVICE),
        rule(r"self.all(key, !self[key].contains('\x00'))", _NULL),
    )


def metric_name() -> tuple[dict[str, str], ...]:
    """Return the rules of a text that names a metric in MLflow."""
    return (rule(_characters("self"), CHARACTERS_ADVICE), rule(_path("self"), PATH_ADVICE))


def mlflow_text() -> dict[str, str]:
    """Return the rule of any other text that is written to MLflow."""
    return rule(r"!self.contains('\x00')", _NULL)


def _characters(key: str) -> str:
    return f"{key}.size() <= {KEY_LIMIT} && {key}.matches(r'{_CHARACTERS}')"


def _path(key: str) -> str:
    return f"!{key}.matches(r'{_NO_PATH}')"
