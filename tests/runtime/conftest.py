"""Real models and model servers that tests share; each is started when a test first needs it."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.cluster.settings import Settings
from tests.runtime.candidate_side import Side
from tests.runtime.programs import Server, environment, mlflow_side, serving

CODE = {"scaled"}


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models, see `mlflow_side.models`. They take 20 s to create and are cached until
    that file or a library changes.
    """
    versions = [f"{name} {version(name)}" for name in ("mlflow", "xgboost-cpu", "pandas")]
    key = hashlib.sha256(
        "\n".join(
            [*versions, sys.version, Path(__file__).with_name("mlflow_side.py").read_text()]
        ).encode()
    ).hexdigest()[:16]
    folder = Settings.read().cache / "models" / key
    if not folder.exists():
        made = tmp_path_factory.mktemp("models")
        mlflow_side(made, "models", str(made))
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(made, partial := folder.with_name(f"{key}.{os.getpid()}"), symlinks=False)
        partial.rename(folder)
    return folder


@pytest.fixture(scope="session")
def served(
    models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Server]]:
    """Return a function that returns the running server of a model."""
    known: dict[str, Server] = {}
    with ExitStack() as stack:

        def server(name: str) -> Server:
            if name not in known:
                allowed = {"MODELYARD_ALLOW_CODE_MODELS": "true"} if name in CODE else {}
                known[name] = stack.enter_context(
                    serving(tmp_path_factory.mktemp(name), models / name, allowed)
                )
            return known[name]

        yield server


@pytest.fixture(scope="session")
def limited(
    models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Server]]:
    """Return a function that serves a model in a process that may map 1 GiB, 2 GiB with pandas."""
    known: dict[str, Server] = {}
    allowed = {"MODELYARD_ALLOW_CODE_MODELS": "true"}
    with ExitStack() as stack:

        def server(name: str) -> Server:
            if name not in known:
                most = {"as": (2 if name in CODE else 1) << 30}
                known[name] = stack.enter_context(
                    serving(tmp_path_factory.mktemp(name), models / name, allowed, limits=most)
                )
            return known[name]

        yield server


@pytest.fixture(scope="session")
def hasty(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with short deadlines."""
    env = {"MODELYARD_HEADER_SECONDS": "1", "MODELYARD_TIMEOUT_SECONDS": "3"}
    with serving(tmp_path_factory.mktemp("hasty"), models / "classifier", env) as server:
        yield server


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Minio]:
    """A real MinIO with the bucket `datasets`."""
    with servers.minio(tmp_path_factory.mktemp("minio")) as server:
        server.s3().create_bucket(Bucket="datasets")
        yield server


@pytest.fixture(scope="session")
def kept(minio: servers.Minio, models: Path) -> servers.Minio:
    """A store with the files of a model that has an input example, and of one that has none."""
    for name in ("classifier", "regressor"):
        for path in (models / name).rglob("*"):
            if path.is_file():
                minio.s3().upload_file(
                    str(path), "datasets", f"risk/models/{name}/{path.relative_to(models / name)}"
                )
    return minio


@pytest.fixture
def side(kept: servers.Minio, served: Callable[[str], Server], tmp_path: Path) -> Side:
    """The classifier, as a candidate that a gate tests."""
    return Side(tmp_path, kept, served("classifier"))


@pytest.fixture(scope="session")
def mlflow_asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, Any], Any]]:
    """Sends commands to `mlflow_side`: one process for all tests, because importing takes
    seconds.
    """
    folder = tmp_path_factory.mktemp("mlflow")
    command = [sys.executable, "-W", "ignore", "-m", "tests.runtime.mlflow_side"]
    pipe = subprocess.PIPE
    with ExitStack() as stack:
        log = stack.enter_context((folder / "log").open("wb"))
        side = stack.enter_context(
            subprocess.Popen(
                command,
                cwd=folder,
                env=environment(folder),
                stdin=pipe,
                stdout=pipe,
                stderr=log,
                text=True,
            )
        )
        assert side.stdin is not None
        assert side.stdout is not None

        def ask(what: str, about: Any) -> Any:
            side.stdin.write(json.dumps([what, about]) + "\n")
            side.stdin.flush()
            answer = side.stdout.readline()
            assert answer, (folder / "log").read_text()
            return json.loads(answer)

        yield ask
        side.stdin.close()


@dataclass
class Tracking:
    """A tracking store with runs for pods to use."""

    folder: Path
    uri: str
    waiting: list[str]
    says: Callable[[str, Any], Any]

    def run(self) -> dict[str, str]:
        """Take a run; return the environment of an attempt."""
        return {"MLFLOW_TRACKING_URI": self.uri, "MLFLOW_RUN_ID": self.waiting.pop()}

    def shown(self) -> dict[str, Any]:
        """Return the present contents of all runs."""
        return self.says("shown", self.uri)


@pytest.fixture(scope="session")
def tracking(
    models: Path, mlflow_asked: Callable[[str, Any], Any], tmp_path_factory: pytest.TempPathFactory
) -> Tracking:
    """A real tracking store on SQLite, with a copy of the models' tables, which saves ten
    seconds.
    """
    folder = tmp_path_factory.mktemp("tracking")
    shutil.copy(models / "mlflow.db", folder)
    uri = f"sqlite:///{folder}/mlflow.db"
    return Tracking(folder, uri, mlflow_asked("runs", uri), mlflow_asked)
