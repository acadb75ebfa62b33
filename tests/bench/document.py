"""docs/benchmarks.md: its tables, each written by the run that measured it. The prose around
them is written by hand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.bench import (
    analysis,
    canary,
    costs,
    download,
    rollout,
    serving,
    start,
    tracking,
    trouble,
)
from tests.bench.figures import Samples, number, ratio, table
from tests.bench.machine import described, load_average, now
from tests.bench.subjects import CONTROLLER_RUNTIME, ENGINE, EXPERIMENT

__all__ = [
    "Measured",
    "analysis_table",
    "download_table",
    "hostile_table",
    "put",
    "reconcile_table",
    "rollout_table",
    "serving_table",
    "start_table",
    "strangers_table",
    "tracking_table",
    "trouble_table",
]

SUBJECTS = (CONTROLLER_RUNTIME, ENGINE, EXPERIMENT)
# Figure, its name in a sample, whether a ratio says something, the bar.
RECONCILE = (
    (
        "start of the process to the last status, s",
        "all",
        True,
        "B1: 1.0; in the first milestone 1.5",
    ),
    ("of that, from the first status to the last, s", "work", True, ""),
    ("CPU an object, ms", "cpu", True, ""),
    ("API writes an object, events not counted (B3)", "requests", True, ""),
    ("calls to MLflow and S3 an object", "asked", False, ""),
    ("change to status, p50, ms", "p50", True, "B2: 1.3"),
    ("change to status, p99, ms", "p99", True, "B2: 2"),
    ("of that, after others see the change, p50, ms", "reaction p50", True, ""),
    ("of that, after others see the change, p99, ms", "reaction p99", True, ""),
    ("calls to MLflow and S3 a change", "asked a change", False, ""),
    ("restart: one that changed meanwhile, s", "restart first", True, "B4: 3 s"),
    ("restart: all reconciled, s", "restart all", True, "B4: 60 s for 10,000"),
    ("restart: status changes of what had not changed", "restart writes", False, "B4: 0"),
    ("restart: API writes, that one's included", "restart requests", False, ""),
    ("restart: calls to MLflow and S3, the first resyncs included", "restart asked", False, ""),
    ("memory, idle, MB", "resident", True, "B5: 200 MB for 10,000"),
    ("memory, idle, after a restart, MB", "restart resident", True, ""),
    ("memory with no objects, MB", "empty", True, ""),
    ("memory an object, KB", "bytes", True, "B5: 12 KB"),
    ("CPU, idle, after a restart, percent of a core", "idle", False, "B12: 1"),
)
CANARY = (
    ("patch to the candidate's first answer, with the start of its pod, s", "first", ""),
    ("from one pause to the next: the weight changed and applied, s", "step", "theirs; 1.2 s"),
    ("from the abort to the last answer of the candidate, s", "abort", "1 s"),
    (f"requests lost at {rollout.RATE} a second, all rounds", "lost", "0"),
    ("requests sent, all rounds", "sent", ""),
)
ROLLOUT = (
    ("apply to the first answer, s", "apply", "B11: 1 s more"),
    ("patch to the new version's first answer, s", "promotion", "B11: 1 s more; 5 s"),
    ("patch to the first answer of a rollback, s", "rollback", "1 s"),
    (f"requests lost at {rollout.RATE} a second, all rounds", "lost", "0"),
    ("requests sent, all rounds", "sent", ""),
    ("slowest answer meanwhile, ms", "slowest", ""),
)


@dataclass(frozen=True)
class Measured:
    """When, where and how a section was measured; `begin` it before the first run.

    Attributes:
        command: That does it again.
        load: The machine's load before.

    """

    command: str
    load: float

    @classmethod
    def begin(cls, command: str) -> Measured:
        return cls(command, load_average())

    def line(self, rounds: int) -> str:
        """The line over a table."""
        busy = f"load average {self.load:.1f} before and {load_average():.1f} after it"
        plural = "" if rounds == 1 else "s"
        return (
            f"{now()}: `{self.command}`, {rounds} round{plural} in turns, medians. {described()};"
            f" {busy}."
        )


def reconcile_table(samples: Samples, measured: Measured) -> str:
    """Operators side by side; a ratio is the median of the rounds' own."""
    rows = []
    for title, figure, compared, bar in RECONCILE:
        cells = [title, number(samples.median(CONTROLLER_RUNTIME, figure))]
        for subject in (ENGINE, EXPERIMENT):
            cells += [
                number(samples.median(subject, figure)),
                ratio(samples.ratio(subject, CONTROLLER_RUNTIME, figure)) if compared else "",
            ]
        rows.append([*cells, bar])
    head = ["", CONTROLLER_RUNTIME, ENGINE, "ratio", EXPERIMENT, "ratio", "bar"]
    return f"{measured.line(samples.rounds)}\n\n{table(head, rows)}"


