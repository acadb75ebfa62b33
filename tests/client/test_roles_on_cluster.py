"""The chart's three roles on the kind cluster: exactly what each may do, and the refusals."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelyard.client.client import Client
from modelyard.client.errors import NotAllowed
from tests.cluster.apiserver import kubeconfig
from tests.demo import install
from tests.e2e.tenant import QUICK, Tenant

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

VIEWER, EDITOR, MANAGER = "viewer", "editor", "release-manager"
RUN = {
    "apiVersion": "modelyard.io/v1alpha1",
    "kind": "TrainingRun",
    "metadata": {"name": "new"},
    "spec": {"experiment": "fraud", **QUICK},
}

# An action, the roles that may do it, and the (verb, resource) that is missing for a user who may
# otherwise change the object.
ACTIONS: dict[str, tuple[Callable[[Client], Any], set[str], tuple[str, str]]] = {
    "look": (
        lambda client: (client.models.list(), client.runs.list(), client.experiments.list()),
        {VIEWER, EDITOR, MANAGER},
        ("", ""),
    ),
    "train": (
        lambda client: client.kube.create(RUN, dry_run=True),
        {EDITOR},
        ("create", "trainingruns"),
    ),
    "declare a version": (
        lambda client: client.kube.patch(
            "RegisteredModel", "fraud", {"spec": {"versions": {"v2": {"runId": "b"}}}}, dry_run=True
        ),
        {EDITOR, MANAGER},
        ("patch", "registeredmodels"),
    ),
    "delete a run": (
        lambda client: client.runs.delete("old"),
        {EDITOR},
        ("delete", "trainingruns"),
    ),
    "promote": (
        lambda client: client.kube.patch(
            "RegisteredModel",
            "fraud",
            {"spec": {"stages": {"staging": {"version": "v1"}}}},
            dry_run=True,
        ),
        {MANAGER},
        ("promote", "registeredmodels/staging"),
    ),
    "purge": (
        lambda client: client.kube.patch(
            "Experiment", "fraud", {"spec": {"deletionPolicy": "Delete"}}, dry_run=True
        ),
        {MANAGER},
        ("purge", "experiments"),
    ),
}


def person(tenant: Tenant, role: str, folder: Path) -> Path:
    """Return the kubeconfig of a service account that has only this role of the chart in the
    namespace.
    """
    tenant.kube.kubectl("-n", tenant.name, "create", "serviceaccount", role)
    binding = [
        "create",
        "rolebinding",
        role,
        f"--clusterrole={install.RELEASE}-{role}",
        f"--serviceaccount={tenant.name}:{role}",
    ]
    tenant.kube.kubectl("-n", tenant.name, *binding)
    token = tenant.kube.kubectl("-n", tenant.name, "create", "token", role).strip()
    cluster = json.loads(tenant.kube.kubectl("config", "view", "--raw", "-o", "json"))["clusters"][
        0
    ]["cluster"]
    path = folder / f"{role}.kubeconfig"
    path.write_text(
        kubeconfig(
            cluster["server"], base64.b64decode(cluster["certificate-authority-data"]), token
        )
    )
    return path


def missing(act: Callable[[Client], Any], client: Client) -> tuple[str, str, str] | None:
    """Return the right that an action lacks: verb, resource, namespace; None if it succeeds."""
    try:
        act(client)
    except NotAllowed as error:
        return error.verb, error.resource, error.namespace
    return None


def expected(tenant: Tenant, role: str) -> dict[str, tuple[str, str, str] | None]:
    """Return the right that a role lacks, by action.

    A role that may change nothing lacks `patch`, which is checked before the stage's verb.
    """
    lacks = {
        name: ("patch", resource.partition("/")[0])
        if role == VIEWER and verb in {"promote", "purge"}
        else (verb, resource)
        for name, (_, _, (verb, resource)) in ACTIONS.items()
    }
    return {
        name: None if role in allowed else (*lacks[name], tenant.name)
        for name, (_, allowed, _) in ACTIONS.items()
    }


def test_each_role_may_do_exactly_what_it_says(tenant: Tenant, tmp_path: Path):
    tenant.experiment()
    tenant.run("old", suspend=True)
    tenant.model(versions={"v1": {"runId": "a"}})
    for role in (VIEWER, MANAGER, EDITOR):  # the one that may delete the run comes last
        with Client(tenant.name, kubeconfig=str(person(tenant, role, tmp_path))) as client:
            found = {name: missing(act, client) for name, (act, _, _) in ACTIONS.items()}
        assert found == expected(tenant, role), role
