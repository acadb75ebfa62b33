"""Trainings of every kind, and every distinct way to fail. All start at once, on two cores."""

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.demo.install import RUNTIME
from tests.demo.kube import Kube, condition
from tests.e2e.tenant import QUICK, Tenant, make_namespace

pytestmark = pytest.mark.e2e

SCRIPTS = Path(__file__).parent / "scripts"
SMALL = QUICK["resources"]
NOTE = "$$5 and $(AWS_SECRET_ACCESS_KEY)"
"""What the kubelet would expand."""
OBEDIENT = (
    "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); [signal.pause() for"
    " _ in iter(int, 1)]"
)
"""A script that handles SIGTERM as if it saved its work, and exits with 0."""
NO_IMAGE = "127.0.0.1:1/modelyard/nothing:1"
CSV = "amount,hour,is_fraud\n" + "".join(
    f"{n * 7 % 90 + n % 2 * 200},{n % 24},{n % 2}\n" for n in range(120)
)


def parquet() -> bytes:
    """Return the same table as Parquet."""
    lines = [line.split(",") for line in CSV.splitlines()]
    columns = {
        name: pa.array([int(row[index]) for row in lines[1:]])
        for index, name in enumerate(lines[0])
    }
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def script(key: str) -> dict[str, Any]:
    """Return a script trainer without a dataset: it starts quickly."""
    parameters = {"n_estimators": "5", "note": NOTE}
    return {
        "trainer": {"script": {"configMap": "scripts", "key": f"{key}.py"}},
        "dataset": None,
        "parameters": parameters,
    }


def from_s3(bucket: str, namespace: str, name: str, checked: bytes) -> dict[str, Any]:
    uri = f"s3://{bucket}/{namespace}/data/{name}"
    return {
        "dataset": {
            "name": "payments",
            "uri": uri,
            "digest": digest(checked),
            "target": "is_fraud",
        },
        "parameters": {"n_estimators": "5"},
    }


def config_map(there: Tenant, name: str, *, keys: tuple[str, ...] = ()) -> None:
    files = {
        path.name: path.read_text()
        for path in SCRIPTS.glob("*.py")
        if not keys or path.stem in keys
    }
    extra = {} if keys else {"broken.py": "def nothing(:\n"}
    there.kube.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name},
            "data": files | extra,
        },
        namespace=there.name,
    )


@pytest.fixture(scope="module")
def runs(operator: Kube) -> Iterator[Tenant]:
    """A namespace where all trainings were started."""
    there = make_namespace(operator, "training")
    config_map(there, "scripts")
    with there.s3() as s3:
        s3.put_object(Bucket=there.bucket, Key=f"{there.name}/data/payments.csv", Body=CSV.encode())
        s3.put_object(
            Bucket=there.bucket, Key=f"{there.name}/data/payments.parquet", Body=parquet()
        )
    there.experiment()
    there.run("bad-script", **script("bad"))
    there.run("not-python", **script("broken"))
    there.run("second-try", backoffLimit=1, **script("second_try"))
    there.run("unpullable", trainer={"container": {"image": NO_IMAGE}}, dataset=None)
    there.run("nowhere", nodeSelector={"modelyard.io/no-such": "node"}, **script("bad"))
    there.run("too-long", activeDeadlineSeconds=20, **script("gated"))
    there.run("gated", **script("gated"))
    limits = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "160Mi"}}
    there.run("greedy", **(script("greedy") | {"resources": limits}))
    code = (SCRIPTS / "image.py").read_text()
    container = {"image": "modelyard/operator:dev", "command": ["python", "-c", code]}
    there.run(
        "own-image", trainer={"container": container}, dataset=None, ttlSecondsAfterFinished=0
    )
    obedient = {"image": "modelyard/operator:dev", "command": ["python", "-c", OBEDIENT]}
    there.run("drained", trainer={"container": obedient}, dataset=None)
    there.run(
        "wrong-digest",
        backoffLimit=2,
        **from_s3(there.bucket, there.name, "payments.csv", b"other bytes"),
    )
    there.run("csv", **from_s3(there.bucket, there.name, "payments.csv", CSV.encode()))
    there.run("parquet", **from_s3(there.bucket, there.name, "payments.parquet", parquet()))
    there.run("plain-script", **script("plain"))
    yield there
    operator.kubectl("delete", "namespace", there.name, "--wait=false")