def trouble_table(samples: Samples, measured: Measured) -> str:
    """Return the cost of one tenant's failures for the others, and the time to recover after an
    outage of the API server.
    """
    rows = []
    for title, subject in (
        ("all tenants work", ""),
        ("refuse connections", trouble.REFUSED),
        ("never answer", trouble.SILENT),
    ):
        figures = [number(samples.median(subject, figure)) for figure in ("p50", "p99")]
        compared = ratio(samples.ratio(subject, "", "p99")) if subject else ""
        rows.append(
            [
                f"one tenant's MLflow and S3 {title}" if subject else title,
                *figures,
                compared,
                "B7: 3" if subject else "",
            ]
        )
    back = [
        [each, number(samples.median(each, "back")), "B10: 5" if each != CONTROLLER_RUNTIME else ""]
        for each in SUBJECTS
    ]
    first = table(["change to status of the others, ms", "p50", "p99", "ratio", "bar"], rows)
    second = table(["after the API server was away, all is right again, s", "", "bar"], back)
    return f"{measured.line(samples.rounds)}\n\n{first}\n\n{second}"


def rollout_table(samples: Samples, measured: Measured) -> str:
    """The operator beside a bare Deployment; in seconds, for the bar is a difference."""
    rows = []
    for title, figure, bar in ROLLOUT:
        summed = figure in ("lost", "sent")
        found = [
            sum(samples.values(each, figure)) if summed else samples.median(each, figure)
            for each in (rollout.OURS, rollout.BARE)
        ]
        more = (
            ""
            if summed
            else f"{found[0] - found[1]:+.2f}"
            if figure != "slowest"
            else f"{found[0] - found[1]:+.0f}"
        )
        rows.append([title, *map(number, found), more, bar])
    return (
        f"{measured.line(samples.rounds)}\n"
        "\n"
        f"{table(['', rollout.OURS, rollout.BARE, 'difference', 'bar'], rows)}"
    )


def canary_table(samples: Samples, measured: Measured) -> str:
    """A rollout in steps, beside Argo Rollouts on the same pods in the same run."""
    rows = []
    for title, figure, bar in CANARY:
        found = [
            sum(samples.values(each, figure))
            if figure in {"lost", "sent"}
            else samples.median(each, figure)
            for each in (canary.OURS, canary.ARGO)
        ]
        rows.append([title, *map(number, found), bar])
    return (
        f"{measured.line(samples.rounds)}\n\n{table(['', canary.OURS, canary.ARGO, 'bar'], rows)}"
    )


def serving_table(samples: Samples, measured: Measured) -> str:
    """Servers side by side, by protocol; the ratio is ours to the other that speaks it."""
    others = {
        serving.V1: serving.KSERVE,
        serving.V2: serving.KSERVE,
        serving.INVOCATIONS: serving.MLFLOW,
    }
    names = {serving.V1: "V1", serving.V2: "V2", serving.INVOCATIONS: "/invocations"}
    bars = {serving.V1: "1.0", serving.V2: "1.0", serving.INVOCATIONS: "2.0"}
    rows = []
    for path, other in others.items():
        for count in serving.ROWS:
            ours, theirs = (f"{each} {path} {count}" for each in (serving.OURS, other))
            cells = [f"{names[path]}, {count} row{'s' if count > 1 else ''}, beside {other}"]
            cells += [number(samples.median(each, "rate")) for each in (ours, theirs)] + [
                ratio(samples.ratio(ours, theirs, "rate"))
            ]
            cells += [number(samples.median(each, "cpu")) for each in (ours, theirs)]
            cells += [number(samples.median(each, "p99")) for each in (ours, theirs)]
            rows.append([*cells, bars[path]])
    head = [
        "",
        "requests/s",
        "theirs",
        "ratio",
        "CPU a request, ms",
        "theirs",
        "p99, ms",
        "theirs",
        "bar",
    ]
    cold = []
    for server in serving.SERVERS:
        name = f"{server.name} {serving.COLD}"
        cold.append(
            [
                server.name,
                number(samples.median(name, "cold")),
                number(samples.median(name, "resident")),
            ]
        )
    second = table(["", "start to the first prediction, s", "memory after the load, MB"], cold)
    return (
        f"{measured.line(samples.rounds)}\n"
        "\n"
        f"{table(head, rows)}\n"
        "\n"
        f"{second}\n"
        "\n"
        f"{costs.costs_table(samples)}"
    )


