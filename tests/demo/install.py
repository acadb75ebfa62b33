"""Bring up a running operator: the cluster, the images, the chart. Shared by the demo and the tests
on the real cluster.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.cluster import console
from tests.cluster.bringup import Bringup, locked
from tests.cluster.images import PROJECT
from tests.cluster.settings import Settings
from tests.demo.kube import Failed, Kube

__all__ = [
    "CHART",
    "COMMAND",
    "DEPLOYMENTS",
    "NAMESPACE",
    "RELEASE",
    "ROOT",
    "RUNTIME",
    "VALUES",
    "cluster",
    "install",
    "uninstall",
    "wait_ready",
]

ROOT = Path(__file__).resolve().parents[2]
CHART = "charts/modelyard"
VALUES = f"{CHART}/ci/test-values.yaml"
NAMESPACE = "modelyard-system"
RELEASE = "modelyard"
DEPLOYMENTS = {"operator": "modelyard", "MLflow": "modelyard-mlflow", "MinIO": "modelyard-minio"}
RUNTIME = PROJECT["runtime"].tag


def cluster(out: console.Console) -> Kube:
    """Bring up a cluster with the project's images in it.

    Raises:
        Failed: A step failed.

    """
    settings = Settings.read()
    bringup = Bringup(settings, out)
    try:
        tools = bringup.ready()
    except console.Failed as error:
        raise Failed(str(error)) from error
    return Kube(tools, settings.kubeconfig)


def image_id(tag: str) -> str:
    """Return the id of the engine's image with a tag: a rebuilt image has the same tag and another
    id.
    """
    done = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{.Id}}", tag],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failed(f"the engine has no image {tag}: {done.stderr.strip()}")
    return done.stdout.strip()


COMMAND = [
    "upgrade",
    "--install",
    RELEASE,
    CHART,
    "-n",
    NAMESPACE,
    "--create-namespace",
    "-f",
    VALUES,
]
"""The arguments of `helm` that install or upgrade the chart."""
PENDING = f"owner=helm,name={RELEASE},status in (pending-install,pending-upgrade,pending-rollback)"
"""The selector of Helm's pending releases, which block an upgrade."""


def install(kube: Kube, values: Mapping[str, Any] | None = None) -> None:
    """Install the chart, or upgrade it; restart the operator if its image was rebuilt.

    Args:
        kube: The cluster.
        values: The chart's values besides those for the test cluster.

    """
    mark = {"podAnnotations": {"modelyard.io/image": image_id(PROJECT["operator"].tag)}}
    settings = Settings.read()
    lock = settings.cache / f"{settings.cluster}-helm.lock"
    with locked(lock, console.Console(sys.stdout)):
        # This process has the lock, so a helm that left a release pending was killed.
        kube.kubectl("delete", "secret", "-n", NAMESPACE, "-l", PENDING)
        given = json.dumps(mark | dict(values or {}))
        kube.program("helm", *COMMAND, "-f", "-", stdin=given, timeout=300)


def wait_ready(kube: Kube, seconds: float = 240) -> None:
    """Wait until the operator, MLflow and MinIO are ready."""
    for name in DEPLOYMENTS.values():
        kube.wait_rolled_out(name, NAMESPACE, seconds)


def uninstall(kube: Kube) -> None:
    """Remove the release, its objects, its kinds and its namespaces."""
    there = kube.program("helm", "status", RELEASE, "-n", NAMESPACE, check=False).returncode == 0
    if there:
        # The CRDs, and with them every object, stay by default: `crds.keep`.
        kube.program(
            "helm",
            "upgrade",
            RELEASE,
            CHART,
            "-n",
            NAMESPACE,
            "--reuse-values",
            "--set",
            "crds.keep=false",
            timeout=300,
        )
        kube.program(
            "helm", "uninstall", RELEASE, "-n", NAMESPACE, "--wait", "--timeout", "6m", timeout=400
        )
    kube.kubectl(
        "delete",
        "namespace",
        NAMESPACE,
        "--ignore-not-found",
        "--wait",
        "--timeout=180s",
        timeout=200,
    )
