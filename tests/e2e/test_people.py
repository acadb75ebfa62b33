"""Users on a real cluster, each with their own kubeconfig: two approve a third one's request; an
override is set, and ends.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.fixtures import Trained
from tests.e2e.tenant import SERVING, Tenant, make_namespace

pytestmark = pytest.mark.e2e

APPROVED = {"name": "approved", "approvals": {"atLeast": 2}}


@dataclass(frozen=True)
class Person:
    """A user with their own kubeconfig."""

    name: str
    kubeconfig: Path
    tenant: Tenant

    def says(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command line in the tenant's namespace."""
        command = [sys.executable, "-m", "modelyard", *words, "-n", self.tenant.name]
        environment = self.tenant.kube.environment | {"KUBECONFIG": str(self.kubeconfig)}
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=300
        )

    def patch(self, stage: dict[str, Any]) -> None:
        """Patch production."""
        patch = json.dumps({"spec": {"stages": {"production": stage}}})
        words = (
            "--kubeconfig",
            str(self.kubeconfig),
            "-n",
            self.tenant.name,
            "patch",
            "mlmodel",
            "fraud",
            "--type",
            "merge",
            "-p",
            patch,
        )
        self.tenant.kube.kubectl(*words)


class People:
    """Users of a tenant: service accounts of another namespace, because those of its own cannot
    approve.
    """

    def __init__(self, tenant: Tenant, folder: Path) -> None:
        self._tenant, self._folder = tenant, folder
        self.home = make_namespace(
            tenant.kube, f"people-of-{tenant.name}"[:40].strip("-"), connected=False
        )
        self._config = json.loads(
            tenant.kube.kubectl("config", "view", "--raw", "--minify", "-o", "json")
        )

    def comes(self, name: str, *roles: str) -> Person:
        """Create a user with these ClusterRoles in the tenant's namespace."""
        kube, home = self._tenant.kube, self.home.name
        kube.kubectl("-n", home, "create", "serviceaccount", name)
        for role in roles:
            binding = (
                "create",
                "rolebinding",
                f"{name}-{role}",
                f"--clusterrole={role}",
                f"--serviceaccount={home}:{name}",
            )
            kube.kubectl("-n", self._tenant.name, *binding)
        token = kube.kubectl("-n", home, "create", "token", name).strip()
        users = [{"name": each["name"], "user": {"token": token}} for each in self._config["users"]]
        path = self._folder / f"{name}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(json.dumps(self._config | {"users": users}))
        return Person(f"system:serviceaccount:{home}:{name}", path, self._tenant)


@pytest.fixture
def people(tenant: Tenant, tmp_path: Path) -> Iterator[People]:
    there = People(tenant, tmp_path)
    yield there
    tenant.kube.kubectl(
        "delete", "namespace", there.home.name, "--ignore-not-found", "--wait=false"
    )


def serves_v1(tenant: Tenant, trained: Trained) -> None:
    """Make v1 effective in production, with v2 registered."""
    versions = {
        "v1": {"uri": tenant.copy_model(trained.v1, "v1")},
        "v2": {"uri": tenant.copy_model(trained.v2, "v2")},
    }
    tenant.apply(
        "RegisteredModel",
        "fraud",
        {"versions": versions, "stages": {"production": {"version": "v1", "serving": SERVING}}},
    )
    tenant.serves("v1")


def approved(tenant: Tenant) -> tuple[str, str]:
    """Return the gate's result."""
    found = [(gate["verdict"], gate["message"]) for gate in tenant.stage().get("gates", ())]
    return found[0] if found else ("", "")


