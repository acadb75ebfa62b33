"""A sequential test of failure rates: valid at every look, at any traffic. Pure.

The null hypothesis is a limit: candidate rate <= times * stable rate + plus. The test is an
*e-process*: a number that begins at 1 and whose expectation stays at most 1 while the limit holds,
at every look and at every stopping time. By Ville's inequality it ever reaches 1/alpha with a
probability of at most alpha: that is the promise, over the whole rollout, however long it takes.

One interval. Of nc candidate and ns stable requests fc and fs failed. With an alternative phi ("the
candidate fails phi times as often as it may"), k = times * nc / ns, r = (phi - 1) / (1 + k * phi)
and q / (1 - q) = phi * plus / (1 - plus) the factor is

    times >= 1:  e = (1 + r)^fc * (1 - r * k)^fs * exp(-r * plus * nc)
    times = 0:   e = (q / plus)^fc * ((1 - q) / (1 - plus))^(nc - fc)

The second is a likelihood ratio of Bernoulli trials. The first has an expectation of at most 1 for
two reasons, each of which suffices:

*   failures are independent: 1 + x <= exp(x) gives E[e] <= exp(r * nc * (pc - times * ps - plus)),
    whatever the base rate;
*   the same F requests fail with either version, and are split at random: draws without replacement
    are negatively associated, so E[e] <= (1 + r * wc - r * k * ws)^F = (1 + r * wc * (1 - times))^F
    with the arms' shares wc and ws. So shared outages and bursts cause no false alarms.

With times = 1 and plus = 0 it is the multinomial likelihood ratio of [1]; `plus` is the compensator
of a Poisson process, and does what [2] does by optimisation with a guess of the base rate. The
average over several phi is for an effect of unknown size. The sum over starts, with weights
1 / (j * (j + 1)) that add up to 1, is for a change at an unknown time, as in e-detectors [3], but
the promise is for the whole rollout and not per so many intervals. With phi < 1 the same formula
tests "the excess is at least m" for all m at once; inverted, that is an upper confidence sequence
of the excess [4].

[1] Lindon, Malek: Anytime-valid inference for multinomial count data. arXiv 2011.03567.
[2] Turner, Ly, Grünwald: Generic E-variables for exact sequential k-sample tests. arXiv 2106.02693.
[3] Shin, Ramdas, Rinaldo: E-detectors: a nonparametric framework for sequential change detection.
    arXiv 2203.03532.
[4] Howard, Ramdas, McAuliffe, Sekhon: Time-uniform, nonparametric, nonasymptotic confidence
    sequences. arXiv 1810.08240.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import NamedTuple

__all__ = [
    "ALPHA",
    "BETTER",
    "NO_SUMS",
    "WORSE",
    "Counts",
    "Evidence",
    "Limit",
    "Sums",
    "added",
    "advance",
    "exceeds",
    "excludes",
    "log_alone",
    "log_evidence",
    "log_factor",
    "log_foreseen",
    "upper",
]

WORSE = (1.25, 1.6, 2.2, 3.5, 6.0, 12.0, 40.0)
"""The alternatives of the test: the candidate's failures as a multiple of what is allowed."""
BETTER = (0.9, 0.75, 0.55, 0.35, 0.2, 0.08, 0.01)
"""The alternatives of the bound."""
ALPHA = 0.01
"""Upper bound of the probability that `exceeds` ever accuses a version within its limit."""
_UNCAPPED = log(1e12)
"""Logarithm of a factor that no caller needs: larger ones would only overflow."""
_ONE_TENTH = 1.2816
"""A tenth of a normal distribution is this many standard deviations below its mean."""

Sums = tuple[tuple[float, float], ...]
"""For each of `BETTER` the sums over all intervals of a and b; a log factor is a - margin * b."""
NO_SUMS: Sums = ((0.0, 0.0),) * len(BETTER)


class Counts(NamedTuple):
    """The counts of one interval by the version drawn: 0 <= failed <= requests.

    Whole numbers, except for expected counts (`log_foreseen`).
    """

    failed: float
    requests: float
    stable_failed: float = 0
    stable_requests: float = 0


class Limit(NamedTuple):
    """The candidate's rate may be `times` the stable rate + `plus`.

    Attributes:
        times: At least 1. 0: no comparison with the stable version; `plus` is then above 0.
        plus: At least 0, below 1.

    """

    times: float
    plus: float

    def serves(self, counts: Counts) -> bool:
        """Tell whether an interval has the data to be judged."""
        return counts.requests > 0 and (self.times == 0 or counts.stable_requests > 0)


@dataclass(frozen=True)
class Evidence:
    """The evidence against the limit.

    Attributes:
        intervals: Number of judged intervals.
        bets: For each of `WORSE`, the sum over the starts so far.

    """

    intervals: int = 0
    bets: tuple[float, ...] = (0.0,) * len(WORSE)

    @property
    def value(self) -> float:
        """The e-process: 1 / alpha refutes the limit. The second term is for the later starts."""
        return sum(self.bets) / len(self.bets) + 1 / (self.intervals + 1)


