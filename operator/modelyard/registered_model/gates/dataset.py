"""The gate `dataset`: which dataset the version's TrainingRun read, and when. Pure."""

from datetime import datetime, timedelta

from modelyard.api.base import parse_duration
from modelyard.api.gates import Gate
from modelyard.api.registered_model import VersionStatus
from modelyard.registered_model.gates.judged import Judged, failed, passed
from modelyard.registered_model.view import StageView

__all__ = ["judge"]

_SECOND = timedelta(seconds=1)


def judge(gate: Gate, view: StageView, candidate: VersionStatus, now: datetime) -> Judged:
    """Pass when the dataset is the pinned one and was read recently enough."""
    spec = gate.dataset
    assert spec is not None, "the table sends each gate to its kind"
    if candidate.training_run is None:
        return failed(
            f"{candidate.name} came from no TrainingRun, so nothing says which dataset it was"
            " trained on"
        )
    run = view.evidence.training_runs.get(candidate.training_run)
    if run is None or run.status.mlflow is None or run.status.mlflow.run_id != candidate.run_id:
        return failed(
            f"the TrainingRun {candidate.training_run} that {candidate.name} came from is gone"
        )
    if run.status.dataset is None or run.status.start_time is None:
        return failed(
            f"the TrainingRun {candidate.training_run} of {candidate.name} has not recorded its"
            " dataset"
        )
    read, began = run.status.dataset, run.status.start_time
    if spec.digest is not None and read.digest != spec.digest:
        return failed(f"it was trained on {read.digest[:15]}..., not on {spec.digest[:15]}...")
    text = f"trained on {read.digest[:15]}..., read at {began:%Y-%m-%d %H:%M} UTC"
    if spec.max_age is None:
        return passed(text)
    ends = began + parse_duration(spec.max_age)
    if now > ends:
        return failed(
            f"its dataset was read at {began:%Y-%m-%d %H:%M} UTC, more than {spec.max_age} ago"
        )
    return passed(f"{text}; too old after {ends:%Y-%m-%d %H:%M} UTC", again=ends - now + _SECOND)
