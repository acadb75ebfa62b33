"""Candidates that fail in every way: the failures are counted, and no caller sees one."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard_runtime.serve.forward import _Circuit
from tests.harness import until
from tests.runtime.canary import PREDICT, Stable, ask, splitting, who
from tests.runtime.mixture import wire
from tests.runtime.odd_candidate import (
    BODY,
    MANNERS,
    WELL,
    Odd,
    asked,
    closes,
    closes_kept,
    endless,
    hangs,
    head,
    odd,
    says,
)
from tests.runtime.test_canary import with_header
from tests.runtime.test_deadlines import MIB, V1
from tests.runtime.test_invocations import ROWS

SLOW = {"hangs", "hangs in the middle"}


@pytest.fixture(scope="module")
def candidate() -> Iterator[Odd]:
    with odd() as found:
        yield found


@pytest.fixture(scope="module", params=["quick", "plain"])
def stable(
    request: pytest.FixtureRequest,
    models: Path,
    candidate: Odd,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stable]:
    """In a process that may map 1 GiB, which bounds the size of an answer."""
    env = {"MODELYARD_QUICK": str(request.param == "quick").lower()}
    folder = tmp_path_factory.mktemp(request.param) / "stable"
    with splitting(
        folder, models / "classifier", candidate.port, env, limits={"as": 1 << 30}
    ) as found:
        yield found


@pytest.mark.parametrize("manner", MANNERS)
def test_no_caller_sees_a_candidate_fail(stable: Stable, candidate: Odd, manner: str):
    candidate.be(MANNERS[manner])
    stable.tell(100, timeoutMs=200 if manner in SLOW else 5000)
    number = 100 if manner in SLOW else 250
    assert who(ask([stable.server.port], [PREDICT] * number, 16)) == {"v3": number}
    assert stable.arm("candidate") == (number, number, 0)
    assert stable.arm("stable") == (0, 0, 0)
    assert "v4 failed a request, which this pod answers" in stable.server.log


def test_a_missing_candidate(stable: Stable, candidate: Odd):
    stable.tell(100)
    candidate.close()
    try:
        assert who(ask([stable.server.port], [PREDICT] * 500, 16)) == {"v3": 500}
    finally:
        candidate.open()
    assert stable.arm("candidate") == (500, 500, 0)
    candidate.be(WELL)
    until(lambda: who(ask([stable.server.port], [PREDICT], 1)) == {"v4": 1}, "it is asked again")


def test_no_request_waits_for_a_deleted_candidate(stable: Stable, candidate: Odd):
    candidate.be(closes)
    stable.tell(100)
    assert who(ask([stable.server.port], [PREDICT] * 500, 1)) == {"v3": 500}
    assert stable.arm("candidate") == (500, 500, 0)
    assert candidate.connections < 100, "one a second"


def test_the_circuit_lets_one_try_after_a_second():
    circuit = _Circuit()
    assert [circuit.lets(now) for now in (1.0, 1.0)] == [True, True]
    circuit.broke(1.0)
    assert [circuit.lets(now) for now in (1.0, 1.99, 2.0, 2.1, 2.99, 3.0)] == [
        False,
        False,
        True,
        False,
        False,
        True,
    ]
    circuit.reached()
    assert [circuit.lets(now) for now in (3.1, 3.1)] == [True, True]


def test_a_kept_connection_that_was_closed_is_no_failure(stable: Stable, candidate: Odd):
    candidate.be(closes_kept)
    stable.tell(100)
    assert who(ask([stable.server.port], [PREDICT] * 500)) == {"v4": 500}
    assert stable.arm("candidate") == (500, 0, 0)
    assert candidate.connections > 100


def test_a_refusal_of_the_candidate_reaches_the_caller(stable: Stable, candidate: Odd):
    refusal = b'{"error":"v4 wants another column"}'
    candidate.be(says(head("400 Bad Request", len(refusal)) + refusal))
    stable.tell(100)
    found = ask([stable.server.port], [PREDICT] * 20)
    assert set(found) == {(400, "v4", refusal)}
    assert stable.arm("candidate") == (20, 0, 20)


def test_the_counted_time_is_that_of_the_model_server(stable: Stable, candidate: Odd):
    """The time that it reports, if that is plausible."""
    for said, edge in (
        ("0.0002", "0"),
        ("0.0000001", "0"),
        ("nan", None),
        ("-1", None),
        ("1e9", None),
        ("soon", None),
    ):
        candidate.be(says(head(more=f"modelyard-seconds: {said}") + BODY))
        stable.tell(100)
        assert who(ask([stable.server.port], [PREDICT] * 20, 1)) == {"v4": 20}
        latency = stable.traffic["arms"]["candidate"]["latency"]
        assert sum(latency.values()) == 20
        assert (latency.get("0", 0) == 20) == (edge == "0")


def test_an_endless_answer_is_abandoned(stable: Stable, candidate: Odd):
    candidate.be(endless)
    stable.tell(100)
    with stable.server.growth() as grown:
        assert who(ask([stable.server.port], [PREDICT] * 3, 1)) == {"v3": 3}
    assert stable.arm("candidate") == (3, 3, 0)
    assert grown[0] < 128 * MIB
    candidate.be(WELL)
    assert who(ask([stable.server.port], [PREDICT] * 20)) == {"v4": 20}, (
        "what was held is given back"
    )


def test_a_hanging_candidate_leaves_time_for_the_own_model(
    models: Path, candidate: Odd, tmp_path: Path
):
    """Its `timeoutMs` is longer than the server's whole time for a request."""
    candidate.be(hangs)
    with splitting(
        tmp_path / "stable",
        models / "classifier",
        candidate.port,
        {"MODELYARD_TIMEOUT_SECONDS": "2"},
    ) as stable:
        stable.tell(100, timeoutMs=600_000)
        large = wire(V1, {"instances": ROWS * 300})  # predicted in a thread, with a deadline
        assert who(ask([stable.server.port], [PREDICT, large], 2)) == {"v3": 2}
        assert stable.arm("candidate") == (2, 2, 0)


