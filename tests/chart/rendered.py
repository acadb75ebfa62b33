"""Look up objects and fields in the rendered chart."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.chart.helm import (
    Manifest,
    find,
)
from tests.chart.values import SETS

every_set = pytest.mark.parametrize("values", SETS.values(), ids=SETS.keys())


def named(objects: list[Manifest], kind: str) -> list[str]:
    return sorted(each["metadata"]["name"] for each in objects if each["kind"] == kind)


def secret(objects: list[Manifest], name: str, namespace: str) -> dict[str, str]:
    return {
        key: base64.b64decode(value).decode()
        for key, value in find(objects, "Secret", name, namespace)["data"].items()
    }


def env(container: Manifest) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}
