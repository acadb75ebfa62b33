"""The gate `metric`: a metric of the version's own run. Pure."""

from datetime import datetime

from modelyard.api.gates import Gate
from modelyard.api.registered_model import VersionStatus
from modelyard.registered_model.gates.judged import Judged, failed, passed
from modelyard.registered_model.gates.values import metric_of, number
from modelyard.registered_model.view import StageView

__all__ = ["judge"]


def judge(gate: Gate, view: StageView, candidate: VersionStatus, _now: datetime) -> Judged:
    """Pass when the value is within the bounds, both included."""
    asked = gate.metric
    assert asked is not None, "the table sends each gate to its kind"
    value = metric_of(candidate, asked.name, view.evidence)
    if isinstance(value, Judged):
        return value
    text = f"{asked.name} is {number(value)}"
    if asked.at_least is not None and value < float(asked.at_least):
        return failed(f"{text}, below {asked.at_least}")
    if asked.at_most is not None and value > float(asked.at_most):
        return failed(f"{text}, above {asked.at_most}")
    bounds = [
        f"at least {asked.at_least}" if asked.at_least is not None else "",
        f"at most {asked.at_most}" if asked.at_most else "",
    ]
    return passed(f"{text}: {' and '.join(filter(None, bounds))}")
