"""The calendar of freezes: when one is in force, until when, and which cannot be read. Pure.

A freeze begins where its schedule says, on the clocks of its time zone, and lasts for hours that
pass: one that contains the night in which the clocks change is as long as any other. Where the
schedule names a time that the clocks leave out or show twice, it begins as Debian's cron would
(https://manpages.debian.org/cron#DESCRIPTION): once, right after the change.
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
"""How many freezes are followed that begin before another one has ended."""
_CLOCKS_CHANGE = timedelta(hours=3)
"""More than clocks were ever set back by."""


@dataclass(frozen=True)
class Frozen:
    """A stage in a freeze.

    Attributes:
        reason: Why, as its author wrote it.
        until: When the last of the freezes ends that follow one another without a gap; None: there
            are too many to tell.
        again: When to look again.

    """

    reason: str
    until: datetime | None
    again: datetime


def frozen(freezes: Iterable[Freeze], now: datetime, stop: Stop | None = None) -> Frozen | None:
    """Return the freeze that is in force now.

    Args:
        freezes: The calendar; it can be read.
        now: The moment, with a time zone.
        stop: Whether the line is stopped, and until when.

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
    """Return reason and end of the freeze that ends last of those that are in force."""
    ends = [
        (end, each.reason)
        for each in calendar
        if (end := _end(each, now)) is not None and end > now
    ]
    if stop is not None and stop.holds(now):
        ends.append((stop.until, stop.reason))
    latest = max(ends, default=None)
    return None if latest is None else (latest[1], latest[0])


def _end(each: Freeze, now: datetime) -> datetime | None:
    """Return the end of the freeze that began last, past or to come."""
    lasts = parse_duration(each.duration)
    began = _began(
        each.schedule, each.time_zone, lasts, now.astimezone(UTC).replace(second=0, microsecond=0)
    )
    return None if began is None else began + lasts


@lru_cache(maxsize=4096)
def _began(schedule: str, time_zone: str, lasts: timedelta, minute: datetime) -> datetime | None:
    """Return the last moment at or before a minute at which a schedule says that something
    begins; None: not within what it lasts.
    """
    # In the hour that the clocks show twice, what began in its first half is later on the clock
    # than now.
    later = (minute + _CLOCKS_CHANGE).astimezone(ZoneInfo(time_zone))
    simulated = CronSim(schedule, later, reverse=True)
    # It would search fifty years: of a schedule that has no day in the time that matters nothing is
    # asked.
    days = (later.date() - timedelta(days=passed) for passed in range(lasts.days + 3))
    if not any(day.month in simulated.months and simulated.match_day(day) for day in days):
        return None
    begins = (found.astimezone(UTC) for found in simulated)
    return next((found for found in begins if found <= minute), None)


@lru_cache(maxsize=1024)
def unreadable(schedule: str, time_zone: str) -> str | None:
    """Say why a schedule cannot be followed; None: it can."""
    try:
        zone = ZoneInfo(time_zone)
    except (KeyError, ValueError, OSError):  # a name that is a folder is an OSError
        return f"there is no time zone {time_zone}"
    try:
        CronSim(schedule, datetime(2000, 1, 1, tzinfo=zone))
    except CronSimError as error:
        return f'the schedule "{schedule}": {error}'
    return None
