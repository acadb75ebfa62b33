"""Worlds in which the operator died between a decision and its write."""

from __future__ import annotations

from tests.unit.model_world import QUIET, World

__all__ = ["crashes"]


def crashes(world: World, each: int = 1, first: int = 0) -> list[World]:
    """Reconcile until nothing changes; return worlds in which the process died before it could
    write what it had decided.

    Args:
        each: Of this many rounds one crashed world is kept,
        first: those whose number leaves this rest.

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
