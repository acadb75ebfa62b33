"""Run a story undisturbed, then kill the operator after each of its writes: the end is the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.fakes.cluster import Killed
from tests.story.test_crash_anywhere import WRITES, strike
from tests.story.world import World

__all__ = ["Life", "Undisturbed", "killed_after_each_write", "lived", "writes"]


async def _nothing(_world: World) -> None:
    """Begin with an empty world."""


@dataclass(frozen=True)
class Life:
    """A story to live, and to kill the operator in.

    Attributes:
        live: The part in which the operator is killed.
        end: Returns the end state, without what a crash may change.
        begin: Prepares the world.

    """

    live: Callable[[World], Awaitable[None]]
    end: Callable[[World], Awaitable[dict[str, Any]]]
    begin: Callable[[World], Awaitable[None]] = _nothing


class Undisturbed(NamedTuple):
    """The end of an undisturbed life, and the range of writes that it makes."""

    end: dict[str, Any]
    first: int
    last: int


def lived(life: Life) -> Undisturbed:
    """Run the life once, undisturbed."""

    async def once() -> Undisturbed:
        world = World()
        await life.begin(world)
        first = writes(world)
        await life.live(world)
        world.check_statuses()
        return Undisturbed(await life.end(world), first, writes(world))

    return asyncio.run(once())


async def killed_after_each_write(
    life: Life, undisturbed: Undisturbed, part: int, slices: int
) -> None:
    """Run the life again for each of its writes; with `slices`, for every n-th one, from number
    `part`.
    """
    for number in range(undisturbed.first + 1 + part, undisturbed.last + 1, slices):
        world = World()
        await life.begin(world)
        strike(world, number - undisturbed.first, "after", Killed, WRITES)
        await life.live(world)
        assert world.restarts == 1
        assert await life.end(world) == undisturbed.end, (
            f"killed after write {number - undisturbed.first}"
        )


def writes(world: World) -> int:
    """Count all writes so far."""
    return len(world.calls.named(*WRITES))
