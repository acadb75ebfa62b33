"""The serving table: one model, three servers as local processes, with requests from eight
connections. `rollout` measures rollouts.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.bench.figures import Samples, percentile
from tests.bench.loadgen import drive, request
from tests.bench.machine import usage
from tests.cluster.console import Console
from tests.cluster.settings import Settings
from tests.demo.registry import FEATURES, rows
from tests.servers import free_port

__all__ = ["CELLS", "COLD", "ROWS", "SERVERS", "binary_body", "measure", "prepare"]

ROWS = (1, 100)
WARM_SECONDS = 0.7
SECONDS = 2.5
PATIENCE = 180.0
INVOCATIONS, V1, V2 = "/invocations", "/v1/models/fraud:predict", "/v2/models/fraud/infer"
OURS, MLFLOW, KSERVE = "modelyard's model server", "mlflow models serve", "KServe SDK"


@dataclass(frozen=True)
class Server:
    """A way to serve a folder with an MLflow model.

    Attributes:
        name: As the tables call it, with its version.
        command: `{model}` and `{port}` are filled in.
        paths: Where it answers.
        tree: The files that it runs from; None: this checkout's.

    """

    name: str
    command: tuple[str, ...]
    paths: tuple[str, ...]
    tree: Path | None = None


SERVERS = (
    Server(
        OURS,
        (
            *("-m", "modelyard_runtime.serve", "--model-dir", "{model}"),
            *("--name", "fraud", "--version", "v1", "--port", "{port}", "--metrics-port", "0"),
        ),
        (V2, V1, INVOCATIONS),
    ),
    Server(KSERVE, ("-m", "tests.bench.kserve_server", "{model}", "{port}"), (V2, V1)),
    Server(
        MLFLOW,
        (
            "-m",
            "mlflow",
            "models",
            "serve",
            "-m",
            "{model}",
            "-p",
            "{port}",
            "-h",
            "127.0.0.1",
            "-w",
            "1",
            "--env-manager",
            "local",
        ),
        (INVOCATIONS,),
    ),
)
CELLS = tuple(
    (server, path, count) for server in SERVERS for path in server.paths for count in ROWS
)
COLD = "cold"


@dataclass(frozen=True)
class Running:
    """A running server."""

    process: subprocess.Popen[bytes]
    port: int
    cold: float


def body(path: str, count: int) -> bytes:
    """Return this many rows as a request of a protocol."""
    table = rows(count)
    told: dict[str, Any] = {"instances": table}
    if path == V2:
        data = [value for row in table for value in row]
        told = {
            "inputs": [
                {"name": "rows", "datatype": "FP64", "shape": [count, len(FEATURES)], "data": data}
            ]
        }
    elif path == INVOCATIONS:
        told = {"dataframe_split": {"columns": FEATURES, "data": table}}
    return json.dumps(told).encode()


def binary_body(count: int) -> tuple[bytes, bytes]:
    """Return this many rows as a binary tensor of V2: the JSON, and the bytes after it."""
    tail = b"".join(struct.pack(f"<{len(row)}d", *row) for row in rows(count))
    tensor = {
        "name": "rows",
        "datatype": "FP64",
        "shape": [count, len(FEATURES)],
        "parameters": {"binary_data_size": len(tail)},
    }
    return json.dumps(
        {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    ).encode(), tail


def predictions(path: str, answer: bytes) -> list[Any]:
    """Return the predictions in an answer."""
    said = json.loads(answer.partition(b"\r\n\r\n")[2])
    return list(said["outputs"][0]["data"] if path == V2 else said["predictions"])


def prepare(console: Console, *, deep: bool = False) -> Path:
    """The folder of the model, which is trained once for a cache and for each version of what
    trains it; deep: of 1,000 trees.
    """
    source = Path(__file__).with_name("model.py").read_text()
    versions = [version(name) for name in ("mlflow", "xgboost-cpu", "scikit-learn", "pandas")]
    key = hashlib.sha256("\n".join([source, sys.version, *versions]).encode()).hexdigest()[:16]
    folder = Settings.read().cache / "bench" / "models" / (f"{key}-deep" if deep else key)
    if not folder.exists():
        console.say("serving: training the model")
        with tempfile.TemporaryDirectory() as made:
            model = Path(made) / "model"
            words = [
                sys.executable,
                "-W",
                "ignore",
                "-m",
                "tests.bench.model",
                str(model),
                *(["deep"] if deep else []),
            ]
            done = subprocess.run(
                words,
                env=environment(Path(made)),
                cwd=root(),
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise RuntimeError(f"the model cannot be trained:\n{done.stderr[-3000:]}")
            folder.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(model, folder)
    return folder


def root() -> Path:
    return Settings.read().root


def environment(folder: Path, tree: Path | None = None) -> dict[str, str]:
    """Return a server's environment: our packages, a separate home, nothing of this machine's
    MLflow.
    """
    tree = tree or root()
    # Without bytecode each start would compile the server: images have it compiled.
    left = ("MLFLOW_", "AWS_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left)}
    return kept | {
        "PYTHONPYCACHEPREFIX": str(Settings.read().cache / "bytecode"),
        "PYTHONPATH": f"{tree / 'operator'}{os.pathsep}{tree}",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "HOME": str(folder),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MODELYARD_TERMINATION_LOG": str(folder / "termination-log"),
    }


@contextmanager
def running(server: Server, model: Path, folder: Path) -> Iterator[Running]:
    """Run a server; the block begins with its first prediction, and its end ends all its
    processes.
    """
    port = free_port()
    words = [sys.executable, *(word.format(model=model, port=port) for word in server.command)]
    log = folder / f"{port}.log"
    begun = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            words,
            stdout=output,
            stderr=output,
            cwd=server.tree or root(),
            env=environment(folder, server.tree),
            process_group=0,
        )
    try:
        path = server.paths[0]
        while not asked(port, path, body(path, 1)):
            if process.poll() is not None or time.monotonic() - begun > PATIENCE:
                raise RuntimeError(
                    f"{server.name} does not serve:\n{log.read_text(errors='replace')[-3000:]}"
                )
            time.sleep(0.02)
        yield Running(process, port, time.monotonic() - begun)
    finally:
        with suppress(ProcessLookupError):  # it had already exited
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def asked(port: int, path: str, data: bytes) -> bool:
    """Return whether it predicts."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", path, data, {"Content-Type": "application/json"})
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def measure(rounds: int, console: Console) -> Samples:
    """Measure every server at every path. All of them run; one is asked at a time, and they take
    turns.

    Raises:
        RuntimeError: A server does not start, fails a request, or predicts otherwise than the
            others.

    """
    samples = Samples()
    model = prepare(console)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modelyard-bench-")))
        for number in range(rounds):
            with ExitStack() as servers:
                up: dict[str, Running] = {}
                for server in turned(SERVERS, number):
                    up[server.name] = servers.enter_context(running(server, model, folder))
                    console.say(
                        f"serving {number + 1}/{rounds}: {server.name} predicts"
                        f" {up[server.name].cold:.1f} s after its start"
                    )
                same: dict[int, list[Any]] = {}
                for server, path, count in turned(CELLS, number):
                    found, answer = cell(up[server.name], path, count)
                    samples.add(f"{server.name} {path} {count}", found)
                    if same.setdefault(count, answer) != answer:
                        raise RuntimeError(
                            f"{server.name} {path} predicts {answer[:5]}..., others"
                            f" {same[count][:5]}..."
                        )
                for server in SERVERS:
                    resident = usage(up[server.name].process.pid).resident / 1e6
                    samples.add(
                        f"{server.name} {COLD}",
                        {"cold": up[server.name].cold, "resident": resident},
                    )
                rates = [
                    f"{samples.by_subject[f'{s.name} {p} {c}'][-1]['rate']:.0f}"
                    for s, p, c in CELLS
                ]
                console.say(f"serving {number + 1}/{rounds}: requests/s {', '.join(rates)}")
    return samples


def cell(server: Running, path: str, count: int) -> tuple[dict[str, float], list[Any]]:
    """Send one kind of request to one server for a while; also return its predictions."""
    wire = request(server.port, path, body(path, count))
    drive(server.port, wire, WARM_SECONDS)
    before = usage(server.process.pid).cpu
    found = drive(server.port, wire, SECONDS)
    cpu = usage(server.process.pid).cpu - before
    if found.failed or not found.answered:
        raise RuntimeError(
            f"{path} failed {found.failed} of {found.answered + found.failed} requests:"
            f" {found.last[:300]!r}"
        )
    sample = {
        "rate": found.answered / found.seconds,
        "cpu": cpu / found.answered * 1000,
        "p50": statistics.median(found.times) * 1000,
        "p99": percentile(found.times, 0.99) * 1000,
    }
    return sample, predictions(path, found.last)


def turned(items: Sequence[Any], by: int) -> Sequence[Any]:
    """The same in another order for each round."""
    by %= len(items)
    return [*items[by:], *items[:by]]
