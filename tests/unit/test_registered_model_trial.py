"""The step `trial`: gates with pods, the requests that they send, and the results of their Jobs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from modelyard.api.registered_model import RegisteredModel
from modelyard.kube.names import IDENTITY_LABEL
from modelyard.plan import Apply, Manifest
from modelyard.registered_model import build
from modelyard.registered_model.decision import StageDecision
from modelyard.registered_model.gates import pods
from modelyard.registered_model.gates.judging import judge
from tests.unit.builders import NOW, SECOND, live, pod
from tests.unit.models import (
    A,
    B,
    C,
    after,
    decided,
    does,
    pods_of,
    recorded_first,
    refusing,
    routes_to,
    served,
    stage_of,
    view_of,
)

JOB = {
    "name": "integration",
    "job": {
        "image": "team/test:1",
        "command": ["pytest"],
        "env": [{"name": "SUITE", "value": "$(A)"}],
    },
}
ASKS = {"name": "integration", "job": {"image": "team/test:1", "candidate": "Served"}}
DIGEST = "sha256:" + "1" * 64
SMOKE = {
    "name": "answers",
    "smoke": {
        "requests": {"configMap": "cases", "key": "c.json", "digest": DIGEST},
        "maxLatency": "50ms",
    },
}
THEN, STAMP = NOW - 2 * SECOND, "2026-01-01T11:59:58Z"


def begun(*gates: dict[str, Any], **stage: Any) -> RegisteredModel:
    """va is effective, vb is desired and recorded as the candidate."""
    return stage_of(
        "vb",
        **({"holds": A, "candidate": served(B), "start_time": NOW, "asked": list(gates)} | stage),
    )


STABLE = pods_of(begun(), A, routed=True)


def job_of(
    model: RegisteredModel, *, end: str = "", at: str = STAMP, index: int = 0, **status: Any
) -> Manifest:
    """Return the Job of a gate; `end` is Complete or Failed."""
    view = view_of(model)
    assert view.spec is not None
    conditions = (
        [
            {
                "type": end,
                "status": "True",
                "lastTransitionTime": at,
                "reason": "BackoffLimitExceeded",
            }
        ]
        if end
        else []
    )
    more = {"conditions": conditions} | ({"completionTime": at} if end == "Complete" else {})
    return live(
        pods.job(view, view.spec.gates[index]), {"startTime": STAMP} | more | status, uid="uid-job"
    )


def pod_of(
    job: Manifest,
    code: int | None = None,
    text: str = "",
    *,
    why: str = "",
    started: str | None = STAMP,
    **status: Any,
) -> Manifest:
    """Return a pod of a Job, whose container runs or has ended."""
    ended = {
        "exitCode": code,
        "message": text,
        "reason": why,
        "startedAt": started,
        "finishedAt": STAMP,
    }
    state = {"running": {"startedAt": started}} if code is None else {"terminated": ended}
    phase = "Running" if code is None else "Failed" if code else "Succeeded"
    phase = status.pop("phase", phase)
    return pod(job, phase, statuses=[{"name": "gate", "state": state}], **status)


def told(
    model: RegisteredModel, *owned: Manifest, **more: Any
) -> tuple[str, str, timedelta | None]:
    """Return the gate's verdict, whole message, and when it is evaluated again."""
    (result,) = judge(view_of(model, *owned, **more), NOW)
    return result.status.verdict.value, result.message, result.again


def states(decision: StageDecision) -> dict[str, str]:
    return {step.name: step.state.value for step in decision.status.steps}


def applied(decision: StageDecision, kind: str) -> Manifest:
    found = [
        each.manifest
        for each in decision.actions
        if isinstance(each, Apply) and each.manifest["kind"] == kind
    ]
    assert len(found) == 1, does(decision)
    return found[0]


MODEL = begun(JOB)
RUNS, FAILED, COMPLETE = job_of(MODEL), job_of(MODEL, end="Failed"), job_of(MODEL, end="Complete")
OLD = "2026-01-01T11:58:00Z"


