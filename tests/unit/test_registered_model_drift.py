"""Reports of changes that others made in MLflow, with `spec.drift: Warn`."""

from __future__ import annotations

from tests.unit.builders import message, said
from tests.unit.test_registered_model_registry import aliases, holding


def test_with_warn_drift_is_reported_and_stays():
    world = holding("v1", drift="Warn")
    world.alias("production", "2")
    world.settle()
    assert aliases(world) == {"production": "2"}
    synced = world.model.status.condition("Synced")
    assert synced
    assert (synced.status, synced.reason) == ("False", "Drifted")
    assert (
        "the alias production is at version 2, which is v2, but v1 is effective (version 1)."
        in synced.message
    )
    assert (
        "Set spec.drift: Revert, which puts it back, or promote v2 to production." in synced.message
    )
    assert said(world.model.status) == "Ready Serving", "what is served is as the spec says"


def test_with_warn_a_missing_alias_is_reported():
    world = holding("v1", drift="Warn")
    world.alias("production", None)
    world.settle()
    assert "the alias production is gone, but v1 is effective. Set spec.drift: Revert" in message(
        world.model.status, "Synced"
    )
