"""Requests of all protocols, valid and invalid, as bytes, and a server's answers to them."""

import asyncio
import json
import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.runtime.test_deadlines import V1, V2
from tests.runtime.test_invocations import WIDE

__all__ = ["Got", "answers", "requests"]

Got = tuple[bytes, tuple[bytes, ...], bytes]
"""Status line, names of the headers, body."""
INVOCATIONS = "/invocations"
GZIP = b"\x1f\x8b no gzip"


def table(numbers: random.Random) -> list[list[Any]]:
    """Return rows of fractions, whole numbers and some missing values."""

    def value() -> Any:
        return numbers.choice(
            [numbers.gauss(0, 2), numbers.randint(-3, 3), None if numbers.random() < 0.05 else 0.5]
        )

    return [[value() for _ in WIDE] for _ in range(numbers.choice([1, 1, 1, 2, 7, 50, 100]))]


def tensor(rows: list[list[Any]], **more: Any) -> dict[str, Any]:
    return {"name": "x", "datatype": "FP64", "shape": [len(rows), len(WIDE)], **more}


def packed(rows: list[list[Any]]) -> tuple[bytes, str]:
    """Return a binary tensor after its JSON."""
    tail = np.array(rows, np.float64).tobytes()
    asked = {
        "inputs": [tensor(rows, parameters={"binary_data_size": len(tail)})],
        "parameters": {"binary_data_output": True},
    }
    head = json.dumps(asked).encode()
    return head + tail, f"Inference-Header-Content-Length: {len(head)}\r\n"


def wire(path: str, body: Any, more: str = "", method: str = "POST") -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "" if "Content-Type" in more else "Content-Type: application/json\r\n"
    return (
        f"{method} {path} HTTP/1.1\r\n"
        "Host: x\r\n"
        f"{kind}{more}Content-Length: {len(data)}\r\n"
        "\r\n".encode()
        + data
    )


def one(number: int, rows: list[list[Any]]) -> list[bytes]:
    """Return one request; each form is drawn as often as it is listed here."""
    flat = [value for row in rows for value in row]
    v2 = wire(V2, {"id": str(number), "inputs": [tensor(rows, data=flat)]})
    split = wire(INVOCATIONS, {"dataframe_split": {"columns": WIDE, "data": rows}})
    texts = [[str(value) if at == 3 else value for at, value in enumerate(row)] for row in rows]
    binary, length = packed(rows)
    csv = "\n".join(
        [
            ",".join(WIDE),
            *(",".join("" if value is None else str(value) for value in row) for row in rows),
        ]
    )
    return [
        *[wire(V1, {"instances": rows}), v2, split] * 2,
        wire(V1, {"instances": [dict(zip(WIDE, row, strict=True)) for row in rows]}),
        wire(V1, {"instances": [row[:-1] for row in rows]}),
        wire(V1, {"instances": [*rows, [1.0]]}),
        wire(V1, {"instances": texts}),
        wire(V1, {"instances": [[1e300] * 20, [True] * 20, [2**60] * 20]}),
        wire(V1, b"{no json"),
        wire(V1, b""),
        wire(V1, {"instances": rows}, method="PUT"),
        wire(V1 + "?x=1", {"instances": rows}),
        wire(V1, GZIP, "Content-Encoding: gzip\r\n"),
        wire(V2, binary, length),
        wire(V2, binary, "Inference-Header-Content-Length: 7\r\n"),
        wire(V2, {"inputs": [tensor(rows, data=flat[1:])]}),
        wire(V2, {"inputs": [tensor([], data=[])]}),
        wire(
            "/v2/models/fraud/versions/v3/infer",
            {"inputs": [tensor(rows, data=flat)], "outputs": [{"name": "other"}]},
        ),
        wire(INVOCATIONS, {"dataframe_split": {"columns": WIDE, "data": texts}}),
        wire(INVOCATIONS, csv.encode(), "Content-Type: text/csv\r\n"),
        wire(INVOCATIONS, {"inputs": rows}, "Content-Type: application/json; charset=latin-1\r\n"),
        wire("/nothing", {}),
        b"HEAD /v2 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v2/models/fraud HTTP/1.1\r\nHost: x\r\n\r\n",
    ]


def requests(count: int) -> list[bytes]:
    """Return this many requests, the same ones each time."""
    numbers = random.Random(5)
    return [numbers.choice(one(number, table(numbers))) for number in range(count)]


async def _asked(port: int, wires: Sequence[bytes], pipelined: int) -> list[Got]:
    """Send requests on one connection, several at once."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found: list[Got] = []
    for at in range(0, len(wires), pipelined):
        writer.write(b"".join(wires[at : at + pipelined]))
        for each in wires[at : at + pipelined]:
            status, *headers = (await reader.readuntil(b"\r\n\r\n")).lower().strip().split(b"\r\n")
            told = dict(line.split(b": ", 1) for line in headers)
            length = 0 if each.startswith(b"HEAD") else int(told[b"content-length"])
            found.append((status, tuple(sorted(told)), await reader.readexactly(length)))
    writer.close()
    await writer.wait_closed()
    return found


def answers(port: int, wires: Sequence[bytes], connections: int, pipelined: int) -> list[Got]:
    """Send requests over several connections; return the answers in the order of the requests."""

    async def all_of() -> list[Got]:
        found: list[Got] = [(b"", (), b"")] * len(wires)
        parts = [range(len(wires))[at::connections] for at in range(connections)]
        got = await asyncio.gather(
            *(_asked(port, [wires[at] for at in part], pipelined) for part in parts)
        )
        for part, each in zip(parts, got, strict=True):
            for at, answer in zip(part, each, strict=True):
                found[at] = answer
        return found

    return asyncio.run(asyncio.wait_for(all_of(), 240))