def failed(there: Tenant, name: str, reason: str, seconds: float = 240) -> dict[str, Any]:
    """Return the status of a run that has failed permanently, for this reason."""
    there.says("TrainingRun", name, reason, seconds=seconds)
    return dict(
        there.kube.wait_condition(
            "TrainingRun", name, there.name, "Succeeded", "False", reason, seconds
        )["status"]
    )


def mlflow_states(there: Tenant, name: str) -> list[str]:
    return [
        run["info"]["status"]
        for run in there.mlflow_runs(there.get("TrainingRun", name)["metadata"]["uid"])
    ]


def test_a_script_that_raises_shows_its_last_lines(runs: Tenant):
    failure = failed(runs, "bad-script", "Failed")["failure"]
    assert failure["exitCode"] == 1
    assert "ValueError: column amount is missing" in failure["log"]
    assert mlflow_states(runs, "bad-script") == ["FAILED"]


def test_a_script_that_is_not_python_has_its_own_reason(runs: Tenant):
    failure = failed(runs, "not-python", "ScriptInvalid")["failure"]
    assert "broken.py, line 1" in failure["message"]


def test_a_failed_attempt_is_retried_with_its_own_run(runs: Tenant):
    body = runs.ready("TrainingRun", "second-try", 240)
    assert body["status"]["attempt"] == 2
    assert "failure" not in body["status"]
    assert mlflow_states(runs, "second-try") == ["FAILED", "FINISHED"]


def test_an_image_that_cannot_be_pulled_is_named(runs: Tenant):
    said = runs.says("TrainingRun", "unpullable", "ImagePullFailed")
    assert NO_IMAGE in said["message"]


def test_a_pod_that_fits_no_node_waits_and_says_why(runs: Tenant):
    said = runs.says("TrainingRun", "nowhere", "Unschedulable", "Reconciling")
    assert "node" in said["message"]


def test_a_deadline_ends_a_training(runs: Tenant):
    status = failed(runs, "too-long", "DeadlineExceeded")
    assert "(20 s)" in status["failure"]["message"]
    assert mlflow_states(runs, "too-long") in (["FAILED"], ["KILLED"])


def test_a_container_that_exits_with_0_when_its_node_is_drained_has_not_trained(runs: Tenant):
    runs.says("TrainingRun", "drained", "Training", "Reconciling", seconds=240)
    labels = "modelyard.io/training-run=drained"
    (pod,) = runs.kube.list("Pod", runs.name, labels)
    name = pod["metadata"]["name"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    path = f"/api/v1/namespaces/{runs.name}/pods/{name}/eviction"
    runs.kube.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))

    def another() -> bool:
        there = runs.kube.list("Pod", runs.name, labels)
        return any(
            each["metadata"]["uid"] != pod["metadata"]["uid"]
            and each["status"]["phase"] == "Running"
            for each in there
        )

    runs.wait("another pod trains", another, 240)
    status = runs.status("TrainingRun", "drained")
    assert (status["attempt"], "completionTime" in status) == (1, False)
    assert mlflow_states(runs, "drained") == ["RUNNING"]


def test_too_little_memory_has_its_own_reason(runs: Tenant):
    status = failed(runs, "greedy", "OutOfMemory")
    assert "limits.memory" in status["failure"]["message"]


def test_a_running_training_shows_its_progress(runs: Tenant):
    def look() -> dict[str, Any] | None:
        status = runs.status("TrainingRun", "gated")
        return status if (status.get("progress") or {}).get("percent") == 40 else None

    status = runs.wait("gated shows 40 %", look, 180)
    assert {each["name"]: each["value"] for each in status["metrics"]} == {"loss": "0.25"}
    assert condition({"status": status}, "Reconciling")["reason"] == "Training"
    runs.mlflow("runs/set-tag", {"run_id": status["mlflow"]["runId"], "key": "go", "value": "yes"})
    assert runs.ready("TrainingRun", "gated")["status"]["attempt"] == 1


