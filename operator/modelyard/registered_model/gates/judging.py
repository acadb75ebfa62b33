"""Ask the gates of a stage about the version that is to be promoted. Pure.

A verdict applies to a version, its digest, the gate's spec and, if there is one, the incumbent. A
Pass or a Fail is recorded and kept; after a Pending or an Error the gate is asked again. Some kinds
of Pass can be withdrawn (approvals) or expire (a maximum age): these are asked again in every round
until the switch. After a Fail the gate is asked again once the rejection is no longer in force.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from modelyard.api.gates import Gate, Verdict
from modelyard.api.registered_model import GateStatus, RegisteredModel, StageStatus, VersionStatus
from modelyard.registered_model import window
from modelyard.registered_model.facts import incumbent_in
from modelyard.registered_model.gates import (
    approvals,
    dataset,
    incumbent,
    job_results,
    metric,
    signature,
    soak,
)
from modelyard.registered_model.gates.judged import Judged, erroneous, hash_of, pending
from modelyard.registered_model.rejections import rejection_of
from modelyard.registered_model.view import StageView

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
_DEPENDENCIES_DOWN = erroneous("MLflow or S3 does not answer")
_UNRECORDED = pending("the version is being recorded: nothing was read of it yet", None)
Judge = Callable[[Gate, StageView, VersionStatus, datetime], Judged]


@dataclass(frozen=True)
class _Kind:
    """A kind of gate.

    Attributes:
        judge: The function that judges.
        step: The step of the promotion in which it is asked.
        by_people: Whether it judges by ModelApprovals.
        is_local: Whether it reads only Kubernetes objects, so that it is asked even while MLflow or
            S3 is down.
        reverifies: Whether it can be asked again about the effective version. The other kinds judge
            a change, not a version alone.

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
    "job": _Kind(job_results.judge, "trial", reverifies=True),
    "smoke": _Kind(job_results.judge, "trial", reverifies=True),
    "signed": _Kind(job_results.judge, "trial", reverifies=True),
    "approvals": _Kind(approvals.approvals, "approval", by_people=True, is_local=True),
    "external": _Kind(approvals.external, "approval", by_people=True, is_local=True),
}


_AGAIN = sorted(kind for kind, each in _KINDS.items() if each.reverifies)
REVERIFIED = f"{', '.join(_AGAIN[:-1])} or {_AGAIN[-1]}"
"""The kinds that can be asked again about the effective version, for messages."""


@dataclass(frozen=True)
class Result:
    """A gate's answer as the status records it.

    Attributes:
        status: The answer.
        again: When to ask again; None if a watch reports a change, or nothing is left to ask.
        message: The whole message, which may be longer than the one in the status.

    """

    status: GateStatus
    again: timedelta | None = None
    message: str = ""


