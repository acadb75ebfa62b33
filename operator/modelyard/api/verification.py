"""What serves, judged again: what a stage asks for (`reverify`), and what is recorded of it."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from modelyard.api.base import Duration, Schema
from modelyard.api.gates import Verdict
from modelyard.api.rules import rule, rules

__all__ = ["SAID", "WAITING", "Reverify", "Verification"]

SAID = 128
"""Characters of the last word's message."""
WAITING = 80
"""Characters of what an open round waits for."""

_SECONDS = (
    "int(self.substring(0, self.size() - 1)) * (self.endsWith('s') ? 1 : self.endsWith('m') ? 60 :"
    " self.endsWith('h') ? 3600 : 86400)"
)


class Reverify(Schema):
    """When the gates that say something of a version itself are asked again about the effective
    one.
    """

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
            description="How long after one round ended the next begins, such as 24h. Absent: only"
            " when `attempt` is raised.",
            json_schema_extra=rules(
                # A number of more digits than these is no 64-bit integer.
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
            description="Raise it to have what is effective judged now (modelyard verify).",
        ),
    ] = 0


class Verification(Schema):
    """What the gates said of the effective version when they were asked again."""

    attempt: Annotated[
        int, Field(ge=0, description="The `reverify.attempt` that the last round was begun with.")
    ] = 0
    start_time: Annotated[datetime | None, Field(description="When the last round began.")] = None
    waiting: Annotated[
        str | None,
        Field(
            max_length=WAITING,
            description="What the open round waits for; absent when none is open.",
        ),
    ] = None
    verdict: Annotated[
        Literal[Verdict.PASS, Verdict.FAIL] | None,
        Field(
            description="The last word. Pass: every gate passes. Fail: one does not; it keeps"
            " serving, and no stage takes it from here."
        ),
    ] = None
    time: Annotated[datetime | None, Field(description="When that was said.")] = None
    message: Annotated[str, Field(max_length=SAID, description="Why, with the figures.")] = ""

    @property
    def is_open(self) -> bool:
        """Whether gates are being asked."""
        return self.waiting is not None

    @property
    def lacks_word(self) -> bool:
        """Whether the last round was ended before its gates had answered."""
        return self.start_time is not None and (self.time is None or self.time < self.start_time)
