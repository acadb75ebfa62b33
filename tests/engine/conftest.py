"""One API server for this folder, with the toy's CRD."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cluster.apiserver import ApiServer, running
from tests.engine.ground import Fake, Ground, real
from tests.engine.proxy import Proxy, proxy
from tests.engine.rig import User, user


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.api)


@pytest.fixture(scope="package")
def server() -> Iterator[ApiServer]:
    with running(controllers=True) as made:

        async def prepare() -> None:
            async with user(made) as admin:
                await admin.install()
                for name in ("modelyard-system", "risk", "fraud"):
                    await admin.namespace(name)
                await admin.takes_pods("risk")

        asyncio.run(prepare())
        yield made


@pytest.fixture
async def admin(server: ApiServer) -> AsyncIterator[User]:
    """A user; remaining objects are removed after the test, with their finalizers."""
    async with user(server) as made:
        yield made
        await made.clear()


@pytest.fixture
async def between(server: ApiServer) -> AsyncIterator[Proxy]:
    """A proxy between the operator and the API server."""
    async with proxy(server) as made:
        yield made


@pytest.fixture(params=["fake", "real"])
async def ground(request: pytest.FixtureRequest, server: ApiServer) -> AsyncIterator[Ground]:
    if request.param == "fake":
        yield Fake()
    else:
        async with real(server) as made:
            yield made


@pytest.fixture
def name() -> str:
    return f"contract-{uuid4().hex[:8]}"
