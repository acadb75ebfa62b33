"""Freeze windows of a model and of the whole cluster, in which no version is promoted."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field, ValidationError

from modelyard.api.base import Duration, Schema, StageName
from modelyard.api.rules import list_type, rule, rules

__all__ = ["CALENDAR_KEY", "FREEZES", "Calendar", "Freeze", "Stop", "parse_calendar"]

FREEZES = 16
"""Greatest number of freeze windows of a model."""
CALENDAR_KEY = "calendar.json"
"""Key of the cluster's calendar in its ConfigMap."""
_WINDOWS, _SIZE = 64, 65_536
_DURATION = "^([0-9]{1,4}[smh]|[0-9]{1,3}d)$"
_FIRST, _LAST = 1900, datetime(3000, 1, 1, tzinfo=UTC)
"""Bounds within which a `datetime` can be added to and subtracted from."""
_FIELD = "[*0-9A-Za-z#]+(-[0-9A-Za-z]+)?(/[0-9]+)?"
_SCHEDULE = f"^{_FIELD}(,{_FIELD})*( +{_FIELD}(,{_FIELD})*){{4}}$"


class Freeze(Schema):
    """A recurring window in which no version is promoted."""

    schedule: Annotated[
        str,
        Field(
            max_length=100,
            description='When the window begins, as five fields of cron: "0 18 * * 5" is Fridays'
            " at 18:00.",
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
            description="Length of the window in elapsed time: 62h from Friday 18:00 end on"
            " Monday at 08:00, or at 09:00 if the clocks are set forward in between.",
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
            description="Time zone of the schedule, by its name in the IANA database, such as"
            " Europe/Berlin.",
            json_schema_extra=rules(
                rule(
                    # For a zone that it does not know, CEL returns an error, and the API server
                    # refuses the object.
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
            description="The stages to which it applies. Absent: all.",
            json_schema_extra=list_type(),
        ),
    ] = ()
    reason: Annotated[
        str,
        Field(
            min_length=1,
            max_length=100,
            description="Why, as shown in the status, such as weekend.",
        ),
    ]

    def concerns(self, stage: str) -> bool:
        """Tell whether it applies to a stage."""
        return not self.stages or stage in self.stages


def _sooner(moment: datetime) -> datetime:
    """Return a time in UTC, or `_LAST` if it is outside the range that can be calculated with."""
    return moment.astimezone(UTC) if _FIRST < moment.year < _LAST.year else _LAST


class Stop(Schema):
    """A stop of all promotions in the cluster."""

    model_config = Schema.model_config | {"extra": "forbid"}

    reason: Annotated[
        str,
        Field(
            min_length=1,
            max_length=100,
            description="Why, as shown in the status, such as incident 4711.",
        ),
    ]
    until: Annotated[AwareDatetime, AfterValidator(_sooner), Field(description="When it ends.")]

    def is_active(self, now: datetime) -> bool:
        """Tell whether it is in force."""
        return now < self.until


class Calendar(Schema):
    """The cluster's freeze windows and stop, from the chart's values."""

    model_config = Schema.model_config | {"extra": "forbid"}

    windows: Annotated[tuple[Freeze, ...], Field(max_length=_WINDOWS)] = ()
    stop: Stop | None = None


def parse_calendar(data: Mapping[str, str]) -> Calendar:
    """Read the ConfigMap with the cluster's calendar.

    Anything in it that cannot be read is an error, so that no freeze is ignored by mistake.

    Args:
        data: The ConfigMap's data.

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
