"""Clients with endless headers or bodies, or that do not read answers, on real sockets."""

import json
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.harness import until
from tests.runtime.programs import Server, serving
from tests.runtime.test_invocations import ROWS

MIB = 1 << 20
V1, V2 = "/v1/models/fraud:predict", "/v2/models/fraud/infer"


def opened(server: Server, head: str = "", *, rest: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    connection.sendall(head.replace("\n", "\r\n").encode() + rest)
    return connection


def all_of(connection: socket.socket) -> bytes:
    """Return all bytes until the server closes, which it may do while data is still being sent to
    it.
    """
    found = b""
    with connection:
        try:
            while piece := connection.recv(65_536):
                found += piece
        except ConnectionResetError:
            pass
    return found


POST = f"POST {V1} HTTP/1.1\nhost: x\n"


def test_a_late_request_gets_an_error_and_its_connection_is_closed(hasty: Server):
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
        (
            "GET /v2 HTTP/1.1\nhost: x\n",
            b"x-more: " + b"a" * 1000 + b"\r\n",
            b"headers have more than",
        ),
        ("GET /v2 HTTP/1.1\nhost: x\nx-long: ", b"a" * 1000, b"headers have more than"),
        ("GET /", b"a" * 1000, b"headers have more than"),
        (POST + "transfer-encoding: chunked\n\n1;", b"a" * 1000, b"more framing than content"),
        (
            POST + "transfer-encoding: chunked\n\n0\n",
            b"x-more: " + b"a" * 1000 + b"\r\n",
            b"more framing than content",
        ),
    ],
    ids=["headers", "a header", "a path", "a chunk's extension", "trailers"],
)
def test_endless_headers_are_refused(
    limited: Callable[[str], Server], head: str, piece: bytes, named: bytes
):
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


def test_a_client_that_never_waits_for_an_answer_is_dropped(limited: Callable[[str], Server]):
    """Each read contains thousands of requests, and each answer would let the server read again."""
    server = limited("classifier")
    many = b"GET /v2 HTTP/1.1\r\nhost: x\r\n\r\n" * 50_000
    with server.growth() as grown, opened(server) as connection:
        until(lambda: gone(connection, many), "it is dropped", 60)
    assert grown[0] < 10 * MIB
    few = opened(
        server,
        "GET /v2 HTTP/1.1\nhost: x\n\n" * 29 + "GET /v2 HTTP/1.1\nhost: x\nconnection: close\n\n",
    )
    assert all_of(few).count(b"HTTP/1.1 200 OK") == 30


def test_invalid_bytes_do_not_become_the_answer_to_the_previous_request(
    limited: Callable[[str], Server],
):
    server = limited("classifier")
    body = json.dumps({"instances": ROWS * 5000})  # more than is predicted at once
    found = all_of(opened(server, POST + f"content-length: {len(body)}\n\n{body}NO REQUEST\n\n"))
    assert not found.startswith(b"HTTP/1.1 400")
    assert all_of(opened(server, POST + "transfer-encoding: chunked\n\n-1\n")).startswith(
        b"HTTP/1.1 400 "
    )


def test_a_body_of_single_bytes_is_a_body(hasty: Server):
    """Each byte is a separate chunk of six bytes."""
    body = json.dumps({"instances": ROWS * 20}).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    head = POST + "transfer-encoding: chunked\nconnection: close\n\n"
    assert all_of(opened(hasty, head, rest=chunks + b"0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


def test_a_refused_body_may_not_be_sent_endlessly(hasty: Server):
    with opened(hasty, POST + f"content-length: {10**12}\n\n") as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")
        until(lambda: gone(connection), "it is closed", 60)


def gone(connection: socket.socket, data: bytes = b"x") -> bool:
    try:
        connection.sendall(data)
    except TimeoutError as error:
        raise AssertionError("the server stopped reading, and does not drop it") from error
    except OSError:
        return True
    return False


def test_a_client_that_does_not_read_its_answer_is_dropped(hasty: Server):
    """The answer repeats the request's id, so no buffer of the kernel can hold it."""
    whole = 24 * MIB
    body = json.dumps(
        {
            "id": "x" * whole,
            "inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 20], "data": ROWS[0]}],
        }
    ).encode()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", hasty.port))
        connection.sendall(
            f"POST {V2} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
        )
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
        until(lambda: gone(connection), "it is dropped", 60)
        assert hasty.get("/v2/health/live").status == 200


def test_a_prediction_that_takes_too_long_is_abandoned(models: Path, tmp_path: Path):
    """The model waits for a file. There are four threads: a fifth request waits for its turn until
    its deadline.
    """
    env = {"MODELYARD_ALLOW_CODE_MODELS": "true", "MODELYARD_TIMEOUT_SECONDS": "3"}
    with serving(tmp_path / "run", models / "patient", env) as server, ThreadPoolExecutor() as pool:
        wanted = {"dataframe_records": [{"path": str(tmp_path / "file")}]}
        answers = [pool.submit(server.invoke, wanted) for _ in range(5)]
        assert server.get("/v2/health/live").status == 200
        found = [answer.result() for answer in answers]
        assert {answer.status for answer in found} == {503}
        assert {answer.json["message"] for answer in found} == {
            "there was no prediction within 3 s; try again"
        }
        (tmp_path / "file").touch()
        until(lambda: server.invoke(wanted).status == 200, "its threads are free again", 60)
