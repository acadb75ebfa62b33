"""The Makefile's targets: all are documented, and `make test` runs every folder of tests."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
WORDS = ("check", "unit", "test", "e2e", "demo", "demo-down", "bench", "crds", "docs")


def test_help_prints_every_target():
    said = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert [word for word in WORDS if not re.search(rf"^  {word} +\S", said, re.MULTILINE)] == []


def test_every_folder_of_tests_is_in_the_order():
    order = re.search(r"^ORDER := (.*)$", MAKEFILE, re.MULTILINE)
    assert order
    there = {
        path.relative_to(ROOT / "tests").parts[0] for path in (ROOT / "tests").rglob("test_*.py")
    }
    assert there <= set(order[1].split())


@pytest.mark.parametrize(
    ("word", "given", "cluster"),
    [
        ("images", None, "modelyard"),
        ("images", "modelyard-tests", "modelyard-tests"),
        ("demo", "modelyard-tests", "modelyard"),
        ("demo-down", "modelyard-tests", "modelyard"),
        ("test", None, "modelyard-tests"),
        ("test", "modelyard", "modelyard-tests"),
        ("e2e", None, "modelyard-tests"),
    ],
)
def test_demo_and_tests_have_a_cluster_each(
    word: str,
    given: str | None,
    cluster: str,
    tmp_path: Path,
):
    """Every program that a target starts prints its cluster."""
    for name in ("python", "pytest"):
        program = tmp_path / name
        program.write_text('#!/bin/sh\necho "cluster=${MODELYARD_CLUSTER:-modelyard}"\n')
        program.chmod(0o755)
    environment = {key: value for key, value in os.environ.items() if key != "MODELYARD_CLUSTER"}
    environment |= {"MODELYARD_CLUSTER": given} if given else {}
    command = ["make", word, f"BIN={tmp_path}", "STAMP=made", "-o", "made"]
    said = subprocess.check_output(command, cwd=ROOT, env=environment, text=True)
    assert set(re.findall(r"cluster=(\S*)", said)) == {cluster}
