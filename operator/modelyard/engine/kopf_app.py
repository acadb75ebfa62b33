"""Watch our own kinds with Kopf. The only module that imports it.

docs/decisions/0002 has its limits and the measurements. The queue, the workers, the Lease and the
probes are ours and survive a restart of Kopf, which ends on errors that are temporary.
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

_RESTART = 2.0


class Endless(Iterable[float]):
    """Endless back-off pauses, iterable any number of times.

    Kopf exits when its back-off list is exhausted; this one never is.
    """

    def __init__(self, *pauses: float) -> None:
        """Yield these pauses, then repeat the last one."""
        self._pauses = pauses

    def __iter__(self) -> Iterator[float]:
        """Start at the first pause."""
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
    """Keep our own kinds up to date in the cache until `stop` is set.

    Args:
        cache: Receives the objects.
        plurals: Our kinds.
        namespaces: The namespaces that are served; empty for all.
        connect: Returns the API server's address and a new session with it, which Kopf closes.
        stop: Ends the watch.
        signals: Reinstalls the process's signal handlers: Kopf replaces them each time it starts,
            and removes its own when it fails.
        restarted: Called when Kopf had to be restarted.
        silence: Seconds without data after which a watch is restarted.

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
                "Kopf failed (%r); restarting it in %g s",
                error,
                _RESTART,
                exc_info=logger.isEnabledFor(logging.DEBUG),
            )
            restarted(",".join(plurals), "kopf")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _RESTART)
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
    """Disable diffs: Kopf copies every object twice to compute them, half the cost of an event."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        """Write nothing."""


class _NoProgress(kopf.ProgressStorage):
    """Disable progress, which Kopf stores in annotations of the objects."""

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
    # The process waits for the CRDs itself; without the scan Kopf needs no permission on CRDs and
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
    settings.queueing.idle_timeout = 0.5  # each object's task and queue take memory
    settings.process.ultimate_exiting_timeout = None  # its timer would survive a restart of Kopf
    return settings
