"""Real models, and real servers of them that tests share: each is made once, when a test first asks for it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import boto3
import botocore.config
import pytest

from tests import servers
from tests.runtime.programs import Server, mlflow_side, serving

CODE = {"scaled"}


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models, see `mlflow_side.models`."""
    folder = tmp_path_factory.mktemp("models")
    mlflow_side(folder, "models", str(folder))
    return folder


@pytest.fixture(scope="session")
def served(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Server]]:
    """Gives the running server of a model."""
    known: dict[str, Server] = {}
    with ExitStack() as stack:

        def server(name: str) -> Server:
            if name not in known:
                allowed = {"MODELYARD_ALLOW_CODE_MODELS": "true"} if name in CODE else {}
                known[name] = stack.enter_context(serving(tmp_path_factory.mktemp(name), models / name, allowed))
            return known[name]

        yield server


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Minio]:
    """A real MinIO with the bucket `datasets`."""
    with servers.minio(tmp_path_factory.mktemp("minio")) as server:
        bucket(server).create_bucket(Bucket="datasets")
        yield server


def bucket(server: servers.Minio):
    """A client with the administrator's keys."""
    return boto3.client(
        "s3",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        config=botocore.config.Config(s3={"addressing_style": "path"}),
    )