def hostile_table(samples: Samples, measured: Measured) -> str:
    """What each request costs; the time is from its first byte to the answer, with making it."""
    figures = ("grown", "seconds", "live")
    rows = [
        [subject, *(number(samples.median(subject, figure)) for figure in figures)]
        for subject in samples.subjects
    ]
    head = ["", "memory, MiB", "seconds, with making it", "slowest answer of /v2/health/live, s"]
    return f"{measured.line(samples.rounds)}\n\n{table(head, rows)}"


def strangers_table(samples: Samples, measured: Measured) -> str:
    """What each attack costs; of the runs with many metrics, how many were read."""
    figures = ("grown", "seconds", "lag", "healthy", "runs")
    rows = [
        [subject, *(number(samples.median(subject, figure)) for figure in figures)]
        for subject in samples.subjects
    ]
    head = [
        "",
        "memory, MiB",
        "seconds",
        "event loop held, s",
        "a healthy tenant's slowest call, s",
        "runs read",
    ]
    return f"{measured.line(samples.rounds)}\n\n{table(head, rows)}"


def download_table(samples: Samples, measured: Measured) -> str:
    """Ours beside boto3, tree by tree."""
    rows = []
    for tree in download.TREES:
        ours, theirs = (f"{subject}, {tree.title}" for subject in (download.OURS, download.BOTO3))
        found = [number(samples.median(each, "rate")) for each in (ours, theirs)]
        rows.append([tree.title, *found, ratio(samples.ratio(ours, theirs, "rate"))])
    head = ["MB/s", download.OURS, f"{download.BOTO3}, `download_file`", "ratio"]
    return f"{measured.line(samples.rounds)}\n\n{table(head, rows)}"


def tracking_table(samples: Samples, measured: Measured) -> str:
    """B9: our way to MLflow beside a bare one."""
    ours, bare = tracking.OURS, tracking.BARE
    rows = []
    for title, figure, bar in (
        ("calls a second", "rate", "B9: 0.8"),
        ("CPU a call, on our side, ms", "cpu", ""),
    ):
        found = [number(samples.median(subject, figure)) for subject in (ours, bare)]
        rows.append([title, *found, ratio(samples.ratio(ours, bare, figure)), bar])
    return f"{measured.line(samples.rounds)}\n\n{table(['', ours, bare, 'ratio', 'bar'], rows)}"


def start_table(samples: Samples, measured: Measured) -> str:
    """Every command, from the fork to its end."""
    rows = []
    for subject in samples.subjects:
        bar = f"{start.BAR}" if subject.startswith("modelyard") else ""
        rows.append(
            [
                f"`{subject}`",
                *(number(samples.median(subject, figure)) for figure in ("wall", "cpu")),
                bar,
            ]
        )
    return f"{measured.line(samples.rounds)}\n\n{table(['', 'seconds', 'of CPU', 'bar'], rows)}"


def analysis_table(samples: Samples, measured: Measured) -> str:
    """What an analysis promises and finds; of the machine it says nothing."""
    return (
        f"{now()}: `{measured.command}`, simulated with the operator's code, seed"
        f" {analysis.SEED}.\n"
        "\n"
        f"{analysis.analysis_tables(samples)}"
    )


def put(path: Path, section: str, text: str) -> bool:
    """Put a section's text between its marks; return whether it has marks."""
    begin, end = f"<!-- {section} -->", f"<!-- end of {section} -->"
    document = path.read_text() if path.exists() else ""
    if begin not in document or end not in document:
        return False
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    path.write_text(pattern.sub(lambda _: f"{begin}\n{text}\n{end}", document))
    return True
