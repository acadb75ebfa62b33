"""The commands against a real API server: reads, writes, exit codes, and messages when a right is
missing.
"""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Person
from tests.client.side import Side
from tests.cluster.apiserver import free_ports, kubeconfig
from tests.harness import Cluster, Manifest, manifests, until

ROOT = Path(__file__).parents[2]
LOOK = [
    {
        "apiGroups": ["modelyard.io"],
        "resources": ["experiments", "trainingruns", "registeredmodels"],
        "verbs": ["get", "list", "watch"],
    }
]


def run(side: Side, name: str = "fraud-1", **spec: Any) -> Manifest:
    return side.ours(
        "TrainingRun", name, {"experiment": "fraud", "trainer": {"xgboost": {}}, **spec}
    )


# --- reading
# ---------------------------------------------------------------------------------------
def test_a_model_is_shown_in_every_format(side: Side, person: Person, fraud: Manifest):
    seen = person.sees("status", "fraud")
    assert seen.startswith(f"fraud  {side.namespace}  Ready\n")
    assert "production  v2" in seen
    assert max(map(len, seen.splitlines())) <= 80
    assert person.sees("status", "fraud", "-o", "name") == "registeredmodel.modelyard.io/fraud\n"
    as_json = json.loads(person.sees("status", "fraud", "-o", "json"))
    assert (as_json["kind"], as_json["spec"]) == ("RegisteredModel", fraud["spec"])
    assert "managedFields" not in as_json["metadata"]
    assert yaml.safe_load(person.sees("status", "fraud", "-o", "yaml")) == as_json
    listed = json.loads(person.sees("status", "-o", "json"))
    assert (listed["kind"], [each["metadata"]["name"] for each in listed["items"]]) == (
        "List",
        ["fraud"],
    )


def test_history_is_newest_first_for_people_and_unchanged_for_programs(
    person: Person, fraud: Manifest
):
    lines = person.sees("history", "fraud").splitlines()
    assert [line.split()[2:5] for line in lines[1:]] == [
        ["production", "v1", "v2"],
        ["production", "-", "v1"],
    ]
    entries = json.loads(person.sees("history", "fraud", "-o", "json"))
    assert [(entry.get("from"), entry["to"]) for entry in entries] == [(None, "v1"), ("v1", "v2")]


def test_runs_and_experiments_are_listed_and_shown(side: Side, person: Person):
    first = f"python -m modelyard train -e EXPERIMENT -n {side.namespace}"
    assert person.sees("runs", "list") == f"No runs yet. To start one: {first}\n"
    assert json.loads(person.sees("runs", "list", "-o", "json"))["items"] == []
    side.ours("Experiment", "fraud", {"description": "Card fraud"})
    run(side)
    run(side, "other-1", experiment="other")
    side.status(
        "TrainingRun",
        "fraud-1",
        "Training",
        "The pod runs.",
        progress={"percent": 40, "message": ""},
        metrics=[{"name": "auc", "value": "0.5"}],
    )
    heads, line = person.sees("runs", "list", "-e", "fraud").splitlines()
    assert heads.split() == ["NAME", "EXPERIMENT", "STATE", "PROGRESS", "AGE", "METRICS"]
    assert line.split()[:4] == ["fraud-1", "fraud", "Training", "40%"]
    assert "ATTEMPT" in person.sees("runs", "list", "-o", "wide")
    assert person.sees("runs", "list", "-o", "name", "-A").count("trainingrun.modelyard.io/") >= 2
    assert person.sees("runs", "show", "fraud-1").startswith(
        f"fraud-1  {side.namespace}  Training\nThe pod runs.\n"
    )
    assert "Card fraud" in person.sees("experiments", "list")
    assert "fraud-1" in person.sees("experiments", "show", "fraud")


def test_runs_are_filtered_and_limited(side: Side, person: Person):
    for name, value, depth in (("good", "0.95", "6"), ("fair", "0.85", "6"), ("poor", "0.5", "2")):
        run(side, name, parameters={"max_depth": depth})
        metrics = [{"name": "accuracy", "value": value}]
        side.status("TrainingRun", name, "Succeeded", "Done.", ready=True, metrics=metrics)
    run(side, "other-1", experiment="other")

    def names(*words: str) -> list[str]:
        lines = person.sees("runs", "list", *words, "-o", "name").splitlines()
        return [line.partition("/")[2] for line in lines]

    newest_first = names()
    assert sorted(newest_first) == ["fair", "good", "other-1", "poor"]
    assert names("--limit", "2") == newest_first[:2]
    assert names("--filter", "metrics.accuracy > 0.9") == ["good"]
    assert names("--filter", "metrics.accuracy > 0.9 and parameters.max_depth = 2") == []
    both = names("--filter", "parameters.max_depth = 6")
    assert sorted(both) == ["fair", "good"]
    assert names("--filter", "parameters.max_depth = 6", "--limit", "1") == both[:1]
    assert names("-e", "other", "--filter", "name ~ 1") == ["other-1"]
    assert person.sees("runs", "list", "--filter", "name = nobody") == "No run matches.\n"
    wrong = person.says("runs", "list", "--filter", "accuracy > 0.9")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("Error: a filter has no name accuracy. Names: name, namespace,")


