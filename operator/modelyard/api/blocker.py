"""Why something is not as its spec asks: a reason as data, from which conditions are derived."""

from typing import Annotated

from pydantic import Field

from modelyard.api.base import Condition, Schema
from modelyard.api.conditions import progressing, stalled

__all__ = ["MESSAGE", "VERSION_MESSAGE", "Blocker", "VersionBlocker", "blocked"]

MESSAGE = 1024
"""Greatest length of a message, in characters."""
VERSION_MESSAGE = 320
"""The same for a version: a status holds those of many."""


class Blocker(Schema):
    """What stands between an object, a stage or a version and what its spec asks for."""

    reason: Annotated[str, Field(max_length=40, description="Why, as one CamelCase word; docs/conditions.md lists them.")]
    message: Annotated[str, Field(max_length=MESSAGE, description="What is the case, and what to do.")]
    needs_action: Annotated[bool, Field(description="True: it stays so until a user acts. False: it ends by itself.")] = False


class VersionBlocker(Blocker):
    """What blocks a version."""

    message: Annotated[str, Field(max_length=VERSION_MESSAGE, description="What is the case, and what to do.")]


def blocked(blocker: Blocker) -> tuple[Condition, ...]:
    """Return the three conditions of an object that waits: Stalled when a user has to act, else Reconciling."""
    return (stalled if blocker.needs_action else progressing)(blocker.reason, blocker.message)
