"""Rollback after a switch: how long it is possible at once, and when it is automatic."""

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from modelyard.api.base import Duration, Number, Schema, parse_duration
from modelyard.api.rules import rule, rules

__all__ = ["COUNTED", "Automatic", "Rollback", "Watch"]

COUNTED = 999_999_999_999
"""Greatest number of requests that is counted."""


class Automatic(Schema):
    """When the previous version is restored automatically."""

    watch_for: Annotated[
        Duration,
        Field(
            description="How long after the switch the new version is watched, such as 15m. The"
            " previous version's pods are kept until then.",
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
            description='Share of the requests that may fail, such as "0.05". A request fails if'
            " a pod answers it with status 500 or above, which includes time-outs. A version"
            " within the limit is rolled back by this with a probability of at most 1 %, whatever"
            " its traffic.",
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
            description="Number of requests before the error rate can cause a rollback. Crashes"
            " cause one with fewer.",
        ),
    ] = 50

    @property
    def lasts(self) -> timedelta:
        """Duration of the watch."""
        return parse_duration(self.watch_for)

    @property
    def limit(self) -> float:
        """The share of the requests that may fail."""
        return float(self.max_error_rate)


def _seconds(of: str) -> str:
    """Return a CEL expression: the seconds of a duration that fits an integer."""
    unit = f"{of}.endsWith('s') ? 1 : {of}.endsWith('m') ? 60 : {of}.endsWith('h') ? 3600 : 86400"
    return f"int({of}.substring(0, {of}.size() - 1)) * ({unit})"


class Rollback(Schema):
    """How the previous version is restored."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            rule(
                "!has(self.window) || !has(self.automatic) || self.window.size() > 10"
                f" || {_seconds('self.window')} >= {_seconds('self.automatic.watchFor')}",
                "write a window that is at least as long as automatic.watchFor: the previous"
                " version keeps its pods for that time anyway",
            )
        )
    }

    window: Annotated[
        Duration | None,
        Field(
            description="How long after a switch the previous version keeps its pods, such as 1h."
            " In this time it can be restored at once, without `from`, gates and freezes; later"
            " it is promoted like any other version. Absent: its pods are deleted, and it can"
            " always be restored without `from`, gates and freezes.",
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
            description="Watch a new version after the switch, and restore the previous one"
            " automatically if pods of the new one crash or stop answering, or if too many"
            " requests fail. The new version is then rejected. The spec is not changed, so it"
            " differs from what is serving until a user changes it. Absent: no automatic"
            " rollback."
        ),
    ] = None

    @property
    def lasts(self) -> timedelta | None:
        """Length of the window, or None."""
        return parse_duration(self.window) if self.window is not None else None


class Watch(Schema):
    """The watch of the effective version, while it lasts."""

    since_time: Annotated[datetime, Field(description="When the stage switched to it.")]
    until_time: Annotated[datetime, Field(description="When the watch ends.")]
    displaced: Annotated[
        str | None,
        Field(
            max_length=8,
            description="Identity of the serving objects of the previous version, which a"
            " rollback restores; absent if there is none.",
        ),
    ] = None
    requests: Annotated[
        int,
        Field(
            ge=0,
            le=COUNTED,
            description="Number of requests that its pods answered, as far as counted.",
        ),
    ] = 0
    failures: Annotated[
        int, Field(ge=0, le=COUNTED, description="Number of those that failed.")
    ] = 0
    restarts: Annotated[
        int,
        Field(
            ge=0, le=9999, description="Number of pods whose model server crashed since the switch."
        ),
    ] = 0
