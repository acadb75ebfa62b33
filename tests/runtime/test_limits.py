"""One request, or one client, cannot stop a model: real server processes with limited memory, files and deadlines, and real sockets.

Each figure of memory is what was measured; five times as much fails.
"""

import gzip
import io
import json
import random
import socket
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modelyard_runtime.serve import pages, weight
from modelyard_runtime.serve.limits import limits, memory
from modelyard_runtime.serve.values import Refused
from tests.harness import until
from tests.runtime.programs import Answer, Server, serving
from tests.runtime.test_invocations import ROWS, WIDE, columns

GIB, MIB = 1 << 30, 1 << 20
PARQUET = "application/vnd.apache.parquet"
V1, V2 = "/v1/models/fraud:predict", "/v2/models/fraud/infer"
ALLOWED = {"MODELYARD_ALLOW_CODE_MODELS": "true"}


@pytest.fixture(scope="module")
def limited(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Server]]:
    """Gives the server of a model in a process that may map a gibibyte, two for one that imports pandas."""
    known: dict[str, Server] = {}
    with ExitStack() as stack:

        def server(name: str) -> Server:
            if name not in known:
                most = {"as": 2 * GIB if name == "scaled" else GIB}
                known[name] = stack.enter_context(serving(tmp_path_factory.mktemp(name), models / name, ALLOWED, limits=most))
            return known[name]

        yield server


