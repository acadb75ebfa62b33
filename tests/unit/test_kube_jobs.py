"""The state of Jobs, the containers of their pods, and what every generated pod has."""

from typing import Any

import pytest

from modelyard.kube.jobs import failed, image_id, of_kind, succeeded
from modelyard.kube.pods import DEFAULT_RESOURCES, labels, owner, resources
from modelyard.plan import Manifest
from modelyard.training_run import build
from tests.unit.builders import RUNTIME, job, pod, training_run

JOB = build.job(training_run(), 1, "r1", RUNTIME)


def test_a_job_s_state_is_read_from_its_conditions():
    assert succeeded(job(JOB, "Complete"))
    assert not succeeded(job(JOB, "Failed"))
    assert not succeeded(job(JOB))
    assert (failed(job(JOB, "Failed", "DeadlineExceeded")) or {})["reason"] == "DeadlineExceeded"
    assert failed(job(JOB)) is None


def test_a_job_that_is_about_to_fail_has_not_failed():
    """FailureTarget is set first, while its pods are still terminating."""
    assert failed(job(JOB, "FailureTarget")) is None
    assert not succeeded(job(JOB, "SuccessCriteriaMet"))


def test_a_complete_pod_is_not_a_job():
    assert not succeeded(pod(JOB, conditions=[{"type": "Complete", "status": "True"}]))


def test_owned_objects_by_kind():
    children = (job(JOB), pod(JOB))
    assert [child["kind"] for child in of_kind(children, "Pod")] == ["Pod"]


def test_the_running_image_is_read_from_the_pod():
    running: Manifest = {
        "name": "trainer",
        "imageID": "registry/image@sha256:1",
        "state": {"running": {}},
    }
    assert image_id(pod(JOB, statuses=[running]), "trainer") == "registry/image@sha256:1"
    assert image_id(pod(JOB, statuses=[running]), "other") == ""
    assert image_id(pod(JOB), "trainer") == ""


@pytest.mark.parametrize(
    ("said", "got"),
    [
        ({}, DEFAULT_RESOURCES),
        (
            {"requests": {"cpu": "1m"}},
            {"requests": {"cpu": "1m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}},
        ),
        (
            {"requests": {"memory": "1Gi"}},
            {"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
        ),
        (
            {"requests": {"memory": "3G"}},
            {"requests": {"cpu": "250m", "memory": "3G"}, "limits": {"memory": "3G"}},
        ),
        (
            {"requests": {"memory": 2**32}},
            {"requests": {"cpu": "250m", "memory": 2**32}, "limits": {"memory": 2**32}},
        ),
        (
            {"limits": {"memory": "64Mi"}},
            {"requests": {"cpu": "250m"}, "limits": {"memory": "64Mi"}},
        ),
        ({"limits": {"cpu": "2", "memory": "64Mi"}}, {"limits": {"cpu": "2", "memory": "64Mi"}}),
        (
            {"limits": {"cpu": "100m", "nvidia.com/gpu": 1}},
            {
                "requests": {"memory": "512Mi"},
                "limits": {"cpu": "100m", "nvidia.com/gpu": 1, "memory": "2Gi"},
            },
        ),
    ],
)
def test_missing_resources_get_defaults(said: dict[str, Any], got: dict[str, Any]):
    """No request exceeds its limit: the API server would refuse such a pod."""
    assert resources(training_run(resources=said).spec.resources) == got


def test_owned_objects_reference_their_owner_by_uid():
    assert labels("u1", "serving", **{"modelyard.io/stage": "production"}) == {
        "app.kubernetes.io/managed-by": "modelyard",
        "app.kubernetes.io/name": "modelyard",
        "app.kubernetes.io/component": "serving",
        "modelyard.io/uid": "u1",
        "modelyard.io/stage": "production",
    }
    (reference,) = owner("TrainingRun", "fraud-1", "u1")
    assert (reference["uid"], reference["controller"]) == ("u1", True)
