"""What Kubernetes refuses: a Job for its resources, a pod for the namespace's quota. Each says so, in words, where users look."""

from typing import Any

import pytest

from tests.demo.kube import condition
from tests.e2e.tenant import Tenant

pytestmark = pytest.mark.e2e

NOTHING = {"container": {"image": "modelyard/operator:dev", "command": ["python", "-c", "print('trained')"]}}
SMALL = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}


def quota(tenant: Tenant, pods: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "pods"}, "spec": {"hard": {"pods": pods}}}


def test_a_job_that_asks_for_more_than_its_limits_ends_the_run(tenant: Tenant):
    tenant.experiment()
    wrong = {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}
    tenant.run("greedy", trainer=NOTHING, dataset=None, resources=wrong, backoffLimit=3)
    message = tenant.says("TrainingRun", "greedy", "InvalidResources")["message"]
    assert "spec.resources.requests" in message
    body = tenant.kube.wait_condition("TrainingRun", "greedy", tenant.name, "Succeeded", "False", "InvalidResources")
    (tracked,) = tenant.mlflow_runs(body["metadata"]["uid"])
    assert tracked["info"]["status"] == "FAILED"
    assert not tenant.kube.list("Job", tenant.name)


def test_a_pod_that_the_quota_refuses_is_told_and_trains_when_it_is_let_in(tenant: Tenant):
    tenant.experiment()
    tenant.kube.apply(quota(tenant, "0"), namespace=tenant.name)
    tenant.run("crowded", trainer=NOTHING, dataset=None, resources=SMALL)
    message = tenant.says("TrainingRun", "crowded", "NoPod")["message"]
    command = message[message.index("kubectl describe job") :].partition(". ")[0].split()
    assert "exceeded quota" in tenant.kube.kubectl(*command[1:])
    tenant.kube.apply(quota(tenant, "5"), namespace=tenant.name)
    # Kubernetes tries again when it likes: at most a minute after the last time.
    body = tenant.ready("TrainingRun", "crowded", 240)
    assert condition(body, "Stalled")["status"] == "False"
