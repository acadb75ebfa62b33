"""The step `rollout`: the candidate gets a share of the requests, step by step. Pure.

    begin     the hash of the steps and the first step are recorded
    pods      before the weight rises the candidate has the pods for it; it keeps them until the
              weight has fallen
    weight    it is recorded with a new revision, then written to the stable pods (an annotation of
              each); then all of them apply it
    step      it ends when its time is over, a user resumes it, or the analysis passes it; the next
              one is recorded
    end       the weight is 100 with all pods; `switch` follows

The status records the step, its start, the weight and the revision; everything else is observed in
every round. A candidate without a ready pod has weight 0. When the candidate fails a request, the
stable pod answers it itself (`modelyard_runtime.serve`), so that no caller notices.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from modelyard.api.blocker import Blocker
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.api.registered_model import ServedVersion, StepState
from modelyard.api.rollout import COUNTED, SAID, ArmStatus, Rollout, RolloutStatus, RolloutStep
from modelyard.plan import Manifest, Owned, SetTrafficRule
from modelyard.registered_model import applied, judged, ramp, serving, split
from modelyard.registered_model.pods import Health
from modelyard.registered_model.split import keeps, rule_removals
from modelyard.registered_model.step import DETAIL, Step, refused_step, rejected
from modelyard.registered_model.view import StageView

__all__ = ["keeps", "rollout", "rule_removals"]

_LOOK = timedelta(seconds=5)
"""Time between two reads of the splitting pods' counters while a step waits."""
_SOON, _LATER = timedelta(milliseconds=150), timedelta(seconds=1)
"""Time between two questions whether pods apply a new rule: within `_FRESH` of it, and after."""
_FRESH = timedelta(seconds=2)
"""A kubelet writes an annotation to the pod's file within a quarter of a second (`traffic.md`)."""
_FALLS = 3
"""A candidate may lose its last ready pod this often in a rollout: draining its node costs one."""
_GROWN = 1.25
"""The status is written when counts have grown by this factor: they are for people to read."""


def rollout(view: StageView, now: datetime, *, is_held: bool = False) -> Step:
    """Take the candidate through the steps of the spec.

    Args:
        view: The stage.
        now: The moment.
        is_held: A step before this one waits again, such as a new gate: the candidate keeps its
            weight, which does not rise.

    """
    if (why := view.straight) is not None:
        return Step("rollout", StepState.DONE, why[:DETAIL])
    state, asked, candidate, stable = view.status.rollout, view.canary, view.wanted, view.effective
    assert asked, "it is no canary otherwise"
    assert candidate, "the step before admits it"
    assert stable, "nothing keeps it from the steps"
    if not view.is_served:
        message = (
            f"{candidate.version} waits: the stage has no pods, and a rollout passes no step"
            " without. Give it replicas, or abort."
        )
        return Step(
            "rollout",
            StepState.WAITING,
            "the stage has no pods",
            blocker=Blocker.of(Reason.ROLLING_OUT, message),
        )
    if state is None or state.steps_hash != ramp.steps_hash(asked):
        return _begin(view, asked, now)
    return _Round(view, asked, state, candidate, stable, now, is_held=is_held).step()


def _begin(view: StageView, asked: Rollout, now: datetime) -> Step:
    """Record the first step, with weight 0 whatever the steps before an edit had reached."""
    assert view.effective, "it is no canary otherwise"
    begun = RolloutStatus(
        steps_hash=ramp.steps_hash(asked),
        since_time=now,
        resumed=asked.resumed,
        intervals=judged.kept(view),
        replicas=serving.replicas(view, view.effective),
    )
    status = view.status.model_copy(
        update={"rollout": begun, "traffic_revision": view.status.traffic_revision + 1}
    )
    return Step("rollout", StepState.ACTIVE, "begins", record=status)


