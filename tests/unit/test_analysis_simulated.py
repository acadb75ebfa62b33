"""Whole rollouts at three traffic levels: healthy candidates are seldom stopped, and bad ones are
found about when the formula predicts.

The seed is fixed. A band is so wide that another seed leaves it with a probability of 1e-6. Full
size: `tests/bench/analysis.py`.
"""

from __future__ import annotations

from math import comb, inf

import numpy as np
import pytest

from modelyard.api.analysis import Analysis
from modelyard.registered_model import counted
from modelyard.registered_model.judgement import finds
from modelyard.registered_model.progress import Judged, Progress
from modelyard.registered_model.sequential import Limit
from tests.bench.simulated import (
    Latencies,
    Rates,
    Traffic,
    World,
    drifting,
    growing,
    until_fail,
    until_slow,
)
from tests.unit.analyses import analysis

ROLLOUTS, INTERVALS = 300, 100
ALPHA = 0.05
"""Larger than the default: with it a test that is wrong is seen in few rollouts."""
LEVELS = {
    "10 a minute": Traffic(5, 495),
    "half of 10 a minute": Traffic(5, 5),
    "1000 a second": Traffic(300, 29_700),
}
RARE = 1e-6


def most(n: int, p: float) -> int:
    """Return the largest count in this many trials whose probability is at least `RARE`."""
    tail = 1.0
    for k in range(n + 1):
        tail -= comb(n, k) * p**k * (1 - p) ** (n - k)
        if tail < RARE:
            return k
    return n


def least(n: int, p: float) -> int:
    return n - most(n, 1 - p)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("candidate", "stable", "limit"),
    [
        (0.01, 0.01, Limit(1, 0)),
        (0.01, 0.005, Limit(1, 0.005)),
        (0.0085, 0.005, Limit(1.5, 0.001)),
        (0.02, 0.02, Limit(0, 0.02)),
    ],
)
def test_a_candidate_within_its_limit_is_seldom_stopped(
    level: str, candidate: float, stable: float, limit: Limit
):
    rng = np.random.default_rng(15)
    world = World(LEVELS[level], Rates(candidate, stable))
    found = [
        until_fail(rng, world, limit, alpha=ALPHA, most=INTERVALS)[1] < inf for _ in range(ROLLOUTS)
    ]
    assert sum(found) <= most(ROLLOUTS, ALPHA)


@pytest.mark.parametrize(
    "world",
    [
        World(Traffic(300, 29_700), drifting),
        World(Traffic(300, 5700, later=(3000, 3000)), growing),
    ],
    ids=["a base rate that drifts, with outages", "a weight and a base rate that grow together"],
)
def test_failures_of_both_versions_alike_stop_no_candidate(world: World):
    rng = np.random.default_rng(15)
    found = [
        until_fail(rng, world, Limit(1, 0), alpha=ALPHA, most=INTERVALS)[1] < inf
        for _ in range(ROLLOUTS)
    ]
    assert sum(found) <= most(ROLLOUTS, ALPHA)


MARGIN = analysis({"name": "errors", "errorRate": {"moreThanStable": "0.005"}})
EQUAL = analysis({"name": "errors", "errorRate": {"moreThanStable": "0"}})
OWN = analysis({"name": "errors", "errorRate": {"atMost": "0.01"}})


@pytest.mark.parametrize("requests", [100, 1000, 10_000])
@pytest.mark.parametrize(("stable", "times"), [(0.001, 1), (0.001, 10), (0.01, 1), (0.01, 99)])
@pytest.mark.parametrize(
    "asked", [analysis(), MARGIN, EQUAL, OWN], ids=["default", "margin", "equal", "own"]
)
def test_nine_of_ten_bad_candidates_are_found_within_the_predicted_requests(
    asked: Analysis, stable: float, times: int, requests: int
):
    known = Judged(
        stable_failed=round(1e6 * stable), stable_requests=10**6, requests=10**6 // times
    )
    rate = finds(requests, asked, Progress(key="k", metrics={"errors": known}))
    assert rate is not None
    world = World(Traffic(requests / 20, requests / 20 * times), Rates(rate, stable))
    limit = next(counted.limit(metric) for metric in asked.judged if metric.error_rate is not None)
    rng, rollouts = np.random.default_rng(15), 200
    found = [
        until_fail(rng, world, limit, alpha=asked.alpha, most=20)[1] < inf for _ in range(rollouts)
    ]
    assert least(rollouts, 0.87) <= sum(found) <= most(rollouts, 0.96)


def test_slow_candidates_are_found_and_equal_ones_are_not_stopped():
    asked = analysis(
        {"name": "slow", "latency": {"quantile": "0.99", "ratioToStable": "1.2"}},
        falseAlarms="0.15",
    )
    rng = np.random.default_rng(15)

    def found(slower: float, rollouts: int) -> int:
        world = Latencies(Traffic(300, 3000), slower)
        return sum(until_slow(rng, world, asked, most=15) < inf for _ in range(rollouts))

    assert found(1.0, 60) <= most(60, asked.alpha)
    assert found(1.2, 60) <= most(60, asked.alpha)
    assert found(2.0, 60) >= least(60, 0.95)
