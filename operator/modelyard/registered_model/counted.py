"""The counts of one interval for one metric of an analysis, and the metric's limit. Pure."""

from bisect import bisect_left
from collections.abc import Mapping
from math import ceil, log2

from modelyard.api.analysis import LatencyQuantile, Metric
from modelyard.api.wire import LATENCY_EDGES
from modelyard.registered_model.sequential import Counts, Limit
from modelyard.traffic import Arm, Interval

__all__ = ["Histogram", "counts", "decayed", "limit", "steps", "threshold"]

Histogram = Mapping[int, float]
"""Answers by the number of the latency edge that bounds them (`wire.LATENCY_EDGES`)."""
_KEPT = 0.5 ** (1 / 20)
"""Factor on the weight of the stable version's latencies at each interval: half after 20."""
_FEWEST = 5
"""Fewest stable answers above a threshold."""
_MOST = 10**9
"""Most requests that are believed of one interval: pods are not trusted."""
_NEGLIGIBLE = 0.001


def limit(metric: Metric) -> Limit:
    """Return the limit of a metric."""
    if metric.rate is not None:
        return Limit(metric.rate.times, metric.rate.plus)
    latency = _latency(metric)
    return Limit(1, 0) if latency.ratio is not None else Limit(0, 1 - latency.share)


def counts(metric: Metric, interval: Interval, earlier: Histogram) -> Counts | None:
    """Return the counts of an interval for a metric.

    Args:
        metric: The metric.
        interval: The interval.
        earlier: The stable version's latencies in earlier intervals: a threshold must not depend
            on the data that it is applied to.

    Returns:
        The counts; None: there is no threshold yet.

    """
    candidate, stable = interval.candidate, interval.stable
    if metric.error_rate is not None:
        return _paired((candidate.failures, candidate.requests), (stable.failures, stable.requests))
    if metric.refusal_rate is not None:
        return _paired((candidate.refusals, candidate.requests), (stable.refusals, stable.requests))
    latency = _latency(metric)
    edge = threshold(latency, earlier)
    if edge is None:
        return None
    return _paired(_above(candidate, edge + steps(latency)), _above(stable, edge))


def threshold(latency: LatencyQuantile, earlier: Histogram) -> int | None:
    """Return the number of the edge above which an answer is slow; None while it is unknown.

    With a ratio it is for the stable version's answers; the candidate's is `steps` above it. It is
    the largest edge that a share of 1 - quantile of the earlier answers, and at least `_FEWEST` of
    them, exceeded. The choice changes the power of the test, never its rate of false alarms for a
    candidate that is within the limit at each quantile.
    """
    if latency.seconds is not None:
        return bisect_left(LATENCY_EDGES, latency.seconds)
    total = sum(earlier.values())
    if total < _FEWEST:
        return None
    wanted, above = max(_FEWEST, (1 - latency.share) * total), 0.0
    for edge in range(len(LATENCY_EDGES) - 1, 0, -1):
        above += earlier.get(edge + 1, 0)
        if above >= wanted:
            # The candidate's threshold must be an edge too.
            return min(edge, len(LATENCY_EDGES) - 1 - steps(latency))
    return 0


def steps(latency: LatencyQuantile) -> int:
    """Return by how many edges the candidate may be slower, rounded up."""
    return ceil(8 * log2(latency.ratio) - 1e-9) if latency.ratio is not None else 0


def decayed(earlier: Histogram, stable: Arm) -> dict[int, float]:
    """Return the earlier latencies, decayed, with those of one more interval."""
    new = {edge: count for edge, count in stable.latency.items() if 0 <= edge <= len(LATENCY_EDGES)}
    both = {
        edge: earlier.get(edge, 0) * _KEPT + _bounded(new.get(edge, 0)) for edge in {*earlier, *new}
    }
    return {edge: weight for edge, weight in sorted(both.items()) if weight >= _NEGLIGIBLE}


def _above(arm: Arm, edge: int) -> tuple[int, int]:
    return sum(count for each, count in arm.latency.items() if each > edge), sum(
        arm.latency.values()
    )


def _paired(candidate: tuple[int, int], stable: tuple[int, int]) -> Counts:
    """Return counts made consistent: pods, which are not trusted, report them."""
    requests, stable_requests = _bounded(candidate[1]), _bounded(stable[1])
    failed, stable_failed = _bounded(candidate[0], requests), _bounded(stable[0], stable_requests)
    return Counts(failed, requests, stable_failed, stable_requests)


def _bounded(count: int, most: int = _MOST) -> int:
    return min(max(count, 0), most)


def _latency(metric: Metric) -> LatencyQuantile:
    assert metric.latency is not None, "a rule of the CRD: a metric has one kind"
    return metric.latency
