"""The life of one process: serve health, stand by for the Lease, start to work, drain, stop."""

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

_RETRY = 5.0


class Watching(Protocol):
    """A watch that runs until cancelled."""

    synced: asyncio.Event
    """Set when the first list is complete."""

    async def run(self) -> None:
        """Watch until cancelled."""
        ...


@dataclass(frozen=True)
class Parts:
    """The components of a process.

    Attributes:
        engine: Reconciles the objects.
        watches: Keep owned objects up to date in the cache.
        unserved: Returns which of our kinds the API server does not serve.
        kopf: Keeps our own kinds up to date in the cache until the event is set. It also receives
            a function that reinstalls the process's signal handlers.
        election: Leader election; None for a single replica.
        policies: Returns, by name, why an admission policy is not in force; None for one that is.
        metrics: The process's metrics.
        sink: Sends CloudEvents; None if no sink is configured.
        audit: Minimum seconds between two comparisons with the API server's own list; where there
            are many objects, the interval is longer.
        drain: Seconds that running reconciles have to end when the process stops.

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
    """A process that runs once."""

    def __init__(self, parts: Parts) -> None:
        """Create the process without starting anything."""
        self._parts = parts
        self._stop = asyncio.Event()
        self._served = self._working = False
        parts.metrics.leader.set_function(lambda: float(self._holds and self._working))

    async def run(self, host: str, health: int, metrics: int) -> None:
        """Run until SIGTERM or SIGINT, with health and metrics on these ports.

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
            if await self._stopped_during(self._stand_by()):
                return
            if parts.election is not None:
                tasks.append(asyncio.create_task(parts.election.keep(_end), name="lease"))
            if parts.sink is not None:
                tasks.append(asyncio.create_task(parts.sink.run(), name="sink"))
            tasks += [asyncio.create_task(watch.run(), name="watch") for watch in parts.watches]
            if await self._stopped_during(self._start_work()):
                return
            tasks.append(asyncio.create_task(self._audit(), name="audit"))
            tasks.append(asyncio.create_task(self._check_policies(), name="policies"))
            # When Kopf ends, it cancels the tasks that were started after it.
            await parts.kopf(self._stop, self._take_signals)
        finally:
            logger.info("Stopping: waiting up to %g s for reconciles under way", parts.drain)
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

    async def _stopped_during(self, work: Coroutine[Any, Any, None]) -> bool:
        """Run a coroutine, cancelled by a signal; return whether a signal came."""
        task, stop = asyncio.create_task(work), asyncio.create_task(self._stop.wait())
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        for each in (task, stop):
            each.cancel()
        await asyncio.gather(task, stop, return_exceptions=True)
        if not task.cancelled():
            task.result()
        return self._stop.is_set()

    # --- from standby to work ---------------------------------------------------------------------
    async def _stand_by(self) -> None:
        """Wait for the CRDs, with a warning, and for the Lease."""
        while True:
            try:
                missing = await self._parts.unserved()
            except ModelyardError as error:
                logger.warning("%s; trying again in %g s", error, _RETRY)
            else:
                if not missing:
                    break
                logger.warning(
                    "The API server does not serve %s: are the CRDs installed? Retrying in 5 s",
                    ", ".join(missing),
                )
            await asyncio.sleep(_RETRY)
        self._served = True
        if self._parts.election is not None:
            await self._parts.election.acquire()

    async def _start_work(self) -> None:
        """Fill the cache, then start to reconcile."""
        for watch in self._parts.watches:
            await watch.synced.wait()
        while True:
            try:
                await self._parts.engine.audit()
                break
            except ModelyardError as error:
                logger.warning("%s; trying again in %g s", error, _RETRY)
                await asyncio.sleep(_RETRY)
        self._parts.engine.open()
        self._working = True
        logger.info("Started reconciling")

    async def _audit(self) -> None:
        """Compare the cache with the API server's list, until cancelled."""
        pause = self._parts.engine.until_audit(self._parts.audit)
        while True:
            await asyncio.sleep(pause)
            pause = self._parts.engine.until_audit(self._parts.audit)
            try:
                await self._parts.engine.audit()
            except ModelyardError as error:
                logger.warning("The cache could not be compared with the API server: %s", error)
                pause = _RETRY
            except Exception:
                logger.exception("This is a bug: the cache could not be compared")

    async def _check_policies(self) -> None:
        """Compare the admission policies with those that were installed, until cancelled."""
        logged: Mapping[str, str | None] = {}
        while True:
            try:
                found = await self._parts.policies()
            except ModelyardError as error:
                logger.warning("The admission policies could not be read: %s", error)
            except Exception:
                logger.exception("This is a bug: the admission policies could not be compared")
            else:
                self._parts.metrics.policies_checked(found)
                for name, problem in found.items():
                    if problem != logged.get(name):
                        state = f"is not in force: {problem}" if problem else "is in force again"
                        logger.warning("The admission policy %s %s", name, state)
                logged = found
            await asyncio.sleep(self._parts.audit)

    # --- health -----------------------------------------------------------------------------------
    @property
    def _holds(self) -> bool:
        return self._served and (self._parts.election is None or self._parts.election.held)

    def _alive(self) -> dict[str, bool]:
        return {"queue progressing": not self._parts.engine.stuck}

    def _ready(self) -> dict[str, bool]:
        """A standby replica is ready; the Lease's holder is ready after the initial list."""
        return {
            "CRDs served": self._served,
            "caches synced": self._working or not self._holds,
        }


def _end(reason: str) -> NoReturn:
    """Exit immediately: reconciles under way may no longer write."""
    logger.critical("Exiting immediately: %s", reason)
    logging.shutdown()
    os._exit(1)
