"""`ModelHandle` and `ModelVersion`: a RegisteredModel and its versions, as they were read."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from modelyard.api.gates import Verdict
from modelyard.api.registered_model import (
    GateStatus,
    RegisteredModel,
    RegisteredModelSpec,
    RegisteredModelStatus,
    StepState,
    StepStatus,
    VersionStatus,
)
from modelyard.client import (
    display,
    gates,
    overriding,
    progress,
    rolling_back,
    rollouts,
    text,
    verifying,
)
from modelyard.client.errors import NotFound
from modelyard.client.handles import Handle, Listing

__all__ = ["ModelHandle", "ModelVersion", "Versions", "gate_text", "step_text"]

_LATEST = "latest"


class ModelVersion:
    """One version of a model, as it was read.

    Attributes:
        model: The RegisteredModel that it belongs to.
        status: The version's status: digest, artifacts, number in MLflow, what blocks it.

    """

    def __init__(self, model: "ModelHandle", status: VersionStatus) -> None:
        self.model = model
        self.status = status

    @property
    def name(self) -> str:
        """Name of the version in the spec, such as v3."""
        return self.status.name

    @property
    def registered(self) -> bool:
        """Whether the version is registered in MLflow."""
        return self.status.mlflow_version is not None

    @property
    def blocked(self) -> str | None:
        """Why the version is not registered or not served, as its reason and message; else None."""
        found = self.status.blocked
        return f"{found.reason}: {found.message}" if found else None

    def row(self) -> dict[str, Any]:
        """Return the row of this version in a table."""
        status = self.status
        return {
            "version": self.name,
            "stages": [display.Badge(stage, "good") for stage in status.stages],
            "flavor": status.flavor,
            "size": text.size(status.bytes),
            "digest": text.short_digest(status.digest),
            "from": status.training_run or status.run_id or status.uri,
            "registered": text.age(status.registered_time, datetime.now(UTC)),
            "blocked": self.blocked,
        }

    def __repr__(self) -> str:
        stages = f" ({', '.join(self.status.stages)})" if self.status.stages else ""
        return f"<version {self.name} of {self.model.namespace}/{self.model.name}{stages}>"

    def _repr_html_(self) -> str:
        row = {key: value for key, value in self.row().items() if key not in {"version", "blocked"}}
        badge = (
            display.Badge("Registered", "good")
            if self.registered
            else display.Badge("Registering", "busy")
        )
        if self.status.blocked is not None:
            badge = display.Badge(
                self.status.blocked.reason, "bad" if self.status.blocked.needs_action else "busy"
            )
        message = self.status.blocked.message if self.status.blocked else ""
        title = f"{self.model.namespace}/{self.model.name} {self.name}"
        return display.card(title, badge, message, row | {"signature": self.status.signature})


class Versions(Listing[ModelVersion]):
    """A model's versions, oldest first."""

    __slots__ = ()
    EMPTY: ClassVar[str] = "no versions"


class ModelHandle(Handle[RegisteredModel]):
    """A RegisteredModel as it was read. See `Handle` for what all kinds of objects have."""

    RESOURCE = RegisteredModel

    @property
    def spec(self) -> RegisteredModelSpec:
        """The spec: what is asked for."""
        return self.object.spec

    @property
    def status(self) -> RegisteredModelStatus:
        """The status: what the operator has observed."""
        return self.object.status

    def versions(self) -> Versions:
        """Return its versions, oldest first."""
        return Versions(ModelVersion(self, each) for each in self.object.status.versions)

    def version(self, which: str = _LATEST) -> ModelVersion:
        """Return one version.

        Args:
            which: The version's name; a stage, for its effective version; or `latest`, for the
                version that was registered last.

        Raises:
            NotFound: There is no such version; the message lists the versions and stages.

        """
        there = {each.name: each for each in self.versions()}
        if which == _LATEST:
            found = next((each for each in reversed(there.values()) if each.registered), None)
        else:
            stage = self.object.status.stages.get(which)
            found = there.get(which) or there.get(stage.version or "" if stage else "")
        if found is None:
            what = (
                "no version is registered" if which == _LATEST else f"no version or stage {which}"
            )
            known = (
                f" Versions: {', '.join(there) or 'none'}; stages:"
                f" {', '.join(self.stages()) or 'none'}."
            )
            raise NotFound(
                f"{self.namespace}/{self.name}: {what}.{known}",
                name=which,
                namespace=self.namespace,
            )
        return found

    def stages(self) -> dict[str, str | None]:
        """Return the effective version of each stage, None for an empty one."""
        names = dict.fromkeys((*self.object.spec.stages, *self.object.status.stages))
        return {
            name: stage.version if (stage := self.object.status.stages.get(name)) else None
            for name in names
        }

    def row(self) -> dict[str, Any]:
        """Return the row of this model in a table."""
        return {
            "namespace": self.namespace,
            "name": self.name,
            "stages": self._badges(),
            "versions": len(self.object.status.versions),
            "status": self.badge,
            "age": self.age,
        }

    def fields(self) -> dict[str, Any]:
        """Return the fields that a notebook shows, by title."""
        status = self.object.status
        urls = [f"{name}: {stage.url}" for name, stage in status.stages.items() if stage.url]
        history = [
            f"{each.stage}: {each.from_ or 'nothing'} -> {each.to or 'nothing'} ({each.outcome})"
            for each in status.history[-3:]
        ]
        names = [version.name for version in status.versions[-8:]]
        found = {
            "stages": self._badges(),
            "versions": names,
            "served at": urls,
            "last changes": history,
            "mlflow": status.url,
        }
        for stage in sorted(self.object.spec.stages):
            found |= _stage_fields(self.object, stage, datetime.now(UTC))
        return found

    def progress(self) -> float | None:
        """Return how much of the slowest stage's change is done, 0 to 1.

        None if no stage has a version or asks for one.
        """
        return progress.model_fraction(self.object)

    def _badges(self) -> "list[display.Badge]":
        def one(name: str, version: str | None) -> display.Badge:
            asked = progress.asked_for(self.object, name)
            blocker = progress.stage_blocker(self.object, name)
            stalled = blocker is not None and blocker.needs_action
            if asked.version is not None and asked.version != version:
                return display.Badge(
                    f"{name} {version or 'none'} → {asked.version}", "bad" if stalled else "busy"
                )
            tone: display.Tone = "good" if version else "quiet"
            return display.Badge(
                f"{name} {version or 'none'}", "bad" if stalled else "busy" if blocker else tone
            )

        return [one(name, version) for name, version in self.stages().items()]


