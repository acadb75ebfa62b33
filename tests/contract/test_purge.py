"""Purging on MLflow's real stores and a real S3: the program as a process, and MLflow's own client
to check.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests import servers
from tests.contract.notebook import Notebook, notebook

pytestmark = pytest.mark.contract
whichever_database = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

ROOT = Path(__file__).parents[2]
BUCKET = "mlflow-artifacts"


@dataclass
class Done:
    """The program's result and output."""

    code: int
    lines: list[str]
    errors: str

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads(self.lines[-1])

    def line(self, id_: str) -> str:
        """Return the only line about something."""
        (found,) = [line for line in self.lines if f" {id_}: " in line]
        return found


@dataclass
class World:
    """One MLflow database, S3, and a user of both."""

    uri: str
    store: servers.Minio
    user: Notebook
    name: str
    hand: Any

    def experiment(self, *, ours: bool = True) -> str:
        return self.user.ask(
            "experiment",
            f"risk/{self.name}",
            self.tags(ours=ours),
            f"s3://{BUCKET}/risk/{self.name}",
        )

    def tags(self, *, ours: bool = True) -> dict[str, str]:
        return (
            {
                "modelyard.io/uid": f"uid-{self.name}",
                "modelyard.io/namespace": "risk",
                "modelyard.io/name": self.name,
            }
            if ours
            else {}
        )

    def run(self, experiment: str, *, ours: bool = True, deleted: bool = True) -> tuple[str, str]:
        """Create a run with two artifacts; return its id and their location."""
        id_, uri = self.user.ask("run", experiment, self.tags(ours=ours))
        self.put(uri, "plot.png", "deep/er/table.json")
        if deleted:
            self.user.ask("delete run", id_)
        return id_, uri

    def model(self, experiment: str, run: str = "") -> tuple[str, str]:
        """Create a logged model with two artifacts; return its id and their location."""
        id_, uri = self.user.ask("model", experiment, run)
        self.put(uri, "MLmodel", "model.ubj")
        return id_, uri

    def put(self, uri: str, *names: str) -> None:
        prefix = uri.removeprefix(f"s3://{BUCKET}/")
        assert prefix != uri
        for name in names:
            self.hand.put_object(Bucket=BUCKET, Key=f"{prefix}/{name}", Body=b"0123456789")

    def objects(self, uri: str) -> int:
        return int(
            self.hand.list_objects_v2(Bucket=BUCKET, Prefix=uri.removeprefix(f"s3://{BUCKET}/"))[
                "KeyCount"
            ]
        )

    def sees(self, kind: str, id_: str) -> str:
        return str(self.user.ask(f"see {kind}", id_))

    def purge(self, *words: str, **environment: str) -> Done:
        """Run the program's main in the user's process."""
        return Done(*self.user.ask("purge", words, environment))

    def program(self, *words: str) -> Done:
        """Run the program as its pod does: once per database, because importing MLflow takes
        seconds.
        """
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("MLFLOW_", "AWS_", "MODELYARD_"))
        }
        given = {
            "PYTHONPATH": str(ROOT / "operator"),
            "MODELYARD_TERMINATION_LOG": os.devnull,
            "MLFLOW_BACKEND_STORE_URI": self.uri,
        }
        command = [sys.executable, "-m", "modelyard_runtime.purge", *words]
        full = kept | given | self.store.environment
        done = subprocess.run(command, env=full, capture_output=True, text=True, check=False)
        return Done(done.returncode, done.stdout.splitlines(), done.stderr)

    def sql(self, statement: str, **values: Any) -> list[Any]:
        """Execute SQL that no API call offers."""
        engine = sa.create_engine(self.uri)
        with engine.begin() as connection:
            done = connection.execute(sa.text(statement), values)
            rows = done.all() if done.returns_rows else []
        engine.dispose()
        return list(rows)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A separate database: here everything soft-deleted is purged, whatever its age and owner."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('purge')}/mlflow.db"
        return
    with servers.postgres() as uri:
        yield uri


@pytest.fixture(scope="module")
def user(
    database: str, minio: servers.Minio, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Notebook]:
    # The purger also writes its summary as a termination message.
    environment = minio.environment | {
        "MLFLOW_BACKEND_STORE_URI": database,
        "MODELYARD_TERMINATION_LOG": os.devnull,
    }
    with notebook(
        database, environment, tmp_path_factory.mktemp("user"), "tests.contract.purge_side"
    ) as opened:
        yield opened


