"""Run the runtime's programs as pods do: processes with their own environment and log."""

import http.client
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.harness import until

__all__ = ["Answer", "Ended", "Server", "environment", "mlflow_side", "program", "serving", "start"]

ROOT = Path(__file__).parents[2]
PATIENCE = 240.0  # seconds; for a busy machine


def environment(folder: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a pod's process: our packages, a writable home, nothing of this
    machine's MLflow or S3.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MLFLOW_", "AWS_", "MODELYARD_"))
    }
    return kept | {
        "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}",
        "HOME": str(folder),
        "MODELYARD_TERMINATION_LOG": str(folder / "termination-log"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_UV_AUTO_DETECT": "false",
        **(more or {}),
    }


@dataclass(frozen=True)
class Ended:
    """The result of a process."""

    code: int
    log: str
    said: dict[str, Any]
    """The termination message."""


def said(folder: Path) -> dict[str, Any]:
    path = folder / "termination-log"
    return json.loads(path.read_text()) if path.exists() else {}


def program(
    folder: Path,
    module: str,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    file_limit: int | None = None,
) -> Ended:
    """Run a program of the runtime to its end. `file_limit`: the largest size of its files, in
    bytes.
    """
    command = [sys.executable, "-m", f"modelyard_runtime.{module}", *arguments]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(folder, env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
        preexec_fn=None
        if file_limit is None
        else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit)),
    )
    return Ended(done.returncode, done.stdout, said(folder))


def start(
    folder: Path,
    module: str,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    limits: Mapping[str, int] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program of the runtime with its output in the folder's file `log`. `limits`: by
    prlimit's names.
    """
    limit = (
        ["prlimit", *(f"--{name}={most}" for name, most in limits.items()), "--"] if limits else []
    )
    with (folder / "log").open("wb") as log:
        command = [*limit, sys.executable, "-m", f"modelyard_runtime.{module}", *arguments]
        return subprocess.Popen(
            command, cwd=folder, env=environment(folder, env), stdout=log, stderr=log
        )


def mlflow_side(
    folder: Path, *arguments: str, env: Mapping[str, str] | None = None, module: str = "mlflow_side"
) -> str:
    """Run `mlflow_side` and return its output."""
    command = [sys.executable, "-W", "ignore", "-m", f"tests.runtime.{module}", *arguments]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(folder, env),
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass(frozen=True)
class Server:
    """A running model server."""

    folder: Path
    process: "subprocess.Popen[bytes]"
    port: int
    metrics_port: int
    name: str = "fraud"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        content_type: str = "application/json",
        **headers: str,
    ) -> Answer:
        """Send one request on a new connection. A body that is not text is sent as JSON. Further
        headers: `_` stands for `-`.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            data = (
                body.encode()
                if isinstance(body, str)
                else body
                if isinstance(body, bytes | None)
                else json.dumps(body)
            )
            told = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(
                method,
                path,
                body=data,
                headers={"content-type": content_type} | told if data else told,
            )
            answer = connection.getresponse()
            return Answer(
                answer.status,
                {name.lower(): value for name, value in answer.getheaders()},
                answer.read().decode(),
            )
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def metrics(self) -> str:
        return replace(self, port=self.metrics_port).get("/metrics").text

    def traffic(self) -> dict[str, Any]:
        """Return its traffic counters, from the metrics port."""
        answer = replace(self, port=self.metrics_port).get("/modelyard/traffic")
        assert answer.status == 200, answer.text
        found: dict[str, Any] = answer.json
        return found

    @contextmanager
    def growth(self) -> Iterator[list[int]]:
        """Yield a list that at the end contains the largest growth of the process in bytes."""

        def peak() -> int:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            return int(status.partition("VmHWM:")[2].split()[0]) << 10

        Path(f"/proc/{self.process.pid}/clear_refs").write_text(
            "5"
        )  # reset the peak to the present use
        before, found = peak(), list[int]()
        yield found
        found.append(peak() - before)

    def invoke(self, body: Any, content_type: str = "application/json", **headers: str) -> Answer:
        return self.ask("POST", "/invocations", body, content_type, **headers)

    def predict(self, instances: Any) -> Answer:
        return self.ask("POST", f"/v1/models/{self.name}:predict", {"instances": instances})

    def infer(self, *inputs: Mapping[str, Any], **more: Any) -> Answer:
        return self.ask("POST", f"/v2/models/{self.name}/infer", {"inputs": inputs, **more})

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def end(self) -> Ended:
        """Wait for the process to exit."""
        return Ended(self.process.wait(PATIENCE), self.log, said(self.folder))


@contextmanager
def serving(
    folder: Path,
    model: Path,
    env: Mapping[str, str] | None = None,
    *,
    ready: bool = True,
    limits: Mapping[str, int] | None = None,
    who: tuple[str, str] = ("v3", "1f2e3d4c"),
    more: Sequence[str] = (),
) -> Iterator[Server]:
    """Run a model server; the block begins when it is ready, or when it listens.

    `limits`: see `start`. `who`: its version and identity. `more`: options.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arguments = (
        "--model-dir",
        str(model),
        "--name",
        Server.name,
        "--version",
        who[0],
        "--runtime",
        who[1],
    )
    ports = ("--port", "0", "--metrics-port", "0", *more)
    process = start(
        folder,
        "serve",
        *arguments,
        *ports,
        env={"MODELYARD_MODEL": "risk.fraud", **(env or {})},
        limits=limits,
    )

    def listens() -> list[int] | None:
        log = (folder / "log").read_text()
        assert process.poll() is None or "listening" in log, log
        words = ("listening on port ", "metrics on port ")
        return (
            [int(log.partition(each)[2].split()[0]) for each in words]
            if "listening on port" in log
            else None
        )

    try:
        server = Server(folder, process, *until(listens, "the server listens", PATIENCE))
        if ready:
            until(
                lambda: process.poll() is not None or server.get("/v2/health/ready").status == 200,
                "the server is ready",
                PATIENCE,
            )
            assert process.poll() is None, server.log
        yield server
    finally:
        process.kill()
        process.wait()
