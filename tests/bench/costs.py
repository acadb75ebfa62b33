"""The cost of a prediction: this checkout's model server, two earlier ones, KServe's SDK and
MLflow's, in one run.

CPU per request is that of all threads, in the kernel's nanoseconds. `costs.json` has the range of
each checked ratio; a run that is a fifth worse fails.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench import serving
from tests.bench.figures import Samples, number, percentile, ratio, table
from tests.bench.loadgen import drive, request
from tests.bench.machine import nanoseconds, usage
from tests.bench.serving import (
    INVOCATIONS,
    KSERVE,
    MLFLOW,
    OURS,
    V1,
    V2,
    Running,
    Server,
    running,
    turned,
)
from tests.cluster.console import Console
from tests.cluster.settings import Settings

__all__ = ["BINARY", "CELLS", "Cell", "costs_table", "keep_ranges", "measure", "titled", "worse"]

BEFORE, START = "43d8f36", "5d82812"
"""The server that the study measured, and that at the start of issue 14."""
BINARY = f"{V2} binary"
WARM_SECONDS, SECONDS = 0.3, 0.8
WORSE = 1.2
RANGES = Path(__file__).with_name("costs.json")
COLD = serving.COLD


@dataclass(frozen=True)
class Cell:
    """A kind of request."""

    path: str
    rows: int
    connections: int
    deep: bool = False
    """Of a thousand trees of depth 8, where walking trees is most of the time."""

    def __str__(self) -> str:
        return f"{self.path} {self.rows} {self.connections}{' deep' if self.deep else ''}"


CELLS = (
    *(
        Cell(path, rows, connections)
        for path in (V1, V2, INVOCATIONS)
        for rows in (1, 100)
        for connections in (1, 8, 64)
    ),
    *(Cell(BINARY, rows, 8) for rows in (1, 100)),
    *(Cell(V1, rows, 8, deep=True) for rows in (1, 100)),
)


def subjects() -> dict[str, Server]:
    """Return the servers by name; earlier ones are ours from another tree."""
    found = {each.name: each for each in serving.SERVERS}
    earlier = {name: replace(found[OURS], name=name, tree=tree(name)) for name in (BEFORE, START)}
    command = found[OURS].command
    port = command.index("--metrics-port")  # which that one does not have yet
    earlier[BEFORE] = replace(earlier[BEFORE], command=command[:port] + command[port + 2 :])
    return {OURS: found[OURS], **earlier, KSERVE: found[KSERVE], MLFLOW: found[MLFLOW]}


def tree(commit: str) -> Path:
    """Return the files of a commit, as a worktree in the cache."""
    folder = Settings.read().cache / "bench" / "trees" / commit
    if not (folder / "operator").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        git = ["git", "-C", str(serving.root()), "worktree"]
        for words in (["prune"], ["add", "--force", "--detach", str(folder), commit]):
            subprocess.run([*git, *words], check=True, capture_output=True)
    return folder


def asks(name: str, cell: Cell) -> bool:
    """Return whether a server gets this request: its protocols, and for peers only those of their
    bars.
    """
    if name in {KSERVE, MLFLOW}:
        return (
            not cell.deep
            and cell.connections == 8
            and cell.path in ((INVOCATIONS,) if name == MLFLOW else (V1, V2))
        )
    return cell.path != BINARY or name != BEFORE


def wire(port: int, cell: Cell) -> bytes:
    if cell.path != BINARY:
        return request(port, cell.path, serving.body(cell.path, cell.rows))
    head, tail = serving.binary_body(cell.rows)
    told = (
        f"Inference-Header-Content-Length: {len(head)}\r\n"
        f"Content-Length: {len(head) + len(tail)}\r\n"
        "\r\n"
    )
    return f"POST {V2} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{told}".encode() + head + tail


def asked(server: Running, cell: Cell) -> dict[str, float]:
    """Send one kind of request to one server for a while."""
    sent = wire(server.port, cell)
    drive(server.port, sent, WARM_SECONDS, cell.connections)
    before = nanoseconds(server.process.pid)
    found = drive(server.port, sent, SECONDS, cell.connections)
    spent = nanoseconds(server.process.pid) - before
    if found.failed or not found.answered:
        raise RuntimeError(f"{cell} failed {found.failed} requests: {found.last[:300]!r}")
    return {
        "cpu": spent / len(found.times) / 1e3,
        "rate": found.answered / found.seconds,
        "p50": statistics.median(found.times) * 1e3,
        "p99": percentile(found.times, 0.99) * 1e3,
    }


def measure(rounds: int, console: Console, samples: Samples, *, peers: bool = True) -> None:
    """Add the figures of every server at every cell, in turns whose order changes.

    Raises:
        RuntimeError: A server does not start, or fails a request.

    """
    models = {
        deep: serving.prepare(console, deep=deep) for deep in sorted({cell.deep for cell in CELLS})
    }
    servers = {
        name: each for name, each in subjects().items() if peers or name not in {KSERVE, MLFLOW}
    }
    for turn in range(rounds):
        for deep, model in models.items():
            with ExitStack() as stack:
                folder = Path(
                    stack.enter_context(tempfile.TemporaryDirectory(prefix="modelyard-bench-"))
                )
                up = {
                    name: stack.enter_context(running(servers[name], model, folder))
                    for name in turned(list(servers), turn)
                    if not deep or name not in {KSERVE, MLFLOW}
                }
                for cell in turned([each for each in CELLS if each.deep == deep], turn):
                    for name in turned([each for each in up if asks(each, cell)], turn):
                        samples.add(f"{name} {cell}", asked(up[name], cell))
                if not deep:
                    _rest(up, samples)
        console.say(f"costs {turn + 1}/{rounds}: done at {time.strftime('%H:%M:%S')}")


def _rest(up: Mapping[str, Running], samples: Samples) -> None:
    for name, server in up.items():
        resident = usage(server.process.pid).resident / 1e6
        samples.add(f"{name} costs {COLD}", {"cold": server.cold, "resident": resident})


def ratios(samples: Samples) -> Iterator[tuple[str, list[float]]]:
    """Ours as a part of the two earlier servers', by what it is about; each round's."""
    for base in (BEFORE, START):
        for cell in CELLS:
            if found := samples.ratios(f"{OURS} {cell}", f"{base} {cell}", "cpu"):
                yield f"{base} {cell}", found
        for figure in ("cold", "resident"):
            if found := samples.ratios(f"{OURS} costs {COLD}", f"{base} costs {COLD}", figure):
                yield f"{base} {figure}", found


def keep_ranges(samples: Samples) -> None:
    """Write the ranges of these rounds."""
    found = {name: [round(min(each), 3), round(max(each), 3)] for name, each in ratios(samples)}
    RANGES.write_text(json.dumps(found, indent=1) + "\n")


def worse(samples: Samples, known: Mapping[str, Sequence[float]] | None = None) -> list[str]:
    """Return costs that are a fifth above all runs of `costs.json`, one line each."""
    known = json.loads(RANGES.read_text()) if known is None else known
    found = []
    for name, each in ratios(samples):
        if name in known and (now := statistics.median(each)) > WORSE * known[name][1]:
            found.append(
                f"{name}: {now:.3f} times as much, between {known[name][0]:.3f} and"
                f" {known[name][1]:.3f} before"
            )
    return found


def costs_table(samples: Samples) -> str:
    """Return CPU per request by cell, ours first, and the others as multiples."""
    rows = []
    for cell in CELLS:
        ours = f"{OURS} {cell}"
        times = [
            ratio(samples.ratio(f"{name} {cell}", ours, "cpu"))
            for name in (BEFORE, START, KSERVE, MLFLOW)
        ]
        own = [number(samples.median(ours, figure)) for figure in ("cpu", "rate", "p50", "p99")]
        rows.append([titled(cell), *own, *times])
    head = [
        "",
        "CPU a request, us",
        "requests/s",
        "p50, ms",
        "p99, ms",
        *(f"CPU of {each}, times" for each in (BEFORE, START, KSERVE, MLFLOW)),
    ]
    second = [
        [
            name,
            *(
                number(samples.median(f"{name} costs {COLD}", figure))
                for figure in ("cold", "resident")
            ),
        ]
        for name in (OURS, BEFORE, START)
    ]
    return (
        f"{table(head, rows)}\n"
        "\n"
        f"{table(['', 'start to the first prediction, s', 'memory after the load, MB'], second)}"
    )


def titled(cell: Cell) -> str:
    path = {V1: "V1", V2: "V2", BINARY: "V2, binary", INVOCATIONS: "/invocations"}[cell.path]
    trees = ", 1,000 trees of depth 8" if cell.deep else ""
    return (
        f"{path}, {cell.rows} row{'s' if cell.rows > 1 else ''}, {cell.connections}"
        f" connection{'s' if cell.connections > 1 else ''}{trees}"
    )
