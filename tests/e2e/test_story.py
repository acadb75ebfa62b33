"""The story: an experiment, two trainings, a model; promoted by one patch, queried in every
protocol, switched under load, and rolled back.
"""

from collections.abc import Iterator
from datetime import datetime

import pytest

from tests.demo.kube import Kube
from tests.e2e.tenant import TABLE, Tenant, make_namespace

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def story(operator: Kube) -> Iterator[Tenant]:
    """A namespace where two versions are trained and registered, and the first one is serving."""
    there = make_namespace(operator, "story")
    there.experiment(description="Card fraud", objective={"metric": "accuracy", "goal": "Maximize"})
    there.model(stages={"production": None})
    there.run("fraud-001", register={"model": "fraud", "version": "v1"})
    there.run(
        "fraud-002",
        parameters={"max_depth": "2", "n_estimators": "3"},
        register={"model": "fraud", "version": "v2"},
    )
    for name in ("fraud-001", "fraud-002"):
        there.ready("TrainingRun", name)
    there.promote("v1")
    there.serves("v1")
    yield there
    operator.kubectl("delete", "namespace", there.name, "--wait=false")


def test_every_kind_can_be_waited_for_and_has_columns(story: Tenant):
    said = story.kube.kubectl(
        "wait",
        "--for=condition=Ready",
        "-n",
        story.name,
        "mlexp/fraud",
        "mlrun/fraud-001",
        "mlrun/fraud-002",
        "mlmodel/fraud",
        "--timeout=60s",
    )
    assert said.count("condition met") == 4
    shown = story.kube.kubectl("get", "modelyard", "-n", story.name)
    rows = {
        line.split()[0]: line.split()
        for line in shown.splitlines()
        if "/" in line.partition(" ")[0]
    }
    assert rows["experiment.modelyard.io/fraud"][1:4] == ["True", "Synced", "2"]
    assert rows["trainingrun.modelyard.io/fraud-001"][1:7] == [
        "fraud",
        "1",
        "True",
        "Succeeded",
        "100",
        "fraud",
    ]
    assert rows["registeredmodel.modelyard.io/fraud"][1:6] == [
        "production=v1",
        "v1",
        "1",
        "True",
        "Serving",
    ]


def test_mlflow_matches_the_objects(story: Tenant):
    run = story.get("TrainingRun", "fraud-001")
    (tracked,) = story.mlflow_runs(run["metadata"]["uid"])
    assert tracked["info"]["run_id"] == run["status"]["mlflow"]["runId"]
    assert tracked["info"]["status"] == "FINISHED"
    parameters = {each["key"]: each["value"] for each in tracked["data"]["params"]}
    assert {key: parameters[key] for key in ("max_depth", "n_estimators")} == {
        "max_depth": "3",
        "n_estimators": "20",
    }
    metrics = {each["key"]: each["value"] for each in tracked["data"]["metrics"]}
    shown = {each["name"]: float(each["value"]) for each in run["status"]["metrics"]}
    assert shown["accuracy"] == pytest.approx(metrics["accuracy"], rel=1e-4)
    (dataset,) = tracked["inputs"]["dataset_inputs"]
    assert dataset["dataset"]["name"] == "cards"
    assert run["status"]["dataset"]["rows"] == 500
    versions = {each["name"]: each for each in story.status("RegisteredModel")["versions"]}
    assert versions["v1"]["runId"] == tracked["info"]["run_id"]
    numbers = {each["version"]: each["run_id"] for each in story.mlflow_versions()}
    assert numbers == {each["mlflowVersion"]: each["runId"] for each in versions.values()}
    assert versions["v1"]["digest"] == run["status"]["model"]["digest"]
    best = story.status("Experiment")["bestRun"]
    assert best["trainingRun"] in ("fraud-001", "fraud-002")


def test_the_model_answers_in_every_protocol(story: Tenant):
    story.promote("v1")
    story.serves("v1")
    version, expected = story.predict()
    assert version == "v1"
    assert len(expected) == len(TABLE)
    assert set(expected) <= {0, 1}

    code, headers, metadata = story.ask("v2/models/fraud")
    assert code == 200
    assert headers["modelyard-model"] == f"{story.name}.fraud"
    assert metadata["versions"] == ["v1"]
    assert len(metadata["inputs"]) == 20
    tensor = {
        "name": "rows",
        "datatype": "FP64",
        "shape": [len(TABLE), 20],
        "data": [value for row in TABLE for value in row],
    }
    code, _, answer = story.ask("v2/models/fraud/infer", {"inputs": [tensor]})
    assert (code, answer["outputs"][0]["data"]) == (200, expected)

    columns = [each["name"] for each in metadata["inputs"]]
    code, _, answer = story.ask(
        "invocations", {"dataframe_split": {"columns": columns, "data": TABLE}}
    )
    assert (code, answer["predictions"]) == (200, expected)
    code, _, answer = story.ask(
        "invocations",
        {"dataframe_records": [dict(zip(columns, row, strict=True)) for row in TABLE]},
    )
    assert (code, answer["predictions"]) == (200, expected)

    code, _, answer = story.ask(
        "invocations",
        {"dataframe_split": {"columns": columns[:-1], "data": [row[:-1] for row in TABLE]}},
    )
    assert code in (400, 422)
    assert columns[-1] in str(answer)
    code, _, answer = story.ask("v2/health/ready")
    assert code == 200


