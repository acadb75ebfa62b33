"""From `pip install` to a prediction by the README alone, in a container with only Python."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.bases import PYTHON
from tests.demo import install
from tests.demo.kube import Kube
from tests.e2e.written import forget

pytestmark = pytest.mark.e2e

CONTAINER = "modelyard-first-use"
FORWARDED = (
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_TRUSTED_HOST",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)


def section() -> list[tuple[str, str]]:
    """Return the section's blocks, in order: language and text."""
    text = (
        (install.ROOT / "README.md")
        .read_text()
        .split("## The same without kubectl")[1]
        .split("\n## ")[0]
    )
    return re.findall(r"```(sh|python)\n(.*?)```", text, re.DOTALL)


def script(wheel: str) -> str:
    """Return the section as one shell script, which installs the package of this checkout, built
    outside of the container.
    """
    parts = ["set -eu"]
    for language, text in section():
        body = re.sub(
            r"^pip install [.] .*$", f"pip install --quiet /wheel/{wheel}", text, flags=re.MULTILINE
        )
        parts.append(body if language == "sh" else f"python3 - <<'PYTHON'\n{body}PYTHON\n")
    return "\n".join(parts)


def remove() -> None:
    """Remove the container, which does not end with the command that runs it."""
    subprocess.run(["docker", "rm", "-f", CONTAINER], capture_output=True, check=False)


@pytest.mark.timeout(900)
def test_the_readme_alone_leads_from_pip_to_a_prediction(operator: Kube, tmp_path: Path):
    forget(operator, ["first"], ["first"])
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=install.ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("modelyard-*.whl")
    # On the host's network: the kubeconfig of a kind cluster names a port of this machine.
    command = [
        "docker",
        "run",
        "--rm",
        "--name",
        CONTAINER,
        "-i",
        "--network",
        "host",
        "-v",
        f"{tmp_path}:/wheel:ro",
        "-v",
        f"{operator.kubeconfig}:/kubeconfig:ro",
    ]
    command += [
        "-e",
        "KUBECONFIG=/kubeconfig",
        *(word for name in FORWARDED if os.environ.get(name) for word in ("-e", name)),
    ]
    words = [*command, PYTHON, "sh", "-s"]
    remove()
    try:
        done = subprocess.run(
            words,
            input=script(wheel.name),
            capture_output=True,
            text=True,
            check=False,
            timeout=850,
        )
    finally:
        remove()
    assert done.returncode == 0, (
        f"{done.stdout}\n{done.stderr}\n{operator.explain('RegisteredModel', 'first', 'risk')}"
    )
    assert re.search(r"^0[.]\d+ \[[01]\]$", done.stdout, re.MULTILINE), (
        "the run's accuracy and the model's answer"
    )
    assert re.search(r"production\s+v1", done.stdout), "the status shows what serves"
    assert done.stdout.splitlines()[-1] in ("0", "1"), "one prediction a line"
    forget(operator, ["first"], ["first"])
