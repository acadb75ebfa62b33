"""The promotion step `rollout`: the candidate gets a growing share of the requests. Pure.

The spec lists the rollout's own steps (`spec.stages.*.rollout.steps`). What the operator does:

    begin     record the first step and the hash of all steps
    pods      before the weight rises, start the pods that the candidate needs for it; after the
              weight has fallen, delete the pods that it no longer needs
    weight    record the weight with a new revision, write both to each stable pod as an
              annotation, and wait until all stable pods apply it
    advance   record the next step when the step's time is over, when a user resumes it, or when
              the analysis passes
    end       the weight is 100 and the candidate has all pods; the promotion step `switch` follows

The status records the step, its start, the weight and the revision; everything else is observed in
every round. A candidate without a ready pod has weight 0. When the candidate fails a request, the
stable pod that forwarded it answers it (`modelyard_runtime.serve`), so the caller gets no error.
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
from modelyard.registered_model.step import DETAIL, Step, refused_step, rejected
from modelyard.registered_model.view import StageView

__all__ = ["rollout"]

_POLL = timedelta(seconds=5)
"""Time between two reads of the stable pods' counters while a step waits."""
_FAST_POLL, _SLOW_POLL = timedelta(milliseconds=150), timedelta(seconds=1)
"""Time between two checks whether pods apply a new rule: first the fast one, later the slow one."""
_FAST_POLL_FOR = timedelta(seconds=2)
"""How long to check fast. A kubelet writes an annotation to the pod's file within a quarter of a
second (`traffic.md`).
"""
_MAX_LOSSES = 3
"""The candidate is rejected when it has lost its last ready pod this often in a rollout.

Draining a node may cause one such loss.
"""
_WRITE_FACTOR = 1.25
"""Counts are written to the status when they have grown by this factor.

Only users read them there, so they need not be exact.
"""


def rollout(view: StageView, now: datetime, *, is_held: bool = False) -> Step:
    """Take the candidate through the steps of the spec.

    Args:
        view: The stage.
        now: The moment.
        is_held: An earlier step of the promotion is no longer done, for example because the spec
            has a new gate. The weight does not rise meanwhile.

    """
    if (why := view.no_rollout_reason) is not None:
        return Step("rollout", StepState.DONE, why[:DETAIL])
    state, spec, candidate, stable = view.status.rollout, view.canary, view.target, view.effective
    assert spec, "a promotion without a rollout does not have this step"
    assert candidate, "the step `admit` records the candidate"
    assert stable, "without a stable version `no_rollout_reason` is set"
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
    if state is None or state.steps_hash != ramp.steps_hash(spec):
        return _begin(view, spec, now)
    return _Round(view, spec, state, candidate, stable, now, is_held=is_held).step()


