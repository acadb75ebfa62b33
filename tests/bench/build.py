"""The Go programs of the bench, built by this run: the operator to measure against, and the stand-in for MLflow and S3."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.cluster.console import Console, Log
from tests.cluster.gobuild import environment, find_go, install_go
from tests.cluster.settings import Settings
from tests.cluster.steps import Plan, Step, hash_files

__all__ = ["Programs", "programs"]

HERE = Path(__file__).parent / "go"
FLAGS = "-s -w"


@dataclass(frozen=True)
class Programs:
    """Where they lie."""

    controller: Path
    outside: Path


def programs(settings: Settings, console: Console) -> Programs:
    """Build what is missing or has changed; go.sum pins every source. The cache folder keeps the programs.

    Raises:
        Failed: It cannot be built; the message holds the end of the log.

    """
    folder = settings.cache / "bench" / "bin"
    binary = folder / "controller"

    def run(log: Log, key: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        words = ["go", "build", "-trimpath", "-mod=readonly", "-ldflags", FLAGS, "-o", f"{folder}/", "./controller", "./outside"]
        log.run(words, env=environment(settings), cwd=HERE)

    toolchain = Step(
        "go", lambda log, key: install_go(settings, log), lambda key: find_go(settings) is not None, doing="looking for a Go toolchain"
    )
    build = Step(
        "bench-go",
        run,
        lambda key: binary.exists() and (folder / "outside").exists(),
        inputs=(hash_files([HERE], HERE), FLAGS),
        after=("go",),
        doing="building the controller-runtime operator and the stand-in for MLflow and S3",
        heavy=True,
    )
    Plan([toolchain, build], settings.cache, console).run([build.name])
    return Programs(binary, folder / "outside")
