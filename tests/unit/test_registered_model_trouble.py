"""What holds of a RegisteredModel while something is wrong: whole lives in a small world."""

from dataclasses import replace

import pytest

from tests.unit.builders import MINUTE, message, said
from tests.unit.test_registered_model import decide, declared
from tests.unit.test_registered_model_registry import aliases, holding, settled
from tests.unit.test_registered_model_settles import BROKEN, LOST, World


# --- a candidate that fails -------------------------------------------------------------------------------
def test_a_version_that_cannot_be_loaded_never_takes_the_stage_and_leaves_nothing_behind():
    world = holding("v1")
    world.edit(production=BROKEN)
    world.settle()
    world.check_end()
    assert said(world.model.status) == "Stalled ServingFailed"
    assert "v1 serves on" in message(world.model.status)
    assert "It cannot be loaded." in message(world.model.status)
    assert (world.holder("production"), world.front("production"), aliases(world)) == ("v1", "v1", {"production": "1"})


def test_a_first_version_that_cannot_be_loaded_is_taken_away_too():
    world = World(stages={"production": {"version": BROKEN}})
    world.settle()
    world.check_end()
    assert "nothing is served" in message(world.model.status)
    assert [kind for kind, _ in world.children if kind != "Pod"] == []


def tried(world: World, looks: int = 30) -> int:
    """How often the broken version is brought up."""
    count = 0
    for _ in range(looks):
        plan = decide(world.model, world.seen(), world.now)
        count += any(getattr(a, "manifest", {}).get("metadata", {}).get("name") == f"fraud-production-{BROKEN}" for a in plan.actions)
        world.look()
    return count


def test_it_is_tried_once_and_again_when_the_spec_changes_whatever_changed():
    world = holding("v1")
    world.edit(production=BROKEN)
    assert tried(world) == 1
    world.now += 60 * MINUTE
    assert tried(world) == 0
    world.patch(description="Please try again.")
    assert tried(world) == 1
    assert said(world.model.status) == "Stalled ServingFailed"


def test_back_to_the_old_version_all_is_well_again():
    world = holding("v1")
    before = world.told()
    for version in (BROKEN, "v1"):
        world.edit(production=version)
        world.settle()
    assert world.told() == before
    status = world.model.status.stages["production"]
    assert (status.refused, status.refused_generation, status.started) == (None, None, None)


def test_on_to_another_version_all_is_well_too():
    world = holding("v1")
    for version in (BROKEN, "v2"):
        world.edit(production=version)
        world.settle()
    world.check_end()
    assert (said(world.model.status), world.holder("production")) == ("Ready Serving", "v2")


# --- artifacts --------------------------------------------------------------------------------------------
def test_a_version_whose_artifacts_are_gone_is_not_promoted():
    world = holding("v1")
    world.edit(production=LOST)
    world.settle()
    world.check_end()
    assert said(world.model.status) == "Stalled ArtifactMissing"
    assert world.holder("production") == "v1"


def test_a_version_that_serves_when_its_artifacts_go_serves_on_and_it_is_said():
    world = holding("v1")
    uids = {name: child["metadata"]["uid"] for name, child in world.children.items()}
    gone = replace(world.seen(), bytes={"v1": None})
    plan = decide(world.model, gone, world.now)
    assert (plan.actions, said(plan)) == ((), "Stalled ArtifactMissing")
    assert "v1 serves on" in message(plan)
    assert plan.again is not None
    del world.children["Deployment", "fraud-production-v1"]
    refused = decide(world.model, replace(world.seen(), bytes={"v1": None}), world.now)
    assert refused.actions == (), "what has no bytes is not started anew"
    assert {name: child["metadata"]["uid"] for name, child in world.children.items()}.items() <= uids.items()


def test_a_version_that_serves_when_mlflow_loses_it_serves_on_and_it_is_said():
    world = settled(stages={"production": {"version": "v1"}})
    world.patch(versions=declared("v2", "v3", "v4"))
    del world.versions["1"]
    world.alias("production", None)
    world.settle()
    assert said(world.model.status) == "Stalled VersionUnknown"
    assert world.front("production") == "v1"
    assert ("Deployment", "fraud-production-v1") in world.children


# --- MLflow away ------------------------------------------------------------------------------------------
def test_while_mlflow_is_away_what_serves_is_looked_after_and_ready():
    world = holding("v1")
    world.away = True
    world.settle()
    assert said(world.model.status) == "Ready Serving"
    del world.children["Deployment", "fraud-production-v1"]
    world.settle()
    assert ("Deployment", "fraud-production-v1") in world.children
    assert said(world.model.status) == "Ready Serving"


@pytest.mark.parametrize("looks", range(9))
def test_while_mlflow_is_away_a_new_version_comes_up_and_takes_nothing(looks: int):
    """At whatever point of the promotion it went away."""
    world = holding("v1")
    world.edit(production="v2")
    for _ in range(looks):
        if world.holder("production") == "v2":
            break
        world.look()
    held = world.holder("production")
    world.away = True
    world.settle()
    assert (world.holder("production"), world.front("production")) == (held, held)
    assert said(world.model.status) == ("Ready Serving" if held == "v2" else "Reconciling MLflowUnavailable")
    world.away = False
    world.settle()
    world.check_end()
    assert world.holder("production") == "v2"
