"""One request, or one client, cannot stop a model: real server processes with limited memory, files and deadlines, and real sockets.

Each figure of memory is what was measured; five times as much fails.
"""

import gzip
import json
import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.harness import until
from tests.runtime.programs import Answer, Server, serving
from tests.runtime.test_deadlines import MIB, POST, V1, V2, opened
from tests.runtime.test_invocations import ROWS, WIDE, columns
from tests.runtime.test_weight import parquet

PARQUET = "application/vnd.apache.parquet"


# --- what a request becomes ------------------------------------------------------------------------
@dataclass(frozen=True)
class Hostile:
    """A request that becomes far more than it is."""

    model: str
    ask: Callable[[Server], Answer]
    status: int
    named: str
    figure: int
    """MiB by which the server grew when it was measured, or 10."""


def zeros() -> bytes:
    return parquet(pa.table({name: np.zeros(5_000_000) for name in WIDE}), compression="zstd")


def repeated() -> bytes:
    """A long text, stored once, for each of many rows."""
    index = pa.array(np.zeros(200_000, np.int32))
    return parquet(pa.table({"amount": np.zeros(200_000), "city": pa.DictionaryArray.from_arrays(index, pa.array(["x" * 20_000]))}))


def shaped(shape: list[int]) -> str:
    return json.dumps({"inputs": [{"name": "x", "datatype": "FP64", "shape": shape, "data": [1.0]}]})


def lists(server: Server) -> Answer:
    return server.ask("POST", V1, b'{"instances":[' + b",".join([b"[]"] * 22_000_000) + b"]}")


def texts(server: Server) -> Answer:
    return server.invoke({"inputs": {"amount": [1.0] * 60_000, "city": ["x" * 20_000, *["y"] * 59_999]}})


def texts_among_numbers() -> list[Any]:
    return ["x" * 30_000, *[1] * 15_000]


def deep() -> dict[str, Any]:
    data: list[Any] = ["x"]
    for _ in range(900):
        data = [data]
    return {"name": "feature_00", "datatype": "BYTES", "shape": [1], "data": data}


def wide() -> dict[str, Any]:
    return {"name": "x", "datatype": "FP64", "shape": [1, 15_001], "data": texts_among_numbers()}


def packed(server: Server) -> Answer:
    return server.invoke(gzip.compress(bytes(300 * MIB)), content_encoding="gzip")


def posting(path: str, body: Callable[[], str]) -> Callable[[Server], Answer]:
    return lambda server: server.ask("POST", path, body())


FEWER = "fewer rows"
HOSTILE = {
    "a shape of a million sizes": Hostile("classifier", posting(V2, lambda: shaped([9] * 1_000_000)), 400, "dimensions", 30),
    "a shape of sizes that are too large": Hostile("classifier", posting(V2, lambda: shaped([10**18] * 20)), 400, "shape", 10),
    "millions of lists": Hostile("classifier", lists, 413, FEWER, 110),
    "deep lists": Hostile("classifier", posting(V1, lambda: '{"instances":' + "[" * 500_000), 400, "JSON", 10),
    "deep lists of texts": Hostile("classifier", lambda server: server.infer(deep()), 400, "lacks the column", 10),
    "Parquet of zeros": Hostile("classifier", lambda server: server.invoke(zeros(), PARQUET), 413, FEWER, 60),
    "gzip of nothing": Hostile("classifier", packed, 413, "uncompressed", 30),
    "a long text among numbers": Hostile("classifier", lambda server: server.predict([texts_among_numbers()]), 400, "20 columns", 10),
    "a long text in a tensor": Hostile("classifier", lambda server: server.infer(wide()), 400, "FP64", 10),
    "CSV of commas": Hostile("classifier", lambda server: server.invoke("," * 20_000_000, "text/csv"), 413, FEWER, 60),
    "texts of one long one, through MLflow": Hostile("scaled", texts, 413, FEWER, 30),
    "Parquet of one long text, through MLflow": Hostile("scaled", lambda server: server.invoke(repeated(), PARQUET), 413, FEWER, 60),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_request_that_becomes_too_much_is_refused_before_it_does(limited: Callable[[str], Server], name: str):
    hostile = HOSTILE[name]
    server = limited(hostile.model)
    with server.growth() as grown:
        answer = hostile.ask(server)
    assert (answer.status, hostile.named in answer.text) == (hostile.status, True), answer.text
    assert len(answer.text) < 2000
    assert grown[0] < 5 * hostile.figure * MIB
    assert server.get("/v2/health/live").status == 200


def test_a_large_request_within_the_limits_is_answered(limited: Callable[[str], Server]):
    server = limited("classifier")
    table = np.random.default_rng(3).normal(size=(15_000, 20)).round(3)
    expected = server.predict(table[:50].tolist()).json["predictions"]
    whole = server.predict(table.tolist())
    assert whole.status == 200
    assert (len(whole.json["predictions"]), whole.json["predictions"][:50]) == (15_000, expected)
    packed = gzip.compress(json.dumps({"instances": table.tolist()}).encode())
    assert server.ask("POST", V1, packed, content_encoding="gzip").json == whole.json
    written = parquet(pa.table({name: table[:, index] for index, name in enumerate(WIDE)}))
    assert server.invoke(written, PARQUET).json == whole.json


def test_one_row_by_column(limited: Callable[[str], Server]):
    """A small Parquet file, which no thread would be needed for, is weighed too."""
    server = limited("classifier")
    assert server.invoke(parquet(pa.table(columns(WIDE, ROWS))), PARQUET).json == server.predict(ROWS).json


# --- many at once --------------------------------------------------------------------------------------
def test_bodies_at_once_are_bounded(models: Path, tmp_path: Path):
    """A sixteenth of 512 MiB is a body, two of those are held."""
    with serving(tmp_path, models / "classifier", limits={"as": 512 * MIB}) as server, ExitStack() as stack:
        head = POST + f"content-length: {30 * MIB}\n\n"
        connections = [stack.enter_context(opened(server, head, rest=bytes(16 * MIB))) for _ in range(5)]
        answered = [each for each in connections if readable(each)]
        until(lambda: any(readable(each) for each in connections), "one of them is refused", 60)
        answered = [each for each in connections if readable(each)]
        assert len(answered) == 1
        answer = answered[0].recv(65_536)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"try again soon" in answer
        assert server.get("/v2/health/live").status == 200
        stack.close()
        until(lambda: server.ask("POST", V1, json.dumps({"instances": ROWS * 20_000})).status == 200, "there is room again", 60)


def readable(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    finally:
        connection.settimeout(60)


def test_of_too_many_connections_the_one_that_waited_longest_is_closed(models: Path, tmp_path: Path):
    with serving(tmp_path, models / "classifier", limits={"nofile": 96}) as server, ExitStack() as stack:
        connections = [stack.enter_context(opened(server)) for _ in range(120)]
        assert server.get("/v2/health/live").status == 200
        assert server.predict(ROWS).status == 200
        assert connections[0].recv(1) == b""
        connections[-1].sendall(b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n")
        assert connections[-1].recv(15) == b"HTTP/1.1 200 OK"
