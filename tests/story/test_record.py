"""The status is the record: what stands in it stays, and what serves stays while it cannot be read or written whole."""

from __future__ import annotations

from typing import Any

from modelyard.api.registered_model import RegisteredModel
from modelyard.plan import Manifest
from tests.story.model_stories import registers
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


# --- a version that is declared again -------------------------------------------------------------------
async def test_a_version_that_is_declared_again_from_another_source_stays_what_it_was():
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
    assert [version.source for version in await world.tracking.versions(f"{NAMESPACE}.fraud")] == [before["uri"]]

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


async def test_a_version_that_is_removed_from_the_spec_and_declared_again_is_compared_with_what_was_registered():
    world = World()
    world.store.put(f"{OTHER}/MLmodel", b"flavors:\n  xgboost: {}\n")
    registers(world, versions={"v2": {"uri": OTHER}}, production="v2")
    await world.run()
    assert world.serving("fraud-production") == "v2"
    declare(world)
    await world.run()
    assert world.condition("registeredmodels", "fraud") == ("True", "Serving")
    for source, named in (({"trainingRun": "run"}, "the TrainingRun run"), ({"runId": "4" * 32}, "the MLflow run 444")):
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
    assert "/the-end. Declare that under another name, and remove this one." in version.blocked.message
