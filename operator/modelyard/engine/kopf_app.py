"""Kopf, and nothing but Kopf: it watches our own kinds and ends on a signal. The only module that
imports it.

What its limits are, and what was measured, says docs/decisions/0002. The queue, the workers, the
lease and the probes are ours and live on when Kopf has to begin anew, for it gives a process up on
errors that pass.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import aiohttp
import kopf

from modelyard.api.base import GROUP, VERSION
from modelyard.cache import Cache

__all__ = ["Endless", "watch"]

logger = logging.getLogger("modelyard.kopf")

_AGAIN = 2.0


class Endless(Iterable[float]):
    """Pauses without an end, to be gone through any number of times: Kopf takes the end of a
    list for the end of all hope.
    """

    def __init__(self, *pauses: float) -> None:
        """Make one: these pauses, then the last of them for ever."""
        self._pauses = pauses

    def __iter__(self) -> Iterator[float]:
        """Begin at the first pause."""
        yield from self._pauses
        while True:
            yield self._pauses[-1]


async def watch(
    cache: Cache,
    plurals: Iterable[str],
    namespaces: tuple[str, ...],
    connect: Callable[[], tuple[str, aiohttp.ClientSession]],
    *,
    stop: asyncio.Event,
    signals: Callable[[], None],
    restarted: Callable[[str, str], None],
    silence: float = 70.0,
) -> None:
    """Keep the cache's picture of our own kinds up to date, until it is told to stop.

    Args:
        cache: Where everything goes.
        plurals: Our kinds.
        namespaces: Those that are served; empty for all.
        connect: Returns the API server's address and a new session with it, which Kopf closes.
        stop: Ends it.
        signals: Takes the process's signals back: Kopf takes them each time it begins, and lets
            them fall when it fails.
        restarted: Told when Kopf had to begin anew.
        silence: Seconds without a word after which a watch is begun anew.

    """
    plurals = tuple(plurals)
    while not stop.is_set():
        others = asyncio.all_tasks()
        try:
            tasks = await kopf.spawn_tasks(
                registry=_registry(cache, plurals, connect),
                settings=_settings(silence),
                standalone=True,
                clusterwide=not namespaces,
                namespaces=namespaces,
                stop_flag=stop,
            )
            signals()
            await kopf.run_tasks(tasks, ignored=others)
        except Exception as error:
            logger.warning(
                "Kopf gave up (%r); it begins anew in %g s",
                error,
                _AGAIN,
                exc_info=logger.isEnabledFor(logging.DEBUG),
            )
            restarted(",".join(plurals), "kopf")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _AGAIN)
        else:
            return


def _registry(
    cache: Cache, plurals: Iterable[str], connect: Callable[[], tuple[str, aiohttp.ClientSession]]
) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def _login(**_: Any) -> kopf.AiohttpSession:
        server, session = connect()
        return kopf.AiohttpSession(server=server, aiohttp_session=session)

    def _take_in(plural: str) -> None:
        @kopf.on.event(GROUP, VERSION, plural, id=plural, registry=registry)
        async def _changed(event: Any, **_: Any) -> None:
            body = event["object"]
            if event["type"] == "DELETED":
                meta = body["metadata"]
                cache.remove(plural, meta["namespace"], meta["name"], meta["uid"])
            else:
                cache.put(plural, body)

    for plural in plurals:
        _take_in(plural)
    return registry


class _NoDiffs(kopf.DiffBaseStorage):
    """Kopf copies every object twice to find out what has changed, though no handler asks: half
    of what an event costs.
    """

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        """Write nothing."""


class _NoProgress(kopf.ProgressStorage):
    """No annotation of Kopf's on anybody's object."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        """Write nothing."""

    def purge(self, **_: Any) -> None:
        """Write nothing."""

    def touch(self, **_: Any) -> None:
        """Write nothing."""

    def clear(self, *, essence: Any) -> Any:
        return essence


def _settings(silence: float) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True
    settings.posting.enabled = False
    # The kinds are known and waited for; without the scan Kopf needs no right on CRDs and
    # namespaces.
    settings.scanning.disabled = True
    settings.watching.initial_streaming = False
    settings.watching.inactivity_timeout = silence
    settings.watching.server_timeout = 290
    settings.watching.client_timeout = 310
    settings.watching.connect_timeout = 5
    settings.watching.chunk_size = 500
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = Endless(0.2, 0.5, 1)
    settings.persistence.diffbase_storage = _NoDiffs()
    settings.persistence.progress_storage = _NoProgress()
    settings.queueing.idle_timeout = 0.5  # an object's task, and its queue, are memory
    settings.process.ultimate_exiting_timeout = None  # it would count on after Kopf began anew
    return settings
