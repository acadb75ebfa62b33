"""A promotion with gates: before any pod starts, and again when the incumbent has changed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from modelyard.api.base import condition
from modelyard.api.registered_model import HeldStage, RegisteredModel, StageStatus
from modelyard.plan import Manifest
from modelyard.registered_model.decision import StageDecision
from modelyard.registered_model.observation import Evidence
from modelyard.registered_model.rejections import spec_hash
from modelyard.tracked import RunStatus, TrackedRun
from tests.unit.builders import MINUTE, NOW
from tests.unit.models import (
    NEWER,
    A,
    B,
    C,
    after,
    decided,
    does,
    pods_of,
    recorded_first,
    served,
    stage_of,
)

GATE = [{"name": "quality", "metric": {"name": "accuracy", "atLeast": "0.9"}}]
COMPARED = [{"name": "no-worse", "incumbent": {"metric": "accuracy", "direction": "Maximize"}}]
VERSIONS = tuple(version.model_copy(update={"run_id": version.name}) for version in (A, B, C))


def values(**accuracy: float) -> Evidence:
    """Return what MLflow has of the runs of some versions; the others have no value yet."""
    found = {
        version.name: TrackedRun(
            version.name,
            "1",
            "",
            RunStatus.FINISHED,
            False,
            NOW,
            NOW,
            {},
            metrics={"accuracy": accuracy[version.name]} if version.name in accuracy else {},
        )
        for version in VERSIONS
    }
    return Evidence(runs=found)


def decide(
    model: RegisteredModel, *owned: Manifest, evidence: Evidence | None = None, **more: Any
) -> StageDecision:
    return decided(
        model,
        *owned,
        versions=more.pop("versions", VERSIONS),
        evidence=evidence or values(),
        **more,
    )


def begun(**stage: Any) -> RegisteredModel:
    """va is effective, vb is desired and recorded as the candidate."""
    return stage_of("vb", holds=A, candidate=served(B), start_time=NOW, **stage)


STABLE = pods_of(begun(), A, routed=True)


def verdicts(decision: StageDecision) -> dict[str, str]:
    return {gate.name: gate.verdict.value for gate in decision.status.gates}


def states(decision: StageDecision) -> dict[str, str]:
    return {step.name: step.state.value for step in decision.status.steps}


def reason(decision: StageDecision) -> str | None:
    return decision.status.blocked.reason if decision.status.blocked else None


def test_without_a_verdict_no_pod_starts_and_the_stage_reports_the_gates_that_it_waits_for():
    waiting = decide(begun(asked=GATE), *STABLE)
    assert does(waiting) == []
    assert not waiting.record
    assert verdicts(waiting) == {"quality": "Pending"}
    assert states(waiting) == {
        "admit": "Done",
        "gates": "Waiting",
        "start": "Waiting",
        "switch": "Waiting",
        "record": "Waiting",
    }
    assert waiting.status.blocked is not None
    assert (waiting.status.blocked.reason, waiting.status.blocked.needs_action) == (
        "GatesPending",
        False,
    )
    assert waiting.status.blocked.message == (
        "vb waits for its gates (0 of 1 pass). va is still serving. quality: waits for the metric"
        " accuracy of vb's run vb."
    )
    assert waiting.requeue_after == MINUTE
    later = decide(after(begun(asked=GATE), waiting), *STABLE, now=NOW + MINUTE)
    assert later.status.gates == waiting.status.gates, (
        "what has not changed keeps its time: nothing is written"
    )


def test_a_pass_is_recorded_before_it_has_an_effect_and_its_gate_is_not_evaluated_again():
    model = begun(asked=GATE)
    passing = decide(model, *STABLE, evidence=values(vb=0.95))
    assert passing.record
    assert (does(passing), verdicts(passing)) == ([], {"quality": "Pass"})
    assert passing.status.judged is not None
    assert (passing.status.judged.version, passing.status.judged.digest) == ("vb", B.digest)
    starting = decide(after(model, passing), *STABLE, evidence=Evidence())
    assert does(starting) == ["apply ControllerRevision/vb", "apply Deployment/vb"]
    assert states(starting)["gates"] == "Done"
    # And these verdicts stay in the status while the version is effective.
    last = decide(
        after(model, starting), *STABLE, *pods_of(model, B, routed=True), evidence=Evidence()
    )
    assert (last.status.version, verdicts(last), set(states(last).values())) == (
        "vb",
        {"quality": "Pass"},
        {"Done"},
    )
    assert list(states(last)) == ["admit", "gates", "start", "switch", "record"]


def test_a_fail_rejects_the_version_and_the_stable_one_keeps_serving():
    model = begun(asked=GATE)
    failing = decide(model, *STABLE, evidence=values(vb=0.8))
    assert failing.record
    assert (does(failing), verdicts(failing), failing.status.candidate) == (
        [],
        {"quality": "Fail"},
        None,
    )
    rejected = after(model, failing)
    (rejection,) = failing.status.rejected
    assert (rejection.reason, rejection.runtime, rejection.message) == (
        "GateFailed",
        None,
        "quality: accuracy is 0.8, below 0.9.",
    )
    told = decide(rejected, *STABLE, evidence=Evidence())
    assert told.status.blocked is not None
    assert (told.status.blocked.reason, told.status.blocked.needs_action) == ("GateFailed", True)
    assert told.status.blocked.message.startswith(
        "vb was rejected, and va is still serving. quality: accuracy is 0.8, below 0.9."
    )
    assert verdicts(told) == {"quality": "Fail"}
    # Another value in MLflow does not lift it.
    assert reason(decide(rejected, *STABLE, evidence=values(vb=0.99))) == "GateFailed"


@pytest.mark.parametrize("change", ["attempt", "gates"])
def test_a_failed_gate_is_evaluated_again_when_the_rejection_ends(change: str):
    model = begun(asked=GATE)
    rejected = after(model, decide(model, *STABLE, evidence=values(vb=0.8)))
    spec = (
        stage_of("vb", attempt=1, asked=GATE)
        if change == "attempt"
        else stage_of("vb", asked=[{**GATE[0], "name": "other"}])
    )
    again = recorded_first(
        rejected.model_copy(update={"spec": spec.spec}),
        *STABLE,
        versions=VERSIONS,
        evidence=Evidence(),
    )
    passing = decide(again, *STABLE, evidence=values(vb=0.95))
    assert passing.record
    assert list(verdicts(passing).values()) == ["Pass"]


def test_an_old_blocker_is_not_reported_for_another_attempt_or_version():
    """Readers trust the status: a rejection that has ended must not be shown with the change that
    ended it.
    """
    model = begun(asked=GATE)
    rejected = after(model, decide(model, *STABLE, evidence=values(vb=0.8)))
    rejected = after(rejected, decide(rejected, *STABLE, evidence=Evidence()))
    assert rejected.status.stages["production"].blocked is not None
    retried = decide(
        rejected.model_copy(update={"spec": stage_of("vb", attempt=1, asked=GATE).spec}),
        *STABLE,
        evidence=Evidence(),
    )
    assert (retried.record, retried.status.desired, retried.status.blocked) == (True, "vb", None)
    waiting = after(model, decide(model, *STABLE))
    other = decide(waiting.model_copy(update={"spec": stage_of("vc", asked=GATE).spec}), *STABLE)
    assert (other.record, other.status.desired, other.status.blocked) == (True, "vc", None)


def test_one_fail_rejects_while_others_are_pending_and_an_error_does_not():
    two = [*GATE, {"name": "soaked", "soak": {"stage": "staging", "for": "1h"}}]
    failing = decide(begun(asked=two), *STABLE, evidence=values(vb=0.1))
    assert verdicts(failing) == {"quality": "Fail", "soaked": "Pending"}
    assert failing.status.rejected
    broken = decide(begun(asked=GATE), *STABLE, evidence=Evidence(runs={"vb": "it cannot be read"}))
    assert (verdicts(broken), reason(broken), broken.status.rejected) == (
        {"quality": "Error"},
        "GatesPending",
        (),
    )
    away = decide(begun(asked=GATE), *STABLE, dependencies_down=True)
    assert (verdicts(away), does(away)) == ({"quality": "Error"}, [])


def test_a_pass_against_another_incumbent_is_judged_again_before_the_switch():
    model = begun(asked=COMPARED)
    passing = decide(model, *STABLE, evidence=values(va=0.8, vb=0.9))
    model = after(model, passing)
    ready = (*STABLE, *pods_of(model, B))
    assert does(decide(model, *ready, evidence=Evidence()))[0] == "apply Service/vb"
    # Meanwhile vc, which is better than vb, becomes effective.
    other = served(C)
    moved = model.status.stages["production"].model_copy(
        update={
            "version": "vc",
            "digest": other.digest,
            "runtime": other.runtime,
            "candidate": served(B),
        }
    )
    changed = model.model_copy(
        update={"status": model.status.model_copy(update={"stages": {"production": moved}})}
    )
    failing = decide(
        changed,
        *pods_of(changed, C, routed=True),
        *pods_of(changed, B),
        evidence=values(vb=0.9, vc=0.95),
    )
    assert verdicts(failing) == {"no-worse": "Fail"}
    assert failing.status.candidate is None
    assert failing.status.version == "vc"


def test_the_version_displaced_last_returns_without_gates_and_so_does_a_refresh():
    back = recorded_first(
        stage_of("vb", holds=A, previous=served(B), asked=GATE, **{"from": "staging"}),
        *STABLE,
        versions=VERSIONS,
    )
    returning = decide(back, *STABLE, evidence=Evidence())
    assert does(returning)[:1] == ["apply ControllerRevision/vb"]
    assert list(states(returning)) == ["admit", "start", "switch", "record"]
    refresh = recorded_first(
        stage_of("va", holds=served(A, NEWER), attempt=1, asked=GATE), versions=VERSIONS
    )
    assert list(states(decide(refresh, evidence=Evidence()))) == [
        "admit",
        "start",
        "switch",
        "record",
    ]


def test_a_version_must_have_been_in_the_from_stage_with_the_same_bytes():
    model = begun(**{"from": "staging"})
    waiting = decide(model, *STABLE)
    assert (reason(waiting), does(waiting)) == ("WaitingForStage", [])
    assert waiting.status.blocked is not None
    assert "modelyard promote fraud vb --to staging" in waiting.status.blocked.message
    held = HeldStage(stage="staging", digest=A.digest, since_time=NOW - MINUTE)
    other = tuple(
        each.model_copy(update={"held": (held,)}) if each.name == "vb" else each
        for each in VERSIONS
    )
    assert reason(decide(model, *STABLE, versions=other)) == "WaitingForStage"
    mine = held.model_copy(update={"digest": B.digest, "until_time": NOW - timedelta(seconds=1)})
    right = tuple(
        each.model_copy(update={"held": (mine,)}) if each.name == "vb" else each
        for each in VERSIONS
    )
    started = decide(model, *STABLE, versions=right)
    assert does(started)[:1] == ["apply ControllerRevision/vb"]
    assert states(started)["from"] == "Done"


def test_verdicts_on_a_version_that_is_no_longer_desired_are_dropped():
    model = begun(asked=GATE)
    waiting = after(model, decide(model, *STABLE))
    back = waiting.model_copy(update={"spec": stage_of("va", asked=GATE).spec})
    dropped = recorded_first(back, *STABLE, versions=VERSIONS)
    kept = decide(dropped, *STABLE)
    assert (kept.status.gates, kept.status.judged, kept.status.blocked) == ((), None, None)


@pytest.mark.parametrize(
    "more",
    [
        {"serving": {"nodeSelector": {"pool": "a"}}},
        {"serving": {"tolerations": [{"key": "a", "operator": "Exists"}]}},
        {"serving": {"replicas": 3}},
        {"reverify": {"attempt": 1}},
    ],
)
def test_changes_without_the_right_to_promote_and_verifications_do_not_lift_a_fail(
    more: dict[str, Any],
):
    failing = decide(begun(asked=GATE), *STABLE, evidence=values(vb=0.8))
    (rejection,) = failing.status.rejected
    assert rejection.spec_hash == spec_hash(begun(asked=GATE, **more).spec.stages["production"])
    assert rejection.spec_hash != spec_hash(begun(asked=COMPARED).spec.stages["production"])


def test_a_status_of_the_release_before_with_longer_texts_is_still_read():
    text = "x" * 256
    rejection = {
        "version": "vb",
        "digest": str(B.digest),
        "specHash": "0",
        "reason": "GateFailed",
        "message": text,
        "time": NOW,
    }
    step = {"name": "gates", "state": "Waiting", "detail": text[:128]}
    found = StageStatus.model_validate({"rejected": [rejection], "steps": [step]})
    assert (len(found.rejected[0].message), len(found.steps[0].detail)) == (248, 72)


def test_a_message_about_many_stages_is_truncated_to_its_bound():
    assert len(condition("Ready", False, "Frozen", "x" * 5000).message) == 2048
