"""How Jobs and pods stand, read from what Kubernetes and the containers say."""

import json

import pytest

from modelyard.kube.jobs import PodTrouble, failed, image_id, of_kind, pod_trouble, succeeded, terminations
from modelyard.kube.pods import DEFAULT_RESOURCES, labels, owner, resources
from modelyard.plan import Manifest
from modelyard.training_run import build
from tests.unit.builders import RUNTIME, job, pod, terminated, training_run, waiting

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


@pytest.mark.parametrize(
    ("reason", "text", "trouble"),
    [
        ("ErrImagePull", "not found", PodTrouble("ImagePullFailed", "registry/image:1: not found")),
        ("ImagePullBackOff", "", PodTrouble("ImagePullFailed", "registry/image:1: ImagePullBackOff")),
        ("InvalidImageName", "", PodTrouble("ImagePullFailed", "registry/image:1: InvalidImageName")),
        ("CreateContainerConfigError", 'secret "x" not found', PodTrouble("ConfigurationMissing", 'secret "x" not found')),
        ("CreateContainerConfigError", "failed to sync secret cache: timed out waiting for the condition", None),
        ("CreateContainerError", "context deadline exceeded", None),
        ("CreateContainerError", 'failed to reserve container name "a": name "a" is reserved for "b"', None),
        ("CreateContainerError", "no command specified", PodTrouble("ConfigurationMissing", "no command specified")),
        ("CrashLoopBackOff", "back-off 10s", PodTrouble("CrashLoop", "back-off 10s")),
        ("ContainerCreating", "", None),
        ("PodInitializing", "", None),
    ],
)
def test_why_a_container_waits(reason: str, text: str, trouble: PodTrouble | None):
    assert pod_trouble(pod(JOB, "Pending", statuses=[waiting(reason, text)])) == trouble
    assert pod_trouble(pod(JOB, "Pending", statuses=[waiting(reason, text, init=True)])) == trouble


def test_a_pod_that_fits_nowhere():
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}
    assert pod_trouble(pod(JOB, "Pending", conditions=[condition])) == PodTrouble("Unschedulable", "0/3 nodes are available")
    assert pod_trouble(pod(JOB, "Pending", conditions=[condition | {"reason": "SchedulingGated"}])) is None
    assert pod_trouble(pod(JOB, "Pending", conditions=[condition | {"status": "True"}])) is None


def test_a_pod_of_which_nothing_is_known_yet_is_in_no_trouble():
    assert pod_trouble({"kind": "Pod", "metadata": {"name": "a"}}) is None
    assert terminations({"kind": "Pod", "metadata": {"name": "a"}, "status": None}) == []


def test_containers_say_how_they_ended_those_that_came_first_first():
    said = {"reason": "DatasetUnavailable", "message": "no such key"}
    data = terminated(66, json.dumps(said), name="data", init=True)
    found = terminations(pod(JOB, "Failed", statuses=[terminated(1, "Traceback", "Error"), data]))
    assert [(each.container, each.exit_code, each.reason) for each in found] == [("data", 66, ""), ("trainer", 1, "Error")]
    assert found[0].said == said
    assert (found[1].said, found[1].log) == ({}, "Traceback")


def test_a_container_that_was_started_again_counts_by_its_last_end():
    state = {"name": "model", "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 67}}}
    assert [each.exit_code for each in terminations(pod(JOB, statuses=[state]))] == [67]


@pytest.mark.parametrize("text", ["", "plain", "[1]", "{", '{"a":' + "[" * 4000, '{"a": ' + "1" * 5000 + "}", '"text"', "null"])
def test_what_a_container_says_may_be_anything(text: str):
    """The text is the container's, and the container may be anybody's."""
    (found,) = terminations(pod(JOB, statuses=[terminated(1, text)]))
    assert (found.said, found.log) == ({}, text)


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
