"""How Jobs stand, what runs in their pods, and what every pod of ours has."""

from modelyard.kube.jobs import failed, image_id, of_kind, succeeded
from modelyard.kube.pods import DEFAULT_RESOURCES, labels, owner, resources
from modelyard.plan import Manifest
from modelyard.training_run import build
from tests.unit.builders import RUNTIME, job, pod, training_run

JOB = build.job(training_run(), 1, "r1", RUNTIME)


def test_a_job_says_how_it_ended():
    assert succeeded(job(JOB, "Complete"))
    assert not succeeded(job(JOB, "Failed"))
    assert not succeeded(job(JOB))
    assert (failed(job(JOB, "Failed", "DeadlineExceeded")) or {})["reason"] == "DeadlineExceeded"
    assert failed(job(JOB)) is None


def test_a_job_that_is_about_to_fail_has_not_failed():
    """FailureTarget comes first, while its pods still end."""
    assert failed(job(JOB, "FailureTarget")) is None
    assert not succeeded(job(JOB, "SuccessCriteriaMet"))


def test_a_pod_that_is_complete_is_no_job():
    assert not succeeded(pod(JOB, conditions=[{"type": "Complete", "status": "True"}]))


def test_children_by_kind():
    children = (job(JOB), pod(JOB))
    assert [child["kind"] for child in of_kind(children, "Pod")] == ["Pod"]


def test_the_image_that_runs():
    running: Manifest = {"name": "trainer", "imageID": "registry/image@sha256:1", "state": {"running": {}}}
    assert image_id(pod(JOB, statuses=[running]), "trainer") == "registry/image@sha256:1"
    assert image_id(pod(JOB, statuses=[running]), "other") == ""
    assert image_id(pod(JOB), "trainer") == ""


def test_resources_are_the_user_s_or_ours_and_never_a_mixture():
    """A request of ours above a limit of theirs would be refused."""
    assert resources(training_run().spec.resources) == DEFAULT_RESOURCES
    assert resources(training_run(resources={"limits": {"memory": "64Mi"}}).spec.resources) == {"limits": {"memory": "64Mi"}}


def test_children_name_their_owner_by_uid():
    assert labels("u1", "serving", **{"modelyard.io/stage": "production"}) == {
        "app.kubernetes.io/managed-by": "modelyard",
        "app.kubernetes.io/name": "modelyard",
        "app.kubernetes.io/component": "serving",
        "modelyard.io/uid": "u1",
        "modelyard.io/stage": "production",
    }
    (reference,) = owner("TrainingRun", "fraud-1", "u1")
    assert (reference["uid"], reference["controller"]) == ("u1", True)
