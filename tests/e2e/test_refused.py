"""Pods that Kubernetes refuses or cannot run, because of resources, nodes or a quota. Each is
reported where users look.
"""

from typing import Any

import pytest

from tests.demo.kube import condition
from tests.e2e.fixtures import Trained
from tests.e2e.tenant import SERVING, Tenant

pytestmark = pytest.mark.e2e

NOTHING = {
    "container": {
        "image": "modelyard/operator:dev",
        "command": ["python", "-c", "print('trained')"],
    }
}
SMALL = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}


def quota(tenant: Tenant, pods: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "pods"},
        "spec": {"hard": {"pods": pods}},
    }


def test_a_job_that_asks_for_more_than_its_limits_ends_the_run(tenant: Tenant):
    tenant.experiment()
    wrong = {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}
    tenant.run("greedy", trainer=NOTHING, dataset=None, resources=wrong, backoffLimit=3)
    message = tenant.says("TrainingRun", "greedy", "InvalidResources")["message"]
    assert "spec.resources.requests" in message
    body = tenant.kube.wait_condition(
        "TrainingRun", "greedy", tenant.name, "Succeeded", "False", "InvalidResources"
    )
    (tracked,) = tenant.mlflow_runs(body["metadata"]["uid"])
    assert tracked["info"]["status"] == "FAILED"
    assert not tenant.kube.list("Job", tenant.name)


def test_a_pod_that_the_quota_refuses_is_reported_and_trains_when_the_quota_allows_it(
    tenant: Tenant,
):
    tenant.experiment()
    tenant.kube.apply(quota(tenant, "0"), namespace=tenant.name)
    tenant.run("crowded", trainer=NOTHING, dataset=None, resources=SMALL)
    assert (
        "exceeded quota: pods" in tenant.says("TrainingRun", "crowded", "QuotaExceeded")["message"]
    )
    tenant.kube.apply(quota(tenant, "5"), namespace=tenant.name)
    # Kubernetes retries at its own pace: at most a minute after the last time.
    body = tenant.ready("TrainingRun", "crowded", 240)
    assert condition(body, "Stalled")["status"] == "False"


def test_causes_that_keep_a_stage_s_pods_from_running_are_distinguished(
    tenant: Tenant, trained: Trained
):
    """The previous pods are serving all the time."""
    tenant.model(
        stages={"production": "v1"}, versions={"v1": {"uri": tenant.copy_model(trained.v1, "v1")}}
    )
    tenant.serves("v1")

    def serving(**change: Any) -> None:
        tenant.patch("mlmodel", "fraud", {"spec": {"stages": {"production": {"serving": change}}}})

    serving(nodeSelector={"modelyard.io/no-such": "node"})
    said = tenant.says("RegisteredModel", "fraud", "Unschedulable", "Reconciling")
    assert "node" in said["message"]
    serving(
        nodeSelector=None, resources={"requests": {"memory": "20Mi"}, "limits": {"memory": "20Mi"}}
    )
    assert "limits.memory" in tenant.says("RegisteredModel", "fraud", "OutOfMemory")["message"]
    serving(resources=SERVING["resources"])
    tenant.serves("v1")
    tenant.kube.apply(quota(tenant, "1"), namespace=tenant.name)
    serving(replicas=2)
    assert "exceeded quota" in tenant.says("RegisteredModel", "fraud", "QuotaExceeded")["message"]
    assert tenant.predict()[0] == "v1"
    tenant.kube.kubectl("delete", "resourcequota", "pods", "-n", tenant.name)
    # Kubernetes retries at its own pace: at most some minutes after the last time.
    tenant.serves("v1", seconds=300)
