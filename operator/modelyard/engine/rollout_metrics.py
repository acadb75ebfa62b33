"""Metrics of rollouts, computed from the statuses of RegisteredModels at each scrape."""

from collections import Counter as Tally
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from modelyard.api.analysis import AnalysisVerdict
from modelyard.engine.promotion_metrics import OTHER, SERIES, seconds
from modelyard.plan import Manifest

__all__ = ["rollouts"]

_PLACE = ("namespace", "model", "stage")
_NONE = "None"
"""The verdict of a rollout without an analysis."""
_VERDICTS = frozenset(AnalysisVerdict)
_STEPS = 100
"""More steps than any rollout has; other clients may write any number to a status."""


@dataclass(frozen=True)
class _Rollout:
    """A rollout in progress."""

    weight: int
    step: int
    steps: int
    since: float


def rollouts(models: Iterable[Manifest]) -> Iterator[Metric]:
    """Return weight, step and time of the rollouts under way, and their number by verdict.

    The `SERIES` rollouts that have been at their step the longest have a series each. The others
    share one, with the largest weight and the oldest time.

    Args:
        models: RegisteredModels as the API server has them.

    """
    found: dict[tuple[str, str, str], _Rollout] = {}
    verdicts: Tally[tuple[str, str, str]] = Tally()
    for body in models:
        namespace, name = str(body["metadata"]["namespace"]), str(body["metadata"]["name"])
        asked = (body.get("spec") or {}).get("stages") or {}
        known = (body.get("status") or {}).get("stages") or {}
        # The status is checked, because other clients may write it; the API server checks the spec.
        for stage in asked.keys() & known.keys():
            if (one := _rollout(asked[stage], known[stage].get("rollout"))) is not None:
                found[namespace, name, stage] = one
                verdict = known[stage]["rollout"].get("verdict")
                verdicts[namespace, stage, verdict if verdict in _VERDICTS else _NONE] += 1
    oldest = sorted(found.items(), key=lambda each: (each[1].since, each[0]))
    shown, rest = oldest[:SERIES], [each for _, each in oldest[SERIES:]]
    weights = {place: each.weight for place, each in shown}
    weights |= {(OTHER, OTHER, OTHER): max(each.weight for each in rest)} if rest else {}
    since = {place: each.since for place, each in shown}
    since |= {(OTHER, OTHER, OTHER): rest[0].since} if rest else {}
    yield _family(
        "modelyard_rollout_weight",
        "Percent of the requests that a rollout sends to the candidate.",
        weights,
    )
    yield _family(
        "modelyard_rollout_step",
        "The current step of a rollout, from 1.",
        {place: each.step for place, each in shown},
    )
    help_ = "The number of steps of a rollout, including the last one of weight 100."
    yield _family("modelyard_rollout_steps", help_, {place: each.steps for place, each in shown})
    help_ = "Since when the weight of a rollout's current step is applied, in seconds since 1970."
    yield _family("modelyard_rollout_step_timestamp_seconds", help_, since)
    yield _verdicts(verdicts)


def _rollout(asked: Manifest, state: Any) -> _Rollout | None:
    """Return the rollout in a stage's status; None if there is none, or if it is malformed."""
    if not isinstance(state, dict):
        return None
    steps = ((asked.get("rollout") or {}).get("steps") or ()) if isinstance(asked, dict) else ()
    weight, index = state.get("weight", 0), state.get("index", 0)
    if not (_is_within(weight, 100) and _is_within(index, _STEPS)) or not steps:
        return None
    return _Rollout(
        weight, min(index, len(steps)) + 1, len(steps) + 1, seconds(state.get("sinceTime"))
    )


def _is_within(value: Any, most: int) -> bool:
    return isinstance(value, int) and 0 <= value <= most


def _verdicts(counts: Tally[tuple[str, str, str]]) -> Metric:
    family = GaugeMetricFamily(
        "modelyard_rollouts",
        "Rollouts under way, by the current verdict of their analysis.",
        labels=("namespace", "stage", "verdict"),
    )
    largest = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    for place, value in largest[:SERIES]:
        family.add_metric(place, value)
    if rest := sum(value for _, value in largest[SERIES:]):
        family.add_metric((OTHER,) * 3, rest)
    return family


def _family(
    name: str,
    help_: str,
    values: dict[tuple[str, str, str], float] | dict[tuple[str, str, str], int],
) -> Metric:
    family = GaugeMetricFamily(name, help_, labels=_PLACE)
    for place, value in values.items():
        family.add_metric(place, value)
    return family