def test_a_custom_image_trains_and_its_job_is_deleted(runs: Tenant):
    body = runs.ready("TrainingRun", "own-image", 240)
    metrics = {each["name"]: each["value"] for each in body["status"]["metrics"]}
    assert metrics == {"rows": "7"}
    runs.wait("its Job goes", lambda: runs.kube.get("Job", "own-image-1", runs.name) is None)
    assert condition(runs.get("TrainingRun", "own-image"), "Ready")["status"] == "True", (
        "the TrainingRun is kept as the record"
    )


def test_a_dataset_with_other_bytes_is_not_trained_on(runs: Tenant):
    status = failed(runs, "wrong-digest", "DatasetDigestMismatch")
    assert digest(CSV.encode()) in status["failure"]["message"]
    assert status["attempt"] == 1, "another attempt would end the same"
    assert "model" not in status
    (tracked,) = runs.mlflow_runs(runs.get("TrainingRun", "wrong-digest")["metadata"]["uid"])
    assert tracked["info"]["status"] == "FAILED"
    assert not tracked["data"].get("metrics")


@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_a_dataset_from_s3_is_trained_on(runs: Tenant, name: str):
    status = runs.ready("TrainingRun", name, 300)["status"]
    wanted = CSV.encode() if name == "csv" else parquet()
    assert status["dataset"] == {"digest": digest(wanted), "rows": 120}
    (tracked,) = runs.mlflow_runs(runs.get("TrainingRun", name)["metadata"]["uid"])
    (dataset,) = tracked["inputs"]["dataset_inputs"]
    assert dataset["dataset"]["name"] == "payments"
    assert {each["name"]: float(each["value"]) for each in status["metrics"]}["accuracy"] > 0.9


def test_a_plain_script_needs_nothing_from_modelyard(runs: Tenant):
    status = runs.ready("TrainingRun", "plain-script", 300)["status"]
    assert status["model"]["flavor"] == "xgboost"
    assert {each["name"]: each["value"] for each in status["metrics"]} == {"accuracy": "1"}
    (tracked,) = runs.mlflow_runs(runs.get("TrainingRun", "plain-script")["metadata"]["uid"])
    parameters = {each["key"]: each["value"] for each in tracked["data"]["params"]}
    assert parameters["seen_by"] == "the script"
    assert parameters["n_estimators"] == "5"
    assert (parameters["note"], parameters["note_as_it_arrived"]) == (NOTE, NOTE)


def test_a_suspended_run_has_no_pod_and_continues_when_resumed(tenant: Tenant):
    config_map(tenant, "scripts")
    tenant.experiment()
    tenant.run("held", suspend=True, **script("gated"))
    tenant.says("TrainingRun", "held", "Suspended", "Reconciling")
    assert not tenant.kube.list("Pod", tenant.name)
    tenant.patch("mlrun", "held", {"spec": {"suspend": False}})
    tenant.says("TrainingRun", "held", "Training", "Reconciling")
    tenant.patch("mlrun", "held", {"spec": {"suspend": True}})
    tenant.says("TrainingRun", "held", "Suspended", "Reconciling")
    tenant.wait("its pod goes", lambda: not tenant.kube.list("Pod", tenant.name))
    tenant.patch("mlrun", "held", {"spec": {"suspend": False}})
    run = tenant.status("TrainingRun", "held")["mlflow"]["runId"]
    tenant.mlflow("runs/set-tag", {"run_id": run, "key": "go", "value": "yes"})
    assert tenant.ready("TrainingRun", "held")["status"]["mlflow"]["runId"] == run, (
        "it is the same attempt"
    )


def test_missing_objects_are_waited_for(tenant: Tenant):
    tenant.run("early", **script("second_try"))
    tenant.says("TrainingRun", "early", "WaitingForExperiment", "Reconciling")
    tenant.experiment()
    tenant.says("TrainingRun", "early", "ConfigurationMissing")
    config_map(tenant, "scripts", keys=("second_try",))
    failed(tenant, "early", "Failed")
    assert RUNTIME in str(tenant.kube.list("Job", tenant.name)[0]["spec"]["template"])
