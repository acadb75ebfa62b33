"""What splitting costs: the model server without a rule and at weight 0 beside the one before it
could split, and a forward at weight 100.

Of the same model, in one run, asked in short turns whose order changes: what is looked for is a few
percent.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from tests.bench import costs, serving
from tests.bench.costs import Cell
from tests.bench.document import Measured
from tests.bench.figures import Samples, number, ratio, table
from tests.bench.machine import nanoseconds, usage
from tests.bench.serving import COLD, OURS, V1, V2, Running, Server, running, turned
from tests.cluster.console import Console

__all__ = ["measure", "split_table"]

BEFORE = "57011b8"
"""The server of the commit before it could split."""
NO_RULE, ZERO, ALL, DIRECT = "without a rule", "weight 0", "weight 100", "the candidate itself"
COMPARED = (BEFORE, NO_RULE, ZERO)
TURNS = 8
CELLS = (Cell(V1, 1, 8), Cell(V1, 100, 8), Cell(V2, 1, 8), Cell(f"{V1}?", 1, 8))
"""The last one takes uvicorn's path: only a path without a query takes the shortcut."""
WHO = ("v2", "2e3d4c5b")
THEIRS = "candidate"


def ours(name: str, *more: str) -> Server:
    server = next(each for each in serving.SERVERS if each.name == OURS)
    return replace(server, name=name, command=(*server.command, *more))


@contextmanager
def all_running(model: Path, folder: Path, turn: int) -> Iterator[dict[str, Running]]:
    """The servers by name; each splits by a file of its own."""
    with ExitStack() as stack:
        candidate = stack.enter_context(
            running(ours(DIRECT, "--version", WHO[0], "--runtime", WHO[1]), model, folder)
        )
        subjects = {BEFORE: replace(ours(BEFORE), tree=costs.tree(BEFORE)), NO_RULE: ours(NO_RULE)}
        for name, weight in ((ZERO, 0), (ALL, 100)):
            file = folder / f"rule-{weight}" / "rule.json"
            file.parent.mkdir()
            rule = {
                "revision": 1,
                "candidate": "candidate",
                "version": WHO[0],
                "runtime": WHO[1],
                "weight": weight,
                "timeoutMs": 5000,
            }
            file.write_text(json.dumps(rule))
            subjects[name] = ours(
                name, "--rule", str(file), "--candidate-address", f"127.0.0.1:{candidate.port}"
            )
        up = {
            name: stack.enter_context(running(subjects[name], model, folder))
            for name in turned(list(subjects), turn)
        }
        yield up | {DIRECT: candidate}


def measure(rounds: int, console: Console) -> Samples:
    """Measure every server at every cell.

    Raises:
        RuntimeError: A server does not start, or fails a request.

    """
    samples, model = Samples(), serving.prepare(console)
    for turn in range(rounds):
        with (
            tempfile.TemporaryDirectory(prefix="modelyard-bench-") as folder,
            all_running(model, Path(folder), turn) as up,
        ):
            for at in range(TURNS):
                for cell in turned(CELLS, at):
                    for name in turned(list(up), at):
                        samples.add(f"{name} {cell}", asked(up, name, cell))
            for name, server in up.items():
                samples.add(
                    f"{name} {COLD}",
                    {"cold": server.cold, "resident": usage(server.process.pid).resident / 1e6},
                )
        console.say(f"split {turn + 1}/{rounds}: done at {time.strftime('%H:%M:%S')}")
    return samples


def asked(up: Mapping[str, Running], name: str, cell: Cell) -> dict[str, float]:
    """Ask one server; of one that forwards also what that costs the candidate."""
    before = nanoseconds(up[DIRECT].process.pid)
    found = costs.asked(up[name], cell)
    theirs = (
        (nanoseconds(up[DIRECT].process.pid) - before)
        / (found["rate"] * (costs.SECONDS + costs.WARM_SECONDS))
        / 1e3
    )
    return {**found, THEIRS: theirs if name == ALL else 0.0}


def split_table(samples: Samples, measured: Measured) -> str:
    """The bar is a ratio of 0.97; the ratios are medians over the turns."""
    rows, forwards = [], []
    for cell in CELLS:
        base = f"{BEFORE} {cell}"
        title = costs.titled(replace(cell, path=cell.path.rstrip("?"))) + (
            ", uvicorn's way" if cell.path.endswith("?") else ""
        )
        cells = [number(samples.median(f"{name} {cell}", "rate")) for name in COMPARED]
        ratios = [
            ratio(samples.ratio(f"{name} {cell}", base, figure))
            for figure in ("rate", "cpu")
            for name in COMPARED[1:]
        ]
        rows.append([title, *cells, *ratios])
        own = [f"{name} {cell}" for name in (DIRECT, ALL)]
        figures = [
            number(samples.median(each, figure))
            for figure in ("rate", "p50", "p99", "cpu")
            for each in own
        ]
        forwards.append([title, *figures, number(samples.median(own[1], THEIRS))])
    head = [
        "requests/s",
        *COMPARED,
        *(f"{name}, times" for name in COMPARED[1:]),
        *(f"{name}, CPU, times" for name in COMPARED[1:]),
    ]
    second = [
        "",
        *(
            f"{name}{each}"
            for name in ("requests/s", "p50, ms", "p99, ms", "CPU, us")
            for each in ("", ", forwarded")
        ),
    ]
    third = [
        [name, *(number(samples.median(f"{name} {COLD}", each)) for each in ("cold", "resident"))]
        for name in (*COMPARED, ALL)
    ]
    parts = [
        measured.line(samples.rounds),
        table(head, rows),
        table([*second, "CPU of the candidate, us"], forwards),
        table(["", "start to the first prediction, s", "memory, MB"], third),
    ]
    return "\n\n".join(parts)
