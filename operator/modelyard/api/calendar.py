"""Evaluation of freeze windows: whether one is in force, until when, and which are invalid.

A freeze begins at local time in its time zone, and its length is elapsed time, so a change of the
clocks does not make it longer or shorter. If the schedule names a local time that is skipped or
occurs twice, the freeze begins as in Debian's cron (https://manpages.debian.org/cron#DESCRIPTION):
once, right after the change.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from modelyard.api.base import parse_duration
from modelyard.api.freeze import Freeze, Stop

__all__ = ["Frozen", "frozen", "unreadable"]

_JOINED = 8
"""How many overlapping or adjacent freezes are followed."""
_CLOCKS_CHANGE = timedelta(hours=3)
"""Longer than any change of the clocks."""


@dataclass(frozen=True)
class Frozen:
    """A freeze that is in force.

    Attributes:
        reason: The reason in its spec.
        until: When promotions are possible again: the end of the last of the freezes that follow
            one another without a gap; None: too many follow.
        again: When to evaluate the freezes again.

    """

    reason: str
    until: datetime | None
    again: datetime


def frozen(freezes: Iterable[Freeze], now: datetime, stop: Stop | None = None) -> Frozen | None:
    """Return the freeze that is in force now.

    Args:
        freezes: The calendar; all entries are valid.
        now: The current time, with a time zone.
        stop: The cluster-wide stop, if any.

    """
    calendar = tuple(freezes)
    found = _in_force(calendar, stop, now)
    if found is None:
        return None
    reason, ends = found
    first = ends
    for _ in range(_JOINED):
        following = _in_force(calendar, stop, ends)
        if following is None:
            return Frozen(reason, ends, first)
        ends = following[1]
    return Frozen(reason, None, first)


def _in_force(
    calendar: tuple[Freeze, ...], stop: Stop | None, now: datetime
) -> tuple[str, datetime] | None:
    """Return reason and end of the freeze in force that ends last."""
    ends = [
        (end, each.reason)
        for each in calendar
        if (end := _end(each, now)) is not None and end > now
    ]
    if stop is not None and stop.is_active(now):
        ends.append((stop.until, stop.reason))
    latest = max(ends, default=None)
    return None if latest is None else (latest[1], latest[0])


def _end(each: Freeze, now: datetime) -> datetime | None:
    """Return the end, past or future, of the latest occurrence of a freeze."""
    lasts = parse_duration(each.duration)
    began = _began(
        each.schedule, each.time_zone, lasts, now.astimezone(UTC).replace(second=0, microsecond=0)
    )
    return None if began is None else began + lasts


@lru_cache(maxsize=4096)
def _began(schedule: str, time_zone: str, lasts: timedelta, minute: datetime) -> datetime | None:
    """Return a schedule's latest start at or before a minute, or None.

    It is None if the start is longer ago than the freeze lasts.
    """
    # In the hour that occurs twice, the local time of an earlier start can be later than that of
    # now.
    later = (minute + _CLOCKS_CHANGE).astimezone(ZoneInfo(time_zone))
    simulated = CronSim(schedule, later, reverse=True)
    # CronSim would search fifty years: skip a schedule that has no day in the relevant period.
    days = (later.date() - timedelta(days=passed) for passed in range(lasts.days + 3))
    if not any(day.month in simulated.months and simulated.match_day(day) for day in days):
        return None
    begins = (found.astimezone(UTC) for found in simulated)
    return next((found for found in begins if found <= minute), None)


@lru_cache(maxsize=1024)
def unreadable(schedule: str, time_zone: str) -> str | None:
    """Return why a schedule is invalid, or None."""
    try:
        zone = ZoneInfo(time_zone)
    except (KeyError, ValueError, OSError):  # a name that is a folder is an OSError
        return f"there is no time zone {time_zone}"
    try:
        CronSim(schedule, datetime(2000, 1, 1, tzinfo=zone))
    except CronSimError as error:
        return f'the schedule "{schedule}": {error}'
    return None
