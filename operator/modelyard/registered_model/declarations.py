"""Which versions there should be, and the source of each. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from modelyard.api.registered_model import ModelVersionSpec, RegisteredModel
from modelyard.api.training_run import TrainingRun

__all__ = ["Declaration", "declarations"]


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
