"""A TrainingRun that trains elsewhere, such as in a notebook: is it still heard of, and how did it end? Pure.

All that there is to look at is its MLflow run, into which whoever trains logs and which they close, and an annotation by which they say
every 20 s that they are alive. Making the run does not belong here, nor what follows from an end (`decide`).
"""

import re
from datetime import UTC, datetime, timedelta

from modelyard.api.base import condition
from modelyard.api.conditions import progressing
from modelyard.api.training_run import Failure, TrainingRun, TrainingRunStatus
from modelyard.api.training_run import TrainingReason as Reason
from modelyard.kube.names import FAILURE_TAG, HEARTBEAT_ANNOTATION
from modelyard.plan import Plan
from modelyard.ports import TrackedRun
from modelyard.training_run import outcome
from modelyard.training_run.observe import Seen
from modelyard.training_run.report import known

__all__ = ["failure", "heard", "training"]

_LOOK = timedelta(seconds=10)
"""How often metrics are read, as those of a Job are."""
_QUIET, _LOST = timedelta(seconds=60), timedelta(seconds=90)
"""After so much silence it is said that there is one; after so much the run is closed."""
_NOTICE = timedelta(seconds=30)
"""How long a silence has been said, at least, before the run is closed: time for another heartbeat when Kubernetes itself was away."""
_AHEAD = timedelta(minutes=5)
"""A heartbeat further in the future is none: it would keep a dead run open for as long."""
_RFC3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?([Zz]|[+]00:00)")
_MESSAGE_LIMIT = 1000
_SILENT = "Silent"


def heard(run: TrainingRun, tracked: TrackedRun, now: datetime) -> datetime:
    """Return when whoever trains was last heard of; the begin of the MLflow run counts, so that they have time to begin."""
    beat = _moment(run.metadata.annotations.get(HEARTBEAT_ANNOTATION, ""))
    moments = (beat if beat is not None and beat <= now + _AHEAD else None, _began(run, tracked))
    return max((moment for moment in moments if moment is not None), default=now)


def failure(run: TrainingRun, tracked: TrackedRun, attempt: int, now: datetime) -> Failure | None:
    """Say why it has failed, or must be given up; None while it goes on."""
    recorded = run.status.failure if run.status.failure and run.status.failure.attempt == attempt else None
    if tracked.status in {"FAILED", "KILLED"}:
        words = _printable(tracked.tags.get(FAILURE_TAG, ""))
        if words:
            return Failure(reason=Reason.FAILED, message=words, attempt=attempt)
        message = f"Its MLflow run was closed as {tracked.status}, and the tag {FAILURE_TAG} there does not say why."
        return recorded or Failure(reason=Reason.FAILED, message=message, attempt=attempt)
    ends = _ends(run, tracked)
    if ends is not None and now >= ends:
        return outcome.too_late(run.spec.active_deadline_seconds).model_copy(update={"attempt": attempt})
    last = heard(run, tracked, now)
    known_of = recorded is not None and recorded.reason == Reason.HEARTBEAT_LOST
    if now >= last + _LOST and (known_of or now >= (_noticed(run) or now) + _NOTICE):
        message = (
            f"Nothing was heard of it since {_clock(last)}: the notebook or process that trained has ended, cannot reach this cluster, or"
            f" its clock is behind. Its MLflow run keeps what it logged. Train again in another TrainingRun, and renew the annotation"
            f" {HEARTBEAT_ANNOTATION} every 20 s while it trains."
        )
        return Failure(reason=Reason.HEARTBEAT_LOST, message=message, attempt=attempt)
    return None


def training(run: TrainingRun, seen: Seen, tracked: TrackedRun, now: datetime) -> Plan[TrainingRunStatus]:
    """Say how it stands, and look again no later than when that changes though nobody says a word.

    A silence is written down before it counts. The API server refuses that write if the object has changed since, and it is
    then read anew: a run whose heartbeats a cut watch has kept from us is not closed.
    """
    last, ends = heard(run, tracked, now), _ends(run, tracked)
    message = "Training goes on elsewhere; this run ends when its MLflow run is closed there."
    conditions = progressing(Reason.TRAINING, message)
    turn = last + _QUIET
    if now >= turn:
        message = f"Nothing has been heard of it since {_clock(last)}. After {_LOST.seconds} s without a word it is closed as failed."
        conditions = (*progressing(Reason.TRAINING, message), condition(_SILENT, True, Reason.HEARTBEAT_LOST, message))
        turn = max(last + _LOST, (_noticed(run) or now) + _NOTICE)
    waits = [_LOOK, turn - now, *([ends - now] if ends is not None else [])]
    status = known(run, seen, conditions, now).model_copy(update={"failure": None})
    return Plan(status, again=min(waits))


def _noticed(run: TrainingRun) -> datetime | None:
    """When the silence that lasts was written down."""
    found = run.status.condition(_SILENT)
    return found.last_transition_time if found is not None and found.status == "True" else None


def _began(run: TrainingRun, tracked: TrackedRun) -> datetime | None:
    return tracked.start or run.status.start_time


def _ends(run: TrainingRun, tracked: TrackedRun) -> datetime | None:
    limit, began = run.spec.active_deadline_seconds, _began(run, tracked)
    return None if limit is None or began is None else began + timedelta(seconds=limit)


def _moment(text: str) -> datetime | None:
    if _RFC3339.fullmatch(text) is None:
        return None
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:  # the 30th of February
        return None


def _clock(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text[:_MESSAGE_LIMIT]).strip()
