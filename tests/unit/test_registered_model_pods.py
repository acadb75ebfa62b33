"""The state of a version's Deployment and pods."""

import pytest

from modelyard.plan import Manifest
from modelyard.registered_model.pods import health
from tests.unit.builders import pod, terminated, waiting
from tests.unit.models import A, deployment_in, pods_of, stage_of


def there(**status: object) -> Manifest:
    """Return a Deployment without a ready pod."""
    return deployment_in(pods_of(stage_of("va"), A, ready=0, **status))


def test_the_state_of_a_version_comes_from_its_newest_pods_only():
    deployment = there()
    died = [terminated(67, '{"reason": "LoadFailed", "message": "no booster"}', name="model")]
    old = pod(deployment, name="old", statuses=died)
    assert health(deployment, [old]).refused
    newer = pod(deployment, name="new")
    newer["metadata"] |= {
        "creationTimestamp": "2026-01-01T12:00:09Z",
        "labels": newer["metadata"]["labels"] | {"pod-template-hash": "b"},
    }
    assert not health(deployment, [old, newer]).refused, "it is of the template before"
    assert not health(
        deployment | {"status": {"observedGeneration": 0, "updatedReplicas": 1}}, [old]
    ).refused, "the change was not seen yet"
    assert not health(deployment | {"status": {"observedGeneration": 1}}, [old]).refused, (
        "no pod of the new template is there yet"
    )
    later = deployment | {
        "metadata": deployment["metadata"] | {"creationTimestamp": "2026-01-01T12:00:01Z"}
    }
    assert not health(later, [old]).refused, (
        "it is of a Deployment of the same name before this one"
    )
    old["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:05Z"
    assert not health(deployment, [old]).refused, "it is being deleted"


MISMATCH = '{"reason": "ArtifactDigestMismatch", "message": "m"}'
INVALID = '{"reason": "ArtifactInvalid", "message": "m"}'
MISSING = '{"reason": "ArtifactMissing", "message": "m"}'
AWAY = '{"reason": "StoreUnavailable", "message": "m"}'
FULL = '{"reason": "VolumeFull", "message": "m"}'
CODE = '{"reason": "CodeModelForbidden", "message": "m"}'


@pytest.mark.parametrize(
    ("statuses", "reason", "stalled", "refused"),
    [
        (
            [terminated(67, '{"reason": "LoadFailed", "message": "m"}', name="model")],
            "ServingFailed",
            True,
            True,
        ),
        (
            [terminated(67, '{"reason": "SmokeFailed", "message": "m"}', name="model")],
            "ServingFailed",
            True,
            True,
        ),
        ([terminated(65, MISMATCH, name="fetch", init=True)], "ArtifactDigestMismatch", True, True),
        ([terminated(67, INVALID, name="fetch", init=True)], "ArtifactInvalid", True, True),
        ([terminated(66, MISSING, name="fetch", init=True)], "ArtifactMissing", True, False),
        ([terminated(69, AWAY, name="fetch", init=True)], "StoreUnavailable", False, False),
        ([terminated(73, FULL, name="fetch", init=True)], "VolumeFull", True, False),
        ([terminated(67, CODE, name="model")], "CodeModelForbidden", True, False),
        ([terminated(137, "", "OOMKilled", name="model")], "OutOfMemory", True, False),
        ([terminated(1, "Traceback: m", name="model")], "ServingFailed", True, False),
        ([waiting("ImagePullBackOff", "m", name="model")], "ImagePullFailed", True, False),
        (
            [waiting("CreateContainerConfigError", "m", name="model")],
            "ConfigurationMissing",
            True,
            False,
        ),
        ([waiting("ContainerCreating", name="model")], None, False, False),
        ([terminated(0, name="fetch", init=True)], None, False, False),
    ],
)
def test_why_a_version_does_not_start(
    statuses: list[Manifest], reason: str | None, stalled: bool, refused: bool
):
    deployment = there()
    found = health(deployment, [pod(deployment, statuses=statuses)])
    assert (found.ready, found.reason, found.stalled, found.refused) == (
        0,
        reason,
        stalled,
        refused,
    )
    assert bool(found.message) == (reason is not None)
    assert "{" not in found.message, "a pod's own message is shown, not its JSON"


def test_a_pod_that_no_node_has_room_for_is_unschedulable():
    deployment = there()
    full = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes: Insufficient cpu",
    }
    found = health(deployment, [pod(deployment, "Pending", conditions=[full])])
    assert (found.reason, found.refused) == ("Unschedulable", False)
    assert "Insufficient cpu" in found.message


def test_a_waiting_pod_of_a_new_template_is_reported_though_one_of_the_old_is_ready():
    """Kubernetes counts it as updated before it runs, and the previous template's pod as ready."""
    deployment = deployment_in(pods_of(stage_of("va"), A, ready=1))
    deployment["status"] |= {"replicas": 2, "updatedReplicas": 1, "unavailableReplicas": 1}
    no_node = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes match",
    }
    stuck = pod(deployment, "Pending", conditions=[no_node])
    found = health(deployment, [stuck])
    assert (found.current, found.ready, found.reason) == (False, 1, "Unschedulable")
    deployment["status"] |= {"replicas": 1, "unavailableReplicas": 0}
    assert health(deployment, []).current


def test_pods_that_cannot_be_created_have_a_reason():
    quota = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": "exceeded quota",
    }
    found = health(there(updatedReplicas=0, conditions=[quota]), [])
    assert (found.reason, found.stalled, found.refused) == ("QuotaExceeded", True, False)
    assert "exceeded quota" in found.message


def test_a_missing_deployment_has_no_pods():
    assert (health(None, []).ready, health(None, []).current) == (0, False)
