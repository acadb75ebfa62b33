"""Real servers as processes of this machine: MLflow on SQLite or PostgreSQL, MinIO. Context
managers, for fixtures of any test folder.

Nothing is skipped: missing programs are installed or built, or the start fails with its log.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import botocore.config

from tests.cluster.apiserver import free_ports

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["Minio", "free_port", "minio", "mlflow", "postgres"]

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 300.0  # a busy machine needs two minutes for what takes fifteen seconds on an idle one


@dataclass(frozen=True)
class Minio:
    """A running MinIO and its administrator's keys."""

    url: str
    access_key: str = "modelyard-test"
    secret_key: str = "modelyard-test-secret"

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment that programs need to reach it, also MLflow's client and
        server.
        """
        return {
            "MLFLOW_S3_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
        }

    def s3(self) -> S3Client:
        """Return a plain boto3 client with the administrator's keys: for the tests' own actions,
        without our adapters.
        """
        return boto3.session.Session(
            self.access_key, self.secret_key, region_name="us-east-1"
        ).client(
            "s3",
            endpoint_url=self.url,
            config=botocore.config.Config(s3={"addressing_style": "path"}),
        )


def free_port() -> int:
    """Return a port that is unused and that no process gets by chance."""
    (port,) = free_ports(1)
    return port


@contextmanager
def minio(folder: Path) -> Iterator[Minio]:
    """Run MinIO with its data in a folder."""
    server = Minio(f"http://127.0.0.1:{free_port()}")
    binary = (
        Path(os.environ.get("MODELYARD_CACHE") or "~/.cache/modelyard").expanduser()
        / "bin"
        / "minio"
    )
    if not binary.exists():  # checked first, because building waits for other builds
        binary = (
            Path(_output([sys.executable, "-m", "tests.cluster", "tools"]).splitlines()[-1])
            / "minio"
        )
    environment = {
        "MINIO_ROOT_USER": server.access_key,
        "MINIO_ROOT_PASSWORD": server.secret_key,
        "MINIO_UPDATE": "off",
        "HOME": str(folder),
    }
    command = [
        str(binary),
        "server",
        "--quiet",
        "--address",
        server.url.removeprefix("http://"),
        str(folder / "data"),
    ]
    with _process(command, folder, "minio", environment) as alive:
        _until(lambda: _answers(f"{server.url}/minio/health/ready"), alive)
        yield server


@contextmanager
def postgres() -> Iterator[str]:
    """Run PostgreSQL in a separate folder, as an unprivileged user; yields a SQLAlchemy URI of an
    empty database.
    """
    binaries = _postgres_binaries()
    # Not in pytest's folders: only root may enter those.
    folder = Path(tempfile.mkdtemp(prefix="modelyard-postgres-"))
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    port = free_port()
    try:
        initdb = [
            str(binaries / "initdb"),
            "-D",
            str(folder / "data"),
            "-U",
            "modelyard",
            "--auth=trust",
            "--no-sync",
            "--encoding=UTF8",
        ]
        subprocess.run(initdb, check=True, capture_output=True, user=user, cwd=folder)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
            "fsync": "off",
        }
        flags = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        with _process(
            [str(binaries / "postgres"), "-D", str(folder / "data"), *flags],
            folder,
            "postgres",
            {},
            user=user,
        ) as alive:
            ready = [str(binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
            _until(lambda: subprocess.run(ready, check=False).returncode == 0, alive)
            yield f"postgresql://modelyard@127.0.0.1:{port}/postgres"
    finally:
        shutil.rmtree(folder)


@contextmanager
def mlflow(
    folder: Path, database: str, artifacts: str, store: Minio, *arguments: str
) -> Iterator[str]:
    """Run MLflow's tracking server; yields its address.

    Args:
        folder: For its log.
        database: A SQLAlchemy URI.
        artifacts: The default location of artifacts: `s3://...`.
        store: The S3 of that location.
        arguments: Further arguments of `mlflow server`.

    """
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    command += [
        "--backend-store-uri",
        database,
        "--default-artifact-root",
        artifacts,
        "--no-serve-artifacts",
        *arguments,
    ]
    environment = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "HOME": str(folder),
        **store.environment,
    }
    with _process(command, folder, f"mlflow-{port}", environment) as alive:
        _until(lambda: _answers(f"http://127.0.0.1:{port}/health"), alive)
        yield f"http://127.0.0.1:{port}"


# --- processes ------------------------------------------------------------------------------------
@contextmanager
def _process(
    command: list[str],
    folder: Path,
    name: str,
    environment: Mapping[str, str],
    user: str | None = None,
) -> Iterator[Callable[[], None]]:
    """Run a program with its output in a log; yields a check that fails with the log's end once it
    has ended.
    """
    log = folder / f"{name}.log"
    folder.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        # A separate process group: MLflow's server starts others, and all are ended with it.
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            env={**os.environ, **environment},
            cwd=folder,
            user=user,
            process_group=0,
        )

    def alive() -> None:
        if process.poll() is not None:
            raise RuntimeError(
                f"{name} ended with {process.returncode}:\n"
                f"{log.read_text(errors='replace')[-4000:]}"
            )

    try:
        yield alive
    finally:
        _end(process, gently=name == "postgres")  # PostgreSQL frees its shared memory


def _end(process: subprocess.Popen[bytes], *, gently: bool) -> None:
    """Kill the whole group; temporary data needs no clean shutdown."""
    for number in (signal.SIGINT, signal.SIGKILL) if gently else (signal.SIGKILL,):
        try:
            os.killpg(process.pid, number)
            process.wait(10.0)
        except ProcessLookupError:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            continue


def _until(condition: Callable[[], bool], alive: Callable[[], None]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        alive()
        if time.monotonic() > end:
            raise TimeoutError("the server did not become ready")
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status) == 200
    except (urllib.error.URLError, OSError):
        return False


def _output(command: list[str]) -> str:
    return subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ).stdout.strip()


def _postgres_binaries() -> Path:
    """Find PostgreSQL's programs, installing them when there are none."""
    for attempt in range(2):
        found = sorted(
            Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3])
        )
        if found:
            return found[-1].parent
        if attempt == 0:
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            for words in (["update"], ["install", "-y", "--no-install-recommends", "postgresql"]):
                subprocess.run(
                    ["apt-get", "-q", *words],
                    check=True,
                    env=environment,
                    stdout=subprocess.DEVNULL,
                )
    raise RuntimeError("PostgreSQL is not installed, and apt-get did not bring it")
