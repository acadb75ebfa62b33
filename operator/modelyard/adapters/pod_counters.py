"""GET /modelyard/traffic of serving pods: one request each, to permitted addresses, within bounds.

What a pod says is a stranger's word: a model may run code of its own in it. What the counters mean does not belong here (`pod_traffic`).
"""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import aiohttp

from modelyard.api.addresses import Addresses
from modelyard.api.wire import MODEL, TRAFFIC_PATH
from modelyard.kube.names import IDENTITY_LABEL
from modelyard.plan import Manifest

__all__ = ["PODS", "Counters", "PodCounters"]

PODS = 32
"""Pods that are asked of one version; those beyond are not."""
_CONNECTIONS = 32
_SECONDS, _ALL_SECONDS = 2.0, 3.0
_BYTES = 256 * 1024
_MOST = 2**53
_STARTED = 64


@dataclass(frozen=True)
class Counters:
    """The counters of one pod's process.

    Attributes:
        started: Names the process: another one has begun at zero.
        requests: Requests that it answered.
        failures: Those that failed.

    """

    started: str
    requests: int
    failures: int


class PodCounters:
    """Asks pods."""

    def __init__(self, addresses: Addresses) -> None:
        """Make it; no connection is made.

        Args:
            addresses: Who may be connected to.

        """
        self._addresses = addresses
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close what is open."""
        if self._session is not None:
            await self._session.close()

    async def read(self, pods: Iterable[Manifest]) -> Mapping[str, Counters]:
        """Return the counters of pods by their uid; one that has none, or gives none in time, is left out. It takes 3 s at most."""
        asked = sorted(pods, key=lambda pod: str(pod["metadata"]["uid"]))[:PODS]
        tasks = {str(pod["metadata"]["uid"]): asyncio.create_task(self._one(pod)) for pod in asked}
        if not tasks:
            return {}
        try:
            await asyncio.wait(tasks.values(), timeout=_ALL_SECONDS)
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
        done = {uid: task.result() for uid, task in tasks.items() if not task.cancelled() and task.exception() is None}
        return {uid: counters for uid, counters in done.items() if counters is not None}

    async def _one(self, pod: Manifest) -> Counters | None:
        where, identity = _address(pod), (pod["metadata"].get("labels") or {}).get(IDENTITY_LABEL)
        if where is None or not self._addresses.permits(where[0], where[0]):
            return None
        host = f"[{where[0]}]" if ":" in where[0] else where[0]
        url = f"http://{host}:{where[1]}{TRAFFIC_PATH}"
        try:
            async with self._open().get(url, allow_redirects=False) as answer:
                if answer.status != 200:
                    return None
                body = await _bounded(answer.content)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None
        return _counters(body, identity) if body is not None else None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=_SECONDS),
                connector=aiohttp.TCPConnector(limit=_CONNECTIONS, force_close=True),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,  # what is bounded is what is read
                trust_env=False,  # a pod is not behind a proxy
                headers={"accept": "application/json", "accept-encoding": "identity"},
            )
        return self._session


def _address(pod: Manifest) -> tuple[str, int] | None:
    """Return where a pod's model server has its counters; None: it is not there yet, or of a release that has none."""
    host = str((pod.get("status") or {}).get("podIP") or "")
    server: Manifest = next((each for each in pod["spec"].get("containers") or () if each.get("name") == MODEL), {})
    ports = {port.get("name"): port.get("containerPort") for port in server.get("ports") or ()}
    port = ports.get("metrics")
    return (host, int(port)) if host and port is not None else None


async def _bounded(content: aiohttp.StreamReader) -> bytes | None:
    """Read an answer; None: it is too large."""
    body = bytearray()
    async for piece in content.iter_any():
        body += piece
        if len(body) > _BYTES:
            return None
    return bytes(body)


def _counters(body: bytes, identity: str | None) -> Counters | None:
    """Read the counters of a process of this identity; an address may have gone to another pod."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.get("runtime") != identity:
        return None
    started, requests, failures = found.get("started"), found.get("requests"), found.get("failures")
    if not isinstance(started, str) or len(started) > _STARTED or type(requests) is not int or type(failures) is not int:
        return None
    return Counters(started, requests, failures) if 0 <= failures <= requests < _MOST else None
