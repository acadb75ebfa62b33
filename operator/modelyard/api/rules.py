"""CEL as the rule book: rules that the API server enforces, written beside the fields that they speak of (decision 0004).

Rules that need anything but the object and its predecessor do not belong here; those are conditions.
"""

from typing import Any

__all__ = ["immutable", "listed", "rule", "rules"]


def rule(expression: str, message: str) -> dict[str, str]:
    """Return one validation: a CEL expression over `self` and `oldSelf`, and what to write instead when it is false."""
    return {"rule": expression, "message": message}


def rules(*validations: dict[str, str]) -> dict[str, Any]:
    """Return validations as `json_schema_extra` of a field or a model."""
    return {"x-kubernetes-validations": list(validations)}


def immutable(field: str, message: str) -> dict[str, str]:
    """Return a rule for a model: an optional field is neither set, changed nor removed after creation."""
    return rule(f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})", message)


def listed(*keys: str) -> dict[str, Any]:
    """Return the list type of a field: a map keyed by `keys`, or atomic when there are none."""
    if keys:
        return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}
    return {"x-kubernetes-list-type": "atomic"}
