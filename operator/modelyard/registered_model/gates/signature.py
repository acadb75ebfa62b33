"""The gate `signature`: whoever can ask the incumbent can ask the version. Pure."""

from collections.abc import Iterator
from datetime import datetime

from modelyard.api.gates import Gate
from modelyard.api.mlmodel import Column, Signature
from modelyard.api.registered_model import VersionStatus
from modelyard.registered_model.gates.judged import Judged, erroneous, failed, passed
from modelyard.registered_model.view import StageView

__all__ = ["differences", "judge"]

_WIDER = {("integer", "long"), ("integer", "double"), ("float", "double")}
"""Types whose values MLflow takes for a column of the second type:
https://mlflow.org/docs/latest/ml/model/signatures (safe conversions)."""
_NAMED = 4


def judge(gate: Gate, view: StageView, candidate: VersionStatus, _now: datetime) -> Judged:
    """Pass when every request that the incumbent takes, the version takes, and answers alike."""
    asked = gate.signature
    assert asked is not None, "the table sends each gate to its kind"
    stage = asked.stage or view.name
    incumbent = view.holder(stage)
    if incumbent is None:
        return passed(f"{stage} has no version to compare with")
    if incumbent.digest == candidate.digest:
        return passed(f"{stage} holds the same bytes", incumbent.short)
    mine = view.evidence.signatures.get(candidate.digest or "")
    theirs = view.evidence.signatures.get(incumbent.digest)
    if isinstance(mine, str) or isinstance(theirs, str):
        return erroneous(mine if isinstance(mine, str) else str(theirs))
    if theirs is None:
        return passed(f"{incumbent.version} has no signature to keep to", incumbent.short)
    if mine is None:
        return failed(f"{candidate.name} has no signature, and {incumbent.version} has one", incumbent.short)
    missed = list(differences(mine, theirs))
    if not missed:
        return passed(f"it takes and answers what {incumbent.version} does", incumbent.short)
    more = f" and {len(missed) - _NAMED} more" if len(missed) > _NAMED else ""
    return failed(f"against {incumbent.version}: {'; '.join(missed[:_NAMED])}{more}", incumbent.short)


def differences(mine: Signature, theirs: Signature) -> Iterator[str]:
    """Name what a request to the incumbent, or a reader of its answers, would miss."""
    there = {column.name: column for column in mine.inputs}
    before = {column.name: column for column in theirs.inputs}
    for name, column in before.items():
        if name not in there:
            yield f"input {name} is gone"
        elif not _takes(there[name], column):
            yield f"input {name} was {_shown(column)} and is {_shown(there[name])}"
        elif there[name].required and not column.required:
            yield f"input {name} was optional"
    for name, column in there.items():
        if name not in before and column.required:
            yield f"input {name} is new and required"
    answers = {column.name: column for column in mine.outputs}
    for column in theirs.outputs:
        if column.name not in answers:
            yield f"output {column.name} is gone"
        elif (answers[column.name].type, answers[column.name].shape) != (column.type, column.shape):
            yield f"output {column.name} was {_shown(column)} and is {_shown(answers[column.name])}"


def _takes(mine: Column, theirs: Column) -> bool:
    """Tell whether a column takes every value that another one takes."""
    if mine.type != theirs.type and (theirs.type, mine.type) not in _WIDER:
        return False
    if mine.shape is None or theirs.shape is None:
        return mine.shape == theirs.shape
    return len(mine.shape) == len(theirs.shape) and all(a in {"-1", b} for a, b in zip(mine.shape, theirs.shape, strict=True))


def _shown(column: Column) -> str:
    shape = f"[{', '.join(column.shape)}]" if column.shape is not None else ""
    return f"{column.type[:40]}{shape}"