@dataclass(frozen=True)
class _Round:
    """One round of a rollout that has begun."""

    view: StageView
    asked: Rollout
    state: RolloutStatus
    candidate: ServedVersion
    stable: ServedVersion
    now: datetime
    is_held: bool = False

    def step(self) -> Step:
        """Return the step as it stands, with the verdict on a new interval; Fail ends it."""
        said = judged.said(self.view, *self._hold)
        failed = said.failed
        if failed is None and self.state.falls >= _FALLS and not self._alive:
            lost = f"It has lost its last ready pod {self.state.falls} times."
            failed = f"{lost} {self._health.message}".strip()
        if failed is not None:
            return rejected(self.view, "rollout", Reason.ROLLOUT_FAILED, failed, self.now)
        if (error := serving.refused(self.view, said.actions)) is not None:
            said = judged.unkept(said, error)
        found = self._found(said)
        if found.record is None:
            return self._with(replace(found, actions=(*found.actions, *said.actions)), said)
        if said.actions:  # first: a new rule for the pods discards the interval
            waits = self._blocker("is recorded")
            return self._with(self._active(said.actions, waits), said)
        return found

    def _active(
        self,
        actions: Iterable[Owned | SetTrafficRule],
        waits: Blocker,
        again: timedelta | None = None,
    ) -> Step:
        return Step("rollout", StepState.ACTIVE, self._detail, tuple(actions), waits, again)

    def _found(self, said: judged.Said) -> Step:
        """Return the step: the first thing that differs from the spec is the next to do."""
        view = self.view
        objects = (
            *serving.workload(view, self.candidate),
            *serving.private_route(view, self.candidate),
        )
        pods, wanted = self._health, self._weight if self._alive else 0
        short = (
            bool(objects)
            or pods.available < serving.replicas(view, self.candidate)
            or not pods.current
        )
        rises = wanted > self.state.weight
        if wanted != self.state.weight and not (rises and (short or self.is_held)):
            return self._told(wanted)
        # Before any wait: the recorded weight applies, also where it is to rise later.
        rule = split.rule(self.view, self.asked, self.state, self.candidate)
        if split.differs(self._pods, rule, view.status.traffic_revision):
            return self._told(self.state.weight)
        writes = tuple(split.rule_writes(self._pods, rule))
        if writes and (not rises or any(map(split.told, self._pods))):
            # First: a smaller weight takes the requests, then pods are deleted.
            return self._active((*writes, *objects), self._blocker("is written to its pods"))
        if (error := serving.refused(view, objects)) is not None:
            return refused_step("rollout", view.name, error)
        if (rises and short) or not self._alive:
            return self._starting(pods, objects)
        if not self._ready:
            waits = f"waits for a ready pod of {self.stable.version}, which forwards requests"
            return self._active(objects, self._blocker(waits), _LOOK)
        if self._applied < len(self._ready):
            waits = f"is applied by {self._applied} of {len(self._ready)} pods"
            again = _SOON if self.now - self.state.since_time < _FRESH else _LATER
            return self._active(objects, self._blocker(f"{waits} of {self.stable.version}"), again)
        return self._holding(pods, objects, said, short=short)

    # --- what is there ----------------------------------------------------------------------------
    @cached_property
    def _steps(self) -> tuple[RolloutStep, ...]:
        return self.asked.whole

    @property
    def _weight(self) -> int:
        return ramp.weight(self._steps, self.state.index)

    @property
    def _hold(self) -> tuple[timedelta | None, timedelta]:
        """The step's hold and what is left of it; None: no hold, or the weight is not applied."""
        lasts = self._step.lasts
        if (
            lasts is None
            or self.state.weight != self._weight
            or not self._ready
            or self._applied < len(self._ready)
        ):
            return None, timedelta(0)
        return lasts, self.state.since_time + lasts - self.now

    @cached_property
    def _health(self) -> Health:
        return serving.standing(self.view, self.candidate)

    @property
    def _alive(self) -> bool:
        return self._health.ready > 0

    @cached_property
    def _pods(self) -> list[Manifest]:
        return applied.splitting(self.view)

    @cached_property
    def _ready(self) -> list[Manifest]:
        return applied.ready(self.view)

    @cached_property
    def _applied(self) -> int:
        return applied.applied(self.view)

    # --- what comes of it -------------------------------------------------------------------------
    def _told(self, weight: int) -> Step:
        """Record another weight, with a new revision of the rule."""
        falls = self.state.falls + (weight == 0 and not self._alive)
        told = {
            "weight": weight,
            "since_time": self.now,
            "applied_by": 0,
            "falls": falls,
            "intervals": judged.kept(self.view),
        }
        state = self.state.model_copy(update=told)
        status = self.view.status.model_copy(
            update={"rollout": state, "traffic_revision": self.view.status.traffic_revision + 1}
        )
        return Step("rollout", StepState.ACTIVE, self._detail, record=status)

    def _next(self) -> Step:
        """Record the next step."""
        follows = {
            "index": self.state.index + 1,
            "since_time": self.now,
            "intervals": judged.kept(self.view),
        }
        state = self.state.model_copy(update=follows | self._counted)
        return Step(
            "rollout",
            StepState.ACTIVE,
            self._detail,
            record=self.view.status.model_copy(update={"rollout": state}),
        )

    def _holding(
        self, pods: Health, objects: tuple[Owned, ...], said: judged.Said, *, short: bool
    ) -> Step:
        """All pods apply the weight: return what the step itself waits for, or the next step."""
        if self.is_held:
            waits = self._blocker("waits for a step before it", said.text)
            return self._active(objects, waits, _LOOK)
        is_last = self.state.index >= len(self._steps) - 1
        if is_last or self._step.replicas is not None:
            if short:
                return self._starting(pods, objects)
        elif self._step.lasts is not None:
            left = self._hold[1]
            if left > timedelta(0) or said.holds:
                return self._held(left, objects, said)
        elif self._step.pause is not None and not self._is_resumed:
            return Step("rollout", StepState.WAITING, self._detail, objects, self._paused, _LOOK)
        if is_last:
            return Step("rollout", StepState.DONE, f"{self.candidate.version} gets all requests")
        return self._next()

    def _held(self, left: timedelta, objects: tuple[Owned, ...], said: judged.Said) -> Step:
        """Wait for the end of a hold, or for the analysis after it."""
        if left <= timedelta(0):
            waits = self._blocker("holds for what the analysis waits for", said.text)
            return self._active(objects, waits, _LOOK)
        end = f"{self.now + left:%Y-%m-%d %H:%M:%S} UTC"
        return self._active(
            objects, self._blocker(f"holds until {end}", said.text), min(_LOOK, left)
        )

    @property
    def _paused(self) -> Blocker:
        model, stage = self.view.model.metadata.name, self.view.name
        resumed = {"rollout": {"resumed": self.state.resumes(self.asked)}}
        patch = json.dumps({"spec": {"stages": {stage: resumed}}}, separators=(",", ":"))
        return Blocker.of(
            Reason.ROLLOUT_PAUSED,
            f"{self._gets} It is paused. To continue: modelyard resume {model} --stage {stage}, or"
            f" kubectl patch mlmodel {model} --type merge -p '{patch}'",
        )

    @property
    def _step(self) -> RolloutStep:
        return self._steps[self.state.index]

    @property
    def _is_resumed(self) -> bool:
        return self.asked.resumed >= self.state.resumes(self.asked)

    def _starting(self, pods: Health, objects: tuple[Owned, ...]) -> Step:
        """Wait for pods of the candidate."""
        wanted = serving.replicas(self.view, self.candidate)
        message = (
            f"{self._gets} {min(pods.available, wanted)} of {wanted} pods of it are ready."
            f" {pods.message}"
        ).strip()
        blocker = Blocker.of(pods.reason or Reason.ROLLING_OUT, message, needs_action=pods.stalled)
        state = StepState.FAILED if pods.stalled else StepState.ACTIVE
        return Step("rollout", state, self._detail, objects, blocker)

    # --- words ------------------------------------------------------------------------------------
    @property
    def _detail(self) -> str:
        of = f"step {self.state.index + 1} of {len(self._steps)}: {self._step}"
        return f"weight {self.state.weight}, {of}"[:DETAIL]

    @property
    def _gets(self) -> str:
        return (
            f"{self.candidate.version} gets {self.state.weight} % of the requests (step"
            f" {self.state.index + 1} of {len(self._steps)}, {self._step}), and"
            f" {self.stable.version} the others."
        )

    def _blocker(self, what: str, analysis: str = "") -> Blocker:
        return Blocker.of(Reason.ROLLING_OUT, f"{self._gets} The step {what}. {analysis}".strip())

    def _with(self, step: Step, said: judged.Said) -> Step:
        """Return the step with the rollout's figures for the status."""
        shown = {
            "applied_by": self._applied,
            "of": len(self._ready),
            "said": said.text[:SAID],
            "verdict": said.verdict,
        }
        return replace(step, rollout=self.state.model_copy(update=shown | self._counted))

    @property
    def _counted(self) -> dict[str, object]:
        """Return the counts that have grown enough to be worth a write of the status."""
        seen = self.view.evidence.split.get(self.view.name)
        if seen is None:
            return {}
        found: dict[str, object] = {}
        for name, old, new in (
            ("stable", self.state.stable, seen.stable),
            ("candidate", self.state.candidate, seen.candidate),
        ):
            if (
                not old.requests <= new.requests <= old.requests * _GROWN
                or new.failures != old.failures
            ):
                found[name] = ArmStatus(
                    requests=min(new.requests, COUNTED), failures=min(new.failures, COUNTED)
                )
        return found
