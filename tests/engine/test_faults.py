"""A connection that fails in every way (R3, R4, R5): the operator recovers from each, and nothing
is created twice.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from tests.cluster.apiserver import ApiServer
from tests.engine.proxy import Fault, Proxy, Request
from tests.engine.rig import User, operator, until

WATCHES = {
    "our own kind": lambda request: request.watches and request.path.endswith("/experiments"),
    "children": lambda request: request.watches and request.path.endswith("/configmaps"),
}
STREAMS = {
    "cut in the middle of a line": Fault(stream="cut"),
    "silent": Fault(stream="stall"),
    "expired": Fault(stream="expired"),
    "refused as too old": Fault(status=410),
    "reset": Fault(reset=True),
    "refused for its credentials": Fault(status=401),
    "refused for its rights": Fault(status=403),
    "too many": Fault(status=429, headers={"Retry-After": "1"}),
    "server error": Fault(status=500),
    "unavailable": Fault(status=503),
}


@pytest.mark.parametrize("fault", STREAMS.values(), ids=STREAMS.keys())
@pytest.mark.parametrize("watch", WATCHES.values(), ids=WATCHES.keys())
async def test_a_watch_heals(
    server: ApiServer, admin: User, between: Proxy, watch: Callable[[Request], bool], fault: Fault
) -> None:
    between.once(watch, fault, times=2)
    async with operator(between.kubeconfig(server.folder), MODELYARD_WATCH_SILENCE="2") as process:
        await process.says("Started reconciling")
        await admin.create("toy", value="red", outside=False)
        await admin.ready("toy", value="red")
        await admin.patch("toy", {"spec": {"value": "blue"}})
        await admin.ready("toy", value="blue")
        await admin.must("DELETE", "/api/v1/namespaces/risk/configmaps/toy-0")

        async def repaired() -> bool:
            return await admin.config_map("toy-0") is not None

        await until(repaired, "the child is back")
        await admin.delete("toy")
        await admin.gone("toy")
        assert await process.stop() == 0


@pytest.mark.parametrize(
    "fault", [Fault(status=410), Fault(status=500), Fault(status=429), Fault(reset=True)], ids=str
)
async def test_a_failed_list_is_retried(
    server: ApiServer, admin: User, between: Proxy, fault: Fault
) -> None:
    await admin.create("toy", value="red", outside=False)
    between.once(
        lambda request: (
            request.method == "GET" and not request.watches and request.path.endswith("s")
        ),
        fault,
        times=20,
    )
    async with operator(between.kubeconfig(server.folder)):
        await admin.ready("toy", value="red")


LOST = {
    "answered 503": Fault(status=503, forward=True),
    "answered 500": Fault(status=500, forward=True),
    "answered 504": Fault(status=504, forward=True),
    "reset": Fault(reset=True, forward=True),
}


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST.keys())
async def test_a_write_whose_answer_is_lost_does_no_harm(
    server: ApiServer, admin: User, between: Proxy, fault: Fault
) -> None:
    between.once(lambda request: request.writes, fault, times=4)
    async with operator(between.kubeconfig(server.folder)):
        await admin.create("toy", value="red", children=2, outside=False)
        await admin.ready("toy", value="red")
        maps = (await admin.must("GET", "/api/v1/namespaces/risk/configmaps"))["items"]
        assert sorted(
            each["metadata"]["name"] for each in maps if each["metadata"]["name"].startswith("toy")
        ) == ["toy-0", "toy-1"]


@pytest.mark.parametrize("seed", range(3))
async def test_a_storm_of_faults_passes(
    server: ApiServer, admin: User, between: Proxy, seed: int
) -> None:
    dice = random.Random(seed)
    faults = [*STREAMS.values(), *LOST.values(), Fault(status=409), Fault(status=422)]
    storm = lambda _request: dice.choice(faults) if dice.random() < 0.3 else None  # noqa: E731
    async with operator(between.kubeconfig(server.folder), MODELYARD_WATCH_SILENCE="2") as process:
        await process.says("Started reconciling")
        between.choose = storm
        names = [f"toy-{number}" for number in range(10)]
        for name in names:
            await admin.create(name, value="red", children=2, outside=False)
        for round_ in range(10):
            for name in names:
                await admin.patch(name, {"spec": {"value": f"v{round_}"}})
            await asyncio.sleep(0.5)  # not for a condition: this is how long the storm lasts
        between.choose = lambda _request: None
        for name in names:
            await admin.ready(name, value="v9")

        async def quiet() -> bool:
            return between.quiet(5)

        await until(quiet, "five seconds without a write")
        assert process.process.returncode is None


async def test_an_api_server_that_is_down_is_not_hammered(
    server: ApiServer, admin: User, between: Proxy
) -> None:
    async with operator(between.kubeconfig(server.folder)) as process:
        names = [f"toy-{number}" for number in range(100)]
        for name in names:
            await admin.create(name, outside=False)
        for name in names:
            await admin.ready(name)
        for name in names:
            await admin.patch(name, {"spec": {"value": "new"}})
            if name == "toy-10":
                between.choose = lambda request: Fault(reset=True) if not request.watches else None
                between.trace.clear()
        begin = asyncio.get_running_loop().time()
        # Whichever comes first: a write that fails, or the end of a lease that cannot be renewed.
        await process.says("Kubernetes: write")
        await asyncio.sleep(5)  # not for a condition: this is how long it is down
        seconds = asyncio.get_running_loop().time() - begin
        assert len(between.writes) < 30 + 3 * seconds
        between.choose = lambda _request: None
        for name in names:
            await admin.ready(name, value="new")