# --- the Job --------------------------------------------------------------------------------------
def test_a_job_is_created_without_pods_of_the_candidate_and_with_what_it_judges():
    decision = decided(begun(JOB), *STABLE)
    assert does(decision) == ["apply Job/vb"]
    assert list(states(decision)) == ["admit", "trial", "start", "switch", "record"]
    job = applied(decision, "Job")
    pod_spec = job["spec"]["template"]["spec"]
    (container,) = pod_spec["containers"]
    env = {each["name"]: each["value"] for each in container["env"]}
    assert {key: value for key, value in env.items() if key.startswith("MODELYARD_")} == {
        "MODELYARD_MODEL": "risk.fraud",
        "MODELYARD_CANDIDATE_URI": "s3://b/vb",
        "MODELYARD_CANDIDATE_DIGEST": B.digest,
        "MODELYARD_CANDIDATE_VERSION": "vb",
        "MODELYARD_CANDIDATE_STAGE": "production",
    }
    assert env["SUITE"] == "$$(A)", "the kubelet expands nothing in it"
    assert (container["image"], container["command"]) == ("team/test:1", ["pytest"])
    assert container["envFrom"] == [{"secretRef": {"name": "modelyard-connection"}}]
    assert (pod_spec["automountServiceAccountToken"], pod_spec["activeDeadlineSeconds"]) == (
        False,
        600,
    )
    assert job["spec"]["backoffLimit"] == 1
    assert job["metadata"]["ownerReferences"][0]["uid"] == "uid-fraud"
    assert "apply" not in " ".join(does(decided(begun(JOB), *STABLE, job_of(begun(JOB))))), (
        "it is searched before it is created"
    )


def test_a_job_gets_the_run_of_the_version_and_the_gate_smoke_does_not():
    trained = B.model_copy(update={"run_id": "run-7"})
    model = begun(JOB, SMOKE)
    view = view_of(model, versions=(A, trained))
    assert view.spec is not None
    tried, asked = (
        pods.job(view, gate)["spec"]["template"]["spec"]["containers"][0]["env"]
        for gate in view.spec.gates
    )
    told = {"name": "MODELYARD_CANDIDATE_RUN_ID", "value": "run-7"}
    assert told in tried
    assert told not in asked


def test_no_service_of_a_stage_selects_the_pods_of_a_gate():
    model = begun(ASKS)
    labels = job_of(model)["spec"]["template"]["metadata"]["labels"]
    assert IDENTITY_LABEL not in labels
    for what in (served(A), served(B)):
        for service in (
            build.service(model, "production", what),
            build.private_service(model, "production", what),
        ):
            assert not service["spec"]["selector"].items() <= labels.items()


def test_a_job_has_another_name_for_every_changed_input():
    model = begun(JOB)
    names = {
        job_of(each)["metadata"]["name"]
        for each in (
            model,
            begun(JOB, attempt=1),
            begun(JOB, candidate=served(C)).model_copy(
                update={"spec": stage_of("vc", asked=[JOB]).spec}
            ),
            begun(ASKS),
            begun(JOB, SMOKE),
        )
    }
    assert len(names) == 5
    assert all(len(name) <= 57 for name in names)
    assert job_of(begun(JOB, serving={"replicas": 3}))["metadata"]["name"] in names, (
        "replicas are nothing that is asked"
    )


# --- the candidate's own pod ----------------------------------------------------------------------
def test_a_gate_that_sends_requests_gets_one_candidate_pod_behind_a_private_service():
    model = begun(SMOKE, serving={"replicas": 3})
    stable = pods_of(model, A, routed=True, replicas=3, ready=3)
    starting = decided(model, *stable)
    assert does(starting) == [
        "apply ControllerRevision/vb",
        "apply Deployment/vb",
        "apply Service/vb",
    ]
    deployment, service = applied(starting, "Deployment"), applied(starting, "Service")
    assert deployment["spec"]["replicas"] == 1
    assert service["metadata"]["name"] == deployment["metadata"]["name"]
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
    own = live(service)
    waiting = decided(model, *stable, *pods_of(model, B, replicas=1, ready=0), own)
    assert does(waiting) == []
    assert waiting.status.gates[0].message == "waits for a pod of vb"
    asking = decided(model, *stable, *pods_of(model, B, replicas=1), own)
    assert does(asking) == ["apply Job/vb"]
    (container,) = applied(asking, "Job")["spec"]["template"]["spec"]["containers"]
    assert {
        "name": "MODELYARD_CANDIDATE_URL",
        "value": f"http://{service['metadata']['name']}.risk",
    } in container["env"]
    assert view_of(model, own, *stable).routed == served(A).runtime.identity, (
        "the stage's Service is recognized by its name"
    )


