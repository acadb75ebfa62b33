"""The harness without kubelet is a real API server: it validates, admits, collects garbage, and
leaves nothing behind.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.apiserver import ApiServer, Processes, answers, running
from tests.cluster.console import Failed
from tests.cluster.settings import Settings

pytestmark = pytest.mark.api

WIDGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.test.modelyard.io"},
    "spec": {
        "group": "test.modelyard.io",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {"size": {"type": "integer"}},
                                "x-kubernetes-validations": [
                                    {"rule": "self.size < 10", "message": "too big"}
                                ],
                            }
                        },
                    }
                },
            }
        ],
    },
}
POLICY = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicy",
    "metadata": {"name": "no-forbidden"},
    "spec": {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE"],
                    "resources": ["configmaps"],
                }
            ]
        },
        "validations": [
            {"expression": "object.metadata.name != 'forbidden'", "message": "not this one"}
        ],
    },
}
BINDING = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicyBinding",
    "metadata": {"name": "no-forbidden"},
    "spec": {"policyName": "no-forbidden", "validationActions": ["Deny"]},
}


def kubectl(
    server: ApiServer, *words: str, given: dict[str, Any] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [str(Settings.read().bin / "kubectl"), "--kubeconfig", str(server.kubeconfig), *words]
    return subprocess.run(
        command,
        input=json.dumps(given) if given else None,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def create(server: ApiServer, given: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    return kubectl(server, "create", "-f", "-", given=given)


def config_map(name: str, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default", **metadata},
    }


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    with running(controllers=True) as server:
        yield server


def test_a_custom_resource_is_validated_by_its_rules(server: ApiServer) -> None:
    assert create(server, WIDGETS).returncode == 0
    assert (
        kubectl(
            server,
            "wait",
            "--for=condition=Established",
            "crd/widgets.test.modelyard.io",
            "--timeout=30s",
        ).returncode
        == 0
    )
    widget = {
        "apiVersion": "test.modelyard.io/v1",
        "kind": "Widget",
        "metadata": {"name": "w", "namespace": "default"},
        "spec": {"size": 9},
    }
    assert create(server, widget).returncode == 0
    refused = create(
        server,
        {**widget, "metadata": {"name": "big", "namespace": "default"}, "spec": {"size": 10}},
    )
    assert refused.returncode != 0
    assert "too big" in refused.stderr


def test_an_admission_policy_refuses(server: ApiServer) -> None:
    assert create(server, POLICY).returncode == 0
    assert create(server, BINDING).returncode == 0
    # A policy is in force a moment after it is stored; a dry run checks that without leaving
    # anything.
    for _ in range(200):
        answer = kubectl(
            server, "create", "--dry-run=server", "-f", "-", given=config_map("forbidden")
        )
        if answer.returncode:
            break
    assert "not this one" in answer.stderr
    assert create(server, config_map("allowed")).returncode == 0


def test_the_controllers_collect_orphans_and_delete_a_namespace(
    server: ApiServer,
) -> None:
    owner = json.loads(
        kubectl(server, "create", "-o", "json", "-f", "-", given=config_map("owner")).stdout
    )
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "owner",
        "uid": owner["metadata"]["uid"],
    }
    assert create(server, config_map("child", ownerReferences=[reference])).returncode == 0
    assert kubectl(server, "delete", "configmap", "owner").returncode == 0
    assert (
        kubectl(server, "wait", "--for=delete", "configmap/child", "--timeout=50s").returncode == 0
    )
    assert kubectl(server, "create", "namespace", "passing").returncode == 0
    assert kubectl(server, "delete", "namespace", "passing", "--timeout=50s").returncode == 0


def test_nothing_is_left_after_the_block() -> None:
    with running() as server:
        assert answers(server.url, server.ca, server.token)
        assert kubectl(server, "get", "namespace", "default").returncode == 0
        folder = server.folder
    assert not folder.exists()
    listed = subprocess.run(
        ["ps", "-eo", "args"], capture_output=True, text=True, check=True
    ).stdout
    assert str(folder) not in listed


def test_a_program_that_ends_is_named_with_the_end_of_its_log() -> None:
    with (
        pytest.raises(Failed, match=r"(?s)kube-apiserver ended with .*no-such-flag"),
        running(arguments=["--no-such-flag"]),
    ):
        pass


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "deaf"
    deaf = tmp_path / "is-deaf"
    script.write_text(f"#!/bin/sh\ntrap '' TERM\ntouch {deaf}\nwhile :; do read line <fifo; done\n")
    script.chmod(0o755)
    subprocess.run(["mkfifo", str(tmp_path / "fifo")], check=True)
    processes = Processes(tmp_path, stop_seconds=0.2)
    processes.start([script])
    while not deaf.exists():
        time.sleep(0.01)
    processes.end()
    with pytest.raises(Failed, match="deaf ended with -9"):
        processes.check()
