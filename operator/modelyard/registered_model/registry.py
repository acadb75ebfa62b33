"""Changes that bring MLflow in line with the status: aliases, MLflow's own stages, tags. Pure.

MLflow's own stages are deprecated; the operator sets them as long as they work (decision 0005).
Aliases that are not names of our stages belong to other clients and are left alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from modelyard.api.registered_model import RegisteredModel, VersionStatus
from modelyard.kube.names import STAGES_TAG, UID_TAG, mlflow_model_name
from modelyard.plan import DeleteAlias, SetAlias, SetTags, TagTarget, TransitionStage
from modelyard.ports import ModelStage, TrackedVersion
from modelyard.registered_model.observation import Observation
from modelyard.registered_model.version_tags import copied_tags, stages_in_tag, users_tags
from modelyard.registered_model.versions import tracked_by_name

__all__ = ["Move", "moves"]

_MLFLOW_STAGES: dict[str, Literal["Production", "Staging"]] = {
    "production": "Production",
    "staging": "Staging",
}


@dataclass(frozen=True)
class Move:
    """One change in MLflow.

    Attributes:
        action: What to do.
        drift: Whether the operator had done this before, so that another client has reverted it.

    """

    action: SetAlias | DeleteAlias | TransitionStage | SetTags
    drift: bool = False


@dataclass(frozen=True)
class _Registry:
    """The registry and its desired state: `effective` maps each stage to its version."""

    model: RegisteredModel
    observation: Observation
    effective: Mapping[str, str | None]
    tracked: dict[str, TrackedVersion]

    @property
    def name(self) -> str:
        return mlflow_model_name(self.model.metadata.namespace, self.model.metadata.name)

    def recorded_stages(self, version: str) -> frozenset[str]:
        return stages_in_tag(self.tracked[version])

    def stages(self, version: str) -> list[str]:
        return sorted(stage for stage, held in self.effective.items() if held == version)

    def asks(self, stage: str) -> bool:
        """Tell whether the spec asks for a version in the stage. For a stage that has none yet."""
        wanted = self.model.spec.stages.get(stage)
        return wanted is not None and (
            wanted.version is not None or wanted.auto_promote is not None
        )


def moves(
    model: RegisteredModel, observation: Observation, effective: Mapping[str, str | None]
) -> list[Move]:
    """Return the changes that bring MLflow in line; effective versions move before displaced ones.

    An effective version that MLflow lacks gets no changes; the version's own blocker reports it.
    While a stage waits for its first version, the aliases and stages that other clients gave to
    their versions are left alone.
    """
    registry = _Registry(
        model, observation, effective, tracked_by_name(model, observation.versions)
    )
    return [
        *_aliases(registry),
        *_stages(registry),
        *_versions_of_others(registry),
        *_tags(registry),
    ]


def _aliases(registry: _Registry) -> Iterator[Move]:
    ours = {version.version for version in registry.tracked.values()}
    aliases = registry.observation.model.aliases if registry.observation.model else {}
    for stage, version in sorted(registry.effective.items()):
        there = aliases.get(stage)
        recorded = {each for each in registry.tracked if stage in registry.recorded_stages(each)}
        moved = recorded == ({version} if version else set())
        if version is None:
            if there is not None and (there in ours or not registry.asks(stage)):
                yield Move(DeleteAlias(registry.name, stage), moved)
        elif version in registry.tracked and there != registry.tracked[version].version:
            yield Move(SetAlias(registry.name, stage, registry.tracked[version].version), moved)


def _stages(registry: _Registry) -> Iterator[Move]:
    displaced = {version.name for version in registry.model.status.versions if _displaced(version)}
    for version, there in sorted(
        registry.tracked.items(), key=lambda item: not registry.stages(item[0])
    ):
        stages = registry.stages(version)
        wanted = _mlflow_stage(stages, there.stage, displaced=version in displaced)
        if there.stage != wanted:
            move = TransitionStage(
                registry.name, there.version, wanted, _is_taken(registry.observation, wanted)
            )
            yield Move(move, registry.recorded_stages(version) == frozenset(stages))
        if there.tags.get(STAGES_TAG, "") != ",".join(stages):
            yield Move(
                SetTags(
                    TagTarget("version", registry.name, there.version),
                    {STAGES_TAG: ",".join(stages)},
                )
            )


def _displaced(version: VersionStatus) -> bool:
    return any(held.until_time is not None for held in version.held)


def _versions_of_others(registry: _Registry) -> Iterator[Move]:
    """Archive other clients' versions in our MLflow stages, where MLflow returns the newest."""
    ours = {version.version for version in registry.tracked.values()}
    taken = {
        _MLFLOW_STAGES[stage]
        for stage, version in registry.effective.items()
        if stage in _MLFLOW_STAGES and (version or not registry.asks(stage))
    }
    for there in registry.observation.versions:
        if there.version not in ours and there.stage in taken:
            yield Move(TransitionStage(registry.name, there.version, "Archived"), drift=True)


def _tags(registry: _Registry) -> Iterator[Move]:
    """Set the users' tags, and restore the copies of the record."""
    recorded = {version.name: version for version in registry.model.status.versions}
    for version, there in registry.tracked.items():
        target = TagTarget("version", registry.name, there.version)
        record = copied_tags(registry.model, recorded[version]) if version in recorded else {}
        if changed := {key: value for key, value in record.items() if there.tags.get(key) != value}:
            # No drift: after a backup was restored, the tags have the uid of the earlier object.
            yield Move(
                SetTags(target, changed),
                drift=there.tags.get(UID_TAG) == registry.model.metadata.uid,
            )
        users = users_tags(registry.model, registry.observation, version)
        if missing := {key: value for key, value in users.items() if there.tags.get(key) != value}:
            yield Move(SetTags(target, missing))


def _is_taken(observation: Observation, stage: ModelStage) -> bool:
    """Tell whether Production or Staging has a version that must leave when another one enters.

    MLflow archives it in the same transaction.
    """
    return stage in _MLFLOW_STAGES.values() and any(
        version.stage == stage for version in observation.versions
    )


def _mlflow_stage(stages: list[str], now: ModelStage, *, displaced: bool) -> ModelStage:
    """Return the MLflow stage of a version: the highest of its stages; Archived if displaced."""
    for stage in ("production", "staging"):
        if stage in stages:
            return _MLFLOW_STAGES[stage]
    if stages:
        return "None"
    return "Archived" if displaced or now in {"Production", "Staging"} else now
