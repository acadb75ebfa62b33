"""Training, deleting and purging by the command line, against a real API server."""

from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Person
from tests.client.side import Side
from tests.harness import Manifest, manifests, until

ROOT = Path(__file__).parents[2]
TIME = "2026-01-01T00:00:00Z"


def run(side: Side, name: str = "fraud-1", **spec: object) -> Manifest:
    return side.ours(
        "TrainingRun", name, {"experiment": "fraud", "trainer": {"xgboost": {}}, **spec}
    )


# --- training -------------------------------------------------------------------------------------
def test_a_run_is_created_from_options(side: Side, person: Person):
    seen = person.sees(
        "train",
        "-e",
        "fraud",
        "--name",
        "fraud-7",
        "-p",
        "max_depth=6",
        "-d",
        "cards",
        "--register",
        "fraud@v3",
        "--no-follow",
    )
    assert seen.startswith("trainingrun.modelyard.io/fraud-7 created.\n")
    spec = side.get("TrainingRun", "fraud-7")["spec"]
    assert (spec["parameters"], spec["dataset"]["name"], spec["register"]) == (
        {"max_depth": "6"},
        "cards",
        {"model": "fraud", "version": "v3"},
    )


def test_a_run_without_a_name_gets_one(side: Side, person: Person):
    name = person.sees("train", "-e", "fraud", "--no-follow", "-o", "name").strip()
    assert name.startswith("trainingrun.modelyard.io/fraud-")
    assert side.get("TrainingRun", name.partition("/")[2])["spec"]["experiment"] == "fraud"


@pytest.mark.parametrize("sample", ["fraud/training-run-v1.yaml"])
def test_a_run_is_created_from_a_file(side: Side, person: Person, sample: str, tmp_path: Path):
    (body,) = manifests(ROOT / "manifests" / "samples" / sample)
    body["metadata"].pop("namespace", None)
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(body))
    assert (
        "nothing was created"
        in person.says("train", "-f", str(tmp_path / "run.yaml"), "--dry-run").stdout
    )
    assert side.gone("TrainingRun", body["metadata"]["name"])
    person.sees("train", "-f", str(tmp_path / "run.yaml"), "--no-follow")
    assert (
        side.get("TrainingRun", body["metadata"]["name"])["spec"]["experiment"]
        == body["spec"]["experiment"]
    )


def test_a_file_is_read_as_kubectl_reads_it(side: Side, person: Person, tmp_path: Path):
    text = """apiVersion: modelyard.io/v1alpha1
kind: TrainingRun
metadata: {name: fraud-7}
spec:
  experiment: fraud
  trainer: {xgboost: {}}
  parameters: {since: 2026-11-26, at: 12:30, eta: EA}
"""
    file = tmp_path / "run.yaml"
    file.write_text(text.replace("EA", "1e-3"))
    done = person.says("train", "-f", str(file))
    assert (done.returncode, done.stderr.count("\n")) == (1, 2)
    assert "spec.parameters.eta: is a number, not a text: write it in quotes" in done.stderr
    file.write_text(text.replace("EA", "'1e-3'"))
    person.sees("train", "-f", str(file), "--no-follow")
    assert side.get("TrainingRun", "fraud-7")["spec"]["parameters"] == {
        "since": "2026-11-26",
        "at": "12:30",
        "eta": "1e-3",
    }


def test_a_local_script_goes_into_a_config_map(side: Side, person: Person, tmp_path: Path):
    (tmp_path / "train.py").write_text("print('hello')\n")
    script = ("--script", str(tmp_path / "train.py"))
    assert "nothing was created" in person.says("train", "-e", "fraud", *script, "--dry-run").stdout
    name = (
        person.sees("train", "-e", "fraud", *script, "--no-follow", "-o", "name")
        .strip()
        .partition("/")[2]
    )
    config_map = f"{name}-script"
    assert side.get("TrainingRun", name)["spec"]["trainer"] == {
        "script": {"configMap": config_map, "key": "train.py"}
    }
    assert side.get("ConfigMap", config_map)["data"] == {"train.py": "print('hello')\n"}
    assert side.get("ConfigMap", config_map)["metadata"]["ownerReferences"][0]["name"] == name


def test_printed_yaml_can_be_applied(side: Side, person: Person):
    parameters = {"eta": "1e-3", "revision": "8e44", "column": "y", "days": "08"}
    run(side, parameters=parameters)
    side.apply(person.sees("runs", "show", "fraud-1", "-o", "yaml").replace("fraud-1", "fraud-2"))
    assert side.get("TrainingRun", "fraud-2")["spec"]["parameters"] == parameters


def test_a_refusal_of_the_api_server_is_printed(person: Person):
    done = person.says("train", "-e", "Fraud")
    assert done.returncode == 1
    assert "spec.experiment" in done.stderr


