"""A gate's answer, before it is recorded. Pure."""

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta

from modelyard.api.gates import Gate, Verdict

__all__ = ["Judged", "erroneous", "failed", "hash_of", "passed", "pending"]

_AGAIN = timedelta(minutes=1)
"""How often to ask a gate again whose input no watch reports: a metric in MLflow, or S3."""


@dataclass(frozen=True)
class Judged:
    """One gate's answer.

    Attributes:
        verdict: Pass, Fail, Pending or Error.
        message: Why, with the figures; the list of gates in the status cuts it at 140 characters,
            conditions and events do not.
        incumbent: First digits of the digest of the version that it was compared with.
        again: When to ask again without any change, for a Pending, an Error or a Pass that expires.

    """

    verdict: Verdict
    message: str
    incumbent: str | None = None
    again: timedelta | None = None


def passed(message: str, incumbent: str | None = None, *, again: timedelta | None = None) -> Judged:
    """Return a Pass; `again` is None unless it expires."""
    return Judged(Verdict.PASS, message, incumbent, again)


def failed(message: str, incumbent: str | None = None) -> Judged:
    """Return a Fail, which rejects the version."""
    return Judged(Verdict.FAIL, message, incumbent)


def pending(message: str, again: timedelta | None = _AGAIN) -> Judged:
    """Return a Pending; `again` is None if a watch reports what the gate waits for."""
    return Judged(Verdict.PENDING, message, again=again)


def erroneous(message: str) -> Judged:
    """Return an Error, which is neither a Pass nor a Fail: the gate is asked again."""
    return Judged(Verdict.ERROR, message, again=_AGAIN)


def hash_of(gate: Gate) -> str:
    """Return eight hex digits of a gate's spec."""
    spec = gate.model_dump(mode="json", by_alias=True, exclude_none=True)
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:8]
