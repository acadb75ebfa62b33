"""Which versions there should be, and the source of each. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from modelyard.api.blocker import VersionBlocker
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.api.registered_model import ModelVersionSpec, RegisteredModel, VersionStatus
from modelyard.api.training_run import TrainingRun

__all__ = ["Declaration", "contradicted", "declarations"]

_URI = 84
"""Characters of a URI in a message that names two of them."""


@dataclass(frozen=True)
class Declaration:
    """The source that a version is declared with.

    Attributes:
        version: The version's name.
        source: Where it comes from.
        ignored: TrainingRuns that register under the same name and lose.

    """

    version: str
    source: ModelVersionSpec
    ignored: tuple[str, ...] = ()


def declarations(model: RegisteredModel, runs: Iterable[TrainingRun]) -> dict[str, Declaration]:
    """Return the declaration of each version.

    `spec.versions` comes first. Then, of the TrainingRuns that register under a name, the one that
    was recorded with it, else the one that succeeded first; one that still trains is waited for.
    """
    found = {name: Declaration(name, source) for name, source in model.spec.versions.items()}
    recorded = {version.name: version.training_run for version in model.status.versions if version.digest}
    registering = [run for run in runs if _registers_with(run, model) and not _failed(run)]
    for run in sorted(registering, key=lambda run: (recorded.get(_version(run)) != run.metadata.name, *_rank(run))):
        version = _version(run)
        if (first := found.get(version)) is None:
            found[version] = Declaration(version, ModelVersionSpec(training_run=run.metadata.name))
        elif first.source.training_run != run.metadata.name:
            found[version] = Declaration(version, first.source, (*first.ignored, run.metadata.name))
    return found


def _registers_with(run: TrainingRun, model: RegisteredModel) -> bool:
    return run.spec.register_ is not None and run.spec.register_.model == model.metadata.name


def _version(run: TrainingRun) -> str:
    return run.spec.register_.version if run.spec.register_ else ""


def _failed(run: TrainingRun) -> bool:
    ended = run.status.condition("Succeeded")
    return ended is not None and ended.status == "False"


def _rank(run: TrainingRun) -> tuple[bool, str, str]:
    end = run.status.completion_time
    return end is None, str(end or run.metadata.creation_timestamp), run.metadata.name


def contradicted(version: VersionStatus, declared: ModelVersionSpec | None) -> VersionStatus:
    """Return a recorded version, blocked if `spec.versions` declares it from another source.

    A version that is blocked already says why.
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
    """Name a source; by its URI if the other one is a URI."""
    if against is not None and against.uri is not None:
        return _short(of.uri or "")
    if of.training_run is not None:
        return f"the TrainingRun {of.training_run}"
    return f"the MLflow run {of.run_id}" if of.run_id is not None else _short(of.uri or "")


def _short(uri: str) -> str:
    """Leave out the middle of a long URI."""
    return uri if len(uri) <= _URI else f"{uri[: _URI // 3]}...{uri[3 + _URI // 3 - _URI :]}"
