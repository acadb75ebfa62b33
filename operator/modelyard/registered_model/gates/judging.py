"""The gates of a stage, asked about the version that it is to take. Pure.

A verdict is for a version, its digest, the gate's spec and, where there is one, the incumbent. A
Pass and a Fail are remembered; Pending and Error are asked again. What ends without a change of the
version, a Pass by people and one with an age, is remembered only from the switch on. A Fail is
asked again when the rejection that came of it is no longer in force.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from modelyard.api.gates import Gate, Verdict
from modelyard.api.registered_model import GateStatus, RegisteredModel, StageStatus, VersionStatus
from modelyard.registered_model import window
from modelyard.registered_model.gates import (
    approvals,
    dataset,
    incumbent,
    metric,
    signature,
    soak,
    tries,
)
from modelyard.registered_model.gates.judged import Judged, erroneous, hash_of, pending
from modelyard.registered_model.rejections import rejection_of
from modelyard.registered_model.view import StageView, holder_of

__all__ = [
    "REVERIFIED",
    "Result",
    "asked_in",
    "asks_people",
    "judge",
    "judge_again",
    "open_again",
    "open_gates",
    "reverified",
    "steps_of",
]

_MESSAGE = 140
_AWAY = erroneous("MLflow or S3 does not answer")
_UNRECORDED = pending("the version is being recorded: nothing was read of it yet", None)
Judge = Callable[[Gate, StageView, VersionStatus, datetime], Judged]


@dataclass(frozen=True)
class _Kind:
    """A kind of gate.

    Attributes:
        judge: Who judges.
        step: The step of the promotion in which it is asked.
        by_people: It is judged by ModelApprovals.
        is_local: It is judged from objects of Kubernetes alone, also while MLflow or S3 is away.
        reverifies: It says something of a version by itself, so that it can be asked again about
            one that holds the stage; the others judge a change.

    """

    judge: Judge
    step: str = "gates"
    by_people: bool = False
    is_local: bool = False
    reverifies: bool = False


_KINDS: dict[str, _Kind] = {
    "metric": _Kind(metric.judge, reverifies=True),
    "incumbent": _Kind(incumbent.judge),
    "signature": _Kind(signature.judge),
    "soak": _Kind(soak.judge),
    "dataset": _Kind(dataset.judge, is_local=True, reverifies=True),
    "job": _Kind(tries.judge, "trial", reverifies=True),
    "smoke": _Kind(tries.judge, "trial", reverifies=True),
    "signed": _Kind(tries.judge, "trial", reverifies=True),
    "approvals": _Kind(approvals.approvals, "approval", by_people=True, is_local=True),
    "external": _Kind(approvals.external, "approval", by_people=True, is_local=True),
}


_AGAIN = sorted(kind for kind, each in _KINDS.items() if each.reverifies)
REVERIFIED = f"{', '.join(_AGAIN[:-1])} or {_AGAIN[-1]}"
"""The kinds that can be asked again about what is effective, in words."""


@dataclass(frozen=True)
class Result:
    """A gate's answer as the status records it.

    Attributes:
        status: The answer.
        again: When to look again; None when a watch tells, or nothing is left to ask.
        message: The whole message, which may be longer than the one in the status.

    """

    status: GateStatus
    again: timedelta | None = None
    message: str = ""


def judge(view: StageView, now: datetime) -> tuple[Result, ...]:
    """Ask every gate of the stage, side by side; those that have answered are not asked again."""
    wanted = view.wanted
    version = view.versions.get(wanted.version) if wanted is not None else None
    if (
        view.spec is None
        or version is None
        or version.digest is None
        or view.returns
        or view.override is not None
    ):
        return ()
    return tuple(
        _result(gate, view, version, now)
        for gate in view.spec.gates
        if not view.is_refresh or _is_for_a_runtime(gate)
    )


def steps_of(gates: tuple[Gate, ...]) -> frozenset[str]:
    """Return the steps of a promotion in which some of these gates are asked."""
    return frozenset(_KINDS[gate.kind].step for gate in gates)


def _is_for_a_runtime(gate: Gate) -> bool:
    """Tell whether a gate asks by pods, so that another runtime may make its verdict another: a
    refresh is asked these.
    """
    return _KINDS[gate.kind].step == "trial"


def asked_in(step: str, gates: tuple[Gate, ...]) -> frozenset[str]:
    """Return the names of the gates that are asked in a step."""
    return frozenset(gate.name for gate in gates if _KINDS[gate.kind].step == step)


def _result(gate: Gate, view: StageView, version: VersionStatus, now: datetime) -> Result:
    runtime = view.wanted.runtime.identity if view.wanted is not None else None
    if (known := _remembered(gate, view.model, view.name, version, runtime)) is not None:
        return Result(known, message=known.message)
    before = _recorded(gate, view.status, version)
    stays = (
        (_may_end(gate) or gate.soak is not None)
        and before is not None
        and before.verdict is Verdict.PASS
        and view.is_live
    )
    if stays and before is not None and (view.is_routed or not asks_people(gate)):
        return Result(before, message=before.message)
    said = _said(gate, view, version, now)
    if (
        stays and before is not None and said.verdict is not Verdict.FAIL
    ):  # somebody's Reject counts until the switch
        return Result(before, message=before.message)
    same = before is not None and (before.verdict, before.message) == (
        said.verdict,
        said.message[:_MESSAGE],
    )
    status = GateStatus(
        name=gate.name,
        verdict=said.verdict,
        message=said.message[:_MESSAGE],
        time=before.time if same and before is not None else now,
        gate_hash=hash_of(gate),
        incumbent=said.incumbent,
    )
    return Result(status, said.again, said.message)


def asks_people(gate: Gate) -> bool:
    """Tell whether a gate is judged by ModelApprovals."""
    return _KINDS[gate.kind].by_people


def _said(gate: Gate, view: StageView, version: VersionStatus, now: datetime) -> Judged:
    if view.dependencies_down and not _KINDS[gate.kind].is_local:
        return _AWAY
    # Evidence is read for versions of the status only: without it a judge would take "not read" for
    # "there is none".
    if not any(
        (each.name, each.digest) == (version.name, version.digest)
        for each in view.model.status.versions
    ):
        return _UNRECORDED
    if view.round is None and view.model.asked(view.name) != version.name and view.is_automatic:
        # chosen in this round: what is read is read for what is recorded as asked for
        return _UNRECORDED
    return _KINDS[gate.kind].judge(gate, view, version, now)


def open_gates(
    model: RegisteredModel, stage: str, version: VersionStatus, now: datetime
) -> tuple[Gate, ...]:
    """Return the gates of a stage that are to be asked about a version: what is read for them is
    evidence.
    """
    spec, status = model.spec.stages[stage], model.status.stages.get(stage) or StageStatus()
    held, ends = status.previous, window.end(spec, stage, status, version)
    is_held = held is not None and (held.version, held.digest) == (version.name, version.digest)
    if status.version == version.name or (is_held and window.is_open(spec, status, ends, now)):
        return ()
    runtime = status.candidate.runtime.identity if status.candidate is not None else None
    return tuple(
        gate for gate in spec.gates if _remembered(gate, model, stage, version, runtime) is None
    )


def reverified(gates: tuple[Gate, ...]) -> tuple[Gate, ...]:
    """Return the gates that can be asked again about the version that holds a stage."""
    return tuple(gate for gate in gates if _KINDS[gate.kind].reverifies)


def open_again(model: RegisteredModel, stage: str) -> tuple[Gate, ...]:
    """Return the gates that are asked in the open round of a stage's verification: what is read
    for them is evidence.
    """
    known = (model.status.stages.get(stage) or StageStatus()).verification
    return reverified(model.spec.stages[stage].gates) if known is not None and known.is_open else ()


def judge_again(
    view: StageView, version: VersionStatus | None, now: datetime
) -> tuple[tuple[Gate, Judged], ...]:
    """Ask about what is effective, in a round of its verification. No answer is one that was given
    before.

    Args:
        view: The stage, of that round.
        version: The record of what is effective; None when it is lost.
        now: The moment.

    """
    gates = reverified(view.spec.gates) if view.spec is not None else ()
    if version is None:
        return tuple((gate, erroneous("the record of the version is lost")) for gate in gates)
    return tuple((gate, _said(gate, view, version, now)) for gate in gates)


def _remembered(
    gate: Gate, model: RegisteredModel, stage: str, version: VersionStatus, runtime: str | None
) -> GateStatus | None:
    """Return the recorded answer of a gate, if it still holds for the version with this runtime."""
    status = model.status.stages.get(stage) or StageStatus()
    known = _recorded(gate, status, version)
    if known is None or status.judged is None:
        return None
    if known.verdict is Verdict.FAIL:
        return (
            known
            if rejection_of(
                model.spec.stages[stage], status, version.name, str(version.digest), runtime
            )
            is not None
            else None
        )
    if known.verdict is not Verdict.PASS or _may_end(gate):
        return None
    asked = status.judged.runtime
    # Earlier releases did not record the runtime, and asked no gate about a refresh.
    if (
        _is_for_a_runtime(gate)
        and asked != runtime
        and not (asked is None and status.version != version.name)
    ):
        return None
    if gate.soak is not None and soak.is_withdrawn(gate.soak, version):
        return None
    if gate.compared is None:
        return known
    holder = holder_of(model, gate.compared.stage or stage)
    return known if known.incumbent == (holder.short if holder else None) else None


def _may_end(gate: Gate) -> bool:
    """Tell whether a Pass may end though version and incumbent stay: it is withdrawn with what it
    came from, or by time.

    It is judged in every round until the Service routes to the version.
    """
    return _KINDS[gate.kind].by_people or (
        gate.dataset is not None and gate.dataset.max_age is not None
    )


def _recorded(gate: Gate, status: StageStatus, version: VersionStatus) -> GateStatus | None:
    judged = status.judged
    if judged is None or (judged.version, judged.digest) != (version.name, version.digest):
        return None
    return next(
        (
            each
            for each in status.gates
            if (each.name, each.gate_hash) == (gate.name, hash_of(gate))
        ),
        None,
    )
