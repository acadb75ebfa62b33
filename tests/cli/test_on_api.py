"""The commands against a real API server: what they read and write, how they end, and what they say when they may not."""

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
VERSIONS = {"v1": {"runId": "1" * 32}, "v2": {"runId": "2" * 32}}
LOOK = [
    {"apiGroups": ["modelyard.io"], "resources": ["experiments", "trainingruns", "registeredmodels"], "verbs": ["get", "list", "watch"]}
]
TIME = "2026-01-01T00:00:00Z"


def registered(*names: str) -> list[Manifest]:
    return [{"name": name, "mlflowVersion": name[1:], "runId": name[1:] * 32, "flavor": "xgboost", "bytes": 1000} for name in names]


OLD, NEW = "modelyard/runtime:1.2.3", "modelyard/runtime:1.3.0"


def runtime(image: str = OLD) -> Manifest:
    return {"image": image, "revision": 1, "identity": "0a1b2c3d"}


def held(version: str | None, image: str = OLD, **more: Any) -> Manifest:
    """`status.stages` when a version is effective in production, as a merge patch."""
    effective = {"digest": "sha256:" + "0" * 64, "runtime": runtime(image)} if version else {}
    return {"production": {"version": version, "desired": version, "sinceTime": TIME, "blocked": None} | effective | more}


SYNCED = {"type": "Synced", "status": "True", "reason": "Synced", "message": "", "lastTransitionTime": TIME}
HISTORY = [
    {"time": TIME, "stage": "production", "to": "v1", "outcome": "Promoted"},
    {"time": "2026-01-01T01:00:00Z", "stage": "production", "from": "v1", "to": "v2", "outcome": "Promoted", "durationSeconds": 9},
]


def serves(side: Side, version: str | None, name: str = "fraud", **status: Any) -> Manifest:
    """Writes what the operator says when a version holds production."""
    known = {"stages": held(version), "versions": registered("v1", "v2"), "operatorRuntime": {"image": OLD, "revision": 1}}
    written = side.status("RegisteredModel", name, "Serving", "", ready=True, **(known | status))
    conditions = [*written["status"]["conditions"], SYNCED]
    return side.patch("RegisteredModel", name, {"status": {"conditions": conditions}}, "/status")


@pytest.fixture
def fraud(side: Side) -> Manifest:
    """The model fraud, with v2 in production and v1 before it."""
    side.ours("RegisteredModel", "fraud", {"versions": VERSIONS, "stages": {"production": {"version": "v2"}}})
    previous = {"version": "v1", "digest": "sha256:" + "1" * 64, "runtime": runtime()}
    return serves(side, "v2", history=HISTORY, stages=held("v2", previous=previous))


def run(side: Side, name: str = "fraud-1", **spec: Any) -> Manifest:
    return side.ours("TrainingRun", name, {"experiment": "fraud", "trainer": {"xgboost": {}}, **spec})


# --- looking ------------------------------------------------------------------------------------------
def test_a_model_is_seen_in_every_form(side: Side, person: Person, fraud: Manifest):
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
    assert (listed["kind"], [each["metadata"]["name"] for each in listed["items"]]) == ("List", ["fraud"])


def test_history_is_newest_first_for_people_and_as_it_is_for_programs(person: Person, fraud: Manifest):
    lines = person.sees("history", "fraud").splitlines()
    assert [line.split()[2:5] for line in lines[1:]] == [["production", "v1", "v2"], ["production", "-", "v1"]]
    entries = json.loads(person.sees("history", "fraud", "-o", "json"))
    assert [(entry.get("from"), entry["to"]) for entry in entries] == [(None, "v1"), ("v1", "v2")]


def test_runs_and_experiments_are_listed_and_shown(side: Side, person: Person):
    assert person.sees("runs", "list") == "No runs yet: `train` begins one.\n"
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
    assert person.sees("runs", "show", "fraud-1").startswith(f"fraud-1  {side.namespace}  Training\nThe pod runs.\n")
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
    assert wrong.stderr.startswith("Error: a filter knows no accuracy: there are name, namespace,")


