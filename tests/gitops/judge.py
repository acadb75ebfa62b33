"""A Go program with the engines' own code, built once into the cache folder; its protocol is
JSON.
"""

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
"""For tests that use the program: the first one waits for its build, five minutes of a core and
more on a busy machine.
"""


@dataclass(frozen=True)
class Verdict:
    """Each engine's health of one object; the message is Argo CD's."""

    argo: str
    message: str
    kstatus: str
    flux: str


@dataclass(frozen=True)
class Pair:
    """An object in Git, in the cluster, and as the answer to a dry run of a server-side apply by
    `manager`, if there was one.
    """

    desired: Manifest
    live: Manifest
    predicted: Manifest | None = None
    manager: str = "argocd-controller"


@dataclass(frozen=True)
class Way:
    """The result of one of Argo CD's comparisons: whether it would show OutOfSync, the live object,
    and the object after a sync.
    """

    modified: bool
    live: Manifest
    predicted: Manifest


@functools.cache
def judge() -> Path:
    """Build the program if it is missing or has changed; go.sum pins every source. The cache folder
    keeps it.

    Raises:
        Failed: It cannot be built; the message has the end of the log.

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
    """Return the engines' health of live objects.

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
    """Return what Argo CD would change in live objects, by comparison: `default`,
    `serverSideApply`, `serverSideDiff`.

    Args:
        pairs: The objects in Git and in the cluster.
        schema: The API server's answer to `/openapi/v2`.

    """
    answer = ask({"diffs": [vars(pair) for pair in pairs], "schema": schema})["diffs"]
    return [{name: Way(**way) for name, way in each.items()} for each in answer]


def misread(objects: Iterable[Manifest]) -> list[str]:
    """Return why objects of Argo CD's and Flux's own kinds are invalid; empty texts for valid
    ones.
    """
    answer: list[str] = ask({"engines": list(objects)})["engines"]
    return answer