@pytest.fixture(scope="module")
def hasty(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with short deadlines."""
    env = {"MODELYARD_HEADER_SECONDS": "1", "MODELYARD_TIMEOUT_SECONDS": "3"}
    with serving(tmp_path_factory.mktemp("hasty"), models / "classifier", env) as server:
        yield server


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


def parquet(table: pa.Table, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


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


# --- what never ends ---------------------------------------------------------------------------------
def opened(server: Server, head: str = "", *, rest: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    connection.sendall(head.replace("\n", "\r\n").encode() + rest)
    return connection


def all_of(connection: socket.socket) -> bytes:
    """What comes until the server closes, which it may do while something is on its way to it."""
    found = b""
    with connection:
        try:
            while piece := connection.recv(65_536):
                found += piece
        except ConnectionResetError:
            pass
    return found


POST = f"POST {V1} HTTP/1.1\nhost: x\n"


def test_what_does_not_arrive_in_time_is_answered_and_closed(hasty: Server):
    waiting = {
        "no request": opened(hasty),
        "line ends": opened(hasty, "\n\n\n"),
        "half a header": opened(hasty, "GET /v2 HTTP/1.1\nhost: x\nx-long: aaa"),
        "half a body": opened(hasty, POST + "content-length: 100\n\n", rest=b'{"instances"'),
        "no end of chunks": opened(hasty, POST + "transfer-encoding: chunked\n\n2\n{}\n"),
        "half a header behind an answer": opened(hasty, "GET /v2 HTTP/1.1\nhost: x\n\nGET /v2 HTT"),
    }
    assert hasty.get("/v2/health/live").status == 200
    found = {name: all_of(connection) for name, connection in waiting.items()}
    assert found["no request"] == found["line ends"] == b""
    assert found["half a header"].startswith(b"HTTP/1.1 408 ")
    for name in ("half a body", "no end of chunks"):
        head, _, body = found[name].partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert b"modelyard-version: v3" in head
        assert json.loads(body) == {"error": "the body did not arrive within 3 s"}
    assert found["half a header behind an answer"].startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in found["half a header behind an answer"]
    assert 'code="408"' in hasty.metrics()


@pytest.mark.parametrize(
    ("head", "piece", "named"),
    [
        ("GET /v2 HTTP/1.1\nhost: x\n", b"x-more: " + b"a" * 1000 + b"\r\n", b"headers have more than"),
        ("GET /v2 HTTP/1.1\nhost: x\nx-long: ", b"a" * 1000, b"headers have more than"),
        ("GET /", b"a" * 1000, b"headers have more than"),
        (POST + "transfer-encoding: chunked\n\n1;", b"a" * 1000, b"more framing than content"),
        (POST + "transfer-encoding: chunked\n\n0\n", b"x-more: " + b"a" * 1000 + b"\r\n", b"more framing than content"),
    ],
    ids=["headers", "a header", "a path", "a chunk's extension", "trailers"],
)
def test_headers_that_never_end_are_refused(limited: Callable[[str], Server], head: str, piece: bytes, named: bytes):
    server = limited("classifier")
    connection = opened(server, head)
    with server.growth() as grown:
        try:
            for _ in range(20_000):
                connection.sendall(piece)
        except (ConnectionResetError, BrokenPipeError):
            pass
        else:
            pytest.fail("it took all of it")
        found = all_of(connection)
    assert not found or found.startswith(b"HTTP/1.1 400 ")
    assert not found or named in found
    assert grown[0] < 10 * MIB


def test_a_body_of_single_bytes_is_a_body(hasty: Server):
    """Each in a chunk of its own, which is six bytes."""
    body = json.dumps({"instances": ROWS * 20}).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    head = POST + "transfer-encoding: chunked\nconnection: close\n\n"
    assert all_of(opened(hasty, head, rest=chunks + b"0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


def test_what_is_refused_may_not_be_sent_for_ever(hasty: Server):
    with opened(hasty, POST + f"content-length: {10**12}\n\n") as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")
        until(lambda: gone(connection), "it is closed", 60)


def gone(connection: socket.socket) -> bool:
    try:
        connection.sendall(b"x")
    except OSError:
        return True
    return False


def test_a_client_that_does_not_read_its_answer_is_dropped(hasty: Server):
    """An answer that no buffer of the kernel holds, for the request's id is in it."""
    whole = 24 * MIB
    body = json.dumps({"id": "x" * whole, "inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 20], "data": ROWS[0]}]}).encode()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", hasty.port))
        connection.sendall(f"POST {V2} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
        until(lambda: gone(connection), "it is dropped", 60)
        assert hasty.get("/v2/health/live").status == 200


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


# --- the figures ---------------------------------------------------------------------------------------
def test_the_memory_is_the_container_s(tmp_path: Path):
    machine = memory(tmp_path)
    assert machine > 0
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "limit_in_bytes").write_text("1\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert memory(tmp_path) == machine
    (tmp_path / "memory.max").write_text(f"{64 * MIB}\n")
    assert memory(tmp_path) == 64 * MIB
    (tmp_path / "memory.max").unlink()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text(f"{32 * MIB}\n")
    assert memory(tmp_path) == 32 * MIB


def test_limits_are_in_proportion_to_the_memory_and_shared_by_the_processes():
    whole = limits(2 * GIB, 1, body=None, headers=10, timeout=60)
    assert (whole.body, whole.one, whole.work, whole.held) == (64 * MIB, 512 * MIB, 512 * MIB, 256 * MIB)
    shared = limits(2 * GIB, 4, body=None, headers=10, timeout=60)
    assert (shared.body, shared.one, shared.held) == (32 * MIB, 128 * MIB, 64 * MIB)
    assert limits(2 * GIB, 1, body=200 * MIB, headers=10, timeout=60).held == 400 * MIB


def measured(document: bytes) -> int:
    """What the values of a document take as Python has them."""
    tracemalloc.start()
    try:
        kept = json.loads(document)
        size = tracemalloc.get_traced_memory()[0]
        del kept
    finally:
        tracemalloc.stop()
    return size


@pytest.mark.parametrize("seed", range(30))
def test_no_json_becomes_more_than_it_was_weighed(seed: int):
    rng = random.Random(seed)

    def value(depth: int) -> Any:
        kind = rng.randrange(8 if depth < 4 else 5)
        if kind < 5:
            return rng.choice([1.5, 12345678901, "é", "ab", "\U0001f600" * 9, None, True, "x" * 40, rng.random()])
        size = rng.randrange(12)
        return [value(depth + 1) for _ in range(size)] if kind < 7 else {str(rng.random()): value(depth + 1) for _ in range(size)}

    document = json.dumps([value(0) for _ in range(300)], ensure_ascii=bool(seed % 2)).encode()
    assert weight.json(document).size >= measured(document)


WRITTEN = [
    {"compression": "zstd"},
    {"compression": "gzip", "data_page_version": "2.0"},
    {"compression": "none", "use_dictionary": False, "write_statistics": False},
    {"compression": "snappy", "row_group_size": 100, "data_page_size": 512},
]


@pytest.mark.parametrize("options", WRITTEN, ids=str)
def test_the_pages_of_a_file_say_what_it_becomes(options: dict[str, Any]):
    rows = 5000
    rng = np.random.default_rng(1)
    table = pa.table(
        {
            "number": rng.normal(size=rows),
            "whole": pa.array([None if row % 3 else row for row in range(rows)]),
            "text": [f"text {row % 40}" for row in range(rows)],
            "lists": [[1.5] * (row % 5) for row in range(rows)],
        }
    )
    written = parquet(table, **options)
    found = pages.weigh(written)
    file = pq.ParquetFile(io.BytesIO(written)).metadata
    groups = [file.row_group(group).column(index) for group in range(file.num_row_groups) for index in range(4)]
    assert found.values >= sum(each.num_values for each in groups)
    assert found.size >= sum(each.total_uncompressed_size for each in groups)
    assert found.size < 40 * table.nbytes
    assert pages.texts(written) == 4 * sum(len(text) for text in table.column("text").to_pylist())


def test_a_footer_that_lies_is_not_believed():
    """The footer's own sizes are replaced by small ones; Arrow would allocate what the pages say."""
    written = parquet(pa.table({"a": np.zeros(1_000_000)}), compression="zstd", use_dictionary=False)
    honest = pq.ParquetFile(io.BytesIO(written)).metadata.row_group(0).column(0).total_uncompressed_size
    lying = written.replace(varint(2 * honest), varint(2 * 100, len(varint(2 * honest))))
    assert pq.ParquetFile(io.BytesIO(lying)).metadata.row_group(0).column(0).total_uncompressed_size == 100
    assert pages.weigh(lying).size > honest


def varint(value: int, length: int = 0) -> bytes:
    """A number as Thrift writes it, if need be with leading nothing."""
    found = bytearray()
    while value > 127 or len(found) < length - 1:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


@pytest.mark.parametrize(
    "body",
    [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", zeros()[:200] + zeros()[-2000:]],
    ids=["nothing", "a word", "no footer", "no pages"],
)
def test_what_is_no_parquet_is_refused(body: bytes):
    with pytest.raises(Refused, match="not a Parquet file"):
        pages.weigh(body)


def test_the_product_of_a_shape_is_multiplied_no_further_than_needed():
    assert weight.product([3, 4], 12, "x") == 12
    assert weight.product([0, 10**4000], 12, "x") == 0
    for shape in ([3, 5], [10**4000], [1] * 33):
        with pytest.raises(Refused):
            weight.product(shape, 12, "x")


def test_one_row_by_column(limited: Callable[[str], Server]):
    """A small Parquet file, which no thread would be needed for, is weighed too."""
    server = limited("classifier")
    assert server.invoke(parquet(pa.table(columns(WIDE, ROWS))), PARQUET).json == server.predict(ROWS).json
