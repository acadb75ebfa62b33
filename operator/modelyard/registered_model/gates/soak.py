"""The gate `soak`: how long the version has held another stage, by its own record. Pure."""

from datetime import datetime

from modelyard.api.base import parse_duration
from modelyard.api.gates import Gate, SoakGate
from modelyard.api.registered_model import HeldStage, VersionStatus
from modelyard.registered_model.gates.judged import Judged, passed, pending
from modelyard.registered_model.view import StageView

__all__ = ["is_withdrawn", "judge"]


def judge(gate: Gate, _view: StageView, candidate: VersionStatus, now: datetime) -> Judged:
    """Pass when the version, with its present digest, last held the stage for long enough."""
    spec = gate.soak
    assert spec is not None, "the table sends each gate to its kind"
    held = _held(spec, candidate)
    if held is None:
        return pending(
            f"{candidate.name} has not held {spec.stage} yet: promote it there first", None
        )
    if held.verified is False:
        again = "verify it there again" if held.until_time is None else "promote it there again"
        return pending(
            f"{candidate.name} failed its verification in {spec.stage}, which does not count until"
            f" it passes: {again}",
            None,
        )
    wanted = parse_duration(spec.for_)
    until = held.until_time or now
    if until - held.since_time >= wanted:
        return passed(f"{candidate.name} has held {spec.stage} for {spec.for_}")
    if held.until_time is not None:
        left = f"since {held.since_time:%Y-%m-%d %H:%M} until {until:%Y-%m-%d %H:%M} UTC only"
        return pending(
            f"{candidate.name} held {spec.stage} {left}, not {spec.for_}: promote it there again",
            None,
        )
    ends = held.since_time + wanted
    return pending(
        f"{candidate.name} has held {spec.stage} for {spec.for_} at {ends:%Y-%m-%d %H:%M:%S} UTC",
        ends - now,
    )


def is_withdrawn(spec: SoakGate, candidate: VersionStatus) -> bool:
    """Tell whether the version's last verification in that stage failed: its time there is void."""
    held = _held(spec, candidate)
    return held is not None and held.verified is False


def _held(spec: SoakGate, candidate: VersionStatus) -> HeldStage | None:
    return next(
        (
            each
            for each in candidate.held
            if each.stage == spec.stage and each.digest == candidate.digest
        ),
        None,
    )