def test_a_run_is_followed_to_its_end(side: Side, person: Person):
    def operator(there: Side) -> None:
        there.status(
            "TrainingRun",
            "fraud-8",
            "Training",
            "The pod runs.",
            progress={"percent": 40, "etaSeconds": 9, "message": ""},
        )
        there.status(
            "TrainingRun",
            "fraud-8",
            "Succeeded",
            "Done.",
            ready=True,
            metrics=[{"name": "auc", "value": "0.9"}],
            startTime=TIME,
            completionTime=TIME,
        )

    with side.meanwhile("TrainingRun", "fraud-8", operator):
        seen = person.sees("train", "-e", "fraud", "--name", "fraud-8")
    assert seen.splitlines()[-1].startswith("fraud-8 succeeded")
    assert "auc 0.9" in seen


def test_a_failed_run_ends_with_1_and_its_last_lines(side: Side, person: Person):
    run(side, "fraud-9")
    failure = {
        "reason": "Failed",
        "message": "It ended.",
        "exitCode": 1,
        "log": "KeyError: 'is_fraud'\n",
    }
    side.status(
        "TrainingRun",
        "fraud-9",
        "Failed",
        "The trainer failed.",
        ready=False,
        failure=failure,
        completionTime=TIME,
    )
    done = person.says("runs", "follow", "fraud-9")
    assert done.returncode == 1
    assert "Failed: The trainer failed." in done.stderr
    assert "KeyError: 'is_fraud'" in done.stderr


def test_an_interrupt_leaves_the_run_running_and_says_how_to_follow_it_again(
    side: Side, person: Person
):
    process = person.begins("train", "-e", "fraud", "--name", "fraud-10")
    assert process.stdout is not None
    seen = process.stdout.readline()
    assert "fraud-10 created." in seen
    side.status("TrainingRun", "fraud-10", "Training", "The pod runs.")
    assert any(
        "Training" in process.stdout.readline() for _ in range(3)
    )  # the screen may be older than the operator's first status
    code, out, _ = person.interrupts(process)
    assert code == 130
    assert f"runs follow fraud-10 -n {side.namespace}" in out
    assert side.get("TrainingRun", "fraud-10")["metadata"].get("deletionTimestamp") is None


# --- deleting -------------------------------------------------------------------------------------
def test_nothing_is_deleted_without_confirmation(side: Side, person: Person):
    run(side)
    done = person.says("runs", "delete", "fraud-1")
    assert done.returncode == 2
    assert "use --yes" in done.stderr
    assert not side.gone("TrainingRun", "fraud-1")
    assert "fraud-1 is deleted." in person.sees("runs", "delete", "fraud-1", "--yes")
    assert side.gone("TrainingRun", "fraud-1")


def test_an_experiment_is_deleted(side: Side, person: Person):
    side.ours("Experiment", "fraud", {})
    assert person.sees("experiments", "delete", "fraud", "--yes") == "fraud is deleted.\n"
    assert side.gone("Experiment", "fraud")


# --- purging --------------------------------------------------------------------------------------
JOBS = "/apis/batch/v1/namespaces/{}/jobs"
POD = {
    "restartPolicy": "Never",
    "containers": [{"name": "purge", "image": "i", "args": ["--older-than", "30d"]}],
}


def purged(side: Side, ended: list[Manifest]) -> list[str]:
    """Act as the kubelet: return the arguments of the first Job and end it like this."""

    def first() -> Manifest | None:
        return next(iter(side.request("GET", JOBS.format(side.namespace)).body["items"]), None)

    job = until(first, "a Job comes")
    conditions = [each | {"status": "True", "lastTransitionTime": TIME} for each in ended]
    status = {"startTime": TIME, "conditions": conditions} | (
        {"completionTime": TIME} if ended[-1]["type"] == "Complete" else {}
    )
    path = f"{JOBS.format(side.namespace)}/{job['metadata']['name']}/status"
    answer = side.request("PATCH", path, {"status": status}, "application/merge-patch+json")
    assert answer.ok, answer.message
    return list(job["spec"]["template"]["spec"]["containers"][0]["args"])


@pytest.mark.parametrize(
    ("ended", "code", "words"),
    [
        ([{"type": "SuccessCriteriaMet"}, {"type": "Complete"}], 0, "created in"),
        (
            [{"type": "FailureTarget"}, {"type": "Failed", "reason": "BackoffLimitExceeded"}],
            1,
            "BackoffLimitExceeded",
        ),
    ],
    ids=["well", "badly"],
)
def test_a_purge_is_a_job_from_the_charts_cron_job(
    side: Side, ended: list[Manifest], code: int, words: str
):
    spec = {"schedule": "@daily", "jobTemplate": {"spec": {"template": {"spec": POD}}}}
    about = {"name": "modelyard-purge", "labels": {"app.kubernetes.io/component": "purge"}}
    path = f"/apis/batch/v1/namespaces/{side.namespace}/cronjobs"
    answer = side.request(
        "POST", path, {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": about, "spec": spec}
    )
    assert answer.ok, answer.message
    process = Person(side.server.kubeconfig, "").begins(
        "runs", "purge", "1" * 32, "--yes", "--operator-namespace", side.namespace
    )
    assert purged(side, ended) == ["--run-ids", "1" * 32]
    out, err = process.communicate(timeout=240)
    assert process.returncode == code, err
    assert words in out + err
