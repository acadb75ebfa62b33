"""A rollout in steps: its state, as values and text, and the patch that resumes it. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from modelyard.api.analysis import AnalysisVerdict
from modelyard.api.registered_model import RegisteredModel, Stage
from modelyard.api.rollout import ArmStatus, RolloutStep
from modelyard.client.errors import NotFound, Refused
from modelyard.client.text import lasted

__all__ = ["USUAL", "RolloutState", "longest", "resume", "rollout_state", "spec_of"]

USUAL = 900.0
"""Seconds to wait for a change that depends only on the operator."""


@dataclass(frozen=True)
class RolloutState:
    """The state of a rollout that is in progress.

    Attributes:
        stable: The stable version, whose pods split the requests.
        version: The candidate.
        weight: Percent of the requests that go to the candidate.
        applied_by: Number of stable pods that apply the weight.
        of: Number of stable pods that are ready.
        number: Number of the current step, from 1.
        count: Number of steps, including the last one, of weight 100.
        step: The current step.
        ends: When its hold ends; None: it is no hold, or its weight is not applied yet.
        is_paused: Whether it is at a pause that no user has resumed.
        resumes: The value of `resumed` that passes the pause.
        stable_requests: Requests under this weight that went to the stable version.
        candidate_requests: Requests under this weight that went to the candidate.
        analysis: Message of the analysis; empty if there is none.
        verdict: Verdict of the analysis; None if there is none.

    """

    stable: str
    version: str
    weight: int
    applied_by: int
    of: int
    number: int
    count: int
    step: RolloutStep
    ends: datetime | None
    is_paused: bool
    resumes: int
    stable_requests: ArmStatus
    candidate_requests: ArmStatus
    analysis: str
    verdict: AnalysisVerdict | None

    @property
    def fraction(self) -> float:
        """How much of the rollout is done, 0 to 1."""
        return (self.number - 1) / self.count

    @property
    def is_applied(self) -> bool:
        """Whether all stable pods that are ready apply the weight."""
        return self.applied_by >= self.of > 0

    @property
    def at(self) -> str:
        """The step in a few words: `step 2 of 5: hold 10m`."""
        return f"step {self.number} of {self.count}: {self.step}"

    @property
    def applied(self) -> str:
        """How many pods apply the weight: `applied by 2/2 pods`."""
        return f"applied by {self.applied_by}/{self.of} pods"

    def words(self, now: datetime) -> str:
        """Return the step, and what it waits for: `step 2 of 5: hold 10m, 7m left`."""
        if self.is_paused:
            return f"{self.at}, waits for a user"
        if self.ends is None:
            return self.at
        return (
            f"{self.at}, {lasted(self.ends - now)} left"
            if self.ends > now
            else f"{self.at}, its time is over"
        )

    @property
    def counts(self) -> tuple[tuple[str, str], ...]:
        """(version, counts) under this weight; empty before the first request."""
        if not self.stable_requests.requests and not self.candidate_requests.requests:
            return ()
        candidate = (
            self.version if self.version != self.stable else f"{self.version} with another runtime"
        )
        return (
            (self.stable, _counted(self.stable_requests)),
            (candidate, _counted(self.candidate_requests)),
        )


def _counted(arm: ArmStatus) -> str:
    if not arm.failures or not arm.requests:
        return f"{arm.requests:,} requests, none failed"
    percent = 100 * arm.failures / arm.requests
    share = (
        "less than 0.01"
        if percent < 0.01
        else f"{percent:.2g}"
        if percent < 10
        else f"{percent:.0f}"
    )
    return f"{arm.requests:,} requests, {arm.failures:,} failed ({share} %)"


def rollout_state(model: RegisteredModel, stage: str) -> RolloutState | None:
    """Return the state of a stage's rollout; None if none is in progress."""
    spec, status = model.spec.stages.get(stage), model.status.stages.get(stage)
    if spec is None or spec.rollout is None or not spec.is_canary or status is None:
        return None
    state, candidate, stable = status.rollout, status.candidate, status.version
    if state is None or candidate is None or stable is None:
        return None
    steps = spec.rollout.whole
    # The spec may have fewer steps than the operator has observed.
    index = min(state.index, len(steps) - 1)
    step, is_applied = steps[index], state.applied_by >= state.of > 0
    return RolloutState(
        stable=stable,
        version=candidate.version,
        weight=state.weight,
        applied_by=state.applied_by,
        of=state.of,
        number=index + 1,
        count=len(steps),
        step=step,
        ends=state.since_time + step.lasts if step.lasts is not None and is_applied else None,
        is_paused=step.pause is not None and spec.rollout.resumed < state.resumes(spec.rollout),
        resumes=state.resumes(spec.rollout),
        stable_requests=state.stable,
        candidate_requests=state.candidate,
        analysis=state.said,
        verdict=state.verdict,
    )


def longest(model: RegisteredModel, stages: Iterable[str]) -> float:
    """Return how long to wait for changes of stages by default: `USUAL` plus the longest holds."""
    return USUAL + max((_holds(model, stage).total_seconds() for stage in stages), default=0.0)


def _holds(model: RegisteredModel, stage: str) -> timedelta:
    spec = model.spec.stages.get(stage)
    if spec is None or spec.rollout is None or not spec.is_canary:
        return timedelta(0)
    return sum((step.lasts for step in spec.rollout.steps if step.lasts is not None), timedelta(0))


def resume(model: RegisteredModel, stage: str) -> dict[str, Any]:
    """Return the merge patch that resumes a rollout.

    It names the resourceVersion that was read. If two users resume at once, the API server refuses
    the second patch, so that only one pause is passed.

    Raises:
        NotFound: The spec has no such stage.
        Refused: The rollout is not at a pause, or has been resumed already.

    """
    spec_of(model, stage)  # raises NotFound
    found, subject = (
        rollout_state(model, stage),
        f"There is nothing to resume in {stage} of {model.key}",
    )
    if found is None:
        raise Refused(f"{subject}: no rollout in steps is under way there.")
    if found.step.pause is not None and not found.is_paused:
        raise Refused(
            f"{subject}: {found.version} has been resumed already, and continues. Is the operator"
            " running?"
        )
    if model.status.observed_generation < model.metadata.generation:
        raise Refused(
            f"The operator has not observed the last change of {model.key} yet: ask again in a"
            " moment. Is it running?"
        )
    if not found.is_paused:
        raise Refused(f"{subject}: {found.version} is at {found.at}, which is no pause.")
    patch = {"stages": {stage: {"rollout": {"resumed": found.resumes}}}}
    return {"metadata": {"resourceVersion": model.metadata.resource_version}, "spec": patch}


def spec_of(model: RegisteredModel, stage: str) -> Stage:
    """Return a stage of the spec.

    Raises:
        NotFound: There is none.

    """
    spec = model.spec.stages.get(stage)
    if spec is None:
        text = (
            f"{model.key} has no stage {stage}. Its stages:"
            f" {', '.join(model.spec.stages) or 'none'}."
        )
        raise NotFound(text, name=stage, namespace=model.metadata.namespace)
    return spec
