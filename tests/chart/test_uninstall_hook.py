"""The hook that deletes objects before the operator is uninstalled, on a real API server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chart.api import EXPERIMENTS, MODELS, RUNS, Api, eventually, path_of
from tests.chart.conftest import wait_for_policies
from tests.chart.helm import (
    CHART,
    NAMESPACE,
    RELEASE,
    TEST_VALUES,
    documents,
    find,
    helm,
    install,
    kubectl,
)
from tests.chart.values import CREDIT, SETS
from tests.cluster.apiserver import ApiServer

pytestmark = pytest.mark.api


def uninstaller(
    server: ApiServer,
    folder: Path,
    *arguments: str,
    token: str | None = None,
    seconds: int = 60,
    policies: str = "",
) -> subprocess.Popen[str]:
    """Return the hook's script, as its pod would run it."""
    folder.mkdir()
    (folder / "token").write_text(token or server.token)
    (folder / "ca.crt").write_bytes(server.ca.read_bytes())
    host, port = re.fullmatch(r"https://(.+):(\d+)", server.url).groups()
    env = {
        "KUBERNETES_SERVICE_HOST": host,
        "KUBERNETES_SERVICE_PORT": port,
        "SERVICE_ACCOUNT": str(folder),
        "SECONDS_TO_WAIT": str(seconds),
        "POLICIES": policies,
    }
    # There is no proxy between a pod and its API server.
    clean = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    return subprocess.Popen(
        [sys.executable, CHART / "files" / "uninstall.py", *arguments],
        env=clean | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


OBJECTS = {
    EXPERIMENTS: {"kind": "Experiment", "spec": {}},
    RUNS: {"kind": "TrainingRun", "spec": {"experiment": "fraud", "trainer": {"xgboost": {}}}},
    MODELS: {"kind": "RegisteredModel", "spec": {}},
}


def populate(admin: Api, namespace: str) -> list[str]:
    """Create one object of each kind, with the operator's finalizer; return their paths."""
    for resource, body in OBJECTS.items():
        metadata = {"name": "fraud", "finalizers": ["modelyard.io/external-cleanup"]}
        answer = admin.create(
            path_of(resource, namespace),
            {"apiVersion": "modelyard.io/v1alpha1", "metadata": metadata, **body},
        )
        assert answer.code == 201, answer.message
    return [path_of(resource, namespace, "fraud") for resource in OBJECTS]


def left_of(admin: Api, plural: str) -> set[str]:
    """Return the names of the objects of an admission kind."""
    return {
        each["metadata"]["name"]
        for each in admin.get(path_of(f"admissionregistration.k8s.io/v1/{plural}")).body["items"]
    }


def is_deleted(admin: Api, path: str) -> bool:
    return "deletionTimestamp" in admin.get(path).body["metadata"]


def test_the_hook_deletes_waits_for_the_operator_and_leaves_other_namespaces_alone(
    clean, values, tmp_path
):
    admin = Api(clean)
    install(clean.kubeconfig, TEST_VALUES, values({"tenants": [CREDIT]}))
    mine, others = populate(admin, "risk"), populate(admin, "credit")
    script = uninstaller(clean, tmp_path / "account", "risk")
    for path in mine:
        eventually(lambda path=path: is_deleted(admin, path), f"{path} is being deleted")
    assert script.poll() is None
    for path in mine:
        assert admin.merge(path, {"metadata": {"finalizers": None}}).code == 200
    out, _ = script.communicate(timeout=240)
    assert script.returncode == 0, out
    assert "waiting for the deletion of 3 objects" in out
    assert "no object is left" in out
    assert not any(is_deleted(admin, path) for path in others)


def test_the_hook_names_objects_that_are_not_deleted(clean, tmp_path):
    admin = Api(clean)
    install(clean.kubeconfig, TEST_VALUES)
    paths = populate(admin, "risk")
    script = uninstaller(clean, tmp_path / "account", "--all", seconds=1)
    out, _ = script.communicate(timeout=240)
    assert script.returncode == 1
    assert (
        "3 objects still exist after 1 s: registeredmodels risk/fraud, trainingruns risk/fraud,"
        " experiments risk/fraud." in out
    )
    assert "helm uninstall --no-hooks" in out
    assert all(is_deleted(admin, path) for path in paths)


def test_without_crds_the_hook_has_nothing_to_do(clean, tmp_path):
    script = uninstaller(clean, tmp_path / "account", "--all")
    out, _ = script.communicate(timeout=240)
    assert (script.returncode, out.strip()) == (
        0,
        "no object is left for the operator to finalize",
    )


def test_the_hooks_rights_suffice(clean, values, tmp_path):
    """With the hook's own account and roles: it deletes a model with versions in all possible
    stages, and objects with purging.
    """
    admin = Api(clean)
    install(clean.kubeconfig, TEST_VALUES)
    # Helm would create these only while it uninstalls.
    manifest = helm("get", "hooks", RELEASE, "--namespace", NAMESPACE, kubeconfig=clean.kubeconfig)
    kubectl("apply", "--filename", "-", kubeconfig=clean.kubeconfig, stdin=manifest)
    kubectl(
        "create",
        "rolebinding",
        "ed",
        "-n",
        "risk",
        "--clusterrole=modelyard-editor",
        "--user=ed",
        kubeconfig=clean.kubeconfig,
    )
    wait_for_policies(admin, editor="ed")
    model = {
        "apiVersion": "modelyard.io/v1alpha1",
        "kind": "RegisteredModel",
        "metadata": {"name": "fraud"},
    }
    stages = {f"stage-{number}": {"version": "v1"} for number in range(16)}
    spec = {"deletionPolicy": "Delete", "versions": {"v1": {"runId": "r"}}, "stages": stages}
    assert admin.create(path_of(MODELS, "risk"), model | {"spec": spec}).code == 201
    run = {"apiVersion": "modelyard.io/v1alpha1", "metadata": {"name": "fraud-1"}, **OBJECTS[RUNS]}
    run["spec"] = {**run["spec"], "deletionPolicy": "Delete"}
    assert admin.create(path_of(RUNS, "risk"), run).code == 201
    request = {"spec": {"expirationSeconds": 600}}
    token = admin.create(
        f"{path_of('v1/serviceaccounts', NAMESPACE, f'{RELEASE}-uninstall')}/token", request
    ).body["status"]["token"]
    script = uninstaller(clean, tmp_path / "account", "risk", token=token)
    out, _ = script.communicate(timeout=240)
    assert script.returncode == 0, out
    assert admin.get(path_of(MODELS, "risk", "fraud")).code == 404
    assert admin.get(path_of(RUNS, "risk", "fraud-1")).code == 404
    other = uninstaller(clean, tmp_path / "other", NAMESPACE, token=token)
    out, _ = other.communicate(timeout=240)
    assert other.returncode == 1
    assert "403" in out
    kubectl(
        "delete",
        "--filename",
        "-",
        "--ignore-not-found",
        kubeconfig=clean.kubeconfig,
        stdin=manifest,
    )


def test_the_hook_deletes_the_policies_if_the_crds_are_deleted(clean, values, tmp_path):
    admin = Api(clean)
    install(clean.kubeconfig, values(SETS["nothing kept"]))
    manifest = helm("get", "hooks", RELEASE, "--namespace", NAMESPACE, kubeconfig=clean.kubeconfig)
    kubectl("apply", "--filename", "-", kubeconfig=clean.kubeconfig, stdin=manifest)
    job = find(documents(manifest), "Job", f"{RELEASE}-uninstall")["spec"]["template"]["spec"][
        "containers"
    ][0]
    policies = next(each["value"] for each in job["env"] if each["name"] == "POLICIES")
    assert (
        set(policies.split())
        == left_of(admin, "validatingadmissionpolicies")
        == left_of(admin, "validatingadmissionpolicybindings")
    )
    request = {"spec": {"expirationSeconds": 600}}
    token = admin.create(
        f"{path_of('v1/serviceaccounts', NAMESPACE, f'{RELEASE}-uninstall')}/token", request
    ).body["status"]["token"]
    script = uninstaller(
        clean, tmp_path / "account", *job["command"][2:], token=token, policies=policies
    )
    out, _ = script.communicate(timeout=240)
    assert script.returncode == 0, out
    assert not left_of(admin, "validatingadmissionpolicies") | left_of(
        admin, "validatingadmissionpolicybindings"
    )
    kubectl(
        "delete",
        "--filename",
        "-",
        "--ignore-not-found",
        kubeconfig=clean.kubeconfig,
        stdin=manifest,
    )
