"""The shortcut for small requests has the same limits as uvicorn's path, on real sockets."""

import json
import re
import socket
from collections.abc import Callable

from tests.harness import until
from tests.runtime.programs import Server
from tests.runtime.test_deadlines import MIB, POST, V2, all_of, gone, opened
from tests.runtime.test_invocations import ROWS

Serve = Callable[[str], Server]
LAST = "GET /v2 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


def asked(number: object, path: str = V2, columns: int = 20) -> str:
    """A request that takes the shortcut; its answer has the number."""
    tensor = {"name": "x", "datatype": "FP64", "shape": [1, columns], "data": ROWS[0]}
    body = json.dumps({"id": str(number), "inputs": [tensor]})
    return f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n{body}"


def ids(answers: bytes) -> list[str]:
    """Return the numbers of the answers, in order."""
    bodies = [each.partition(b"\r\n\r\n")[2] for each in answers.split(b"HTTP/1.1 200 OK\r\n")[1:]]
    return [json.loads(body)["id"] for body in bodies if b'"id"' in body]


def test_a_late_body_is_read_and_keeps_its_place(served: Serve):
    whole, late = asked(1), asked(2).encode()
    half = len(late) - 100
    for first in ("", whole, whole * 3):
        connection = opened(served("classifier"), rest=first.encode() + late[:half])
        if first:
            assert connection.recv(1).startswith(b"H")  # the previous request is answered meanwhile
        connection.sendall(late[half:] + asked(3).encode() + LAST.encode())
        assert ids((b"H" if first else b"") + all_of(connection)) == [
            *["1"] * first.count("POST"),
            "2",
            "3",
        ]


def test_requests_of_both_paths_are_answered_in_order(served: Serve):
    """One that turns out to be slow, one on uvicorn's path, one that is refused at once."""
    server = served("classifier")
    objects = json.dumps({"instances": [{}] * 5000})
    slow = (
        "POST /v1/models/fraud:predict HTTP/1.1\r\n"
        "host: x\r\n"
        f"content-length: {len(objects)}\r\n"
        "\r\n"
        f"{objects}"
    )
    wires = [
        asked(1),
        asked(0, columns=3),
        asked(2),
        slow,
        asked(3),
        asked(4, path=f"{V2}?x"),
        asked(5),
        LAST,
    ]
    found = all_of(opened(server, rest="".join(wires).encode()))
    statuses = re.findall(rb"HTTP/1\.1 (\d+) ", found)
    assert statuses == [b"200", b"400", b"200", b"400", b"200", b"200", b"200", b"200"]
    assert (
        found.index(b'"id":"1"')
        < found.index(b"shape")
        < found.index(b'"id":"2"')
        < found.index(b"lacks")
    )
    assert (
        found.index(b"lacks")
        < found.index(b'"id":"3"')
        < found.index(b'"id":"4"')
        < found.index(b'"id":"5"')
    )


def test_invalid_bytes_after_a_request_do_not_become_its_answer(served: Serve):
    found = all_of(opened(served("classifier"), rest=(asked(1) + "NO REQUEST\r\n\r\n").encode()))
    assert not found.startswith(b"HTTP/1.1 400")


def test_a_client_that_never_waits_is_dropped(limited: Serve):
    server = limited("classifier")
    many = asked(1).encode() * 10_000
    with server.growth() as grown, opened(server) as connection:
        until(lambda: gone(connection, many), "it is dropped", 60)
    assert grown[0] < 10 * MIB
    assert ids(
        all_of(opened(server, rest="".join(map(asked, range(30))).encode() + LAST.encode()))
    ) == [str(each) for each in range(30)]


def test_a_client_that_does_not_read_its_answers_is_dropped(hasty: Server):
    """Each answer repeats its request's id, so no buffer of the kernel can hold them."""
    request = asked("x" * 60_000).encode()
    with socket.socket() as connection, hasty.growth() as grown:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", hasty.port))
        until(lambda: gone(connection, request * 50), "it is dropped", 60)
    assert grown[0] < 50 * MIB
    assert hasty.get("/v2/health/live").status == 200


def test_an_announced_body_that_does_not_arrive(hasty: Server):
    """It follows an answered request; the limit of a body applies to small ones too."""
    late = POST.replace("\n", "\r\n") + "content-length: 100\r\n\r\n{"
    found = all_of(opened(hasty, rest=(asked(1) + late).encode()))
    assert ids(found[: found.index(b"HTTP/1.1 408")]) == ["1"]
    assert b"the body did not arrive within 3 s" in found