def test_everywhere_names_the_namespace(side: Side, person: Person):
    run(side)
    heads, *lines = person.sees("runs", "list", "-A").splitlines()
    assert heads.split()[:2] == ["NAMESPACE", "NAME"]
    assert [side.namespace, "fraud-1"] in [line.split()[:2] for line in lines]


# --- promoting ----------------------------------------------------------------------------------------
def asked_for(side: Side, version: str) -> bool:
    return bool(side.get("RegisteredModel", "fraud")["spec"]["stages"]["production"]["version"] == version)


def test_a_promotion_is_one_patch_and_is_followed_to_its_end(side: Side, person: Person, fraud: Manifest):
    def operator(there: Side) -> None:
        until(lambda: asked_for(there, "v1"), "v1 is asked for")
        serves(there, "v1")

    with side.meanwhile("RegisteredModel", "fraud", operator):
        done = person.says("promote", "fraud", "v1", "--to", "production", "--reason", "v2 is too slow")
    assert done.returncode == 0, done.stderr
    assert f"{side.namespace}/fraud  production: v2 → v1" in done.stdout
    assert done.stdout.splitlines()[-1] == "production holds v1."
    after = side.get("RegisteredModel", "fraud")
    assert after["metadata"]["annotations"]["reason.modelyard.io/production"] == "v1: v2 is too slow"
    assert after["metadata"]["generation"] == fraud["metadata"]["generation"] + 1


def test_a_rejected_promotion_ends_with_its_reason(side: Side, person: Person, fraud: Manifest):
    def operator(there: Side) -> None:
        until(lambda: asked_for(there, "v1"), "v1 is asked for")
        blocked = {"reason": "ServingFailed", "message": "v1 was rejected, and v2 is still serving.", "needsAction": True}
        stages = held("v2", desired="v1", blocked=blocked)
        there.status("RegisteredModel", "fraud", "ServingFailed", "production: in other words", ready=False, stages=stages)

    with side.meanwhile("RegisteredModel", "fraud", operator):
        done = person.says("promote", "fraud", "v1", "--to", "production")
    assert done.returncode == 1
    assert done.stderr == f"Error: production of {side.namespace}/fraud: ServingFailed: v1 was rejected, and v2 is still serving.\n"


def test_the_steps_of_a_promotion_are_told_on_the_way(side: Side, person: Person, fraud: Manifest):
    process = person.begins("promote", "fraud", "v1", "--to", "production")
    until(lambda: asked_for(side, "v1"), "v1 is asked for")
    steps = [{"name": "admit", "state": "Done"}, {"name": "start", "state": "Active", "detail": "0 of 1 pods are ready"}]
    blocked = {"reason": "Promoting", "message": "v1 is starting next to v2, which is still serving."}
    side.status("RegisteredModel", "fraud", "Promoting", stages=held("v2", desired="v1", steps=steps, blocked=blocked))
    assert process.stdout is not None
    told = [process.stdout.readline()]
    while told[-1] and "v1 is starting" not in told[-1]:
        told.append(process.stdout.readline())
    assert told[-1] == "production: v1 is starting next to v2, which is still serving.\n"
    serves(side, "v1")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out.splitlines()[-1]) == (0, "production holds v1."), err


def test_a_change_that_another_user_supersedes_ends_at_once(side: Side, person: Person, fraud: Manifest):
    def other(there: Side) -> None:
        until(lambda: asked_for(there, "v1"), "v1 is asked for")
        there.patch("RegisteredModel", "fraud", {"spec": {"stages": {"production": {"version": "v2"}}}})

    with side.meanwhile("RegisteredModel", "fraud", other):
        done = person.says("promote", "fraud", "v1", "--to", "production")
    assert done.returncode == 1
    assert done.stderr == f"Error: production of {side.namespace}/fraud: Superseded: Another user has since asked for v2.\n"