def advance(
    old: Evidence, counts: Counts, limit: Limit, *, alpha: float, failure_limit: int | None
) -> Evidence:
    """Return the evidence after one more interval.

    Do not call it again once `value` has reached 1 / alpha: below that no number overflows, and an
    underflow to 0 is correct.

    Args:
        old: The evidence before.
        counts: The counts of the interval. An interval without data changes nothing.
        limit: The limit; the same in all intervals.
        alpha: Upper bound of the probability that a candidate within the limit is ever refuted.
        failure_limit: Number of intervals that cannot refute the limit alone, however bad: each
            factor is capped. A capped e-value is an e-value. None: one interval suffices.

    """
    if not limit.serves(counts):
        return old
    number = old.intervals + 1
    start = 1 / (number * (number + 1))
    cap = _cap(alpha, failure_limit)
    factors = (exp(min(cap, log_factor(phi, counts, limit))) for phi in WORSE)
    bets = ((bet + start) * factor for bet, factor in zip(old.bets, factors, strict=True))
    return Evidence(number, tuple(bets))


def _cap(alpha: float, failure_limit: int | None) -> float:
    """Return the cap of a factor's logarithm: `failure_limit` intervals stay below 1 / alpha.

    The first start weighs a half, so that failure_limit + 1 intervals from the beginning need
    2 / alpha together. With a large failure_limit that alone would let fewer intervals reach it.
    """
    if failure_limit is None:
        return _UNCAPPED
    enough = log(2 / alpha) / (failure_limit + 1)
    return min(enough, log(1 / alpha) / failure_limit) if failure_limit else enough


def log_factor(phi: float, counts: Counts, limit: Limit) -> float:
    """Return log e of one interval, uncapped (e is defined in this module's docstring)."""
    if limit.times == 0:
        worse = phi * limit.plus / (1 - limit.plus + phi * limit.plus)
        answered = counts.requests - counts.failed
        return counts.failed * log(worse / limit.plus) + answered * log(
            (1 - worse) / (1 - limit.plus)
        )
    part, compensator = _parts(phi, counts, limit.times)
    return part - limit.plus * compensator


def log_alone(counts: Counts, limit: Limit) -> float:
    """Return the logarithm of the evidence of one interval by itself, uncapped."""
    return _log_mean([log_factor(phi, counts, limit) for phi in WORSE])


def _parts(phi: float, counts: Counts, times: float) -> tuple[float, float]:
    """Return (a, b), so that the log factor is a - margin * b."""
    k = times * counts.requests / counts.stable_requests if times else 0.0
    failed = counts.failed + counts.stable_failed if times else counts.failed
    a = counts.failed * log(phi) + failed * log((1 + k) / (1 + k * phi))
    return a, counts.requests * (phi - 1) / (1 + k * phi)


def log_foreseen(expected: Counts, limit: Limit) -> float:
    """Return the logarithm of the evidence that nine of ten rollouts exceed, for planning.

    By a normal approximation for each alternative, with a start at the first interval, independent
    failures and no cap.

    Args:
        expected: The expected counts of the whole rollout.
        limit: The limit.

    """
    logs = []
    for phi in WORSE:
        mean = log_factor(phi, expected, limit)
        more = log_factor(phi, expected._replace(failed=expected.failed + 1), limit) - mean
        stable = expected._replace(stable_failed=expected.stable_failed + 1)
        less = log_factor(phi, stable, limit) - mean
        spread = sqrt(more**2 * expected.failed + less**2 * expected.stable_failed)
        logs.append(mean - _ONE_TENTH * spread)
    return _log_mean(logs) - log(2)


# --- the bound -----------------------------------------------------------------------------------
def added(sums: Sums, counts: Counts, limit: Limit) -> Sums:
    """Return the sums after one more interval; an interval without data changes nothing."""
    if not limit.serves(counts):
        return sums
    parts = (_parts(phi, counts, limit.times) for phi in BETTER)
    return tuple(
        (a + more_a, b + more_b) for (a, b), (more_a, more_b) in zip(sums, parts, strict=True)
    )


def excludes(sums: Sums, margin: float, beta: float = 0.05) -> bool:
    """Tell whether an excess of `margin` or more over `times` the stable rate is refuted.

    The excess is the average over the candidate's requests so far. With independent failures, the
    probability that this is ever true for an excess of `margin` or more is at most `beta`.
    """
    return _log_mean([a - margin * b for a, b in sums]) >= log(1 / beta)


def upper(sums: Sums, beta: float = 0.05) -> float:
    """Return the smallest excess, from -1 to 1, that `excludes` refutes; 1 if it refutes none."""
    low, high = -1.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if excludes(sums, middle, beta) else (middle, high)
    return high


# --- totals against a limit of their own ---------------------------------------------------------
def log_evidence(failures: int, requests: int, limit: float) -> float:
    """Return the logarithm of the evidence that a share of failures is above a limit, by totals.

    Args:
        failures: Requests that failed.
        requests: All requests.
        limit: The share that may fail, between 0 and 1.

    """
    counts = Counts(failures, requests)
    return _log_mean([log_factor(phi, counts, Limit(0, limit)) for phi in WORSE])


def exceeds(failures: int, requests: int, limit: float) -> bool:
    """Tell whether more requests fail than may: false for a version within the limit, but for
    `ALPHA`.
    """
    return log_evidence(failures, requests, limit) >= log(1 / ALPHA)


def _log_mean(logs: Sequence[float]) -> float:
    """Return the logarithm of the average of numbers that are given by their logarithms."""
    top = max(logs)
    return top + log(sum(exp(each - top) for each in logs) / len(logs))
