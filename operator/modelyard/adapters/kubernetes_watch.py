"""Watch owned objects: a paged list, then a stream, repeatedly.

Kopf cannot select by label on the server, and its watches end the process on an error in a stream,
so it watches our own kinds only. The labels merely select candidates; `kube.owned` decides who owns
an object.
"""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Protocol

import aiohttp

from modelyard.adapters.instrument import Missing
from modelyard.adapters.kubernetes_api import JSON, KINDS, Api, Gone, Kind
from modelyard.cache import version_of
from modelyard.errors import ModelyardError
from modelyard.kube.names import FIELD_MANAGER, MANAGED_BY, UID_LABEL
from modelyard.kube.owned import OWNED
from modelyard.plan import Manifest

__all__ = ["WATCHED", "Known", "Watch"]

logger = logging.getLogger("modelyard.watch")

WATCHED: tuple[Kind, ...] = tuple(
    KINDS[each.api_version, each.kind] for each in OWNED if each.watched
)
"""The owned kinds that are watched, each by the labels that all owned objects have."""

_STREAM = 290  # seconds after which the API server ends a stream normally
_SILENCE = 75.0  # seconds; the API server sends a bookmark every minute
_SHORTEST_PAUSE = 0.2
_LONGEST_PAUSE = 1.5
_ABSENT = 30.0  # seconds between two attempts at an API that may be absent
_OURS = {"labelSelector": f"{MANAGED_BY}={FIELD_MANAGER},{UID_LABEL}"}
_METADATA = JSON + ";as={};g=meta.k8s.io;v=v1"


class Known(Protocol):
    """What a watch maintains; `cache.Cache` is one."""

    def uids(self, scope: str, namespace: str | None = None) -> Mapping[str, tuple[str, str]]:
        """Return namespace and name of all known objects, by uid."""
        ...

    def remove_missing(
        self,
        scope: str,
        before: Mapping[str, tuple[str, str]],
        listed: Iterable[str],
        version: int = ...,
    ) -> int:
        """Remove objects that were known before a list began and are not in it."""
        ...

    def put(self, scope: str, body: Manifest) -> bool:
        """Add or update an object."""
        ...

    def remove(self, scope: str, namespace: str, name: str, uid: str, version: int = ...) -> bool:
        """Remove an object."""
        ...


