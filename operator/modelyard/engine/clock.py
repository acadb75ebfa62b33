"""Time, as an argument: the only clock of the engine. What waits for it does not belong here."""

import time
from datetime import UTC, datetime
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Two clocks: one that users read, one that never jumps."""

    def now(self) -> datetime:
        """Return the time of day, in UTC."""
        ...

    def time(self) -> float:
        """Return seconds that only ever grow; the same that the event loop counts in."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """Return the time of day, in UTC."""
        return datetime.now(UTC)

    def time(self) -> float:
        """Return the monotonic clock, which asyncio's loop uses as well."""
        return time.monotonic()
