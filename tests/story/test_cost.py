"""The reads of MLflow and S3 that a story costs: a model's bytes are read once."""

from __future__ import annotations

from collections import Counter

from tests.story.test_life import fraud
from tests.story.world import World

READS = ("model", "versions", "objects", "digest")


async def test_a_model_s_bytes_are_read_once_between_the_end_of_its_training_and_its_promotion():
    world = World()
    fraud(world)
    world.promote("fraud", "production", "v1")
    await world.run()
    world.promote("fraud", "production", "v2")
    await world.run()
    assert world.serving("fraud-production") == "v2"
    assert set(Counter(call.arguments[0] for call in world.calls.named("digest")).values()) == {1}


async def test_a_promotion_reads_the_registry_once_more_after_each_of_its_own_writes():
    world = World()
    fraud(world)
    world.promote("fraud", "production", "v1")
    await world.run()
    world.calls.log.clear()
    world.promote("fraud", "production", "v2")
    await world.run()
    writes = len(world.calls.named("set_alias", "transition", "set_version_tags"))
    assert writes == 4
    cost = Counter(call.operation for call in world.calls.named(*READS))
    # At the beginning, after each write, and once more when the drained pods are deleted.
    assert (cost["model"], cost["versions"]) == (writes + 2, writes + 2)
    # Of v1 and v2 at the beginning, and of v2 alone when it is effective.
    assert (cost["objects"], cost["digest"]) == (3, 0)


async def test_a_settled_world_reads_at_most_once_per_resync():
    world = World()
    fraud(world)
    world.promote("fraud", "production", "v1")
    await world.run()
    world.calls.log.clear()
    world.patch(
        "registeredmodels",
        "fraud",
        lambda spec: spec["stages"]["production"].setdefault("serving", {}).update(replicas=2),
    )
    await world.run()
    assert len(world.calls.named("model")) == 1, "the steps of pods change neither MLflow nor S3"