def _stage_fields(model: RegisteredModel, stage: str, now: datetime) -> dict[str, Any]:
    """Return what a notebook shows of a stage, by title."""
    found: dict[str, Any] = {}
    if steps := progress.moving_steps(model, stage):
        found[f"steps of {stage}"] = [
            display.Badge(step_text(step), _STEP_TONES[step.state]) for step in steps
        ]
    if (rollout_state := rollouts.rollout_state(model, stage)) is not None:
        found[f"rollout of {stage}"] = _rollout(rollout_state, now)
    if (said := gates.gates_of(model, stage)) is not None:
        found[f"gates of {stage}"] = [
            display.Badge(said.summary),
            *(_gate_badge(said, each) for each in said.results),
        ]
    if planned := [f"{row.step}: {row.does}" for row in model.status.plan if row.stage == stage]:
        found[f"plan of {stage}"] = planned
    if (overridden := overriding.description(model, stage, now)) is not None:
        found[f"override of {stage}"] = overridden
    if (kept := rolling_back.warm(model, stage, now)) is not None:
        found[f"rollback of {stage}"] = kept
    if (again := verifying.verification_text(model, stage, now)) is not None:
        found[f"verification of {stage}"] = display.Badge(again.words, again.tone)
    if (blocker := progress.stage_blocker(model, stage)) is not None:
        found[f"{stage} is blocked"] = f"{blocker.reason}: {blocker.message}"
    return found


def step_text(step: StepStatus) -> str:
    """Return a step and its detail, else its state: `start: 1 of 2 pods are ready`."""
    return f"{step.name}: {step.detail}" if step.detail else f"{step.name}: {step.state.lower()}"


def gate_text(said: gates.Gates, gate: GateStatus) -> str:
    """Return a gate's verdict and message: `quality Pass: accuracy is 0.95: at least 0.9`."""
    return f"{gate.name} {gate.verdict}: {said.words(gate)}"


def _rollout(found: rollouts.RolloutState, now: datetime) -> list[display.Badge]:
    """Return a rollout's state as badges: weight, step, counts, message of the analysis."""
    said = [
        display.Badge(
            f"{found.weight}% to {found.version}, {found.applied}",
            "good" if found.is_applied else "busy",
        ),
        display.Badge(found.words(now), "busy"),
    ]
    said += [display.Badge(f"{name}: {counted}") for name, counted in found.counts]
    return said + ([display.Badge(found.analysis)] if found.analysis else [])


def _gate_badge(said: gates.Gates, gate: GateStatus) -> display.Badge:
    return display.Badge(gate_text(said, gate), _VERDICT_TONES[gate.verdict])


_VERDICT_TONES: Mapping[Verdict, display.Tone] = {
    Verdict.PASS: "good",
    Verdict.FAIL: "bad",
    Verdict.PENDING: "busy",
    Verdict.ERROR: "busy",
}
_STEP_TONES: Mapping[StepState, display.Tone] = {
    StepState.DONE: "good",
    StepState.ACTIVE: "busy",
    StepState.WAITING: "quiet",
    StepState.FAILED: "bad",
}
