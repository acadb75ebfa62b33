"""Failing parts: MLflow, S3, keys, artifacts, manual changes in the registry. Each is reported,
serving continues, and each recovers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.demo import install
from tests.demo.kube import Kube, condition
from tests.e2e.fixtures import Trained
from tests.e2e.tenant import Tenant

pytestmark = pytest.mark.e2e


@contextmanager
def without(kube: Kube, part: str) -> Iterator[None]:
    """Remove a part of the demo for the duration of a block, and restore it afterwards."""
    name = install.DEPLOYMENTS[part]
    kube.kubectl("scale", "deployment", name, "-n", install.NAMESPACE, "--replicas=0")
    try:
        labels = f"app.kubernetes.io/name=modelyard,app.kubernetes.io/component={part.lower()}"
        kube.wait(f"{part} is gone", lambda: not kube.list("Pod", install.NAMESPACE, labels), 90)
        yield
    finally:
        kube.kubectl("scale", "deployment", name, "-n", install.NAMESPACE, "--replicas=1")
        kube.wait_rolled_out(name, install.NAMESPACE)


@pytest.fixture
def serving(tenant: Tenant, trained: Trained) -> Tenant:
    """A model whose first version is serving; its second is registered."""
    uris = {
        "v1": {"uri": tenant.copy_model(trained.v1, "v1")},
        "v2": {"uri": tenant.copy_model(trained.v2, "v2")},
    }
    tenant.model(stages={"production": "v1"}, versions=uris)
    tenant.serves("v1")
    return tenant


def keys_of(tenant: Tenant, s3: Any, version: str) -> list[str]:
    return [
        each["Key"]
        for each in s3.list_objects_v2(
            Bucket=tenant.bucket, Prefix=f"{tenant.name}/models/{version}/"
        )["Contents"]
    ]


def synced(tenant: Tenant, status: str, reason: str, seconds: float = 120) -> dict[str, Any]:
    body = tenant.kube.wait_condition(
        "RegisteredModel", "fraud", tenant.name, "Synced", status, reason, seconds
    )
    return condition(body, "Synced")


@pytest.mark.alone
@pytest.mark.parametrize(
    ("part", "reason"), [("MLflow", "MLflowUnavailable"), ("MinIO", "StoreUnavailable")]
)
def test_a_dependency_that_is_down_is_named_while_the_model_is_still_serving(
    serving: Tenant, part: str, reason: str
):
    with serving.load() as load:
        with without(serving.kube, part):
            synced(serving, "Unknown", reason)
            assert condition(serving.get("RegisteredModel"), "Ready")["status"] == "True", (
                "what is served is served on"
            )
            serving.experiment("later")
            serving.says("Experiment", "later", reason, "Reconciling")
            dependency = {"MLflow": "MLflow", "MinIO": "S3"}[part]
            figures = serving.kube.service(
                install.NAMESPACE, f"{install.RELEASE}-metrics", "metrics", port="8080"
            )[2]
            assert (
                f'modelyard_objects_waiting{{dependency="{dependency}",namespace="{serving.name}"}}'
                " 1.0" in figures
            )
            serving.promote("v2")
            serving.kube.wait_condition("RegisteredModel", "fraud", serving.name, "Ready", "False")
            assert serving.predict()[0] == "v1"
        serving.serves("v2", seconds=180)
        serving.ready("Experiment", "later", 180)
        result = load.end()
    assert result.lost == 0, result.errors
    assert set(result.answered) == {"v1", "v2"}


def test_wrong_keys_are_named_and_correct_ones_recover(tenant: Tenant):
    right = tenant.kube.connection(tenant.name)
    tenant.connect(right | {"AWS_SECRET_ACCESS_KEY": "not-the-right-one"})
    tenant.experiment()
    said = tenant.says("Experiment", "fraud", "ConnectionRefused")
    assert "modelyard-connection" in said["message"]
    assert "not-the-right-one" not in str(tenant.get("Experiment"))
    tenant.connect(right)
    tenant.ready("Experiment")
    tenant.kube.kubectl("delete", "secret", "modelyard-connection", "-n", tenant.name)
    tenant.experiment("another")
    tenant.says("Experiment", "another", "ConnectionMissing")
    tenant.connect(right)
    tenant.ready("Experiment", "another")


def test_missing_or_changed_artifacts_are_not_promoted(serving: Tenant):
    with serving.s3() as s3:
        keys = keys_of(serving, s3, "v2")
        kept = {key: s3.get_object(Bucket=serving.bucket, Key=key)["Body"].read() for key in keys}
        for key in keys:
            s3.delete_object(Bucket=serving.bucket, Key=key)
    serving.promote("v2")
    serving.says("RegisteredModel", "fraud", "ArtifactMissing")
    assert serving.predict()[0] == "v1"
    with serving.s3() as s3:
        for key, content in kept.items():
            s3.put_object(
                Bucket=serving.bucket,
                Key=key,
                Body=content + (b" " if key.endswith("MLmodel") else b""),
            )
    serving.says("RegisteredModel", "fraud", "ArtifactDigestMismatch")
    assert serving.predict()[0] == "v1"
    assert serving.pods() == {"v1"}
    with serving.s3() as s3:
        for key, content in kept.items():
            s3.put_object(Bucket=serving.bucket, Key=key, Body=content)
    serving.serves("v2")
    assert serving.predict()[0] == "v2"


def test_a_version_that_cannot_be_loaded_leaves_stable_serving(serving: Tenant):
    with serving.s3() as s3:
        (key,) = [
            key
            for key in keys_of(serving, s3, "v2")
            if key.endswith((".ubj", ".json", ".xgb")) and "model." in key
        ]
        for each in keys_of(serving, s3, "v2"):
            target = each.replace("/models/v2/", "/models/broken/")
            content = s3.get_object(Bucket=serving.bucket, Key=each)["Body"].read()
            s3.put_object(
                Bucket=serving.bucket, Key=target, Body=b"no booster" if each == key else content
            )
    uri = f"s3://{serving.bucket}/{serving.name}/models/broken"
    serving.patch(
        "mlmodel",
        "fraud",
        {
            "spec": {
                "versions": {"broken": {"uri": uri}},
                "stages": {"production": {"version": "broken"}},
            }
        },
    )
    said = serving.says("RegisteredModel", "fraud", "ServingFailed")
    assert "broken" in said["message"]
    assert "v1 is still serving" in said["message"]
    assert serving.predict()[0] == "v1"
    assert serving.mlflow_holders() == {"Production": "v1", "@production": "v1"}
    serving.promote("v2")
    serving.serves("v2")


def test_an_undeclared_version_is_reported_by_name(serving: Tenant):
    serving.promote("v9")
    said = serving.says("RegisteredModel", "fraud", "VersionUnknown")
    assert "v9" in said["message"]
    assert "v1, v2" in said["message"]
    assert serving.predict()[0] == "v1"
    serving.promote("v1")
    serving.serves("v1")


def test_a_manual_change_in_mlflow_is_reverted_or_only_reported(serving: Tenant):
    name = f"{serving.name}.fraud"
    numbers = {
        each["name"]: each["mlflowVersion"]
        for each in serving.status("RegisteredModel")["versions"]
    }
    serving.mlflow(
        "registered-models/alias", {"name": name, "alias": "production", "version": numbers["v2"]}
    )
    moved = {
        "name": name,
        "version": numbers["v2"],
        "stage": "Production",
        "archive_existing_versions": True,
    }
    serving.mlflow("model-versions/transition-stage", moved)
    serving.wait(
        "what was moved is back",
        lambda: serving.mlflow_holders() == {"Production": "v1", "@production": "v1"},
    )
    serving.wait("an event says so", lambda: serving.events("DriftReverted"))
    serving.serves("v1")

    serving.patch("mlmodel", "fraud", {"spec": {"drift": "Warn"}})
    serving.serves("v1")
    serving.mlflow(
        "registered-models/alias", {"name": name, "alias": "production", "version": numbers["v2"]}
    )
    synced(serving, "False", "Drifted")
    assert serving.mlflow_holders() == {"Production": "v1", "@production": "v2"}
    assert serving.predict()[0] == "v1"
    serving.patch("mlmodel", "fraud", {"spec": {"drift": "Revert"}})
    synced(serving, "True", "Synced")
    assert serving.mlflow_holders() == {"Production": "v1", "@production": "v1"}


def test_a_name_that_another_object_holds_in_mlflow_is_left_alone(tenant: Tenant):
    """Two objects, one after the other, want the same experiment and model: the first one's do not
    become the second's.
    """
    tenant.experiment()
    tenant.model()
    tenant.ready("Experiment")
    tenant.ready("RegisteredModel")
    first = tenant.status("Experiment")["mlflow"]["id"]
    tenant.kube.kubectl("delete", "mlexp/fraud", "mlmodel/fraud", "-n", tenant.name)
    tenant.experiment()
    tenant.model()
    assert "modelyard.io/adopt" in tenant.says("Experiment", "fraud", "NameTaken")["message"]
    tenant.says("RegisteredModel", "fraud", "NameTaken")
    tenant.kube.kubectl(
        "annotate", "mlexp/fraud", "mlmodel/fraud", "-n", tenant.name, "modelyard.io/adopt=true"
    )
    assert tenant.ready("Experiment")["status"]["mlflow"]["id"] == first
    tenant.ready("RegisteredModel")


def test_an_existing_version_is_not_replaced_and_the_run_can_register_another(
    tenant: Tenant, trained: Trained
):
    """The run's message says what to write, and that resolves it."""
    tenant.experiment()
    tenant.model(
        stages={"production": "v1"}, versions={"v1": {"uri": tenant.copy_model(trained.v1, "v1")}}
    )
    tenant.serves("v1")
    tenant.run("twice", register={"model": "fraud", "version": "v1"})
    said = tenant.says("TrainingRun", "twice", "VersionTaken", seconds=240)["message"]
    assert "spec.versions" in said
    assert tenant.predict()[0] == "v1"
    tenant.patch("mlmodel", "fraud", {"spec": {"versions": {"v2": {"trainingRun": "twice"}}}})
    tenant.promote("v2")
    tenant.serves("v2")
    run = tenant.status("TrainingRun", "twice")["mlflow"]["runId"]
    assert {
        each["name"]: each.get("runId") for each in tenant.status("RegisteredModel")["versions"]
    }["v2"] == run


