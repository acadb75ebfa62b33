"""`python -m tests.bench`: measure, print the results, and write them into docs/benchmarks.md. The
modules have the measurements.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench import (
    analysis,
    canary,
    costs,
    document,
    download,
    hostile,
    reconcile,
    rollout,
    serving,
    split,
    start,
    strangers,
    tracking,
    trouble,
)
from tests.bench.build import programs
from tests.bench.document import Measured
from tests.bench.figures import Samples
from tests.cluster.console import Console, Failed
from tests.cluster.settings import TESTS_CLUSTER, Settings

__all__ = ["main"]

SECTIONS = (
    "reconcile",
    "trouble",
    "tracking",
    "rollout",
    "canary",
    "serving",
    "split",
    "hostile",
    "strangers",
    "download",
    "start",
    "analysis",
)
OBJECTS, ROUNDS = 1_000, 3


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measure modelyard beside what one would use otherwise.",
    )
    top.add_argument(
        "--only", action="append", choices=SECTIONS, help="leave the others out; may be given again"
    )
    top.add_argument(
        "--objects",
        type=int,
        default=OBJECTS,
        help=f"Experiments that are reconciled; {OBJECTS:,} by default",
    )
    top.add_argument(
        "--rounds",
        type=int,
        default=ROUNDS,
        help=f"runs of everything, in turns; {ROUNDS} by default",
    )
    top.add_argument(
        "--profile",
        type=Path,
        metavar="FOLDER",
        help="run our operators under cProfile, into this folder; write no document",
    )
    top.add_argument(
        "--ranges",
        action="store_true",
        help="keep the ranges of what a prediction costs (tests/bench/costs.json) from this run",
    )
    top.add_argument("--dry-run", action="store_true", help="write no document")
    return top


class Bench:
    """One run."""

    def __init__(self, options: argparse.Namespace) -> None:
        os.environ["MODELYARD_CLUSTER"] = TESTS_CLUSTER  # never the demo's cluster
        self.options = options
        self.settings = Settings.read()
        self.console = Console(sys.stdout)
        self.quiet = options.dry_run or options.profile is not None

    def command(self, section: str) -> str:
        """Return the command that repeats this measurement of a section."""
        words = [f"python -m tests.bench --only {section}"]
        words += (
            [f"--objects {self.options.objects}"] if section in {"reconcile", "trouble"} else []
        )
        words += [f"--rounds {self.options.rounds}"] if section != "analysis" else []
        return " ".join(words)

    def reconcile(self) -> Samples:
        options = reconcile.Options(self.options.objects, self.options.rounds, self.options.profile)
        return asyncio.run(
            reconcile.measure(options, programs(self.settings, self.console), self.console)
        )

    def trouble(self) -> Samples:
        options = reconcile.Options(self.options.objects, self.options.rounds)
        return asyncio.run(
            trouble.measure(options, programs(self.settings, self.console), self.console)
        )

    def tracking(self) -> Samples:
        return tracking.measure(self.options.rounds, self.console)

    def rollout(self) -> Samples:
        return rollout.measure(self.options.rounds, self.console)

    def canary(self) -> Samples:
        return canary.measure(self.options.rounds, self.console, self.settings)

    def serving(self) -> Samples:
        samples = serving.measure(self.options.rounds, self.console)
        costs.measure(self.options.rounds, self.console, samples)
        return samples

    def split(self) -> Samples:
        return split.measure(self.options.rounds, self.console)

    def hostile(self) -> Samples:
        return hostile.measure(self.options.rounds, self.console)

    def strangers(self) -> Samples:
        return strangers.measure(self.options.rounds, self.console)

    def download(self) -> Samples:
        return download.measure(self.options.rounds, self.console)

    def start(self) -> Samples:
        return start.measure(self.settings, self.options.rounds, self.console)

    def analysis(self) -> Samples:
        return analysis.measure(self.console)

    def section(self, name: str) -> None:
        """Measure a section, and keep the results."""
        measure: dict[str, Callable[[], Samples]] = {
            "reconcile": self.reconcile,
            "trouble": self.trouble,
            "tracking": self.tracking,
            "rollout": self.rollout,
            "canary": self.canary,
            "serving": self.serving,
            "split": self.split,
            "hostile": self.hostile,
            "strangers": self.strangers,
            "download": self.download,
            "start": self.start,
            "analysis": self.analysis,
        }
        tables = {
            "reconcile": document.reconcile_table,
            "trouble": document.trouble_table,
            "tracking": document.tracking_table,
            "rollout": document.rollout_table,
            "canary": document.canary_table,
            "serving": document.serving_table,
            "split": split.split_table,
            "hostile": document.hostile_table,
            "strangers": document.strangers_table,
            "download": document.download_table,
            "start": document.start_table,
            "analysis": document.analysis_table,
        }
        measured = Measured.begin(self.command(name))
        self.console.say(f"{name}: begins")
        samples = measure[name]()
        text = tables[name](samples, measured)
        self.console.say(f"{name}: done\n\n{text}\n")
        title = f"{name} {self.options.objects}" if name == "reconcile" else name
        self.keep(title, samples)
        if name == "serving":
            self.compare(samples)
        path = self.settings.root / "docs" / "benchmarks.md"
        if self.quiet:
            return
        if document.put(path, title, text):
            self.console.say(f"written: docs/benchmarks.md, {title}")
        else:
            self.console.say(f"not written: docs/benchmarks.md has no place for {title}")

    def compare(self, samples: Samples) -> None:
        """Compare the cost of a prediction with the ranges of earlier runs, or store the ranges of
        this one.
        """
        if self.options.ranges:
            costs.keep_ranges(samples)
        elif worse := costs.worse(samples):
            raise RuntimeError("predictions cost more than they did:\n" + "\n".join(worse))

    def keep(self, title: str, samples: Samples) -> None:
        """Store every run's figures in the cache, to show the spread."""
        folder = self.settings.cache / "bench" / "results"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{title.replace(' ', '-')}-{time.strftime('%Y%m%d-%H%M%S')}.json"
        path.write_text(json.dumps(samples.by_subject, indent=1))
        self.console.say(f"every run's figures: {path}")


def main(arguments: list[str] | None = None) -> int:
    """Measure; return the exit code."""
    options = parser().parse_args(arguments)
    if options.objects < 1 or options.rounds < 1:
        parser().error("--objects and --rounds are at least 1")
    if options.profile is not None:
        options.profile = options.profile.resolve()
        options.profile.mkdir(parents=True, exist_ok=True)
    bench = Bench(options)
    try:
        for name in SECTIONS:
            if not options.only or name in options.only:
                bench.section(name)
    except (Failed, RuntimeError, ValueError) as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
