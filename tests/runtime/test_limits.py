"""A single request or client cannot stop a server whose memory, files and deadlines are limited.

Each memory figure was measured; five times as much fails the test.
"""

import gzip
import json
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.harness import until
from tests.runtime.hostile import HOSTILE, PARQUET
from tests.runtime.programs import Server, serving
from tests.runtime.test_deadlines import MIB, POST, V1, opened
from tests.runtime.test_invocations import ROWS, WIDE, columns
from tests.runtime.test_weight import parquet


# --- the size of a parsed request
# ------------------------------------------------------------------------
@pytest.mark.parametrize("name", HOSTILE)
def test_a_request_that_would_grow_too_large_is_refused_before_parsing(
    limited: Callable[[str], Server], name: str
):
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
    """A small Parquet file, which needs no thread, is weighed too."""
    server = limited("classifier")
    assert (
        server.invoke(parquet(pa.table(columns(WIDE, ROWS))), PARQUET).json
        == server.predict(ROWS).json
    )


# --- many requests at once
# ----------------------------------------------------------------------------------
def test_bodies_at_once_are_bounded(models: Path, tmp_path: Path):
    """One body may have a sixteenth of 512 MiB, and two of them are held."""
    with (
        serving(tmp_path, models / "classifier", limits={"as": 512 * MIB}) as server,
        ExitStack() as stack,
    ):
        head = POST + f"content-length: {30 * MIB}\n\n"
        connections = [
            stack.enter_context(opened(server, head, rest=bytes(16 * MIB))) for _ in range(5)
        ]
        answered = [each for each in connections if readable(each)]
        until(lambda: any(readable(each) for each in connections), "one of them is refused", 60)
        answered = [each for each in connections if readable(each)]
        assert len(answered) == 1
        answer = answered[0].recv(65_536)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"try again soon" in answer
        assert server.get("/v2/health/live").status == 200
        stack.close()
        until(
            lambda: server.ask("POST", V1, json.dumps({"instances": ROWS * 20_000})).status == 200,
            "there is room again",
            60,
        )


def readable(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    finally:
        connection.settimeout(60)


def test_of_too_many_connections_the_one_that_waited_longest_is_closed(
    models: Path, tmp_path: Path
):
    with (
        serving(tmp_path, models / "classifier", limits={"nofile": 96}) as server,
        ExitStack() as stack,
    ):
        connections = [stack.enter_context(opened(server)) for _ in range(120)]
        assert server.get("/v2/health/live").status == 200
        assert server.predict(ROWS).status == 200
        assert connections[0].recv(1) == b""
        connections[-1].sendall(b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n")
        assert connections[-1].recv(15) == b"HTTP/1.1 200 OK"
