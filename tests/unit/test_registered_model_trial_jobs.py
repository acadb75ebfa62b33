"""The result of a gate's Job, from its state and its pods."""

from __future__ import annotations

import pytest

from modelyard.plan import Manifest
from modelyard.registered_model.observation import Evidence
from tests.unit.builders import MINUTE, SECOND, live, pod
from tests.unit.models import (
    decided,
    does,
    refusing,
)
from tests.unit.test_registered_model_trial import (
    COMPLETE,
    FAILED,
    MODEL,
    OLD,
    RUNS,
    STABLE,
    job_of,
    pod_of,
    told,
)

EVICTED = {
    "conditions": [
        {"type": "DisruptionTarget", "status": "True", "lastTransitionTime": "2026-01-01T11:59:57Z"}
    ]
}
UNSCHEDULABLE = [
    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
]
PULL = [
    {
        "name": "gate",
        "image": "team/test:1",
        "state": {"waiting": {"reason": "ErrImagePull", "message": "no such tag"}},
    }
]
FULL = 'Usage of EmptyDir volume "tmp" exceeds the limit "20Gi"'


@pytest.mark.parametrize(
    ("owned", "verdict", "said"),
    [
        ((), "Pending", "its Job has not begun"),
        ((RUNS,), "Pending", "its pod is starting"),
        ((RUNS, pod_of(RUNS)), "Pending", "its Job runs since 11:59:58 UTC"),
        ((COMPLETE, pod_of(COMPLETE, 0)), "Pass", "exit code 0"),
        ((COMPLETE, pod_of(COMPLETE, 0, '{"rows": 7}')), "Pass", 'exit code 0: {"rows": 7}'),
        ((COMPLETE,), "Pending", "its Job is complete; its pod is about to say how"),
        ((FAILED, pod_of(FAILED, 3, "a\nb  c")), "Fail", "exit code 3: a b c"),
        (
            (FAILED, pod_of(FAILED, 137, why="OOMKilled")),
            "Fail",
            "it used more memory than its limit",
        ),
        ((FAILED, pod_of(FAILED, 137, why="Error")), "Fail", "it used more memory than its limit"),
        (
            (FAILED, pod_of(FAILED, 137, "boom", reason="Evicted", message=FULL)),
            "Fail",
            f"The pod failed: Evicted {FULL}: boom",
        ),
        (
            (FAILED, pod_of(FAILED, 143, reason="DeadlineExceeded")),
            "Fail",
            "it did not end within the 10m of its timeout",
        ),
        (
            (FAILED, pod_of(FAILED, 0, reason="DeadlineExceeded", phase="Failed")),
            "Fail",
            "it did not end within the 10m of its timeout",
        ),
        ((FAILED,), "Pending", "its Job has failed; its pod is about to say why"),
        (
            (RUNS, pod(RUNS, "Pending", statuses=PULL)),
            "Error",
            "ImagePullFailed: team/test:1 (pull secrets: none): no such tag.",
        ),
        (
            (RUNS, pod(RUNS, "Pending", conditions=UNSCHEDULABLE)),
            "Pending",
            "Unschedulable: 0/3 nodes.",
        ),
    ],
)
def test_the_result_of_a_job(owned: tuple[Manifest, ...], verdict: str, said: str):
    found = told(MODEL, *owned)
    assert found[0] == verdict
    assert found[1].startswith(said)
    decision = decided(MODEL, *STABLE, *owned)
    assert not [each for each in does(decision) if each.startswith("delete")]


@pytest.mark.parametrize(
    ("owned", "verdict", "said"),
    [
        ((job_of(MODEL, end="Complete", at=OLD),), "Pending", "its pod was interrupted"),
        ((COMPLETE, pod_of(COMPLETE, 0, **EVICTED)), "Pending", "its pod was interrupted"),
        ((job_of(MODEL, end="Failed", at=OLD),), "Error", "its pods are gone"),
        (
            (
                job_of(MODEL, end="Failed", at=OLD),
                pod_of(FAILED, 137, started=None, reason="DeadlineExceeded"),
            ),
            "Error",
            "its pod was never",
        ),
    ],
)
def test_a_job_that_has_not_judged_the_version_is_replaced(
    owned: tuple[Manifest, ...], verdict: str, said: str
):
    found = told(MODEL, *owned)
    assert found[0] == verdict
    assert found[1].startswith(said)
    assert does(decided(MODEL, *STABLE, *owned)) == [f"delete Job/{owned[0]['metadata']['name']}"]


def test_a_job_that_failed_without_a_verdict_is_not_replaced_at_once():
    fresh = decided(MODEL, *STABLE, FAILED, pod_of(FAILED, 137, started=None))
    assert (does(fresh), fresh.status.gates[0].verdict.value, fresh.requeue_after) == (
        [],
        "Error",
        58 * SECOND,
    )
    job = job_of(MODEL, end="Failed", at=OLD)
    forged = told(MODEL, job, pod_of(job, 66, '{"reason": "RequestsMissing", "message": "why"}'))
    assert forged[:2] == ("Fail", "exit code 66: why"), (
        "the words of our program count for our program only"
    )


def test_a_job_without_a_pod_says_why_and_a_refused_job_is_created_in_the_next_reconcile():
    job = job_of(MODEL, startTime="2026-01-01T11:59:00Z")
    assert told(MODEL, job)[:2] == (
        "Error",
        (
            "Kubernetes creates no pod for its Job and does not say why: kubectl describe job"
            f" {job['metadata']['name']}"
        ),
    )
    found = told(
        MODEL,
        job,
        evidence=Evidence(creation_errors={"uid-job": "pods are forbidden: exceeded quota: team"}),
    )
    assert found[1].startswith("QuotaExceeded: pods are forbidden: exceeded quota: team.")
    assert found[2] == MINUTE
    refused = decided(MODEL, *STABLE, refusals=refusing(("Job", job["metadata"]["name"])))
    assert does(refused) == []
    assert (
        refused.status.gates[0].message == "Kubernetes refuses its Job: admission webhook said no"
    )
    assert refused.status.blocked is not None
    assert (refused.status.blocked.reason, refused.requeue_after) == ("GatesPending", MINUTE)


def test_a_job_that_only_has_the_right_name_and_owner_is_ignored():
    forged = live(
        {
            **COMPLETE,
            "metadata": COMPLETE["metadata"] | {"labels": {"modelyard.io/stage": "production"}},
        },
        COMPLETE["status"],
    )
    assert told(MODEL, forged, pod_of(forged, 0))[0] == "Pending"


def test_the_number_of_the_try_and_the_end_of_the_previous_one():
    job = job_of(MODEL, failed=1)
    first = pod_of(job, 3, "boom")
    first["metadata"] |= {"name": "first", "creationTimestamp": OLD}
    assert (
        told(MODEL, job, first, pod_of(job))[1]
        == "its Job runs since 11:59:58 UTC, try 2 of 2; the one before: exit code 3"
    )
    failed = job_of(MODEL, end="Failed", failed=2)
    assert told(MODEL, failed, pod_of(failed, 3))[1] == "exit code 3 (2 tries)"
