"""Send CloudEvents to other systems, one after another, in the background."""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from modelyard.engine.backoff import backoff
from modelyard.errors import Forbidden, Invalid, Unavailable
from modelyard.plan import Manifest

__all__ = ["Counted", "Post", "Sink", "Timing"]

logger = logging.getLogger("modelyard.sink")

LENGTH = 1000
"""Maximum number of waiting CloudEvents; each is about a kilobyte."""
Counted = Callable[[str], None]
"""Called with the outcome of each CloudEvent: `delivered`, `refused` or `dropped`."""


class Post(Protocol):
    """Sends a CloudEvent."""

    async def __call__(self, event: Manifest) -> None:
        """Send one event.

        Raises:
            Invalid: The receiver refuses this event; `Forbidden` because of the credentials.
            Unavailable: Any other failure; sending it again may succeed.

        """
        ...


@dataclass(frozen=True)
class Timing:
    """Seconds.

    Attributes:
        first: Maximum wait after the first failure; it doubles with each further one.
        longest: Maximum wait, also if the receiver asks for a longer one.
        close: How long waiting events may still be sent when the process stops.

    """

    first: float = 1.0
    longest: float = 120.0
    close: float = 3.0


class Sink:
    """Accepts CloudEvents at any rate, and sends each in order until it is accepted or refused.

    When the queue is full, the oldest is dropped and counted. A receiver may get an event twice.
    """

    def __init__(
        self,
        post: Post,
        counted: Counted = lambda _: None,
        *,
        timing: Timing = Timing(),
        length: int = LENGTH,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Create a sink without events.

        Args:
            post: Sends one event.
            counted: Called with the outcome of each event.
            timing: Waits and time limits.
            length: Maximum number of waiting events.
            jitter: Returns a random number from 0 to 1.

        """
        self._post = post
        self._counted = counted
        self._timing = timing
        self._length = length
        self._jitter = jitter
        self._backlog: deque[Manifest] = deque()
        self._more = asyncio.Event()

    @property
    def waiting(self) -> int:
        """The number of waiting events, including the one that is being sent."""
        return len(self._backlog)

    def put(self, event: Manifest) -> None:
        """Queue an event; returns immediately."""
        if len(self._backlog) >= self._length:
            self._backlog.popleft()
            self._counted("dropped")
        self._backlog.append(event)
        self._more.set()

    async def run(self) -> None:
        """Send events until cancelled."""
        failures = 0
        while True:
            await self._more.wait()
            self._more.clear()
            while self._backlog:
                error = await self._send()
                if error is None:
                    failures = 0
                    continue
                failures += 1
                log = logger.warning if failures == 1 else logger.debug
                log("CloudEvents could not be sent and are retried: %s", error)
                pause = backoff(
                    failures, self._jitter, first=self._timing.first, longest=self._timing.longest
                )
                await asyncio.sleep(
                    min(self._timing.longest, max(pause, getattr(error, "retry_after", 0.0)))
                )

    async def close(self) -> None:
        """Send waiting events for up to `Timing.close` after `run` has ended; log those lost."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timing.close):
                while self._backlog and await self._send() is None:
                    pass
        for event in self._backlog:
            self._counted("dropped")
            logger.warning(
                "A CloudEvent was lost because the operator stops: %s %s",
                event["source"],
                event["id"],
            )
        self._backlog.clear()

    async def _send(self) -> Unavailable | Forbidden | None:
        """Send the oldest event; return the error if it must be retried, None if it is done."""
        event, outcome = self._backlog[0], "delivered"
        try:
            await self._post(event)
        except (Unavailable, Forbidden) as error:
            return error
        except Invalid as error:
            outcome = "refused"
            logger.warning(
                "The receiver refused a CloudEvent: %s %s: %s",
                event["source"],
                event["id"],
                error,
            )
        except Exception:  # it must not block the events after it
            outcome = "refused"
            logger.exception(
                "This is a bug: a CloudEvent was lost: %s %s", event["source"], event["id"]
            )
        # Otherwise `put` has dropped and counted the event meanwhile.
        if self._backlog and self._backlog[0] is event:
            self._backlog.popleft()
            self._counted(outcome)
        return None
