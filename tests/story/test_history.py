"""Stories of the record: S3 refuses, operators die between storing and recording, two write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from modelyard.api.record import folder, name
from modelyard.errors import Ambiguous, Forbidden, ModelyardError, Unavailable
from modelyard.plan import Manifest
from tests.fakes.calls import Phase
from tests.fakes.cluster import Killed
from tests.story.killed import Life, killed_after_each_write, lived
from tests.story.test_crash_anywhere import recorded, strike
from tests.story.test_gates import serves_v1
from tests.story.world import NAMESPACE, World

BLOWS: dict[str, Callable[[], ModelyardError]] = {
    "refused": lambda: Forbidden("S3", "create object", "s3://x", "the keys may not do this"),
    "away": lambda: Unavailable("S3", "create object", "s3://x", "the store cannot answer now"),
    "unclear": lambda: Ambiguous("S3", "create object", "s3://x"),
}


def refuses(world: World, blow: Callable[[], ModelyardError] | None) -> None:
    """Have S3 refuse entries of a history from now on; None: accept them again."""

    def hook(operation: str, phase: Phase) -> None:
        if blow is not None and operation == "create" and phase == "before":
            raise blow()

    world.calls.on_call = hook


def record(world: World) -> Manifest:
    found: Manifest = world.status("registeredmodels", "fraud")["record"]
    return found


def waiting(world: World) -> list[str]:
    """Return the events that report waiting entries."""
    return [
        message
        for kind, _, reason, message, _ in world.cluster.events
        if (kind, reason) == ("RegisteredModel", "RecordPending")
    ]


def listings(world: World) -> list[Any]:
    """Return the listings of records."""
    return [
        call
        for call in world.calls.named("usage", "objects")
        if "/.modelyard/" in str(call.arguments[0])
    ]


def uri(world: World, number: int) -> str:
    """Return the URI of a history entry."""
    uid = world.get("registeredmodels", "fraud")["metadata"]["uid"]
    return f"s3://{world.tenants.bucket}/{folder(NAMESPACE, uid)}{name(number)}"


@pytest.mark.parametrize("blow", BLOWS.values(), ids=BLOWS)
async def test_while_s3_refuses_entries_promotions_continue_and_all_are_stored_later(
    blow: Callable[[], ModelyardError],
):
    world = World()
    await serves_v1(world)
    refuses(world, blow)
    for version in ("v2", "v1"):
        world.promote("fraud", "production", version)
        await world.run()
        assert world.serving("fraud-production") == version
        assert world.condition("registeredmodels", "fraud") == ("True", "Serving")
        assert world.condition("registeredmodels", "fraud", "Synced") == ("False", "RecordPending")
    model = await world.tracking.model(f"{NAMESPACE}.fraud")
    assert model is not None
    assert set(model.aliases) == {"production"}
    assert (record(world)["number"], record(world)["stored"]["number"]) == (3, 1)
    assert len(waiting(world)) == 2, "once a change, and not once a try"
    refuses(world, None)
    await world.run()
    assert recorded(world) == [(1, "Promoted"), (2, "Promoted"), (3, "RolledBack")]
    assert world.condition("registeredmodels", "fraud", "Synced") == ("True", "Synced")
    world.check_statuses()


async def test_an_unreadable_object_blocks_nothing_either():
    world = World()
    await serves_v1(world)

    def hook(operation: str, phase: Phase) -> None:
        if (operation, phase) == ("read", "before"):
            raise Unavailable("S3", "read object", "s3://x", "the store cannot answer now")

    world.calls.on_call = hook
    world.promote("fraud", "production", "v2")
    await world.run()
    assert world.serving("fraud-production") == "v2"
    assert world.condition("registeredmodels", "fraud") == ("True", "Serving")
    assert world.condition("registeredmodels", "fraud", "Synced") == ("False", "RecordPending")
    refuses(world, None)
    await world.run()
    assert recorded(world) == [(1, "Promoted"), (2, "Promoted")]


async def test_a_promotion_stores_one_object_and_reads_it_twice():
    world = World()
    await serves_v1(world)
    world.calls.log.clear()
    world.promote("fraud", "production", "v2")
    await world.run()
    assert len(world.calls.named("create")) == 1
    assert [call.arguments[0] for call in world.calls.named("read")] == [uri(world, 2)] * 2, (
        "before it is stored, and after"
    )
    assert not listings(world)


async def test_a_new_model_lists_nothing_in_s3():
    world = World()
    await serves_v1(world)
    assert not listings(world)


async def test_an_operator_that_dies_between_the_object_and_the_status_stores_it_once():
    for phase in ("before", "after"):
        world = World()
        await serves_v1(world)
        strike(world, 1, phase, Killed, frozenset({"create"}))  # type: ignore[arg-type] # a Phase
        world.promote("fraud", "production", "v2")
        await world.run()
        assert world.restarts == 1
        assert recorded(world) == [(1, "Promoted"), (2, "Promoted")]


async def test_another_writer_s_object_at_an_entry_s_key_is_never_overwritten():
    world = World()
    await serves_v1(world)
    world.store.put(uri(world, 2), b'{"number": 2}')
    world.promote("fraud", "production", "v2")
    await world.run()
    assert world.serving("fraud-production") == "v2"
    assert world.condition("registeredmodels", "fraud", "Stalled") == ("True", "RecordConflict")
    assert await world.store.read(uri(world, 2), 100) == b'{"number": 2}'
    del world.store.world[world.tenants.bucket][
        uri(world, 2).partition(f"{world.tenants.bucket}/")[2]
    ]
    await world.run()
    assert world.condition("registeredmodels", "fraud") == ("True", "Serving")
    assert recorded(world) == [(1, "Promoted"), (2, "Promoted")]


async def test_of_two_writers_the_second_finds_the_entry_of_the_first():
    world = World()
    await serves_v1(world)
    content: list[bytes] = []

    def another(operation: str, phase: Phase) -> None:
        # Another operator stores the entry at the same moment, with the same bytes, which follow
        # from the status.
        if operation == "create" and phase == "before" and not content:
            content.append(world.calls.named("create")[-1].arguments[1])
            world.store.put(uri(world, 2), content[0])

    world.calls.on_call = another
    world.promote("fraud", "production", "v2")
    await world.run()
    assert content
    assert recorded(world) == [(1, "Promoted"), (2, "Promoted")]
    assert world.condition("registeredmodels", "fraud", "Synced") == ("True", "Synced")
    assert not waiting(world)


async def test_each_event_of_a_change_has_the_number_and_digest_of_its_entry():
    world = World()
    await serves_v1(world)
    world.promote("fraud", "production", "v2")
    await world.run()
    (said,) = [
        message
        for _, _, reason, message, _ in world.cluster.events
        if reason == "Promoted" and "v1 -> v2" in message
    ]
    assert said == f"production: v1 -> v2 (record 2, {record(world)['digest']})"


# --- killed after every write, with S3 down for a while
# --------------------------------------------
async def _begin(world: World) -> None:
    await serves_v1(world)
    refuses(world, BLOWS["away"])
    world.promote("fraud", "production", "v2")
    await world.run()
    refuses(world, None)


async def _live(world: World) -> None:
    world.promote("fraud", "production", "v1")
    await world.run()
    world.promote("fraud", "production", None)
    await world.run()


async def _end(world: World) -> dict[str, Any]:
    return {
        "record": recorded(world),
        "ready": world.condition("registeredmodels", "fraud"),
        "serving": world.serving("fraud-production"),
    }


async def test_an_operator_killed_after_any_write_with_entries_pending_stores_each_once():
    life = Life(live=_live, end=_end, begin=_begin)
    undisturbed = await asyncio.to_thread(lived, life)
    assert undisturbed.end["record"] == [
        (1, "Promoted"),
        (2, "Promoted"),
        (3, "RolledBack"),
        (4, "Cleared"),
    ]
    await killed_after_each_write(life, undisturbed, 0, 2)
