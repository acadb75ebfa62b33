"""A run is deleted, restored, deleted again and purged, in the cluster, by a Job of the chart's
CronJob.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.demo import install
from tests.demo.kube import Kube, Manifest
from tests.e2e.tenant import Tenant

pytestmark = pytest.mark.e2e

CRON_JOB = f"{install.RELEASE}-purge"


def stage(tenant: Tenant, run: str) -> str:
    return str(tenant.mlflow("runs/get", run_id=run)["run"]["info"]["lifecycle_stage"])


def ended(kube: Kube, name: str) -> str | None:
    """Return how a Job ended; None while it has not."""
    job = kube.get("Job", name, install.NAMESPACE)
    assert job is not None
    done = [
        each["type"]
        for each in job.get("status", {}).get("conditions", [])
        if each["status"] == "True"
    ]
    return next((each for each in done if each in ("Complete", "Failed")), None)


def purge(tenant: Tenant, name: str, *words: str) -> dict[str, Any]:
    """Run a Job from the CronJob with further arguments; return its summary."""
    kube = tenant.kube
    made: Manifest = json.loads(
        kube.kubectl("get", "cronjob", CRON_JOB, "-n", install.NAMESPACE, "-o", "json")
    )
    template = made["spec"]["jobTemplate"]
    (container,) = template["spec"]["template"]["spec"]["containers"]
    container["command"] += words
    metadata = {"name": name, "labels": template["metadata"]["labels"]}
    kube.apply(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]},
        namespace=install.NAMESPACE,
    )
    try:
        end = kube.wait(
            f"the Job {name} ends",
            lambda: ended(kube, name),
            150,
            lambda: kube.explain_pods(install.NAMESPACE),
        )
        log = kube.kubectl("logs", f"job/{name}", "-n", install.NAMESPACE)
        assert end == "Complete", log
        return dict(json.loads(log.splitlines()[-1]))
    finally:
        kube.kubectl("delete", "job", name, "-n", install.NAMESPACE, "--wait=false")


def places(tenant: Tenant, run: str) -> list[str]:
    """Return the prefixes of a run's artifacts and of its logged models."""
    found = tenant.mlflow("runs/get", run_id=run)["run"]
    ids = [each["model_id"] for each in found.get("outputs", {}).get("model_outputs", [])]
    models = [tenant.mlflow(f"logged-models/{id_}")["model"]["info"]["artifact_uri"] for id_ in ids]
    uris = [found["info"]["artifact_uri"], *models]
    return [uri.removeprefix(f"s3://{tenant.bucket}/") + "/" for uri in uris]


def objects(tenant: Tenant, prefixes: list[str]) -> int:
    with tenant.s3() as s3:
        return sum(
            s3.list_objects_v2(Bucket=tenant.bucket, Prefix=prefix)["KeyCount"]
            for prefix in prefixes
        )


def test_a_run_is_deleted_restored_deleted_again_and_purged(tenant: Tenant):
    tenant.experiment()
    tenant.run("gone", deletionPolicy="Delete")
    tenant.run("stays", deletionPolicy="Delete")
    for name in ("gone", "stays"):
        tenant.ready("TrainingRun", name)
    run, other = (
        tenant.status("TrainingRun", name)["mlflow"]["runId"] for name in ("gone", "stays")
    )
    mine, others = places(tenant, run), places(tenant, other)
    assert len(mine) == 2, "a run and its logged model"
    there = objects(tenant, mine)
    assert there > 0

    tenant.kube.kubectl("delete", "mlrun/gone", "-n", tenant.name)
    assert stage(tenant, run) == "deleted"
    tenant.mlflow("runs/restore", {"run_id": run})
    assert (stage(tenant, run), objects(tenant, mine)) == ("active", there)
    tenant.mlflow("runs/delete", {"run_id": run})

    dry = purge(tenant, f"purge-{tenant.name}-dry"[:60], f"--run-ids={run}", "--dry-run")
    assert (dry["runs"], dry["objects"], objects(tenant, mine)) == (1, there, there)
    done = purge(tenant, f"purge-{tenant.name}"[:60], f"--run-ids={run}")
    assert (done["runs"], done["models"], done["objects"], done["failed"]) == (1, 1, there, 0)
    assert objects(tenant, mine) == 0
    code, _, answer = tenant.kube.service(
        install.NAMESPACE, install.DEPLOYMENTS["MLflow"], f"api/2.0/mlflow/runs/get?run_id={run}"
    )
    assert (code, answer["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert stage(tenant, other) == "active"
    assert objects(tenant, others) > 0
