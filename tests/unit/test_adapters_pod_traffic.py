"""Traffic counters of serving pods: read within bounds, whatever a pod answers, and summed over
pods and processes without counting twice.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from modelyard.adapters.pod_counters import PODS, Counters, PodCounters
from modelyard.adapters.pod_traffic import PodTraffic
from modelyard.api.addresses import Addresses
from modelyard.plan import Manifest
from modelyard.traffic import Answered, Arm, Watched
from tests.unit.builders import NOW, SECOND

HERE = Addresses(allow=("127.0.0.1",))
WELL = {
    "runtime": "1f2e3d4c",
    "started": "2026-01-01T12:00:00+00:00",
    "requests": 9,
    "failures": 2,
    "latency": {"3": 7},
}
STEP = timedelta(seconds=10)
WATCHED = Watched("uid-1", "production", "1f2e3d4c", NOW, Answered())

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def pod(port: int | None, uid: str = "uid-a", ip: str = "127.0.0.1", born: Any = NOW) -> Manifest:
    ports = [{"name": "metrics", "containerPort": port}] if port is not None else []
    meta = {
        "uid": uid,
        "labels": {"modelyard.io/identity": "1f2e3d4c"},
        "creationTimestamp": f"{born:%Y-%m-%dT%H:%M:%SZ}",
    }
    return {
        "metadata": meta,
        "spec": {"containers": [{"name": "model", "ports": ports}]},
        "status": {"podIP": ip},
    }


@asynccontextmanager
async def listening(handler: Handler) -> AsyncIterator[int]:
    """A pod's port, with a server on it."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    finally:
        await runner.cleanup()


async def read(*pods: Manifest, addresses: Addresses = HERE) -> Mapping[str, Counters]:
    asks = PodCounters(addresses)
    try:
        return await asks.read(pods)
    finally:
        await asks.close()


def saying(body: bytes, status: int = 200, **headers: str) -> Handler:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=status, headers=headers)

    return answer


