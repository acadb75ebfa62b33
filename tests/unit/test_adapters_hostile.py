"""A tenant's MLflow or S3 is broken or hostile: the call soon fails with an error of ours, and no
other tenant is affected.

Every answer is sent over a real socket (`tests.hostile`). Their memory use is measured in a
separate process.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from modelyard.adapters.bounds import Bounds, Limits
from modelyard.adapters.instrument import CallTimer
from modelyard.adapters.mlflow import Credentials, Mlflow
from modelyard.adapters.mlflow_rest import Answer, Oversized
from modelyard.adapters.mlflow_search import Pace, Page
from modelyard.adapters.mlflow_search import search as paged
from modelyard.adapters.offload import Pool
from modelyard.adapters.s3 import S3, Deadlines
from modelyard.adapters.s3_client import Clients, Keys
from modelyard.api.artifacts import Reach
from modelyard.errors import Invalid, ModelyardError, Unavailable
from tests.hostile import Hostile, hostile
from tests.local import limits

FIGURE = 70
"""MiB that the process grew by when every attack of `hostile_child` ran, one after the other."""
TREE = "s3://bucket/risk/m/"


CLIENTS = Clients(limits=limits(pages=30, stall=1.5))  # loads boto3's description of S3 once


@dataclass
class World:
    """The server, and the limits that all tenants share."""

    server: Hostile
    shared: Limits
    bulk: Pool
    stack: AsyncExitStack

    def mlflow(self, how: str, deadline: float = 5.0) -> Mlflow:
        """Return one tenant's MLflow, which answers in this way."""
        timer = CallTimer("MLflow", lambda *_: None)
        made = Mlflow(
            f"{self.server.url}/{how}", Credentials(), timer, deadline=deadline, limits=self.shared
        )
        self.stack.push_async_callback(made.close)
        return made

    def s3(self, how: str, deadlines: Deadlines | None = None) -> S3:
        """Return one tenant's S3, which answers in this way."""
        made = S3(
            Keys(f"{self.server.url}/{how}", "a", "b"),
            Reach("bucket", "risk"),
            CallTimer("S3", lambda *_: None),
            clients=CLIENTS,
            pool=Pool("S3", 4),
            bulk=self.bulk,
            deadlines=deadlines or Deadlines(call=5.0, listing=20.0, digest=20.0),
        )
        self.stack.push_async_callback(made.close)
        return made


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with hostile() as server, AsyncExitStack() as stack:
        yield World(server, limits(pages=30), Pool("S3", 8), stack)
        server.over.set()


Call = Callable[[Mlflow], Awaitable[object]]


def read(client: Mlflow) -> Awaitable[object]:
    return client.run("r")


def search(client: Mlflow) -> Awaitable[object]:
    return client.runs("1", tags={"a": "b"})


def versions(client: Mlflow) -> Awaitable[object]:
    return client.versions("m")


@pytest.mark.parametrize(
    ("how", "call", "kind"),
    [
        ("braces", search, Invalid),
        ("lists", search, Invalid),
        ("endless", read, Invalid),
        ("tiny-chunks", read, Invalid),
        ("nested", read, Unavailable),
        ("nested-objects", read, Unavailable),
        ("bomb", read, Unavailable),
        ("headers", read, Unavailable),
        ("metric-10-to-400", read, Unavailable),
        ("metric-10-to-5000", read, Unavailable),
        ("metric-object", read, Unavailable),
        ("start-list", read, Unavailable),
        ("id-object", read, Unavailable),
        ("id-long", read, Unavailable),
        ("version-abc", versions, Unavailable),
        ("endless-versions", versions, Unavailable),
        ("endless-runs", search, Unavailable),
    ],
)
async def test_answers_that_are_not_mlflow_s_are_our_errors(
    world: World, how: str, call: Call, kind: type[ModelyardError]
):
    with pytest.raises(kind) as caught:
        await call(world.mlflow(how))
    assert isinstance(caught.value, Unavailable) == (kind is Unavailable)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("how", ["start-1e30", "start-10-to-30", "start-text", "start-nan"])
async def test_an_impossible_time_is_unknown(world: World, how: str):
    """Clients write their runs' times; a client that writes nanoseconds does not hide the other
    runs.
    """
    found = await world.mlflow(how).run("r")
    assert found is not None
    assert found.start is None


async def test_infinite_metrics_and_lone_surrogates_are_read(world: World):
    found = await world.mlflow("metric-1e400").run("r")
    assert found is not None
    assert found.metrics == {"m": float("inf")}
    found = await world.mlflow("surrogate").run("r")
    assert found is not None
    assert found.name == "?"


