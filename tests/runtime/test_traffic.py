"""GET /modelyard/traffic: what a pod answered, of all its workers, at the port of metrics."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelyard_runtime.serve.traffic import EDGES, Traffic
from tests import moody
from tests.runtime.programs import Server, serving


def page(server: Server) -> dict[str, Any]:
    answer = replace(server, port=server.metrics_port).get("/modelyard/traffic")
    assert answer.status == 200, answer.text
    found: dict[str, Any] = answer.json
    return found


def test_workers_count_together_what_they_answered_and_how(tmp_path: Path):
    for path, content in moody.files().items():
        (tmp_path / "model" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / path).write_bytes(content)
    env = {"MODELYARD_WORKERS": "2", "MODELYARD_ALLOW_CODE_MODELS": "true", "MODELYARD_DRAIN_SECONDS": "1"}
    with serving(tmp_path / "pod", tmp_path / "model", env) as server:
        before = page(server)
        assert datetime.fromisoformat(before.pop("started")) <= datetime.now(UTC)
        nothing = {"requests": 0, "failures": 0, "refusals": 0, "latency": {}}
        assert before == {"version": "v3", "runtime": "1f2e3d4c"} | nothing
        # Each request has a connection of its own: the kernel gives them to both workers.
        well = [server.predict([moody.WELL]).status for _ in range(16)]
        assert (well, server.predict([moody.FAILS]).status, server.invoke("{").status) == ([200] * 16, 500, 400)
        found = page(server)
        assert (found["requests"], found["failures"], found["refusals"]) == (18, 1, 1)
        assert sum(found["latency"].values()) == 16
        assert all(0 <= int(edge) <= len(EDGES) for edge in found["latency"])
        there = server.get("/modelyard/traffic")
        assert (there.status, there.json["error"]) == (404, f"/modelyard/traffic is at port {server.metrics_port}")


def test_a_time_out_is_a_failure_and_a_client_that_went_away_is_nothing():
    traffic = Traffic("v3", "1f2e3d4c")
    for status, seconds in [(200, 0.0001), (200, 0.00025), (200, 0.0005), (200, 3600.0), (503, 60.0), (413, 0.1), (408, 60.0), (499, 1.0)]:
        traffic.answered(status, seconds)
    found = json.loads(traffic.page())
    assert (found["requests"], found["failures"], found["refusals"]) == (7, 1, 2)
    assert found["latency"] == {"0": 2, "8": 1, "145": 1}
