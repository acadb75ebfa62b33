"""Commands without a request load no heavy module, and requests load only what they need (decision
0010).
"""

import os
import subprocess
import sys
from dataclasses import dataclass

import pytest

from modelyard.cli.options import Format, Where
from modelyard.cli.program import called_as, hint
from modelyard.cli.screen import Screen
from tests.client.side import Side

HEAVY = (
    "boto3",
    "botocore",
    "httpx",
    "kr8s",
    "kubernetes",
    "matplotlib",
    "mlflow",
    "modelyard.api",
    "modelyard.client",
    "numpy",
    "pandas",
    "pydantic",
    "rich",
    "yaml",
)
# Modules inside the lazy packages: a stand-in may have the parent's name.
LATER = (
    "boto3",
    "cryptography.x509.base",
    "httpx_ws._api",
    "jsonpath.path",
    "kubernetes",
    "matplotlib",
    "mlflow",
    "numpy",
    "pandas",
)
PROBE = """
import gc, sys
from modelyard.__main__ import main
begun = []
gc.callbacks.append(lambda phase, _: begun.append(phase) if phase == "start" else None)
code = main(sys.argv[1:])
print("LOADED", len(begun), gc.get_freeze_count(), " ".join(sorted(sys.modules)))
sys.exit(code)
"""


@dataclass(frozen=True)
class Told:
    """The program's output, its loaded modules, the number of garbage collections, and the frozen
    objects.
    """

    said: str
    modules: set[str]
    collections: int
    frozen: int


def told(*words: str, **environment: str) -> Told:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *words],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment,
    )
    said, _, rest = done.stdout.rpartition("LOADED ")
    collections, frozen, *modules = rest.split()
    return Told(said, set(modules), int(collections), int(frozen))


@pytest.mark.parametrize(
    "words",
    [("--help",), ("--version",), ("train", "--help"), ("runs", "--help"), ("completion", "bash")],
    ids=" ".join,
)
def test_commands_without_a_request_load_no_heavy_module(words: tuple[str, ...]):
    found = told(*words)
    assert found.said.strip()
    assert {name for name in HEAVY if name in found.modules} == set()


def test_the_probe_sees_loaded_modules():
    assert {"typer", "modelyard.cli.app"} <= told("runs", "purge", "--help").modules


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("status", "fraud"),
        ("history", "fraud"),
        ("runs", "list"),
        ("experiments", "list"),
    ],
    ids=" ".join,
)
def test_a_request_loads_only_what_it_needs(side: Side, words: tuple[str, ...]):
    side.ours(
        "RegisteredModel",
        "fraud",
        {"versions": {"v1": {"runId": "1" * 32}}, "stages": {"production": {"version": None}}},
    )
    found = told(*words, "-n", side.namespace, KUBECONFIG=str(side.server.kubeconfig))
    assert found.said.strip()
    assert {name for name in LATER if name in found.modules} == set()
    assert {"kr8s", "modelyard.client.kube"} <= found.modules
    assert found.collections < 3, "Python looked for garbage among what had just been imported"
    assert found.frozen > 10_000, "Python would look through everything at the end"


def test_each_kind_is_loaded_only_by_its_commands(side: Side):
    side.ours("RegisteredModel", "fraud", {"stages": {"production": {"version": None}}})
    found = told("status", "-n", side.namespace, KUBECONFIG=str(side.server.kubeconfig))
    assert {
        "modelyard.client.models",
        "modelyard.client.runs",
        "modelyard.client.experiments",
    } & found.modules == set()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/usr/local/bin/modelyard", "modelyard"),
        ("/usr/local/bin/kubectl-modelyard", "kubectl modelyard"),
        ("/site-packages/modelyard/__main__.py", "python -m modelyard"),
    ],
)
def test_the_program_is_called_as_the_user_called_it(path: str, name: str):
    assert called_as(path) == name


def test_a_hint_can_be_copied():
    assert hint("status fraud --watch", "risk", "prod").endswith(
        "status fraud --watch -n risk --context prod"
    )


def test_a_document_is_alone_on_standard_output(capsys: pytest.CaptureFixture[str]):
    screen = Screen(Where(output=Format.JSON))
    screen.message("on its way")
    screen.document({"a": 1})
    out, err = capsys.readouterr()
    assert out == '{\n  "a": 1\n}\n'
    assert err == "on its way\n"
