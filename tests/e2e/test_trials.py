"""Gates with pods on a real cluster: after a failed one production keeps serving under load; after
one that passes the candidate is promoted.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from tests.demo import install
from tests.e2e.fixtures import Trained
from tests.e2e.tenant import SERVING, TABLE, Tenant

pytestmark = pytest.mark.e2e

FAILS = "print('no column amount'); raise SystemExit(3)"
ASKS = """
import json, os, socket, urllib.request

url, version = os.environ["MODELYARD_CANDIDATE_URL"], os.environ["MODELYARD_CANDIDATE_VERSION"]
body = json.dumps({"instances": json.loads(os.environ["TABLE"])}).encode()
url += "/v1/models/fraud:predict"
request = urllib.request.Request(url, body, {"content-type": "application/json"})
with urllib.request.urlopen(request, timeout=30) as answer:
    answered, found = answer.headers["modelyard-version"], json.load(answer)["predictions"]
assert answered == version, (answered, version)
assert os.environ["MLFLOW_TRACKING_URI"]
assert os.environ["MODELYARD_CANDIDATE_DIGEST"].startswith("sha256:")
assert not os.path.exists("/var/run/secrets/kubernetes.io/serviceaccount/token")
with open("/dev/termination-log", "w") as file:
    json.dump({"message": f"{len(found)} rows answered by {answered}"}, file)
"""


def job(code: str, **more: Any) -> dict[str, Any]:
    """Return a gate whose pod runs this code, with the runtime image's Python."""
    resources = {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}
    return {
        "name": "integration",
        "job": {
            "image": install.RUNTIME,
            "command": ["python", "-c", code],
            "resources": resources,
            **more,
        },
    }


def smoke(data: str) -> dict[str, Any]:
    """Return a gate that sends the requests of the ConfigMap `cases`; its latency bound suits any
    machine.
    """
    digest = f"sha256:{hashlib.sha256(data.encode()).hexdigest()}"
    requests = {"configMap": "cases", "key": "cases.json", "digest": digest}
    return {"name": "answers", "smoke": {"requests": requests, "maxLatency": "30s"}}


def stored(tenant: Tenant, data: str) -> dict[str, Any]:
    """Return a gate that sends the same requests, from S3."""
    key = f"{tenant.name}/cases.json"
    with tenant.s3() as s3:
        s3.put_object(Bucket=tenant.bucket, Key=key, Body=data.encode())
    requests = {
        "uri": f"s3://{tenant.bucket}/{key}",
        "digest": f"sha256:{hashlib.sha256(data.encode()).hexdigest()}",
    }
    return {"name": "stored", "smoke": {"requests": requests}}


def gates(tenant: Tenant, *wanted: dict[str, Any]) -> None:
    """Give production these gates."""
    tenant.patch("mlmodel", "fraud", {"spec": {"stages": {"production": {"gates": list(wanted)}}}})


def verdicts(tenant: Tenant) -> dict[str, str]:
    return {gate["name"]: gate["verdict"] for gate in tenant.stage().get("gates", ())}


def of_gates(tenant: Tenant, kind: str) -> list[dict[str, Any]]:
    """Return Jobs or pods of gates."""
    return tenant.kube.list(kind, tenant.name, "modelyard.io/gate")


def test_a_failing_job_changes_nothing_and_a_promotion_after_smoke_loses_no_request(
    tenant: Tenant, trained: Trained
):
    versions = {
        "v1": {"uri": tenant.copy_model(trained.v1, "v1")},
        "v2": {"uri": tenant.copy_model(trained.v2, "v2")},
    }
    tenant.apply(
        "RegisteredModel",
        "fraud",
        {"versions": versions, "stages": {"production": {"version": "v1", "serving": SERVING}}},
    )
    tenant.serves("v1")
    gates(tenant, job(FAILS, retries=0))
    with tenant.load() as load:
        load.wait_for("v1", 50)
        tenant.promote("v2")
        said = tenant.says("RegisteredModel", "fraud", "GateFailed")["message"]
        assert (
            "v2 was rejected, and v1 is still serving. integration: exit code 3: no column amount"
            in said
        )
        assert tenant.stage()["version"] == "v1"
        (failed,) = of_gates(tenant, "Job")
        assert failed["status"]["failed"] == 1
        pods = [
            pod
            for pod in of_gates(tenant, "Pod")
            if pod["metadata"]["labels"]["modelyard.io/version"] == "v2"
        ]
        assert len(pods) == 1, "its log can be read"
        assert not [
            each
            for each in tenant.kube.list("Deployment", tenant.name)
            if "-v2-" in each["metadata"]["name"]
        ], "v2 had no pods"
        load.wait_for("v1", 50)
        # The ConfigMap does not exist yet: that is no verdict on the version.
        data = json.dumps([{"request": {"instances": TABLE}}])
        asks = job(ASKS, candidate="Served", env=[{"name": "TABLE", "value": json.dumps(TABLE)}])
        gates(tenant, asks, smoke(data), stored(tenant, data))
        asked = {"integration": "Pass", "answers": "Pending", "stored": "Pass"}
        tenant.wait("all have been asked", lambda: verdicts(tenant) == asked, 180)
        assert "waits for the key cases.json of the ConfigMap cases" in tenant.wait(
            "it says so", lambda: waits(tenant), 60
        )
        assert tenant.stage()["version"] == "v1"
        assert tenant.predict()[0] == "v1", "the stage's Service does not lead to the candidate"
        (own,) = [
            each
            for each in tenant.kube.list("Service", tenant.name)
            if each["metadata"]["name"] != "fraud-production"
        ]
        assert own["metadata"]["labels"]["modelyard.io/version"] == "v2"
        load.wait_for("v1", 50)
        cases = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "cases"},
            "data": {"cases.json": data},
        }
        tenant.kube.apply(cases, namespace=tenant.name)
        tenant.serves("v2", seconds=240)
        load.wait_for("v2", 100)
        result = load.end()
    assert result.lost == 0, result.errors
    assert set(result.answered) == {"v1", "v2"}
    said = {gate["name"]: gate["message"] for gate in tenant.stage()["gates"]}
    assert said["integration"] == f"exit code 0: {len(TABLE)} rows answered by v2"
    for name in ("answers", "stored"):
        assert said[name].startswith(
            "1 request and the input example answered as expected, latency p50 "
        )
    assert [step["name"] for step in tenant.stage()["steps"]] == [
        "admit",
        "trial",
        "start",
        "switch",
        "record",
    ]
    assert [each["metadata"]["name"] for each in tenant.kube.list("Service", tenant.name)] == [
        "fraud-production"
    ]
    tenant.wait(
        "the Jobs are gone with their pods",
        lambda: not of_gates(tenant, "Job") and not of_gates(tenant, "Pod"),
    )


def waits(tenant: Tenant) -> str | None:
    """Return what the gate `answers` waits for, once its Job has reported it."""
    found = [
        gate["message"] for gate in tenant.stage().get("gates", ()) if gate["name"] == "answers"
    ]
    return next((message for message in found if "ConfigMap" in message), None)
