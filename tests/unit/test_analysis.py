"""The test of an error rate: it seldom accuses a version within its limit, however often it is asked, and finds one beyond it soon."""

from __future__ import annotations

from math import exp, fsum, isclose, log

import pytest

from modelyard.registered_model.analysis import ALPHA, exceeds, log_evidence

LIMITS = (0.5, 0.05, 0.001)


def binomial(n: int, rate: float) -> list[float]:
    """The probabilities of 0 to n failures."""
    found = [1.0]
    for _ in range(n):
        found = [(found[k] if k < len(found) else 0) * (1 - rate) + (found[k - 1] if k else 0) * rate for k in range(len(found) + 1)]
    return found


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("share", [1, 0.5])
def test_its_expectation_is_one_at_the_limit_and_less_below(limit: float, share: float):
    for n in (1, 7, 60):
        expected = fsum(each * exp(log_evidence(k, n, limit)) for k, each in enumerate(binomial(n, limit * share)))
        assert isclose(expected, 1, rel_tol=1e-9) if share == 1 else expected < 1


@pytest.mark.parametrize("limit", LIMITS)
def test_a_version_at_its_limit_is_hardly_ever_accused_though_it_is_judged_after_each_request(limit: float):
    alive, accused = [1.0], 0.0
    for n in range(1, 301):
        alive = [(alive[k] if k < n else 0) * (1 - limit) + (alive[k - 1] if k else 0) * limit for k in range(n + 1)]
        for k in range(n + 1):
            if alive[k] and exceeds(k, n, limit):
                accused += alive[k]
                alive[k] = 0.0
    assert 0 < accused <= ALPHA, "exact: the sum over all courses of 300 requests"


@pytest.mark.parametrize(
    ("failures", "requests", "limit", "found"),
    [
        (0, 10**9, 0.05, False),
        (2, 50, 0.05, False),  # 4 %
        (5, 50, 0.05, False),  # 10 % of few
        (15, 50, 0.05, True),
        (50, 50, 0.05, True),
        (4_900, 100_000, 0.05, False),
        (5_000, 100_000, 0.05, False),
        (6_000, 100_000, 0.05, True),
        (4, 50, 0.001, True),
        (999_999_999_999, 999_999_999_999, 0.5, True),  # no number overflows
        (0, 0, 0.05, False),
    ],
)
def test_what_exceeds(failures: int, requests: int, limit: float, found: bool):
    assert exceeds(failures, requests, limit) is found


def test_more_failures_are_more_evidence():
    found = [log_evidence(k, 200, 0.05) for k in range(10, 201)]
    assert found == sorted(found)
    assert log_evidence(0, 200, 0.05) < 0 < log(1 / ALPHA) < found[-1]
