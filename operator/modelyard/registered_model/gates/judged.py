"""What a gate says, before it is recorded. Pure."""

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta

from modelyard.api.gates import Gate, Verdict

__all__ = ["Judged", "erroneous", "failed", "hash_of", "passed", "pending"]

_AGAIN = timedelta(minutes=1)
"""When what nobody reports is looked at again: a metric in MLflow, an answer of S3."""


@dataclass(frozen=True)
class Judged:
    """One gate's answer.

    Attributes:
        verdict: In a word.
        message: Why, with the figures; the list of gates in the status cuts it at 140 characters,
            conditions and events do not.
        incumbent: First digits of the digest of the version that it was compared with.
        again: When it is looked at again, though nothing changed: a Pending, an Error, a Pass that
            ends.

    """

    verdict: Verdict
    message: str
    incumbent: str | None = None
    again: timedelta | None = None


def passed(message: str, incumbent: str | None = None, *, again: timedelta | None = None) -> Judged:
    """Return a Pass; `again` is None unless it ends by time alone."""
    return Judged(Verdict.PASS, message, incumbent, again)


def failed(message: str, incumbent: str | None = None) -> Judged:
    """Return a Fail, which rejects the version."""
    return Judged(Verdict.FAIL, message, incumbent)


def pending(message: str, again: timedelta | None = _AGAIN) -> Judged:
    """Return a Pending; `again` is None where a watch reports what it waits for."""
    return Judged(Verdict.PENDING, message, again=again)


def erroneous(message: str) -> Judged:
    """Return an Error, which is neither a Pass nor a Fail and heals by itself."""
    return Judged(Verdict.ERROR, message, again=_AGAIN)


def hash_of(gate: Gate) -> str:
    """Return eight hex digits of a gate's spec."""
    spec = gate.model_dump(mode="json", by_alias=True, exclude_none=True)
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:8]
