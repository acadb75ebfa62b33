"""A metric of the run that a version came from, as gates read it. Pure."""

import math

from modelyard.api.registered_model import VersionStatus
from modelyard.registered_model.gates.judged import Judged, erroneous, failed, pending
from modelyard.registered_model.observation import Evidence

__all__ = ["metric_of", "number"]


def metric_of(version: VersionStatus, name: str, evidence: Evidence) -> float | Judged:
    """Return the newest value of a metric, or what the gate says instead of it."""
    if version.run_id is None:
        return failed(f"{version.name} came from no MLflow run, so it has no metric {name}")
    run = evidence.runs.get(version.run_id)
    if isinstance(run, str):
        return erroneous(run)
    if run is None or run.deleted:
        return erroneous(f"MLflow no longer has the run {version.run_id} of {version.name}: restore it")
    value = run.metrics.get(name)
    if value is None:
        return pending(f"waits for the metric {name} of {version.name}'s run {version.run_id}")
    if math.isnan(value):
        return failed(f"{name} of {version.name} is not a number (NaN)")
    return value


def number(value: float) -> str:
    """Write a value for people, with six digits that count."""
    return f"{value:.6g}"
