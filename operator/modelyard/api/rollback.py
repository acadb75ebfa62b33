"""What a stage asks for after a switch: how long the version displaced last can come back at
once, and when it does so by itself.
"""

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from modelyard.api.base import Duration, Number, Schema, parse_duration
from modelyard.api.rules import rule, rules

__all__ = ["COUNTED", "Automatic", "Rollback", "Watch"]

COUNTED = 999_999_999_999
"""Requests that are counted at most."""


class Automatic(Schema):
    """When the version displaced last comes back by itself."""

    watch_for: Annotated[
        Duration,
        Field(
            description="How long after the switch the new version is watched, such as 15m. So"
            " long the version before it keeps its pods.",
            json_schema_extra=rules(
                rule(
                    "self.matches('^0*([6-9][0-9]|[1-9][0-9]{2,3}|[1-7][0-9]{4})s$|^0*[1-9][0-9]{0,2}m$|^0*([1-9]|1[0-9]|2[0-4])h$')",
                    "write 1m to 24h, such as 15m",
                )
            ),
        ),
    ] = "15m"
    max_error_rate: Annotated[
        Number,
        Field(
            description='Share of the requests that may fail, such as "0.05". Counted is what the pods answer: 500 and above, time-outs'
            " among them. A version within the limit is rolled back by this with a probability of at most 1 %, whatever its"
            " traffic.",
            json_schema_extra=rules(
                rule(
                    "double(self) >= 0.0001 && double(self) <= 0.5",
                    'write a share of 0.0001 to 0.5, such as "0.05"',
                )
            ),
        ),
    ] = "0.05"
    min_requests: Annotated[
        int,
        Field(
            ge=1,
            le=1_000_000,
            description="Requests that are counted before the error rate rolls back; crashes do"
            " before.",
        ),
    ] = 50

    @property
    def lasts(self) -> timedelta:
        """How long it is watched."""
        return parse_duration(self.watch_for)

    @property
    def limit(self) -> float:
        """The share of the requests that may fail."""
        return float(self.max_error_rate)


def _seconds(of: str) -> str:
    """Return a CEL expression: the seconds of a duration of few digits."""
    unit = f"{of}.endsWith('s') ? 1 : {of}.endsWith('m') ? 60 : {of}.endsWith('h') ? 3600 : 86400"
    return f"int({of}.substring(0, {of}.size() - 1)) * ({unit})"


class Rollback(Schema):
    """How the version that was displaced last comes back."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            rule(
                "!has(self.window) || !has(self.automatic) || self.window.size() > 10"
                f" || {_seconds('self.window')} >= {_seconds('self.automatic.watchFor')}",
                "write a window that is at least as long as automatic.watchFor: so long the version"
                " before keeps its pods anyway",
            )
        )
    }

    window: Annotated[
        Duration | None,
        Field(
            description="How long after the switch the version displaced last keeps its pods, such"
            " as 1h. So long it comes back at once, without `from`, gates and freezes; after"
            " it, it is promoted like any other. Absent: it keeps no pods, and may always come"
            " back without `from`, gates and freezes.",
            json_schema_extra=rules(
                rule("!self.matches('^0+[smhd]$')", "write a duration above zero, such as 1h"),
                rule(
                    "self.matches('^([0-9]{1,6}[smh]|[0-9]{1,3}d)$')",
                    "write at most 999d, or six digits and s, m or h, such as 1h",
                ),
            ),
        ),
    ] = None

    automatic: Annotated[
        Automatic | None,
        Field(
            description="Watch a new version after the switch, and go back by itself to the version"
            " before if pods of the new one crash or stop answering, or too many requests"
            " fail. The new version is rejected then; the spec stays as it is, and differs"
            " from what serves until a user changes it. Absent: nothing goes back by itself."
        ),
    ] = None

    @property
    def lasts(self) -> timedelta | None:
        """The window; None: there is none."""
        return parse_duration(self.window) if self.window is not None else None


class Watch(Schema):
    """The watch of the effective version, while it lasts."""

    since_time: Annotated[datetime, Field(description="When the stage switched to it.")]
    until_time: Annotated[datetime, Field(description="When the watch ends.")]
    displaced: Annotated[
        str | None,
        Field(
            max_length=8,
            description="Identity of what served before it, and comes back on a breach; absent:"
            " nothing did.",
        ),
    ] = None
    requests: Annotated[
        int,
        Field(
            ge=0,
            le=COUNTED,
            description="Requests that its pods answered, as far as they were counted.",
        ),
    ] = 0
    failures: Annotated[int, Field(ge=0, le=COUNTED, description="Those that failed.")] = 0
    restarts: Annotated[
        int,
        Field(
            ge=0, le=9999, description="Pods whose model server ended by itself since the switch."
        ),
    ] = 0
