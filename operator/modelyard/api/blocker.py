"""A blocker: why something is not as its spec asks, as data from which conditions are derived."""

from typing import Annotated, ClassVar, Self

from pydantic import Field

from modelyard.api.base import Condition, Schema
from modelyard.api.conditions import progressing, stalled

__all__ = ["Blocker", "VersionBlocker", "blocked"]


class Blocker(Schema):
    """Why an object, a stage or a version is not as its spec asks."""

    LIMIT: ClassVar[int] = 1024
    """Greatest length of the message, in characters."""

    reason: Annotated[
        str,
        Field(
            max_length=40, description="Why, as one CamelCase word; docs/conditions.md lists them."
        ),
    ]
    message: Annotated[
        str, Field(max_length=LIMIT, description="What is the case, and what to do.")
    ]
    needs_action: Annotated[
        bool, Field(description="True: a user must act. False: it is resolved automatically.")
    ] = False

    @classmethod
    def of(cls, reason: str, message: str, *, needs_action: bool = False) -> Self:
        """Return a blocker, with its message cut to `LIMIT` characters.

        Messages quote names and errors of any length, so decisions create blockers with this.
        """
        return cls(reason=reason, message=message[: cls.LIMIT], needs_action=needs_action)


class VersionBlocker(Blocker):
    """Why a version is blocked."""

    LIMIT: ClassVar[int] = 320  # a status holds those of many versions

    message: Annotated[
        str, Field(max_length=LIMIT, description="What is the case, and what to do.")
    ]


def blocked(blocker: Blocker) -> tuple[Condition, ...]:
    """Return the three conditions for a blocker: Stalled if a user must act, else Reconciling."""
    return (stalled if blocker.needs_action else progressing)(blocker.reason, blocker.message)
