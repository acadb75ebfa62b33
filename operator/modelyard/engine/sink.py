"""Telling other systems: CloudEvents, sent one after another in the background, and never at the
cost of the work.

What is worth a CloudEvent does not belong here (`Controller.announced`), nor how one is sent
(`adapters.cloud_events`).
"""

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
"""CloudEvents that wait at most; each has about a kilobyte."""
Counted = Callable[[str], None]
"""Told how each CloudEvent ended: `delivered`, `refused` or `dropped`."""


class Post(Protocol):
    """How a CloudEvent is sent."""

    async def __call__(self, event: Manifest) -> None:
        """Send one.

        Raises:
            Invalid: The receiver understood, and refuses this event; `Forbidden` because of the
                credentials.
            Unavailable: Anything else; sending it again may help.

        """
        ...


@dataclass(frozen=True)
class Timing:
    """Seconds.

    Attributes:
        first: The longest wait after a first failure; it doubles with each further one.
        longest: The longest wait, also where the receiver asks for a longer one.
        close: At the end, what waits is given so long.

    """

    first: float = 1.0
    longest: float = 120.0
    close: float = 3.0


class Sink:
    """Takes CloudEvents in at any rate, and sends them in order, each until the receiver has taken
    it or refuses it.

    What does not fit is dropped, the oldest first, and counted. A receiver may get an event twice.
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
        """Make one with nothing to send.

        Args:
            post: Sends one.
            counted: Told how each ended.
            timing: How long it waits.
            length: How many may wait.
            jitter: Where chance comes from.

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
        """How many wait, with the one that is being sent."""
        return len(self._backlog)

    def put(self, event: Manifest) -> None:
        """Take one in; returns at once."""
        if len(self._backlog) >= self._length:
            self._backlog.popleft()
            self._counted("dropped")
        self._backlog.append(event)
        self._more.set()

    async def run(self) -> None:
        """Send what comes, for ever."""
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
                log("CloudEvents wait, and are sent again: %s", error)
                pause = backoff(
                    failures, self._jitter, first=self._timing.first, longest=self._timing.longest
                )
                await asyncio.sleep(
                    min(self._timing.longest, max(pause, getattr(error, "retry_after", 0.0)))
                )

    async def close(self) -> None:
        """Send what waits while the receiver takes it, for `Timing.close`; what is left is lost,
        and logged. `run` has ended.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timing.close):
                while self._backlog and await self._send() is None:
                    pass
        for event in self._backlog:
            self._counted("dropped")
            logger.warning(
                "A CloudEvent is lost, for the operator stops: %s %s", event["source"], event["id"]
            )
        self._backlog.clear()

    async def _send(self) -> Unavailable | Forbidden | None:
        """Send the oldest; return why it has to wait, None when it has ended."""
        event, outcome = self._backlog[0], "delivered"
        try:
            await self._post(event)
        except (Unavailable, Forbidden) as error:
            return error
        except Invalid as error:
            outcome = "refused"
            logger.warning(
                "A CloudEvent was refused and is lost: %s %s: %s",
                event["source"],
                event["id"],
                error,
            )
        except Exception:  # it must not hold up those after it
            outcome = "refused"
            logger.exception(
                "This is a bug: a CloudEvent is lost: %s %s", event["source"], event["id"]
            )
        if (
            self._backlog and self._backlog[0] is event
        ):  # otherwise it was dropped meanwhile, and counted
            self._backlog.popleft()
            self._counted(outcome)
        return None
