"""A clock that only a test advances."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from modelyard.engine.engine import Engine

__all__ = ["FakeClock", "settle"]

_HOT = 2000


class FakeClock:
    """Both clocks of `modelyard.engine.clock.Clock`, in step."""

    def __init__(self, begin: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._begin = begin
        self._seconds = 0.0

    def now(self) -> datetime:
        return self._begin + timedelta(seconds=self._seconds)

    def time(self) -> float:
        return self._seconds

    def advance(self, by: timedelta | float) -> None:
        """Advance the clock; a number is seconds."""
        self._seconds += by.total_seconds() if isinstance(by, timedelta) else by


async def settle(engine: Engine, clock: FakeClock, within: timedelta = timedelta()) -> int:
    """Reconcile everything that is due `within` a time, advancing the clock; return the number."""
    end = clock.time() + within.total_seconds()
    passes = 0
    while True:
        while (step := await engine.step()) is not None:
            passes += 1
            assert passes < _HOT, f"{step[0]} never comes to rest"
        await engine.recorder.flush()
        next_time = engine.next_time
        if next_time is None or next_time > end:
            return passes
        clock.advance(max(0.0, next_time - clock.time()))
