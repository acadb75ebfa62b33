"""Helm and kubectl for tests."""

from __future__ import annotations

import functools
import json
import pickle
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.bringup import Bringup
from tests.cluster.console import Console
from tests.cluster.settings import KUBERNETES, Settings

__all__ = [
    "CHART",
    "NAMESPACE",
    "RELEASE",
    "ROOT",
    "TEST_VALUES",
    "Manifest",
    "Refused",
    "documents",
    "find",
    "helm",
    "install",
    "kubectl",
    "pod_templates",
    "render",
    "render_text",
]

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "modelyard"
TEST_VALUES = CHART / "ci" / "test-values.yaml"
RELEASE = "modelyard"
NAMESPACE = "modelyard-system"

Manifest = dict[str, Any]


class Refused(Exception):
    """A program ended with an error; the text is its output."""


@functools.cache
def tool(name: str) -> Path:
    """A program of the test cluster; built first where it is missing."""
    settings = Settings.read()
    path = settings.bin / name
    if not path.exists():
        Bringup(settings, Console(sys.stderr)).programs([name])
    return path


def run(
    program: str, *words: str | Path, stdin: str | None = None, env: Mapping[str, str] | None = None
) -> str:
    done = subprocess.run(
        [tool(program), *map(str, words)],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env=env,
    )
    if done.returncode:
        raise Refused(done.stdout + done.stderr)
    return done.stdout


def helm(*words: str | Path, kubeconfig: Path | None = None) -> str:
    """Return the output of helm; raises ``Refused``."""
    return run("helm", *words, *(["--kubeconfig", kubeconfig] if kubeconfig else []))


def kubectl(*words: str | Path, kubeconfig: Path | None = None, stdin: str | None = None) -> str:
    """Return the output of kubectl; raises ``Refused``."""
    return run(
        "kubectl", *(["--kubeconfig", kubeconfig] if kubeconfig else []), *words, stdin=stdin
    )


def install(kubeconfig: Path, *files: Path, words: Iterable[str] = ()) -> str:
    """Install the chart with ``helm install`` and return its output; raises ``Refused``."""
    values = [word for file in files for word in ("--values", str(file))]
    return helm(
        "install",
        RELEASE,
        CHART,
        "--namespace",
        NAMESPACE,
        "--create-namespace",
        *values,
        *words,
        kubeconfig=kubeconfig,
    )


@functools.cache
def template(values: str, files: tuple[Path, ...], hooks: bool, time: int) -> str:
    words: list[str | Path] = [
        "template",
        RELEASE,
        CHART,
        "--namespace",
        NAMESPACE,
        "--kube-version",
        KUBERNETES,
    ]
    for file in files:
        words += ["--values", file]
    if not hooks:
        words.append("--no-hooks")
    # helm reads `-` as its standard input.
    return run("helm", *words, "--values", "-", stdin=values)


def render_text(
    values: Mapping[str, Any] | None = None,
    *,
    files: Iterable[Path] = (),
    hooks: bool = True,
    time: int = 0,
) -> str:
    """Return the output of ``helm template`` for some values; raises ``Refused``.

    Args:
        values: as in a values file.
        files: further values files.
        hooks: include the objects of helm's hooks.
        time: the result is cached for the same arguments and the same time.
    """
    return template(json.dumps(values or {}), tuple(files), hooks, time)


def documents(text: str) -> list[Manifest]:
    """The objects in a stream of YAML."""
    return [document for document in yaml.load_all(text, yaml.CSafeLoader) if document]


@functools.cache
def parsed(text: str) -> bytes:
    return pickle.dumps(documents(text))


def render(values: Mapping[str, Any] | None = None, **how: Any) -> list[Manifest]:
    """Return the chart's objects for some values, which the caller may change; raises
    ``Refused``.
    """
    # Pickle copies objects in a twentieth of the time that reading them as YAML takes.
    found: list[Manifest] = pickle.loads(parsed(render_text(values, **how)))
    return found


def find(
    objects: Iterable[Manifest], kind: str, name: str, namespace: str | None = None
) -> Manifest:
    """Return the only object of that kind and name."""
    found = [
        each
        for each in objects
        if each["kind"] == kind
        and each["metadata"]["name"] == name
        and namespace in (None, each["metadata"].get("namespace"))
    ]
    assert len(found) == 1, f"{len(found)} of {kind} {namespace or ''}/{name}"
    return found[0]


def pod_templates(objects: Iterable[Manifest]) -> dict[str, Manifest]:
    """Return every pod that the objects create, as ``{metadata, spec}``, by kind and name."""
    out = {}
    for each in objects:
        name = f"{each['kind']}/{each['metadata']['name']}"
        if each["kind"] == "Pod":
            out[name] = {"metadata": each["metadata"], "spec": each["spec"]}
        elif each["kind"] in ("Deployment", "Job"):
            out[name] = each["spec"]["template"]
        elif each["kind"] == "CronJob":
            out[name] = each["spec"]["jobTemplate"]["spec"]["template"]
    return out
