"""Whether a change is complete: one rule for the client and the command line. Pure.

Each function reads the fields of one state of a RegisteredModel: the generation that the operator
has observed, the version and `attempt` that the spec asks for, the effective version, the steps,
and `blocked.needsAction`. Messages are only shown; no function depends on their text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Any

from modelyard.api.base import Condition
from modelyard.api.blocker import Blocker
from modelyard.api.registered_model import (
    ModelReason,
    ModelVersionSpec,
    RegisteredModel,
    StageStatus,
    StepState,
    StepStatus,
)
from modelyard.client.errors import Failed
from modelyard.client.gates import Gates, gates_of
from modelyard.client.newest import is_automatic, rejection
from modelyard.client.rollouts import RolloutState, rollout_state

__all__ = [
    "Change",
    "Progress",
    "State",
    "asked_for",
    "model_fraction",
    "moving_steps",
    "stage_blocker",
    "stage_change",
    "version_registration",
]


class State(StrEnum):
    """The state of a change."""

    UNOBSERVED = "Unseen"
    """The operator has not observed it."""
    UNDER_WAY = "UnderWay"
    DONE = "Done"
    FAILED = "Failed"
    """It stays as it is until a user acts."""
    SUPERSEDED = "Superseded"
    """Another user has since asked for another version."""


@dataclass(frozen=True)
class Change:
    """A change of a stage that a user has asked for.

    Attributes:
        stage: The stage.
        version: The version that it asks for; None clears the stage.
        generation: The generation of the spec that asks for it, from the API server's answer.
        attempt: The `attempt` that the stage has to reach, as a refresh or a retry raises it.

    """

    stage: str
    version: str | None
    generation: int = 0
    attempt: int = 0


@dataclass(frozen=True)
class Progress:
    """The state of a change, and how far it is.

    Attributes:
        state: Its state.
        message: What it waits for, or why it failed.
        reason: Why it is not complete: a reason of docs/conditions.md, or `Superseded`.
        steps: The steps of the promotion.
        gates: The gates' verdicts on the version that is asked for; None if no gate was asked.
        waits_for_others: Whether it waits for a user, another program or a time: the version must
            first be promoted in another stage, a gate is open, or a rollout is paused.
        rollout: The state of its rollout in steps; None if none is in progress.

    """

    state: State
    message: str = ""
    reason: str = ""
    steps: tuple[StepStatus, ...] = ()
    gates: Gates | None = None
    waits_for_others: bool = False
    rollout: RolloutState | None = None

    @property
    def is_done(self) -> bool:
        """Whether the change is complete."""
        return self.state is State.DONE

    @property
    def fraction(self) -> float:
        """How much of the change is done, 0 to 1. MLflow is updated after the last step."""
        if self.state is State.DONE:
            return 1.0
        done = sum(step.state is StepState.DONE for step in self.steps)
        part = self.rollout.fraction if self.rollout is not None else 0.0
        return (done + part) / (len(self.steps) + 1)

    @property
    def is_paused(self) -> bool:
        """Whether its rollout is at a pause and waits for a user to resume it."""
        return (
            self.reason == ModelReason.ROLLOUT_PAUSED
            and self.rollout is not None
            and self.rollout.is_paused
        )

    @property
    def step(self) -> StepStatus | None:
        """The current step; None if all are done."""
        return next((step for step in self.steps if step.state is not StepState.DONE), None)

    def failure(self, subject: str) -> Failed | None:
        """Return the error if the change has failed or was superseded, else None."""
        if self.state in {State.FAILED, State.SUPERSEDED}:
            return Failed(subject, self.reason, self.message)
        return None


# --- a stage ------------------------------------------------------------------------------------
def stage_change(model: RegisteredModel, change: Change) -> Progress:
    """Return the progress of a change of a stage.

    It is complete when the version is effective, nothing blocks the stage, and MLflow agrees. Other
    stages do not matter.
    """
    if model.metadata.generation < change.generation:  # a read that is older than the write
        return Progress(State.UNOBSERVED, _UNOBSERVED)
    if is_automatic(model, change.stage) and model.status.observed_generation < change.generation:
        return Progress(State.UNOBSERVED, _UNOBSERVED)  # the operator has yet to choose the version
    if (rejected := _not_chosen(model, change)) is not None:
        return rejected
    if (superseded := _superseded(model, change)) is not None:
        return superseded
    if model.status.observed_generation < change.generation:
        return Progress(State.UNOBSERVED, _UNOBSERVED)
    stage = model.status.stages.get(change.stage) or StageStatus()
    if stage.desired != change.version:
        if (overridden := _overridden(model, stage, change)) is not None:
            return overridden
        stalled = _model_stalled(model)
        return (
            Progress(State.FAILED, stalled.message, stalled.reason)
            if stalled
            else Progress(State.UNDER_WAY)
        )
    found = gates_of(model, change.stage)
    gates = found if found is not None and found.version == change.version else None
    at = partial(
        Progress, steps=stage.steps, gates=gates, rollout=rollout_state(model, change.stage)
    )
    blocker = stage.blocked
    if blocker is not None and blocker.needs_action:
        return at(State.FAILED, blocker.message, blocker.reason)
    if (stalled := _model_stalled(model)) is not None:
        return at(State.FAILED, stalled.message, stalled.reason)
    if blocker is not None:
        under_way = at(State.UNDER_WAY, blocker.message, blocker.reason)
        return replace(under_way, waits_for_others=_waits_for_others(under_way))
    if not _is_effective(stage, change):
        step = at(State.UNDER_WAY).step
        return at(State.UNDER_WAY, step.detail if step else "")
    synced = model.status.condition("Synced")
    if not _mlflow_follows(synced):
        return at(State.UNDER_WAY, synced.message if synced else "")
    return at(State.DONE)


def _waits_for_others(found: Progress) -> bool:
    if found.is_paused or found.reason in {
        ModelReason.WAITING_FOR_STAGE,
        ModelReason.FROZEN,
        ModelReason.PLANNED,
    }:
        return True
    step = found.step
    is_waiting = step is not None and step.state is StepState.WAITING
    return is_waiting and found.gates is not None and found.gates.wait_for_others


_UNOBSERVED = "The operator has not observed it yet."


def _not_chosen(model: RegisteredModel, change: Change) -> Progress | None:
    """Return a failed change if the stage has `autoPromote` and has rejected the version."""
    found = rejection(model, change.stage) if is_automatic(model, change.stage) else None
    if (
        found is None
        or found.version != change.version
        or model.requested_version(change.stage) == change.version
    ):
        return None
    return Progress(State.FAILED, found.message, found.reason)


def _superseded(model: RegisteredModel, change: Change) -> Progress | None:
    spec = model.spec.stages.get(change.stage)
    version, attempt = (model.requested_version(change.stage), spec.attempt) if spec else (None, 0)
    by_override = spec.override.version if spec and spec.override else None
    if change.version not in {version, by_override, asked_for(model, change.stage).version}:
        message = f"Another user has since asked for {version or 'no version'}."
    elif attempt < change.attempt:
        message = f"Another user has since set attempt back to {attempt}."
    else:
        return None
    return Progress(State.SUPERSEDED, message, "Superseded")


def _overridden(model: RegisteredModel, stage: StageStatus, change: Change) -> Progress | None:
    """Return the progress of a change that an override blocks; None: no override blocks it."""
    if asked_for(model, change.stage).version == change.version or stage.override is None:
        return None
    if stage.blocked is not None and stage.blocked.reason == ModelReason.OVERRIDE_ENDED:
        return Progress(State.FAILED, stage.blocked.message, stage.blocked.reason)
    if stage.override.version == change.version:  # the change is this override, recorded just now
        return None
    until = f"{stage.override.until_time:%Y-%m-%d %H:%M} UTC"
    message = (
        f"An override gives the stage to {stage.override.version} until {until}; until then"
        " spec.version decides nothing."
    )
    return Progress(State.SUPERSEDED, message, "Superseded")


def _is_effective(stage: StageStatus, change: Change) -> bool:
    return (
        stage.version == change.version
        and stage.candidate is None
        and stage.attempt >= change.attempt
    )


def _mlflow_follows(synced: Condition | None) -> bool:
    """Tell whether MLflow agrees, or differs because of `drift: Warn`."""
    return synced is not None and (synced.status == "True" or synced.reason == ModelReason.DRIFTED)


def _model_stalled(model: RegisteredModel) -> Condition | None:
    """Return the Stalled condition if it concerns the whole model, else None.

    Examples: its name is taken, its namespace has no connection. If a stage needs action for the
    same reason, the condition was derived from that stage.
    """
    found = model.status.condition("Stalled")
    if found is None or found.status != "True":
        return None
    blockers = (stage.blocked for stage in model.status.stages.values())
    of_a_stage = any(
        each is not None and each.needs_action and each.reason == found.reason for each in blockers
    )
    return None if of_a_stage else found


# --- for displays -------------------------------------------------------------------------------
def asked_for(model: RegisteredModel, stage: str) -> Change:
    """Return the change that a stage's spec asks for: the override's version, or the spec's own."""
    spec, status = model.spec.stages.get(stage), model.status.stages.get(stage)
    version, attempt = (model.requested_version(stage), spec.attempt) if spec else (None, 0)
    if spec is not None and status is not None and status.override is not None:
        blocked = status.blocked.reason if status.blocked is not None else ""
        # The override is in force, or has ended with its version still serving. The status records
        # which, so that no clock is needed here.
        decides = status.desired == status.override.version or blocked == ModelReason.OVERRIDE_ENDED
        version = status.desired if decides else version
    return Change(stage, version, model.metadata.generation, attempt)


