"""Our calls as MLflow's own client sees them: the URIs that users load models by, on a really
logged model.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import pytest

from modelyard.adapters.instrument import CallTimer
from modelyard.adapters.mlflow import Credentials, Mlflow
from modelyard.adapters.offload import Pool
from modelyard.adapters.s3 import S3
from modelyard.adapters.s3_client import Clients, Keys
from modelyard.api.artifacts import Reach
from modelyard.ports import LoggedModel
from tests import servers
from tests.contract.conftest import Mlflows
from tests.contract.notebook import Notebook, notebook
from tests.local import limits

pytestmark = pytest.mark.contract


@dataclass
class World:
    """Our clients, the user's notebook, and a model that it logged into a run of ours."""

    tracking: Mlflow
    store: S3
    notebook: Notebook
    run: str
    logged: LoggedModel
    model: str


@pytest.fixture(scope="module")
def user(
    mlflows: Mlflows, minio: servers.Minio, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Notebook]:
    with notebook(mlflows.sqlite, minio.environment, tmp_path_factory.mktemp("notebook")) as opened:
        yield opened


@pytest.fixture(scope="module")
def logged_once() -> list[tuple[str, str, str]]:
    """The run and the logged model that all tests share, created by the first one: logging takes
    seconds.
    """
    return []


@pytest.fixture
async def world(
    user: Notebook,
    mlflows: Mlflows,
    minio: servers.Minio,
    name: str,
    logged_once: list[tuple[str, str, str]],
) -> AsyncIterator[World]:
    tracking = Mlflow(
        mlflows.sqlite,
        Credentials(),
        CallTimer("MLflow", lambda *_: None),
        limits=limits(),
        deadline=60.0,
    )
    keys = Keys(minio.url, minio.access_key, minio.secret_key)
    reach = Reach("mlflow-artifacts", "risk")
    store = S3(
        keys,
        reach,
        CallTimer("S3", lambda *_: None),
        clients=Clients(limits=limits()),
        pool=Pool("S3", 8),
        bulk=Pool("S3", 4),
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(tracking.close)
        stack.push_async_callback(store.close)
        if not logged_once:
            experiment = await tracking.create_experiment(
                f"risk/{name}", f"s3://mlflow-artifacts/risk/{name}", {}
            )
            run = await tracking.create_run(experiment, "r", {})
            logged_once.append((experiment, run, user.ask("log", run)))
        experiment, run, id_ = logged_once[0]
        (logged,) = await tracking.logged_models(experiment, run)
        assert logged.id == id_
        await tracking.create_model(f"risk.{name}", "", {})
        yield World(tracking, store, user, run, logged, f"risk.{name}")


async def test_a_logged_model_is_found_where_it_is_stored(world: World):
    run = await world.tracking.run(world.run)
    assert run is not None
    assert run.models == (world.logged.id,)
    assert world.logged.uri.endswith(f"/models/{world.logged.id}/artifacts")
    assert world.logged.run == world.run
    tree = await world.store.digest(world.logged.uri)
    assert tree is not None
    assert tree.files == len(await world.store.objects(world.logged.uri))
    assert "MLmodel" in {each.path for each in await world.store.objects(world.logged.uri)}
    assert b"xgboost" in (await world.store.read(f"{world.logged.uri}/MLmodel", 100_000) or b"")


async def test_our_registration_equals_mlflow_s_own(world: World):
    """`mlflow.register_model("models:/m-...")` and ours leave the same version behind."""
    theirs = world.notebook.ask("register", f"models:/{world.logged.id}", world.model)
    ours = await world.tracking.create_version(
        world.model, f"models:/{world.logged.id}", None, {}, world.logged.id
    )
    assert (theirs, ours) == ("1", "2")
    first, second = await world.tracking.versions(world.model)
    assert replace(first, version="", created=None) == replace(second, version="", created=None)
    assert world.notebook.ask("version", world.model, "1") == world.notebook.ask(
        "version", world.model, "2"
    )
    assert [world.notebook.ask("load", f"models:/{world.model}/{number}") for number in (1, 2)] == [
        2,
        2,
    ]


@pytest.mark.parametrize("source", ["models:/", "s3://"])
async def test_models_load_by_version_alias_and_stage(world: World, source: str):
    uri = f"models:/{world.logged.id}" if source == "models:/" else world.logged.uri
    version = await world.tracking.create_version(
        world.model, uri, None, {"modelyard.io/version": "v1"}, world.logged.id
    )
    await world.tracking.transition(world.model, version, "Production")
    await world.tracking.set_alias(world.model, "production", version)
    seen = world.notebook.ask("version", world.model, version)
    assert seen == {
        "source": uri,
        "run": world.run,
        "aliases": ["production"],
        "stage": "Production",
        "tags": {"modelyard.io/version": "v1"},
    }
    for name in (
        f"{world.model}/{version}",
        f"{world.model}@production",
        f"{world.model}/Production",
    ):
        assert world.notebook.ask("load", f"models:/{name}") == 2


async def test_a_promotion_and_its_rollback_are_seen(world: World):
    """Of two versions in one stage MLflow's client uses the higher number, so the old one leaves in
    the same move.
    """
    for _ in range(2):
        await world.tracking.create_version(
            world.model, f"models:/{world.logged.id}", None, {}, world.logged.id
        )

    def resolved() -> tuple[str, str]:
        return world.notebook.ask("resolve", world.model, "Production"), world.notebook.ask(
            "resolve", world.model, "@production"
        )

    await world.tracking.transition(world.model, "1", "Production")
    await world.tracking.set_alias(world.model, "production", "1")
    assert resolved() == ("1", "1")
    await world.tracking.transition(world.model, "2", "Production", displacing=True)
    await world.tracking.set_alias(world.model, "production", "2")
    assert resolved() == ("2", "2")
    await world.tracking.transition(world.model, "1", "Production")
    await world.tracking.set_alias(world.model, "production", "1")
    assert resolved() == ("2", "1")
    await world.tracking.transition(world.model, "1", "Production", displacing=True)
    assert resolved() == ("1", "1")


async def test_a_cleared_stage_resolves_to_nothing(world: World):
    version = await world.tracking.create_version(
        world.model, f"models:/{world.logged.id}", None, {}, world.logged.id
    )
    await world.tracking.transition(world.model, version, "Production")
    await world.tracking.set_alias(world.model, "production", version)
    await world.tracking.transition(world.model, version, "Archived")
    await world.tracking.delete_alias(world.model, "production")
    for name in (f"{world.model}/Production", f"{world.model}@production"):
        with pytest.raises(RuntimeError):
            world.notebook.ask("load", f"models:/{name}")
    assert world.notebook.ask("load", f"models:/{world.model}/{version}") == 2
