"""A Go program with the engines' own code, built once into the cache folder; it speaks JSON."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.chart.helm import Manifest
from tests.cluster.console import Console
from tests.cluster.gobuild import made_of
from tests.cluster.settings import Settings
from tests.cluster.steps import Plan

__all__ = ["BUILDING", "Pair", "Verdict", "Way", "changes", "health", "judge", "misread"]

HERE = Path(__file__).parent / "go"
BUILDING = pytest.mark.timeout(2400)
"""For tests that ask the program: the first one waits for its build, five minutes of a core and
more on a machine that others use.
"""


@dataclass(frozen=True)
class Verdict:
    """What each engine says of one object; the message is Argo CD's."""

    argo: str
    message: str
    kstatus: str
    flux: str


@dataclass(frozen=True)
class Pair:
    """What Git says of an object, what the cluster has, and what a dry run of a server-side
    apply by `manager` answers, if it was made.
    """

    desired: Manifest
    live: Manifest
    predicted: Manifest | None = None
    manager: str = "argocd-controller"


@dataclass(frozen=True)
class Way:
    """One of Argo CD's ways to compare: whether it would show OutOfSync, what there is and what
    a sync would make of it.
    """

    modified: bool
    live: Manifest
    predicted: Manifest


@functools.cache
def judge() -> Path:
    """Build the program if it is missing or has changed; go.sum pins every source. The cache folder
    keeps it.

    Raises:
        Failed: It cannot be built; the message holds the end of the log.

    """
    settings = Settings.read()
    folder = settings.cache / "gitops" / "bin"
    doing = "building Argo CD's health and diff and Flux's health expressions from Go modules"
    Plan(
        made_of(settings, "gitops-go", HERE, folder, ("./judge",), doing),
        settings.cache,
        Console(sys.stderr),
    ).run(["gitops-go"])
    return folder / "judge"


def ask(question: Mapping[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        [judge()], input=json.dumps(question), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def health(
    objects: Iterable[Manifest], scripts: Mapping[str, str], expressions: Iterable[Manifest]
) -> list[Verdict]:
    """What the engines say of live objects.

    Args:
        objects: Live objects.
        scripts: Argo CD's, by `group/Kind`.
        expressions: Flux's, as `spec.healthCheckExprs` has them.

    """
    answer = ask(
        {"health": list(objects), "scripts": dict(scripts), "expressions": list(expressions)}
    )["health"]
    return [
        Verdict(
            each["argo"].get("status", ""),
            each["argo"].get("message", ""),
            each["kstatus"],
            each["flux"],
        )
        for each in answer
    ]


def changes(pairs: Iterable[Pair], schema: Manifest) -> list[dict[str, Way]]:
    """What Argo CD would change of live objects, by its way to compare: `default`,
    `serverSideApply`, `serverSideDiff`.

    Args:
        pairs: What Git says and what there is.
        schema: The API server's answer to `/openapi/v2`.

    """
    answer = ask({"diffs": [vars(pair) for pair in pairs], "schema": schema})["diffs"]
    return [{name: Way(**way) for name, way in each.items()} for each in answer]


def misread(objects: Iterable[Manifest]) -> list[str]:
    """Why objects of Argo CD's and Flux's own kinds are none; empty texts where they are."""
    answer: list[str] = ask({"engines": list(objects)})["engines"]
    return answer