def judge(view: StageView, now: datetime) -> tuple[Result, ...]:
    """Ask all gates of the stage that have no lasting verdict; return all answers."""
    target = view.target
    version = view.versions.get(target.version) if target is not None else None
    if (
        view.spec is None
        or version is None
        or version.digest is None
        or view.is_return
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
    """Tell whether a gate needs pods, so that its verdict may depend on the runtime."""
    return _KINDS[gate.kind].step == "trial"


def asked_in(step: str, gates: tuple[Gate, ...]) -> frozenset[str]:
    """Return the names of the gates that are asked in a step."""
    return frozenset(gate.name for gate in gates if _KINDS[gate.kind].step == step)


def _result(gate: Gate, view: StageView, version: VersionStatus, now: datetime) -> Result:
    runtime = view.target.runtime.identity if view.target is not None else None
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
    answer = _ask(gate, view, version, now)
    # A Reject by a person counts until the switch.
    if stays and before is not None and answer.verdict is not Verdict.FAIL:
        return Result(before, message=before.message)
    same = before is not None and (before.verdict, before.message) == (
        answer.verdict,
        answer.message[:_MESSAGE],
    )
    status = GateStatus(
        name=gate.name,
        verdict=answer.verdict,
        message=answer.message[:_MESSAGE],
        time=before.time if same and before is not None else now,
        gate_hash=hash_of(gate),
        incumbent=answer.incumbent,
    )
    return Result(status, answer.again, answer.message)


def asks_people(gate: Gate) -> bool:
    """Tell whether a gate is judged by ModelApprovals."""
    return _KINDS[gate.kind].by_people


def _ask(gate: Gate, view: StageView, version: VersionStatus, now: datetime) -> Judged:
    if view.dependencies_down and not _KINDS[gate.kind].is_local:
        return _DEPENDENCIES_DOWN
    # Evidence is read only for versions in the status. About any other version, a gate would answer
    # that the run or signature does not exist, although it was only not read.
    if not any(
        (each.name, each.digest) == (version.name, version.digest)
        for each in view.model.status.versions
    ):
        return _UNRECORDED
    if (
        view.round is None
        and view.model.requested_version(view.name) != version.name
        and view.is_automatic
    ):
        # The choice changed in this round; evidence was read for the version chosen before.
        return _UNRECORDED
    return _KINDS[gate.kind].judge(gate, view, version, now)


def open_gates(
    model: RegisteredModel, stage: str, version: VersionStatus, now: datetime
) -> tuple[Gate, ...]:
    """Return the gates of a stage to ask about a version; `evidence` reads what they need."""
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
    """Return the gates that can be asked again about a stage's effective version."""
    return tuple(gate for gate in gates if _KINDS[gate.kind].reverifies)


def open_again(model: RegisteredModel, stage: str) -> tuple[Gate, ...]:
    """Return the gates of a stage's open verification; `evidence` reads what they need."""
    known = (model.status.stages.get(stage) or StageStatus()).verification
    return reverified(model.spec.stages[stage].gates) if known is not None and known.is_open else ()


def judge_again(
    view: StageView, version: VersionStatus | None, now: datetime
) -> tuple[tuple[Gate, Judged], ...]:
    """Ask all gates about the effective version, in a verification; no earlier verdict counts.

    Args:
        view: The stage, with `round` set.
        version: The record of the effective version; None when it is lost.
        now: The current time.

    """
    gates = reverified(view.spec.gates) if view.spec is not None else ()
    if version is None:
        return tuple((gate, erroneous("the record of the version is lost")) for gate in gates)
    return tuple((gate, _ask(gate, view, version, now)) for gate in gates)


def _remembered(
    gate: Gate, model: RegisteredModel, stage: str, version: VersionStatus, runtime: str | None
) -> GateStatus | None:
    """Return the recorded verdict of a gate, if it still applies to the version and runtime."""
    status = model.status.stages.get(stage) or StageStatus()
    known = _recorded(gate, status, version)
    if known is None or status.judged is None:
        return None
    if known.verdict is Verdict.FAIL:
        spec, digest = model.spec.stages[stage], str(version.digest)
        rejection = rejection_of(spec, status, version.name, digest, runtime)
        return known if rejection is not None else None
    if known.verdict is not Verdict.PASS or _may_end(gate):
        return None
    judged_runtime = status.judged.runtime
    # Verdicts of earlier releases have no runtime: these releases asked no gate about a refresh.
    if (
        _is_for_a_runtime(gate)
        and judged_runtime != runtime
        and not (judged_runtime is None and status.version != version.name)
    ):
        return None
    if gate.soak is not None and soak.is_withdrawn(gate.soak, version):
        return None
    if gate.compared is None:
        return known
    holder = incumbent_in(model, gate.compared.stage or stage)
    return known if known.incumbent == (holder.short if holder else None) else None


def _may_end(gate: Gate) -> bool:
    """Tell whether a Pass may be withdrawn or expire while version and incumbent stay the same.

    Such a gate is asked in every round until the Service routes to the version.
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
