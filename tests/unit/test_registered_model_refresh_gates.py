"""A refresh with gates: those with pods judge the new runtime; a Fail rejects only that runtime."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.api.registered_model import JudgedVersion, RegisteredModel, ServedVersion
from modelyard.kube.pods import Runtime
from modelyard.plan import Apply, Manifest
from modelyard.registered_model import build
from modelyard.registered_model.gates import pods
from modelyard.registered_model.gates.judged import hash_of
from tests.unit.builders import NOW, RUNTIME, live, pod
from tests.unit.models import (
    NEWER,
    A,
    after,
    decided,
    does,
    pods_of,
    recorded_first,
    served,
    stage_of,
    view_of,
)
from tests.unit.test_registered_model_gates import GATE, VERSIONS, values

JOB = {"name": "integration", "job": {"image": "team/test:1"}}
ASKS = {"name": "integration", "job": {"image": "team/test:1", "candidate": "Served"}}
DIGEST = "sha256:" + "1" * 64
SMOKE = {
    "name": "answers",
    "smoke": {"requests": {"configMap": "cases", "key": "c.json", "digest": DIGEST}},
}
STAMP = "2026-01-01T11:59:58Z"
NEWEST = Runtime("modelyard/runtime:1.4.0", "IfNotPresent", "1.4.0")
ALWAYS = {"serving": {"runtime": {"update": "Always"}}}


def serving(*gates: dict[str, Any], **stage: Any) -> RegisteredModel:
    """va is effective with its gates' verdicts recorded, and its runtime is to be refreshed."""
    model = stage_of("va", **({"holds": A, "asked": list(gates)} | (stage or {"attempt": 1})))
    passed = [
        {
            "name": gate.name,
            "verdict": "Pass",
            "message": "it passed",
            "time": NOW,
            "gate_hash": hash_of(gate),
        }
        for gate in model.spec.stages["production"].gates
    ]
    judged = JudgedVersion(version="va", digest=str(A.digest), runtime=served(A).runtime.identity)
    status = model.status.stages["production"]
    whole = type(status).model_validate(
        status.model_dump() | {"gates": passed, "judged": judged.model_dump(), "attempt": 0}
    )
    return model.model_copy(
        update={"status": model.status.model_copy(update={"stages": {"production": whole}})}
    )


STABLE = pods_of(serving(), A, routed=True)
RUN: dict[str, Any] = {"runtime": NEWER, "versions": VERSIONS, "evidence": values()}


def begun(model: RegisteredModel, **more: Any) -> RegisteredModel:
    """The refresh is recorded as the candidate."""
    return recorded_first(model, *STABLE, **(RUN | more))


def job_of(model: RegisteredModel, end: str, runtime: Runtime = NEWER) -> tuple[Manifest, Manifest]:
    """Return the finished Job of the first gate, and its pod."""
    view = view_of(model, *STABLE, runtime=runtime)
    assert view.spec is not None
    ends = [
        {
            "type": end,
            "status": "True",
            "lastTransitionTime": STAMP,
            "reason": "BackoffLimitExceeded",
        }
    ]
    job = live(
        pods.job(view, view.spec.gates[0]),
        {"startTime": STAMP, "completionTime": STAMP, "conditions": ends},
        uid="uid-job",
    )
    code = 0 if end == "Complete" else 1
    ended = {
        "exitCode": code,
        "message": "no column amount",
        "startedAt": STAMP,
        "finishedAt": STAMP,
    }
    phase = "Failed" if code else "Succeeded"
    return job, pod(job, phase, statuses=[{"name": "gate", "state": {"terminated": ended}}])


@pytest.mark.parametrize("wish", [{"attempt": 1}, ALWAYS])
def test_gates_with_pods_judge_the_new_runtime_only(wish: dict[str, Any]):
    model = begun(serving(JOB, *GATE, **wish, **{"from": "staging"}))
    decision = decided(model, *STABLE, **RUN)
    asks = decided(after(model, decision), *STABLE, **RUN) if decision.record else decision
    assert does(asks) == ["apply Job/va"]
    assert [step.name for step in asks.status.steps] == [
        "admit",
        "trial",
        "start",
        "switch",
        "record",
    ]
    assert {gate.name: (gate.verdict.value, gate.message) for gate in asks.status.gates} == {
        "integration": ("Pending", "its Job has not begun"),
        "quality": ("Pass", "it passed"),
    }
    assert asks.status.judged is not None
    assert asks.status.judged.runtime == served(A, NEWER).runtime.identity
    assert asks.status.blocked is not None
    assert asks.status.blocked.message.startswith(
        "va with the operator's runtime waits for its gates (0 of 1 pass). va is still serving."
    )


def test_without_gates_with_pods_a_refresh_has_no_gates_and_neither_has_an_override():
    plain = decided(begun(serving(*GATE, attempt=1)), *STABLE, **RUN)
    assert [step.name for step in plain.status.steps] == ["admit", "start", "switch", "record"]
    assert does(plain) == ["apply ControllerRevision/va", "apply Deployment/va"]
    assert [gate.verdict.value for gate in plain.status.gates] == ["Pass"]


