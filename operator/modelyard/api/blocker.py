"""Why something is not as its spec asks: a reason as data, from which conditions are derived."""

from typing import Annotated

from pydantic import Field

from modelyard.api.base import Condition, Schema
from modelyard.api.conditions import progressing, stalled

__all__ = ["Blocker", "blocked"]


class Blocker(Schema):
    """What stands between an object, a stage or a version and what its spec asks for."""

    reason: Annotated[str, Field(max_length=63, description="Why, as one CamelCase word; docs/conditions.md lists them.")]
    message: Annotated[str, Field(max_length=1024, description="What is the case, and what to do.")]
    needs_action: Annotated[bool, Field(description="True: it stays so until a user acts. False: it ends by itself.")] = False


def blocked(blocker: Blocker) -> tuple[Condition, ...]:
    """Return the three conditions of an object that waits: Stalled when a user has to act, else Reconciling."""
    return (stalled if blocker.needs_action else progressing)(blocker.reason, blocker.message)
