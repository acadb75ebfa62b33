"""The declared versions, the source of each, and which declaration owns a name. Pure.

Several declarations may compete for one version name: an entry in `spec.versions`, and TrainingRuns
that register under it. Until the version is recorded, the name belongs to the declaration that came
first, its *holder* (`heldBy` in the status). So a stage that waits for the name gets what was
declared first, not what happens to finish first.

When the holder has failed or is gone, and no stage asks for the name, the name is free again.
Whether a stage asks is decided by a user who may change the stage. While a stage asks, only a
TrainingRun that was created after the stage asked may replace a failed holder: creating such a run
takes the right to promote (policy `runs`).
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from modelyard.api.blocker import VersionBlocker
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.api.registered_model import ModelVersionSpec, RegisteredModel, VersionStatus
from modelyard.api.training_run import TrainingRun
from modelyard.kube.names import version_holder

__all__ = ["Declaration", "contradicted", "declarations"]

_URI = 84
"""Characters of a URI in a message that names two of them."""

_SHOWN = 120
"""Characters of a source in a message."""


@dataclass(frozen=True)
class Declaration:
    """The source that a version is declared with.

    Attributes:
        version: The version's name.
        source: Where it comes from.
        ignored: TrainingRuns that register under the same name and do not get it.
        held_by: The holder of the name: the uid of a TrainingRun, or a hash of the source; None:
            there is no holder.
        blocker: Why the declared version cannot be registered: another declaration has its name.

    """

    version: str
    source: ModelVersionSpec
    ignored: tuple[str, ...] = ()
    held_by: str | None = None
    blocker: VersionBlocker | None = None


@dataclass(frozen=True)
class _Claim:
    """One declaration that competes for a version's name.

    Attributes:
        source: Where the version comes from.
        key: What `heldBy` records for it.
        failed: Whether its TrainingRun failed.
        created: When its TrainingRun was created; None for an entry in `spec.versions`.

    """

    source: ModelVersionSpec
    key: str
    failed: bool = False
    created: datetime | None = None

    def holds(self, held_by: str | None) -> bool:
        """Tell whether the recorded holder is this declaration.

        A TrainingRun is recorded by its name until it exists, and by its uid afterwards.
        """
        run = self.source.training_run
        return held_by is not None and (
            held_by == self.key or (run is not None and held_by == version_holder(run))
        )


def declarations(model: RegisteredModel, runs: Iterable[TrainingRun]) -> dict[str, Declaration]:
    """Return the declaration of each version.

    The order of precedence for a recorded version: `spec.versions`, then the TrainingRun that it
    came from. For a version that waits to be recorded: the recorded holder, then `spec.versions`,
    then the oldest TrainingRun that registers under the name, even while it still trains.
    """
    claims = _claims(model, list(runs))
    statuses = {version.name: version for version in model.status.versions}
    asking_stages = _asked(model)
    found = {}
    for name in dict.fromkeys((*claims, *statuses)):
        status, claimed, since = (
            statuses.get(name),
            claims.get(name, []),
            _since(model, asking_stages.get(name, ())),
        )
        is_declared = name in model.spec.versions
        is_there = is_declared or any(not claim.failed for claim in claimed)
        if status is not None and status.digest is not None:
            if is_there:
                found[name] = _recorded(name, claimed, status, is_declared=is_declared)
        elif (
            status is not None and name in asking_stages and (ended := _end(status, claimed, since))
        ):
            found[name] = _held(name, claimed, status, asking_stages[name], ended)
        elif is_there:
            found[name] = _first(name, claimed, status, since)
    return found


def _asked(model: RegisteredModel) -> dict[str, list[str]]:
    """Return the stages that ask for each version."""
    asking_stages: dict[str, list[str]] = {}
    for name, stage in model.spec.stages.items():
        if stage.version is not None:
            asking_stages.setdefault(stage.version, []).append(name)
    return asking_stages


# --- the competing declarations -------------------------------------------------------------------
def _claims(model: RegisteredModel, runs: list[TrainingRun]) -> dict[str, list[_Claim]]:
    """Return the declarations of each version, in order of precedence."""
    by_name = {run.metadata.name: run for run in runs}
    claims = {name: [_declared(source, by_name)] for name, source in model.spec.versions.items()}
    for run in sorted(_registering(model, runs), key=_age):
        version = run.spec.register_.version if run.spec.register_ else ""
        registered_by = run.spec.register_.registered_by if run.spec.register_ else None
        source = ModelVersionSpec(training_run=run.metadata.name, registered_by=registered_by)
        if all(claim.source.training_run != run.metadata.name for claim in claims.get(version, ())):
            created = run.metadata.creation_timestamp
            claims.setdefault(version, []).append(
                _Claim(source, run.metadata.uid, _failed(run), created)
            )
    return claims


def _declared(source: ModelVersionSpec, runs: Mapping[str, TrainingRun]) -> _Claim:
    if source.training_run is None:
        return _Claim(source, _hash(source))
    run = runs.get(source.training_run)
    if run is None:
        return _Claim(source, version_holder(source.training_run))
    return _Claim(source, run.metadata.uid, _failed(run))


def _registering(model: RegisteredModel, runs: Iterable[TrainingRun]) -> Iterator[TrainingRun]:
    """Return the TrainingRuns that register with the model."""
    for run in runs:
        register = run.spec.register_
        if register is not None and register.model == model.metadata.name:
            yield run


def _failed(run: TrainingRun) -> bool:
    ended = run.status.condition("Succeeded")
    return ended is not None and ended.status == "False"


def _age(run: TrainingRun) -> tuple[str, str]:
    return str(run.metadata.creation_timestamp or ""), run.metadata.name


def _hash(source: ModelVersionSpec) -> str:
    """Return a hash of a version's source, without its tags."""
    where = json.dumps([source.run_id, source.path or "model", source.uri])
    return f"sha256:{hashlib.sha256(where.encode()).hexdigest()[:16]}"


