"""The clocks, passed as an argument."""

import time
from datetime import UTC, datetime
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """The time of day, and a monotonic clock."""

    def now(self) -> datetime:
        """Return the time of day, in UTC."""
        ...

    def time(self) -> float:
        """Return monotonic seconds, on the clock of the event loop."""
        ...


class SystemClock:
    """The system's clocks."""

    def now(self) -> datetime:
        """Return the time of day, in UTC."""
        return datetime.now(UTC)

    def time(self) -> float:
        """Return the monotonic clock, which asyncio's loop uses too."""
        return time.monotonic()
