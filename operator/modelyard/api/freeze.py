"""Freezes: times in which no version takes a stage, of one model and of a whole cluster."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field, ValidationError

from modelyard.api.base import Duration, Schema
from modelyard.api.gates import StageName
from modelyard.api.rules import listed, rule, rules

__all__ = ["CALENDAR_KEY", "FREEZES", "Calendar", "Freeze", "Stop", "parse_calendar"]

FREEZES = 16
"""How many freezes a calendar has."""
CALENDAR_KEY = "calendar.json"
"""The key of the ConfigMap that has the cluster's calendar."""
_WINDOWS, _SIZE = 64, 65_536
_DURATION = "^([0-9]{1,4}[smh]|[0-9]{1,3}d)$"
_FIRST, _LAST = 1900, datetime(3000, 1, 1, tzinfo=UTC)
"""Years that a calendar can be counted with on both sides."""
_FIELD = "[*0-9A-Za-z#]+(-[0-9A-Za-z]+)?(/[0-9]+)?"
_SCHEDULE = f"^{_FIELD}(,{_FIELD})*( +{_FIELD}(,{_FIELD})*){{4}}$"


class Freeze(Schema):
    """A time that comes again and again, in which no version takes a stage."""

    schedule: Annotated[
        str,
        Field(
            max_length=100,
            description='When it begins, as five fields of cron: "0 18 * * 5" is Fridays at 18:00.',
            json_schema_extra=rules(
                rule(
                    f"self.matches('{_SCHEDULE}')",
                    "write five fields of cron (minute, hour, day of the month, month, day of the"
                    ' week), such as "0 18 * * 5"',
                )
            ),
        ),
    ]
    duration: Annotated[
        Duration,
        Field(
            description="How long it lasts from then, in hours that pass: 62h from Friday 18:00 is"
            " Monday 08:00, or 09:00 where the clocks are set forward in between.",
            json_schema_extra=rules(
                rule("!self.matches('^0+[smhd]$')", "write a duration above zero, such as 62h"),
                rule(
                    f"self.matches('{_DURATION}')",
                    "write at most 999d, or four digits and s, m or h, such as 62h",
                ),
            ),
        ),
    ]
    time_zone: Annotated[
        str,
        Field(
            max_length=64,
            description="Time zone of the schedule, as the IANA database names it, such as"
            " Europe/Berlin.",
            json_schema_extra=rules(
                rule(
                    # Of a zone that it does not know CEL says so by an error, which is a refusal.
                    "self.matches('^[A-Za-z][A-Za-z0-9_+/-]*$') &&"
                    " timestamp('2000-01-01T00:00:00Z').getFullYear(self) > 0",
                    "write a time zone of the IANA database, such as Europe/Berlin",
                )
            ),
        ),
    ] = "UTC"
    stages: Annotated[
        tuple[StageName, ...],
        Field(
            max_length=16,
            description="The stages that it is for; all of them if absent.",
            json_schema_extra=listed(),
        ),
    ] = ()
    reason: Annotated[
        str,
        Field(
            min_length=1, max_length=100, description="Why, as the status says it, such as weekend."
        ),
    ]

    def concerns(self, stage: str) -> bool:
        """Tell whether it is for a stage."""
        return not self.stages or stage in self.stages


def _sooner(moment: datetime) -> datetime:
    """Return the moment in UTC; one that is too late for a calendar to add to is the last that
    is not.
    """
    return moment.astimezone(UTC) if _FIRST < moment.year < _LAST.year else _LAST


class Stop(Schema):
    """No version takes any stage of the cluster."""

    model_config = Schema.model_config | {"extra": "forbid"}

    reason: Annotated[
        str,
        Field(
            min_length=1,
            max_length=100,
            description="Why, as the status says it, such as incident 4711.",
        ),
    ]
    until: Annotated[
        AwareDatetime, AfterValidator(_sooner), Field(description="When it ends by itself.")
    ]

    def holds(self, now: datetime) -> bool:
        """Tell whether it is in force."""
        return now < self.until


class Calendar(Schema):
    """The freezes of a whole cluster, as its administrator wrote them into the chart's values."""

    model_config = Schema.model_config | {"extra": "forbid"}

    windows: Annotated[tuple[Freeze, ...], Field(max_length=_WINDOWS)] = ()
    stop: Stop | None = None


def parse_calendar(data: Mapping[str, str]) -> Calendar:
    """Read the ConfigMap with the cluster's calendar.

    Whatever it says that is not understood is no freeze less, but an error.

    Args:
        data: Its data.

    Raises:
        ValueError: It cannot be read; the message says where.

    """
    if CALENDAR_KEY not in data:
        raise ValueError(f"it has no key {CALENDAR_KEY}")
    text = data[CALENDAR_KEY]
    if len(text) > _SIZE:
        raise ValueError(f"{CALENDAR_KEY} has more than {_SIZE} characters")
    try:
        given = json.loads(text)
        found = Calendar.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except RecursionError:
        raise ValueError(f"{CALENDAR_KEY} is nested too deeply") from None
    fields = {field.alias or name for name, field in Freeze.model_fields.items()}
    for window, written in zip(found.windows, given.get("windows", ()), strict=True):
        if unknown := written.keys() - fields:
            raise ValueError(f"a freeze has no field {min(unknown)}")
        if not re.fullmatch(_DURATION, window.duration):
            raise ValueError(
                f"the duration {window.duration}: write at most 999d or four digits and s, m or h"
            )
    return found