def test_a_promotion_that_takes_too_long_says_so_and_leaves_it_going(side: Side, person: Person, fraud: Manifest):
    done = person.says("promote", "fraud", "v1", "--to", "production", "--timeout", "1")
    assert done.returncode == 6
    assert f"status fraud --watch -n {side.namespace}" in done.stderr
    assert asked_for(side, "v1")


def test_a_promotion_that_is_not_waited_for_prints_the_object_for_programs(side: Side, person: Person, fraud: Manifest):
    done = person.says("promote", "fraud", "v1", "--to", "production", "--no-wait", "-o", "json")
    assert json.loads(done.stdout)["spec"]["stages"]["production"]["version"] == "v1"
    assert "Asked for." in done.stderr


def test_a_dry_run_changes_nothing(side: Side, person: Person, fraud: Manifest):
    assert "nothing was changed" in person.sees("promote", "fraud", "v1", "--to", "production", "--dry-run")
    assert side.get("RegisteredModel", "fraud")["metadata"]["resourceVersion"] == fraud["metadata"]["resourceVersion"]


def test_what_holds_the_stage_already_is_not_written_again(side: Side, person: Person, fraud: Manifest):
    seen = person.sees("promote", "fraud", "v2", "--to", "production")
    assert seen == f"{side.namespace}/fraud  production: the spec asks for v2 already; nothing is written.\nproduction holds v2.\n"
    assert side.get("RegisteredModel", "fraud")["metadata"]["resourceVersion"] == fraud["metadata"]["resourceVersion"]


def test_a_rollback_goes_to_the_version_before_and_forgets_the_reason_of_the_last_change(side: Side, person: Person, fraud: Manifest):
    side.patch("RegisteredModel", "fraud", {"metadata": {"annotations": {"reason.modelyard.io/production": "v2: better"}}})

    def operator(there: Side) -> None:
        until(lambda: asked_for(there, "v1"), "v1 is asked for")
        serves(there, "v1")

    with side.meanwhile("RegisteredModel", "fraud", operator):
        seen = person.sees("rollback", "fraud", "--stage", "production")
    assert seen.startswith("Back to v1: it held the stage before.\n")
    assert "reason.modelyard.io/production" not in side.get("RegisteredModel", "fraud")["metadata"].get("annotations", {})


def test_a_rollback_of_a_change_that_is_under_way_keeps_what_holds_the_stage(side: Side, person: Person, fraud: Manifest):
    side.patch("RegisteredModel", "fraud", {"spec": {"stages": {"production": {"version": "v1"}}}})
    assert person.sees("rollback", "fraud", "--stage", "production", "--no-wait").startswith("Back to v2: it still holds the stage.\n")
    assert asked_for(side, "v2")


# --- refreshing ---------------------------------------------------------------------------------------
def attempt(side: Side, name: str = "fraud") -> int:
    return int(side.get("RegisteredModel", name)["spec"]["stages"]["production"].get("attempt", 0))


def upgraded(side: Side) -> None:
    """Writes the status as an operator of the next release does at its first look."""
    serves(side, "v2", operatorRuntime={"image": NEW, "revision": 1})


def test_a_stage_with_the_operators_runtime_is_not_refreshed(side: Side, person: Person, fraud: Manifest):
    seen = person.sees("refresh", "fraud")
    first = f"{side.namespace}/fraud  production: v2 is served with the operator's runtime already, {OLD}"
    assert seen == f"{first}\nNothing is to be refreshed; nothing is written.\n"
    assert attempt(side) == 0


