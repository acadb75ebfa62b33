"""The sequential test of failure rates keeps its bound: shown exactly, by summing over all outcomes
of small counts.

Power and false alarms of whole rollouts are simulated in `test_analysis_simulated`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import comb, exp, fsum, inf, isclose, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelyard.registered_model.sequential import (
    ALPHA,
    BETTER,
    NO_SUMS,
    WORSE,
    Counts,
    Evidence,
    Limit,
    added,
    advance,
    exceeds,
    excludes,
    log_evidence,
    log_factor,
    log_foreseen,
    upper,
)

LIMITS = (0.5, 0.05, 0.001)
COMPARED = (Limit(1, 0), Limit(1, 0.05), Limit(2, 0), Limit(1.5, 0.1))
ROUNDING = 1 + 1e-9


def binomial(n: int, rate: float) -> list[float]:
    """Return the probabilities of 0 to n failures."""
    return [comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(n + 1)]


def independent(nc: int, pc: float, ns: int, ps: float) -> Iterator[tuple[float, Counts]]:
    """Return all counts of an interval whose requests fail independently, with their
    probabilities.
    """
    for (fc, one), (fs, other) in product(enumerate(binomial(nc, pc)), enumerate(binomial(ns, ps))):
        yield one * other, Counts(fc, nc, fs, ns)


def shared(nc: int, ns: int, failing: int) -> Iterator[tuple[float, Counts]]:
    """Return all counts of an interval in which the same requests fail with either version."""
    for fc in range(max(0, failing - ns), min(nc, failing) + 1):
        probability = comb(nc, fc) * comb(ns, failing - fc) / comb(nc + ns, failing)
        yield probability, Counts(fc, nc, failing - fc, ns)


# --- one factor -----------------------------------------------------------------------------------
ARMS = ((1, 1), (3, 3), (2, 9), (9, 2), (12, 4))


@pytest.mark.parametrize("limit", COMPARED)
@pytest.mark.parametrize(("nc", "ns"), ARMS)
def test_a_factor_is_at_most_one_on_average_when_failures_are_independent(
    nc: int, ns: int, limit: Limit
):
    for phi, ps in product(WORSE, (0.0, 0.01, 0.1, 0.3)):
        at_limit = limit.times * ps + limit.plus
        expected = fsum(
            p * exp(log_factor(phi, counts, limit))
            for p, counts in independent(nc, at_limit, ns, ps)
        )
        assert expected <= ROUNDING


@pytest.mark.parametrize("limit", COMPARED)
@pytest.mark.parametrize(("nc", "ns"), ARMS)
def test_a_factor_is_at_most_one_on_average_when_both_versions_fail_the_same_requests(
    nc: int, ns: int, limit: Limit
):
    for phi, failing in product(WORSE, range(nc + ns + 1)):
        expected = fsum(
            p * exp(log_factor(phi, counts, limit)) for p, counts in shared(nc, ns, failing)
        )
        assert expected <= ROUNDING


def test_one_failure_of_either_version_is_no_evidence_on_average():
    """The bound is attained: any larger factor would break it."""
    for phi, (nc, ns) in product(WORSE, ARMS):
        expected = fsum(p * exp(log_factor(phi, c, Limit(1, 0))) for p, c in shared(nc, ns, 1))
        assert isclose(expected, 1, rel_tol=1e-12)


def test_a_factor_grows_on_average_above_the_limit():
    counts = list(independent(9, 0.4, 9, 0.1))
    assert fsum(p * exp(log_factor(2.2, each, Limit(1, 0.05))) for p, each in counts) > 1.4


@pytest.mark.parametrize("limit", LIMITS)
def test_a_factor_of_an_absolute_limit_is_one_on_average(limit: float):
    for phi, n in product(WORSE, (1, 7, 60)):
        factors = [exp(log_factor(phi, Counts(k, n), Limit(0, limit))) for k in range(n + 1)]
        for rate, least, most in ((limit, 1 - 1e-9, ROUNDING), (limit / 2, 0, 1)):
            found = fsum(p * e for p, e in zip(binomial(n, rate), factors, strict=True))
            assert least <= found <= most


def test_with_no_margin_it_is_the_likelihood_ratio_of_which_version_has_the_next_failure():
    counts, phi = Counts(3, 20, 5, 60), 3.5
    share, worse = 20 / 80, 20 * phi / (20 * phi + 60)
    found = 3 * log(worse / share) + 5 * log((1 - worse) / (1 - share))
    assert isclose(log_factor(phi, counts, Limit(1, 0)), found)


# --- the evidence of a rollout --------------------------------------------------------------------
def test_the_evidence_begins_at_one_and_its_starts_weigh_one_in_total():
    assert Evidence().value == 1
    quiet = Counts(0, 1, 0, 10**9)
    evidence = Evidence()
    for _ in range(50):
        evidence = advance(evidence, quiet, Limit(1, 0), alpha=0.01, failure_limit=1)
    assert isclose(evidence.value, 1, rel_tol=1e-6), "nothing speaks for or against it"


bets = st.lists(st.floats(0, 500), min_size=len(WORSE), max_size=len(WORSE)).map(tuple)
evidences = st.builds(Evidence, st.integers(0, 10_000), bets)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    old=evidences,
    limit=st.builds(Limit, st.floats(1, 5), st.floats(0, 0.2)),
    arms=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    stable=st.floats(0, 0.15),
    failing=st.integers(0, 16),
    failure_limit=st.integers(0, 10),
)
def test_no_interval_adds_evidence_on_average_whatever_came_before(
    old: Evidence,
    limit: Limit,
    arms: tuple[int, int],
    stable: float,
    failing: int,
    failure_limit: int,
):
    """So it does not matter how intervals are cut, which ones are lost, or when an operator
    starts.
    """
    nc, ns = arms
    worlds = [
        independent(nc, min(limit.times * stable + limit.plus, 1), ns, stable),
        shared(nc, ns, min(failing, nc + ns)),
    ]
    for world in worlds:
        after = fsum(
            p * advance(old, c, limit, alpha=0.005, failure_limit=failure_limit).value
            for p, c in world
        )
        assert after <= old.value * ROUNDING


def test_an_interval_in_two_parts_keeps_the_bound_too():
    limit, parts = Limit(1, 0.05), ((2, 5), (3, 4))
    rates = (0.1 + 0.05, 0.1)
    value = 0.0
    for (p, first), (q, second) in product(
        *(list(independent(nc, rates[0], ns, rates[1])) for nc, ns in parts)
    ):
        evidence = advance(Evidence(), first, limit, alpha=0.01, failure_limit=1)
        value += p * q * advance(evidence, second, limit, alpha=0.01, failure_limit=1).value
    assert value <= ROUNDING


@pytest.mark.parametrize(
    ("counts", "limit"),
    [
        (Counts(0, 0, 5, 100), Limit(1, 0)),
        (Counts(5, 100, 0, 0), Limit(1, 0)),
        (Counts(0, 0), Limit(0, 0.01)),
    ],
)
def test_no_data_is_no_interval(counts: Counts, limit: Limit):
    old = Evidence(3, (2.0,) * len(WORSE))
    assert advance(old, counts, limit, alpha=0.01, failure_limit=1) is old
    assert added(NO_SUMS, counts, limit) is NO_SUMS


def test_an_absolute_limit_needs_no_stable_version():
    found = advance(Evidence(), Counts(5, 10), Limit(0, 0.01), alpha=0.01, failure_limit=1)
    assert found.value > 3


@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.0001])
@pytest.mark.parametrize("failure_limit", [0, 1, 3, 10])
def test_this_many_bad_intervals_do_not_fail_and_one_more_does(failure_limit: int, alpha: float):
    worst, evidence = Counts(10**6, 10**6, 0, 10**9), Evidence()
    while evidence.value < 1 / alpha:
        evidence = advance(evidence, worst, Limit(1, 0), alpha=alpha, failure_limit=failure_limit)
    more = evidence.intervals - failure_limit
    assert more == 1 if 2**failure_limit < 1 / alpha else more in (1, 2)


def test_no_number_overflows_and_underflow_is_right():
    good, evidence = Counts(0, 10**9, 10**9, 10**9), Evidence()
    for _ in range(20):
        evidence = advance(evidence, good, Limit(1, 0.5), alpha=1e-5, failure_limit=0)
    assert evidence == Evidence(20, (0.0,) * len(WORSE))
    found = advance(
        evidence, Counts(10**9, 10**9, 0, 10**9), Limit(1, 0), alpha=1e-5, failure_limit=0
    )
    assert 0 < found.value < inf


def test_after_a_good_hour_a_bad_candidate_is_found_almost_as_soon():
    good, bad, limit = Counts(3, 300, 297, 29_700), Counts(15, 300, 297, 29_700), Limit(1, 0.005)

    def until_fail(evidence: Evidence) -> int:
        found = 0
        while evidence.value < 200:
            evidence = advance(evidence, bad, limit, alpha=0.005, failure_limit=1)
            found += 1
        return found

    late = Evidence()
    for _ in range(120):
        late = advance(late, good, limit, alpha=0.005, failure_limit=1)
    assert until_fail(Evidence()) <= until_fail(late) <= until_fail(Evidence()) + 4


@pytest.mark.parametrize("limit", [Limit(1, 0), Limit(1, 0.005), Limit(1.5, 0.001), Limit(0, 0.03)])
@pytest.mark.parametrize("ns", [400, 1000])
def test_nine_of_ten_rollouts_reach_the_predicted_evidence(ns: int, limit: Limit):
    nc, pc, ps = 400, 0.1, 0.03
    foreseen = log_foreseen(Counts(nc * pc, nc, ns * ps, ns), limit)

    def evidence(counts: Counts) -> float:
        return log(fsum(exp(log_factor(phi, counts, limit)) for phi in WORSE) / len(WORSE) / 2)

    candidate, stable = binomial(nc, pc), binomial(ns, ps)
    likely = [
        (p * q, Counts(fc, nc, fs, ns))
        for (fc, p), (fs, q) in product(enumerate(candidate), enumerate(stable))
        if p * q > 1e-7
    ]
    assert 0.88 < fsum(p for p, counts in likely if evidence(counts) >= foreseen) < 0.94


# --- the bound ------------------------------------------------------------------------------------
@pytest.mark.parametrize("times", [1, 1.5, 3])
@pytest.mark.parametrize(("nc", "ns"), ARMS)
def test_the_evidence_against_an_excess_is_at_most_one_on_average(nc: int, ns: int, times: float):
    for phi, ps, margin in product(BETTER, (0.0, 0.02, 0.1), (0.0, 0.05, 0.3)):
        world = independent(nc, times * ps + margin, ns, ps)
        found = fsum(p * exp(log_factor(phi, c, Limit(times, margin))) for p, c in world)
        assert found <= ROUNDING


def test_the_bound_is_the_smallest_excluded_excess():
    sums = added(NO_SUMS, Counts(5, 1000, 500, 99_000), Limit(1, 0))
    bound = upper(sums)
    assert excludes(sums, bound)
    assert not excludes(sums, bound - 1e-6)
    assert 0 < bound < 0.02


def test_the_bound_is_seldom_below_the_excess():
    """Exactly, after each of up to three intervals."""
    limit, excess = Limit(1, 0), 0.4
    world = list(independent(4, 0.1 + excess, 4, 0.1))
    wrong = 0.0
    alive = [(1.0, NO_SUMS)]
    for _ in range(3):
        courses = [(p * q, added(sums, counts, limit)) for p, sums in alive for q, counts in world]
        wrong += fsum(p for p, sums in courses if excludes(sums, excess))
        alive = [(p, sums) for p, sums in courses if not excludes(sums, excess)]
    assert 0 < wrong <= 0.05


def test_without_data_no_excess_is_excluded():
    assert upper(NO_SUMS) == 1
    assert not excludes(NO_SUMS, 0.99)


@pytest.mark.parametrize(("requests", "found"), [(780, False), (860, True)])
def test_half_a_point_is_excluded_after_some_850_requests_without_a_failure(
    requests: int, found: bool
):
    sums = NO_SUMS
    for _ in range(10):
        sums = added(sums, Counts(0, requests // 10, 0, 9 * requests), Limit(1, 0))
    assert excludes(sums, 0.005) is found


def test_more_failures_exclude_less():
    bounds = [upper(added(NO_SUMS, Counts(k, 500, 20, 9500), Limit(1, 0))) for k in range(0, 60, 5)]
    assert bounds == sorted(bounds)


# --- totals against a limit of their own ----------------------------------------------------------
@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("share", [1, 0.5])
def test_the_expected_evidence_is_one_at_the_limit_and_less_below(limit: float, share: float):
    for n in (1, 7, 60):
        expected = fsum(
            each * exp(log_evidence(k, n, limit))
            for k, each in enumerate(binomial(n, limit * share))
        )
        assert isclose(expected, 1, rel_tol=1e-9) if share == 1 else expected < 1


@pytest.mark.parametrize("limit", LIMITS)
def test_a_version_at_its_limit_hardly_ever_fails_though_it_is_judged_after_each_request(
    limit: float,
):
    alive, accused = [1.0], 0.0
    for n in range(1, 301):
        alive = [
            (alive[k] if k < n else 0) * (1 - limit) + (alive[k - 1] if k else 0) * limit
            for k in range(n + 1)
        ]
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