def test_a_namespace_is_deleted_while_a_training_runs(tenant: Tenant, trained: Trained):
    tenant.experiment()
    tenant.model(
        stages={"production": "v1"}, versions={"v1": {"uri": tenant.copy_model(trained.v1, "v1")}}
    )
    tenant.run("midway", parameters={"n_estimators": "2000"})
    tenant.wait("its Job is there", lambda: tenant.kube.list("Job", tenant.name))
    tenant.kube.kubectl("delete", "namespace", tenant.name, "--timeout=120s", timeout=150)
    assert tenant.kube.get("Namespace", tenant.name) is None


def test_deletion_policy_delete_can_be_undone(tenant: Tenant):
    tenant.experiment(deletionPolicy="Delete")
    tenant.run("only", deletionPolicy="Delete")
    tenant.ready("TrainingRun", "only")
    run = tenant.status("TrainingRun", "only")["mlflow"]["runId"]
    experiment = tenant.status("Experiment")["mlflow"]["id"]
    tenant.kube.kubectl("delete", "mlrun/only", "-n", tenant.name)
    assert tenant.mlflow("runs/get", run_id=run)["run"]["info"]["lifecycle_stage"] == "deleted"
    tenant.mlflow("runs/restore", {"run_id": run})
    assert tenant.mlflow("runs/get", run_id=run)["run"]["info"]["lifecycle_stage"] == "active"
    tenant.kube.kubectl("delete", "mlexp/fraud", "-n", tenant.name)
    assert (
        tenant.mlflow("experiments/get", experiment_id=experiment)["experiment"]["lifecycle_stage"]
        == "deleted"
    )
    tenant.mlflow("experiments/restore", {"experiment_id": experiment})
    assert (
        tenant.mlflow("experiments/get", experiment_id=experiment)["experiment"]["lifecycle_stage"]
        == "active"
    )
