"""Small builders of what only RegisteredModel has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from modelyard.api.mlmodel import MLModel
from modelyard.registered_model.sources import Source
from tests.unit.builders import artifacts, tree


def source(version: str, text: str = "a", **more: Any) -> Source:
    """Return where a version is stored."""
    return replace(Source(artifacts(version), tree(text), MLModel("xgboost", "x: double -> long")), **more)
