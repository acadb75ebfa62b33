"""Fixtures: a client and an empty namespace for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from modelyard.client.client import Client
from modelyard.client.kube import Kube
from tests.client.side import Side
from tests.harness import ROOT, Cluster, manifests
from tests.shared import numbers

GROUP = "/apis/admissionregistration.k8s.io/v1"
PLURALS = {
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}
VERBS = ["get", "list", "watch", "create", "patch", "delete"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/client/" in item.path.as_posix():
            needed = set(getattr(item, "fixturenames", ()))
            if "side" in needed:
                item.add_marker(pytest.mark.api)
            if needed & {"minio", "mlflow"}:
                item.add_marker(pytest.mark.contract)


@pytest.fixture
def side(cluster: Cluster) -> Iterator[Side]:
    """An administrator in an empty namespace, who also plays the operator."""
    there = Side(cluster.server, f"t{next(numbers)}")
    there.create("v1", "Namespace", there.namespace)
    yield there
    there.close()


@contextmanager
def installed(side: Side, *names: str) -> Iterator[None]:
    """Install these policies of the chart for the duration of a block. Other tests run without."""
    found = [
        each
        for path in (ROOT / "manifests").rglob("*.yaml")
        for each in manifests(path)
        if each.get("kind") in PLURALS
    ]
    named = [each for each in found if each["metadata"]["name"] in names]
    there = {f"{GROUP}/{PLURALS[each['kind']]}/{each['metadata']['name']}": each for each in named}
    assert len(there) == 2 * len(names), sorted(there)
    for path, body in there.items():
        answer = side.request("POST", path.rpartition("/")[0], body)
        assert answer.ok, answer.message
    try:
        yield
    finally:
        for path in there:
            side.request("DELETE", path)


@pytest.fixture
def policies(side: Side) -> Iterator[None]:
    """Install the policies for promoting and purging for the length of a test."""
    with installed(side, "modelyard-promote", "modelyard-purge"):
        yield


@pytest.fixture
def opened() -> Iterator[Callable[..., Kube]]:
    """Return a function that opens clients, which are closed at the test's end."""
    with ExitStack() as stack:
        yield lambda *words, **more: stack.enter_context(Kube(*words, **more))


@pytest.fixture
def kube(side: Side, opened: Callable[..., Kube]) -> Kube:
    """A `Kube` of that namespace."""
    return opened(side.namespace, kubeconfig=str(side.server.kubeconfig))


@pytest.fixture
def client(side: Side) -> Iterator[Client]:
    """A client of that namespace, with an administrator's rights."""
    with Client(side.namespace, kubeconfig=str(side.server.kubeconfig)) as there:
        yield there


@pytest.fixture
def as_user(side: Side, tmp_path: Path, opened: Callable[..., Kube]):
    """Return a function that opens a client of a user with only these rules of a Role."""
    return lambda rules, name="alice": opened(
        side.namespace, kubeconfig=str(side.user(name, rules, tmp_path))
    )
