"""The status is the record: it stays, and serving objects stay while MLflow or S3 cannot be read or
written.
"""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.api.registered_model import RegisteredModel
from modelyard.plan import Manifest
from tests.story.model_acts import registers
from tests.story.stories import MINUTE, UNAVAILABLE, answers
from tests.story.world import NAMESPACE, World

OTHER = "s3://mlflow-artifacts/risk/another-tree"


async def served(**spec: Any) -> World:
    """Return a world whose v1 is effective in production."""
    world = World()
    registers(world, production="v1", **spec)
    await world.run()
    assert world.serving("fraud-production") == "v1"
    return world


def message(world: World, type_: str = "Ready") -> str:
    conditions = world.status("registeredmodels", "fraud")["conditions"]
    return str(next(each["message"] for each in conditions if each["type"] == type_))


def declare(world: World, **versions: Manifest) -> None:
    world.patch("registeredmodels", "fraud", lambda spec: spec.update(versions=versions))


# --- a version that is declared again -------------------------------------------------------------
async def test_a_version_declared_again_from_another_source_keeps_its_record():
    world = await served()
    (before,) = world.status("registeredmodels", "fraud")["versions"]
    declare(world, v1={"uri": OTHER})
    await world.run()
    assert world.condition("registeredmodels", "fraud", "Stalled") == ("True", "VersionTaken")
    assert before["uri"] in message(world)
    assert OTHER in message(world)
    (after,) = world.status("registeredmodels", "fraud")["versions"]
    assert after.pop("blocked")["reason"] == "VersionTaken"
    assert after == before
    assert [version.source for version in await world.tracking.versions(f"{NAMESPACE}.fraud")] == [
        before["uri"]
    ]

    (deployment,) = world.cluster.all("apps/v1/Deployment")
    world.cluster.remove("apps/v1/Deployment", NAMESPACE, deployment["metadata"]["name"])
    world.promote("fraud", "staging", "v1")
    await world.run()
    assert world.serving("fraud-production") == "v1", "what serves is healed"
    assert world.serving("fraud-staging") is None, "which of the two is meant?"

    declare(world, v1={"trainingRun": "run"}, other={"uri": OTHER})
    await world.run()
    assert world.condition("registeredmodels", "fraud") == ("True", "Serving")
    assert world.serving("fraud-staging") == "v1"


async def test_a_version_that_is_removed_and_declared_again_is_compared_with_its_record():
    world = World()
    world.store.put(f"{OTHER}/MLmodel", b"flavors:\n  xgboost: {}\n")
    registers(world, versions={"v2": {"uri": OTHER}}, production="v2")
    await world.run()
    assert world.serving("fraud-production") == "v2"
    declare(world)
    await world.run()
    assert world.condition("registeredmodels", "fraud") == ("True", "Serving")
    for source, named in (
        ({"trainingRun": "run"}, "the TrainingRun run"),
        ({"runId": "4" * 32}, "the MLflow run 444"),
    ):
        declare(world, v2=source)
        await world.run()
        assert world.condition("registeredmodels", "fraud", "Stalled") == ("True", "VersionTaken")
        assert f"registered from {OTHER}" in message(world)
        assert named in message(world)
    declare(world, v2={"uri": f"{OTHER}/"})
    await world.run()
    assert world.condition("registeredmodels", "fraud") == ("True", "Serving")


async def test_the_sources_of_a_version_are_named_however_long_they_are():
    world = await served()
    long = "s3://mlflow-artifacts/risk/" + "x" * 400 + "/the-end"
    declare(world, v1={"uri": long})
    await world.run()
    (version,) = RegisteredModel.parse(world.get("registeredmodels", "fraud")).status.versions
    assert version.blocked is not None
    assert "s3://mlflow-artifacts/risk/x" in version.blocked.message
    assert (
        "/the-end. Declare that under another name, and remove this one." in version.blocked.message
    )


# --- a status that was lost -----------------------------------------------------------------------
MODEL = f"{NAMESPACE}.fraud"


def lose_the_status(world: World) -> None:
    """Put the object into the state after a restore without its status."""
    world.cluster.edit("registeredmodels", NAMESPACE, "fraud", lambda body: body.update(status={}))


def serving_objects(world: World) -> set[tuple[str, str, str]]:
    scopes = (
        "apps/v1/Deployment",
        "v1/Service",
        "policy/v1/PodDisruptionBudget",
        "apps/v1/ControllerRevision",
    )
    found = (each for scope in scopes for each in world.cluster.all(scope))
    return {(each["kind"], each["metadata"]["name"], each["metadata"]["uid"]) for each in found}


async def another_has_the_name(world: World) -> None:
    await world.tracking.set_model_tags(MODEL, {"modelyard.io/uid": "uid-of-another"}, None)