# --- one pod --------------------------------------------------------------------------------------
async def test_a_pod_gives_its_counters_at_the_port_that_its_container_names():
    asked: list[tuple[str, str]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append((request.method, request.path))
        return web.json_response(WELL)

    async with listening(answer) as port:
        assert await read(pod(port)) == {"uid-a": Counters(WELL["started"], 9, 2)}  # type: ignore[arg-type]
    assert asked == [("GET", "/modelyard/traffic")]


@pytest.mark.parametrize(
    "answer",
    [
        saying(b'{"error": "only /metrics is at this port"}', 404),  # of an earlier release
        saying(b"", 302, location="/metrics"),
        saying(b"not json"),
        saying(b"[" * 100_000),
        saying(b"[]"),
        saying(json.dumps(WELL).encode() + b" " * 300_000),
        saying(
            json.dumps(WELL | {"runtime": "00000000"}).encode()
        ),  # another pod has the address now
        saying(json.dumps(WELL | {"failures": 10}).encode()),
        saying(json.dumps(WELL | {"requests": -1, "failures": -1}).encode()),
        saying(json.dumps(WELL | {"requests": True}).encode()),
        saying(json.dumps(WELL | {"requests": 1e300}).encode()),
        saying(json.dumps(WELL | {"requests": 2**60}).encode()),
        saying(json.dumps(WELL | {"started": "x" * 65}).encode()),
    ],
)
async def test_invalid_counters_are_ignored(answer: Handler):
    async with listening(answer) as port:
        assert await read(pod(port)) == {}


ARM = {"requests": 9, "failures": 2, "refusals": 1, "latency": {"0": 4, "145": 2}}
EMPTY = {"requests": 0, "failures": 0, "refusals": 0, "latency": {}}


def split(revision: Any = 7, **arms: Any) -> bytes:
    """Return the page of a pod that splits, with another arm."""
    return json.dumps(
        WELL | {"revision": revision, "arms": {"stable": ARM, "candidate": EMPTY} | arms}
    ).encode()


async def test_a_pod_that_splits_reports_its_rule_s_revision_and_counts_for_each_version():
    async with listening(saying(split())) as port:
        found = (await read(pod(port)))["uid-a"]
    assert found == Counters(str(WELL["started"]), 9, 2, 7, Arm(9, 2, 1, {0: 4, 145: 2}), Arm())


@pytest.mark.parametrize(
    "page",
    [
        split(revision=None),
        split(revision=-1),
        split(revision=True),
        split(revision="7"),
        split(revision=2**53),
        json.dumps(WELL | {"revision": 7}).encode(),
        json.dumps(WELL | {"revision": 7, "arms": [ARM, ARM]}).encode(),
        split(candidate=None),
        split(stable=[ARM]),
        split(candidate=ARM | {"requests": 2}),
        split(candidate=ARM | {"requests": 2**53}),
        split(candidate=ARM | {"refusals": -1}),
        split(candidate=ARM | {"failures": 2.0}),
        split(candidate={key: value for key, value in ARM.items() if key != "failures"}),
        split(stable=ARM | {"latency": {"146": 1}}),
        split(stable=ARM | {"latency": {"-1": 1}}),
        split(stable=ARM | {"latency": {"07": 1}}),
        split(stable=ARM | {"latency": {"\u0667": 1}}),
        split(stable=ARM | {"latency": {"7": -1}}),
        split(stable=ARM | {"latency": {"7": True}}),
        split(stable=ARM | {"latency": [1]}),
        split(stable=ARM | {"latency": {str(number): 1 for number in range(147)}}),
    ],
)
async def test_a_pod_with_an_invalid_split_does_not_split(page: bytes):
    """Its totals count as before."""
    async with listening(saying(page)) as port:
        assert await read(pod(port)) == {"uid-a": Counters(str(WELL["started"]), 9, 2)}


async def test_a_pod_with_an_endless_answer_blocks_no_other():
    gone = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b" ")
        await gone.wait()
        return answer

    async with listening(endless) as hangs, listening(saying(json.dumps(WELL).encode())) as port:
        assert set(await read(pod(hangs, "uid-b"), pod(port))) == {"uid-a"}
        gone.set()


async def test_only_pods_with_counters_at_permitted_addresses_are_read():
    async with listening(saying(json.dumps(WELL).encode())) as port:
        silent = (
            pod(None, "uid-old"),
            pod(port, "uid-new", ip=""),
            pod(port, "uid-name", ip="metadata.internal"),
        )
        assert await read(*silent) == {}
        assert await read(pod(port), addresses=Addresses()) == {}
        assert await read(pod(port, ip="169.254.169.254")) == {}
        many = [
            pod(port if number > PODS - 8 else None, f"uid-{number:04}")
            for number in range(PODS + 8)
        ]
        assert set(await read(*many)) == {f"uid-{number:04}" for number in range(993, 1000)}, (
            "as many as a stage may have"
        )


async def test_hanging_pods_take_no_time_from_waiting_ones():
    gone = asyncio.Event()

    async def hangs(request: web.Request) -> web.StreamResponse:
        await gone.wait()
        return web.Response()

    async with listening(hangs) as port, listening(saying(json.dumps(WELL).encode())) as well:
        all_turns = [pod(port, f"uid-{number:02}") for number in range(32)]
        found = await read(*all_turns, pod(well, "uid-99"))
        gone.set()
    assert set(found) == {"uid-99"}


# --- the sum --------------------------------------------------------------------------------------
class Pods:
    """Pods and the pages that they answer with, one after another."""

    def __init__(self) -> None:
        self.said: dict[str, Counters] = {}
        self.asked = 0

    async def read(self, pods: Iterable[Manifest]) -> Mapping[str, Counters]:
        self.asked += 1
        return {
            pod["metadata"]["uid"]: self.said[pod["metadata"]["uid"]]
            for pod in pods
            if pod["metadata"]["uid"] in self.said
        }


