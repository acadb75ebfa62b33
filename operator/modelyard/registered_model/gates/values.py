"""Values that several gates read: an effective version, a metric of a version's run. Pure."""

import math

from modelyard.api.registered_model import VersionStatus
from modelyard.registered_model.facts import Incumbent
from modelyard.registered_model.gates.judged import Judged, erroneous, failed, passed, pending
from modelyard.registered_model.observation import Evidence
from modelyard.registered_model.view import StageView

__all__ = ["incumbent_of", "metric_of", "number"]


def incumbent_of(view: StageView, stage: str, candidate: VersionStatus) -> Incumbent | Judged:
    """Return the version to compare with, or a Pass if there is none with other bytes."""
    incumbent = view.incumbent_in(stage)
    if incumbent is None:
        return passed(f"{stage} has no version to compare with")
    if incumbent.digest == candidate.digest:
        return passed(f"{stage} holds the same bytes", incumbent.short)
    return incumbent


def metric_of(version: VersionStatus, name: str, evidence: Evidence) -> float | Judged:
    """Return the newest value of a metric, or the gate's answer if there is none."""
    if version.run_id is None:
        return failed(f"{version.name} came from no MLflow run, so it has no metric {name}")
    run = evidence.runs.get(version.run_id)
    if isinstance(run, str):
        return erroneous(run)
    if run is None or run.deleted:
        return erroneous(
            f"MLflow no longer has the run {version.run_id} of {version.name}: restore it"
        )
    value = run.metrics.get(name)
    if value is None:
        return pending(f"waits for the metric {name} of {version.name}'s run {version.run_id}")
    if math.isnan(value):
        return failed(f"{name} of {version.name} is not a number (NaN)")
    return value


def number(value: float) -> str:
    """Format a value with six significant digits."""
    return f"{value:.6g}"
