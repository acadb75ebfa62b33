"""Worlds in which the operator died between a decision and its write."""

from __future__ import annotations

from tests.unit.model_world import QUIET, World

__all__ = ["crashes"]


def crashes(world: World, each: int = 1, first: int = 0) -> list[World]:
    """Reconcile until nothing changes; return worlds in which the process died before it could
    write what it had decided.

    Args:
        each: Keep one crashed world of this many rounds,
        first: those whose round number has this remainder.

    """
    found, quiet = [], 0
    while quiet < QUIET:
        crashed, before = world.fork(), world.model
        quiet = 0 if world.look() else quiet + 1
        crashed.look()
        crashed.model = before.model_copy(update={"metadata": crashed.model.metadata})
        crashed.last = (None, 0)
        found += [crashed] if world.rounds % each == first else []
    return found
