"""`manifests/` is the same as the chart, and kubectl can apply and delete it; samples are valid."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chart import manifests
from tests.chart.api import Api, eventually, path_of, wait_storage
from tests.chart.helm import NAMESPACE, ROOT, Manifest, Refused, documents, find, kubectl, render

MANIFESTS = ROOT / "manifests"
SAMPLES = sorted(path for path in (MANIFESTS / "samples").iterdir() if path.is_dir())
every_sample = pytest.mark.parametrize("folder", SAMPLES, ids=[path.name for path in SAMPLES])


def built(name: str) -> list[Manifest]:
    return documents(kubectl("kustomize", MANIFESTS / name))


def by_name(objects: list[Manifest]) -> dict[tuple[str, ...], Manifest]:
    return {
        (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): each
        for each in objects
    }


def relabelled(objects: list[Manifest]) -> list[Manifest]:
    for each in objects:
        each["metadata"]["labels"]["app.kubernetes.io/managed-by"] = "kustomize"
    return objects


# --- from the chart -------------------------------------------------------------------------------
def test_the_generated_files_are_up_to_date(capsys):
    assert manifests.main(["--check"]) == 0, capsys.readouterr().out


def test_a_stale_file_would_be_noticed():
    text = manifests.files()["manifests/base/modelyard.yaml"]
    assert text == (MANIFESTS / "base" / "modelyard.yaml").read_text()
    assert text.replace("replicas: 1", "replicas: 2") != text


def test_the_base_equals_the_chart_with_default_values():
    made = by_name(built("base"))
    namespace = made.pop(("Namespace", "", NAMESPACE))
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert made == by_name(relabelled(render(hooks=False)))


def test_the_demo_equals_the_chart_s_demo_with_its_secrets():
    made = by_name(built("demo"))
    del made["Namespace", "", NAMESPACE]
    secrets = [made.pop(key) for key in [key for key in made if key[0] == "Secret"]]
    assert made == by_name(relabelled(render(manifests.DEMO_VALUES, hooks=False)))
    # The Secrets of an installation with helm have the same names and keys.
    others = [each for each in render({"demo": {"enabled": True}}) if each["kind"] == "Secret"]
    assert {key: set(each["data"]) for key, each in by_name(secrets).items()} == {
        key: set(each["data"]) for key, each in by_name(others).items()
    }
    keys, connection = (
        find(secrets, "Secret", name)["data"]
        for name in ("modelyard-minio", "modelyard-connection")
    )
    assert (keys["MINIO_ROOT_USER"], keys["MINIO_ROOT_PASSWORD"]) == (
        connection["AWS_ACCESS_KEY_ID"],
        connection["AWS_SECRET_ACCESS_KEY"],
    )
    expected = find(others, "Secret", "modelyard-connection")["data"]
    for key in ("MLFLOW_TRACKING_URI", "MLFLOW_S3_ENDPOINT_URL", "MODELYARD_BUCKET"):
        assert connection[key] == expected[key]


def test_every_image_has_a_version():
    for name in ("base", "demo"):
        images = set(re.findall(r"image: (\S+)", kubectl("kustomize", MANIFESTS / name)))
        assert images
        assert all(
            re.search(r":[^/:]+$", image) and not image.endswith(":latest") for image in images
        )


@pytest.mark.api
@pytest.mark.parametrize("name", ["base", "demo"])
def test_after_apply_and_delete_nothing_is_left(server, name):
    admin = Api(server)
    config = server.kubeconfig
    kubectl(
        "apply", "--server-side", "--validate=strict", "-k", MANIFESTS / name, kubeconfig=config
    )
    kubectl(
        "apply", "--server-side", "--validate=strict", "-k", MANIFESTS / name, kubeconfig=config
    )
    assert admin.get(path_of("apps/v1/deployments", NAMESPACE, "modelyard")).code == 200
    wait_storage(admin)
    # Objects in a namespace may already have been deleted with it.
    kubectl(
        "delete", "--wait=false", "--ignore-not-found", "-k", MANIFESTS / name, kubeconfig=config
    )
    # A claim is protected until a controller that does not run here says otherwise.
    for claim in admin.get(path_of("v1/persistentvolumeclaims", NAMESPACE)).body["items"]:
        admin.merge(
            path_of("v1/persistentvolumeclaims", NAMESPACE, claim["metadata"]["name"]),
            {"metadata": {"finalizers": None}},
        )
    for each in built(name):
        group = each["apiVersion"] if "/" in each["apiVersion"] else "v1"
        plural = re.sub(r"y$", "ie", each["kind"].lower()) + "s"
        path = path_of(
            f"{group}/{plural}", each["metadata"].get("namespace"), each["metadata"]["name"]
        )
        eventually(lambda path=path: admin.get(path).code == 404, f"{path} is gone")


# --- samples --------------------------------------------------------------------------------------
def sample(folder: Path) -> list[Manifest]:
    return [each for file in sorted(folder.glob("*.yaml")) for each in documents(file.read_text())]


def test_the_page_of_the_samples_names_them_all():
    assert set(
        re.findall(
            r"^\| \[([\w-]+)\]\(\1\)",
            (MANIFESTS / "samples" / "README.md").read_text(),
            re.MULTILINE,
        )
    ) == {path.name for path in SAMPLES}
    assert {"fraud", "script", "container", "external", "multi-stage"} <= {
        path.name for path in SAMPLES
    }


def test_no_two_samples_conflict():
    seen = [
        (each["kind"], each["metadata"]["name"]) for folder in SAMPLES for each in sample(folder)
    ]
    assert len(seen) == len(set(seen))


@every_sample
def test_a_samples_references_are_within_it(folder):
    objects = sample(folder)
    assert all(each["metadata"]["namespace"] == "risk" for each in objects)
    names = {(each["kind"], each["metadata"]["name"]) for each in objects}
    for run in (each["spec"] for each in objects if each["kind"] == "TrainingRun"):
        assert ("Experiment", run["experiment"]) in names
        if "register" in run:
            assert ("RegisteredModel", run["register"]["model"]) in names
        if "script" in run["trainer"]:
            script = find(objects, "ConfigMap", run["trainer"]["script"]["configMap"])
            assert run["trainer"]["script"]["key"] in script["data"]
    registers = [each["spec"]["register"] for each in objects if "register" in each.get("spec", {})]
    registered = {(each["model"], each["version"]) for each in registers}
    for model in (each for each in objects if each["kind"] == "RegisteredModel"):
        for stage in model["spec"].get("stages", {}).values():
            if "version" in stage:
                assert (model["metadata"]["name"], stage["version"]) in registered


@pytest.mark.api
@every_sample
def test_the_api_server_accepts_a_sample_unchanged(installed, folder):
    out = kubectl(
        "apply",
        "--server-side",
        "--dry-run=server",
        "--validate=strict",
        "--filename",
        folder,
        kubeconfig=installed.kubeconfig,
    )
    assert len(out.splitlines()) == len(sample(folder))


@pytest.mark.api
def test_the_api_server_would_refuse_an_unknown_field(installed):
    text = (
        (MANIFESTS / "samples" / "fraud" / "registered-model.yaml")
        .read_text()
        .replace("drift: Revert", "drift: Revert\n  gates: []")
    )
    with pytest.raises(Refused, match=r"unknown field|field not declared"):
        kubectl(
            "apply",
            "--server-side",
            "--dry-run=server",
            "--validate=strict",
            "-f",
            "-",
            kubeconfig=installed.kubeconfig,
            stdin=text,
        )


# --- code of the samples --------------------------------------------------------------------------
# One process for all: it creates the run as the operator does, runs the code as a training pod
# does, and prints what MLflow has then.
DRIVER = """
import json, os, sys
import mlflow

