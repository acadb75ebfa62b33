"""A run that trains in this process: real programs, API server, MLflow and MinIO.

The test plays the operator. Closing a run without heartbeats is tested with the operator (trainer
external).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelyard.client import restoring
from modelyard.client.client import Client
from modelyard.client.errors import NotFound
from modelyard.client.rest import Mlflow
from modelyard.kube.names import NAME_TAG, NAMESPACE_TAG, UID_TAG
from tests import servers
from tests.client.side import Side
from tests.harness import until

HEAD = """
import os, signal, sys, time
from modelyard import Client
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
client = Client({namespace!r}, kubeconfig={kubeconfig!r})
"""


class Yard:
    """Plays the operator, with MLflow and the notebooks of a test."""

    def __init__(self, side: Side, mlflow: str, folder: Path) -> None:
        self.side, self.folder = side, folder
        self.mlflow = Mlflow(mlflow, {})
        body = {
            "name": f"{side.namespace}/fraud-{time.time_ns()}",
            "artifact_location": f"s3://artifacts/{side.namespace}",
        }
        self.experiment = self.mlflow.post("experiments/create", body)["experiment_id"]

    def make_run(self, name: str, uid: str) -> str:
        tags = {UID_TAG: uid, NAMESPACE_TAG: self.side.namespace, NAME_TAG: name}
        body = {"experiment_id": self.experiment, "start_time": int(time.time() * 1000)}
        body |= {"tags": [{"key": key, "value": value} for key, value in tags.items()]}
        return str(self.mlflow.post("runs/create", body)["run"]["info"]["run_id"])

    def operate(self, side: Side, **status: Any) -> str:
        """Act as the operator for an external run: create an MLflow run and write its id to the
        status.
        """
        body = side.get("TrainingRun", "r")
        run = self.make_run("r", body["metadata"]["uid"])
        mlflow = {"runId": run, "experimentId": self.experiment, "url": "http://mlflow"}
        side.status(
            "TrainingRun", "r", "Training", "Elsewhere.", mlflow=mlflow, attempt=1, **status
        )
        return run

    def run(self) -> dict[str, Any]:
        """The MLflow run of the TrainingRun."""
        wanted = {"experiment_ids": [self.experiment], "run_view_type": "ALL", "max_results": 10}
        (found,) = self.mlflow.post("runs/search", wanted)["runs"]
        return found

    def tags(self) -> dict[str, str]:
        return {tag["key"]: tag["value"] for tag in self.run()["data"]["tags"]}

    def start(self, code: str) -> subprocess.Popen[str]:
        program = (
            HEAD.format(namespace=self.side.namespace, kubeconfig=str(self.side.server.kubeconfig))
            + code
        )
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("MLFLOW_", "AWS_"))
        }
        environment = kept | {
            "PYTHONPATH": str(Path("operator").resolve()),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            # Otherwise MLflow spends seconds on loading a model in another process to find its
            # imports.
            "MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT": "0",
            "HOME": str(self.folder),
        }
        command = [sys.executable, "-W", "ignore", "-c", program]
        return subprocess.Popen(
            command,
            env=environment,
            cwd=self.folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.PIPE,
        )

    def notebook(self, code: str, **status: Any) -> subprocess.CompletedProcess[str]:
        """Run a program to its end while the operator acts."""
        with (
            self.side.meanwhile("TrainingRun", "r", lambda there: self.operate(there, **status)),
            self.start(code) as process,
        ):
            out, err = process.communicate(timeout=240)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture
def yard(side: Side, mlflow: str, minio: servers.Minio, tmp_path: Path) -> Iterator[Yard]:
    values = {**minio.environment, "MLFLOW_TRACKING_URI": mlflow, "MODELYARD_BUCKET": "artifacts"}
    side.secret("modelyard-connection", values)
    return Yard(side, mlflow, tmp_path)


def test_a_block_records_what_was_trained_and_closes_the_run(yard: Yard):
    done = yard.notebook("""
import mlflow, numpy, pandas, xgboost
before = dict(os.environ)
X = pandas.DataFrame({"a": [0.0, 1.0, 0.0, 1.0], "b": [1.0, 0.0, 1.0, None]})
with client.runs.start("fraud", "r", parameters={"max_depth": 2}) as run:
    model = xgboost.XGBClassifier(n_estimators=2, max_depth=2).fit(X, [0, 1, 0, 1])
    run.log_params({"extra": True})
    run.log_metrics({"accuracy": 0.5}, step=1)
    run.log_progress(40)
    mlflow.log_metric("plain", 7)
    print(run.log_data(X.assign(y=[0, 1, 0, 1]), "cards", target="y"))
    print(run.log_model(model, input_example=X))
assert mlflow.active_run() is None
assert dict(os.environ) == before, "the environment is as it was"
""")
    assert done.returncode == 0, done.stderr
    digest, uri = done.stdout.split()[:2]
    found = yard.run()
    assert found["info"]["status"] == "FINISHED"
    assert found["info"]["end_time"]
    metrics = {each["key"]: each["value"] for each in found["data"]["metrics"]}
    assert metrics == {"accuracy": 0.5, "plain": 7, "modelyard.progress": 40}
    assert {each["key"]: each["value"] for each in found["data"]["params"]}["extra"] == "true"
    assert yard.tags()["modelyard.io/dataset.digest"] == digest
    assert yard.tags()["modelyard.io/dataset.classes"] == '{"0": 2, "1": 2}'
    assert yard.tags()["modelyard.io/dataset.missing"] == "1"
    assert found["inputs"]["dataset_inputs"][0]["dataset"]["name"] == "cards"
    assert [each["model_id"] for each in found["outputs"]["model_outputs"]] == [
        uri.rpartition("/")[2]
    ]
    body = yard.side.get("TrainingRun", "r")
    assert body["spec"]["trainer"] == {"external": {}}
    assert body["spec"]["parameters"] == {"max_depth": "2"}
    assert body["metadata"]["annotations"]["modelyard.io/heartbeat"].endswith("Z")


def test_an_exception_fails_the_run_with_its_text_and_is_raised(yard: Yard):
    done = yard.notebook("""