@pytest.mark.parametrize("how", ["drip", "drip-headers", "silent"])
async def test_a_slow_mlflow_ends_with_the_deadline_and_its_connection_is_closed(
    world: World, how: str
):
    client = world.mlflow(how, deadline=0.5)
    with pytest.raises(Unavailable, match=r"within 0\.5 s"):
        await client.run("r")
    async with asyncio.timeout(20):
        while world.server.open[how]:  # noqa: ASYNC110 - the server sees it when it sees it
            await asyncio.sleep(0.01)


# --- S3 -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ("big-listing", Invalid),
        ("tags-listing", Invalid),
        ("attributes", Invalid),
        ("entities", Invalid),
        ("endless", Invalid),
        ("endless-listing", Unavailable),
        ("same-listing", Unavailable),
        ("size-abc", Unavailable),
        ("size-negative", Unavailable),
        ("size-huge", Unavailable),
        ("no-etag", Unavailable),
        ("broken-xml", Unavailable),
        ("headers", Unavailable),
    ],
)
async def test_answers_that_are_not_s3_s_are_our_errors(
    world: World, how: str, kind: type[ModelyardError]
):
    store = world.s3(how)
    for call in (store.objects, store.digest):
        with pytest.raises(kind) as caught:
            await call(TREE)
        assert isinstance(caught.value, Unavailable) == (kind is Unavailable)
        if how in {"big-listing", "endless"}:
            assert "larger than 8 MiB" in caught.value.detail


async def test_a_redirect_is_requested_once(world: World):
    """Without the header with the bucket's region, boto3 requests the region, is redirected, and
    requests it again.
    """
    with pytest.raises(Invalid, match="redirect"):
        await world.s3("elsewhere").objects(TREE)
    assert world.server.redirected == 1


async def test_pages_that_are_too_large_end_at_the_search_s_time_limit():
    asked: list[int] = []

    async def page(rows: int, _: str) -> Answer[Page[str]]:
        asked.append(rows)
        raise Oversized("MLflow", "search", "x", "the answer is larger than 16 MiB")

    found = await paged(page, Bounds(seconds=0), Pace(200))
    assert (asked, found.complete) == ([200], False)


@pytest.mark.parametrize("how", ["no-xml", "deep-xml"])
async def test_a_listing_without_keys_is_empty(world: World, how: str):
    assert await world.s3(how).objects(TREE) == ()


async def test_an_endless_count_returns_a_minimum(world: World):
    found = await world.s3("endless-listing").usage("s3://bucket/risk/")
    assert found is not None
    assert (found.objects, found.complete) == (30, False)


async def test_an_object_without_its_length_is_read_and_one_that_is_longer_than_listed_is_not(
    world: World,
):
    store = world.s3("no-length")
    assert await store.read("s3://bucket/risk/m/a", 3) == b"abc"
    with pytest.raises(Invalid, match="larger than 2 bytes"):
        await store.read("s3://bucket/risk/m/a", 2)
    assert (await store.digest(TREE)).bytes == 3
    with pytest.raises(Invalid, match="larger than 100 bytes"):
        await world.s3("endless-object").read("s3://bucket/risk/m/a", 100)
    with pytest.raises(Unavailable, match="differs from the listing"):
        await world.s3("endless-object").digest(TREE)


@pytest.mark.parametrize("how", ["drip", "drip-headers", "silent"])
async def test_a_slow_s3_ends_with_the_deadline_and_gives_its_thread_back(world: World, how: str):
    store = world.s3(how, Deadlines(call=0.5, listing=0.5, digest=0.5))
    for call in (store.objects, store.digest):
        with pytest.raises(Unavailable, match=r"within 0\.5 s"):
            await call(TREE)
    async with asyncio.timeout(5):  # well below the ten seconds for which boto3 waits for a byte
        await store.close()


async def test_slow_objects_take_no_thread_of_another_tenant(world: World):
    """Three tenants want twelve of the eight threads; a fourth one has its own."""
    slow = [world.s3("dripping-object") for _ in range(3)]
    reading = [asyncio.create_task(each.digest(TREE)) for each in slow for _ in range(4)]
    await world.server.dripping.wait()
    tree = await world.s3("no-length").digest(TREE)
    assert tree is not None
    assert not any(each.done() for each in reading)
    for each in reading:
        with pytest.raises(Unavailable, match=r"almost nothing for 1\.5 s"):
            await each
    async with asyncio.timeout(5):
        for each in slow:
            await each.close()


async def test_attacks_take_little_memory_and_other_tenants_are_served(world: World):
    """Run in a separate process, so that its peak memory is known."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.hostile_child",
        world.server.url,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    output, _ = await child.communicate()
    assert child.returncode == 0
    told = json.loads(output)
    assert set(told["outcomes"].values()) <= {"Invalid", "Oversized", "Unavailable"}, told[
        "outcomes"
    ]
    assert told["grew"] < 5 * FIGURE, told
    assert told["answered"] >= len(told["outcomes"]), told
