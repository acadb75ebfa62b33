"""The sum of all bounds of a status: an object in etcd has 1.5 MiB at most, and each status write
sends all of it.
"""

import json
from typing import Any

import pytest

from modelyard.api.schema import KINDS, crd
from modelyard.api.training_status import PARAMETER_NAME

LIMIT = 512 * 1024
CRD_LIMIT = 200 * 1000
NAME, TIME, INTEGER, BOOLEAN = 63, 20, 19, 5
"""The longest key of a map, a moment as the operator writes it, a 64-bit number, `false`."""


KEYS = {"parameters": PARAMETER_NAME}
"""Maps with longer keys; a schema cannot bound them, so the operator does."""


def largest(node: dict[str, Any], field: str = "") -> int:
    """Return the greatest number of bytes of a value of this schema as JSON, with letters that take
    one byte.
    """
    if "enum" in node:
        return max(len(str(value)) for value in node["enum"]) + 2
    match node["type"]:
        case "string":
            return (TIME if node.get("format") == "date-time" else int(node["maxLength"])) + 2
        case "integer":
            return len(str(node["maximum"])) if "maximum" in node else INTEGER
        case "boolean":
            return BOOLEAN
        case "array":
            return 2 + int(node["maxItems"]) * (1 + largest(node["items"]))
        case "object":
            named = sum(
                len(name) + 4 + largest(child, name)
                for name, child in node.get("properties", {}).items()
            )
            entry = node.get("additionalProperties")
            return (
                2
                + named
                + (
                    int(node["maxProperties"]) * (KEYS.get(field, NAME) + 4 + largest(entry))
                    if entry
                    else 0
                )
            )
    raise AssertionError(node)


def status_of(kind: Any) -> dict[str, Any]:
    """Return the schema of a kind's status."""
    found: dict[str, Any] = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"][
        "properties"
    ]["status"]
    return found


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.resource.PLURAL)
def test_a_status_that_fills_all_its_bounds_is_small_enough(kind: Any):
    assert largest(status_of(kind)) < LIMIT


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.resource.PLURAL)
def test_a_crd_is_small_enough(kind: Any):
    assert len(json.dumps(crd(kind))) < CRD_LIMIT


def test_the_sum_counts_every_bound():
    assert largest({"type": "integer", "maximum": 9999}) == 4
    item = {
        "type": "object",
        "properties": {"a": {"type": "string", "maxLength": 10}, "b": {"type": "integer"}},
    }
    assert largest(item) == 2 + (1 + 4 + 12) + (1 + 4 + INTEGER)
    assert largest({"type": "array", "maxItems": 3, "items": {"type": "boolean"}}) == 2 + 3 * 6
    assert largest(
        {"type": "object", "maxProperties": 2, "additionalProperties": {"type": "boolean"}}
    ) == 2 + 2 * (NAME + 4 + BOOLEAN)
    parameters = {"type": "object", "maxProperties": 2, "additionalProperties": {"type": "boolean"}}
    assert largest(
        {"type": "object", "properties": {"parameters": parameters}}
    ) == 2 + 10 + 4 + 2 + 2 * (250 + 4 + BOOLEAN)
    with pytest.raises(KeyError):
        largest({"type": "string"})
