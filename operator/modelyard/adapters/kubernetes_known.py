"""Filter the API server's answers for Kopf: leave out objects that the cache already has.

Each object costs Kopf a task and a millisecond. Kopf lists all objects of our kinds when it starts
and whenever its watch has expired, and it receives every write of the operator, which the cache has
by then. Objects are left out by uid and resourceVersion, so no change is lost.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from modelyard.cache import Cache, version_of
from modelyard.plan import Manifest

__all__ = ["answers"]


def answers(cache: Cache) -> type[aiohttp.ClientResponse]:
    """Return the response class of a session that lists and watches our own kinds.

    Args:
        cache: The known objects. A list must have filled it before the session is used.

    """

    class _Answer(aiohttp.ClientResponse):
        """Leaves known objects out of a list, and turns known changes into bookmarks."""

        async def json(self, **options: Any) -> Any:
            answer = await super().json(**options)
            if isinstance(answer, dict) and isinstance(answer.get("items"), list):
                plural = self.url.name
                answer["items"] = [
                    item for item in answer["items"] if not _known(cache, plural, item)
                ]
            return answer

        async def start(self, connection: Any) -> aiohttp.ClientResponse:
            await super().start(connection)
            if self.status == 200 and self.url.query.get("watch") == "true":
                # Not a StreamReader, but it has all that Kopf's watch uses.
                self.content = _Changes(self.content, cache, self.url.name)  # type: ignore[assignment]
            return self

    return _Answer


class _Changes:
    """A watch's stream, read in chunks of whole lines."""

    def __init__(self, stream: aiohttp.StreamReader, cache: Cache, plural: str) -> None:
        self._stream = stream
        self._cache = cache
        self._plural = plural

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        rest = b""
        async for chunk in self._stream.iter_chunked(size):
            *lines, rest = (rest + chunk).split(b"\n")
            if lines:
                yield b"".join(self._line(line) + b"\n" for line in lines)
        if rest:
            yield rest

    def _line(self, line: bytes) -> bytes:
        """Return a line of the stream unchanged, or as a bookmark of the same resourceVersion."""
        try:
            event = json.loads(line)
            body = event["object"]
            if event["type"] not in {"ADDED", "MODIFIED"} or not _known(
                self._cache, self._plural, body
            ):
                return line
            meta = {"resourceVersion": body["metadata"]["resourceVersion"]}
            return json.dumps({"type": "BOOKMARK", "object": {"metadata": meta}}).encode()
        except (ValueError, KeyError, TypeError):
            return line  # Kopf handles it


def _known(cache: Cache, plural: str, body: Manifest) -> bool:
    """Return whether the cache has this state of an object, or a later one."""
    meta = body["metadata"]
    found = cache.get(plural, meta["namespace"], meta["name"])
    if found is None or found["metadata"]["uid"] != meta["uid"]:
        return False
    return version_of(body) <= version_of(found)