def test_the_own_model_has_its_whole_time_after_a_hanging_candidate(
    models: Path, candidate: Odd, tmp_path: Path
):
    """The candidate has 2 of 4 s; the own model takes 2.5 s, more than the rest."""
    candidate.be(hangs)
    env = {"MODELYARD_TIMEOUT_SECONDS": "4", "MODELYARD_ALLOW_CODE_MODELS": "true"}
    with splitting(tmp_path / "stable", models / "slow", candidate.port, env) as stable:
        stable.tell(100, timeoutMs=2000)
        assert who(ask([stable.server.port], [wire(V1, {"instances": [{"seconds": 2.5}]})], 1)) == {
            "v3": 1
        }
        assert stable.arm("candidate") == (1, 1, 0)
        assert "v4 failed a request, which this pod answers" in stable.server.log


def test_a_bounded_number_waits_for_a_candidate_and_the_others_are_not_drawn(
    stable: Stable, candidate: Odd
):
    candidate.be(hangs)
    stable.tell(100, timeoutMs=2000)
    assert who(ask([stable.server.port], [PREDICT] * 600, 300)) == {"v3": 600}
    requests, failures, _ = stable.arm("candidate")
    assert 0 < requests == failures < 600
    assert stable.arm("stable") == (0, 0, 0)
    candidate.be(WELL)
    assert who(ask([stable.server.port], [PREDICT] * 20)) == {"v4": 20}


def test_bodies_that_wait_for_a_candidate_do_not_fill_the_memory(stable: Stable, candidate: Odd):
    """If it held all of them, the server would refuse callers: its limit is 128 MiB."""
    candidate.be(hangs)
    stable.tell(100, timeoutMs=1000)
    large = wire(V1, b'{"instances":[[' + b"0.5," * 19 + b"0.5]" + b" " * (15 * MIB) + b"]}")
    assert who(ask([stable.server.port], [large] * 12, 6)) == {"v3": 12}
    requests, failures, _ = stable.arm("candidate")
    assert 0 < requests == failures < 12


def test_users_whose_requests_fail_are_counted_once(stable: Stable, candidate: Odd):
    candidate.be(MANNERS["answers 500"])
    stable.tell(50, sticky={"header": "x-user"})
    wires = [with_header(PREDICT, f"x-user: {number % 50}") for number in range(500)]
    assert who(ask([stable.server.port], wires)) == {"v3": 500}
    requests, failures, _ = stable.arm("candidate")
    assert requests == failures
    assert stable.arm("stable") == ((50 - requests) * 10, 0, 0)


def test_the_headers_that_the_candidate_gets(stable: Stable, candidate: Odd):
    """Headers for the model server and for traces, and nothing that identifies callers."""
    heads = list[bytes]()

    async def keeps(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append(await asked(reader))
            writer.write(head() + BODY)

    candidate.be(keeps)
    stable.tell(100)
    lines = [
        "Authorization: Bearer x",
        "Cookie: a=b",
        "X-Request-Id: 17",
        "traceparent: 00-1-2-03",
        "X-Forwarded-For: 10.0.0.1",
        "TE: trailers",
    ]
    assert who(ask([stable.server.port], [with_header(PREDICT, *lines)], 1)) == {"v4": 1}
    first, *rest = heads[0].decode().strip().lower().split("\r\n")
    assert first == f"post {V1} http/1.1"
    assert dict(line.split(": ", 1) for line in rest) == {
        "host": f"127.0.0.1:{candidate.port}",
        "content-type": "application/json",
        "content-length": str(len(PREDICT.partition(b"\r\n\r\n")[2])),
        "x-request-id": "17",
        "traceparent": "00-1-2-03",
        "modelyard-forwarded": "v3",
    }


def test_a_header_that_is_not_text_is_forwarded_unchanged(stable: Stable, candidate: Odd):
    candidate.be(WELL)
    stable.tell(100)
    odd_header = PREDICT.replace(b"Content-Type: application/json", b"Content-Type: \xe9\xff")
    assert odd_header != PREDICT
    assert who(ask([stable.server.port], [odd_header, PREDICT], 1)) == {"v4": 2}
    assert json.loads(stable.server.get("/v2/health/live").text)["live"]
