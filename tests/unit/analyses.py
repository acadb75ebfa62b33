"""Analyses and intervals, for tests of the stored analysis and its messages."""

from __future__ import annotations

from collections.abc import Iterable

from modelyard.api.analysis import Analysis
from modelyard.registered_model.progress import Progress, advanced
from modelyard.traffic import Arm, Interval

__all__ = ["after", "analysis", "arm", "interval"]


def analysis(*metrics: dict[str, object], **fields: object) -> Analysis:
    """An analysis as a user writes it."""
    return Analysis.model_validate({"metrics": metrics, **fields})


def arm(
    requests: int, failures: int = 0, refusals: int = 0, latency: dict[int, int] | None = None
) -> Arm:
    return Arm(
        requests,
        failures,
        refusals,
        latency if latency is not None else {40: requests - failures - refusals},
    )


def interval(number: int, candidate: Arm, stable: Arm) -> Interval:
    return Interval(number, stable=stable, candidate=candidate)


def after(
    asked: Analysis, intervals: Iterable[tuple[Arm, Arm]], *, weight: int = 0, sticky: bool = False
) -> Progress:
    """Return the progress after intervals of a candidate and a stable arm; at weight 0 the split is
    not tested.
    """
    found = Progress(key="k")
    for number, (candidate, stable) in enumerate(intervals, 1):
        found = advanced(
            found, interval(number, candidate, stable), asked, weight=weight, sticky=sticky
        )
    return found
