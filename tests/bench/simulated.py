"""Rollouts under an analysis, simulated: how often a healthy candidate is stopped, and how soon a
bad one.

The test is the operator's own code; numpy draws the requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import inf, log, sqrt

import numpy as np
from numpy.random import Generator

from modelyard.api.analysis import Analysis
from modelyard.api.wire import LATENCY_EDGES
from modelyard.registered_model.progress import Progress, advanced, fails
from modelyard.registered_model.sequential import (
    NO_SUMS,
    Counts,
    Evidence,
    Limit,
    added,
    advance,
    excludes,
)
from modelyard.traffic import Arm, Interval

__all__ = [
    "Latencies",
    "Rates",
    "Traffic",
    "World",
    "drifting",
    "growing",
    "until_fail",
    "until_pass",
    "until_slow",
    "z_test_fails",
]

BLOCK = 100
"""Intervals that are drawn at once."""
Z = 2.326
"""One-sided, at 1 %."""


@dataclass(frozen=True)
class Traffic:
    """Requests an interval of each version, on average; `later` is what they are after
    `intervals`, growing evenly.
    """

    candidate: float
    stable: float
    later: tuple[float, float] | None = None
    intervals: int = 200

    def means(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return both means in intervals of these numbers."""
        to = self.later or (self.candidate, self.stable)
        done = np.minimum(numbers / self.intervals, 1)
        return (
            self.candidate + done * (to[0] - self.candidate),
            self.stable + done * (to[1] - self.stable),
        )


@dataclass(frozen=True)
class Rates:
    """The candidate's and the stable version's rate; the candidate is as good as the stable one
    for the first intervals.
    """

    candidate: float
    stable: float
    good: int = 0

    def __call__(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        stable = np.full(numbers.shape, self.stable)
        return np.where(numbers > self.good, self.candidate, stable), stable


def drifting(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both rates go from 0.2 to 2.2 % and back in an hour, and every 40th interval is an outage
    of 25 %.
    """
    both = 0.012 + 0.01 * np.sin(numbers * 2 * np.pi / 120)
    both = np.where(numbers % 40 == 0, 0.25, both)
    return both, both


def growing(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both rates go from 0.2 to 2 % in 200 intervals."""
    both = 0.002 + 0.018 * np.minimum(numbers / 200, 1)
    return both, both


@dataclass(frozen=True)
class World:
    """The conditions in every rollout of one row."""

    traffic: Traffic
    rates: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    """Both rates, the candidate's first, in the intervals of these numbers."""

    def counts(self, rng: Generator) -> Iterator[Counts]:
        """Yield intervals endlessly."""
        first = 1
        while True:
            numbers = np.arange(first, first + BLOCK)
            first += BLOCK
            nc, ns = (rng.poisson(mean) for mean in self.traffic.means(numbers))
            pc, ps = self.rates(numbers)
            fc, fs = rng.binomial(nc, pc), rng.binomial(ns, ps)
            yield from map(Counts, fc.tolist(), nc.tolist(), fs.tolist(), ns.tolist())


def until_fail(
    rng: Generator, world: World, limit: Limit, *, alpha: float, most: int, failure_limit: int = 1
) -> tuple[int, float]:
    """Return after how many intervals and candidate requests a rollout fails; (most, infinity)
    if it does not.
    """
    evidence, requests = Evidence(), 0
    for number, counts in zip(range(1, most + 1), world.counts(rng), strict=False):
        evidence = advance(evidence, counts, limit, alpha=alpha, failure_limit=failure_limit)
        requests += counts.requests
        if evidence.value >= 1 / alpha:
            return number, requests
    return most, inf


def until_pass(rng: Generator, world: World, limit: Limit, *, most: int) -> float:
    """Return after how many candidate requests it is shown to be within the limit; infinity if
    it is not.
    """
    sums, requests = NO_SUMS, 0
    for _, counts in zip(range(most), world.counts(rng), strict=False):
        sums = added(sums, counts, limit)
        requests += counts.requests
        if excludes(sums, limit.plus):
            return requests
    return inf


def z_test_fails(rng: Generator, world: World, *, most: int) -> bool:
    """Return whether a z-test of the totals, one-sided at 1 %, ever rejects a candidate when it is
    made after every interval.
    """
    fc = nc = fs = ns = 0
    for _, counts in zip(range(most), world.counts(rng), strict=False):
        fc, nc, fs, ns = (
            fc + counts.failed,
            nc + counts.requests,
            fs + counts.stable_failed,
            ns + counts.stable_requests,
        )
        if not (nc and ns and fc + fs):
            continue
        pooled = (fc + fs) / (nc + ns)
        spread = sqrt(pooled * (1 - pooled) * (1 / nc + 1 / ns))
        if spread and (fc / nc - fs / ns) / spread > Z:
            return True
    return False


@dataclass(frozen=True)
class Latencies:
    """Log-normal latencies of both versions, which drift together.

    Attributes:
        traffic: Answers an interval.
        slower: How many times as slow the candidate is.
        tail: p99 / p50.
        drift: By which share both get slower and faster within an hour.

    """

    traffic: Traffic
    slower: float
    tail: float = 3.2
    drift: float = 0.4
    _edges: np.ndarray = field(default_factory=lambda: np.log(np.array(LATENCY_EDGES)))

    def arm(self, rng: Generator, requests: int, median: float) -> Arm:
        """Draw the durations of this many answers."""
        drawn = np.searchsorted(self._edges, rng.normal(log(median), log(self.tail) / Z, requests))
        edges, counts = np.unique(drawn, return_counts=True)
        return Arm(requests, latency=dict(zip(edges.tolist(), counts.tolist(), strict=True)))

    def intervals(self, rng: Generator) -> Iterator[Interval]:
        """Yield intervals endlessly."""
        number = 0
        while True:
            number += 1
            median = 0.02 * (1 + self.drift * np.sin(number * 2 * np.pi / 120))
            nc, ns = (
                int(rng.poisson(mean)) for mean in (self.traffic.candidate, self.traffic.stable)
            )
            yield Interval(
                number,
                stable=self.arm(rng, ns, median),
                candidate=self.arm(rng, nc, self.slower * median),
            )


def until_slow(rng: Generator, world: Latencies, analysis: Analysis, *, most: int) -> float:
    """Return after how many candidate requests a rollout fails; infinity if it does not."""
    progress, requests = Progress(key="simulated"), 0
    for _, interval in zip(range(most), world.intervals(rng), strict=False):
        progress = advanced(progress, interval, analysis, weight=0, sticky=False)
        requests += interval.candidate.requests
        if any(fails(each, analysis) for each in progress.metrics.values()):
            return requests
    return inf