def test_a_version_is_promoted_and_rolled_back_without_a_lost_request(story: Tenant):
    story.promote("v1")
    story.serves("v1")
    before = len(story.status("RegisteredModel")["history"])
    with story.load() as load:
        load.wait_for("v1", 50)
        story.promote("v2")
        story.serves("v2")
        load.wait_for("v2", 100)
        story.promote("v1")
        story.serves("v1")
        load.wait_for("v1", 100)
        result = load.end()
    assert result.lost == 0, result.errors
    assert sum(result.answered.values()) == result.sent
    assert set(result.answered) == {"v1", "v2"}
    assert {version: len(answers) for version, answers in result.answers.items()} == {
        "v1": 1,
        "v2": 1,
    }, "one version, one answer"
    added = story.status("RegisteredModel")["history"][before:]
    assert [(each["from"], each["to"], each["stage"]) for each in added] == [
        ("v1", "v2", "production"),
        ("v2", "v1", "production"),
    ]
    assert added[-1]["outcome"] == "RolledBack"
    assert datetime.fromisoformat(added[0]["time"]) < datetime.fromisoformat(added[1]["time"])
    assert story.mlflow_holders() == {"Production": "v1", "@production": "v1"}
    versions = story.status("RegisteredModel")["versions"]
    stages = {
        each["name"]: [held["stage"] for held in each.get("held", []) if "untilTime" not in held]
        for each in versions
    }
    assert stages == {"v1": ["production"], "v2": []}


def test_mlflow_s_client_loads_the_stage_s_version(story: Tenant):
    for version in ("v2", "v1"):
        story.promote(version)
        story.serves(version)
        name = f"{story.name}.fraud"
        answered, predictions = story.predict()
        found = story.resolve(f"models:/{name}/Production", f"models:/{name}@production")
        assert answered == version
        assert {each["version"] for each in found.values()} == {version}
        assert {tuple(each["predictions"]) for each in found.values()} == {tuple(predictions)}


def test_two_stages_and_the_removal_of_one(story: Tenant):
    story.promote("v1")
    story.promote("v2", stage="staging")
    story.serves("v2", stage="staging")
    story.serves("v1")
    assert story.mlflow_holders() == {
        "Production": "v1",
        "@production": "v1",
        "Staging": "v2",
        "@staging": "v2",
    }
    assert story.predict("staging")[0] == "v2"

    story.promote(None, stage="staging")
    story.wait(
        "nothing serves staging",
        lambda: (
            not [
                each
                for kind in ("Deployment", "Service", "PodDisruptionBudget", "Pod")
                for each in story.kube.list(
                    kind, story.name, "modelyard.io/model=fraud,modelyard.io/stage=staging"
                )
            ]
        ),
    )
    story.serves("v1")
    assert story.mlflow_holders() == {"Production": "v1", "@production": "v1"}
    assert {each["version"]: each["current_stage"] for each in story.mlflow_versions()}
    last = story.status("RegisteredModel")["history"][-1]
    assert (last["stage"], last["from"], last.get("to"), last["outcome"]) == (
        "staging",
        "v2",
        None,
        "Cleared",
    )
    assert story.predict()[0] == "v1"


def test_pods_meet_pod_security_restricted(story: Tenant):
    """The namespace enforces it: other pods are never created. This test checks what it does not
    enforce.
    """
    pods = story.kube.list("Pod", story.name, "app.kubernetes.io/managed-by=modelyard")
    assert {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods} == {
        "training",
        "serving",
    }
    for pod in pods:
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert all(
            container["securityContext"]["readOnlyRootFilesystem"]
            for container in spec["initContainers"] + spec["containers"]
        )
    serving = next(
        pod for pod in pods if pod["metadata"]["labels"]["app.kubernetes.io/component"] == "serving"
    )
    assert "envFrom" not in serving["spec"]["containers"][0], "what answers requests has no keys"
