"""The error rates and power of an analysis: the tables of docs/concepts/analysis.md at full size,
simulated with a fixed seed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from math import inf, isfinite
from multiprocessing import get_context

import numpy as np

from modelyard.api.analysis import Analysis
from modelyard.registered_model.sequential import Limit
from tests.bench.figures import Samples, percentile, table
from tests.bench.simulated import (
    Latencies,
    Rates,
    Traffic,
    World,
    drifting,
    growing,
    until_fail,
    until_pass,
    until_slow,
    z_test_fails,
)
from tests.cluster.console import Console

__all__ = ["SEED", "analysis_tables", "measure"]

SEED = 15
MINUTE = 2
"""Intervals of 30 s in one."""
ALPHA, ALPHA_OF_TWO = 0.01, 0.005
EQUAL, HALF, DEFAULT = Limit(1, 0), Limit(1, 0.005), Limit(1.5, 0.001)
LOW, LOW_EVEN = Traffic(5, 495), Traffic(5, 5)
HIGH, HIGH_EVEN = Traffic(300, 29_700), Traffic(15_000, 15_000)
LEVELS = {
    "10/min, 1:99": LOW,
    "10/min, 1:1": LOW_EVEN,
    "1000/s, 1:99": HIGH,
    "1000/s, 1:1": HIGH_EVEN,
}
LIMITS = {EQUAL: "stable", HALF: "stable + 0.5 points", DEFAULT: "1.5 times stable + 0.1 points"}


# --- rows -----------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Healthy:
    """A candidate that is within its limit."""

    title: str
    world: World
    limit: Limit = EQUAL
    rollouts: int = 2000
    intervals: int = 200

    @property
    def subject(self) -> str:
        return f"healthy: {self.title}"

    def one(self, seed: int) -> dict[str, float]:
        rng = np.random.default_rng((SEED, seed))
        _, requests = until_fail(rng, self.world, self.limit, alpha=ALPHA, most=self.intervals)
        found = {"stopped": float(isfinite(requests))}
        if self.limit == EQUAL:
            rng = np.random.default_rng((SEED, seed))
            found["z"] = float(z_test_fails(rng, self.world, most=self.intervals))
        return found


HEALTHY = (
    *(Healthy(f"{level}, 1 % errors", World(LEVELS[level], Rates(0.01, 0.01))) for level in LEVELS),
    Healthy("1000/s, 1:99, 0.02 % errors", World(HIGH, Rates(0.0002, 0.0002))),
    Healthy(
        "exactly at the limit: 0.5 -> 1 %, stable + 0.5 points",
        World(HIGH, Rates(0.01, 0.005)),
        HALF,
    ),
    Healthy(
        "exactly at the limit: 0.5 -> 0.85 %, 1.5 times stable + 0.1 points",
        World(HIGH, Rates(0.0085, 0.005)),
        DEFAULT,
    ),
    Healthy("both drift from 0.2 to 2.2 %, with outages of 25 %", World(HIGH, drifting)),
    Healthy(
        "the weight grows from 5 to 50 % while both go from 0.2 to 2 %",
        World(Traffic(300, 5700, later=(3000, 3000)), growing),
    ),
    Healthy(
        "a whole day, 10/min, 1:99, 1 % errors",
        World(LOW, Rates(0.01, 0.01)),
        rollouts=200,
        intervals=2880,
    ),
)


@dataclass(frozen=True)
class Worse:
    """A candidate that is worse than its limit, at one level of traffic."""

    title: str
    level: str
    world: World
    limit: Limit
    rollouts: int = 100
    intervals: int = 4000

    @property
    def subject(self) -> str:
        return f"worse: {self.title}, {self.level}"

    def one(self, seed: int) -> dict[str, float]:
        rng = np.random.default_rng((SEED, seed))
        intervals, requests = until_fail(
            rng, self.world, self.limit, alpha=ALPHA_OF_TWO, most=self.intervals
        )
        return {"requests": requests, "minutes": intervals / MINUTE if isfinite(requests) else inf}


CHANGES = ((0.01, 0.02), (0.001, 0.01), (0.01, 0.05), (0.001, 0.05), (0.001, 0.3))
WORSE = tuple(
    Worse(
        f"{100 * stable:g} -> {100 * candidate:g} %, {LIMITS[limit]}",
        level,
        World(traffic, Rates(candidate, stable)),
        limit,
    )
    for stable, candidate in CHANGES
    for limit in LIMITS
    for level, traffic in LEVELS.items()
)
HOUR = 60 * MINUTE
LATE = tuple(
    Worse(
        f"{100 * stable:g} -> {100 * candidate:g} %",
        when,
        World(Traffic(300, 5700), Rates(candidate, stable, good=after)),
        HALF,
    )
    for stable, candidate in ((0.01, 0.05), (0.001, 0.02), (0.001, 0.3))
    for when, after in (("from the start", 0), ("after an hour", HOUR))
)


@dataclass(frozen=True)
class Slower:
    """A candidate that is slower than allowed, or exactly as slow."""

    title: str
    world: Latencies
    allowed: str
    rollouts: int = 60
    intervals: int = 60

    @property
    def subject(self) -> str:
        return f"slower: {self.title}"

    def one(self, seed: int) -> dict[str, float]:
        rng = np.random.default_rng((SEED, seed))
        latency = {"name": "slow", "latency": {"quantile": "0.99", "ratioToStable": self.allowed}}
        # Three metrics are judged, so that this one has an alpha of 0.5 %.
        asked = Analysis.model_validate({"metrics": [latency], "falseAlarms": "0.015"})
        return {"requests": until_slow(rng, self.world, asked, most=self.intervals)}


MIDDLE = Traffic(300, 3000)
SLOWER = (
    Slower("1.5x, 1.2 allowed, 300 an interval", Latencies(MIDDLE, 1.5), "1.2"),
    Slower("2x, 1.5 allowed, 300 an interval", Latencies(MIDDLE, 2), "1.5"),
    Slower("3x, 1.5 allowed, 300 an interval", Latencies(MIDDLE, 3), "1.5"),
    Slower("3x, 1.5 allowed, 5 an interval", Latencies(LOW, 3), "1.5", intervals=300),
    Slower("2x, 1.5 allowed, 5 an interval", Latencies(LOW, 2), "1.5", intervals=300),
    Slower("as slow as is allowed: 1.5x, 300 an interval", Latencies(MIDDLE, 1.5), "1.5"),
    Slower("as fast, and no slower allowed, 300 an interval", Latencies(MIDDLE, 1), "1"),
)


@dataclass(frozen=True)
class Passing:
    """A candidate that is as good as the stable version."""

    title: str
    rate: float
    limit: Limit
    rollouts: int = 100
    intervals: int = 4000

    @property
    def subject(self) -> str:
        return f"passing: {self.title}, {LIMITS[self.limit]}"

    def one(self, seed: int) -> dict[str, float]:
        rng = np.random.default_rng((SEED, seed))
        return {
            "requests": until_pass(
                rng, World(LOW, Rates(self.rate, self.rate)), self.limit, most=self.intervals
            )
        }


RATES = (0.0, 0.001, 0.005, 0.01)
PASSING = tuple(
    Passing(f"{100 * rate:g} %", rate, limit) for rate in RATES for limit in (HALF, DEFAULT)
)

Row = Healthy | Worse | Slower | Passing


# --- a run ----------------------------------------------------------------------------------------
def measure(console: Console, share: float = 1.0) -> Samples:
    """Simulate all rows, on all cores.

    Args:
        console: Prints the progress.
        share: The share of each row's rollouts; less for a quick run.

    """
    samples = Samples()
    rows: Sequence[Row] = (*HEALTHY, *WORSE, *LATE, *SLOWER, *PASSING)
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        parts = [pool.submit(_part, row, range(max(1, int(row.rollouts * share)))) for row in rows]
        for row, part in zip(rows, parts, strict=True):
            for sample in part.result():
                samples.add(row.subject, sample)
            console.say(f"analysis: {row.subject}")
    return samples


def _part(row: Row, seeds: Iterable[int]) -> list[dict[str, float]]:
    return [row.one(seed) for seed in seeds]


# --- tables ---------------------------------------------------------------------------------------
def analysis_tables(samples: Samples) -> str:
    """Return how often healthy candidates are stopped, and after how many candidate requests there
    is a verdict.
    """
    parts = [
        (
            "Healthy candidates that are stopped, `falseAlarms` 1 %, 200 intervals",
            _healthy(samples),
        ),
        (
            (
                "Candidate requests and time until Fail, half / nine tenths of the rollouts, two"
                " metrics"
            ),
            _worse(samples),
        ),
        (
            "Intervals until Fail after the candidate turns bad, 5 % of 200/s, stable + 0.5 points",
            _late(samples),
        ),
        (
            "Candidate requests until Fail, p99 of log-normal latencies, p99/p50 = 3.2",
            _slower(samples),
        ),
        ("Candidate requests until Pass, both versions fail as often", _passing(samples)),
    ]
    return "\n\n".join(f"{title}:\n\n{found}" for title, found in parts)


def _healthy(samples: Samples) -> str:
    rows = []
    for row in HEALTHY:
        shares = [
            np.mean(samples.values(row.subject, figure) or [inf]) for figure in ("stopped", "z")
        ]
        rows.append(
            [
                row.title,
                *(f"{100 * each:.2f} %" if isfinite(each) else "" for each in shares),
                f"{row.rollouts:,}",
            ]
        )
    return table(
        ["healthy candidate", "stopped", "by a z-test at 1 %, made every time", "rollouts"], rows
    )


def _worse(samples: Samples) -> str:
    rows = []
    for title in dict.fromkeys(row.title for row in WORSE):
        cells = [row for row in WORSE if row.title == title]
        rows.append([title, *(_cell(samples, row) for row in cells)])
    return table(["stable -> candidate, limit", *LEVELS], rows)


def _cell(samples: Samples, row: Worse) -> str:
    return f"{_both(samples, row, 'requests', _requests)} ({_both(samples, row, 'minutes', _time)})"


def _late(samples: Samples) -> str:
    rows = []
    for title in dict.fromkeys(row.title for row in LATE):
        cells = []
        for row in (each for each in LATE if each.title == title):
            before = HOUR if row.level == "after an hour" else 0
            late = [minutes * MINUTE - before for minutes in samples.values(row.subject, "minutes")]
            cells.append(f"{percentile(late, 0.5):.0f} / {percentile(late, 0.9):.0f}")
        rows.append([title, *cells])
    return table(["stable -> candidate", "from the start", "after an hour"], rows)


def _slower(samples: Samples) -> str:
    rows = [[row.title, _both(samples, row, "requests", _requests)] for row in SLOWER]
    return table(["candidate", "requests, half / nine tenths"], rows)


def _passing(samples: Samples) -> str:
    rows = []
    for title in dict.fromkeys(row.title for row in PASSING):
        found = [row for row in PASSING if row.title == title]
        rows.append([title, *(_both(samples, row, "requests", _requests) for row in found)])
    return table(["errors of both", *(f"limit {LIMITS[limit]}" for limit in (HALF, DEFAULT))], rows)


def _both(samples: Samples, row: Row, figure: str, said: Callable[[float], str]) -> str:
    values = samples.values(row.subject, figure)
    half, most = (said(percentile(values, share)) for share in (0.5, 0.9))
    return half if half == most else f"{half} / {most}"


def _requests(value: float) -> str:
    """Three digits, and a dash for never."""
    return f"{float(f'{value:.3g}'):,.0f}" if isfinite(value) else "-"


def _time(minutes: float) -> str:
    if not isfinite(minutes):
        return "-"
    return f"{minutes:.3g} min" if minutes < 90 else f"{minutes / 60:.2g} h"
