"""What MLflow's registry lacks of what the stages hold: aliases, MLflow's own stages, tags. Pure.

MLflow's stages are deprecated; they are moved while they still work (decision 0005). Aliases that are not
names of our stages belong to somebody else and stay.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from modelyard.api.base import as_name
from modelyard.api.registered_model import RegisteredModel
from modelyard.kube.names import STAGES_TAG, mlflow_model_name
from modelyard.plan import DeleteAlias, SetAlias, SetVersionTags, TransitionStage
from modelyard.ports import ModelStage
from modelyard.registered_model.observe import Seen
from modelyard.registered_model.versions import tracked_by_name

__all__ = ["Move", "moves", "written_down"]

_MLFLOW_STAGES: dict[str, Literal["Production", "Staging"]] = {"production": "Production", "staging": "Staging"}


@dataclass(frozen=True)
class Move:
    """One move in MLflow.

    Attributes:
        action: What to move.
        drift: We had moved it before, so somebody else has moved it since.

    """

    action: SetAlias | DeleteAlias | TransitionStage | SetVersionTags
    drift: bool = False


def written_down(model: RegisteredModel, seen: Seen) -> dict[str, frozenset[str]]:
    """Return the stages that each of our versions holds according to its tag. It is the last to be moved: what it says was done."""
    return {
        name: frozenset(stage for stage in version.tags.get(STAGES_TAG, "").split(",") if as_name(stage))
        for name, version in tracked_by_name(model, seen).items()
    }


def moves(model: RegisteredModel, seen: Seen, holders: Mapping[str, str | None]) -> list[Move]:
    """Return what to move in MLflow so that it says what `holders` (stage to version) says; the new holder moves before the old one.

    Nothing is said of a holder that MLflow does not know (its version was deleted there): that is the version's own problem. A stage
    that waits for its first version takes nothing from versions that others have registered.
    """
    return [*_aliases(model, seen, holders), *_stages_and_tags(model, seen, holders), *_of_others(model, seen, holders)]


def _aliases(model: RegisteredModel, seen: Seen, holders: Mapping[str, str | None]) -> Iterator[Move]:
    name, tracked, told = _name(model), tracked_by_name(model, seen), written_down(model, seen)
    ours = {version.version for version in tracked.values()}
    for stage, version in sorted(holders.items()):
        there = seen.model.aliases.get(stage) if seen.model else None
        moved = {each for each, stages in told.items() if stage in stages} == ({version} if version else set())
        if version is None:
            if there is not None and (there in ours or not _waits(model, stage)):
                yield Move(DeleteAlias(name, stage), moved)
        elif version in tracked and there != tracked[version].version:
            yield Move(SetAlias(name, stage, tracked[version].version), moved)


def _stages_and_tags(model: RegisteredModel, seen: Seen, holders: Mapping[str, str | None]) -> Iterator[Move]:
    name, told = _name(model), written_down(model, seen)
    held: dict[str, list[str]] = {}
    for stage, version in sorted(holders.items()):
        if version is not None:
            held.setdefault(version, []).append(stage)
    displaced = {entry.from_ for entry in model.status.history if entry.from_}
    for version, there in sorted(tracked_by_name(model, seen).items(), key=lambda item: item[0] not in held):
        stages = held.get(version, [])
        wanted = _mlflow_stage(stages, there.stage, displaced=version in displaced)
        if there.stage != wanted:
            yield Move(TransitionStage(name, there.version, wanted, _held(seen, wanted)), told[version] == frozenset(stages))
        if there.tags.get(STAGES_TAG, "") != ",".join(stages):
            yield Move(SetVersionTags(name, there.version, {STAGES_TAG: ",".join(stages)}))


def _of_others(model: RegisteredModel, seen: Seen, holders: Mapping[str, str | None]) -> Iterator[Move]:
    """A version that is not ours holds none of MLflow's stages beside ours: MLflow would answer with the newest of them."""
    ours = {version.version for version in tracked_by_name(model, seen).values()}
    taken = {_MLFLOW_STAGES[stage] for stage in holders if stage in _MLFLOW_STAGES and (holders[stage] or not _waits(model, stage))}
    for there in seen.versions:
        if there.version not in ours and there.stage in taken:
            yield Move(TransitionStage(_name(model), there.version, "Archived"), drift=True)


def _held(seen: Seen, stage: ModelStage) -> bool:
    """Whoever is in Production or Staging leaves it in the transaction that brings the next one: of two MLflow would answer the newer."""
    return stage in _MLFLOW_STAGES.values() and any(version.stage == stage for version in seen.versions)


def _name(model: RegisteredModel) -> str:
    return mlflow_model_name(model.metadata.namespace, model.metadata.name)


def _waits(model: RegisteredModel, stage: str) -> bool:
    """The spec wants a version in the stage; asked of one that holds none yet."""
    wanted = model.spec.stages.get(stage)
    return wanted is not None and wanted.version is not None


def _mlflow_stage(stages: list[str], now: ModelStage, *, displaced: bool) -> ModelStage:
    """The highest of MLflow's stages that the version holds; Archived once it was displaced from any stage and holds none."""
    for stage in ("production", "staging"):
        if stage in stages:
            return _MLFLOW_STAGES[stage]
    if stages:
        return "None"
    return "Archived" if displaced or now in {"Production", "Staging"} else now
