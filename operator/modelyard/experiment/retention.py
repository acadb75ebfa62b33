"""Rank runs by the objective, and find those past their retention. Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime
from math import isnan, nan

from modelyard.api.base import parse_duration
from modelyard.api.experiment import ExperimentSpec, Objective
from modelyard.ports import TrackedRun

__all__ = ["best_first", "expired"]

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def best_first(objective: Objective | None, runs: Iterable[TrackedRun]) -> list[TrackedRun]:
    """Return the finished runs, best first by the objective; without one, newest first.

    Runs without the objective's metric are left out.
    """
    finished = [run for run in runs if run.has_finished]
    if objective is None:
        return sorted(finished, key=lambda run: run.end or _LONG_AGO, reverse=True)
    ranked = [run for run in finished if not isnan(run.metrics.get(objective.metric, nan))]
    sign = -1 if objective.goal == "Maximize" else 1
    return sorted(
        ranked, key=lambda run: (sign * run.metrics[objective.metric], run.start or _LONG_AGO)
    )


def expired(spec: ExperimentSpec, runs: Iterable[TrackedRun], now: datetime) -> list[TrackedRun]:
    """Return the runs past their retention, oldest first.

    Such a run ended longer ago than `retention.runs`, and is not among the `keepBest` best runs.
    """
    if spec.retention is None:
        return []
    runs = list(runs)
    kept = {run.id for run in best_first(spec.objective, runs)[: spec.retention.keep_best]}
    limit = now - parse_duration(spec.retention.runs)
    found = [run for run in runs if run.end is not None and run.end < limit and run.id not in kept]
    return sorted(found, key=lambda run: run.end or _LONG_AGO)