@pytest.fixture
def world(database: str, user: Notebook, minio: servers.Minio, name: str) -> Iterator[World]:
    hand = minio.s3()
    yield World(database, minio, user, name, hand)
    hand.close()


def test_a_purged_run_is_gone_with_its_logged_model_and_its_bytes(world: World):
    experiment = world.experiment()
    run, at = world.run(experiment, deleted=False)
    model, model_at = world.model(experiment, run)
    other, other_at = world.run(experiment)
    world.user.ask("delete run", run)
    done = world.program("--run-ids", run)
    assert done.code == 0, done.errors
    assert world.sees("run", run) == world.sees("model", model) == "gone"
    assert world.objects(at) == world.objects(model_at) == 0
    assert (world.sees("run", other), world.objects(other_at)) == ("deleted", 2)
    assert (
        done.line(run)
        == f"purged run {run}: 4 object(s), 40 bytes with 1 logged model(s) from {at}/"
    )
    assert done.summary == {
        "runs": 1,
        "models": 1,
        "experiments": 0,
        "objects": 4,
        "bytes": 40,
        "kept": 0,
        "failed": 0,
        "dry_run": False,
    }
    for table, key, id_ in (
        ("metrics", "run_uuid", run),
        ("tags", "run_uuid", run),
        ("logged_model_params", "model_id", model),
    ):
        assert world.sql(f"SELECT * FROM {table} WHERE {key} = :id", id=id_) == []


def test_by_age_old_runs_are_purged_and_young_ones_stay(world: World):
    experiment = world.experiment()
    run, at = world.run(experiment)
    young = world.purge("--older-than", "1h")
    assert young.code == 0, young.errors
    assert (world.sees("run", run), world.objects(at)) == ("deleted", 2)
    world.sql("UPDATE runs SET deleted_time = deleted_time - 3600000 WHERE run_uuid = :id", id=run)
    dry = world.purge("--older-than", "1h", "--dry-run")
    assert dry.line(run) == f"would purge run {run}: 2 object(s), 20 bytes from {at}/"
    assert (world.sees("run", run), world.objects(at)) == ("deleted", 2)
    old = world.purge("--older-than", "1h")
    assert (world.sees("run", run), world.objects(at)) == ("gone", 0)
    assert dry.summary | {"dry_run": False} == old.summary


@pytest.mark.parametrize(
    "how",
    [
        "run",
        "source in S3",
        "a folder above",
        "logged model",
        "its place in S3",
        "the run's name of it",
    ],
)
def test_the_source_of_a_version_stays_whole(world: World, how: str):
    experiment = world.experiment()
    run, at = world.run(experiment, deleted=False)
    model, model_at = world.model(experiment, run)
    source, of, model_id = {
        "run": ("s3://elsewhere/model", run, ""),
        "source in S3": (f"{at}/deep", "", ""),
        "a folder above": (at.removesuffix(f"/{run}/artifacts"), "", ""),
        "logged model": (f"models:/{model}", "", model),
        "its place in S3": (model_at, "", ""),
        "the run's name of it": (f"runs:/{run}/model", "", ""),
    }[how]
    version = world.user.ask("version", f"risk.{world.name}", source, of, model_id)
    world.user.ask("delete run", run)
    done = world.purge("--run-ids", run)
    assert done.code == 0, done.errors
    assert f"version 1 of the registered model risk.{world.name} came from it" in done.line(run)
    assert (world.sees("run", run), world.objects(at), world.objects(model_at)) == ("deleted", 2, 2)
    # MLflow keeps the row of a deleted version.
    world.user.ask("drop version", f"risk.{world.name}", version)
    assert world.purge("--run-ids", run).summary["runs"] == 1
    assert (world.sees("run", run), world.sees("model", model)) == ("gone", "gone")


def test_a_logged_model_that_another_run_uses_stays(world: World):
    experiment = world.experiment()
    run, _ = world.run(experiment, deleted=False)
    model, model_at = world.model(experiment, run)
    judge, _ = world.run(experiment, deleted=False)
    world.user.ask("use", judge, model)
    world.user.ask("delete run", run)
    assert f"run {judge}, which is not deleted, uses it" in world.purge("--run-ids", run).line(run)
    assert (world.sees("model", model), world.objects(model_at)) == ("there", 2)
    world.user.ask("delete run", judge)
    assert world.purge("--run-ids", run).summary["runs"] == 1


