"""Two replicas as processes, and one Lease (R12, I10)."""

from __future__ import annotations

import os
import signal

from tests.cluster.apiserver import ApiServer
from tests.engine.proxy import Fault, proxy
from tests.engine.rig import User, operator, until


async def test_the_standby_replica_takes_the_lease_at_once_when_the_leader_stops(
    server: ApiServer, admin: User
) -> None:
    async with (
        operator(server.kubeconfig, "one") as first,
        operator(server.kubeconfig, "two") as second,
    ):
        await first.says("Started reconciling") if await until(
            admin.holder, "a replica holds the lease"
        ) == "one" else await second.says("Started reconciling")
        leader, other = (first, second) if await admin.holder() == "one" else (second, first)
        await other.says("Waiting for the lease")
        assert (await other.page("/readyz"))[0] == 200
        assert "modelyard_leader 1.0" in (await leader.page("/metrics"))[1]
        assert "modelyard_leader 0.0" in (await other.page("/metrics"))[1]
        await admin.create("early", outside=False)
        await admin.ready("early")
        assert await leader.stop() == 0
        await other.says("Started reconciling")
        await admin.create("late", outside=False)
        await admin.ready("late")


async def test_the_standby_replica_takes_the_lease_when_the_leader_is_killed(
    server: ApiServer, admin: User
) -> None:
    async with operator(server.kubeconfig, "one") as first:
        await first.says("Started reconciling")
        async with operator(server.kubeconfig, "two") as second:
            await second.says("Waiting for the lease")
            await admin.create("toy", outside=False)
            await first.kill()
            await second.says("Started reconciling")
            await admin.ready("toy")


async def test_a_paused_leader_writes_nothing_when_it_continues(
    server: ApiServer, admin: User
) -> None:
    async with proxy(server) as ones, operator(ones.kubeconfig(server.folder), "one") as first:
        await first.says("Started reconciling")
        await admin.create("toy", children=3, outside=False)
        await admin.ready("toy")
        async with operator(server.kubeconfig, "two") as second:
            await second.says("Waiting for the lease")
            os.kill(first.process.pid, signal.SIGSTOP)
            try:
                await second.says("Started reconciling")
                await admin.patch("toy", {"spec": {"value": "new"}})
                await admin.ready("toy", value="new")
                await admin.patch("toy", {"spec": {"value": "newer"}})
                ones.trace.clear()
            finally:
                os.kill(first.process.pid, signal.SIGCONT)
            assert await first.ended() == 1
            assert any("Exiting immediately" in line for line in first.log)
            assert ones.writes == []
            await admin.ready("toy", value="newer")


async def test_a_leader_that_cannot_renew_stops_writing_until_it_can(
    server: ApiServer, admin: User
) -> None:
    async with (
        proxy(server) as between,
        operator(between.kubeconfig(server.folder), "one") as process,
    ):
        await process.says("Started reconciling")
        between.once(lambda request: "/leases/" in request.path, Fault(status=503), times=12)
        await process.says("writes are blocked")
        between.trace.clear()
        await admin.create("toy", outside=False)
        await process.says("writes are allowed again")
        assert between.writes == [] or await admin.get("toy") is not None
        await admin.ready("toy")
        assert process.process.returncode is None
