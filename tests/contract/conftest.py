"""Real servers, started once per session and on demand; and the worlds that the contract runs
against.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from modelyard.adapters.instrument import CallTimer
from modelyard.adapters.mlflow import Credentials, Mlflow
from modelyard.adapters.offload import Pool
from modelyard.adapters.s3 import S3, Deadlines
from modelyard.adapters.s3_client import Clients, Keys
from modelyard.api.artifacts import Location, Reach
from tests import servers
from tests.contract.worlds import (
    FakeStoreWorld,
    FakeWorld,
    RealStoreWorld,
    RealWorld,
    StoreWorld,
    World,
)
from tests.fakes.mlflow import FakeTracking
from tests.fakes.s3 import FakeStore
from tests.local import limits

REAL = pytest.mark.contract
WORLDS = ["fake", pytest.param("sqlite", marks=REAL), pytest.param("postgresql", marks=REAL)]
DEADLINE = 60.0
"""Seconds for one call. A machine that runs much else answers late; what a deadline does is
tested where it is the subject.
"""
STORES = ["fake", pytest.param("minio", marks=REAL)]


@dataclass(frozen=True)
class Mlflows:
    """The addresses of the real MLflow servers."""

    sqlite: str
    postgresql: str


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Minio]:
    """A real MinIO with the bucket `mlflow-artifacts`."""
    with servers.minio(tmp_path_factory.mktemp("minio")) as server:
        server.s3().create_bucket(Bucket="mlflow-artifacts")
        yield server


@pytest.fixture(scope="session")
def mlflows(tmp_path_factory: pytest.TempPathFactory, minio: servers.Minio) -> Iterator[Mlflows]:
    """Real MLflow servers, on SQLite and on PostgreSQL; they take 15 s to start, so they start in
    parallel.
    """
    folder: Path = tmp_path_factory.mktemp("mlflow")
    with ExitStack() as stack, ThreadPoolExecutor() as threads:
        databases = [f"sqlite:///{folder}/mlflow.db", stack.enter_context(servers.postgres())]
        starting = [
            servers.mlflow(folder, database, "s3://mlflow-artifacts/", minio)
            for database in databases
        ]
        sqlite, postgresql = threads.map(stack.enter_context, starting)
        yield Mlflows(sqlite, postgresql)


@pytest.fixture
def name() -> str:
    """Return a name that no other test uses."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture(params=WORLDS)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """MLflow: the fake, and the real one on two databases."""
    if request.param == "fake":
        yield FakeWorld(FakeTracking())
        return
    url = getattr(request.getfixturevalue("mlflows"), request.param)
    client = Mlflow(
        url, Credentials(), CallTimer("MLflow", lambda *_: None), limits=limits(), deadline=DEADLINE
    )
    yield RealWorld(client, url)
    await client.close()


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, name: str) -> AsyncIterator[StoreWorld]:
    """S3: the fake and the real one, each with an empty bucket of its own that the namespace
    `risk` writes to, and one that it reads.
    """
    own, other = f"own-{name}", f"other-{name}"
    if request.param == "fake":
        yield FakeStoreWorld(
            FakeStore(own, "risk", frozenset({Location(other, "")}), world={own: {}, other: {}}),
            own,
            other,
        )
        return
    server: servers.Minio = request.getfixturevalue("minio")
    hand = server.s3()
    for bucket in (own, other):
        hand.create_bucket(Bucket=bucket)
    keys = Keys(server.url, server.access_key, server.secret_key)
    timer = CallTimer("S3", lambda *_: None)
    client = S3(
        keys,
        Reach(own, "risk", frozenset({Location(other, "")})),
        timer,
        clients=Clients(limits=limits()),
        pool=Pool("S3", 8),
        bulk=Pool("S3", 4),
        deadlines=Deadlines(),
    )
    yield RealStoreWorld(client, own, other, hand)
    await client.close()
    hand.close()
