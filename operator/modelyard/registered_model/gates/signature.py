"""The gate `signature`: the version accepts every request that the incumbent accepts. Pure."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from modelyard.api.gates import Gate
from modelyard.api.mlmodel import Column, Signature
from modelyard.api.registered_model import VersionStatus
from modelyard.api.text import printable
from modelyard.registered_model.gates.judged import Judged, erroneous, failed, passed
from modelyard.registered_model.gates.values import incumbent_of
from modelyard.registered_model.view import StageView

__all__ = ["differences", "judge"]

_WIDER = {("integer", "long"), ("integer", "double"), ("float", "double")}
"""Pairs of types: MLflow accepts values of the first for a column of the second
(https://mlflow.org/docs/latest/ml/model/signatures, safe conversions).
"""
_NAMED = 4


def judge(gate: Gate, view: StageView, candidate: VersionStatus, _now: datetime) -> Judged:
    """Pass when the version accepts all that the incumbent accepts, with the same outputs."""
    spec = gate.signature
    assert spec is not None, "the table sends each gate to its kind"
    stage = spec.stage or view.name
    incumbent = incumbent_of(view, stage, candidate)
    if isinstance(incumbent, Judged):
        return incumbent
    read = view.evidence.signatures
    if incumbent.digest not in read:
        # Without a record of these bytes their location is unknown, so nothing was read. That does
        # not mean that the incumbent has no signature.
        return erroneous(
            f"the record of {incumbent.version}, which holds {stage}, is lost or of other bytes:"
            " there is nothing to compare with"
        )
    mine, theirs = read.get(candidate.digest or ""), read[incumbent.digest]
    if isinstance(mine, str) or isinstance(theirs, str):
        return erroneous(mine if isinstance(mine, str) else str(theirs))
    if theirs is None:
        return passed(f"{incumbent.version} has no signature to keep to", incumbent.short)
    if mine is None:
        return failed(
            f"{candidate.name} has no signature, and {incumbent.version} has one", incumbent.short
        )
    missed = list(differences(mine, theirs))
    if not missed:
        return passed(f"it takes and answers what {incumbent.version} does", incumbent.short)
    more = f" and {len(missed) - _NAMED} more" if len(missed) > _NAMED else ""
    return failed(
        f"against {incumbent.version}: {'; '.join(missed[:_NAMED])}{more}", incumbent.short
    )


def differences(mine: Signature, theirs: Signature) -> Iterator[str]:
    """Yield the differences that break a client of the incumbent."""
    there, before = _named(mine.inputs), _named(theirs.inputs)
    for name, column in before.items():
        if name not in there:
            yield f"input {_cut(name)} is gone"
        elif not _takes(there[name], column):
            yield f"input {_cut(name)} was {_shown(column)} and is {_shown(there[name])}"
        elif there[name].required and not column.required:
            yield f"input {_cut(name)} was optional"
    for name, column in there.items():
        if name not in before and column.required:
            yield f"input {_cut(name)} is new and required"
    answers = _named(mine.outputs)
    for name, column in _named(theirs.outputs).items():
        if name not in answers:
            yield f"output {_cut(name)} is gone"
        elif (answers[name].type, answers[name].shape) != (column.type, column.shape):
            yield f"output {_cut(name)} was {_shown(column)} and is {_shown(answers[name])}"


def _named(columns: tuple[Column, ...]) -> dict[str, Column]:
    """Return columns by name; a repeated name gets a number."""
    found: dict[str, Column] = {}
    again: Counter[str] = Counter()
    for column in columns:
        again[column.name] += 1
        found[
            column.name if again[column.name] == 1 else f"{column.name} ({again[column.name]})"
        ] = column
    return found


def _takes(mine: Column, theirs: Column) -> bool:
    """Tell whether a column accepts every value that another one accepts."""
    if mine.type != theirs.type and (theirs.type, mine.type) not in _WIDER:
        return False
    if mine.shape is None or theirs.shape is None:
        return mine.shape == theirs.shape
    return len(mine.shape) == len(theirs.shape) and all(
        a in {"-1", b} for a, b in zip(mine.shape, theirs.shape, strict=True)
    )


def _shown(column: Column) -> str:
    shape = f"[{', '.join(column.shape)}]" if column.shape is not None else ""
    return printable(f"{column.type[:40]}{shape[:40]}")


def _cut(name: str) -> str:
    """Return a name cut for a message; names are compared uncut."""
    return printable(name[:80])
