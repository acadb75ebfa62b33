"""What is said at once is said without loading anything heavy."""

import subprocess
import sys

import pytest

from modelyard.cli.options import Format, Where
from modelyard.cli.program import called_as, hint
from modelyard.cli.screen import Screen

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
PROBE = """
import sys
from modelyard.__main__ import main
code = main(sys.argv[1:])
print("LOADED", " ".join(sorted(sys.modules)))
sys.exit(code)
"""


def loaded(*words: str) -> tuple[str, set[str]]:
    """What the program says, and the modules that it has loaded then."""
    done = subprocess.run([sys.executable, "-c", PROBE, *words], capture_output=True, text=True, check=True)
    said, _, modules = done.stdout.rpartition("LOADED ")
    return said, set(modules.split())


@pytest.mark.parametrize(
    "words", [("--help",), ("--version",), ("train", "--help"), ("runs", "--help"), ("completion", "bash")], ids=" ".join
)
def test_what_is_said_at_once_loads_nothing_heavy(words: tuple[str, ...]):
    said, modules = loaded(*words)
    assert said.strip()
    assert {name for name in HEAVY if name in modules} == set()


def test_the_probe_sees_what_is_loaded():
    _, modules = loaded("runs", "purge", "--help")
    assert {"typer", "modelyard.cli.app"} <= modules


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
    assert hint("status fraud --watch", "risk", "prod").endswith("status fraud --watch -n risk --context prod")


def test_a_document_is_alone_on_standard_output(capsys: pytest.CaptureFixture[str]):
    screen = Screen(Where(output=Format.JSON))
    screen.tell("on its way")
    screen.document({"a": 1})
    out, err = capsys.readouterr()
    assert out == '{\n  "a": 1\n}\n'
    assert err == "on its way\n"
