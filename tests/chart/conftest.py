"""An API server for the tests of the chart, and the chart installed on one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chart.api import EXPERIMENTS, MODELS, RUNS, Api, eventually, path_of, wait_storage
from tests.chart.helm import NAMESPACE, RELEASE, TEST_VALUES, helm, install, kubectl
from tests.cluster.apiserver import ApiServer, running

# Users with the chart's roles, in the namespace `risk`.
PEOPLE = {
    "vera-the-viewer": ["modelyard-viewer"],
    "dora-the-data-scientist": ["modelyard-editor"],
    "rita-the-release-manager": ["modelyard-release-manager"],
    "anna-the-approver": ["modelyard-approver"],
    "lea-the-lead": ["modelyard-editor", "modelyard-release-manager"],
    "stan-of-staging": ["modelyard-editor", "staging-only"],
    "fred-of-fraud": ["modelyard-editor", "fraud-only"],
}


@pytest.fixture(scope="package")
def server() -> Iterator[ApiServer]:
    """A bare API server, with the namespace controller and the garbage collector."""
    with running(controllers=True) as started:
        yield started


@pytest.fixture(scope="package")
def installed() -> Iterator[ApiServer]:
    """An API server with the chart, its demo tenant `risk`, and users with its roles there."""
    with running(controllers=True) as started:
        install(started.kubeconfig, TEST_VALUES)
        admin = Api(started)
        for name, rule in {
            "staging-only": {"resources": ["registeredmodels/staging"]},
            "fraud-only": {
                "resources": ["registeredmodels/production"],
                "resourceNames": ["fraud"],
            },
        }.items():
            role = {
                "metadata": {"name": name},
                "rules": [{"apiGroups": ["modelyard.io"], "verbs": ["promote"], **rule}],
            }
            assert (
                admin.create(path_of("rbac.authorization.k8s.io/v1/clusterroles"), role).code == 201
            )
        for person, roles in PEOPLE.items():
            for role in roles:
                binding = {
                    "metadata": {"name": f"{person}-{role}"},
                    "roleRef": {
                        "apiGroup": "rbac.authorization.k8s.io",
                        "kind": "ClusterRole",
                        "name": role,
                    },
                    "subjects": [
                        {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": person}
                    ],
                }
                assert (
                    admin.create(
                        path_of("rbac.authorization.k8s.io/v1/rolebindings", "risk"), binding
                    ).code
                    == 201
                )
        wait_for_policies(admin)
        yield started


# Namespaces that releases of these tests create.
MADE = ("risk", "credit")


@pytest.fixture
def clean(server) -> Iterator[ApiServer]:
    """The bare server; afterwards the remains of the test's release are removed, without hooks."""
    yield server
    if RELEASE in helm(
        "list", "--short", "--all", "--namespace", NAMESPACE, kubeconfig=server.kubeconfig
    ):
        uninstall(server)
    admin = Api(server)
    release_all(admin)
    # Before the CRDs: the deletion of a namespace takes long if a kind is removed meanwhile.
    delete_namespaces(admin)
    wait_storage(admin)
    kubectl("delete", "crd", "--all", "--wait=false", kubeconfig=server.kubeconfig)
    eventually(
        lambda: (
            not admin.get(path_of("apiextensions.k8s.io/v1/customresourcedefinitions")).body[
                "items"
            ]
        ),
        "the CRDs are gone",
    )


@pytest.fixture
def without_namespaces(server) -> ApiServer:
    """The bare server without the namespaces of releases, which tests of other files may leave."""
    delete_namespaces(Api(server))
    return server


def delete_namespaces(admin: Api) -> None:
    for name in MADE:
        admin.delete(path_of("v1/namespaces", name=name))
    eventually(
        lambda: all(admin.get(path_of("v1/namespaces", name=name)).code == 404 for name in MADE),
        "the namespaces are gone",
    )


def release_all(admin: Api) -> None:
    """Remove all finalizers, as the operator would."""
    for resource in (EXPERIMENTS, RUNS, MODELS):
        for item in admin.get(path_of(resource)).body.get("items", []):
            meta = item["metadata"]
            admin.merge(
                path_of(resource, meta["namespace"], meta["name"]),
                {"metadata": {"finalizers": None}},
            )


def uninstall(server: ApiServer) -> None:
    """Uninstall the release without hooks, because no pods run here."""
    wait_storage(Api(server))
    helm("uninstall", RELEASE, "--no-hooks", "--namespace", NAMESPACE, kubeconfig=server.kubeconfig)


@pytest.fixture
def values(tmp_path):
    """Return a function that writes values to a file and returns its path."""

    def write(content: dict[str, Any]) -> Path:
        file = tmp_path / f"values-{len(list(tmp_path.iterdir()))}.json"
        file.write_text(json.dumps(content))
        return file

    return write


def wait_for_policies(admin: Api, editor: str = "dora-the-data-scientist") -> None:
    """Wait until the policies are in force, which takes a moment: an editor is refused by both."""
    dora = admin.as_user(editor)
    promotion = {
        "apiVersion": "modelyard.io/v1alpha1",
        "kind": "RegisteredModel",
        "metadata": {"name": "probe"},
        "spec": {"stages": {"a": {"version": "v1"}}},
    }
    purge = promotion | {"spec": {"deletionPolicy": "Delete"}}
    path = path_of(MODELS, "risk") + "?dryRun=All"
    for body, word in ((promotion, "promote"), (purge, "purge")):

        def refused(body=body, word=word) -> bool:
            answer = dora.create(path, body)
            return answer.code == 403 and f"the verb {word}" in answer.message

        eventually(refused, f"the policy for {word} refuses")
