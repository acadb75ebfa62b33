"""An attempt that trains outside of the cluster, for example in a notebook. Pure.

The operator sees only two things of it: its MLflow run, which the trainer logs to and closes, and
the heartbeat, an annotation on the TrainingRun that the trainer renews every 20 s.
"""

import re
from datetime import UTC, datetime, timedelta

from modelyard.api.base import condition
from modelyard.api.conditions import progressing
from modelyard.api.text import TextFilter
from modelyard.api.training_run import Failure, TrainingRun, TrainingRunStatus
from modelyard.api.training_run import TrainingReason as Reason
from modelyard.kube.names import FAILURE_TAG, HEARTBEAT_ANNOTATION
from modelyard.plan import Rest
from modelyard.ports import TrackedRun
from modelyard.training_run.pods import closed_failure, deadline_exceeded
from modelyard.training_run.report import observed_status
from modelyard.training_run.view import AttemptView

__all__ = ["failure", "last_heartbeat", "training"]

_METRICS_POLL = timedelta(seconds=10)
"""How often metrics are read, as for a Job."""
_SILENT, _LOST = timedelta(seconds=60), timedelta(seconds=90)
"""After how long without a heartbeat the status says so, and the MLflow run is closed."""
_NOTICE = timedelta(seconds=30)
"""How long the status must say so before the run is closed: time for another heartbeat after an
outage of Kubernetes."""
_AHEAD = timedelta(minutes=5)
"""A heartbeat further in the future is ignored: it would keep a dead run open until then."""
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?([Zz]|[+]00:00)"
)
_SILENT_CONDITION = "Silent"


def last_heartbeat(run: TrainingRun, tracked: TrackedRun, now: datetime) -> datetime:
    """Return the time of the last heartbeat.

    The start of the MLflow run counts as a heartbeat, so that the trainer has time to start.
    """
    beat = _time(run.metadata.annotations.get(HEARTBEAT_ANNOTATION, ""))
    usable = beat if beat is not None and beat <= now + _AHEAD else None
    times = [time for time in (usable, _began(run, tracked)) if time is not None]
    return max(times, default=now)


def failure(view: AttemptView) -> Failure | None:
    """Return why the attempt failed or is abandoned; None while it trains."""
    run, tracked, attempt, now = view.run, view.tracked, view.attempt, view.now
    recorded = run.status.failure
    if recorded is not None and recorded.attempt != attempt:
        recorded = None
    if tracked.has_failed:
        return _closed(tracked, view.observation.text_filter, attempt, recorded)
    ends = _ends(run, tracked)
    if ends is not None and now >= ends:
        found = deadline_exceeded(run.spec.active_deadline_seconds)
        return found.model_copy(update={"attempt": attempt})
    last = last_heartbeat(run, tracked, now)
    given_up = recorded is not None and recorded.reason == Reason.HEARTBEAT_LOST
    if now >= last + _LOST and (given_up or now >= (_noticed(run) or now) + _NOTICE):
        message = (
            f"No heartbeat since {_timestamp(last)}: the notebook or process that trains has"
            " ended, cannot reach this cluster, or its clock is slow. Its MLflow run keeps what was"
            " logged. Train again in another TrainingRun, and renew the annotation"
            f" {HEARTBEAT_ANNOTATION} every 20 s while it trains."
        )
        return Failure(reason=Reason.HEARTBEAT_LOST, message=message, attempt=attempt)
    return None


def training(view: AttemptView) -> Rest[TrainingRunStatus]:
    """Report that the attempt trains; requeue for what changes without an event.

    A missing heartbeat is recorded in the status before the run is closed. The API server refuses
    that write if the object has changed since it was read. So a run is not closed because an
    interrupted watch did not deliver its heartbeats.
    """
    run, tracked, now = view.run, view.tracked, view.now
    last, ends = last_heartbeat(run, tracked, now), _ends(run, tracked)
    message = "Training runs outside of the cluster; the run ends when its MLflow run is closed."
    conditions = progressing(Reason.TRAINING, message)
    change = last + _SILENT
    if now >= change:
        message = (
            f"No heartbeat since {_timestamp(last)}. After {_LOST.seconds} s without one, the run"
            " is closed as failed."
        )
        silent = condition(_SILENT_CONDITION, True, Reason.HEARTBEAT_LOST, message)
        conditions = (*progressing(Reason.TRAINING, message), silent)
        change = max(last + _LOST, (_noticed(run) or now) + _NOTICE)
    waits = [_METRICS_POLL, change - now, *([ends - now] if ends is not None else [])]
    status = observed_status(run, view.observation, conditions, now).model_copy(
        update={"failure": None}
    )
    return Rest(status, requeue_after=min(waits))


def _closed(
    tracked: TrackedRun, text_filter: TextFilter, attempt: int, recorded: Failure | None
) -> Failure:
    """Return the failure of an attempt whose MLflow run the trainer or a user closed."""
    message = (
        f"Its MLflow run was closed as {tracked.status}, without a reason in its tag {FAILURE_TAG}."
    )
    found = (
        closed_failure(tracked, text_filter)
        or recorded
        or Failure(reason=Reason.FAILED, message=message)
    )
    return found.model_copy(update={"attempt": attempt})


def _noticed(run: TrainingRun) -> datetime | None:
    """Return since when the status says that heartbeats are missing; None if it does not."""
    found = run.status.condition(_SILENT_CONDITION)
    silent = found is not None and found.status == "True"
    return found.last_transition_time if found is not None and silent else None


def _began(run: TrainingRun, tracked: TrackedRun) -> datetime | None:
    return tracked.start or run.status.start_time


def _ends(run: TrainingRun, tracked: TrackedRun) -> datetime | None:
    limit, began = run.spec.active_deadline_seconds, _began(run, tracked)
    return None if limit is None or began is None else began + timedelta(seconds=limit)


def _time(text: str) -> datetime | None:
    if _RFC3339.fullmatch(text) is None:
        return None
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:  # for example 30 February
        return None


def _timestamp(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
