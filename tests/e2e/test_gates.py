"""Gates on a real cluster: after a failed gate production keeps serving under load, and a better
metric with a retry promotes without a loss.
"""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tests.e2e.fixtures import Trained
from tests.e2e.tenant import SERVING, Tenant

pytestmark = pytest.mark.e2e

QUALITY = {"name": "quality", "metric": {"name": "accuracy", "atLeast": "0.9"}}
SCHEMA = {"name": "schema", "signature": {}}


def run_with_model(tenant: Tenant, uri: str) -> str:
    """Create an MLflow run of the namespace whose artifacts contain a trained model; return its
    id.
    """
    experiment = tenant.ready("Experiment")["status"]["mlflow"]["id"]
    tags = [{"key": "modelyard.io/namespace", "value": tenant.name}]
    body = {"experiment_id": experiment, "start_time": int(time.time() * 1000), "tags": tags}
    run = tenant.mlflow("runs/create", body)["run"]["info"]
    source, _, prefix = uri.removeprefix("s3://").rstrip("/").partition("/")
    bucket, _, target = str(run["artifact_uri"]).removeprefix("s3://").rstrip("/").partition("/")
    with tenant.s3() as s3:
        for item in s3.list_objects_v2(Bucket=source, Prefix=f"{prefix}/")["Contents"]:
            key = f"{target}/model/{item['Key'][len(prefix) + 1 :]}"
            s3.copy_object(
                Bucket=bucket, Key=key, CopySource={"Bucket": source, "Key": item["Key"]}
            )
    return str(run["run_id"])


def log(tenant: Tenant, run: str, value: float) -> None:
    """Log an accuracy, as an evaluation does."""
    tenant.mlflow(
        "runs/log-metric",
        {
            "run_id": run,
            "key": "accuracy",
            "value": value,
            "timestamp": int(time.time() * 1000),
            "step": 0,
        },
    )


def says(tenant: Tenant, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in the namespace."""
    command = [sys.executable, "-m", "modelyard", *words, "-n", tenant.name]
    return subprocess.run(
        command,
        env=tenant.kube.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_a_failing_gate_keeps_production_serving_and_a_retry_promotes_without_a_lost_request(
    tenant: Tenant, trained: Trained
):
    tenant.experiment()
    run = run_with_model(tenant, trained.v2)
    log(tenant, run, 0.8)
    versions = {"v1": {"uri": tenant.copy_model(trained.v1, "v1")}, "v2": {"runId": run}}
    stage = {"version": "v1", "serving": SERVING, "gates": [SCHEMA]}
    tenant.apply(
        "RegisteredModel", "fraud", {"versions": versions, "stages": {"production": stage}}
    )
    tenant.serves("v1")
    tenant.patch(
        "mlmodel", "fraud", {"spec": {"stages": {"production": {"gates": [SCHEMA, QUALITY]}}}}
    )
    with tenant.load() as load:
        load.wait_for("v1", 50)
        failed = says(tenant, "promote", "fraud", "v2", "--to", "production")
        assert failed.returncode == 1, failed.stdout + failed.stderr
        assert "quality Fail for v2: accuracy is 0.8, below 0.9" in failed.stdout
        assert "GateFailed" in failed.stderr
        said = tenant.says("RegisteredModel", "fraud", "GateFailed")["message"]
        assert (
            "v2 was rejected, and v1 is still serving. quality: accuracy is 0.8, below 0.9." in said
        )
        assert {gate["name"]: gate["verdict"] for gate in tenant.stage()["gates"]} == {
            "schema": "Pass",
            "quality": "Fail",
        }
        assert tenant.stage()["judged"]["version"] == "v2"
        # Kopf sends events from its own queue, after the status.
        tenant.wait(
            "an event says so",
            lambda: any(
                "accuracy is 0.8, below 0.9" in each for each in tenant.events("GateFailed")
            ),
        )
        assert tenant.pods() == {"v1"}, "no pod of what is rejected has started"
        assert "quality  Fail" in says(tenant, "status", "fraud").stdout
        load.wait_for("v1", 50)
        # A better metric alone lifts no rejection.
        log(tenant, run, 0.95)
        again = says(tenant, "retry", "fraud", "--stage", "production")
        assert again.returncode == 0, again.stdout + again.stderr
        assert "quality Pass for v2: accuracy is 0.95: at least 0.9" in again.stdout
        tenant.serves("v2")
        load.wait_for("v2", 100)
        result = load.end()
    assert result.lost == 0, result.errors
    assert set(result.answered) == {"v1", "v2"}
    entries = [
        each for each in tenant.status("RegisteredModel")["history"] if each.get("to") == "v2"
    ]
    assert [(entry["outcome"], entry["from"]) for entry in entries] == [
        ("Rejected", "v1"),
        ("Promoted", "v1"),
    ]
    # Back at once: no gates for the version displaced last.
    back = says(tenant, "rollback", "fraud", "--stage", "production")
    assert back.returncode == 0, back.stdout + back.stderr
    assert "none: v1 is the previous version" in back.stdout
    tenant.serves("v1")
