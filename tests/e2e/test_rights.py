"""With the policies in force on a real cluster: serving objects change only by promotion, and
evictions and restarts still work.
"""

import json

import pytest

from tests.demo.kube import Failed
from tests.e2e.fixtures import Trained
from tests.e2e.tenant import Tenant

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

LABELS = "modelyard.io/stage=production,modelyard.io/model=fraud"
NOBODY = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "name": "nobody",
    "uid": "00000000-0000-0000-0000-000000000000",
}


def grant(tenant: Tenant, user: str, *roles: str) -> None:
    for role in roles:
        words = (
            "create",
            "rolebinding",
            f"{user}-{role}",
            f"--clusterrole={role}",
            f"--user={user}",
        )
        tenant.kube.kubectl("-n", tenant.name, *words)


def pods(tenant: Tenant) -> dict[str, str]:
    """Return the uids of the stage's pods, by name."""
    return {
        pod["metadata"]["name"]: pod["metadata"]["uid"]
        for pod in tenant.kube.list("Pod", tenant.name, LABELS)
    }


def test_serving_objects_belong_to_the_operator_and_evictions_and_restarts_still_work(
    tenant: Tenant, trained: Trained
):
    tenant.model(
        stages={"production": "v1"}, versions={"v1": {"uri": tenant.copy_model(trained.v1, "v1")}}
    )
    tenant.serves("v1")
    grant(tenant, "dora", "edit")
    grant(tenant, "rita", "edit", "modelyard-release-manager")
    (serving,) = tenant.kube.list("Deployment", tenant.name, LABELS)
    name = f"deployment/{serving['metadata']['name']}"

    def does(user: str, *words: str, stdin: str = "") -> str:
        return tenant.kube.kubectl("--as", user, "-n", tenant.name, *words, stdin=stdin)

    model = ("patch", "registeredmodel", "fraud", "--type=merge", "-p")
    labels = dict(each.split("=") for each in LABELS.split(","))
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "mine", "labels": labels},
        "spec": {"ports": [{"port": 80}]},
    }
    refused: list[tuple[str, ...]] = [
        ("scale", name, "--replicas=0"),
        ("set", "env", name, "MLFLOW_TRACKING_URI=http://mine"),
        ("rollout", "restart", name),
        (*model, json.dumps({"metadata": {"ownerReferences": [NOBODY]}})),
        (*model, '{"spec":{"drift":"Warn"}}'),
        (*model, '{"spec":{"stages":{"production":{"serving":{"replicas":0}}}}}'),
        (*model, '{"spec":{"versions":{"v1":null}}}'),
    ]
    for words in refused:
        # A separate policy keeps objects that stages use, and the API server reports whichever
        # refuses first.
        with pytest.raises(Failed, match=r"promote on registeredmodels|production is at v1"):
            does("dora", *words)
    with pytest.raises(Failed, match="promote on registeredmodels"):
        does("dora", "create", "-f", "-", stdin=json.dumps(service))

    # What a node's drain does to a pod, by an editor.
    (evicted,) = pods(tenant)
    before = set(pods(tenant).values())
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": evicted}}
    path = f"/api/v1/namespaces/{tenant.name}/pods/{evicted}/eviction"
    does("dora", "create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    tenant.wait(
        "another pod is there", lambda: pods(tenant) and not before & set(pods(tenant).values())
    )
    tenant.serves("v1")

    before = set(pods(tenant).values())
    does("rita", "rollout", "restart", name)
    tenant.wait(
        "the pod was restarted", lambda: pods(tenant) and not before & set(pods(tenant).values())
    )
    tenant.serves("v1")
    assert tenant.predict()[0] == "v1"
