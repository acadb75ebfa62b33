"""External trainings, as in a notebook: recorded, closed and registered like any other; and one
that stops sending heartbeats.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.contract.notebook import notebook
from tests.demo.kube import Kube, condition
from tests.demo.registry import reached
from tests.e2e.tenant import Tenant, make_namespace

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def elsewhere(operator: Kube) -> Iterator[Tenant]:
    """A namespace with one run without heartbeats: it times out while the others are tested."""
    there = make_namespace(operator, "external")
    there.experiment()
    there.model()
    begin(there, "silent")
    yield there
    operator.kubectl("delete", "namespace", there.name, "--wait=false")


def begin(there: Tenant, name: str, **more: Any) -> None:
    """Create a TrainingRun for an external training."""
    there.apply(
        "TrainingRun",
        name,
        {"experiment": "fraud", "trainer": {"external": {}}, "parameters": {"depth": "6"}, **more},
    )


@contextmanager
def alive(there: Tenant, name: str) -> Iterator[None]:
    """Send a heartbeat of a run every few seconds, for the duration of a block."""
    over = threading.Event()

    def beat() -> None:  # by kubectl, a process: the kept connection is not thread-safe
        while True:
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            there.kube.kubectl(
                "annotate",
                "mlrun",
                name,
                "-n",
                there.name,
                "--overwrite",
                f"modelyard.io/heartbeat={now}",
            )
            if over.wait(10):
                return

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def opened(there: Tenant, name: str) -> str:
    """Return the MLflow run of an external training that is still running."""
    there.says("TrainingRun", name, "Training", "Reconciling")
    return str(there.status("TrainingRun", name)["mlflow"]["runId"])


def mlflow_run(there: Tenant, name: str) -> dict[str, Any]:
    """Return the only MLflow run of a training."""
    (found,) = there.mlflow_runs(there.get("TrainingRun", name)["metadata"]["uid"])
    return found


def log(there: Tenant, run: str, **metrics: float) -> None:
    for key, value in metrics.items():
        body = {
            "run_id": run,
            "key": key.replace("__", "."),
            "value": value,
            "timestamp": int(time.time() * 1000),
            "step": 1,
        }
        there.mlflow("runs/log-metric", body)


def test_a_notebook_trains_and_its_model_is_registered(elsewhere: Tenant, tmp_path: Path):
    begin(
        elsewhere,
        "notebook",
        register={"model": "fraud", "version": "v1"},
        dataset={"name": "cards"},
    )
    run = opened(elsewhere, "notebook")
    with alive(elsewhere, "notebook"):
        log(elsewhere, run, accuracy=0.75, modelyard__progress=40)

        def shown() -> dict[str, Any] | None:
            status = elsewhere.status("TrainingRun", "notebook")
            return status if (status.get("progress") or {}).get("percent") == 40 else None

        status = elsewhere.wait("notebook shows 40 %", shown)
        assert {each["name"]: each["value"] for each in status["metrics"]} == {"accuracy": "0.75"}
        with (
            reached(elsewhere.kube, elsewhere.name) as environment,
            notebook(
                environment["MLFLOW_TRACKING_URI"],
                environment | {"AWS_DEFAULT_REGION": "us-east-1"},
                tmp_path,
            ) as there,
        ):
            there.ask("log", run)  # closes the run at its end, as `with mlflow.start_run(...)` does
        body = elsewhere.ready("TrainingRun", "notebook")
    assert body["status"]["model"]["flavor"] == "xgboost"
    assert body["status"]["registered"] == {"model": "fraud", "version": "v1"}
    assert body["status"]["attempt"] == 1
    found = mlflow_run(elsewhere, "notebook")
    assert (found["info"]["run_id"], found["info"]["status"]) == (run, "FINISHED")
    assert {each["key"]: each["value"] for each in found["data"]["params"]} == {"depth": "6"}
    (version,) = elsewhere.mlflow_versions()
    assert version["run_id"] == run
    assert not elsewhere.kube.list("Job", elsewhere.name)
    assert not elsewhere.kube.list("Pod", elsewhere.name)


def test_a_notebook_that_raises_reports_the_reason(elsewhere: Tenant):
    begin(elsewhere, "raises")
    run = opened(elsewhere, "raises")
    elsewhere.mlflow(
        "runs/set-tag",
        {"run_id": run, "key": "modelyard.io/failure", "value": "ValueError: no column\namount"},
    )
    elsewhere.mlflow(
        "runs/update", {"run_id": run, "status": "FAILED", "end_time": int(time.time() * 1000)}
    )
    elsewhere.says("TrainingRun", "raises", "Failed")
    failure = elsewhere.status("TrainingRun", "raises")["failure"]
    assert (failure["reason"], failure["message"]) == ("Failed", "ValueError: no column amount")
    assert mlflow_run(elsewhere, "raises")["info"]["status"] == "FAILED"


def test_deleting_an_external_run_closes_its_mlflow_run(elsewhere: Tenant):
    begin(elsewhere, "dropped")
    opened(elsewhere, "dropped")
    uid = elsewhere.get("TrainingRun", "dropped")["metadata"]["uid"]
    elsewhere.kube.kubectl("delete", "mlrun", "dropped", "-n", elsewhere.name)
    (found,) = elsewhere.mlflow_runs(uid)
    assert found["info"]["status"] == "KILLED"


def test_a_run_without_heartbeats_is_closed_as_failed(elsewhere: Tenant):
    said = elsewhere.says("TrainingRun", "silent", "HeartbeatLost", seconds=180)
    assert "modelyard.io/heartbeat" in said["message"]
    body = elsewhere.get("TrainingRun", "silent")
    assert condition(body, "Succeeded")["status"] == "False"
    found = mlflow_run(elsewhere, "silent")
    assert found["info"]["status"] == "FAILED"
    assert int(found["info"]["end_time"]) - int(found["info"]["start_time"]) >= 90_000
