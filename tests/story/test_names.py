"""A waiting version name belongs to the first declaration, whichever run finishes first."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.plan import Manifest
from tests.story.stories import TRAINER, UNAVAILABLE, answers, ends
from tests.story.world import NAMESPACE, World, manifest

FRAUD = {"model": "fraud", "version": "v2"}


def model(world: World, **spec: Any) -> None:
    """Apply the Experiment, and the model whose production waits for v2."""
    stages = {"production": {"version": "v2"}}
    world.apply(
        manifest("Experiment", "fraud"),
        manifest("RegisteredModel", "fraud", **{"stages": stages} | spec),
    )


def run(name: str, *, suspend: bool = False, register: dict[str, str] | None = FRAUD) -> Manifest:
    registers = {"register": register} if register else {}
    return manifest(
        "TrainingRun", name, experiment="fraud", trainer=TRAINER, suspend=suspend, **registers
    )


def notebook(world: World, name: str) -> Manifest:
    """Apply a run that trains elsewhere and finishes at once."""
    world.notebooks[name] = ["well"]
    return manifest(
        "TrainingRun", name, experiment="fraud", trainer={"external": {}}, register=FRAUD
    )


def version(world: World) -> Manifest:
    (found,) = world.status("registeredmodels", "fraud")["versions"]
    return dict(found)


def served(world: World) -> str | None:
    """Return the TrainingRun whose model serves production; None when nothing does."""
    stage = world.status("registeredmodels", "fraud")["stages"]["production"]
    return version(world)["trainingRun"] if stage.get("version") == "v2" else None


def resume(world: World, name: str) -> None:
    world.patch("trainingruns", name, lambda spec: spec.update(suspend=False))


def message(world: World, plural: str, name: str) -> str:
    found = (each for each in world.status(plural, name)["conditions"] if each["type"] == "Stalled")
    return str(next(found)["message"])


async def test_the_first_declaration_gets_into_production_not_the_first_finished_one():
    world = World()
    model(world)
    world.apply(run("legit", suspend=True))
    await world.run()
    world.apply(notebook(world, "evil"))
    await world.run()
    assert served(world) is None
    assert world.condition("trainingruns", "evil") == ("False", "VersionHeld")
    uid = world.get("trainingruns", "legit")["metadata"]["uid"]
    assert f"held by the TrainingRun legit (uid {uid})" in message(world, "trainingruns", "evil")
    assert version(world)["heldBy"] == uid
    resume(world, "legit")
    await world.run()
    assert served(world) == "legit"
    assert world.condition("trainingruns", "evil") == ("False", "VersionTaken")


async def test_a_failed_run_frees_the_name_for_the_next():
    world = World()
    model(world)
    world.fates["legit"] = ends(1)
    world.apply(run("legit", suspend=True))
    await world.run()
    world.apply(notebook(world, "next"))
    await world.run()
    assert served(world) is None
    resume(world, "legit")
    await world.run()
    assert served(world) == "next"
    assert world.condition("trainingruns", "next") == ("True", "Succeeded")


@pytest.mark.parametrize("declared", [False, True], ids=["registers", "is named"])
async def test_a_training_run_of_the_same_name_is_another(*, declared: bool):
    """The run that declared v2 is deleted while it trains, and another is created under its
    name.
    """
    world = World()
    model(world, **({"versions": {"v2": {"trainingRun": "legit"}}} if declared else {}))
    world.apply(run("legit", suspend=True, register=None if declared else FRAUD))
    await world.run()
    world.cluster.remove("trainingruns", NAMESPACE, "legit")
    await world.run()
    world.apply(run("legit", register=None if declared else FRAUD))
    await world.run()
    await released(world)
    assert served(world) == "legit"


async def released(world: World) -> None:
    """Check that nothing serves, that the model and its runs name the holder, and that clearing and
    setting the stage frees the name.
    """
    assert served(world) is None
    assert world.condition("registeredmodels", "fraud") == ("False", "VersionHeld")
    assert "set production to another version or none, then to v2 again" in message(
        world, "registeredmodels", "fraud"
    )
    world.promote("fraud", "production", None)
    await world.run()
    world.promote("fraud", "production", "v2")
    await world.run()


async def test_a_version_that_is_removed_and_declared_again_is_another():
    world = World()
    model(world, versions={"v2": {"uri": "s3://mlflow-artifacts/risk/agreed"}})
    await world.run()
    assert world.condition("registeredmodels", "fraud") == ("False", "ArtifactMissing")
    other = "s3://mlflow-artifacts/risk/other"
    world.store.put(f"{other}/MLmodel", b"flavors: {xgboost: {}}\n")
    world.patch("registeredmodels", "fraud", lambda spec: spec.update(versions={}))
    await world.run()
    world.patch(
        "registeredmodels", "fraud", lambda spec: spec.update(versions={"v2": {"uri": other}})
    )
    await world.run()
    assert "a declaration of s3://mlflow-artifacts/risk/agreed" in message(
        world, "registeredmodels", "fraud"
    )
    await released(world)
    assert version(world)["uri"] == other
    assert world.status("registeredmodels", "fraud")["stages"]["production"]["version"] == "v2"


async def test_a_name_that_no_stage_wants_is_free_when_its_holder_is_deleted():
    world = World()
    model(world, stages={})
    world.apply(run("legit", suspend=True))
    await world.run()
    world.cluster.remove("trainingruns", NAMESPACE, "legit")
    world.apply(run("again"))
    await world.run()
    assert (version(world)["trainingRun"], world.condition("trainingruns", "again")) == (
        "again",
        ("True", "Succeeded"),
    )


async def test_the_first_holder_is_recorded_while_mlflow_is_down():
    world = World()
    model(world)
    await world.run()
    answers(world, UNAVAILABLE, "model", "versions")
    world.apply(run("legit", suspend=True))
    await world.run()
    world.cluster.remove("trainingruns", NAMESPACE, "legit")
    await world.run()
    world.apply(notebook(world, "evil"))
    await world.run()
    answers(world, UNAVAILABLE)
    await world.run()
    assert served(world) is None
    assert world.condition("registeredmodels", "fraud") == ("False", "VersionHeld")


@pytest.mark.parametrize(
    ("name", "stage", "other"),
    [
        ("fraud", "eu-canary", "fraud-eu"),
        ("f" * 40, "b" * 20 + "-canary", f"{'f' * 40}-{'b' * 20}"),
    ],
    ids=["short", "shortened"],
)
async def test_of_two_stages_with_one_address_the_second_starts_no_pods(
    name: str, stage: str, other: str
):
    world = World()
    first = {"stages": {stage: {"version": "v1"}}, "versions": {"v1": {"trainingRun": "run"}}}
    second = {"stages": {"canary": {"version": "v2"}}, "versions": {"v2": {"trainingRun": "run"}}}
    world.apply(
        manifest("Experiment", "fraud"),
        run("run", register=None),
        manifest("RegisteredModel", name, **first),
    )
    world.apply(manifest("RegisteredModel", other, **second))
    await world.run()
    assert world.condition("registeredmodels", name) == ("True", "Serving")
    assert world.condition("registeredmodels", other) == ("False", "RequestRefused")
    assert (
        f"is the address of a stage of the RegisteredModel {name}; no pods are started"
        in message(world, "registeredmodels", other)
    )
    uid = world.get("registeredmodels", other)["metadata"]["uid"]
    assert not world.cluster.owned(uid)
    world.patch("registeredmodels", name, lambda spec: spec.update(stages={}))
    await world.run()
    assert world.condition("registeredmodels", other) == ("True", "Serving")
