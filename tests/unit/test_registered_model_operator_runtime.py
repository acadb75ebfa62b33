"""The operator's own runtime in the status: it shows users which stages a refresh would change."""

from __future__ import annotations

from modelyard.api.registered_model import OperatorRuntime, RegisteredModel
from modelyard.plan import Act, Rest
from modelyard.registered_model import build, controller
from modelyard.registered_model.decide import decider
from tests.unit.builders import NOW, RUNTIME, status_of, written
from tests.unit.model_world import World
from tests.unit.models import NEWER

CURRENT = OperatorRuntime(image=RUNTIME.image, revision=build.REVISION)


def steady() -> World:
    """Return a world in which v1 is effective in production and nothing is left to do."""
    world = World(stages={"production": {"version": "v1"}})
    world.settle()
    return world


def in_sync(model: RegisteredModel, world: World, runtime=RUNTIME) -> bool:
    return controller(runtime).in_sync(model, tuple(world.children.values()))


def test_the_status_names_the_operators_runtime():
    world = steady()
    assert world.model.status.operator_runtime == CURRENT
    assert world.model.status.stages["production"].runtime is not None
    assert CURRENT.serves(world.model.status.stages["production"].runtime)


def test_an_upgrade_costs_one_status_write_and_no_pod():
    world = steady()
    assert in_sync(world.model, world)
    assert not in_sync(world.model, world, NEWER)
    plan = decider(NEWER)(world.model, world.observed(), NOW)
    assert isinstance(plan, Rest), (
        "nothing is applied, and nothing is recorded before another round"
    )
    before, after = world.model.status, status_of(plan)
    assert after.operator_runtime == OperatorRuntime(image=NEWER.image, revision=build.REVISION)
    assert (
        after.model_copy(update={"operator_runtime": before.operator_runtime}).stages
        == before.stages
    )
    upgraded = written(world.model, plan)
    assert in_sync(upgraded, world, NEWER)
    assert written(upgraded, decider(NEWER)(upgraded, world.observed(), NOW)) == upgraded, (
        "and nothing more is written"
    )


def test_a_stage_is_refreshed_when_attempt_is_raised_after_an_upgrade():
    world = steady()
    world.runtime = NEWER
    world.settle()
    assert not isinstance(world.plan(), Act)
    stage = world.model.status.stages["production"]
    assert stage.runtime is not None
    assert not world.model.status.operator_runtime.serves(stage.runtime)
    world.patch(stages={"production": {"version": "v1", "attempt": 1}})
    world.settle()
    stage = world.model.status.stages["production"]
    assert (stage.version, stage.attempt, stage.runtime.image) == ("v1", 1, NEWER.image)
    assert world.model.status.operator_runtime.serves(stage.runtime)
    assert world.model.status.history[-1].outcome == "Refreshed"
