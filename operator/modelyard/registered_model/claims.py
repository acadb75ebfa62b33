"""Which versions there should be, and where each comes from. Pure: objects in, claims out."""

from collections.abc import Iterable
from dataclasses import dataclass

from modelyard.api.registered_model import ModelVersionSpec, RegisteredModel
from modelyard.api.training_run import TrainingRun

__all__ = ["Claim", "claims"]


@dataclass(frozen=True)
class Claim:
    """Somebody says that a version has this source; `rivals` said so later, or less explicitly, and are not heard."""

    version: str
    source: ModelVersionSpec
    rivals: tuple[str, ...] = ()


def claims(model: RegisteredModel, runs: Iterable[TrainingRun]) -> dict[str, Claim]:
    """Return what each version comes from.

    A version that is registered keeps its source for good. Before that the spec comes first, then, of the TrainingRuns that
    register under the name, the one that succeeded first; one that still trains is waited for.
    """
    found = {name: Claim(name, source) for name, source in model.spec.versions.items()}
    held = {version.name: version.training_run for version in model.status.versions if version.mlflow_version}
    registering = [run for run in runs if run.spec.register_ and run.spec.register_.model == model.metadata.name and not _failed(run)]
    for run in sorted(registering, key=lambda run: (held.get(_version(run)) != run.metadata.name, *_rank(run))):
        version = _version(run)
        if (first := found.get(version)) is None:
            found[version] = Claim(version, ModelVersionSpec(training_run=run.metadata.name))
        elif first.source.training_run != run.metadata.name:
            found[version] = Claim(version, first.source, (*first.rivals, run.metadata.name))
    return found


def _version(run: TrainingRun) -> str:
    return run.spec.register_.version if run.spec.register_ else ""


def _failed(run: TrainingRun) -> bool:
    ended = run.status.condition("Succeeded")
    return ended is not None and ended.status == "False"


def _rank(run: TrainingRun) -> tuple[bool, str, str]:
    end = run.status.completion_time
    return end is None, str(end or run.metadata.creation_timestamp), run.metadata.name