def test_after_a_pass_all_pods_start_and_the_private_service_and_the_job_are_deleted():
    model = begun(SMOKE, serving={"replicas": 3})
    job = job_of(model, end="Complete")
    there = (*pods_of(model, A, routed=True, replicas=3, ready=3), *pods_of(model, B, replicas=1))
    own = live(build.private_service(model, "production", served(B)))
    passing = decided(
        model, *there, own, job, pod_of(job, 0, '{"message": "12 requests answered as expected"}')
    )
    assert passing.record
    assert (does(passing), passing.status.gates[0].message) == (
        [],
        "12 requests answered as expected",
    )
    model = after(model, passing)
    starting = decided(model, *there, own, job, pod_of(job, 0))
    name = own["metadata"]["name"]
    assert does(starting) == [
        "apply Deployment/vb",
        f"delete Service/{name}",
        f"delete Job/{job['metadata']['name']}",
    ]
    assert applied(starting, "Deployment")["spec"]["replicas"] == 3
    assert states(starting)["trial"] == "Done"


def test_while_no_gate_sends_requests_the_candidate_has_no_pods():
    """For example when the gate that sends requests has passed, and another one has not."""
    model = begun(SMOKE, JOB)
    job = job_of(model, end="Complete")
    there = (
        *STABLE,
        *pods_of(model, B),
        live(build.private_service(model, "production", served(B))),
    )
    model = after(model, decided(model, *there, job, pod_of(job, 0)))
    left = decided(model, *there, job_of(model, index=1))
    deployment = there[-2]["metadata"]["name"]
    assert does(left) == [f"delete Service/{deployment}", f"delete Deployment/{deployment}"], (
        "its template stays"
    )
    routed = decided(model, *STABLE[:2], *pods_of(model, B, routed=True), job_of(model, index=1))
    assert not [each for each in does(routed) if each.startswith("delete Deployment")], (
        "requests reach it"
    )


def test_a_stage_with_zero_replicas_has_one_pod_during_the_trial_and_none_afterwards():
    model = begun(ASKS, serving={"replicas": 0})
    starting = decided(model)
    assert does(starting) == [
        "apply ControllerRevision/vb",
        "apply Deployment/vb",
        "apply Service/vb",
    ]
    there = (*pods_of(model, B), live(build.private_service(model, "production", served(B))))
    assert does(decided(model, *there)) == ["apply Job/vb"]
    job = job_of(model, end="Complete")
    model = after(model, decided(model, *there, job, pod_of(job, 0)))
    ended = decided(model, *there, job)
    assert ended.status.version == "vb"
    gone = decided(after(model, ended), *there, job)
    assert [each.split("/")[0] for each in does(gone)] == [
        "delete Service",
        "delete Job",
        "delete Deployment",
    ]


def test_a_candidate_that_cannot_be_loaded_is_rejected_in_its_trial():
    model = begun(SMOKE)
    deployment = pods_of(model, B, ready=0)
    ended = {
        "exitCode": 67,
        "message": '{"reason": "LoadFailed", "message": "it is cut short"}',
        "startedAt": STAMP,
    }
    broken = pod(deployment[1], statuses=[{"name": "model", "state": {"terminated": ended}}])
    broken["metadata"]["creationTimestamp"] = "2026-01-01T11:30:00Z"
    failing = decided(
        model,
        *STABLE,
        *deployment,
        broken,
        live(build.private_service(model, "production", served(B))),
    )
    (rejection,) = failing.status.rejected
    assert (rejection.reason, rejection.runtime) == ("ServingFailed", served(B).runtime.identity)


