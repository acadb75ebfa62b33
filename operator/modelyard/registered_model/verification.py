"""`reverify`: the gates of a stage judge its effective version again. Pure.

Here a *round* is one verification, not a round of a reconcile.

    due     `every` has passed since the last verdict, or `attempt` was raised; the round is
            recorded before any gate is asked
    open    metrics are read and Jobs run; Pending and Error do not change the last verdict
    ended   one gate failed, or all passed; the verdict is recorded with the time and the figures

After a Fail, `status.versions[].held[].verified` of the version is false; the version is still
serving. Rounds continue during a promotion, which may take days. While an override is in force,
there are none.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from modelyard.api.base import parse_duration
from modelyard.api.gates import Gate, Verdict
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.api.registered_model import Reverify, StageStatus, Verification, VersionStatus
from modelyard.api.verification import SAID, WAITING
from modelyard.plan import Apply, Delete, Event
from modelyard.registered_model import serving
from modelyard.registered_model.gates import pods
from modelyard.registered_model.gates.job_results import job_actions, job_result
from modelyard.registered_model.gates.judged import Judged, pending
from modelyard.registered_model.gates.judging import asked_in, judge_again, reverified
from modelyard.registered_model.view import StageView

__all__ = ["Round", "again", "carried", "failure", "jobs", "success"]

_BEGUN = "its gates are being asked"
_NOW = timedelta(0)


@dataclass(frozen=True)
class Round:
    """What the verification of a stage needs now.

    Attributes:
        status: The status of the verification.
        record: Whether the status must be written before any action.
        actions: Applies and deletes of its Jobs.
        events: Events to emit when the status is written.
        requeue_after: When to reconcile again without any change.

    """

    status: Verification | None
    record: bool = False
    actions: tuple[Apply | Delete, ...] = ()
    events: tuple[Event, ...] = ()
    requeue_after: timedelta | None = None


def again(view: StageView, now: datetime) -> Round:
    """Begin a round that is due, continue an open one, or return when the next is due."""
    reverify = view.spec.reverify if view.spec is not None else None
    if view.spec is None or reverify is None:
        return Round(None)
    known = view.status.verification or Verification()
    if view.effective is None or not reverified(view.spec.gates) or view.override is not None:
        return Round(known.model_copy(update={"waiting": None}))
    left = _left(view, reverify, known, now)
    if left is not None and left <= _NOW and not view.dependencies_down:
        begun = {"attempt": reverify.attempt, "start_time": now, "waiting": _BEGUN}
        return Round(known.model_copy(update=begun), record=True)
    if not known.is_open:
        return Round(known, requeue_after=left if left is not None and left > _NOW else None)
    return _open(view, known, now)


def carried(view: StageView, version: str, digest: str) -> Verification | None:
    """Return what stays recorded of the verification when a version becomes effective.

    If its bytes are the same, everything; else only the `attempt` that was carried out.
    """
    known, stable = view.status.verification, view.effective
    if view.spec is None or view.spec.reverify is None:
        return None
    if known is None or (
        stable is not None and (stable.version, stable.digest) == (version, digest)
    ):
        return known or Verification()
    return Verification(attempt=known.attempt)


def jobs(view: StageView, now: datetime) -> frozenset[tuple[str, str]]:
    """Return the kind and name of the Jobs of an open or failed round.

    A failed Job is kept for its log until the next round begins, or Kubernetes deletes it.
    """
    known = view.status.verification
    if view.spec is None or known is None or known.start_time is None or view.effective is None:
        return frozenset()
    ended = view.spec.reverify is None or view.override is not None
    if ended if known.is_open else known.verdict is not Verdict.FAIL:
        return frozenset()
    of_round = replace(view, round=known.start_time)
    names = asked_in("trial", view.spec.gates)
    gates = (gate for gate in reverified(view.spec.gates) if gate.name in names)
    kept = (
        gate
        for gate in gates
        if known.is_open or job_result(gate, of_round, now).judged.verdict is Verdict.FAIL
    )
    return frozenset(("Job", pods.job_name(of_round, gate)) for gate in kept)


def failure(stage: str, status: StageStatus, model: str, why: str = "") -> str:
    """Return the message about a failed verification: why it failed, and what to do.

    Args:
        stage: The stage.
        status: Its status.
        model: The model's name.
        why: The whole message; if empty, the cut one in the status.

    """
    known = status.verification or Verification()
    when = f" at {known.time:%Y-%m-%d %H:%M} UTC" if known.time is not None else ""
    return (
        f"{stage}: {status.version} is still serving, and failed its verification{when}."
        f" {(why or known.message).rstrip('.')}. Promote another version, roll back (modelyard"
        f" rollback {model} --stage {stage}), or correct the cause and ask again: modelyard verify"
        f" {model} --stage {stage}"
    )


def success(stage: str, status: StageStatus) -> str:
    """Return the message that a stage's version is verified, or that it was not verified yet."""
    known = status.verification or Verification()
    if known.verdict is None or known.time is None:
        return f"{stage}: {status.version} has not been asked about since it took the stage"
    return f"{stage}: {status.version} was verified at {known.time:%Y-%m-%d %H:%M} UTC"


