"""Which versions there should be, and where each comes from: objects in, claims out."""

from dataclasses import replace
from datetime import timedelta

from modelyard.registered_model.claims import claims

from modelyard.api.base import condition
from modelyard.api.training_run import TrainingRun, TrainingRunStatus
from tests.unit.builders import BUCKET, MINUTE, NOW, registered_model, tracked_version, training_run, written
from tests.unit.test_registered_model import decide, declared, seen


def run(name: str, version: str = "v1", *, ended: timedelta | None = timedelta(0), well: bool = True, model: str = "fraud") -> TrainingRun:
    """A TrainingRun that registers a version, and ended so long ago."""
    status = (
        TrainingRunStatus()
        if ended is None
        else TrainingRunStatus(conditions=(condition("Succeeded", well, "Succeeded" if well else "Failed"),), completion_time=NOW - ended)
    )
    about = {"creation_timestamp": NOW - timedelta(days=1)}
    return training_run(name, about=about, status=status, register={"model": model, "version": version})


def test_a_version_comes_from_the_spec_or_from_the_run_that_registers_it():
    found = claims(
        registered_model(versions=declared("v1")), [run("fraud-2", "v2"), run("else", "v3", model="other"), training_run("none")]
    )
    assert {name: claim.source.training_run or claim.source.uri for name, claim in found.items()} == {
        "v1": f"s3://{BUCKET}/risk/fraud/v1",
        "v2": "fraud-2",
    }


def test_the_spec_comes_before_any_run():
    assert claims(registered_model(versions=declared("v1")), [run("fraud-1")])["v1"].rivals == ("fraud-1",)
    assert claims(registered_model(versions={"v1": {"trainingRun": "fraud-1"}}), [run("fraud-1")])["v1"].rivals == ()


def test_of_several_runs_the_one_that_ended_first_holds_the_version_whatever_their_order():
    runs = [
        run("late", ended=MINUTE),
        run("early", ended=2 * MINUTE),
        run("trains", ended=None),
        run("broken", ended=3 * MINUTE, well=False),
    ]
    for order in (runs, runs[::-1]):
        found = claims(registered_model(), order)["v1"]
        assert (found.source.training_run, set(found.rivals)) == ("early", {"late", "trains"})


def test_a_run_that_still_trains_is_waited_for_and_one_that_failed_is_not():
    assert claims(registered_model(), [run("trains", ended=None)])["v1"].source.training_run == "trains"
    assert claims(registered_model(), [run("broken", well=False)]) == {}


def test_a_version_that_is_registered_keeps_its_source_for_good():
    """An earlier run may come back: restored from a backup, applied again."""
    model = registered_model()
    there = seen(claims=claims(model, [run("late")]), versions=(tracked_version("1", "v1"),))
    there = replace(there, versions=(replace(there.versions[0], tags={**there.versions[0].tags, "modelyard.io/training-run": "late"}),))
    held = written(model, decide(model, there, NOW))
    assert claims(held, [run("early", ended=MINUTE), run("late")])["v1"].source.training_run == "late"