def _begin(view: StageView, spec: Rollout, now: datetime) -> Step:
    """Record the first step with weight 0; after an edit of the steps, begin again."""
    assert view.effective, "without a stable version `no_rollout_reason` is set"
    begun = RolloutStatus(
        steps_hash=ramp.steps_hash(spec),
        since_time=now,
        resumed=spec.resumed,
        intervals=judged.kept_intervals(view),
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
    spec: Rollout
    state: RolloutStatus
    candidate: ServedVersion
    stable: ServedVersion
    now: datetime
    is_held: bool = False

    def step(self) -> Step:
        """Return the promotion step, with the analysis of a new interval; reject after a Fail."""
        result = judged.result(self.view, *self._hold)
        failed = result.failed
        if failed is None and self.state.falls >= _MAX_LOSSES and not self._has_ready_pod:
            lost = f"It has lost its last ready pod {self.state.falls} times."
            failed = f"{lost} {self._health.message}".strip()
        if failed is not None:
            return rejected(self.view, "rollout", Reason.ROLLOUT_FAILED, failed, self.now)
        if (error := serving.refused(self.view, result.actions)) is not None:
            result = judged.store_refused(result, error)
        next_action = self._next_action(result)
        if next_action.record is None:
            return self._with_figures(
                replace(next_action, actions=(*next_action.actions, *result.actions)), result
            )
        # Store the analysis before a new rule is recorded: the rule discards the interval.
        if result.actions:
            waits = self._blocker("is recorded")
            return self._with_figures(self._active(result.actions, waits), result)
        return next_action

    def _active(
        self,
        actions: Iterable[Owned | SetTrafficRule],
        waits: Blocker,
        again: timedelta | None = None,
    ) -> Step:
        return Step("rollout", StepState.ACTIVE, self._detail, tuple(actions), waits, again)

    def _next_action(self, result: judged.AnalysisResult) -> Step:
        """Return the step with the first action that is needed, or what it waits for."""
        view = self.view
        objects = (
            *serving.workload(view, self.candidate),
            *serving.private_route(view, self.candidate),
        )
        pods, wanted = self._health, self._step_weight if self._has_ready_pod else 0
        lacks_pods = (
            bool(objects)
            or pods.available < serving.replicas(view, self.candidate)
            or not pods.current
        )
        rises = wanted > self.state.weight
        if wanted != self.state.weight and not (rises and (lacks_pods or self.is_held)):
            return self._record_weight(wanted)
        # Write the recorded weight before any wait, even if the weight is to rise later.
        rule = split.rule(self.view, self.spec, self.state, self.candidate)
        if split.differs(self._stable_pods, rule, view.status.traffic_revision):
            return self._record_weight(self.state.weight)
        writes = tuple(split.rule_writes(self._stable_pods, rule))
        if writes and (not rises or any(map(split.rule_in, self._stable_pods))):
            # Lower the weight before the objects are applied, because that may delete pods.
            return self._active((*writes, *objects), self._blocker("is written to its pods"))
        if (error := serving.refused(view, objects)) is not None:
            return refused_step("rollout", view.name, error)
        if (rises and lacks_pods) or not self._has_ready_pod:
            return self._starting(pods, objects)
        if not self._ready_stable_pods:
            waits = f"waits for a ready pod of {self.stable.version}, which forwards requests"
            return self._active(objects, self._blocker(waits), _POLL)
        if self._applied_count < len(self._ready_stable_pods):
            waits = f"is applied by {self._applied_count} of {len(self._ready_stable_pods)} pods"
            again = _FAST_POLL if self.now - self.state.since_time < _FAST_POLL_FOR else _SLOW_POLL
            return self._active(objects, self._blocker(f"{waits} of {self.stable.version}"), again)
        return self._wait_or_advance(pods, objects, result, lacks_pods=lacks_pods)

    # --- what is observed -------------------------------------------------------------------------
    @cached_property
    def _steps(self) -> tuple[RolloutStep, ...]:
        return self.spec.whole

    @property
    def _step_weight(self) -> int:
        return ramp.weight(self._steps, self.state.index)

    @property
    def _hold(self) -> tuple[timedelta | None, timedelta]:
        """The duration of the step's hold and the time left of it.

        The duration is None if the step has no hold, or if not all pods apply its weight yet.
        """
        lasts = self._step.lasts
        if (
            lasts is None
            or self.state.weight != self._step_weight
            or not self._ready_stable_pods
            or self._applied_count < len(self._ready_stable_pods)
        ):
            return None, timedelta(0)
        return lasts, self.state.since_time + lasts - self.now

    @cached_property
    def _health(self) -> Health:
        return serving.pod_health(self.view, self.candidate)

    @property
    def _has_ready_pod(self) -> bool:
        return self._health.ready > 0

    @cached_property
    def _stable_pods(self) -> list[Manifest]:
        return applied.splitting(self.view)

    @cached_property
    def _ready_stable_pods(self) -> list[Manifest]:
        return applied.ready(self.view)

    @cached_property
    def _applied_count(self) -> int:
        return applied.applied(self.view)

    # --- the resulting step -----------------------------------------------------------------------
    def _record_weight(self, weight: int) -> Step:
        """Record a weight with a new revision of the rule."""
        falls = self.state.falls + (weight == 0 and not self._has_ready_pod)
        changed = {
            "weight": weight,
            "since_time": self.now,
            "applied_by": 0,
            "falls": falls,
            "intervals": judged.kept_intervals(self.view),
        }
        state = self.state.model_copy(update=changed)
        status = self.view.status.model_copy(
            update={"rollout": state, "traffic_revision": self.view.status.traffic_revision + 1}
        )
        return Step("rollout", StepState.ACTIVE, self._detail, record=status)

    def _record_next_step(self) -> Step:
        """Record the next step."""
        next_step = {
            "index": self.state.index + 1,
            "since_time": self.now,
            "intervals": judged.kept_intervals(self.view),
        }
        state = self.state.model_copy(update=next_step | self._counts_to_write)
        return Step(
            "rollout",
            StepState.ACTIVE,
            self._detail,
            record=self.view.status.model_copy(update={"rollout": state}),
        )

    def _wait_or_advance(
        self,
        pods: Health,
        objects: tuple[Owned, ...],
        result: judged.AnalysisResult,
        *,
        lacks_pods: bool,
    ) -> Step:
        """Once all pods apply the weight: wait for what the rollout's step asks for, or advance."""
        if self.is_held:
            waits = self._blocker("waits for a step before it", result.text)
            return self._active(objects, waits, _POLL)
        is_last = self.state.index >= len(self._steps) - 1
        if is_last or self._step.replicas is not None:
            if lacks_pods:
                return self._starting(pods, objects)
        elif self._step.lasts is not None:
            left = self._hold[1]
            if left > timedelta(0) or result.holds:
                return self._wait_for_hold(left, objects, result)
        elif self._step.pause is not None and not self._is_resumed:
            return Step("rollout", StepState.WAITING, self._detail, objects, self._paused, _POLL)
        if is_last:
            return Step("rollout", StepState.DONE, f"{self.candidate.version} gets all requests")
        return self._record_next_step()

    def _wait_for_hold(
        self, left: timedelta, objects: tuple[Owned, ...], result: judged.AnalysisResult
    ) -> Step:
        """Wait for the end of a hold, or for the analysis that extends it."""
        if left <= timedelta(0):
            waits = self._blocker("holds for what the analysis waits for", result.text)
            return self._active(objects, waits, _POLL)
        end = f"{self.now + left:%Y-%m-%d %H:%M:%S} UTC"
        return self._active(
            objects, self._blocker(f"holds until {end}", result.text), min(_POLL, left)
        )

    @property
    def _paused(self) -> Blocker:
        model, stage = self.view.model.metadata.name, self.view.name
        resumed = {"rollout": {"resumed": self.state.resumes(self.spec)}}
        patch = json.dumps({"spec": {"stages": {stage: resumed}}}, separators=(",", ":"))
        return Blocker.of(
            Reason.ROLLOUT_PAUSED,
            f"{self._shares} It is paused. To continue: modelyard resume {model} --stage {stage},"
            f" or kubectl patch mlmodel {model} --type merge -p '{patch}'",
        )

    @property
    def _step(self) -> RolloutStep:
        return self._steps[self.state.index]

    @property
    def _is_resumed(self) -> bool:
        return self.spec.resumed >= self.state.resumes(self.spec)

    def _starting(self, pods: Health, objects: tuple[Owned, ...]) -> Step:
        """Wait for pods of the candidate."""
        wanted = serving.replicas(self.view, self.candidate)
        message = (
            f"{self._shares} {min(pods.available, wanted)} of {wanted} pods of it are ready."
            f" {pods.message}"
        ).strip()
        blocker = Blocker.of(pods.reason or Reason.ROLLING_OUT, message, needs_action=pods.stalled)
        state = StepState.FAILED if pods.stalled else StepState.ACTIVE
        return Step("rollout", state, self._detail, objects, blocker)

    # --- texts ------------------------------------------------------------------------------------
    @property
    def _detail(self) -> str:
        of = f"step {self.state.index + 1} of {len(self._steps)}: {self._step}"
        return f"weight {self.state.weight}, {of}"[:DETAIL]

    @property
    def _shares(self) -> str:
        return (
            f"{self.candidate.version} gets {self.state.weight} % of the requests (step"
            f" {self.state.index + 1} of {len(self._steps)}, {self._step}), and"
            f" {self.stable.version} the others."
        )

    def _blocker(self, what: str, analysis: str = "") -> Blocker:
        return Blocker.of(Reason.ROLLING_OUT, f"{self._shares} The step {what}. {analysis}".strip())

    def _with_figures(self, step: Step, result: judged.AnalysisResult) -> Step:
        """Return the step with the rollout's figures for the status added."""
        shown = {
            "applied_by": self._applied_count,
            "of": len(self._ready_stable_pods),
            "said": result.text[:SAID],
            "verdict": result.verdict,
        }
        return replace(step, rollout=self.state.model_copy(update=shown | self._counts_to_write))

    @property
    def _counts_to_write(self) -> dict[str, object]:
        """The counts for the status, if they have grown enough to write them."""
        observed = self.view.evidence.split.get(self.view.name)
        if observed is None:
            return {}
        found: dict[str, object] = {}
        for name, old, new in (
            ("stable", self.state.stable, observed.stable),
            ("candidate", self.state.candidate, observed.candidate),
        ):
            if (
                not old.requests <= new.requests <= old.requests * _WRITE_FACTOR
                or new.failures != old.failures
            ):
                found[name] = ArmStatus(
                    requests=min(new.requests, COUNTED), failures=min(new.failures, COUNTED)
                )
        return found
