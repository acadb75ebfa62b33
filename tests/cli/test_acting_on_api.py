"""The command line as another user, on a real API server with the chart's policies: it has exactly
that user's rights.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Person
from tests.cli.served import TIME, held
from tests.client.side import Side
from tests.harness import Manifest, until

KINDS = ["experiments", "trainingruns", "registeredmodels"]
VIEW = [{"apiGroups": ["modelyard.io"], "resources": KINDS, "verbs": ["get", "list", "watch"]}]
EDIT = [
    {
        "apiGroups": ["modelyard.io"],
        "resources": KINDS,
        "verbs": ["get", "list", "watch", "create", "patch", "delete"],
    }
]


@pytest.fixture
def people(side: Side, policies: None, tmp_path: Path) -> dict[str, str]:
    """Return the user names of vera, a viewer, and dan, an editor: neither may promote."""
    for name, rules in (("vera", VIEW), ("dan", EDIT)):
        side.user(name, rules, tmp_path)
    return {name: f"system:serviceaccount:{side.namespace}:{name}" for name in ("vera", "dan")}


PROMOTE = ("promote", "fraud", "v1", "--to", "production", "--dry-run")


def test_a_promotion_is_requested_as_the_named_user(
    person: Person, fraud: Manifest, people: dict[str, str]
):
    done = person.says(*PROMOTE, "--as", people["vera"])
    assert done.returncode == 4, done.stdout
    assert "vera may not patch registeredmodels" in done.stderr
    done = until(
        lambda: (it := person.says(*PROMOTE, "--as", people["dan"])).returncode != 0 and it,
        "the policies are in force",
        60,
    )
    assert done.returncode == 4, done.stderr
    assert (
        f"dan may not change stage production (version) of {person.namespace}/fraud" in done.stderr
    )
    assert "needs the verb promote on registeredmodels/production" in done.stderr


def test_a_retry_needs_the_right_to_promote(
    side: Side, person: Person, fraud: Manifest, people: dict[str, str]
):
    side.patch("RegisteredModel", "fraud", {"spec": {"stages": {"production": {"version": "v1"}}}})
    rejected = {
        "version": "v1",
        "digest": "sha256:" + "1" * 64,
        "specHash": "0",
        "reason": "GateFailed",
        "message": "",
        "time": TIME,
    }
    blocked = {"reason": "GateFailed", "message": "v1 was rejected.", "needsAction": True}
    stages = held("v2", desired="v1", blocked=blocked, rejected=[rejected | {"attempt": 0}])
    side.status(
        "RegisteredModel",
        "fraud",
        "GateFailed",
        "production: v1 was rejected.",
        ready=False,
        stages=stages,
    )
    retry = ("retry", "fraud", "--stage", "production", "--dry-run", "--as", people["dan"])
    done = until(
        lambda: it if (it := person.says(*retry)).returncode else None,
        "the policies are in force",
        60,
    )
    assert done.returncode == 4, done.stderr
    assert (
        f"dan may not change stage production (attempt) of {person.namespace}/fraud" in done.stderr
    )
    assert "needs the verb promote on registeredmodels/production" in done.stderr


def test_verifying_needs_the_right_to_promote(
    person: Person, fraud: Manifest, people: dict[str, str]
):
    verify = ("verify", "fraud", "--stage", "production", "--dry-run", "--as", people["dan"])
    done = until(
        lambda: it if (it := person.says(*verify)).returncode else None,
        "the policies are in force",
        60,
    )
    assert done.returncode == 4, done.stderr
    assert (
        f"dan may not change stage production (reverify) of {person.namespace}/fraud" in done.stderr
    )
    assert not done.stdout


def test_impersonation_in_a_kubeconfig_is_used(
    side: Side, fraud: Manifest, people: dict[str, str], tmp_path: Path
):
    config = json.loads(side.server.kubeconfig.read_text())
    config["users"][0]["user"]["as"] = people["vera"]
    (tmp_path / "as-vera").write_text(json.dumps(config))
    done = Person(tmp_path / "as-vera", side.namespace).says(*PROMOTE)
    assert done.returncode == 4, done.stdout
    assert "vera may not patch registeredmodels" in done.stderr


def test_doctor_shows_that_user_s_rights(person: Person, fraud: Manifest, people: dict[str, str]):
    found = json.loads(person.says("doctor", "-o", "json", "--as", people["vera"]).stdout)
    words = [each["words"] for each in found if each["subject"] == "rights"]
    assert any(each.startswith("to train: you may not create trainingruns") for each in words), (
        words
    )
    assert any(
        each.startswith("to promote to production: you may not promote") for each in words
    ), words
    assert words[-1] == "to read"


def test_hints_repeat_the_impersonated_user(person: Person, fraud: Manifest, side: Side):
    words = ("--as", "ada", "--as-group", "system:masters")
    done = person.says("promote", "fraud", "v1", "--to", "production", "--no-wait", *words)
    assert done.returncode == 0, done.stderr
    assert f"-n {side.namespace} {' '.join(words)}" in " ".join((done.stdout + done.stderr).split())


def test_groups_without_a_user_are_a_usage_error(person: Person):
    done = person.says("status", "--as-group", "team")
    assert done.returncode == 2
    assert "no user to act as: name the user too (--as; `as` in a kubeconfig)" in done.stderr