with client.runs.start("fraud", "r"):
    raise ValueError("no such\\n column")
""")
    assert done.returncode == 1
    assert "ValueError: no such" in done.stderr
    assert yard.run()["info"]["status"] == "FAILED"
    assert yard.tags()["modelyard.io/failure"] == "ValueError: no such column"


# Short waits: Python handles a signal that comes just before a wait only after the wait.
TRAINS = (
    "with client.runs.start('fraud', 'r'):\n"
    "    print('in', flush=True)\n"
    "    while True:\n"
    "        time.sleep(0.05)"
)
SIGNALLED_AGAIN = """
import threading
def again():
    signalled.wait()
    while True:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.001)
signalled = threading.Event()
threading.Thread(target=again, daemon=True).start()
with client.runs.start('fraud', 'r'):
    print('in', flush=True)
    try:
        while True:
            time.sleep(0.05)
    finally:
        signalled.set()
"""


@pytest.mark.parametrize("end", ["SIGTERM", "SIGTERM again and again", "SIGINT", "atexit"])
def test_ending_the_process_closes_the_run(yard: Yard, end: str):
    code = {
        "SIGTERM": TRAINS,
        "SIGTERM again and again": SIGNALLED_AGAIN,
        "SIGINT": TRAINS,
        "atexit": "block = client.runs.start('fraud', 'r')\n"
        "block.__enter__()\n"
        "print('in', flush=True)",
    }[end]
    with yard.side.meanwhile("TrainingRun", "r", yard.operate), yard.start(code) as process:
        assert process.stdout.readline() == "in\n", process.stderr.read()
        if end != "atexit":
            process.send_signal(getattr(signal, end.split(maxsplit=1)[0]))
        process.communicate(timeout=240)
    assert yard.run()["info"]["status"] == "KILLED"
    assert yard.tags()["modelyard.io/failure"] in {"the process ended", "interrupted"}


def test_a_killed_kernel_leaves_closing_the_run_to_the_operator(yard: Yard):
    with yard.side.meanwhile("TrainingRun", "r", yard.operate), yard.start(TRAINS) as process:
        assert process.stdout.readline() == "in\n", process.stderr.read()
        beaten = until(
            lambda: yard.side.get("TrainingRun", "r")["metadata"].get("annotations"),
            "it has been heard of",
        )
        process.kill()
        process.communicate(timeout=240)
    assert yard.run()["info"]["status"] == "RUNNING"
    assert yard.side.get("TrainingRun", "r")["metadata"]["annotations"] == beaten


def test_a_run_that_the_operator_has_closed_is_raised_at_the_block_s_end(yard: Yard):
    failure = {"attempt": 1, "reason": "HeartbeatLost", "message": "Nothing was heard of it."}
    done = yard.notebook(
        """
from modelyard import Failed
try:
    with client.runs.start("fraud", "r") as run:
        time.sleep(3)
except Failed as error:
    print(error)
""",
        completionTime="2026-01-01T00:00:00Z",
        failure=failure,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("HeartbeatLost: Nothing was heard of it.\n")


def test_another_run_that_is_active_is_left_alone(yard: Yard):
    done = yard.start("""
import mlflow
from modelyard import Refused
mlflow.set_tracking_uri("sqlite:///x.db")
with mlflow.start_run():
    try:
        with client.runs.start("fraud", "r"):
            pass
    except Refused as error:
        print(error)
""")
    out, err = done.communicate(timeout=240)
    assert done.returncode == 0, err
    assert "is active here: end it first" in out
    assert yard.side.gone("TrainingRun", "r")


# --- restoring ------------------------------------------------------------------------------------
def lifecycle(yard: Yard, run: str) -> str:
    found = yard.mlflow.post(
        "runs/search",
        {"experiment_ids": [yard.experiment], "run_view_type": "ALL", "max_results": 100},
    )["runs"]
    return next(each["info"]["lifecycle_stage"] for each in found if each["info"]["run_id"] == run)


def test_only_the_runs_of_the_last_object_of_a_name_are_restored(yard: Yard):
    older = yard.make_run("r", "uid-1")
    first, second = yard.make_run("r", "uid-2"), yard.make_run("r", "uid-2")
    other = yard.make_run("other", "uid-3")
    for run in (older, first, second, other):
        yard.mlflow.post("runs/delete", {"run_id": run})
    with Client(yard.side.namespace, kubeconfig=str(yard.side.server.kubeconfig)) as client:
        assert client.runs.restore("r") in {first, second}
        assert [lifecycle(yard, run) for run in (older, first, second, other)] == [
            "deleted",
            "active",
            "active",
            "deleted",
        ]
        client.runs.restore("r")
        assert lifecycle(yard, older) == "active"
        with pytest.raises(
            NotFound,
            match=r"MLflow has no deleted run of a TrainingRun .*/r: the run \w+ exists"
            r" and is not deleted",
        ):
            client.runs.restore("r")
        with pytest.raises(NotFound, match="/never: it was never created, or has been purged"):
            client.runs.restore("never")


def test_a_namespace_with_the_same_prefix_is_another_namespace(yard: Yard):
    assert restoring._experiments(yard.mlflow, yard.side.namespace) == [yard.experiment]
    assert restoring._experiments(yard.mlflow, "t") == []  # all test namespaces begin like this
