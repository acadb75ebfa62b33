"""Re-verification of the effective version: the settings (`reverify`) and the recorded result."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from modelyard.api.base import Duration, Schema
from modelyard.api.gates import Verdict
from modelyard.api.rules import rule, rules

__all__ = ["SAID", "WAITING", "Reverify", "Verification"]

SAID = 128
"""Greatest length of the verdict's message, in characters."""
WAITING = 80
"""Greatest length of `waiting`, in characters."""

_SECONDS = (
    "int(self.substring(0, self.size() - 1)) * (self.endsWith('s') ? 1 : self.endsWith('m') ? 60 :"
    " self.endsWith('h') ? 3600 : 86400)"
)


class Reverify(Schema):
    """When the gates that judge a version itself are evaluated again for the effective version."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            rule(
                "has(self.every) || self.attempt > 0",
                "write every, such as 24h, or raise attempt (modelyard verify)",
            )
        )
    }

    every: Annotated[
        Duration | None,
        Field(
            description="Time between the end of one verification and the start of the next, such"
            " as 24h. Absent: only when `attempt` is raised.",
            json_schema_extra=rules(
                # A number of more digits does not fit a 64-bit integer.
                rule(f"self.size() > 10 || {_SECONDS} >= 600", "write at least 10m, such as 24h"),
                rule(
                    "self.size() <= 10",
                    "write a duration of at most nine digits and its unit, such as 24h",
                ),
            ),
        ),
    ] = None
    attempt: Annotated[
        int,
        Field(
            ge=0,
            le=1_000_000,
            description="Raise it to verify the effective version now (modelyard verify).",
        ),
    ] = 0


class Verification(Schema):
    """Verdict of the gates on the effective version when they were evaluated again."""

    attempt: Annotated[
        int, Field(ge=0, description="The `reverify.attempt` of the latest verification.")
    ] = 0
    start_time: Annotated[
        datetime | None, Field(description="When the latest verification began.")
    ] = None
    waiting: Annotated[
        str | None,
        Field(
            max_length=WAITING,
            description="What the current verification waits for; absent when none is running.",
        ),
    ] = None
    verdict: Annotated[
        Literal[Verdict.PASS, Verdict.FAIL] | None,
        Field(
            description="The latest verdict. Pass: every gate passes. Fail: one does not; the"
            " version keeps serving, but does not count for the `from` and `soak` of other"
            " stages."
        ),
    ] = None
    time: Annotated[datetime | None, Field(description="When the verdict was given.")] = None
    message: Annotated[str, Field(max_length=SAID, description="Why, with the figures.")] = ""

    @property
    def is_open(self) -> bool:
        """Whether a verification is running."""
        return self.waiting is not None

    @property
    def lacks_verdict(self) -> bool:
        """Whether the latest verification ended before its gates gave a verdict."""
        return self.start_time is not None and (self.time is None or self.time < self.start_time)
