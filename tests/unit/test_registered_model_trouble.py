"""A RegisteredModel while something is wrong: whole life cycles in a small world."""

import pytest

from tests.unit.builders import MINUTE, artifacts, message, said
from tests.unit.model_world import BROKEN, LOST, World, identity
from tests.unit.models import declared
from tests.unit.test_registered_model_registry import aliases, holding, settled


# --- a candidate that fails -----------------------------------------------------------------------
def test_a_version_that_cannot_be_loaded_never_becomes_effective_and_leaves_nothing_behind():
    world = holding("v1")
    world.edit(production=BROKEN)
    world.settle()
    world.check_end()
    assert said(world.model.status) == "Stalled ServingFailed"
    assert "v1 is still serving" in message(world.model.status)
    assert "It cannot be loaded." in message(world.model.status)
    assert (world.effective("production"), world.front("production"), aliases(world)) == (
        "v1",
        "v1",
        {"production": "1"},
    )


def test_a_first_version_that_cannot_be_loaded_is_deleted_too():
    world = World(stages={"production": {"version": BROKEN}})
    world.settle()
    world.check_end()
    assert "nothing is serving" in message(world.model.status)
    assert [kind for kind, _ in world.children if kind != "Pod"] == []


def tried(world: World, rounds: int = 30) -> int:
    """Return how often the broken version was started."""
    before = len(world.done)
    for _ in range(rounds):
        world.look()
    manifests = [action.manifest for action in world.done[before:] if hasattr(action, "manifest")]
    return sum(
        each["kind"] == "Deployment"
        and each["metadata"]["labels"]["modelyard.io/version"] == BROKEN
        for each in manifests
    )


def test_it_is_tried_once_and_again_when_attempt_is_raised_or_the_stage_changes():
    world = holding("v1")
    world.edit(production=BROKEN)
    assert tried(world) == 1
    world.now += 60 * MINUTE
    assert tried(world) == 0
    world.patch(description="A change elsewhere is none.")
    assert tried(world) == 0
    world.refresh("production")
    assert tried(world) == 1
    world.edit(production={"serving": {"runtime": {"workers": 2}}})
    assert tried(world) == 1
    world.upgrade()
    assert tried(world) == 1, "another runtime may load it"
    assert said(world.model.status) == "Stalled ServingFailed"


def test_going_back_to_the_stable_version_settles():
    world = holding("v1")
    (history, *before), uids = world.told(), world.uids()
    for version in (BROKEN, "v1"):
        world.edit(production=version)
        world.settle()
    assert world.told() == ([*history, ("production", "v1", BROKEN, "Rejected")], *before)
    assert world.uids() == uids
    status = world.status("production")
    assert (status.candidate, status.blocked, status.start_time) == (None, None, None)


def test_going_on_to_another_version_settles_too():
    world = holding("v1")
    for version in (BROKEN, "v2"):
        world.edit(production=version)
        world.settle()
    world.check_end()
    assert (said(world.model.status), world.effective("production")) == ("Ready Serving", "v2")


# --- artifacts ------------------------------------------------------------------------------------
def test_a_version_whose_artifacts_are_missing_is_not_promoted():
    world = holding("v1")
    world.edit(production=LOST)
    world.settle()
    world.check_end()
    assert said(world.model.status) == "Stalled ArtifactMissing"
    assert world.effective("production") == "v1"


def test_a_version_whose_artifacts_are_deleted_is_still_serving_and_reports_it():
    world = holding("v1")
    uids = world.uids()
    kept = world.stored.pop(artifacts("v1"))
    world.settle()
    assert said(world.model.status) == "Stalled ArtifactMissing"
    assert "v1 is still serving" in message(world.model.status)
    assert world.uids() == uids
    (there,) = world.of_kind("Deployment")
    del world.children["Deployment", there["metadata"]["name"]]
    world.settle()
    assert world.of_kind("Deployment") == [], "what has no bytes is not started"
    world.stored[artifacts("v1")] = kept
    world.settle()
    world.check_end()
    assert [identity(each) for each in world.of_kind("Deployment")] == [identity(there)]


def test_a_version_that_mlflow_loses_is_registered_again_though_nothing_declares_it():
    world = settled(stages={"production": {"version": "v1"}})
    world.patch(versions=declared("v2", "v3", "v4"))
    uids = world.uids()
    del world.versions["1"]
    world.alias("production", None)
    world.settle()
    world.check_end()
    assert world.uids() == uids
    assert world.number("v1") == "5"


# --- MLflow away ----------------------------------------------------------------------------------
def test_while_mlflow_is_down_serving_objects_are_restored_and_ready():
    world = holding("v1")
    world.away = "MLflow"
    world.settle()
    assert said(world.model.status) == "Ready Serving"
    (there,) = world.of_kind("Deployment")
    del world.children["Deployment", there["metadata"]["name"]]
    world.settle()
    assert [identity(each) for each in world.of_kind("Deployment")] == [identity(there)]
    assert said(world.model.status) == "Ready Serving"


@pytest.mark.parametrize("away", ["MLflow", "S3"])
@pytest.mark.parametrize("looks", range(12))
def test_while_a_dependency_is_down_a_new_version_starts_and_nothing_switches(
    looks: int, away: str
):
    """At any point of the promotion."""
    world = holding("v1")
    world.edit(production="v2")
    for _ in range(looks):
        if world.effective("production") == "v2":
            break
        world.look()
    held = world.front("production")
    world.away = away
    world.settle()
    assert (world.effective("production"), world.front("production")) == (held, held), (
        "a switch that was made is recorded"
    )
    assert said(world.model.status) == (
        "Ready Serving"
        if held == "v2"
        else f"Reconciling {'MLflow' if away == 'MLflow' else 'Store'}Unavailable"
    )
    world.away = ""
    world.settle()
    world.check_end()
    assert world.effective("production") == "v2"