class Watch:
    """Keeps the objects of one kind up to date, in one namespace or in all.

    Attributes:
        synced: Set when the first list is complete; for an optional kind also if it is not served.

    """

    def __init__(
        self,
        api: Api,
        cache: Known,
        kind: Kind,
        namespace: str | None = None,
        *,
        selector: Mapping[str, str] = _OURS,
        restarted: Callable[[str, str], None] = lambda _resource, _reason: None,
        silence: float = _SILENCE,
        absent: float = _ABSENT,
        page_size: int = 500,
    ) -> None:
        """Create a watch; `run` runs it.

        Args:
            api: The session.
            cache: Receives the objects.
            kind: The kind.
            namespace: The namespace; None for all.
            selector: Parameters of the list and the watch that select objects.
            restarted: Called with the kind's plural and the reason when a stream ends abnormally.
            silence: Seconds without data after which a stream is closed.
            absent: Seconds between two attempts at an optional kind that is not served.
            page_size: Objects in one page of the list.

        """
        self._api = api
        self._cache = cache
        self._kind = kind
        self._namespace = namespace
        self._selector = dict(selector)
        self._restarted = restarted
        self._silence = silence
        self._absent = absent
        self._page_size = page_size
        self._where = namespace or "all namespaces"
        self._version = ""
        self._failures = 0
        self.synced = asyncio.Event()

    async def run(self) -> None:
        """List and watch until cancelled."""
        while True:
            pause = _LONGEST_PAUSE
            try:
                if not self._version:
                    await self._list()
                    self.synced.set()
                await self._follow()
                self._failures = 0
            except Gone:
                self._version = ""
                self._broken("expired")
            except Missing as error:
                self._version = ""
                if self._kind.optional:
                    pause = self._absent
                    self._forget()
                else:
                    self._broken("absent", error)
            except ModelyardError as error:
                self._broken("broken", error)
            except Exception:
                logger.exception("This is a bug: restarting the watch of %s", self._kind.plural)
                self._version = ""
                self._broken("bug")
            if self._kind.optional:  # an absent kind must not block the start
                self.synced.set()
            pause = min(pause, _SHORTEST_PAUSE * 2.0 ** min(self._failures, 8))
            await asyncio.sleep(random.uniform(0.1, 1.0) * pause)  # noqa: S311

    def _forget(self) -> None:
        """Remove the objects of an optional kind that the API server does not serve."""
        self._failures += 1
        if self._failures == 1:
            logger.info("The API server does not serve %s; it is retried", self._kind.plural)
        known = self._cache.uids(self._kind.scope, self._namespace)
        self._cache.remove_missing(self._kind.scope, known, ())

    def _broken(self, reason: str, error: ModelyardError | None = None) -> None:
        self._failures += 1
        self._restarted(self._kind.plural, reason)
        level = logging.WARNING if error is not None and self._failures > 1 else logging.INFO
        logger.log(level, "Restarting the watch of %s: %s", self._kind.plural, error or reason)

    async def _list(self) -> None:
        """Replace the known objects by the API server's list, page by page."""
        before = self._cache.uids(self._kind.scope, self._namespace)
        listed: set[str] = set()
        params = self._selector | {"limit": str(self._page_size)}
        path, operation = self._kind.path(self._namespace), f"list {self._kind.plural}"
        accept = self._accept("PartialObjectMetadataList")
        while True:
            answer = await self._api.read(path, operation, self._where, params, accept=accept)
            for body in answer["items"] or ():  # null in an empty list of metadata
                self._put(body)
                listed.add(body["metadata"]["uid"])
            if not answer["metadata"].get("continue"):
                break
            params["continue"] = answer["metadata"]["continue"]
        self._version = str(answer["metadata"]["resourceVersion"])
        self._cache.remove_missing(self._kind.scope, before, listed, version_of(answer))

    async def _follow(self) -> None:
        """Apply changes until the stream ends."""
        params = self._selector | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(_STREAM),
        }
        operation = f"watch {self._kind.plural}"
        path, accept = self._kind.path(self._namespace), self._accept("PartialObjectMetadata")
        async with self._api.stream(path, params, operation, accept=accept) as response:
            async for line in self._lines(response.content):
                try:
                    event = json.loads(line)
                    body, meta = event["object"], event["object"]["metadata"]
                except (ValueError, KeyError):
                    raise Gone(
                        "Kubernetes", operation, self._where, "the stream is not valid"
                    ) from None
                match event["type"]:
                    case "ADDED" | "MODIFIED":
                        self._put(body)
                    case "DELETED":
                        # Deleted, or our labels were removed, which a later event may undo.
                        place = (self._kind.scope, meta["namespace"], meta["name"])
                        self._cache.remove(*place, meta["uid"], version_of(body))
                    case "ERROR":
                        raise Gone("Kubernetes", operation, self._where, "the stream has expired")
                self._version = str(meta["resourceVersion"])
                self._failures = 0

    def _put(self, body: Manifest) -> None:
        # Items of a list lack these fields, and metadata has PartialObjectMetadata's.
        body["apiVersion"], body["kind"] = self._kind.api_version, self._kind.kind
        self._cache.put(self._kind.scope, body)

    def _accept(self, form: str) -> str:
        return _METADATA.format(form) if self._kind.metadata_only else JSON

    async def _lines(self, content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
        """Split a stream into lines of any length, until it ends or sends no data.

        An incomplete last line is dropped; the next stream sends it again.
        """
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
