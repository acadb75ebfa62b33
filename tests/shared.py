"""Servers that the tests of several folders share: each is started once per run, when a test first
needs it.

On the API server a test works in its own namespace, named by the next of `numbers`, or sends only
dry runs. A plugin of tests/conftest.py; a folder with a fixture of the same name has its own
server.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests import servers
from tests.harness import Cluster, serving

__all__ = ["cluster", "minio", "mlflow", "numbers", "s3"]

numbers = itertools.count(1)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """An API server with our kinds."""
    with serving() as there:
        yield there


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Minio]:
    """A real MinIO with the bucket `artifacts`."""
    with servers.minio(tmp_path_factory.mktemp("minio")) as server:
        hand = server.s3()
        hand.create_bucket(Bucket="artifacts")
        hand.close()
        yield server


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory: pytest.TempPathFactory, minio: servers.Minio) -> Iterator[str]:
    """A real MLflow server; its address."""
    folder = tmp_path_factory.mktemp("mlflow")
    with servers.mlflow(folder, f"sqlite:///{folder}/mlflow.db", "s3://artifacts/", minio) as url:
        yield url


@pytest.fixture
def s3(minio: servers.Minio):
    """A client of MinIO with the administrator's keys."""
    hand = minio.s3()
    yield hand
    hand.close()
