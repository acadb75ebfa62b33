"""Watching children: a paged list, then a stream, for ever. It heals by itself; what a change means does not belong here.

Kopf cannot select by label on the server, and its watches end the process on an error in a stream: hence our own for everything but
our own kinds.
"""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Callable

import aiohttp

from modelyard.adapters.kubernetes_api import KINDS, Api, Gone, Kind
from modelyard.cache import Cache
from modelyard.errors import ModelyardError
from modelyard.kube.names import FIELD_MANAGER, MANAGED_BY
from modelyard.plan import Manifest

__all__ = ["WATCHED", "Watch"]

logger = logging.getLogger("modelyard.watch")

WATCHED: tuple[Kind, ...] = tuple(
    KINDS[each]
    for each in (
        ("v1", "ConfigMap"),
        ("v1", "Pod"),
        ("v1", "Service"),
        ("apps/v1", "Deployment"),
        ("autoscaling/v2", "HorizontalPodAutoscaler"),
        ("batch/v1", "Job"),
        ("policy/v1", "PodDisruptionBudget"),
    )
)
"""The kinds of children that are watched, each for the label that all of them carry."""

_STREAM = 290  # seconds after which the API server ends a stream in good order
_SILENCE = 75.0  # it sends a bookmark every minute
_SHORTEST_PAUSE = 0.2
_LONGEST_PAUSE = 3.0
_OURS = f"{MANAGED_BY}={FIELD_MANAGER}"


class Watch:
    """Keeps the cache's picture of one kind of children in one namespace, or in all, as the API server has it."""

    def __init__(
        self,
        api: Api,
        cache: Cache,
        kind: Kind,
        namespace: str | None = None,
        *,
        restarted: Callable[[str, str], None] = lambda _resource, _reason: None,
        silence: float = _SILENCE,
        page_size: int = 500,
    ) -> None:
        """Make one; `run` runs it.

        Args:
            api: The session.
            cache: What is kept up to date.
            kind: What is watched.
            namespace: Where; None for everywhere.
            restarted: Told the kind's plural and the reason when a stream ends otherwise than in good order.
            silence: Seconds without a byte after which a stream is given up.
            page_size: Objects in one page of the list.

        """
        self._api = api
        self._cache = cache
        self._kind = kind
        self._namespace = namespace
        self._restarted = restarted
        self._silence = silence
        self._page_size = page_size
        self._where = namespace or "all namespaces"
        self._version = ""
        self._failures = 0
        self.synced = asyncio.Event()

    async def run(self) -> None:
        """List and watch, for ever."""
        while True:
            try:
                if not self._version:
                    await self._list()
                    self.synced.set()
                await self._follow()
                self._failures = 0
            except Gone:
                self._version = ""
                self._broken("expired")
            except ModelyardError as error:
                self._broken("broken", error)
            except Exception:
                logger.exception("This is a bug: the watch of %s begins anew", self._kind.plural)
                self._version = ""
                self._broken("bug")
            pause = min(_LONGEST_PAUSE, _SHORTEST_PAUSE * 2.0 ** min(self._failures, 8))
            await asyncio.sleep(random.uniform(0.1, 1.0) * pause)  # noqa: S311

    def _broken(self, reason: str, error: ModelyardError | None = None) -> None:
        self._failures += 1
        self._restarted(self._kind.plural, reason)
        level = logging.WARNING if error is not None and self._failures > 1 else logging.INFO
        logger.log(level, "The watch of %s begins anew: %s", self._kind.plural, error or reason)

    async def _list(self) -> None:
        """Replace what is known by the API server's list, page by page."""
        before = self._cache.uids(self._kind.scope, self._namespace)
        listed: set[str] = set()
        params = {"labelSelector": _OURS, "limit": str(self._page_size)}
        while True:
            answer = await self._api.read(self._kind.path(self._namespace), f"list {self._kind.plural}", self._where, params)
            for body in answer["items"]:
                self._put(body)
                listed.add(body["metadata"]["uid"])
            if not answer["metadata"].get("continue"):
                break
            params["continue"] = answer["metadata"]["continue"]
        self._cache.settle(self._kind.scope, before, listed)
        self._version = str(answer["metadata"]["resourceVersion"])

    async def _follow(self) -> None:
        """Take changes in until the stream ends."""
        params = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(_STREAM),
            "labelSelector": _OURS,
        }
        operation = f"watch {self._kind.plural}"
        async with self._api.stream(self._kind.path(self._namespace), params, operation) as response:
            async for line in self._lines(response.content):
                try:
                    event = json.loads(line)
                    body, meta = event["object"], event["object"]["metadata"]
                except (ValueError, KeyError):
                    raise Gone("Kubernetes", operation, self._where, "the stream makes no sense") from None
                match event["type"]:
                    case "ADDED" | "MODIFIED":
                        self._put(body)
                    case "DELETED":
                        self._cache.remove(self._kind.scope, meta["namespace"], meta["name"], meta["uid"])
                    case "ERROR":
                        raise Gone("Kubernetes", operation, self._where, "the stream says that it is too old")
                self._version = str(meta["resourceVersion"])
                self._failures = 0

    def _put(self, body: Manifest) -> None:
        body.setdefault("apiVersion", self._kind.api_version)  # a list's items have neither
        body.setdefault("kind", self._kind.kind)
        self._cache.put(self._kind.scope, body)

    async def _lines(self, content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
        """Cut a stream into lines of any length, until it ends or falls silent. A last line that is cut off is dropped: it comes again."""
        rest = b""
        while True:
            try:
                async with asyncio.timeout(self._silence):
                    chunk = await content.readany()
            except TimeoutError:
                self._restarted(self._kind.plural, "silent")
                return
            if not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if line:
                    yield line