def moving_steps(model: RegisteredModel, stage: str) -> tuple[StepStatus, ...]:
    """Return the steps of a promotion that is in progress or has failed; empty if there is none."""
    found = stage_change(model, asked_for(model, stage)).steps
    return found if any(step.state is not StepState.DONE for step in found) else ()


def stage_blocker(model: RegisteredModel, stage: str) -> Blocker | None:
    """Return what blocks a stage; None before the operator has observed what the spec asks for."""
    status = model.status.stages.get(stage)
    change = asked_for(model, stage)
    if (
        status is None
        or model.status.observed_generation < change.generation
        or status.desired != change.version
    ):
        return None
    return status.blocked


def model_fraction(model: RegisteredModel) -> float | None:
    """Return the fraction of the stage that is least complete, 0 to 1.

    None if no stage has a version or asks for one.
    """
    changes = [asked_for(model, stage) for stage in model.spec.stages]
    found = [(stage_change(model, change), _is_empty(model, change)) for change in changes]
    return min((each.fraction for each, is_empty in found if not is_empty), default=None)


def _is_empty(model: RegisteredModel, change: Change) -> bool:
    """Tell whether a stage has no version and asks for none."""
    stage = model.status.stages.get(change.stage)
    return change.version is None and (stage is None or stage.version is None)


