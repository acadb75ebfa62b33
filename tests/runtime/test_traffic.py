"""GET /modelyard/traffic at the metrics port. Several workers: test_lifecycle."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from modelyard.adapters.pod_counters import Counters, PodCounters
from modelyard.api.addresses import Addresses
from modelyard.api.wire import LATENCY_EDGES as EDGES
from modelyard_runtime.serve.traffic import Traffic
from tests.runtime.programs import Server
from tests.runtime.test_invocations import ROWS


async def counters(server: Server) -> Mapping[str, Counters]:
    """Return what the operator reads from it."""
    ports = [{"name": "metrics", "containerPort": server.metrics_port}]
    meta = {"uid": "uid-a", "labels": {"modelyard.io/identity": "1f2e3d4c"}}
    pod = {
        "metadata": meta,
        "spec": {"containers": [{"name": "model", "ports": ports}]},
        "status": {"podIP": "127.0.0.1"},
    }
    asks = PodCounters(Addresses(allow=("127.0.0.1",)))
    try:
        return await asks.read([pod])
    finally:
        await asks.close()


def test_a_server_counts_its_answers_by_result_and_the_operator_reads_them(
    served: Callable[[str], Server],
):
    server = served("linear")
    before = server.traffic()
    assert (before["version"], before["runtime"]) == ("v3", "1f2e3d4c")
    assert datetime.fromisoformat(before["started"]) <= datetime.now(UTC)
    well = [server.predict(ROWS).status for _ in range(3)]
    assert (well, server.invoke("{").status) == ([200] * 3, 400)
    found = server.traffic()
    assert [found[each] - before[each] for each in ("requests", "failures", "refusals")] == [
        4,
        0,
        1,
    ]
    assert sum(found["latency"].values()) - sum(before["latency"].values()) == 3
    assert all(0 <= int(edge) <= len(EDGES) for edge in found["latency"])
    assert asyncio.run(counters(server)) == {
        "uid-a": Counters(found["started"], found["requests"], found["failures"])
    }
    there = server.get("/modelyard/traffic")
    assert (there.status, there.json["error"]) == (
        404,
        f"/modelyard/traffic is at port {server.metrics_port}",
    )


def test_a_time_out_counts_as_a_failure_and_a_disconnected_client_does_not_count():
    traffic = Traffic("v3", "1f2e3d4c")
    for status, seconds in [
        (200, 0.0001),
        (200, 0.00025),
        (200, 0.0005),
        (200, 3600.0),
        (503, 60.0),
        (413, 0.1),
        (408, 60.0),
        (499, 1.0),
    ]:
        traffic.answered(status, seconds)
    found = json.loads(traffic.page())
    assert (found["requests"], found["failures"], found["refusals"]) == (7, 1, 2)
    assert found["latency"] == {"0": 2, "8": 1, "145": 1}