@pytest.mark.parametrize("words", [("fraud",), ("fraud", "--stage", "production"), ("--all",)], ids=" ".join)
def test_a_refresh_raises_attempt_by_one_and_is_followed_to_its_end(side: Side, person: Person, fraud: Manifest, words: tuple[str, ...]):
    upgraded(side)

    def operator(there: Side) -> None:
        until(lambda: attempt(there) == 1, "a refresh is asked for")
        serves(there, "v2", operatorRuntime={"image": NEW, "revision": 1}, stages=held("v2", NEW, attempt=1))

    with side.meanwhile("RegisteredModel", "fraud", operator):
        done = person.says("refresh", *words, "--yes")
    assert done.returncode == 0, done.stderr
    first = f"{side.namespace}/fraud  production: v2 is served with {OLD}; the operator's is {NEW}"
    assert (done.stdout.splitlines()[0], done.stdout.splitlines()[-1]) == (first, f"production of {side.namespace}/fraud is refreshed.")
    assert asked_for(side, "v2")


def test_a_refresh_asks_first_and_needs_a_model_or_all(side: Side, person: Person, fraud: Manifest):
    upgraded(side)
    done = person.says("refresh", "fraud")
    assert done.returncode == 2
    assert "Refresh 1 stage? Nobody can be asked here: say --yes." in done.stderr
    for words in ((), ("fraud", "--all"), ("--all", "--stage", "production")):
        wrong = person.says("refresh", *words)
        assert wrong.returncode == 2
        assert "name a MODEL" in wrong.stderr
    assert "nothing was changed" in person.sees("refresh", "fraud", "--dry-run")
    assert person.says("refresh", "fraud", "--stage", "canary", "--yes").returncode == 3
    assert attempt(side) == 0


def test_a_refresh_that_fails_leaves_the_models_after_it_as_they_are(side: Side, person: Person, fraud: Manifest):
    upgraded(side)
    side.ours("RegisteredModel", "later", {"versions": VERSIONS, "stages": {"production": {"version": "v2"}}})
    serves(side, "v2", "later", operatorRuntime={"image": NEW, "revision": 1})

    def operator(there: Side) -> None:
        until(lambda: attempt(there) == 1, "a refresh is asked for")
        blocked = {"reason": "ServingFailed", "message": "v2 was rejected, and v2 is still serving.", "needsAction": True}
        there.status("RegisteredModel", "fraud", "ServingFailed", ready=False, stages=held("v2", blocked=blocked))

    with side.meanwhile("RegisteredModel", "fraud", operator):
        done = person.says("refresh", "--all", "--yes")
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: production of {side.namespace}/fraud: ServingFailed: v2 was rejected")
    assert attempt(side, "later") == 0


def test_a_rollback_without_a_version_before_is_refused(side: Side, person: Person, fraud: Manifest):
    side.patch("RegisteredModel", "fraud", {"status": {"history": HISTORY[:1], "stages": held("v1", previous=None)}}, "/status")
    side.patch("RegisteredModel", "fraud", {"spec": {"stages": {"production": {"version": "v1"}}}})
    done = person.says("rollback", "fraud", "--stage", "production")
    assert done.returncode == 3
    assert "name one with --to" in done.stderr


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("status", "nothing"), "There is no RegisteredModel"),
        (("runs", "show", "nothing"), "There is no TrainingRun"),
        (("promote", "fraud", "v9", "--to", "production"), "has no version v9. It has: v1, v2."),
        (("promote", "fraud", "v1", "--to", "prod"), "fraud has no stage prod. Its stages: production."),
        (("history", "fraud", "--stage", "prod"), "Its stages: production."),
        (("download", "fraud@v9", "/tmp/x"), "has no stage v9, nor a version of that name: it has v1, v2."),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else "",
)
def test_what_is_not_there_ends_with_3(person: Person, fraud: Manifest, words: tuple[str, ...], why: str):
    done = person.says(*words)
    assert (done.returncode, done.stdout) == (3, "")
    assert why in done.stderr


def test_where_nothing_purges_it_is_told_what_to_ask_for(person: Person):
    done = Person(person.kubeconfig, "").says("runs", "purge", "1" * 32, "--yes", "--operator-namespace", person.namespace)
    assert done.returncode == 3
    assert "purge.enabled" in done.stderr