# --- a version ----------------------------------------------------------------------------------
def version_registration(
    model: RegisteredModel, version: str, declared: Mapping[str, Any], generation: int
) -> Progress:
    """Return the progress of the registration of a declared version.

    Args:
        model: The model.
        version: The version's name.
        declared: Its source, as the API has it: `{"runId": ...}`.
        generation: The generation of the spec that declares it.

    """
    if min(model.metadata.generation, model.status.observed_generation) < generation:
        return Progress(State.UNOBSERVED, _UNOBSERVED)
    if version not in model.spec.versions:
        return Progress(
            State.SUPERSEDED, "Another user has since removed it from spec.versions.", "Superseded"
        )
    status = next((each for each in model.status.versions if each.name == version), None)
    if status is not None and status.mlflow_version is not None:
        if ModelVersionSpec.model_validate(declared).contradicts(status):
            message = (
                "Another source was registered under this name before. Declare this one under"
                " another name."
            )
            return Progress(State.FAILED, message, "VersionTaken")
        return Progress(State.DONE)
    if status is not None and status.blocked is not None and status.blocked.needs_action:
        return Progress(State.FAILED, status.blocked.message, status.blocked.reason)
    if (stalled := _model_stalled(model)) is not None:
        return Progress(State.FAILED, stalled.message, stalled.reason)
    return Progress(State.UNDER_WAY, status.blocked.message if status and status.blocked else "")
