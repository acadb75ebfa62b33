"""The gate `incumbent`: a metric compared with that of a stage's effective version. Pure."""

from datetime import datetime
from fractions import Fraction

from modelyard.api.gates import Gate, IncumbentGate
from modelyard.api.registered_model import VersionStatus
from modelyard.registered_model.gates.judged import Judged, erroneous, failed, passed, pending
from modelyard.registered_model.gates.values import incumbent_of, metric_of, number
from modelyard.registered_model.observation import Evidence
from modelyard.registered_model.view import StageView

__all__ = ["judge"]


def judge(gate: Gate, view: StageView, candidate: VersionStatus, _now: datetime) -> Judged:
    """Pass when the value is not worse than the incumbent's by more than the tolerance."""
    spec = gate.incumbent
    assert spec is not None, "the table sends each gate to its kind"
    stage = spec.stage or view.name
    incumbent = incumbent_of(view, stage, candidate)
    if isinstance(incumbent, Judged):
        return incumbent
    known = view.versions.get(incumbent.version)
    if known is None or known.digest != incumbent.digest:
        return erroneous(f"the record of {incumbent.version}, which holds {stage}, is lost")
    direction = spec.direction or _direction(spec, (candidate, known), view.evidence)
    if isinstance(direction, Judged):
        return direction
    mine, theirs = (
        metric_of(version, spec.metric, view.evidence) for version in (candidate, known)
    )
    if isinstance(mine, Judged):
        return mine
    if isinstance(theirs, Judged):
        return _without(theirs, incumbent.version)
    if (waits := _samples(spec, (candidate, known), view.evidence)) is not None:
        return waits
    return _compared(spec, mine, theirs, incumbent.version, incumbent.short, direction=direction)


def _compared(
    spec: IncumbentGate, mine: float, theirs: float, version: str, short: str, *, direction: str
) -> Judged:
    comparison = f"{number(mine)} against {number(theirs)} of {version}"
    if abs(mine) == float("inf") or abs(theirs) == float("inf"):
        worse = mine < theirs if direction == "Maximize" else mine > theirs
        return failed(comparison, short) if worse else passed(comparison, short)
    # In exact decimal fractions: 0.938 - 0.005 is not 0.933 in binary.
    loss = (
        Fraction(repr(theirs)) - Fraction(repr(mine))
        if direction == "Maximize"
        else Fraction(repr(mine)) - Fraction(repr(theirs))
    )
    tolerance = Fraction(spec.tolerance)
    allowed = f", tolerance {spec.tolerance}" if tolerance else ""
    better = "more" if direction == "Maximize" else "less"
    if loss > tolerance:
        return failed(
            f"{spec.metric} is {comparison}: {_number(loss)} worse{allowed} ({better} is better)",
            short,
        )
    difference = f"{_number(abs(loss))} {'worse' if loss > 0 else 'better'}" if loss else "equal"
    return passed(f"{spec.metric} is {comparison}: {difference}{allowed}", short)


def _number(value: Fraction) -> str:
    """Format a difference, which may be greater than a double can hold."""
    try:
        return number(float(value))
    except OverflowError:
        return "more than 1.8e+308"


def _direction(
    spec: IncumbentGate, versions: tuple[VersionStatus, ...], evidence: Evidence
) -> str | Judged:
    """Return the direction in which both versions were trained, as their TrainingRuns recorded it.

    It is not read from the Experiment: a user who trains may change its objective, but the gate
    belongs to those who may promote.
    """
    goals = []
    for version in versions:
        objective = evidence.objectives.get(version.name)
        if objective is None or objective.metric != spec.metric:
            return erroneous(
                f"{version.name} was not trained with {spec.metric} as its objective: set"
                " incumbent.direction"
            )
        goals.append(objective.goal)
    if len(set(goals)) > 1:
        trained = ", ".join(
            f"{version.name} to {goal.lower()} it"
            for version, goal in zip(versions, goals, strict=True)
        )
        return erroneous(
            f"which {spec.metric} is better? trained were {trained}: set incumbent.direction"
        )
    return goals[0]


def _samples(
    spec: IncumbentGate, versions: tuple[VersionStatus, VersionStatus], evidence: Evidence
) -> Judged | None:
    """Return the gate's answer while a value comes from too few samples, else None."""
    if spec.samples is None:
        return None
    for version in versions:
        count = metric_of(version, spec.samples.metric, evidence)
        if isinstance(count, Judged):
            return count if version is versions[0] else _without(count, version.name)
        if count < spec.samples.at_least:
            return pending(
                f"{spec.samples.metric} of {version.name} is {number(count)}: waits for"
                f" {spec.samples.at_least}"
            )
    return None


def _without(answer: Judged, version: str) -> Judged:
    """Return an Error instead of a Fail: the incumbent's metric is not the candidate's fault."""
    return (
        answer
        if answer.again is not None
        else erroneous(f"{version}, to compare with: {answer.message}")
    )
