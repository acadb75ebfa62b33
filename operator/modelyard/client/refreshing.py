"""Which stages a refresh would update to the operator's runtime, and its patch. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from modelyard.api.registered_model import ModelReason, RegisteredModel, StageStatus
from modelyard.client.errors import NotFound, Refused
from modelyard.client.progress import Change, asked_for

__all__ = ["Refresh", "RuntimeState", "changes", "patch", "plan", "stages_to_refresh"]


class RuntimeState(StrEnum):
    """How the runtime that serves a stage compares with the operator's."""

    CURRENT = "Current"
    OLDER = "Older"
    """A refresh would update it."""
    EMPTY = "Empty"
    """No version is effective."""
    CHANGING = "Changing"
    """The spec asks for a version that is not effective yet."""
    OVERRIDDEN = "Overridden"
    """An override has ended: raising `attempt` would return the stage to the spec's version."""
    UNKNOWN = "Unknown"
    """The operator has recorded neither its own runtime nor the stage's."""


@dataclass(frozen=True)
class Refresh:
    """The runtime of one stage, compared with the operator's.

    Attributes:
        stage: Name of the stage.
        state: The result of the comparison.
        version: The effective version.
        image: The image that serves it.
        to: The operator's image.

    """

    stage: str
    state: RuntimeState
    version: str | None = None
    image: str = ""
    to: str = ""

    @property
    def words(self) -> str:
        """The comparison as text."""
        match self.state:
            case RuntimeState.CURRENT:
                return f"{self.version} is served with the operator's runtime already, {self.image}"
            case RuntimeState.OLDER if self.image == self.to:
                return f"{self.version} is served with {self.image}, with pods of an older shape"
            case RuntimeState.OLDER:
                return f"{self.version} is served with {self.image}; the operator's is {self.to}"
            case RuntimeState.EMPTY:
                return "no version is effective"
            case RuntimeState.CHANGING:
                return (
                    f"{self.version} is effective, and the spec asks for something else; that"
                    " change comes first"
                )
            case RuntimeState.OVERRIDDEN:
                return (
                    f"{self.version} is effective, an override of the stage has ended, and raising"
                    " attempt goes back to the spec's version"
                )
            case RuntimeState.UNKNOWN:
                return (
                    "the operator has not recorded its runtime yet; is it running, and of this"
                    " release?"
                )


def plan(model: RegisteredModel) -> tuple[Refresh, ...]:
    """Return the comparison of each stage of the spec, sorted by name."""
    return tuple(_stage(model, name) for name in sorted(model.spec.stages))


def _stage(model: RegisteredModel, name: str) -> Refresh:
    stage = model.status.stages.get(name) or StageStatus()
    current = model.status.operator_runtime
    if stage.blocked is not None and stage.blocked.reason == ModelReason.OVERRIDE_ENDED:
        return Refresh(name, RuntimeState.OVERRIDDEN, stage.version or "nothing")
    if stage.version != asked_for(model, name).version:
        return Refresh(name, RuntimeState.CHANGING, stage.version or "nothing")
    if stage.version is None:
        return Refresh(name, RuntimeState.EMPTY)
    if current is None or stage.runtime is None:
        return Refresh(name, RuntimeState.UNKNOWN, stage.version)
    state = RuntimeState.CURRENT if current.serves(stage.runtime) else RuntimeState.OLDER
    return Refresh(name, state, stage.version, stage.runtime.image, current.image)


def stages_to_refresh(model: RegisteredModel, stage: str | None) -> list[str]:
    """Return the stages to refresh: the named one, or every older one; empty if all are current.

    Raises:
        NotFound: The spec has no such stage.
        Refused: The named stage has no effective version, or another change of it comes first.

    """
    found = {each.stage: each for each in plan(model)}
    older = [name for name, each in found.items() if each.state is RuntimeState.OLDER]
    if stage is None:
        return older
    if stage not in found:
        text = f"{model.key} has no stage {stage}. Its stages: {', '.join(found) or 'none'}."
        raise NotFound(text, name=stage, namespace=model.metadata.namespace)
    if found[stage].state not in {RuntimeState.OLDER, RuntimeState.CURRENT}:
        raise Refused(f"{stage} of {model.key} cannot be refreshed: {found[stage].words}.")
    return [each for each in older if each == stage]


def patch(model: RegisteredModel, stages: Iterable[str]) -> dict[str, Any]:
    """Return the merge patch that raises `attempt` of these stages by one."""
    raised = {name: {"attempt": _attempt(model, name) + 1} for name in stages}
    return {"spec": {"stages": raised}}


def _attempt(model: RegisteredModel, name: str) -> int:
    stage = model.status.stages.get(name) or StageStatus()
    return max(
        model.spec.stages[name].attempt, stage.attempt, *(each.attempt for each in stage.rejected)
    )


def changes(written: RegisteredModel, stages: Iterable[str]) -> tuple[Change, ...]:
    """Return the changes to follow, from the API server's answer to the patch."""
    return tuple(asked_for(written, name) for name in stages)