# --- rights -------------------------------------------------------------------------------------------
@pytest.fixture
def guarded(cluster: Cluster) -> Iterator[None]:
    """The chart's policy on promotions."""
    paths = {
        "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
        "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
    }
    root = "/apis/admissionregistration.k8s.io/v1"
    policies = [each for each in manifests(ROOT / "manifests" / "base" / "modelyard.yaml") if each["kind"] in paths]
    admin = Cluster(cluster.server)
    for each in policies:
        answer = admin.request("POST", f"{root}/{paths[each['kind']]}", each)
        assert answer.ok, answer.message
    admin.close()
    yield
    for each in policies:
        admin.request("DELETE", f"{root}/{paths[each['kind']]}/{each['metadata']['name']}")
    admin.close()


def test_who_may_only_look_is_told_what_is_missing(side: Side, fraud: Manifest, tmp_path: Path):
    ada = Person(side.user("ada", LOOK, tmp_path), side.namespace)
    assert ada.sees("status", "fraud").startswith("fraud  ")
    done = ada.says("promote", "fraud", "v1", "--to", "production")
    assert done.returncode == 4
    assert f"Ask for the verb patch on registeredmodels (group modelyard.io) in the namespace {side.namespace}" in done.stderr
    done = ada.says("train", "-e", "fraud")
    assert done.returncode == 4
    assert "the verb create on trainingruns" in done.stderr
    done = ada.says("runs", "list", "-A")
    assert done.returncode == 4
    assert "list trainingruns in the whole cluster" in done.stderr


def test_who_may_write_but_not_promote_is_told_the_verb_and_the_stage(side: Side, fraud: Manifest, guarded: None, tmp_path: Path):
    write = {"apiGroups": ["modelyard.io"], "resources": ["registeredmodels"], "verbs": ["get", "list", "watch", "patch"]}
    dora = Person(side.user("dora", [*LOOK, write], tmp_path), side.namespace)
    done = until(
        lambda: refused if (refused := dora.says("promote", "fraud", "v1", "--to", "production", "--dry-run")).returncode else None,
        "the policy",
    )
    assert done.returncode == 4
    assert "needs the verb promote on registeredmodels/production" in done.stderr


def test_the_doctor_names_what_is_missing_with_its_cure(side: Side, fraud: Manifest, tmp_path: Path):
    done = Person(side.user("ada", LOOK, tmp_path), side.namespace).says("doctor", "-o", "json")
    found = json.loads(done.stdout)
    assert {each["subject"] for each in found} >= {"connection", "kinds", "rights", "operator", "objects", "storage"}
    promote = [each for each in found if each["words"].startswith("to promote to production")]
    assert [(each["verdict"], each["cure"]) for each in promote] == [("warning", "If you need it, ask for modelyard-release-manager.")]
    assert done.returncode == (1 if any(each["verdict"] == "bad" for each in found) else 0)


def test_the_doctor_of_an_administrator_finds_no_operator_here(person: Person, fraud: Manifest):
    done = person.says("doctor")
    assert done.returncode == 1
    assert "✗ operator" in done.stdout
    assert "docs/install.md" in done.stdout
    assert "need a cure." in done.stdout.splitlines()[-1]


def test_nobody_answers(tmp_path: Path, side: Side):
    path = tmp_path / "kubeconfig"
    path.write_text(kubeconfig(f"https://127.0.0.1:{free_ports(1)[0]}", side.server.ca.read_bytes(), "token"))
    done = Person(path, side.namespace).says("status")
    assert (done.returncode, done.stdout) == (5, "")
    assert "does not answer" in done.stderr


def test_a_watch_draws_anew_when_something_changes_and_ends_at_an_interrupt(side: Side, person: Person, fraud: Manifest):
    process = person.begins("status", "fraud", "--watch")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("fraud  ")
    side.patch("RegisteredModel", "fraud", {"spec": {"stages": {"production": {"version": "v1"}}}})
    assert any("v2 → v1" in process.stdout.readline() for _ in range(60))
    code, _, err = person.interrupts(process)
    assert (code, err) == (130, "")
