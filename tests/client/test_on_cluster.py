"""The client on the kind cluster: train, register, promote, predict, download, load, restore.

Everything goes through `modelyard.Client` with the cluster's kubeconfig, as on a laptop: MLflow, S3
and models by port-forward. One training runs in the test's own process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.client.client import Client
from modelyard.client.errors import Failed, NotFound, Refused
from tests.e2e.fixtures import Trained
from tests.e2e.tenant import QUICK, SERVING, TABLE, Tenant

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]


@pytest.fixture
def client(tenant: Tenant) -> Iterator[Client]:
    with Client(tenant.name, kubeconfig=str(tenant.kube.kubeconfig)) as there:
        yield there


@pytest.fixture
def fraud(client: Client, tenant: Tenant, trained: Trained) -> Client:
    """A model with two versions, of which v1 is in production."""
    client.models.create("fraud", stages={"production": {"serving": SERVING}})
    for version, uri in (("v1", trained.v1), ("v2", trained.v2)):
        client.models.register("fraud", tenant.copy_model(uri, version), version)
    client.models.set_stage("fraud", "v1", "production")
    return client


def test_five_calls_lead_from_an_experiment_to_a_version(client: Client, tenant: Tenant):
    client.experiments.create("fraud", objective="accuracy")
    client.models.create("fraud")
    run = client.runs.submit(
        "fraud",
        "fraud-1",
        parameters=QUICK["parameters"],
        dataset=QUICK["dataset"],
        requests=QUICK["resources"]["requests"],
        limits=QUICK["resources"]["limits"],
        register=("fraud", "v1"),
    )
    lines = list(run.logs(follow=True))
    assert any("rows to train on" in line for line in lines), lines
    done = run.wait(300)
    assert done.metrics["accuracy"] > 0.5
    assert done.status.registered.version == "v1"
    assert client.models.get("fraud", "latest").name == "v1"
    assert [each.name for each in client.runs.list(filter="metrics.accuracy > 0.5")] == ["fraud-1"]


def test_a_promoted_version_answers_in_every_protocol_and_can_be_rolled_back(
    fraud: Client, tenant: Tenant
):
    answers = {
        protocol: fraud.models.predict("fraud", TABLE, protocol=protocol)
        for protocol in ("v2", "v1")
    }
    assert answers["v2"] == answers["v1"]
    assert len(answers["v2"]) == len(TABLE)
    assert fraud.models.set_stage("fraud", "v2", "production").stages() == {"production": "v2"}
    assert tenant.predict()[0] == "v2"
    fraud.models.predict("fraud", TABLE)
    assert (
        fraud.models.set_stage("fraud", "v1", "production").status.history[-1].outcome
        == "RolledBack"
    )
    with pytest.raises(Refused):
        fraud.models.predict("fraud", [["text"] * 20])


def test_a_version_is_downloaded_completely_and_loaded_here(fraud: Client, tmp_path: Path):
    folder = fraud.models.download("fraud", tmp_path / "model", "production")
    assert (folder / "MLmodel").is_file()
    code = f"""
import numpy
from modelyard import Client
with Client({fraud.namespace!r}, kubeconfig={os.fspath(fraud.kube.kubeconfig)!r}) as client:
    found = client.models.load("fraud").predict(numpy.array({TABLE!r}))
    served = client.models.predict("fraud", {TABLE!r})
assert list(found) == list(served), (found, served)
"""
    environment = os.environ | {
        "PYTHONPATH": "operator",
        "MODELYARD_CACHE": str(tmp_path),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_version_that_cannot_be_promoted_is_an_error(fraud: Client):
    with pytest.raises(Failed, match="VersionUnknown"):
        fraud.models.set_stage("fraud", "v9", "production", seconds=120)
    with pytest.raises(Failed, match="MODELYARD_READ_BUCKETS"):
        fraud.models.register(
            "fraud", "s3://mlflow-artifacts/another-tenant/model", "v8", seconds=120
        )
    with pytest.raises(Failed, match="ArtifactMissing"):
        fraud.models.register(
            "fraud", f"s3://mlflow-artifacts/{fraud.namespace}/at-all", "v9", seconds=120
        )


def test_a_notebook_s_run_is_recorded_registered_and_restored(client: Client, tmp_path: Path):
    client.experiments.create("fraud")
    client.models.create("fraud")
    code = f"""
import pandas, xgboost
from modelyard import Client
with Client({client.namespace!r}, kubeconfig={os.fspath(client.kube.kubeconfig)!r}) as client:
    X = pandas.DataFrame({{"a": [0.0, 1.0] * 20, "b": [1.0, 0.0] * 20}})
    more = {{"register": ("fraud", "v1"), "deletion_policy": "Delete"}}
    with client.runs.start("fraud", "here", **more) as run:
        run.log_data(X, "toy")
        model = xgboost.XGBClassifier(n_estimators=2).fit(X, [0, 1] * 20)
        run.log_metrics({{"accuracy": 1.0}})
        run.log_model(model, input_example=X.head())
"""
    environment = os.environ | {
        "PYTHONPATH": str(Path("operator").resolve()),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    run = client.runs.get("here").wait(120)
    assert run.metrics == {"accuracy": 1.0}
    assert run.status.dataset.rows == 40
    assert client.models.get("fraud", "v1").status.training_run == "here"
    client.runs.delete("here", wait=60)
    with pytest.raises(NotFound, match="exists and is not deleted"):  # a version came from it
        client.runs.restore("here")