class Counted:
    """A sum that is continued, ten seconds at a time."""

    def __init__(self, recorded: Answered | None = None) -> None:
        self.pods, self.now = Pods(), NOW
        self.traffic = PodTraffic(self.pods)
        self.watched = Watched("uid-1", "production", "1f2e3d4c", NOW, recorded or Answered())

    async def after(self, **said: tuple[str, int, int] | None) -> tuple[int, int]:
        """Return the sum after pods answered with process, requests and failures; None: no
        answer.
        """
        self.now += STEP
        self.pods.said = {uid: Counters(*each) for uid, each in said.items() if each is not None}
        there = [
            pod(9090, uid, born=NOW + 2 * STEP if uid.startswith("new") else NOW - STEP)
            for uid in said
        ]
        found = await self.traffic.answered(self.watched, there, self.now)
        return found.requests, found.failures


async def test_answers_before_the_first_reading_do_not_count():
    counted = Counted()
    assert await counted.after(a=("1", 100, 50), b=("1", 3, 0)) == (0, 0)
    assert await counted.after(a=("1", 110, 51), b=("1", 3, 0)) == (10, 1)
    assert await counted.after(a=("1", 110, 51), b=("1", 8, 5)) == (15, 6)


async def test_a_new_pod_counts_from_zero_and_a_silent_one_from_its_first_answer():
    counted = Counted()
    assert await counted.after(a=("1", 5, 0), b=None) == (0, 0)
    assert await counted.after(a=("1", 5, 0), b=("1", 90, 90), new=("1", 4, 1)) == (4, 1)
    assert await counted.after(a=("1", 5, 0), b=("1", 91, 90), new=("1", 4, 1)) == (5, 1)


async def test_answers_of_a_silent_pod_count_later():
    counted = Counted()
    await counted.after(a=("1", 5, 0))
    assert await counted.after(a=None) == (0, 0)
    assert await counted.after(a=("1", 9, 3)) == (4, 3)


async def test_a_restarted_process_counts_from_zero_and_a_deleted_pod_s_counts_stay():
    counted = Counted()
    await counted.after(a=("1", 5, 0), b=("1", 0, 0))
    assert await counted.after(a=("1", 15, 2), b=("1", 7, 0)) == (17, 2)
    assert await counted.after(a=("2", 3, 1), b=("1", 7, 0)) == (20, 3)
    assert await counted.after(a=("2", 4, 1)) == (21, 3)
    assert await counted.after(a=("2", 2, 0)) == (23, 3), (
        "counters never fall: it is another process"
    )


async def test_a_restarted_operator_continues_from_the_status_without_double_counts():
    counted = Counted(Answered(40, 4))
    assert await counted.after(a=("1", 100, 50)) == (40, 4)
    assert await counted.after(a=("1", 101, 51)) == (41, 5)


async def test_pods_are_read_every_ten_seconds_at_most_and_another_watch_starts_over():
    counted = Counted()
    await counted.after(a=("1", 5, 0))
    await counted.after(a=("1", 9, 0))
    counted.pods.said["a"] = Counters("1", 50, 0)
    assert await counted.traffic.answered(
        counted.watched, [pod(9090, "a")], counted.now + 9 * SECOND
    ) == Answered(4, 0)
    assert counted.pods.asked == 2
    later = Watched("uid-1", "production", "1f2e3d4c", NOW + STEP, Answered())
    assert await counted.traffic.answered(
        later, [pod(9090, "a")], counted.now + SECOND
    ) == Answered(0, 0)


async def test_unread_sums_are_dropped():
    traffic = PodTraffic(Pods())
    for number in range(100):
        await traffic.answered(
            Watched(f"uid-{number}", "production", "1f2e3d4c", NOW, Answered()), [], NOW
        )
    await traffic.answered(replace(WATCHED, uid="uid-new"), [], NOW + timedelta(hours=2))
    assert len(traffic._sums) == 1
