"""Which versions there should be, and the source of each: objects in, declarations out."""

from datetime import timedelta
from typing import Any

import pytest

from modelyard.api.base import condition
from modelyard.api.registered_model import ModelVersionSpec, VersionStatus
from modelyard.api.training_run import TrainingRun, TrainingRunStatus
from modelyard.registered_model.declarations import contradicted, declarations
from tests.unit.builders import MINUTE, NOW, artifacts, registered_model, training_run
from tests.unit.models import declared, record, recording


def run(name: str, version: str = "v1", *, ended: timedelta | None = timedelta(0), well: bool = True, model: str = "fraud") -> TrainingRun:
    """Return a TrainingRun that registers a version, and finished so long ago."""
    status = (
        TrainingRunStatus()
        if ended is None
        else TrainingRunStatus(conditions=(condition("Succeeded", well, "Succeeded" if well else "Failed"),), completion_time=NOW - ended)
    )
    about = {"creation_timestamp": NOW - timedelta(days=1)}
    return training_run(name, about=about, status=status, register={"model": model, "version": version})


def test_a_version_comes_from_the_spec_or_from_the_run_that_registers_it():
    found = declarations(
        registered_model(versions=declared("v1")), [run("fraud-2", "v2"), run("else", "v3", model="other"), training_run("none")]
    )
    assert {name: each.source.training_run or each.source.uri for name, each in found.items()} == {
        "v1": artifacts("v1"),
        "v2": "fraud-2",
    }


def test_the_spec_comes_before_any_run():
    assert declarations(registered_model(versions=declared("v1")), [run("fraud-1")])["v1"].ignored == ("fraud-1",)
    assert declarations(registered_model(versions={"v1": {"trainingRun": "fraud-1"}}), [run("fraud-1")])["v1"].ignored == ()


def test_of_several_runs_the_one_that_finished_first_declares_the_version_whatever_their_order():
    runs = [
        run("late", ended=MINUTE),
        run("early", ended=2 * MINUTE),
        run("trains", ended=None),
        run("broken", ended=3 * MINUTE, well=False),
    ]
    for order in (runs, runs[::-1]):
        found = declarations(registered_model(), order)["v1"]
        assert (found.source.training_run, set(found.ignored)) == ("early", {"late", "trains"})


def test_a_run_that_still_trains_is_waited_for_and_one_that_failed_is_not():
    assert declarations(registered_model(), [run("trains", ended=None)])["v1"].source.training_run == "trains"
    assert declarations(registered_model(), [run("broken", well=False)]) == {}


def test_a_version_that_is_recorded_keeps_its_source():
    """An earlier run may come back: restored from a backup, applied again. What is merely declared can still change."""
    runs = [run("early", ended=MINUTE), run("late")]
    held = recording(registered_model(), record("v1", "1", training_run="late"))
    assert declarations(held, runs)["v1"].source.training_run == "late"
    waits = recording(registered_model(), record("v1", training_run="late", digest=None))
    assert declarations(waits, runs)["v1"].source.training_run == "early"


@pytest.mark.parametrize(
    ("source", "recorded", "contradicts"),
    [
        ({"uri": "s3://bucket/a"}, {"uri": "s3://bucket/a/"}, False),
        ({"uri": "s3://bucket/a"}, {"uri": "s3://bucket/a", "run_id": "r1", "training_run": "t"}, False),
        ({"uri": "s3://bucket/a"}, {"uri": "s3://bucket/b"}, True),
        ({"runId": "r1", "path": "m"}, {"uri": "s3://bucket/a", "run_id": "r1"}, False),
        ({"runId": "r2"}, {"uri": "s3://bucket/a", "run_id": "r1"}, True),
        ({"runId": "r1"}, {"uri": "s3://bucket/a"}, True),
        ({"trainingRun": "t"}, {"uri": "s3://bucket/a", "run_id": "r1", "training_run": "t"}, False),
        ({"trainingRun": "u"}, {"uri": "s3://bucket/a", "run_id": "r1", "training_run": "t"}, True),
        ({"trainingRun": "t"}, {"uri": "s3://bucket/a", "run_id": "r1"}, True),
    ],
)
def test_a_source_contradicts_the_record_if_the_version_came_from_elsewhere(source: Any, recorded: Any, contradicts: bool):
    version, declared = VersionStatus(name="v1", **recorded), ModelVersionSpec.model_validate(source)
    assert declared.contradicts(version) == contradicts
    found = contradicted(version, declared)
    assert (found.blocked is not None) == contradicts
    assert contradicted(version, None) == version