def test_a_candidate_starts_with_as_many_pods_as_the_autoscaler_gave_the_stable_version():
    model = begun(serving={"autoscaling": {"minReplicas": 1, "maxReplicas": 9}})
    stable = pods_of(model, A, routed=True, replicas=6, ready=6)
    starting = decided(model, *stable, *pods_of(model, B, replicas=1))
    assert applied(starting, "Deployment")["spec"]["replicas"] == 6


# --- what follows ---------------------------------------------------------------------------------
def test_a_fail_rejects_keeps_the_job_with_its_log_and_emits_the_whole_message_as_an_event():
    failing = decided(MODEL, *STABLE, FAILED, pod_of(FAILED, 1, "x" * 390))
    assert failing.record
    assert (
        failing.status.version,
        failing.status.candidate,
        failing.status.rejected[0].reason,
    ) == ("va", None, "GateFailed")
    (event,) = failing.events
    assert (event.reason, event.warning) == ("GateFailed", True)
    assert event.message == f"production does not take vb. integration: exit code 1: {'x' * 390}."
    told_ = decided(after(MODEL, failing), *STABLE, FAILED, pod_of(FAILED, 1))
    assert does(told_) == []
    assert told_.status.blocked is not None
    assert told_.status.blocked.message.startswith(
        "vb was rejected, and va is still serving. integration: exit code 1: xxx"
    )
    back = after(MODEL, failing).model_copy(update={"spec": stage_of("va", asked=[JOB]).spec})
    assert does(decided(back, *STABLE, FAILED)) == [f"delete Job/{FAILED['metadata']['name']}"]
    again = after(MODEL, failing).model_copy(
        update={"spec": stage_of("vb", asked=[JOB], attempt=1).spec}
    )
    again = recorded_first(again, *STABLE, FAILED)
    assert does(decided(again, *STABLE, FAILED)) == [
        "apply Job/vb",
        f"delete Job/{FAILED['metadata']['name']}",
    ]


def test_jobs_of_a_cleared_or_a_finished_stage_are_deleted():
    gone = f"delete Job/{FAILED['metadata']['name']}"
    assert gone in does(decided(stage_of(None, asked=[JOB]), FAILED))
    assert gone in does(decided(stage_of("va", holds=A, asked=[JOB]), *STABLE, FAILED))
    assert gone in does(
        decided(
            stage_of("vc", holds=A, candidate=served(C), start_time=NOW, asked=[JOB]),
            *STABLE,
            FAILED,
        )
    )


def test_while_mlflow_is_down_no_job_is_created_or_deleted():
    away = decided(MODEL, *STABLE, dependencies_down=True)
    assert does(away) == []
    model = begun(SMOKE)
    there = (
        *STABLE,
        *pods_of(model, B),
        live(build.private_service(model, "production", served(B))),
        job_of(model),
    )
    assert does(decided(model, *there, dependencies_down=True)) == []


def test_gates_without_pods_come_first_and_a_candidate_of_an_earlier_trial_is_kept_for_them():
    quality = {"name": "quality", "metric": {"name": "f1", "atLeast": "0"}}
    model = begun(quality, SMOKE)
    waiting = decided(model, *STABLE)
    assert (does(waiting), list(states(waiting))) == (
        [],
        ["admit", "gates", "trial", "start", "switch", "record"],
    )
    assert routes_to(waiting) is None


def test_a_refused_service_of_the_candidate_is_reported():
    model = begun(SMOKE)
    name = build.workload_name(model, "production", served(B))
    refused = decided(model, *STABLE, *pods_of(model, B), refusals=refusing(("Service", name)))
    assert refused.status.blocked is not None
    assert (refused.status.blocked.reason, states(refused)["trial"]) == ("RequestRefused", "Failed")
    assert replace(refused, actions=()).status.version == "va"