def test_everywhere_names_the_namespace(side: Side, person: Person):
    run(side)
    heads, *lines = person.sees("runs", "list", "-A").splitlines()
    assert heads.split()[:2] == ["NAMESPACE", "NAME"]
    assert [side.namespace, "fraud-1"] in [line.split()[:2] for line in lines]


# --- missing objects ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("status", "nothing"), "There is no RegisteredModel"),
        (("runs", "show", "nothing"), "There is no TrainingRun"),
        (("promote", "fraud", "v9", "--to", "production"), "has no version v9. It has: v1, v2."),
        (
            ("promote", "fraud", "v1", "--to", "prod"),
            "fraud has no stage prod. Its stages: production.",
        ),
        (("history", "fraud", "--stage", "prod"), "Its stages: production."),
        (
            ("download", "fraud@v9", "/tmp/x"),
            "has no stage v9, and no version of that name: it has v1, v2.",
        ),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else "",
)
def test_a_missing_object_exits_with_3(
    person: Person, fraud: Manifest, words: tuple[str, ...], why: str
):
    done = person.says(*words)
    assert (done.returncode, done.stdout) == (3, "")
    assert why in done.stderr


def test_without_a_cron_job_the_error_says_what_to_request(person: Person):
    done = Person(person.kubeconfig, "").says(
        "runs", "purge", "1" * 32, "--yes", "--operator-namespace", person.namespace
    )
    assert done.returncode == 3
    assert "purge.enabled" in done.stderr


# --- rights ---------------------------------------------------------------------------------------
@pytest.fixture
def guarded(cluster: Cluster) -> Iterator[None]:
    """Install only the chart's policy on promotions: these tests write statuses, which another
    policy reserves to the operator.
    """
    paths = {
        "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
        "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
    }
    root = "/apis/admissionregistration.k8s.io/v1"
    policies = [
        each
        for each in manifests(ROOT / "manifests" / "base" / "modelyard.yaml")
        if each["kind"] in paths and each["metadata"]["name"] == "modelyard-promote"
    ]
    admin = Cluster(cluster.server)
    for each in policies:
        answer = admin.request("POST", f"{root}/{paths[each['kind']]}", each)
        assert answer.ok, answer.message
    admin.close()
    yield
    for each in policies:
        admin.request("DELETE", f"{root}/{paths[each['kind']]}/{each['metadata']['name']}")
    admin.close()


def test_a_viewer_sees_which_rights_are_missing(side: Side, fraud: Manifest, tmp_path: Path):
    ada = Person(side.user("ada", LOOK, tmp_path), side.namespace)
    assert ada.sees("status", "fraud").startswith("fraud  ")
    done = ada.says("promote", "fraud", "v1", "--to", "production")
    assert done.returncode == 4
    assert (
        "Ask for the verb patch on registeredmodels (group modelyard.io) in the namespace"
        f" {side.namespace}" in done.stderr
    )
    done = ada.says("train", "-e", "fraud")
    assert done.returncode == 4
    assert "the verb create on trainingruns" in done.stderr
    done = ada.says("runs", "list", "-A")
    assert done.returncode == 4
    assert "list trainingruns in the whole cluster" in done.stderr


def test_an_editor_without_promote_sees_the_verb_and_the_stage(
    side: Side, fraud: Manifest, guarded: None, tmp_path: Path
):
    write = {
        "apiGroups": ["modelyard.io"],
        "resources": ["registeredmodels"],
        "verbs": ["get", "list", "watch", "patch"],
    }
    dora = Person(side.user("dora", [*LOOK, write], tmp_path), side.namespace)
    done = until(
        lambda: (
            refused
            if (
                refused := dora.says("promote", "fraud", "v1", "--to", "production", "--dry-run")
            ).returncode
            else None
        ),
        "the policy",
    )
    assert done.returncode == 4
    assert "needs the verb promote on registeredmodels/production" in done.stderr


