"""Which versions should exist, and the source of each: objects in, declarations out."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from modelyard.api.base import condition
from modelyard.api.registered_model import (
    ModelVersionSpec,
    RegisteredModel,
    StageStatus,
    VersionStatus,
)
from modelyard.api.training_run import TrainingRun, TrainingRunStatus
from modelyard.registered_model.declarations import contradicted, declarations
from tests.unit.builders import MINUTE, NOW, artifacts, registered_model, training_run
from tests.unit.models import declared, record, recording


def run(
    name: str,
    version: str = "v1",
    *,
    ended: timedelta | None = timedelta(0),
    well: bool = True,
    model: str = "fraud",
    age: timedelta = timedelta(days=1),
) -> TrainingRun:
    """Return a TrainingRun that registers a version, with the ages of its creation and its end."""
    status = (
        TrainingRunStatus()
        if ended is None
        else TrainingRunStatus(
            conditions=(condition("Succeeded", well, "Succeeded" if well else "Failed"),),
            completion_time=NOW - ended,
        )
    )
    about = {"creation_timestamp": NOW - age}
    return training_run(
        name, about=about, status=status, register={"model": model, "version": version}
    )


def test_a_version_comes_from_the_spec_or_from_the_run_that_registers_it():
    found = declarations(
        registered_model(versions=declared("v1")),
        [run("fraud-2", "v2"), run("else", "v3", model="other"), training_run("none")],
    )
    assert {name: each.source.training_run or each.source.uri for name, each in found.items()} == {
        "v1": artifacts("v1"),
        "v2": "fraud-2",
    }


def test_the_spec_takes_precedence_over_any_run():
    assert declarations(registered_model(versions=declared("v1")), [run("fraud-1")])[
        "v1"
    ].ignored == ("fraud-1",)
    assert (
        declarations(
            registered_model(versions={"v1": {"trainingRun": "fraud-1"}}), [run("fraud-1")]
        )["v1"].ignored
        == ()
    )


def test_of_several_runs_the_first_created_declares_the_version_whatever_their_order():
    """Which of them has finished does not matter: a later run may be quicker."""
    runs = [
        run("a-late", ended=2 * MINUTE, age=MINUTE),
        run("early", ended=None, age=3 * MINUTE),
        run("trains", ended=None, age=2 * MINUTE),
        run("broken", ended=3 * MINUTE, well=False, age=4 * MINUTE),
    ]
    for order in (runs, runs[::-1]):
        found = declarations(registered_model(), order)["v1"]
        assert (found.source.training_run, set(found.ignored)) == ("early", {"a-late", "trains"})
        assert found.held_by == "uid-early"


def test_an_unfinished_run_is_waited_for_and_a_failed_one_is_not():
    assert (
        declarations(registered_model(), [run("trains", ended=None)])["v1"].source.training_run
        == "trains"
    )
    assert declarations(registered_model(), [run("broken", well=False)]) == {}


def test_a_version_that_is_recorded_keeps_its_source():
    """An earlier run may exist again: restored from a backup or applied again."""
    runs = [run("early", age=2 * MINUTE), run("late", age=MINUTE)]
    recorded = recording(registered_model(), record("v1", "1", training_run="late"))
    assert declarations(recorded, runs)["v1"].source.training_run == "late"
    waits = recording(registered_model(), record("v1", training_run="late", digest=None))
    assert declarations(waits, runs)["v1"].source.training_run == "early", (
        "by a status of an earlier release, nothing holds it"
    )


# --- who holds a name that waits ------------------------------------------------------------------
def waiting(
    held_by: str | None,
    *,
    asked: bool = True,
    versions: dict[str, Any] | None = None,
    **source: Any,
) -> RegisteredModel:
    """Return a model whose v1 waits and is held by this declaration; with `asked`, production wants
    it.
    """
    stages = {"production": {"version": "v1" if asked else None}}
    model = registered_model(stages=stages, versions=versions or {})
    return recording(
        model, record("v1", digest=None, uri=None, held_by=held_by).model_copy(update=source)
    )


def test_the_first_holder_of_a_name_keeps_it_though_another_run_is_older_or_has_finished():
    held = waiting("uid-legit", training_run="legit")
    runs = [run("legit", ended=None, age=MINUTE), run("evil", age=2 * MINUTE)]
    found = declarations(held, runs)["v1"]
    assert (found.source.training_run, found.held_by, found.blocker) == ("legit", "uid-legit", None)
    # Nor does it lose it to what the spec declares later.
    found = declarations(waiting("uid-legit", training_run="legit", versions=declared("v1")), runs)[
        "v1"
    ]
    assert (found.source.training_run, found.blocker) == ("legit", None)


LEGIT = {"v1": {"trainingRun": "legit"}}


def asking(model: RegisteredModel, since: datetime, version: str = "v1") -> RegisteredModel:
    """Return a model whose status records since when production wants a version."""
    stages = {"production": StageStatus(desired=version, start_time=since)}
    return model.model_copy(update={"status": model.status.model_copy(update={"stages": stages})})


def test_a_failed_holder_frees_a_name_that_no_stage_wants():
    runs = [run("legit", well=False, age=2 * MINUTE), run("next", age=MINUTE)]
    found = declarations(
        waiting("uid-legit", asked=False, training_run="legit", versions=LEGIT), runs
    )["v1"]
    assert (found.source.training_run, found.held_by, found.blocker) == ("next", "uid-next", None)
    # Without another one, the failed one is declared and holds nothing.
    alone = declarations(waiting("uid-legit", training_run="legit", versions=LEGIT), runs[:1])["v1"]
    assert (alone.source.training_run, alone.held_by, alone.blocker) == ("legit", None, None)


def test_a_run_that_waits_behind_a_failed_holder_does_not_get_into_the_stage():
    """Registering under a name that no stage wants yet needs no right to promote."""
    runs = [run("legit", well=False, age=5 * MINUTE), run("evil", age=4 * MINUTE)]
    holder = waiting("uid-legit", training_run="legit", versions=LEGIT)
    for model in (
        holder,
        asking(holder, NOW - 3 * MINUTE),
        asking(holder, NOW - 9 * MINUTE, version="v0"),
    ):
        found = declarations(model, runs)["v1"]
        assert found.blocker is not None
        assert (found.blocker.reason, found.held_by, found.source.training_run) == (
            "VersionHeld",
            "uid-legit",
            "legit",
        )
        assert "the TrainingRun legit (uid uid-legit), which failed" in found.blocker.message
    # Creating one now needs the right to promote; it takes precedence over those that waited.
    heir = declarations(
        asking(holder, NOW - 3 * MINUTE), [*runs, run("again", ended=None, age=MINUTE)]
    )["v1"]
    assert (heir.source.training_run, heir.held_by, heir.blocker) == ("again", "uid-again", None)


LOST: dict[str, tuple[RegisteredModel, list[TrainingRun], str]] = {
    "another TrainingRun": (
        waiting("uid-gone", training_run="gone"),
        [run("evil")],
        "the TrainingRun gone (uid uid-gone)",
    ),
    "another of its name": (
        waiting("uid-old", training_run="legit"),
        [run("legit")],
        "the TrainingRun legit (uid uid-old)",
    ),
    "the named one, created again": (
        waiting("uid-old", training_run="legit", versions={"v1": {"trainingRun": "legit"}}),
        [run("legit", version="v9")],
        "the TrainingRun legit (uid uid-old)",
    ),
    "the spec, declared again": (
        waiting("sha256:0000000000000000", uri="s3://models/risk/a", versions=declared("v1")),
        [],
        "a declaration of s3://models/risk/a",
    ),
    "the spec, declared again as a run": (
        waiting("sha256:00", run_id="r1", versions=declared("v1")),
        [],
        "of the MLflow run r1",
    ),
    "nothing": (waiting("uid-gone", training_run="gone"), [], "the TrainingRun gone"),
}


@pytest.mark.parametrize("what", LOST)
def test_a_deleted_holder_keeps_the_name_as_long_as_a_stage_wants_it(what: str):
    model, runs, holder = LOST[what]
    found = declarations(model, runs)["v1"]
    assert found.blocker is not None
    assert (found.blocker.reason, found.blocker.needs_action) == ("VersionHeld", True)
    assert holder in found.blocker.message
    assert "set production to another version" in found.blocker.message
    assert found.held_by == model.status.versions[0].held_by
    # When no stage wants it any longer, the name is free for existing declarations.
    idle = model.model_copy(update={"spec": model.spec.model_copy(update={"stages": {}})})
    free = declarations(idle, runs).get("v1")
    assert (free is None) == (what == "nothing")
    assert free is None or (free.blocker, free.held_by == found.held_by) == (None, False)


def test_a_declaration_that_is_restored_unchanged_holds_the_name():
    versions = {"v1": {"runId": "r1", "tags": {"team": "fraud"}}}
    first = declarations(registered_model(versions=versions), [])["v1"]
    again = waiting(first.held_by, run_id="r1", versions={"v1": {"runId": "r1", "path": "model"}})
    assert declarations(again, [])["v1"].blocker is None


def test_a_training_run_declared_before_it_exists_is_held_by_name_then_by_uid():
    named = {"v1": {"trainingRun": "legit"}}
    first = declarations(registered_model(versions=named), [])["v1"]
    assert first.held_by == "trainingruns/legit"
    comes = declarations(
        waiting(first.held_by, training_run="legit", versions=named), [run("legit", version="v9")]
    )["v1"]
    assert (comes.held_by, comes.blocker) == ("uid-legit", None)


@pytest.mark.parametrize(
    ("source", "recorded", "contradicts"),
    [
        ({"uri": "s3://bucket/a"}, {"uri": "s3://bucket/a/"}, False),
        (
            {"uri": "s3://bucket/a"},
            {"uri": "s3://bucket/a", "run_id": "r1", "training_run": "t"},
            False,
        ),
        ({"uri": "s3://bucket/a"}, {"uri": "s3://bucket/b"}, True),
        ({"runId": "r1", "path": "m"}, {"uri": "s3://bucket/a", "run_id": "r1"}, False),
        ({"runId": "r2"}, {"uri": "s3://bucket/a", "run_id": "r1"}, True),
        ({"runId": "r1"}, {"uri": "s3://bucket/a"}, True),
        (
            {"trainingRun": "t"},
            {"uri": "s3://bucket/a", "run_id": "r1", "training_run": "t"},
            False,
        ),
        ({"trainingRun": "u"}, {"uri": "s3://bucket/a", "run_id": "r1", "training_run": "t"}, True),
        ({"trainingRun": "t"}, {"uri": "s3://bucket/a", "run_id": "r1"}, True),
    ],
)
def test_a_source_contradicts_the_record_if_the_version_came_from_elsewhere(
    source: Any, recorded: Any, contradicts: bool
):
    version, declared = (
        VersionStatus(name="v1", **recorded),
        ModelVersionSpec.model_validate(source),
    )
    assert declared.contradicts(version) == contradicts
    found = contradicted(version, declared)
    assert (found.blocked is not None) == contradicts
    assert contradicted(version, None) == version
