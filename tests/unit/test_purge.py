"""What is purged and what is kept, on fakes; tests/contract/test_purge.py has the real services."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from modelyard.api.artifacts import Location
from modelyard_runtime.purge.things import (
    Experiment,
    LoggedModel,
    Owner,
    Run,
    Ties,
    Version,
    needed_by,
    place,
)
from modelyard_runtime.purge.work import DatabaseError, Options, Summary, purge
from modelyard_runtime.s3 import Denied

RUN, OTHER, MODEL, LONE, THIRD = (
    "a" * 32,
    "b" * 32,
    "m-" + "c" * 32,
    "m-" + "d" * 32,
    "m-" + "e" * 32,
)
OURS = Owner("uid-1", "risk")
BASE = "s3://mlflow-artifacts/risk/fraud"
OLD, NOW = 1_000, 9_000


# --- where ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("location", "key"),
    [
        (f"{BASE}/{RUN}/artifacts", f"risk/fraud/{RUN}/artifacts/"),
        (f"{BASE}/{RUN}/artifacts/", f"risk/fraud/{RUN}/artifacts/"),
        (f"{BASE}/{RUN}", f"risk/fraud/{RUN}/"),
    ],
)
def test_a_location_that_ends_with_its_id_is_accepted(location, key):
    assert place(location, RUN, "risk") == Location("mlflow-artifacts", key)


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("", "are not in S3"),
        (f"file:///risk/{RUN}/artifacts", "are not in S3"),
        ("s3://mlflow-artifacts", "is ambiguous"),
        ("s3://mlflow-artifacts/", "is ambiguous"),
        (f"s3:///{RUN}/artifacts", "is ambiguous"),
        (f"s3://user:password@host/risk/{RUN}/artifacts", "is ambiguous"),
        (f"{BASE}/{RUN}/../artifacts", "is ambiguous"),
        (f"{BASE}//{RUN}/artifacts", "is ambiguous"),
        (f"{BASE}/{RUN}/artifacts//", "is ambiguous"),
        (f"{BASE}?/{RUN}/artifacts", "is ambiguous"),
        (f"{BASE}#/{RUN}/artifacts", "is ambiguous"),
        (f"{BASE}/%2e%2e/{RUN}/artifacts", "is ambiguous"),
        (f"{BASE}/\n/{RUN}/artifacts", "is ambiguous"),
        (BASE, "does not end with its id"),
        ("s3://mlflow-artifacts/artifacts", "does not end with its id"),
        (f"{BASE}/artifacts", "does not end with its id"),
        (f"{BASE}/{OTHER}/artifacts", "does not end with its id"),
        (f"{BASE}/{RUN}/artifacts/artifacts", "does not end with its id"),
        (f"{BASE}/{RUN}/more", "does not end with its id"),
        (f"{BASE}/x{RUN}/artifacts", "does not end with its id"),
        (
            f"s3://mlflow-artifacts/credit/{RUN}/artifacts",
            "not under the prefix of its namespace, risk/",
        ),
        (
            f"s3://mlflow-artifacts/risk-2/{RUN}/artifacts",
            "not under the prefix of its namespace, risk/",
        ),
    ],
)
def test_every_other_location_is_refused(location, why):
    found = place(location, RUN, "risk")
    assert isinstance(found, str)
    assert why in found


def test_an_id_that_may_be_part_of_other_names_is_refused():
    assert "does not end with its id" in str(place("s3://mlflow-artifacts/risk", "risk", "risk"))
    assert "where histories of models are kept" in str(
        place(f"s3://mlflow-artifacts/risk/.modelyard/history/{RUN}", RUN, "risk")
    )
    assert place(f"s3://mlflow-artifacts/{RUN}/artifacts", RUN, "") == Location(
        "mlflow-artifacts", f"{RUN}/artifacts/"
    )


# --- whether something needs it -------------------------------------------------------------------
PREFIX = Location("mlflow-artifacts", f"risk/fraud/{RUN}/artifacts/")


@pytest.mark.parametrize(
    ("run", "source", "needs"),
    [
        (RUN, "somewhere", True),
        ("", f"runs:/{RUN}/model", True),
        ("", f"{BASE}/{RUN}/artifacts/model", True),
        ("", f"mlflow-artifacts:/1/{RUN}/artifacts/model", True),
        ("", BASE, True),
        ("", f"{BASE}/", True),
        ("", "s3://mlflow-artifacts", True),
        ("", "s3://mlflow-artifacts/risk/frau", False),
        ("", f"{BASE}/{OTHER}/artifacts", False),
        (OTHER, "", False),
    ],
)
def test_a_version_needs_the_run_that_it_names_or_is_stored_in(run, source, needs):
    thing = Run(RUN, str(PREFIX), "1", OURS, OLD)
    said = needed_by(thing, PREFIX, Ties((Version("risk.fraud", 3, run, (source, "")),)))
    assert said == ("version 3 of the registered model risk.fraud came from it" if needs else "")


@pytest.mark.parametrize(
    ("source", "needs"),
    [
        (f"models:/{MODEL}", True),
        (f"runs:/{RUN}/model", True),
        (f"models:/{LONE}", False),
        (f"{BASE}/models/{MODEL}/artifacts", True),
    ],
)
def test_a_version_needs_a_logged_model_by_its_id_or_its_runs_name(source, needs):
    thing = LoggedModel(MODEL, f"{BASE}/models/{MODEL}/artifacts", "1", RUN, None)
    prefix = Location("mlflow-artifacts", f"risk/fraud/models/{MODEL}/artifacts/")
    assert (
        bool(needed_by(thing, prefix, Ties((Version("risk.fraud", 3, RUN, (source,)),)))) is needs
    )


# --- the whole ------------------------------------------------------------------------------------
class Killed(BaseException):
    """Raised where the process is killed."""


@dataclass
class World:
    """MLflow's database and S3; `steps` counts the changes, and the process dies at number
    `dies`.
    """

    runs: dict[str, Run] = field(default_factory=dict)
    models: dict[str, LoggedModel] = field(default_factory=dict)
    experiments: dict[str, Experiment] = field(default_factory=dict)
    tied: dict[str, Ties] = field(default_factory=dict)
    objects: dict[str, int] = field(default_factory=dict)
    closed: str = ""
    """What has this in its name cannot be deleted."""
    restores: str = ""
    """An object that a user restores right after it was listed."""
    steps: int = 0
    dies: int = -1

    def deleted_runs(self, before: int) -> list[str]:
        return self._listed(self.runs, before)

    def deleted_models(self, before: int) -> list[str]:
        return self._listed(self.models, before)

    def deleted_experiments(self, before: int) -> list[str]:
        return self._listed(self.experiments, before)

    def run(self, id_: str) -> Run | None:
        found = self.runs.get(id_)
        return found and replace(
            found, models=tuple(each for each in self.models.values() if each.run == id_)
        )

    def model(self, id_: str) -> LoggedModel | None:
        return self.models.get(id_)

    def experiment(self, id_: str) -> Experiment | None:
        found = self.experiments.get(id_)
        runs = tuple(each.id for each in self.runs.values() if each.experiment == id_)
        return found and replace(
            found,
            runs=runs,
            models=tuple(each.id for each in self.models.values() if each.experiment == id_),
        )

    def ties(self, thing: Run | LoggedModel, apart: Collection[str]) -> Ties:
        assert thing.id in apart
        return self.tied.get(thing.id, Ties())

    def delete_run(self, id_: str) -> None:
        self._step()
        if id_ == self.closed:
            raise DatabaseError("database is locked")
        del self.runs[id_]

    def delete_model(self, id_: str) -> None:
        self._step()
        del self.models[id_]

    def delete_experiment(self, id_: str) -> None:
        self._step()
        found = self.experiment(id_)
        assert found is not None
        assert not found.runs, "MLflow would take them along"
        assert not found.models, "MLflow would take them along"
        del self.experiments[id_]

    def size(self, prefix: Location) -> tuple[int, int]:
        found = [size for key, size in self.objects.items() if key.startswith(str(prefix))]
        return len(found), sum(found)

    def remove(self, prefix: Location) -> tuple[int, int]:
        self._step()
        if self.closed and self.closed in prefix.key:
            raise Denied("the store refuses")
        found = self.size(prefix)
        self.objects = {
            key: size for key, size in self.objects.items() if not key.startswith(str(prefix))
        }
        return found

    def _listed(self, things: dict[str, Any], before: int) -> list[str]:
        found = [
            each.id
            for each in things.values()
            if each.deleted is not None and each.deleted <= before
        ]
        if self.restores in things:
            things[self.restores] = replace(things[self.restores], deleted=None)
        return found

    def _step(self) -> None:
        self.steps += 1
        if self.steps - 1 == self.dies:
            raise Killed


def full() -> World:
    """A deleted experiment of ours with a run, its logged model and a model without a run; and an
    active experiment with a deleted run.
    """
    world = World()
    world.experiments = {
        "1": Experiment("1", "risk/fraud", OURS, OLD),
        "2": Experiment("2", "risk/cards", OURS, None),
    }
    world.runs = {
        RUN: Run(RUN, f"{BASE}/{RUN}/artifacts", "1", OURS, OLD),
        OTHER: Run(OTHER, f"s3://mlflow-artifacts/risk/cards/{OTHER}/artifacts", "2", OURS, OLD),
    }
    world.models = {
        MODEL: LoggedModel(MODEL, f"{BASE}/models/{MODEL}/artifacts", "1", RUN, None),
        LONE: LoggedModel(LONE, f"{BASE}/models/{LONE}/artifacts", "1", "", None),
    }
    places = [each.location for each in (*world.runs.values(), *world.models.values())]
    world.objects = {
        f"{place_}/{name}": 10 for place_ in places for name in ("MLmodel", "data/model.ubj")
    }
    world.objects["s3://mlflow-artifacts/risk/fraud/notes.txt"] = 1
    return world


def run(world: World, **options) -> tuple[Summary, list[str]]:
    lines: list[str] = []
    return purge(world, world, Options(**{"before": NOW, **options}), lines.append), lines


def test_everything_is_deleted_and_nothing_else():
    world = full()
    summary, lines = run(world)
    assert summary.as_dict() == {
        "runs": 2,
        "models": 2,
        "experiments": 1,
        "objects": 8,
        "bytes": 80,
        "kept": 0,
        "failed": 0,
        "dry_run": False,
    }
    assert (world.runs, world.models, set(world.experiments)) == ({}, {}, {"2"})
    assert set(world.objects) == {"s3://mlflow-artifacts/risk/fraud/notes.txt"}
    assert (
        lines[0] == f"purged run {RUN}: 4 object(s), 40 bytes with 1 logged model(s) from"
        f" {BASE}/{RUN}/artifacts/"
    )
    assert len(lines) == 4


def test_a_dry_run_reports_the_same_and_changes_nothing():
    world, wet = full(), full()
    summary, lines = run(world, dry_run=True)
    _, said = run(wet)
    assert lines == [line.replace("purged", "would purge", 1) for line in said]
    assert (world.steps, world) == (0, full())
    assert (summary.runs, summary.experiments, summary.bytes, summary.dry_run) == (2, 1, 80, True)


@pytest.mark.parametrize("dies", range(11))
def test_killed_anywhere_and_started_again_the_end_is_the_same(dies):
    world, calm = full(), full()
    for each in (world, calm):
        # In the experiment that is not deleted: without its run nothing would refer to the model.
        each.models[THIRD] = LoggedModel(
            THIRD, f"s3://mlflow-artifacts/risk/cards/models/{THIRD}/artifacts", "2", OTHER, None
        )
        each.objects[each.models[THIRD].location + "/MLmodel"] = 10
    run(calm)
    assert calm.steps == 11
    world.dies = dies
    with pytest.raises(Killed):
        run(world)
    # A deleted record leaves no artifacts behind.
    for id_ in (RUN, OTHER, MODEL, LONE, THIRD):
        if id_ not in world.runs and id_ not in world.models:
            assert not [key for key in world.objects if id_ in key]
    world.dies = -1
    summary, _ = run(world)
    assert summary.failed == 0
    assert (world.runs, world.models, world.experiments, world.objects) == (
        calm.runs,
        calm.models,
        calm.experiments,
        calm.objects,
    )


@pytest.mark.parametrize("needed", [RUN, MODEL])
def test_the_source_of_a_version_stays_whole_and_so_does_its_experiment(needed):
    world = full()
    before = {key for key in world.objects if RUN in key or MODEL in key}
    world.tied = {needed: Ties((Version("risk.fraud", 1, "", (f"models:/{needed}",)),))}
    summary, lines = run(world)
    assert set(world.runs) == {RUN}
    assert set(world.models) == {MODEL}
    assert before <= set(world.objects)
    which = "" if needed == RUN else f"its logged model {MODEL}: "
    assert (
        f"kept run {RUN}: {which}version 1 of the registered model risk.fraud came from it" in lines
    )
    assert f"kept logged model {MODEL}: run {RUN}, which logged it, is kept" in lines
    assert "kept experiment 1: it still has 1 run(s) and 1 logged model(s)" in lines
    assert (summary.kept, summary.failed) == (3, 0)


def test_a_soft_deleted_model_that_a_version_came_from_stays():
    world = full()
    world.models = {
        THIRD: LoggedModel(
            THIRD, f"s3://mlflow-artifacts/risk/cards/models/{THIRD}/artifacts", "2", OTHER, OLD
        )
    }
    world.runs[OTHER] = replace(world.runs[OTHER], deleted=None)
    world.tied = {THIRD: Ties((Version("risk.cards", 2, OTHER, (f"models:/{THIRD}",)),))}
    _, lines = run(world)
    assert set(world.models) == {THIRD}
    assert (
        f"kept logged model {THIRD}: version 2 of the registered model risk.cards came from it"
        in lines
    )
    world.tied = {}
    run(world)
    assert (world.models, set(world.runs)) == ({}, {OTHER})


@pytest.mark.parametrize(
    ("ties", "said"),
    [
        (Ties(users=("e" * 32,)), "uses it"),
        (Ties(lodgers=("run x",)), "run x has artifacts under"),
    ],
)
def test_locations_that_others_use_stay(ties, said):
    world = full()
    world.tied = {OTHER: ties}
    _, lines = run(world)
    assert set(world.runs) == {OTHER}
    assert any(said in line for line in lines)


def test_a_run_restored_meanwhile_stays():
    world = full()
    world.restores = RUN
    _, lines = run(world)
    assert set(world.runs) == {RUN}
    assert f"kept run {RUN}: it was restored, or deleted again, in the meantime" in lines
    assert "kept experiment 1: it still has 1 run(s) and 1 logged model(s)" in lines


def test_an_experiment_or_a_model_that_was_restored_meanwhile_stays_too():
    world = full()
    world.restores = "1"
    _, lines = run(world)
    assert set(world.experiments) == {"1", "2"}
    assert set(world.models) == {LONE}, "it was of an experiment that is not deleted any more"
    assert "kept experiment 1: it was restored, or deleted again, in the meantime" in lines
    world = full()
    world.models[THIRD] = LoggedModel(THIRD, "", "2", "", OLD)
    world.restores = THIRD
    _, lines = run(world)
    assert f"kept logged model {THIRD}: it was restored, or deleted again, in the meantime" in lines


def test_younger_objects_stay():
    world = full()
    summary, lines = run(world, before=OLD - 1)
    assert (lines, world.steps, summary.kept) == ([], 0, 0)


def test_foreign_objects_stay_without_the_option_all():
    world = full()
    world.runs[OTHER] = replace(world.runs[OTHER], owner=Owner())
    world.experiments["3"] = Experiment("3", "notebook", Owner(), OLD)
    _, lines = run(world)
    assert set(world.runs) == {OTHER}
    assert set(world.experiments) == {"2", "3"}
    assert (
        f"kept run {OTHER}: it has no tag modelyard.io/uid, so it does not belong to modelyard"
        in lines
    )
    run(world, everybody=True)
    assert (world.runs, set(world.experiments)) == ({}, {"2"})


def test_untagged_runs_of_an_experiment_of_ours_are_purged_with_it_within_its_prefix():
    world = full()
    world.runs[RUN] = replace(world.runs[RUN], owner=Owner())
    run(world)
    assert set(world.experiments) == {"2"}
    world = full()
    world.runs[RUN] = replace(
        world.runs[RUN], owner=Owner(), location=f"s3://mlflow-artifacts/credit/{RUN}/artifacts"
    )
    _, lines = run(world)
    assert set(world.runs) == {RUN}
    assert (
        f"kept run {RUN}: its artifacts are not under the prefix of its namespace, risk/" in lines
    )


def test_the_default_experiment_of_mlflow_stays():
    world = World(experiments={"0": Experiment("0", "Default", Owner(), OLD)})
    _, lines = run(world, everybody=True)
    assert lines == ["kept experiment 0: it is MLflow's default experiment"]


def test_only_named_runs_are_purged():
    world = full()
    summary, _ = run(world, run_ids=(RUN,))
    assert set(world.runs) == {OTHER}
    assert set(world.models) == {LONE}
    assert set(world.experiments) == {"1", "2"}
    again, lines = run(world, run_ids=(RUN,))
    assert lines == [f"kept run {RUN}: this run does not exist (any longer)"]
    assert (summary.runs, again.failed) == (1, 0)


def test_a_named_run_that_is_not_deleted_is_refused():
    world = full()
    world.runs[RUN] = replace(world.runs[RUN], deleted=None)
    summary, lines = run(world, run_ids=(RUN, OTHER))
    assert lines[0] == f"refused run {RUN}: the run is not soft-deleted; delete it first"
    assert (summary.failed, summary.runs, set(world.runs)) == (1, 1, {RUN})


@pytest.mark.parametrize("closed", [RUN, OTHER])
def test_a_failure_is_reported_and_the_others_continue(closed):
    world = full()
    world.closed = closed
    summary, lines = run(world)
    assert set(world.runs) == {closed}
    assert summary.failed == 1
    assert f"failed run {closed}: Denied: the store refuses" in lines
    world.closed = ""
    assert run(world)[0].failed == 0
    assert set(world.experiments) == {"2"}