# --- one round ----------------------------------------------------------------------------------
def _left(
    view: StageView, reverify: Reverify, known: Verification, now: datetime
) -> timedelta | None:
    """Return the time until the next round; None: none begins, unless the spec changes."""
    if reverify.attempt > known.attempt:
        return _NOW
    if known.is_open:
        return None
    if known.lacks_verdict or (known.verdict is None and _withdrawn(view)):
        return _NOW
    if reverify.every is None:
        return None
    last = known.time or view.status.since_time or now
    return last + parse_duration(reverify.every) - now


def _withdrawn(view: StageView) -> bool:
    """Tell whether the version failed when it was effective earlier: it is verified at once."""
    known = _record_of(view)
    return known is not None and any(
        (each.stage, each.digest, each.verified) == (view.name, known.digest, False)
        for each in known.held
    )


def _open(view: StageView, known: Verification, now: datetime) -> Round:
    of_round = replace(view, round=known.start_time)
    answers = _ask_gates(of_round, now)
    failed = [(gate, judged) for gate, judged in answers if judged.verdict is Verdict.FAIL]
    left = [(gate, judged) for gate, judged in answers if judged.verdict is not Verdict.PASS]
    if failed or not left:
        return _ended(view, known, _words(failed or answers), now, passes=not failed)
    names = asked_in("trial", tuple(gate for gate, _ in left))
    with_pods = [
        gate
        for gate, _ in left
        if gate.name in names and (not gate.asks_candidate or _answers(of_round))
    ]
    if _record_of(view) is None:
        with_pods = []  # without its record the location of its files is unknown
    waits = known.model_copy(update={"waiting": _words(left)[:WAITING]})
    looks = [judged.again for _, judged in left if judged.again is not None]
    return Round(
        waits, actions=job_actions(of_round, with_pods, now), requeue_after=min(looks, default=None)
    )


def _ask_gates(of_round: StageView, now: datetime) -> tuple[tuple[Gate, Judged], ...]:
    """Return each gate's verdict.

    A gate that asks the Service is pending while that routes to another version.
    """
    found = []
    for gate, judged in judge_again(of_round, _record_of(of_round), now):
        elsewhere = (
            gate.asks_candidate
            and not _is_routed(of_round)
            and judged.verdict in {Verdict.PASS, Verdict.FAIL}
        )
        found.append(
            (gate, pending("the Service routes to another version") if elsewhere else judged)
        )
    return tuple(found)


def _ended(
    view: StageView, known: Verification, message: str, now: datetime, *, passes: bool
) -> Round:
    verdict = Verdict.PASS if passes else Verdict.FAIL
    word = {"waiting": None, "verdict": verdict, "time": now, "message": message[:SAID]}
    status = view.status.model_copy(update={"verification": known.model_copy(update=word)})
    name = view.model.metadata.name
    events: tuple[Event, ...] = ()
    if not passes:
        events = (
            Event(
                Reason.VERIFICATION_FAILED, failure(view.name, status, name, message), warning=True
            ),
        )
    elif known.verdict is Verdict.FAIL:
        events = (Event(Reason.VERIFIED, success(view.name, status)),)
    return Round(status.verification, record=True, events=events)


def _record_of(view: StageView) -> VersionStatus | None:
    """Return the record of the effective version, if it has the effective version's digest."""
    stable = view.effective
    known = view.versions.get(stable.version) if stable is not None else None
    if known is None or stable is None or known.digest != stable.digest:
        return None
    return known


def _answers(view: StageView) -> bool:
    """Tell whether the effective version answers at the stage's Service."""
    stable = view.effective
    return (
        stable is not None and _is_routed(view) and serving.pod_health(view, stable).available > 0
    )


def _is_routed(view: StageView) -> bool:
    return view.effective is not None and view.routed == view.effective.runtime.identity


def _words(answers: Iterable[tuple[Gate, Judged]]) -> str:
    return ". ".join(f"{gate.name}: {judged.message.rstrip('.')}" for gate, judged in answers)