@pytest.mark.parametrize("is_lost", [False, True], ids=["status", "no-status"])
async def test_serving_objects_stay_while_another_object_has_the_name(is_lost: bool):
    world = await served()
    before = serving_objects(world)
    await another_has_the_name(world)
    if is_lost:
        lose_the_status(world)
    await world.run(6 * MINUTE)
    assert world.condition("registeredmodels", "fraud", "Stalled") == ("True", "NameTaken")
    assert serving_objects(world) == before

    world.cluster.edit("registeredmodels", NAMESPACE, "fraud", adopting)
    await world.run(6 * MINUTE)
    assert world.condition("registeredmodels", "fraud") == ("True", "Serving")
    assert serving_objects(world) == before
    assert world.status("registeredmodels", "fraud")["stages"]["production"]["version"] == "v1"


def adopting(body: Manifest) -> None:
    body["metadata"].setdefault("annotations", {})["modelyard.io/adopt"] = "true"


@pytest.mark.parametrize("is_declared", [True, False])
async def test_serving_objects_stay_though_neither_the_status_nor_mlflow_has_a_record(
    is_declared: bool,
):
    """The Deployment records which bytes it serves; the version is registered again if its source
    still has them.
    """
    world = await served()
    before = serving_objects(world)
    await world.tracking.delete_model(MODEL)
    if not is_declared:
        world.cluster.remove("trainingruns", NAMESPACE, "run")
    lose_the_status(world)
    await world.run(6 * MINUTE)
    assert serving_objects(world) == before
    status = world.status("registeredmodels", "fraud")
    assert status["stages"]["production"]["version"] == "v1"
    if is_declared:
        assert world.condition("registeredmodels", "fraud") == ("True", "Serving")
        assert [each["digest"] for each in status["versions"]] == [
            status["stages"]["production"]["digest"]
        ]
    else:
        assert world.condition("registeredmodels", "fraud", "Stalled") == ("True", "VersionUnknown")
        assert "v1 is still serving, but its record is lost" in message(world)


async def test_serving_objects_stay_though_a_tag_names_another_version():
    world = await served()
    before = serving_objects(world)
    (version,) = await world.tracking.versions(MODEL)
    await world.tracking.set_version_tags(MODEL, version.version, {"modelyard.io/stages": ""})
    world.promote("fraud", "production", "v9")
    lose_the_status(world)
    await world.run(6 * MINUTE)
    assert serving_objects(world) == before
    assert world.status("registeredmodels", "fraud")["stages"]["production"]["version"] == "v1"
    assert world.condition("registeredmodels", "fraud", "Stalled") == ("True", "VersionUnknown")


# --- more stages than a status holds --------------------------------------------------------------
STAGES = 16


def names(prefix: str) -> list[str]:
    return [f"{prefix}{number}" for number in range(STAGES)]


async def with_every_stage_held() -> World:
    world = World()
    registers(world, stages={name: {"version": "v1"} for name in names("a")})
    await world.run()
    held = world.status("registeredmodels", "fraud")["stages"]
    assert {name for name, stage in held.items() if stage["version"] == "v1"} == set(names("a"))
    return world


def rename(world: World, prefix: str) -> None:
    stages = {name: {"version": "v1"} for name in names(prefix)}
    world.patch("registeredmodels", "fraud", lambda spec: spec.update(stages=stages))


@pytest.mark.parametrize("is_down", [False, True], ids=["", "mlflow-down"])
async def test_sixteen_stages_with_versions_are_renamed_at_once(is_down: bool):
    world = await with_every_stage_held()
    if is_down:
        answers(world, UNAVAILABLE, "model", "versions")
    rename(world, "b")
    await world.run(6 * MINUTE)
    world.check_statuses()
    if is_down:
        assert {name for name in names("a") if world.serving(f"fraud-{name}") == "v1"} == set(
            names("a")
        )
        rename(world, "c")
        rename(world, "b")
        world.restart()
        await world.run(6 * MINUTE)
        world.check_statuses()
        held = world.status("registeredmodels", "fraud")["stages"]
        assert {name for name, stage in held.items() if stage.get("version")} == set(names("a")), (
            "none is forgotten"
        )
        world.calls.on_call = lambda *_: None
        await world.run(11 * MINUTE)
    world.check_statuses()
    status = world.status("registeredmodels", "fraud")
    assert world.condition("registeredmodels", "fraud") == ("True", "Serving")
    assert set(status["stages"]) == set(names("b"))
    assert {name for name in names("b") if world.serving(f"fraud-{name}") == "v1"} == set(
        names("b")
    )
    assert [name for name in names("a") if world.serving(f"fraud-{name}")] == []
    assert len(world.cluster.all("apps/v1/Deployment")) == STAGES
