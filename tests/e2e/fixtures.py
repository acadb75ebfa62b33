"""One cluster and one operator for the session; a namespace for each test that asks for one; two
trained models that tests copy.

A plugin of the whole session (tests/conftest.py): all tests on the cluster, from any folder, share
them.
"""

import itertools
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.cluster.bringup import locked
from tests.cluster.console import Console
from tests.cluster.settings import Settings
from tests.demo import install
from tests.demo.kube import Kube
from tests.e2e.tenant import LABEL, SESSION, SESSION_LABEL, Tenant, make_namespace

# Drift is detected at the next resync: five minutes are right for a cluster, and too long for a
# test. So is a lease of 15 s for one whose holder is killed over and over.
LEASE = {
    "MODELYARD_LEASE_DURATION": "8",
    "MODELYARD_LEASE_DEADLINE": "6",
    "MODELYARD_LEASE_PERIOD": "2",
}
LITTLE = {"resources": {"requests": {"cpu": "10m"}}}
"""Three sessions share a node of two processors, of which Kubernetes itself requests one: so the
pods request less than they use.
"""
VALUES: dict[str, Any] = {
    **LITTLE,
    "reconcile": {"resyncSeconds": 15},
    "extraEnv": [{"name": name, "value": value} for name, value in LEASE.items()],
    "demo": {"mlflow": LITTLE, "minio": LITTLE},
}
numbers = itertools.count(1)


# Set by .ci/test, for two sessions that leave each other's namespaces alone and remove nothing
# shared.
SHARED = bool(os.environ.get("MODELYARD_E2E_SHARED"))


@dataclass(frozen=True)
class Session:
    """This session's use of the cluster.

    Args:
        began: when the session began, in whole seconds.
        first: whether no other session existed then.
    """

    began: datetime
    first: bool


@pytest.fixture(scope="session")
def session() -> Iterator[Session]:
    """One session at a time, unless the sessions are set to share the cluster."""
    path = Settings.read().cache / "e2e.lock"
    with locked(path, Console(sys.stdout), shared=SHARED) as first:
        yield Session(datetime.now(UTC).replace(microsecond=0), first)


@pytest.fixture(scope="session")
def real_cluster(session: Session) -> Iterator[Kube]:
    """The tests' cluster, with the project's images in it."""
    there = install.cluster(Console(sys.stdout))
    yield there
    there.close()


@pytest.fixture(scope="session")
def operator(real_cluster: Kube, session: Session) -> Iterator[Kube]:
    """The cluster with the operator, MLflow and MinIO on it."""
    with locked(Settings.read().cache / "e2e-install.lock", Console(sys.stdout)):
        install.install(real_cluster, VALUES)
        install.wait_ready(real_cluster)
        if session.first:
            remove_what_is_left(real_cluster, session.began)
        policies = open_to_tests("MLflow"), open_to_tests("MinIO")
        real_cluster.apply(*policies, namespace=install.NAMESPACE)
    yield real_cluster
    mine = f"{SESSION_LABEL}={SESSION}"
    left = real_cluster.program(
        "kubectl", "delete", "namespace", "-l", mine, "--timeout=120s", check=False
    )
    assert left.returncode == 0, f"namespaces do not go, so some finalizer stands: {left.stderr}"


def remove_what_is_left(kube: Kube, before: datetime) -> None:
    """Remove the namespaces of a killed run, and wait until their pods are deleted."""
    left = [
        each["metadata"]["name"]
        for each in kube.list("Namespace", labels=LABEL)
        if datetime.fromisoformat(each["metadata"]["creationTimestamp"]) < before
    ]
    if left:
        words = ["delete", "namespace", *left, "--ignore-not-found", "--timeout=300s"]
        kube.kubectl(*words, timeout=310)


def open_to_tests(part: str) -> dict[str, object]:
    """A NetworkPolicy that lets the tests' namespaces reach a part of the demo's, where policies
    are enforced.
    """
    name = install.DEPLOYMENTS[part]
    labels = {
        "app.kubernetes.io/instance": install.RELEASE,
        "app.kubernetes.io/component": part.lower(),
    }
    ingress = [{"from": [{"namespaceSelector": {"matchLabels": {LABEL: "true"}}}]}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"{name}-e2e"},
        "spec": {
            "podSelector": {"matchLabels": labels},
            "policyTypes": ["Ingress"],
            "ingress": ingress,
        },
    }


@pytest.fixture
def tenant(operator: Kube, request: pytest.FixtureRequest) -> Iterator[Tenant]:
    """A separate namespace for the test."""
    title = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())[:36].strip(
        "-"
    )
    there = make_namespace(operator, f"{title}-{next(numbers)}")  # cases share a title
    yield there
    operator.kubectl("delete", "namespace", there.name, "--ignore-not-found", "--wait=false")


@dataclass(frozen=True)
class Trained:
    """Two models that were trained in the cluster, and their URIs."""

    v1: str
    v2: str


@pytest.fixture(scope="session")
def trained(operator: Kube) -> Trained:
    """Two trained models, for tests of what follows a training."""
    there = make_namespace(operator, "trained")
    there.experiment()
    there.run("v1")
    there.run("v2", parameters={"max_depth": "2", "n_estimators": "3"})
    uris = [there.ready("TrainingRun", name)["status"]["model"]["uri"] for name in ("v1", "v2")]
    return Trained(*uris)