def test_gates_that_send_requests_send_them_to_the_pod_with_the_new_runtime():
    model = begun(serving(SMOKE, attempt=1))
    model = after(model, decided(model, *STABLE, **RUN))
    starts = decided(model, *STABLE, **RUN)
    assert does(starts) == [
        "apply ControllerRevision/va",
        "apply Deployment/va",
        "apply Service/va",
    ]
    candidate = served(A, NEWER)
    private = live(build.private_service(model, "production", candidate))
    asks = decided(model, *STABLE, *pods_of(model, candidate), private, **RUN)
    (job,) = [
        each.manifest
        for each in asks.actions
        if isinstance(each, Apply) and each.manifest["kind"] == "Job"
    ]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    env = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    assert (
        env["MODELYARD_CANDIDATE_URL"]
        == f"http://fraud-production-va-{candidate.runtime.identity}.risk"
    )
    assert container["image"] == NEWER.image


def test_a_pass_is_recorded_for_the_runtime_and_the_refresh_continues():
    model = begun(serving(JOB, *GATE, attempt=1))
    passes = decided(model, *STABLE, *job_of(model, "Complete"), **RUN)
    assert passes.record
    assert passes.status.judged == JudgedVersion(
        version="va", digest=str(A.digest), runtime=served(A, NEWER).runtime.identity
    )
    model = after(model, passes)
    assert "apply Deployment/va" in does(decided(model, *STABLE, **RUN))
    new = pods_of(model, served(A, NEWER), routed=True)
    ends = decided(model, *pods_of(model, A), *new, **RUN)
    assert (ends.record, ends.status.runtime, ends.status.attempt) == (
        True,
        served(A, NEWER).runtime,
        1,
    )
    assert [(gate.name, gate.verdict.value) for gate in ends.status.gates] == [
        ("integration", "Pass"),
        ("quality", "Pass"),
    ]
    assert ends.entry is not None
    assert ends.entry.outcome.value == "Refreshed"


@pytest.mark.parametrize("wish", [{"attempt": 1}, ALWAYS])
def test_a_fail_rejects_that_runtime_alone_and_the_stable_one_keeps_serving(wish: dict[str, Any]):
    model = begun(serving(JOB, **wish))
    failed = job_of(model, "Failed")
    fails = decided(model, *STABLE, *failed, **RUN)
    assert fails.record
    (rejection,) = fails.status.rejected
    assert (rejection.reason, rejection.runtime) == (
        "GateFailed",
        served(A, NEWER).runtime.identity,
    )
    rejected = after(model, fails)
    rests = decided(rejected, *STABLE, *failed, **RUN)
    assert (does(rests), rests.record, rests.status.runtime) == ([], False, served(A).runtime)
    assert rests.status.blocked is not None
    assert rests.status.blocked.reason == "GateFailed"
    assert rests.status.blocked.message.startswith(
        "va with the operator's runtime was rejected, and va is still serving. integration: exit"
    )
    # Another runtime or another attempt is judged again.
    newest = recorded_first(rejected, *STABLE, **(RUN | {"runtime": NEWEST}))
    assert newest.status.stages["production"].candidate == served(A, NEWEST)
    again = rejected.model_copy(update={"spec": serving(JOB, **(wish | {"attempt": 2})).spec})
    again = recorded_first(again, *STABLE, **RUN)
    asks = decided(again, *STABLE, *failed, **RUN)
    assert "apply Job/va" in does(asks) or asks.record


def test_a_rejected_and_abandoned_refresh_leaves_no_verdict():
    model = begun(serving(JOB, attempt=1))
    failed = job_of(model, "Failed")
    rejected = after(model, decided(model, *STABLE, *failed, **RUN))
    back = rejected.model_copy(update={"spec": serving(JOB, attempt=0).spec})
    steady = decided(back, *STABLE, **RUN)
    assert (steady.status.blocked, steady.status.gates, steady.status.judged) == (None, (), None)


def test_a_promotion_records_its_passes_with_the_runtime_that_it_began_with():
    candidate: ServedVersion = served(VERSIONS[1])
    model = stage_of("vb", holds=A, candidate=candidate, start_time=NOW, asked=[JOB])
    view = view_of(model, runtime=NEWER)
    assert view.spec is not None
    passes = decided(model, *STABLE, *job_of(model, "Complete", RUNTIME), **RUN)
    assert passes.record
    begins = decided(after(model, passes), *STABLE, **RUN)
    assert "apply Deployment/vb" in does(begins), (
        "an upgrade of the operator in between asks nothing again"
    )


def unnamed(model: RegisteredModel) -> RegisteredModel:
    """Return the status of an earlier release: verdicts without the runtime that they were given
    for.
    """
    stage = model.status.stages["production"]
    assert stage.judged is not None
    judged = stage.judged.model_copy(update={"runtime": None})
    stages = {"production": stage.model_copy(update={"judged": judged})}
    return model.model_copy(update={"status": model.status.model_copy(update={"stages": stages})})


def test_verdicts_without_a_runtime_count_for_their_promotion_and_not_for_a_refresh():
    refresh = begun(unnamed(serving(JOB, attempt=1)))
    assert {gate.verdict.value for gate in decided(refresh, *STABLE, **RUN).status.gates} == {
        "Pending"
    }
    model = begun(stage_of("vb", holds=A, asked=[JOB]))
    passes = decided(model, *STABLE, *job_of(model, "Complete"), **RUN)
    before = unnamed(after(model, passes))
    named = decided(before, *STABLE, **RUN)
    assert ([gate.verdict.value for gate in named.status.gates], named.record) == (["Pass"], True)
    assert "apply Deployment/vb" in does(decided(after(before, named), *STABLE, **RUN))