code, folder = sys.argv[1:]
client = mlflow.MlflowClient()
name = "risk/" + os.path.basename(folder)
experiment = client.create_experiment(name, artifact_location=f"file://{folder}/artifacts")
os.environ["MLFLOW_EXPERIMENT_NAME"] = name
os.environ["MLFLOW_RUN_ID"] = id_ = client.create_run(experiment).info.run_id
with open(code) as file:
    exec(compile(file.read(), code, "exec"), {"__name__": "__main__"})
run = client.get_run(id_)
models = [model.name for model in client.search_logged_models([experiment])]
print(json.dumps({"status": run.info.status, "metrics": run.data.metrics, "models": models}))
"""
SYNTHETIC = """
import sys
from pathlib import Path
from modelyard_runtime.dataset import make_synthetic
make_synthetic(sys.argv[1], "classification", int(sys.argv[2]), Path(sys.argv[3]))
"""


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tracking store of all samples: creating its tables takes two seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('samples')}/mlflow.db"


def python(folder: Path, *words: str, **more: str) -> str:
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("MLFLOW_", "MODELYARD_"))
    }
    env = {"MLFLOW_DISABLE_TELEMETRY": "true", "HOME": str(folder)}
    done = subprocess.run(
        [sys.executable, *words],
        env=kept | env | {"PYTHONPATH": str(ROOT / "operator")} | more,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def trained(folder: Path, tracking: str, code: str, parameters: dict[str, str]) -> Manifest:
    (folder / "code.py").write_text(code)
    environment = {
        "MLFLOW_TRACKING_URI": tracking,
        # Otherwise MLflow spends seconds on loading the model in another process to find its
        # imports.
        "MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT": "0",
        "MODELYARD_PARAMETERS": json.dumps(parameters),
        "MODELYARD_DATASET_PATH": str(folder),
    }
    return json.loads(
        python(folder, "-c", DRIVER, str(folder / "code.py"), str(folder), **environment)
        .strip()
        .splitlines()[-1]
    )


@pytest.mark.contract
def test_the_script_trains_and_logs_as_its_comments_say(tmp_path, tracking):
    objects = sample(MANIFESTS / "samples" / "script")
    spec = find(objects, "TrainingRun", "payments-1")["spec"]
    python(
        tmp_path,
        "-c",
        SYNTHETIC,
        spec["dataset"]["name"],
        str(spec["dataset"]["rows"]),
        str(tmp_path / "dataset.parquet"),
    )
    found = trained(
        tmp_path,
        tracking,
        find(objects, "ConfigMap", "payments-script")["data"]["train.py"],
        spec["parameters"],
    )
    assert (found["status"], found["models"]) == ("FINISHED", ["model"])
    assert found["metrics"]["modelyard.progress"] == 100
    assert found["metrics"]["auc"] > 0.8


@pytest.mark.contract
def test_a_notebook_closes_the_run_that_is_kept_for_it_as_the_comment_says(tmp_path, tracking):
    text = (MANIFESTS / "samples" / "external" / "training-run.yaml").read_text()
    comment = "".join(
        line.removeprefix("#   ") + "\n" for line in text.splitlines() if line.startswith("#   ")
    )
    code = comment[: comment.index("kubectl")].replace(
        "run_id=...", "run_id=os.environ['MLFLOW_RUN_ID']"
    )
    model = "model = xgboost.XGBClassifier(n_estimators=1).fit([[0.0], [1.0]], [0, 1])\n"
    found = trained(
        tmp_path, tracking, f"import os\nimport mlflow.xgboost\nimport xgboost\n{model}{code}", {}
    )
    assert (found["status"], found["models"], found["metrics"]) == (
        "FINISHED",
        ["model"],
        {"accuracy": 0.9},
    )


@pytest.mark.contract
def test_the_container_trains_with_its_own_command(tmp_path, tracking):
    spec = find(sample(MANIFESTS / "samples" / "container"), "TrainingRun", "limits-1")["spec"]
    container = spec["trainer"]["container"]
    assert container["command"] == ["python", "-c"]
    (tmp_path / "parameters.json").write_text(json.dumps(spec["parameters"]))
    found = trained(
        tmp_path,
        tracking,
        container["args"][0].replace(
            "/etc/modelyard/parameters.json", str(tmp_path / "parameters.json")
        ),
        {},
    )
    assert (found["status"], found["models"]) == ("FINISHED", ["model"])
    assert found["metrics"]["rmse"] < 15
