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
    spec = gate.metric
    assert spec is not None, "the table sends each gate to its kind"
    value = metric_of(candidate, spec.name, view.evidence)
    if isinstance(value, Judged):
        return value
    text = f"{spec.name} is {number(value)}"
    if spec.at_least is not None and value < float(spec.at_least):
        return failed(f"{text}, below {spec.at_least}")
    if spec.at_most is not None and value > float(spec.at_most):
        return failed(f"{text}, above {spec.at_most}")
    bounds = [
        f"at least {spec.at_least}" if spec.at_least is not None else "",
        f"at most {spec.at_most}" if spec.at_most else "",
    ]
    return passed(f"{text}: {' and '.join(filter(None, bounds))}")
