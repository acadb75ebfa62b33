"""Read /modelyard/traffic of serving pods: one request each, permitted addresses, within limits.

A pod's answer is untrusted: a model may run its own code in the pod.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import aiohttp

from modelyard.api.addresses import Addresses
from modelyard.api.wire import LATENCY_EDGES, MODEL, TRAFFIC_PATH
from modelyard.kube.names import IDENTITY_LABEL
from modelyard.plan import Manifest
from modelyard.traffic import Arm

__all__ = ["PODS", "Counters", "PodCounters"]

PODS = 1000
"""Maximum pods of one version that are read, as many as a stage may have. Their counters take at
most 20 MB: 146 counts per version and pod are kept, whatever an answer has."""
_CONNECTIONS = 32
_SECONDS, _ALL_SECONDS = 2.0, 3.0
_BYTES = 64 * 1024
"""Maximum bytes of an answer; a model server's has 17 KiB with 20 digits in each count."""
_MOST = 2**53
_STARTED = 64
_BUCKETS = len(LATENCY_EDGES) + 1
"""The last bucket counts answers that took longer than the last edge."""


@dataclass(frozen=True)
class Counters:
    """The counters of one pod's process.

    Attributes:
        started: Identifies the process: another process starts at zero.
        requests: Requests that it answered.
        failures: Requests that failed.
        revision: The revision of the rule by which it splits requests, 0 without a rule; None: it
            does not split, or its answer about that is invalid.
        stable: The counts of the stable version under this revision.
        candidate: The same for the candidate.

    """

    started: str
    requests: int
    failures: int
    revision: int | None = None
    stable: Arm = field(default_factory=Arm)
    candidate: Arm = field(default_factory=Arm)


class PodCounters:
    """Reads pods' counters."""

    def __init__(self, addresses: Addresses) -> None:
        """Create it without connecting.

        Args:
            addresses: The permitted addresses.

        """
        self._addresses = addresses
        self._session: aiohttp.ClientSession | None = None
        self._turn = asyncio.Semaphore(_CONNECTIONS)

    async def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()

    async def read(self, pods: Iterable[Manifest]) -> Mapping[str, Counters]:
        """Return pods' counters by uid, within 3 s; pods without an answer are left out."""
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
        done = {
            uid: task.result()
            for uid, task in tasks.items()
            if not task.cancelled() and task.exception() is None
        }
        return {uid: counters for uid, counters in done.items() if counters is not None}

    async def _one(self, pod: Manifest) -> Counters | None:
        where, identity = _address(pod), (pod["metadata"].get("labels") or {}).get(IDENTITY_LABEL)
        if where is None or not self._addresses.permits(where[0], where[0]):
            return None
        host = f"[{where[0]}]" if ":" in where[0] else where[0]
        url = f"http://{host}:{where[1]}{TRAFFIC_PATH}"
        try:
            # A pod's timeout starts with its request, so that hanging pods take no time from those
            # that wait for a connection.
            async with self._turn, self._open().get(url, allow_redirects=False) as answer:
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
                auto_decompress=False,  # the limit is on the bytes read
                trust_env=False,  # a pod is not behind a proxy
                headers={"accept": "application/json", "accept-encoding": "identity"},
            )
        return self._session


def _address(pod: Manifest) -> tuple[str, int] | None:
    """Return host and port of a pod's counters.

    None if the pod has no address yet, or its release has no counters.
    """
    host = str((pod.get("status") or {}).get("podIP") or "")
    server: Manifest = next(
        (each for each in pod["spec"].get("containers") or () if each.get("name") == MODEL), {}
    )
    ports = {port.get("name"): port.get("containerPort") for port in server.get("ports") or ()}
    port = ports.get("metrics")
    return (host, int(port)) if host and port is not None else None


async def _bounded(content: aiohttp.StreamReader) -> bytes | None:
    """Read an answer; None if it is too large."""
    body = bytearray()
    async for piece in content.iter_any():
        body += piece
        if len(body) > _BYTES:
            return None
    return bytes(body)


def _counters(body: bytes, identity: str | None) -> Counters | None:
    """Parse counters; None if they are invalid, or of another identity, as addresses are reused."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.get("runtime") != identity:
        return None
    started, requests, failures = found.get("started"), found.get("requests"), found.get("failures")
    if (
        not isinstance(started, str)
        or len(started) > _STARTED
        or not (_is_count(requests) and _is_count(failures) and failures <= requests)
    ):
        return None
    return Counters(started, requests, failures, *_split(found))


def _split(found: dict[str, Any]) -> tuple[int, Arm, Arm] | tuple[()]:
    """Parse the revision of a process's rule and its counts; empty if it does not split, or the
    answer is invalid.
    """
    revision, arms = found.get("revision"), found.get("arms")
    if not _is_count(revision) or not isinstance(arms, dict):
        return ()
    stable, candidate = _arm(arms.get("stable")), _arm(arms.get("candidate"))
    return () if stable is None or candidate is None else (revision, stable, candidate)


def _arm(found: Any) -> Arm | None:
    """Parse the counts of one version; None if they are invalid."""
    if not isinstance(found, dict):
        return None
    requests, failures, refusals, latency = (
        found.get(name) for name in ("requests", "failures", "refusals", "latency")
    )
    if not (
        _is_count(requests)
        and _is_count(failures)
        and _is_count(refusals)
        and failures + refusals <= requests
    ):
        return None
    if (
        not isinstance(latency, dict)
        or not latency.keys() <= _NUMBERS.keys()
        or not all(map(_is_count, latency.values()))
    ):
        return None
    drawn = found.get("drawn", 0)
    if not _is_count(drawn):
        return None
    by_edge = {_NUMBERS[key]: count for key, count in latency.items()}
    return Arm(requests, failures, refusals, by_edge, drawn)


# The bucket numbers as JSON keys, which are always text.
_NUMBERS = {str(number): number for number in range(_BUCKETS)}


def _is_count(value: Any) -> TypeGuard[int]:
    """Return whether a value is a count: a JSON integer below 2**53, exact in every JSON parser."""
    return type(value) is int and 0 <= value < _MOST
