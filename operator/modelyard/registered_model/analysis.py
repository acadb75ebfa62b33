"""Whether an error rate is above a limit, judged as often as one likes. Pure.

A mixture of likelihood ratios of the counts so far: for an alternative phi ("the odds of a failure are phi times those at the limit")
it is q^f (1-q)^(n-f) / (m^f (1-m)^(n-f)), and their average is evidence against "at most a share m of the requests fails". While that
holds its expectation is at most 1, so by Ville's inequality it ever reaches 1/alpha with a probability of at most alpha, at whatever
moments it is looked at (Robbins, Statistical methods related to the law of the iterated logarithm, Ann. Math. Stat. 41, 1970;
Ramdas, Grünwald, Vovk and Shafer, Game-theoretic statistics and safe anytime-valid inference, Stat. Sci. 38, 2023).
"""

from math import exp, log

__all__ = ["ALPHA", "WORSE", "exceeds", "log_evidence"]

WORSE = (1.25, 1.6, 2.2, 3.5, 6.0, 12.0, 40.0)
"""The alternatives: by how much the odds of a failure may exceed those at the limit."""
ALPHA = 0.01
"""Probability with which a version within the limit is ever said to be above it, at most."""


def log_evidence(failures: int, requests: int, limit: float) -> float:
    """Return the logarithm of the evidence that the share of failures is above a limit.

    Args:
        failures: Requests that failed.
        requests: All requests.
        limit: The share that may fail, between 0 and 1.

    """
    odds = limit / (1 - limit)
    logs = []
    for phi in WORSE:
        worse = phi * odds / (1 + phi * odds)
        logs.append(failures * log(worse / limit) + (requests - failures) * log((1 - worse) / (1 - limit)))
    top = max(logs)
    return top + log(sum(exp(each - top) for each in logs) / len(logs))


def exceeds(failures: int, requests: int, limit: float) -> bool:
    """Tell whether more requests fail than may: false for a version within the limit, but for `ALPHA`."""
    return log_evidence(failures, requests, limit) >= log(1 / ALPHA)
