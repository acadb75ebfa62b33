"""What MLflow's registry lacks of what the stages hold: aliases, MLflow's own stages, tags. Pure.

MLflow's stages are deprecated; they are moved while they still work, one version at a time (decision 0005). Aliases that are not
names of our stages belong to somebody else and stay.
"""

from collections.abc import Mapping
from typing import Literal

from modelyard.api.registered_model import RegisteredModel
from modelyard.kube.names import STAGES_TAG, mlflow_model_name
from modelyard.plan import DeleteAlias, SetAlias, SetVersionTags, TransitionStage
from modelyard.ports import ModelStage
from modelyard.registered_model.observe import Seen
from modelyard.registered_model.versions import tracked_by_name

__all__ = ["Move", "moves"]

Move = SetAlias | DeleteAlias | TransitionStage | SetVersionTags

_MLFLOW_STAGES: dict[str, Literal["Production", "Staging"]] = {"production": "Production", "staging": "Staging"}


def moves(model: RegisteredModel, seen: Seen, holders: Mapping[str, str | None]) -> list[Move]:
    """Return what to move in MLflow so that it says what `holders` (stage to version) says; the new holder moves before the old one.

    Nothing is said of a holder that MLflow does not know (its version was deleted there): that is the version's own problem.
    """
    name = mlflow_model_name(model.metadata.namespace, model.metadata.name)
    tracked = tracked_by_name(model, seen)
    aliases = seen.model.aliases if seen.model else {}
    held: dict[str, list[str]] = {}
    for stage, version in holders.items():
        if version is not None:
            held.setdefault(version, []).append(stage)
    found: list[Move] = []
    for stage, version in sorted(holders.items()):
        if version is None:
            found += [DeleteAlias(name, stage)] if stage in aliases else []
        elif version in tracked and aliases.get(stage) != tracked[version].version:
            found.append(SetAlias(name, stage, tracked[version].version))
    displaced = {entry.from_ for entry in model.status.history if entry.from_}
    for version, there in sorted(tracked.items(), key=lambda item: item[0] not in held):
        stages = sorted(held.get(version, []))
        wanted = _mlflow_stage(stages, there.stage, displaced=version in displaced)
        if there.stage != wanted:
            found.append(TransitionStage(name, there.version, wanted))
        if there.tags.get(STAGES_TAG, "") != ",".join(stages):
            found.append(SetVersionTags(name, there.version, {STAGES_TAG: ",".join(stages)}))
    return found


def _mlflow_stage(stages: list[str], now: ModelStage, *, displaced: bool) -> ModelStage:
    """The highest of MLflow's stages that the version holds; Archived once it was displaced from any stage and holds none."""
    for stage in ("production", "staging"):
        if stage in stages:
            return _MLFLOW_STAGES[stage]
    if stages:
        return "None"
    return "Archived" if displaced or now in {"Production", "Staging"} else now