# --- the holder of a name -------------------------------------------------------------------------
def _first(
    name: str, claims: list[_Claim], status: VersionStatus | None, since: datetime | None
) -> Declaration:
    """Return the declaration that gets a name: the holder, else the first that has not failed.

    If stages have asked for the name `since` a time, a run that was created after it replaces a
    failed holder; older declarations come after it.
    """
    free = [claim for claim in claims if not claim.failed]
    held_by = status.held_by if status is not None else None
    heirs = [claim for claim in free if _is_later(claim, since)] if held_by is not None else []
    winner = next((claim for claim in free if claim.holds(held_by)), (heirs or free or claims)[0])
    return Declaration(
        name, winner.source, _others(claims, winner), None if winner.failed else winner.key
    )


def _is_later(claim: _Claim, since: datetime | None) -> bool:
    return since is not None and claim.created is not None and claim.created > since


def _since(model: RegisteredModel, stages: Iterable[str]) -> datetime | None:
    """Return the time since when all these stages have asked for their version, if recorded."""
    found = [model.status.stages.get(name) for name in stages]
    times = [
        stage.start_time
        if stage is not None and stage.desired == model.spec.stages[name].version
        else None
        for name, stage in zip(stages, found, strict=True)
    ]
    known = [time for time in times if time is not None]
    return max(known) if known and len(known) == len(times) else None


def _recorded(
    name: str, claims: list[_Claim], status: VersionStatus, *, is_declared: bool
) -> Declaration:
    """Return the declaration of a recorded version, which keeps its source."""
    same = (claim for claim in claims if claim.source.training_run == status.training_run)
    winner = claims[0] if is_declared else next(same, claims[0])
    return Declaration(name, winner.source, _others(claims, winner), status.held_by)


def _others(claims: list[_Claim], winner: _Claim) -> tuple[str, ...]:
    rest = (
        claim.source.training_run for claim in claims if claim is not winner and not claim.failed
    )
    return tuple(run for run in rest if run is not None)


def _end(status: VersionStatus, claims: list[_Claim], since: datetime | None) -> str:
    """Return how the recorded holder ended, if the name must stay blocked; else an empty string."""
    if status.held_by is None:
        return ""
    holder = next((claim for claim in claims if claim.holds(status.held_by)), None)
    if holder is None:
        return "is gone"
    free = [claim for claim in claims if not claim.failed]
    has_heir = not free or any(_is_later(claim, since) for claim in free)
    return "failed" if holder.failed and not has_heir else ""


def _held(
    name: str, claims: list[_Claim], status: VersionStatus, stages: list[str], ended: str
) -> Declaration:
    """Return the blocked declaration of a name whose holder has failed or is gone."""
    source = ModelVersionSpec.model_construct(
        training_run=status.training_run, run_id=status.run_id, uri=status.uri
    )
    message = (
        f"{name} is held by {_holder(status)}, which {ended}. Another declaration registers under"
        f" it once no stage asks for it: set {', '.join(sorted(stages))[:60]} to another version or"
        f" none, then to {name} again."
    )
    blocker = VersionBlocker.of(Reason.VERSION_HELD, message, needs_action=True)
    others = tuple(claim.source.training_run for claim in claims if claim.source.training_run)
    return Declaration(name, source, others, status.held_by, blocker)


def _holder(status: VersionStatus) -> str:
    if status.training_run is not None:
        uid = status.held_by if status.held_by != version_holder(status.training_run) else None
        return f"the TrainingRun {status.training_run}" + (f" (uid {uid})" if uid else "")
    if status.run_id is not None:
        return f"a declaration of the MLflow run {status.run_id[:_SHOWN]}"
    return f"a declaration of {(status.uri or '')[:_SHOWN]}"


# --- recorded versions ----------------------------------------------------------------------------
def contradicted(version: VersionStatus, declared: ModelVersionSpec | None) -> VersionStatus:
    """Return a recorded version, blocked if `spec.versions` declares it from another source.

    A version that is already blocked keeps its blocker.
    """
    if declared is None or version.blocked is not None or not declared.contradicts(version):
        return version
    message = (
        f"It was registered from {_source(version, declared)}, and stays so; spec.versions declares"
        f" it from {_source(declared)}. Declare that under another name, and remove this one."
    )
    blocker = VersionBlocker.of(Reason.VERSION_TAKEN, message, needs_action=True)
    return version.model_copy(update={"blocked": blocker})


def _source(of: VersionStatus | ModelVersionSpec, against: ModelVersionSpec | None = None) -> str:
    """Name a source in a message; by its URI if the other source is a URI."""
    if against is not None and against.uri is not None:
        return _short(of.uri or "")
    if of.training_run is not None:
        return f"the TrainingRun {of.training_run}"
    return f"the MLflow run {of.run_id}" if of.run_id is not None else _short(of.uri or "")


def _short(uri: str) -> str:
    """Leave out the middle of a long URI."""
    return uri if len(uri) <= _URI else f"{uri[: _URI // 3]}...{uri[3 + _URI // 3 - _URI :]}"
