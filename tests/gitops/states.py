"""Objects in the state of every reason, as the real engine leaves them in the stories."""

from __future__ import annotations

import asyncio
import json
import logging
from functools import cache

from modelyard.engine.engine import Options
from modelyard.plan import Manifest
from tests.story import approval_stories, model_stories, rollout_stories, run_stories
from tests.story.model_stories import registers
from tests.story.stories import TRAINER, Stories, ends
from tests.story.world import World, manifest

__all__ = ["reasons", "states"]

MORE = Stories()
"""States of which the stories show a reason only in other circumstances."""


@MORE.reaching("RegisteredModel ServingFailed")
async def a_version_is_rejected_while_another_is_effective(world: World) -> None:
    registers(world, production="v1")
    await world.run()
    world.fates["v2"] = ends(
        67, container="model", reason="LoadFailed", message="model.ubj is cut short"
    )
    world.apply(
        manifest(
            "TrainingRun",
            "second",
            experiment="fraud",
            trainer=TRAINER,
            register={"model": "fraud", "version": "v2"},
        )
    )
    world.promote("fraud", "production", "v2")
    await world.run()


KEPT = (
    "name",
    "namespace",
    "uid",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "labels",
    "annotations",
)


def _written(world: World) -> list[Manifest]:
    """Return every object with each of its written statuses, in order."""
    found = []
    for body, status in (call.arguments for call in world.calls.named("write_status")):
        metadata = {key: value for key, value in body["metadata"].items() if key in KEPT and value}
        found.append(json.loads(json.dumps(body | {"metadata": metadata, "status": status})))
    return found


async def _lived() -> list[Manifest]:
    found = []
    for story in {
        **MORE,
        **run_stories.STORIES,
        **model_stories.STORIES,
        **approval_stories.STORIES,
        **rollout_stories.STORIES,
    }.values():
        world = World(Options(deadline=story.deadline))
        await story.live(world)
        found += _written(world)
    return found


def reasons(manifest: Manifest) -> set[str]:
    """Return the reasons of an object's conditions."""
    return {condition["reason"] for condition in manifest["status"]["conditions"]}


@cache
def states() -> tuple[Manifest, ...]:
    """Return one object for each kind, reasons and messages, as the API server has it."""
    logging.disable(logging.CRITICAL)  # some stories have errors that the operator logs
    try:
        written = asyncio.run(_lived())
    finally:
        logging.disable(logging.NOTSET)
    found: dict[tuple[object, ...], Manifest] = {}
    for each in written:
        said = tuple(
            (one["type"], one["status"], one["reason"], one["message"])
            for one in each["status"]["conditions"]
        )
        found.setdefault((each["kind"], "deletionTimestamp" in each["metadata"], said), each)
    return tuple(found.values())
