"""The notes that helm prints: the next commands, and that they work."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from tests.chart.api import MODELS, RUNS, Api, eventually, path_of
from tests.chart.helm import (
    ROOT,
    install,
    kubectl,
    tool,
)
from tests.chart.values import CREDIT, RISK, SETS

pytestmark = pytest.mark.api


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "create secret generic modelyard-connection"),
        (SETS["demo"], "  kubectl apply -f manifests/samples/fraud/"),
        (SETS["demo"], "port-forward service/modelyard-mlflow 5050:5050"),
        (
            SETS["demo of other images"],
            'kubectl -n play patch mlmodel fraud --type merge -p \'{"spec":{"stages":',
        ),
        ({"tenants": [RISK, CREDIT]}, "(risk, credit)"),
        (
            SETS["demo with a Secret"],
            "modelyard-connection in namespace risk, with the keys of keys",
        ),
    ],
)
def test_the_notes_say_the_next_command(without_namespaces, values, content, said):
    notes = install(
        without_namespaces.kubeconfig, values(content), words=["--dry-run=server"]
    ).split("\nNOTES:\n")[1]
    assert said in notes
    assert "rollout status deployment/modelyard" in notes
    assert not re.search(r"get modelyard .*--watch", notes), "kubectl watches one kind"
    assert not re.search(r"secret-of|token-of|[A-Za-z0-9]{32}", notes)


@pytest.mark.parametrize(
    ("content", "namespace"),
    [(SETS["demo of other images"], "play"), ({"tenants": [CREDIT]}, "credit")],
)
def test_the_command_of_the_notes_creates_the_sample(clean, values, tmp_path, content, namespace):
    """The command runs as printed, in a shell in the repository, whatever the tenant's
    namespace.
    """
    admin = Api(clean)
    kubectl("apply", "--server-side", "--filename", ROOT / "crds", kubeconfig=clean.kubeconfig)
    file = values(content | {"crds": {"install": False}})
    notes = install(clean.kubeconfig, file, words=["--dry-run=server"]).split("\nNOTES:\n")[1]
    command = next(line for line in notes.splitlines() if "manifests/samples/fraud/" in line)
    path = f"{tool('kubectl').parent}:{os.environ['PATH']}"
    environment = {"PATH": path, "KUBECONFIG": str(clean.kubeconfig), "HOME": str(tmp_path)}
    # Another test may have left one of that name.
    assert admin.create(path_of("v1/namespaces"), {"metadata": {"name": namespace}}).code in {
        201,
        409,
    }
    try:
        eventually(
            lambda: admin.get(path_of(MODELS, namespace)).code == 200, "the kinds are served"
        )
        subprocess.run(
            ["sh", "-euc", command],
            cwd=ROOT,
            env=environment,
            check=True,
            capture_output=True,
            timeout=240,
        )
        made = {
            item["metadata"]["name"] for item in admin.get(path_of(RUNS, namespace)).body["items"]
        }
        assert made == {"fraud-v1", "fraud-v2"}
    finally:
        admin.delete(path_of("v1/namespaces", name=namespace))
        eventually(
            lambda: admin.get(path_of("v1/namespaces", name=namespace)).code == 404,
            "the namespace is gone",
        )
