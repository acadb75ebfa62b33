"""The Go programs of the bench, built by this run: the operator to measure against, and the
stand-in for MLflow and S3.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.cluster.console import Console
from tests.cluster.gobuild import made_of
from tests.cluster.settings import Settings
from tests.cluster.steps import Plan

__all__ = ["Programs", "programs"]

HERE = Path(__file__).parent / "go"


@dataclass(frozen=True)
class Programs:
    """Paths of the programs."""

    controller: Path
    outside: Path


def programs(settings: Settings, console: Console) -> Programs:
    """Build missing or changed programs; go.sum pins every source. The cache folder keeps the
    programs.

    Raises:
        Failed: It cannot be built; the message holds the end of the log.

    """
    folder = settings.cache / "bench" / "bin"
    doing = "building the controller-runtime operator and the stand-in for MLflow and S3"
    steps = made_of(settings, "bench-go", HERE, folder, ("./controller", "./outside"), doing)
    Plan(steps, settings.cache, console).run(["bench-go"])
    return Programs(folder / "controller", folder / "outside")
