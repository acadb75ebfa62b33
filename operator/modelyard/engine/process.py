"""One process's life: serve its health, stand by, take up the work, keep at it, stop in good
order. The work itself is the engine's.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from modelyard.engine.engine import Engine
from modelyard.engine.health import Health
from modelyard.engine.lease import Election
from modelyard.engine.metrics import Metrics
from modelyard.engine.sink import Sink
from modelyard.errors import ModelyardError

__all__ = ["Parts", "Process", "Watching"]

logger = logging.getLogger("modelyard")

_LOOK_AGAIN = 5.0


class Watching(Protocol):
    """A watch that runs for ever."""

    synced: asyncio.Event
    """Set when the first list is whole."""

    async def run(self) -> None:
        """Watch, for ever."""
        ...


@dataclass(frozen=True)
class Parts:
    """What a process is made of.

    Attributes:
        engine: Does the work.
        watches: Tell the cache of children.
        unserved: Returns which of our kinds the API server does not serve.
        kopf: Tells the cache of our own kinds until the event is set; given a function that takes
            the process's signals back.
        election: Who works; None: we do.
        policies: Returns why an admission policy is not in force, by its name; None for one that
            is.
        metrics: Where it is counted.
        sink: Sends CloudEvents; None: nobody is told.
        audit: Seconds between two comparisons with the API server's own list, at least: many
            objects are compared more rarely.
        drain: Seconds that work under way is given to end.

    """

    engine: Engine
    watches: Sequence[Watching]
    unserved: Callable[[], Awaitable[tuple[str, ...]]]
    kopf: Callable[[asyncio.Event, Callable[[], None]], Awaitable[None]]
    election: Election | None
    policies: Callable[[], Awaitable[Mapping[str, str | None]]]
    metrics: Metrics
    sink: Sink | None
    audit: float
    drain: float


class Process:
    """Runs once."""

    def __init__(self, parts: Parts) -> None:
        """Make it; nothing runs."""
        self._parts = parts
        self._stop = asyncio.Event()
        self._served = self._working = False
        parts.metrics.leader.set_function(lambda: float(self._holds and self._working))

    async def run(self, host: str, health: int, metrics: int) -> None:
        """Run until a signal comes, with health and metrics at these ports.

        Raises:
            OSError: A port is taken.

        """
        parts = self._parts
        self._take_signals()
        pages = Health(self._alive, self._ready, parts.metrics.registry)
        await pages.start(host, health, metrics)
        workers = parts.engine.start()
        tasks: list[asyncio.Task[None]] = []
        try:
            if await self._cut_short(self._stand_by()):
                return
            if parts.election is not None:
                tasks.append(asyncio.create_task(parts.election.keep(_end), name="lease"))
            if parts.sink is not None:
                tasks.append(asyncio.create_task(parts.sink.run(), name="sink"))
            tasks += [asyncio.create_task(watch.run(), name="watch") for watch in parts.watches]
            if await self._cut_short(self._take_up()):
                return
            tasks.append(asyncio.create_task(self._audit(), name="audit"))
            tasks.append(asyncio.create_task(self._look_at_policies(), name="policies"))
            # Kopf leaves the tasks alone that it finds here; those that begin later end with it.
            await parts.kopf(self._stop, self._take_signals)
        finally:
            logger.info("Stopping: what is under way may end within %g s", parts.drain)
            await parts.engine.drain(workers, parts.drain)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if parts.sink is not None:
                await parts.sink.close()
            if parts.election is not None:
                await parts.election.release()
            await pages.stop()
            logger.info("Stopped")

    def _take_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)

    async def _cut_short(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do something that a signal may cut short; tell whether one did."""
        task, stop = asyncio.create_task(work), asyncio.create_task(self._stop.wait())
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        for each in (task, stop):
            each.cancel()
        await asyncio.gather(task, stop, return_exceptions=True)
        if not task.cancelled():
            task.result()
        return self._stop.is_set()

    # --- from standing by to work -----------------------------------------------------------------
    async def _stand_by(self) -> None:
        """Wait for the CRDs, loudly, and for the lease."""
        while True:
            try:
                missing = await self._parts.unserved()
            except ModelyardError as error:
                logger.warning("%s; trying again in %g s", error, _LOOK_AGAIN)
            else:
                if not missing:
                    break
                logger.warning(
                    "The API server does not serve %s: are the CRDs installed? Looking again in 5 s",
                    ", ".join(missing),
                )
            await asyncio.sleep(_LOOK_AGAIN)
        self._served = True
        if self._parts.election is not None:
            await self._parts.election.acquire()

    async def _take_up(self) -> None:
        """Learn what there is, then begin to work."""
        for watch in self._parts.watches:
            await watch.synced.wait()
        while True:
            try:
                await self._parts.engine.audit()
                break
            except ModelyardError as error:
                logger.warning("%s; trying again in %g s", error, _LOOK_AGAIN)
                await asyncio.sleep(_LOOK_AGAIN)
        self._parts.engine.open()
        self._working = True
        logger.info("At work")

    async def _audit(self) -> None:
        """Compare what is known with the API server's list, again and again."""
        pause = self._parts.engine.until_audit(self._parts.audit)
        while True:
            await asyncio.sleep(pause)
            pause = self._parts.engine.until_audit(self._parts.audit)
            try:
                await self._parts.engine.audit()
            except ModelyardError as error:
                logger.warning("The list could not be compared: %s", error)
                pause = _LOOK_AGAIN
            except Exception:
                logger.exception("This is a bug: the list could not be compared")

    async def _look_at_policies(self) -> None:
        """Compare the admission policies with those that were installed, again and again."""
        told: Mapping[str, str | None] = {}
        while True:
            try:
                found = await self._parts.policies()
            except ModelyardError as error:
                logger.warning("The admission policies could not be read: %s", error)
            except Exception:
                logger.exception("This is a bug: the admission policies could not be compared")
            else:
                self._parts.metrics.policies_seen(found)
                for name, problem in found.items():
                    if problem != told.get(name):
                        state = f"is not in force: {problem}" if problem else "is in force again"
                        logger.warning("The admission policy %s %s", name, state)
                told = found
            await asyncio.sleep(self._parts.audit)

    # --- being watched ----------------------------------------------------------------------------
    @property
    def _holds(self) -> bool:
        return self._served and (self._parts.election is None or self._parts.election.held)

    def _alive(self) -> dict[str, bool]:
        return {"the queue moves": not self._parts.engine.stuck}

    def _ready(self) -> dict[str, bool]:
        """A replica that stands by is ready too; one that holds the lease is when it knows what
        there is.
        """
        return {
            "the CRDs are served": self._served,
            "the watches are whole": self._working or not self._holds,
        }


def _end(reason: str) -> NoReturn:
    """End at once: nothing that is under way may write any more."""
    logger.critical("Ending at once: %s", reason)
    logging.shutdown()
    os._exit(1)