def test_two_users_approve_a_third_one_s_request_and_no_request_is_lost(
    tenant: Tenant, trained: Trained, people: People
):
    serves_v1(tenant, trained)
    rita = people.comes("rita", "edit", "modelyard-release-manager")
    ada, bob = (people.comes(name, "modelyard-approver") for name in ("ada", "bob"))
    rita.patch({"gates": [APPROVED], "requestedBy": rita.name})
    with tenant.load() as load:
        load.wait_for("v1", 50)
        asked = rita.says("promote", "fraud", "v2", "--to", "production")
        assert asked.returncode == 6, asked.stdout + asked.stderr
        assert "ApprovalWanted" in asked.stderr
        tenant.wait("an event says so", lambda: tenant.events("ApprovalWanted"))
        own = rita.says("approve", "fraud", "v2", "--stage", "production")
        assert (own.returncode, f"{rita.name} asked for v2" in own.stderr) == (1, True), own.stderr
        first = ada.says(
            "approve", "fraud", "v2", "--stage", "production", "--comment", "checked on August"
        )
        assert first.returncode == 0, first.stderr
        tenant.wait("one counts", lambda: approved(tenant) == ("Pending", f"1 of 2: {ada.name}"))
        assert tenant.pods() == {"v1"}, "while people are awaited the candidate has no pods"
        refused = ada.says("promote", "fraud", "v1", "--to", "production")
        assert refused.returncode == 4, refused.stderr
        second = bob.says("approve", "fraud", "v2", "--stage", "production")
        assert second.returncode == 0, second.stderr
        tenant.serves("v2")
        load.wait_for("v2", 100)
        result = load.end()
    assert result.lost == 0, result.errors
    assert set(result.answered) == {"v1", "v2"}
    # A status has room for 140 characters of a message.
    verdict, message = approved(tenant)
    assert (verdict, message) == ("Pass", f"2 of 2: {ada.name}, {bob.name}"[:140])
    assert "2 of 2" in rita.says("status", "fraud").stdout, (
        "its lines are cut where the names are long"
    )


def test_an_ended_override_leaves_its_version_until_a_user_decides(
    tenant: Tenant, trained: Trained, people: People
):
    serves_v1(tenant, trained)
    rita = people.comes("rita", "edit", "modelyard-release-manager")
    nina = people.comes("nina", "edit", "modelyard-overrider")
    rita.patch({"gates": [APPROVED], "requestedBy": rita.name})
    words = ("override", "fraud", "v2", "--stage", "production", "--reason", "incident 4711")
    refused = rita.says(*words)
    assert refused.returncode == 4, refused.stdout + refused.stderr
    assert "it needs the verb override on registeredmodels/production" in refused.stderr
    with tenant.load() as load:
        load.wait_for("v1", 50)
        done = nina.says(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        load.wait_for("v2", 100)
        # It ends sooner: another end is another override, of the version that is effective already.
        until = (datetime.now(UTC) + timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
        nina.patch({"override": {"version": "v2", "reason": "incident 4711", "until": until}})
        said = tenant.says("RegisteredModel", "fraud", "OverrideEnded")["message"]
        assert (
            "v2 is still serving. Make it the version: modelyard promote fraud v2 --to production"
            in said
        )
        tenant.wait(
            "v2 has the stage alone",
            lambda: (tenant.stage()["version"], tenant.pods()) == ("v2", {"v2"}),
        )
        taken_off = nina.says("override", "fraud", "--stage", "production", "--end")
        assert taken_off.returncode == 0, taken_off.stderr
        assert "rollback fraud --stage production --to v1" in taken_off.stdout
        back = rita.says("rollback", "fraud", "--stage", "production", "--to", "v1")
        assert back.returncode == 0, back.stdout + back.stderr
        tenant.serves("v1")
        result = load.end()
    assert result.lost == 0, result.errors
    outcomes = [
        (each["outcome"], each["to"]) for each in tenant.status("RegisteredModel")["history"]
    ]
    assert outcomes == [
        ("Promoted", "v1"),
        ("Overridden", "v2"),
        ("OverrideEnded", "v2"),
        ("RolledBack", "v1"),
    ]
    tenant.wait(
        "events say so",
        lambda: len(tenant.events("Overridden")) == 1 and tenant.events("OverrideEnded"),
    )