def test_files_of_others_below_its_artifacts_stay(world: World):
    experiment = world.experiment()
    run, at = world.run(experiment)
    lodger = world.user.ask("experiment", f"lodger/{world.name}", {}, f"{at}/deep")
    world.run(lodger, ours=False, deleted=False)
    assert "has artifacts under its prefix" in world.purge("--run-ids", run).line(run)
    assert (world.sees("run", run), world.objects(at)) == ("deleted", 4)


def test_a_registry_in_a_separate_database_is_read(world: World, tmp_path: Path):
    experiment = world.experiment()
    run, at = world.run(experiment)
    registry = f"sqlite:///{tmp_path}/registry.db"
    world.user.ask("version elsewhere", registry, "risk.elsewhere", f"{at}/deep")
    done = world.purge("--run-ids", run, MLFLOW_REGISTRY_STORE_URI=registry)
    assert "version 1 of the registered model risk.elsewhere came from it" in done.line(run)
    assert (world.sees("run", run), world.objects(at)) == ("deleted", 2)
    assert (
        world.purge(
            "--run-ids", run, MLFLOW_REGISTRY_STORE_URI="sqlite:////nowhere/registry.db"
        ).code
        == 67
    )
    assert world.sees("run", run) == "deleted"


def test_a_restored_run_and_one_that_was_never_deleted_are_refused(world: World):
    experiment = world.experiment()
    restored, at = world.run(experiment)
    world.user.ask("restore run", restored)
    deleted, _ = world.run(experiment)
    done = world.purge("--run-ids", f"{restored},{deleted},{'0' * 32}")
    assert done.code == 1
    assert (
        done.line(restored)
        == f"refused run {restored}: the run is not soft-deleted; delete it first"
    )
    assert "this run does not exist" in done.line("0" * 32)
    assert (world.sees("run", restored), world.objects(at), world.sees("run", deleted)) == (
        "active",
        2,
        "gone",
    )
    assert world.purge("--older-than", "0s").code == 0
    assert (world.sees("run", restored), world.objects(at)) == ("active", 2)


def test_a_foreign_run_stays_without_the_option_all(world: World):
    experiment = world.experiment(ours=False)
    run, at = world.run(experiment, ours=False)
    world.user.ask("delete experiment", experiment)
    done = world.purge("--older-than", "0s")
    assert (
        done.line(run)
        == f"kept run {run}: it has no tag modelyard.io/uid, so it does not belong to modelyard"
    )
    assert (world.sees("run", run), world.objects(at), world.sees("experiment", experiment)) == (
        "deleted",
        2,
        "deleted",
    )
    assert world.purge("--older-than", "0s", "--all").code == 0
    assert (world.sees("run", run), world.objects(at), world.sees("experiment", experiment)) == (
        "gone",
        0,
        "gone",
    )


def test_an_experiment_is_purged_when_nothing_of_it_is_kept(world: World):
    experiment = world.experiment()
    run, _ = world.run(experiment, deleted=False)
    untagged, untagged_at = world.run(experiment, ours=False, deleted=False)
    lone, lone_at = world.model(experiment)
    world.user.ask("version", f"risk.{world.name}", "s3://elsewhere/model", run, "")
    world.user.ask("delete experiment", experiment)
    done = world.purge("--older-than", "0s")
    assert done.code == 0, done.errors
    assert done.line(experiment).endswith(": it still has 1 run(s) and 0 logged model(s)")
    assert (world.sees("experiment", experiment), world.sees("run", run)) == ("deleted", "deleted")
    assert (
        world.sees("run", untagged),
        world.objects(untagged_at),
        world.sees("model", lone),
        world.objects(lone_at),
    ) == (
        "gone",
        0,
        "gone",
        0,
    )
    world.user.ask("drop version", f"risk.{world.name}", "1")
    assert world.purge("--older-than", "0s").summary["experiments"] == 1
    assert (world.sees("experiment", experiment), world.sees("run", run)) == ("gone", "gone")
    assert world.experiment(), "the name is free again"


