"""Each kind of gate: its verdict for given evidence, and for missing evidence."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.api.mlmodel import Column, Signature
from modelyard.api.registered_model import HeldStage, VersionStatus
from modelyard.api.training_run import ObjectiveStatus
from modelyard.registered_model.gates.judging import judge
from modelyard.registered_model.gates.signature import differences
from modelyard.registered_model.observation import Evidence
from modelyard.tracked import RunStatus, TrackedRun
from tests.unit.builders import DAY, NOW, training_run
from tests.unit.models import A, B, served, stage_of, view_of

HOUR = timedelta(hours=1)
HELD = A.model_copy(update={"run_id": "run-a"})
ASKED = B.model_copy(update={"run_id": "run-b", "training_run": "fraud-b"})


def run(name: str, **metrics: float) -> TrackedRun:
    return TrackedRun(name, "1", name, RunStatus.FINISHED, False, NOW, NOW, {}, metrics=metrics)


def said(
    gate: dict[str, Any],
    *,
    candidate: VersionStatus = ASKED,
    holds: VersionStatus | None = HELD,
    **evidence: Any,
) -> tuple[str, str, timedelta | None]:
    """Return a gate's verdict on vb, its message, and when it is evaluated again; va is
    effective.
    """
    model = stage_of("vb", holds=holds, candidate=served(candidate), asked=[{"name": "g"} | gate])
    model = model.model_copy(
        update={"status": model.status.model_copy(update={"versions": (HELD, candidate)})}
    )
    view = view_of(model, versions=(HELD, candidate), evidence=Evidence(**evidence))
    (result,) = judge(view, NOW)
    return result.status.verdict.value, result.status.message, result.again


def of_runs(**metrics: dict[str, float]) -> dict[str, Any]:
    return {
        "runs": {f"run-{name}": run(f"run-{name}", **values) for name, values in metrics.items()}
    }


# --- metric ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("bounds", "value", "verdict", "message"),
    [
        ({"atLeast": "0.90"}, 0.9, "Pass", "accuracy is 0.9: at least 0.90"),
        ({"atLeast": "0.90"}, 0.8999999, "Fail", "accuracy is 0.9, below 0.90"),
        ({"atMost": "5e-2"}, 0.05, "Pass", "accuracy is 0.05: at most 5e-2"),
        ({"atMost": "0"}, 0.01, "Fail", "accuracy is 0.01, above 0"),
        ({"atMost": "0"}, 0.0, "Pass", "accuracy is 0: at most 0"),
        (
            {"atLeast": "-1", "atMost": "1"},
            0.5,
            "Pass",
            "accuracy is 0.5: at least -1 and at most 1",
        ),
        ({"atLeast": "0"}, float("nan"), "Fail", "accuracy of vb is not a number (NaN)"),
        ({"atMost": "1"}, float("-inf"), "Pass", "accuracy is -inf: at most 1"),
    ],
)
def test_a_metric_is_within_its_bounds(
    bounds: dict[str, str], value: float, verdict: str, message: str
):
    found = said({"metric": {"name": "accuracy"} | bounds}, **of_runs(b={"accuracy": value}))
    assert found == (verdict, message, None)


def test_a_missing_metric_is_pending_and_an_unreadable_run_is_an_error():
    gate = {"metric": {"name": "accuracy", "atLeast": "0"}}
    minute = timedelta(minutes=1)
    assert said(gate, **of_runs(b={"f1": 1.0})) == (
        "Pending",
        "waits for the metric accuracy of vb's run run-b",
        minute,
    )
    assert said(gate) == ("Error", "MLflow no longer has the run run-b of vb: restore it", minute)
    assert (
        said(gate, runs={"run-b": replace(run("run-b", accuracy=1.0), deleted=True)})[0] == "Error"
    )
    assert said(gate, runs={"run-b": "the run of vb cannot be read: too large"})[:2] == (
        "Error",
        "the run of vb cannot be read: too large",
    )
    assert said(gate, candidate=B)[:2] == (
        "Fail",
        "vb came from no MLflow run, so it has no metric accuracy",
    )


# --- incumbent ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("direction", "tolerance", "mine", "theirs", "verdict", "message"),
    [
        ("Maximize", "0", 0.941, 0.938, "Pass", "f1 is 0.941 against 0.938 of va: 0.003 better"),
        ("Maximize", "0", 0.938, 0.938, "Pass", "f1 is 0.938 against 0.938 of va: equal"),
        (
            "Maximize",
            "0.005",
            0.933,
            0.938,
            "Pass",
            "f1 is 0.933 against 0.938 of va: 0.005 worse, tolerance 0.005",
        ),
        (
            "Maximize",
            "0.005",
            0.9329,
            0.938,
            "Fail",
            "f1 is 0.9329 against 0.938 of va: 0.0051 worse, tolerance 0.005 (more is better)",
        ),
        (
            "Minimize",
            "0",
            0.2,
            0.1,
            "Fail",
            "f1 is 0.2 against 0.1 of va: 0.1 worse (less is better)",
        ),
        ("Minimize", "0", 0.1, 0.2, "Pass", "f1 is 0.1 against 0.2 of va: 0.1 better"),
        ("Maximize", "1", float("-inf"), 0.2, "Fail", "-inf against 0.2 of va"),
        ("Minimize", "0", 0.1, float("inf"), "Pass", "0.1 against inf of va"),
    ],
)
def test_a_version_is_not_worse_than_the_incumbent(
    direction: str, tolerance: str, mine: float, theirs: float, verdict: str, message: str
):
    gate = {"incumbent": {"metric": "f1", "direction": direction, "tolerance": tolerance}}
    assert said(gate, **of_runs(b={"f1": mine}, a={"f1": theirs})) == (verdict, message, None)


def trained_for(**goals: str) -> dict[str, ObjectiveStatus]:
    return {
        f"v{name}": ObjectiveStatus.model_validate({"metric": "loss", "goal": goal})
        for name, goal in goals.items()
    }


def test_the_direction_is_that_of_both_trainings_unless_it_is_given():
    gate: dict[str, Any] = {"incumbent": {"metric": "loss"}}
    runs = of_runs(b={"loss": 0.1}, a={"loss": 0.2})
    found = said(gate, **runs)
    assert found[:2] == (
        "Error",
        "vb was not trained with loss as its objective: set incumbent.direction",
    )
    other = ObjectiveStatus(metric="accuracy", goal="Maximize")
    assert said(gate, objectives=trained_for(b="Minimize") | {"va": other}, **runs)[:2] == (
        "Error",
        "va was not trained with loss as its objective: set incumbent.direction",
    )
    assert said(gate, objectives=trained_for(a="Minimize", b="Minimize"), **runs)[0] == "Pass"
    # A worse version does not pass because its own Experiment says that worse is better.
    assert said(gate, objectives=trained_for(a="Maximize", b="Minimize"), **runs)[:2] == (
        "Error",
        (
            "which loss is better? trained were vb to minimize it, va to maximize it: set"
            " incumbent.direction"
        ),
    )
    gate["incumbent"]["direction"] = "Maximize"
    assert said(gate, objectives=trained_for(a="Minimize", b="Minimize"), **runs)[0] == "Fail"


def test_without_an_incumbent_a_version_passes():
    gate = {"incumbent": {"metric": "f1", "direction": "Maximize"}}
    assert said(gate, holds=None)[:2] == ("Pass", "production has no version to compare with")


def test_a_value_that_the_incumbent_lacks_does_not_fail_the_version():
    gate = {"incumbent": {"metric": "f1", "direction": "Maximize"}}
    assert said(gate, **of_runs(b={"f1": 1.0}, a={}))[:2] == (
        "Pending",
        "waits for the metric f1 of va's run run-a",
    )
    assert said(gate, **of_runs(b={"f1": 1.0}, a={"f1": float("nan")}))[:2] == (
        "Error",
        "va, to compare with: f1 of va is not a number (NaN)",
    )
    assert said(gate, **of_runs(b={"f1": float("nan")}, a={"f1": 1.0}))[0] == "Fail"


def test_values_of_too_few_samples_are_not_compared_yet():
    gate = {
        "incumbent": {
            "metric": "f1",
            "direction": "Maximize",
            "samples": {"metric": "rows", "atLeast": 1000},
        }
    }
    enough = {"f1": 0.5, "rows": 1000.0}
    assert said(gate, **of_runs(a=enough, b=enough))[0] == "Pass"
    found = said(gate, **of_runs(a={"f1": 0.5, "rows": 999.0}, b=enough))
    assert found[:2] == ("Pending", "rows of va is 999: waits for 1000")
    assert said(gate, **of_runs(a=enough, b={"f1": 0.5}))[0] == "Pending"


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.integers(0, 1000))
def test_a_better_value_always_passes_and_a_wider_tolerance_never_fails_what_passed(
    mine: float, theirs: float, thousandths: int
):
    def verdict(direction: str, tolerance: str) -> str:
        gate = {"incumbent": {"metric": "f1", "direction": direction, "tolerance": tolerance}}
        return said(gate, **of_runs(b={"f1": mine}, a={"f1": theirs}))[0]

    strict = {direction: verdict(direction, "0") for direction in ("Maximize", "Minimize")}
    assert strict == {
        "Maximize": "Pass" if mine >= theirs else "Fail",
        "Minimize": "Pass" if mine <= theirs else "Fail",
    }
    wider = f"{thousandths / 1000:.3f}"
    assert all(
        verdict(direction, wider) == "Pass"
        for direction, found in strict.items()
        if found == "Pass"
    )


# --- signature ------------------------------------------------------------------------------------
X, Y = Column("x", "double"), Column("y", "long", required=False)
OUT = Column("column 0", "long")


@pytest.mark.parametrize(
    ("mine", "theirs", "missed"),
    [
        ((X, Y), (X, Y), []),
        ((X, Y), (X,), []),
        ((X, replace(Y, required=True)), (X,), ["input y is new and required"]),
        ((X, replace(Y, required=True)), (X, Y), ["input y was optional"]),
        ((X, Y), (X, replace(Y, required=True)), []),
        ((Y,), (X, Y), ["input x is gone"]),
        ((replace(X, name="z"),), (X,), ["input x is gone", "input z is new and required"]),
        ((replace(X, type="string"),), (X,), ["input x was double and is string"]),
        ((X,), (replace(X, type="integer"),), []),
        ((replace(X, type="integer"),), (X,), ["input x was double and is integer"]),
        ((X,), (replace(X, type="long"),), ["input x was long and is double"]),
        (
            (Column("t", "tensor(float64)", ("-1", "4")),),
            (Column("t", "tensor(float64)", ("8", "4")),),
            [],
        ),
        (
            (Column("t", "tensor(float64)", ("8", "4")),),
            (Column("t", "tensor(float64)", ("-1", "4")),),
            ["input t was tensor(float64)[-1, 4] and is tensor(float64)[8, 4]"],
        ),
        (
            (Column("t", "tensor(float64)", ("-1",)),),
            (X,),
            ["input x is gone", "input t is new and required"],
        ),
    ],
)
def test_every_request_to_the_incumbent_is_accepted_by_the_version(
    mine: Any, theirs: Any, missed: list[str]
):
    assert list(differences(Signature(mine, (OUT,)), Signature(theirs, (OUT,)))) == missed


def test_outputs_must_stay_compatible_too():
    found = differences(
        Signature((X,), (replace(OUT, type="double"), X)), Signature((X,), (OUT, Y))
    )
    assert list(found) == ["output column 0 was long and is double", "output y is gone"]
    assert list(differences(Signature((X,), (OUT, X)), Signature((X,), (OUT,)))) == []


def test_the_gate_names_what_is_missing_and_says_when_there_is_nothing_to_compare():
    gate: dict[str, Any] = {"signature": {}}
    mine, theirs = Signature((X,), (OUT,)), Signature((X, Y), (OUT,))
    both = {"signatures": {str(ASKED.digest): mine, str(HELD.digest): theirs}}
    assert said(gate, **both) == ("Fail", "against va: input y is gone", None)
    assert said(gate, signatures={str(ASKED.digest): mine, str(HELD.digest): mine})[0] == "Pass"
    assert said(gate, signatures={str(ASKED.digest): None, str(HELD.digest): mine})[:2] == (
        "Fail",
        "vb has no signature, and va has one",
    )
    assert said(gate, signatures={str(ASKED.digest): mine, str(HELD.digest): None})[:2] == (
        "Pass",
        "va has no signature to keep to",
    )
    assert said(gate, signatures={str(ASKED.digest): mine, str(HELD.digest): "gone"})[:2] == (
        "Error",
        "gone",
    )
    assert said(gate, holds=None)[0] == "Pass"
    same = ASKED.model_copy(update={"digest": HELD.digest})
    assert said(gate, candidate=same)[:2] == ("Pass", "production holds the same bytes")


# --- soak -----------------------------------------------------------------------------------------
def soaked(
    *,
    since: timedelta,
    until: timedelta | None = None,
    digest: str | None = ASKED.digest,
    stage: str = "staging",
) -> VersionStatus:
    held = HeldStage(
        stage=stage,
        digest=digest,
        since_time=NOW - since,
        until_time=None if until is None else NOW - until,
    )
    return ASKED.model_copy(update={"held": (held,)})


@pytest.mark.parametrize(
    ("candidate", "verdict", "again"),
    [
        (soaked(since=DAY), "Pass", None),
        (soaked(since=DAY - HOUR), "Pending", HOUR),
        (soaked(since=2 * DAY, until=DAY), "Pass", None),
        (soaked(since=2 * DAY, until=DAY + HOUR), "Pending", None),
        (soaked(since=9 * DAY, digest=HELD.digest), "Pending", None),
        (soaked(since=9 * DAY, stage="qa"), "Pending", None),
        (ASKED, "Pending", None),
    ],
)
def test_soak_passes_after_long_enough_in_another_stage(
    candidate: VersionStatus, verdict: str, again: timedelta | None
):
    found = said({"soak": {"stage": "staging", "for": "24h"}}, candidate=candidate)
    assert (found[0], found[2]) == (verdict, again)


def test_soak_says_when_it_passes():
    found = said({"soak": {"stage": "staging", "for": "24h"}}, candidate=soaked(since=HOUR))
    assert found[1] == f"vb has held staging for 24h at {NOW + 23 * HOUR:%Y-%m-%d %H:%M:%S} UTC"


# --- dataset --------------------------------------------------------------------------------------
PINNED, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64


def trained(digest: str = PINNED, age: timedelta = HOUR, run_id: str = "run-b") -> dict[str, Any]:
    status = {
        "mlflow": {"runId": run_id, "experimentId": "1", "url": "http://m"},
        "dataset": {"digest": digest, "rows": 10},
        "startTime": (NOW - age).isoformat(),
    }
    return {"training_runs": {"fraud-b": training_run(name="fraud-b", status=status)}}


@pytest.mark.parametrize(
    ("asked", "evidence", "verdict"),
    [
        ({"digest": PINNED}, trained(), "Pass"),
        ({"digest": OTHER}, trained(), "Fail"),
        ({"maxAge": "1d"}, trained(age=DAY), "Pass"),
        ({"maxAge": "1d"}, trained(age=DAY + HOUR), "Fail"),
        ({"digest": PINNED, "maxAge": "1d"}, trained(age=2 * DAY), "Fail"),
        ({"digest": PINNED}, trained(run_id="another"), "Fail"),
        ({"digest": PINNED}, {}, "Fail"),
    ],
)
def test_the_dataset_is_the_pinned_one_and_fresh(
    asked: dict[str, str], evidence: dict[str, Any], verdict: str
):
    assert said({"dataset": asked}, **evidence)[0] == verdict


def test_a_dataset_is_checked_again_when_it_gets_too_old():
    verdict, message, again = said({"dataset": {"maxAge": "1d"}}, **trained())
    assert (verdict, message.rpartition("; ")[2]) == ("Pass", "too old after 2026-01-02 11:00 UTC")
    assert again == DAY - HOUR + timedelta(seconds=1)
    assert said({"dataset": {"digest": PINNED}}, **trained())[2] is None
