"""Every command on a real cluster: the life cycle of a model, by the command line alone. In order:
each test continues the previous one.
"""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelyard.api.digest import FileDigest, tree_digest
from tests.cli.conftest import Person
from tests.demo.kube import Kube
from tests.e2e.tenant import SERVING, TABLE, Tenant, make_namespace

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

SMALL = ["--cpu", "50m", "--memory", "1Gi", "-d", "cards", "-p", "max_depth=3"]


@pytest.fixture(scope="module")
def there(operator: Kube) -> Iterator[Tenant]:
    """Create a namespace with an experiment and a model whose stages are empty."""
    made = make_namespace(operator, "cli")
    made.experiment(objective={"metric": "accuracy", "goal": "Maximize"})
    made.apply(
        "RegisteredModel",
        "fraud",
        {"stages": {"production": {"serving": SERVING}, "staging": {"serving": {"replicas": 0}}}},
    )
    made.ready("Experiment")
    yield made
    operator.kubectl("delete", "namespace", made.name, "--ignore-not-found", "--wait=false")


@pytest.fixture(scope="module")
def ada(there: Tenant) -> Person:
    return Person(Path(there.kube.kubeconfig), there.name, seconds=900)


@pytest.fixture
def screen(told: Callable[..., None], there: Tenant) -> Callable[..., None]:
    """Compare the output with the file of that name."""
    return lambda name, text: told(name, text, namespace=there.name)


def test_two_versions_are_trained_and_followed(there: Tenant, ada: Person):
    seen = ada.sees(
        "train",
        "-e",
        "fraud",
        "--name",
        "fraud-1",
        *SMALL,
        "-p",
        "n_estimators=20",
        "--register",
        "fraud@v1",
    )
    assert seen.splitlines()[-1].startswith("fraud-1 succeeded")
    assert "Registered as fraud@v1." in seen
    ada.sees(
        "train",
        "-e",
        "fraud",
        "--name",
        "fraud-2",
        *SMALL,
        "-p",
        "n_estimators=40",
        "--register",
        "fraud@v2",
        "--no-follow",
    )
    assert "Registered as fraud@v2." in ada.sees("runs", "follow", "fraud-2")
    assert there.status("TrainingRun", "fraud-2")["registered"] == {
        "model": "fraud",
        "version": "v2",
    }


def test_runs_and_experiments_are_shown(ada: Person, screen: Callable[..., None]):
    screen("runs-list", ada.sees("runs", "list"))
    screen("runs-list-wide", ada.sees("runs", "list", "-o", "wide"))
    screen("runs-show", ada.sees("runs", "show", "fraud-1"))
    screen("experiments-list", ada.sees("experiments", "list"))
    screen("experiments-show", ada.sees("experiments", "show", "fraud"))
    assert (
        json.loads(ada.sees("experiments", "list", "-o", "json"))["items"][0]["metadata"]["name"]
        == "fraud"
    )


def test_a_version_is_promoted_and_gets_requests(
    there: Tenant, ada: Person, screen: Callable[..., None]
):
    screen(
        "promote",
        steady(ada.sees("promote", "fraud", "v1", "--to", "production", "--reason", "the first")),
    )
    answer = json.loads(
        ada.says("predict", "fraud@production", "-o", "json", stdin=json.dumps(TABLE)).stdout
    )
    version, expected = there.predict()
    assert (answer["version"], answer["predictions"]) == (version, expected)
    text = io.StringIO()
    csv.writer(text).writerows([[f"feature_{at:02d}" for at in range(len(TABLE[0]))], *TABLE])
    answer = json.loads(
        ada.says("predict", "fraud@production", "--csv", "-o", "json", stdin=text.getvalue()).stdout
    )
    assert answer["predictions"] == expected
    screen("predict", ada.says("predict", "fraud@production", stdin=json.dumps(TABLE)).stdout)
    screen("status", ada.sees("status"))
    screen("status-of-one", ada.sees("status", "fraud"))


def test_promote_rollback_and_history(ada: Person, screen: Callable[..., None]):
    screen("promote-the-next", steady(ada.sees("promote", "fraud", "v2", "--to", "production")))
    screen("rollback", steady(ada.sees("rollback", "fraud", "--stage", "production")))
    screen("history", ada.sees("history", "fraud"))
    refused = ada.says("promote", "fraud", "v9", "--to", "production")
    assert refused.returncode != 0
    screen("promote-what-is-not-there", refused.stdout + refused.stderr)


def test_versions_are_compared_with_curves_through_a_port_forward(
    ada: Person, tmp_path: Path, screen: Callable[..., None]
):
    screen("compare", ada.sees("compare", "fraud@v1", "v2"))
    document = json.loads(
        ada.sees("compare", "fraud@v1", "v2", "--html", str(tmp_path / "page.html"), "-o", "json")
    )
    assert document["missing"] == []
    assert document["versions"]["v1"]["parameters"]["n_estimators"] == "20"
    assert document["versions"]["v2"]["parameters"]["n_estimators"] == "40"
    assert (tmp_path / "page.html").is_file()


def test_a_version_is_downloaded_completely(there: Tenant, ada: Person, tmp_path: Path):
    found = json.loads(ada.sees("download", "fraud@v1", str(tmp_path / "model"), "-o", "json"))
    files = [path for path in (tmp_path / "model").rglob("*") if path.is_file()]
    assert "MLmodel" in {path.name for path in files}
    digest = tree_digest(_file(path, tmp_path / "model") for path in files)
    assert digest == found["digest"] == there.status("RegisteredModel")["versions"][0]["digest"]


def _file(path: Path, root: Path) -> FileDigest:
    body = path.read_bytes()
    return FileDigest(
        path.relative_to(root).as_posix(), len(body), hashlib.sha256(body).hexdigest()
    )


def test_doctor_finds_no_problem(ada: Person, screen: Callable[..., None]):
    screen("doctor", ada.sees("doctor"))


def steady(text: str) -> str:
    """Return the output without the lines of progress, of which a fast cluster prints fewer."""
    return "".join(
        f"{line}\n"
        for line in text.splitlines()
        if not line.startswith(("production: ", "staging: "))
    )


def test_a_run_is_deleted_with_its_record_and_restored(
    there: Tenant, ada: Person, screen: Callable[..., None]
):
    ada.sees("train", "-e", "fraud", "--name", "fraud-3", *SMALL, "-p", "n_estimators=5")
    run_id = there.status("TrainingRun", "fraud-3")["mlflow"]["runId"]
    screen("runs-delete", ada.sees("runs", "delete", "fraud-3", "--mlflow", "--yes"))
    assert there.mlflow("runs/get", run_id=run_id)["run"]["info"]["lifecycle_stage"] == "deleted"
    screen("runs-restore", ada.sees("runs", "restore", "fraud-3"))
    assert there.mlflow("runs/get", run_id=run_id)["run"]["info"]["lifecycle_stage"] == "active"