def test_a_soft_deleted_logged_model_is_purged_without_its_run(world: World):
    experiment = world.experiment()
    run, at = world.run(experiment, deleted=False)
    model, model_at = world.model(experiment, run)
    stays, stays_at = world.model(experiment, run)
    world.user.ask("delete model", model)
    assert world.purge("--older-than", "0s").code == 0
    assert (world.sees("model", model), world.objects(model_at)) == ("gone", 0)
    assert (
        world.sees("model", stays),
        world.objects(stays_at),
        world.sees("run", run),
        world.objects(at),
    ) == ("there", 2, "active", 2)


@pytest.mark.parametrize(
    "location",
    [
        "s3://mlflow-artifacts",
        "s3://mlflow-artifacts/risk",
        "s3://mlflow-artifacts/credit/{id}/artifacts",
    ],
)
def test_a_run_with_a_changed_location_deletes_nothing_there(world: World, location: str):
    experiment = world.experiment()
    run, at = world.run(experiment)
    everything = world.objects(f"s3://{BUCKET}/")
    world.sql(
        "UPDATE runs SET artifact_uri = :to WHERE run_uuid = :id",
        to=location.format(id=run),
        id=run,
    )
    assert "kept run" in world.purge("--run-ids", run).line(run)
    assert (world.sees("run", run), world.objects(at), world.objects(f"s3://{BUCKET}/")) == (
        "deleted",
        2,
        everything,
    )


def test_killed_between_artifacts_and_record_it_is_purged_the_next_time(world: World):
    experiment = world.experiment()
    run, at = world.run(experiment)
    for name in ("plot.png", "deep/er/table.json"):
        world.hand.delete_object(Bucket=BUCKET, Key=f"{at.removeprefix(f's3://{BUCKET}/')}/{name}")
    assert world.objects(at) == 0
    done = world.purge("--run-ids", run)
    assert (done.code, done.line(run)) == (0, f"purged run {run}: 0 object(s), 0 bytes from {at}/")
    assert world.sees("run", run) == "gone"


def test_if_s3_refuses_the_record_stays_and_the_others_continue(world: World):
    experiment = world.experiment()
    refused, _ = world.run(experiment)
    run, _ = world.run(experiment)
    elsewhere = f"s3://no-such-bucket/risk/{refused}/artifacts"
    world.sql("UPDATE runs SET artifact_uri = :to WHERE run_uuid = :id", to=elsewhere, id=refused)
    done = world.purge("--run-ids", f"{refused},{run}")
    assert (done.code, done.summary["failed"], done.summary["runs"]) == (1, 1, 1)
    assert done.line(refused).startswith(f"failed run {refused}: Gone: s3://no-such-bucket/")
    assert (world.sees("run", refused), world.sees("run", run)) == ("deleted", "gone")
    wrong = world.purge("--run-ids", refused, AWS_SECRET_ACCESS_KEY="not-the-key-of-it")
    assert wrong.code == 1
    assert world.sees("run", refused) == "deleted"


@whichever_database
def test_more_objects_than_s3_deletes_at_a_time(world: World):
    experiment = world.experiment()
    run, at = world.run(experiment)
    world.put(at, *(f"many/{number}" for number in range(1003)))
    assert world.purge("--run-ids", run).summary["objects"] == 1005
    assert world.objects(at) == 0


@whichever_database
@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("", "MLFLOW_BACKEND_STORE_URI is not set"),
        ("sqlite:////nowhere/mlflow.db", "the file /nowhere/mlflow.db, which does not exist"),
        ("http://mlflow:5050", "is not the URI of a database"),
        ("postgresql://modelyard:top-secret@127.0.0.1:1/mlflow", "DatabaseUnavailable"),
    ],
)
def test_an_invalid_database_is_refused_and_none_is_created(world: World, uri: str, said: str):
    done = world.purge("--older-than", "0s", MLFLOW_BACKEND_STORE_URI=uri)
    assert done.code not in (0, 1)
    assert said in done.errors
    assert "top-secret" not in done.errors
    assert done.lines == []


@whichever_database
@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--older-than", "soon"],
        ["--older-than", "-1d"],
        ["--run-ids", ","],
        ["--older-than", "1d", "--everything"],
    ],
)
def test_usage_errors_change_nothing(world: World, words: list[str]):
    done = world.purge(*words)
    assert (done.code, done.lines) == (2, [])
