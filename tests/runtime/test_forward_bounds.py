"""Limits of the stable pod itself do not count as failures of the candidate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiohttp import web

from modelyard_runtime.serve import arms
from modelyard_runtime.serve.budget import Budget, Held
from modelyard_runtime.serve.callers import Callers
from modelyard_runtime.serve.forward import ForwardedRequest, Forwarder
from modelyard_runtime.serve.limits import Limits
from modelyard_runtime.serve.rule import Rule
from modelyard_runtime.serve.splitter import Splitter
from tests.runtime.canary import CANDIDATE, PREDICT, ask, splitting
from tests.runtime.programs import serving
from tests.runtime.test_canary import with_header

KIB = 1 << 10
TYPE = (b"content-type", b"application/json")


async def answering(received: list[Any]) -> tuple[web.AppRunner, int]:
    """A candidate that answers everything with 8 KiB."""

    async def predict(request: web.Request) -> web.Response:
        received.append(dict(request.headers))
        await request.read()
        headers = {"modelyard-version": "v2", "modelyard-runtime": "r2"}
        return web.Response(body=b"x" * 8 * KIB, content_type="application/json", headers=headers)

    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/invocations", predict)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]


async def asked(headers: list[tuple[bytes, bytes]], taken: int) -> tuple[Any, Any, list[Any]]:
    """Return the candidate's answer through a pod that already holds this many bytes, its counts,
    and what the candidate received.
    """
    received: list[Any] = []
    runner, port = await answering(received)
    limits = Limits(body=16 * KIB, one=1 << 20, work=1 << 20, held=64 * KIB, connections=64)
    budget = Budget(limits)
    words = memoryview(bytearray(arms.WORDS * 8)).cast("Q")
    forwarder = Forwarder("v1", f"127.0.0.1:{port}", limits)
    splitter = Splitter("fraud", "v1", arms.Arms(words), Callers(None), forwarder, longest=30)
    try:
        await splitter.apply(Rule(1, "svc", "v2", "r2", 50, 30.0))
        assert splitter.split is not None
        drawn = splitter.split.draw([], lambda: 0.0)
        held = Held(budget)
        held.take(16 * KIB)
        Held(budget).take(taken)
        body = ForwardedRequest("/invocations", [TYPE, *headers], b"y" * 16 * KIB, held)
        answer = await splitter.forward(drawn, body)
    finally:
        await splitter.close()
        await runner.cleanup()
    return answer, arms.pages([words], [words])["arms"]["candidate"], received


async def test_an_answer_too_large_for_this_pod_s_memory_is_no_failure_of_the_candidate():
    answer, counts, received = await asked([], taken=44 * KIB)
    assert received
    assert answer is None
    assert (counts["requests"], counts["failures"]) == (0, 0)


async def test_an_answer_within_the_memory_is_counted():
    answer, counts, _ = await asked([], taken=0)
    assert answer.status == 200
    assert (counts["requests"], counts["failures"]) == (1, 0)


async def test_a_trace_header_that_would_grow_or_is_long_is_not_forwarded():
    short = (b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    grows, long = (b"x-request-id", b"\xff" * 900), (b"tracestate", b"a" * 1025)
    answer, counts, (received,) = await asked([short, grows, long], taken=0)
    assert answer.status == 200
    assert received["traceparent"] == short[1].decode()
    assert received.keys().isdisjoint({"x-request-id", "tracestate"})
    assert counts["refusals"] == 0


def test_the_workers_of_a_pod_count_a_user_s_refusal_once(models: Path, tmp_path: Path):
    """Real servers, of two workers; either version refuses the request."""
    bad = with_header(PREDICT.replace(b"instances", b"instanzen"), "x-user: u1")
    with (
        serving(tmp_path / "c", models / "classifier", who=CANDIDATE) as candidate,
        splitting(
            tmp_path / "s", models / "classifier", candidate.port, {"MODELYARD_WORKERS": "2"}
        ) as stable,
    ):
        stable.tell(50, sticky={"header": "x-user"})
        ask([stable.server.port], [bad] * 40)
        found = stable.arm("candidate"), stable.arm("stable")
    assert sum(refusals for _, _, refusals in found) == 1