def test_doctor_names_problems_with_their_fixes(side: Side, fraud: Manifest, tmp_path: Path):
    done = Person(side.user("ada", LOOK, tmp_path), side.namespace).says("doctor", "-o", "json")
    found = json.loads(done.stdout)
    assert {each["subject"] for each in found} >= {
        "connection",
        "kinds",
        "rights",
        "operator",
        "objects",
        "storage",
    }
    promote = [each for each in found if each["words"].startswith("to promote to production")]
    fix = (
        "If you need this, ask for a Role with the verb promote on registeredmodels/production"
        " (group modelyard.io), or "
    )
    assert [(each["verdict"], each["cure"].startswith(fix)) for each in promote] == [
        ("warning", True)
    ], promote
    purge = "to purge: you may not purge experiments, purge trainingruns, purge registeredmodels"
    assert [each["verdict"] for each in found if each["words"] == purge] == ["warning"]
    # What the user may not read is reported, not left out.
    assert [each["verdict"] for each in found if each["subject"] in {"operator", "policies"}] == [
        "unknown",
        "unknown",
    ]
    storage = next(each["words"] for each in found if each["subject"] == "storage")
    assert (
        "Ask for the verb get on the Secret modelyard-connection alone in the namespace"
        f" {side.namespace}" in storage
    )
    assert not [
        each["cure"] for each in found if ".md" in each["cure"] and "repository" not in each["cure"]
    ]
    assert done.returncode == (1 if any(each["verdict"] == "bad" for each in found) else 0)


def test_doctor_reports_a_missing_namespace(side: Side):
    done = Person(side.server.kubeconfig, "nosuch").says("doctor", "-o", "json")
    found = json.loads(done.stdout)
    assert [(each["subject"], each["verdict"]) for each in found] == [
        ("connection", "ok"),
        ("namespace", "bad"),
    ]
    assert (found[-1]["words"], done.returncode) == ("There is no namespace nosuch.", 1)


def test_doctor_of_an_administrator_finds_no_operator_here(person: Person, fraud: Manifest):
    done = person.says("doctor")
    assert done.returncode == 1
    assert "✗ operator" in done.stdout
    assert "docs/install.md" in done.stdout
    assert "found a problem." in done.stdout.splitlines()[-1]


OPERATOR = {"app.kubernetes.io/name": "modelyard", "app.kubernetes.io/component": "operator"}


@pytest.fixture
def pulling(side: Side) -> Iterator[None]:
    """An operator whose pods pull with the Secrets registry and mirror; other tests must not find
    it.
    """
    pod = {
        "metadata": {"labels": OPERATOR},
        "spec": {
            "containers": [
                {
                    "name": "operator",
                    "image": "i",
                    "env": [{"name": "MODELYARD_IMAGE_PULL_SECRETS", "value": "registry,mirror"}],
                }
            ]
        },
    }
    path = f"/apis/apps/v1/namespaces/{side.namespace}/deployments"
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "modelyard", "labels": OPERATOR},
    }
    made = side.request(
        "POST", path, body | {"spec": {"selector": {"matchLabels": OPERATOR}, "template": pod}}
    )
    assert made.ok, made.message
    yield
    side.request("DELETE", f"{path}/modelyard")


@pytest.mark.usefixtures("pulling")
def test_doctor_looks_for_the_pull_secrets_of_the_namespace(
    side: Side, person: Person, fraud: Manifest
):
    def images() -> Manifest:
        return next(
            each
            for each in json.loads(person.says("doctor", "-o", "json").stdout)
            if each["subject"] == "images"
        )

    side.secret("registry", {"user": "x"})
    found = images()
    assert found["verdict"] == "warning"
    assert (
        "registry is no pull Secret (kubernetes.io/dockerconfigjson); mirror does not exist."
        in found["words"]
    )
    assert "docs/install.md, Images of a private registry" in found["cure"]
    side.delete("Secret", "registry")
    for name in ("registry", "mirror"):
        data = {".dockerconfigjson": base64.b64encode(b'{"auths": {}}').decode()}
        side.create("v1", "Secret", name, type="kubernetes.io/dockerconfigjson", data=data)
    assert (images()["verdict"], images()["words"]) == (
        "ok",
        "the pull Secrets registry, mirror exist",
    )


def test_an_unreachable_server_has_its_exit_code(tmp_path: Path, side: Side):
    path = tmp_path / "kubeconfig"
    path.write_text(
        kubeconfig(f"https://127.0.0.1:{free_ports(1)[0]}", side.server.ca.read_bytes(), "token")
    )
    done = Person(path, side.namespace).says("status")
    assert (done.returncode, done.stdout) == (5, "")
    assert "does not answer" in done.stderr


def test_a_watch_redraws_on_a_change_and_ends_at_an_interrupt(
    side: Side, person: Person, fraud: Manifest
):
    process = person.begins("status", "fraud", "--watch")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("fraud  ")
    side.patch("RegisteredModel", "fraud", {"spec": {"stages": {"production": {"version": "v1"}}}})
    assert any("v2 → v1" in process.stdout.readline() for _ in range(60))
    code, _, err = person.interrupts(process)
    assert (code, err) == (130, "")
