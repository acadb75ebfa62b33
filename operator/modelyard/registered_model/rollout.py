"""The step `rollout`: the candidate gets a share of the requests, step by step. Pure.

    begin     the steps' hash and the first step are recorded
    pods      the candidate has the pods for a weight before the weight rises, and keeps them until it has fallen
    weight    it is recorded with a new revision, then the stable pods are told (an annotation of each), then all of them apply it
    step      its time is over, a person has it continue, or the analysis passes it; the next one is recorded
    end       the weight is 100 with all pods, and `switch` follows

What is recorded is the step, since when, the weight and its revision; all else is observed in every
round. A candidate without a ready pod has weight 0 until it has one. What stable pods do with a
request that the candidate fails is the model server's (`modelyard_runtime.serve`): no caller sees
it.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from modelyard.api.base import parse_duration
from modelyard.api.blocker import Blocker
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.api.registered_model import ServedVersion, StepState
from modelyard.api.rollout import COUNTED, SAID, ArmStatus, Rollout, RolloutStatus, RolloutStep
from modelyard.kube.names import TRAFFIC_ANNOTATION
from modelyard.kube.pod_state import is_ready
from modelyard.plan import Manifest, Owned, Tell
from modelyard.registered_model import build, judged, ramp, serving
from modelyard.registered_model.pods import Health
from modelyard.registered_model.step import DETAIL, Step, refused_step, rejected
from modelyard.registered_model.view import StageView, identity_of

__all__ = ["keeps", "rollout", "untold"]

_LOOK = timedelta(seconds=5)
"""How often the pods that split are asked while a step waits for time or for a person."""
_SOON = timedelta(milliseconds=300)
"""How soon they are asked again that were told something: a kubelet writes their file within a
quarter of a second.
"""
_TIMEOUT_MS = 2000
"""How long a candidate may take, where the spec does not say how long a prediction may."""
_FALLS = 3
"""How often a candidate may lose its last ready pod in a rollout: a node that is drained takes
it once.
"""
_GROWN = 1.25
"""Counts in the status are written when they have grown by so much: it is for people, not for
the analysis.
"""


def rollout(view: StageView, now: datetime, *, is_held: bool = False) -> Step:
    """Take the candidate through the steps of the spec.

    Args:
        view: The stage.
        now: The moment.
        is_held: A step before this one waits again, such as a gate that is new: what has requests
            is looked after, and gets no more.

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
    """Record the first step. A candidate that other steps had given requests has none until the
    new ones say so.
    """
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
    """One look at a rollout that has begun."""

    view: StageView
    asked: Rollout
    state: RolloutStatus
    candidate: ServedVersion
    stable: ServedVersion
    now: datetime
    is_held: bool = False

    def step(self) -> Step:
        """Return the step as it stands, with an interval that is judged in it; one by which the
        candidate fails ends it.
        """
        said = judged.said(self.view, *self._hold)
        failed = said.failed
        if failed is None and self.state.falls >= _FALLS and not self._alive:
            failed = f"It has lost its last ready pod {self.state.falls} times. {self._health.message}".strip()
        if failed is not None:
            return rejected(self.view, "rollout", Reason.ROLLOUT_FAILED, failed, self.now)
        if (error := serving.refused(self.view, said.actions)) is not None:
            said = judged.unkept(said, error)
        found = self._found(said)
        if found.record is None:
            return self._with(replace(found, actions=(*found.actions, *said.actions)), said)
        if said.actions:  # first: an interval is given up when pods are told something else
            return self._with(
                Step(
                    "rollout",
                    StepState.ACTIVE,
                    self._detail,
                    said.actions,
                    self._blocker("is recorded"),
                ),
                said,
            )
        return found

    def _found(self, said: judged.Said) -> Step:
        """Return the step: the first thing that is not as it should be is the next to do."""
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
        # Before anything is waited for: what is recorded holds, also where the weight is to rise
        # later.
        if (tells := tuple(_tells(self._pods, self._rule))) and (
            not rises or any(map(_told, self._pods))
        ):
            return Step(
                "rollout",
                StepState.ACTIVE,
                self._detail,
                (*objects, *tells),
                self._blocker("is told to its pods"),
            )
        if (error := serving.refused(view, objects)) is not None:
            return refused_step("rollout", view.name, error)
        if (rises and short) or not self._alive:
            return self._starting(pods, objects)
        if not self._ready:
            waits = self._blocker(
                f"waits for a ready pod of {self.stable.version}: without one nobody passes"
                " requests on"
            )
            return Step("rollout", StepState.ACTIVE, self._detail, objects, waits, _LOOK)
        if self._applied < len(self._ready):
            waits = self._blocker(
                f"is applied by {self._applied} of {len(self._ready)} pods of {self.stable.version}"
            )
            return Step("rollout", StepState.ACTIVE, self._detail, objects, waits, _SOON)
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
        """How long the step holds, and how much of that is left; None: it is no hold, or its
        weight is not applied yet.
        """
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
        """The stable pods that nobody is ending: what ends has its requests still, and forwards
        as it was told.
        """
        return [
            pod
            for pod in self.view.of_kind("Pod", self.stable)
            if not pod["metadata"].get("deletionTimestamp")
        ]

    @cached_property
    def _ready(self) -> list[Manifest]:
        return [pod for pod in self._pods if is_ready(pod)]

    @cached_property
    def _applied(self) -> int:
        seen = self.view.evidence.split.get(self.view.name)
        said = seen.revisions if seen is not None else {}
        return sum(
            said.get(str(pod["metadata"]["uid"])) == self.view.status.traffic_revision
            for pod in self._ready
        )

    @property
    def _rule(self) -> str:
        """What each stable pod is told, as `modelyard_runtime.serve.rule` reads it."""
        timeout = self.view.serving.runtime.timeout
        rule: dict[str, object] = {
            "revision": self.view.status.traffic_revision,
            "candidate": build.workload_name(self.view.model, self.view.name, self.candidate),
            "version": self.candidate.version,
            "runtime": self.candidate.runtime.identity,
            "weight": self.state.weight,
            # Half: the stable version has its whole time after it.
            "timeoutMs": int(parse_duration(timeout).total_seconds() * 500)
            if timeout is not None
            else _TIMEOUT_MS,
        }
        for name, found in (("sticky", self.asked.sticky), ("invite", self.asked.invite)):
            if found is not None:
                rule[name] = found.model_dump(exclude_none=True)
        return json.dumps(rule, separators=(",", ":"), sort_keys=True)

    # --- what comes of it -------------------------------------------------------------------------
    def _told(self, weight: int) -> Step:
        """Record another weight, with the revision that pods are told it by."""
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
        """All pods apply the weight: look at what the step itself waits for."""
        if self.is_held:
            return Step(
                "rollout",
                StepState.ACTIVE,
                self._detail,
                objects,
                self._blocker("is held by a step before it", said.text),
                _LOOK,
            )
        if self.state.index >= len(self._steps) - 1 or self._step.replicas is not None:
            if short:
                return self._starting(pods, objects)
        elif self._step.lasts is not None:
            left = self._hold[1]
            if left > timedelta(0) or said.holds:
                end = self.now + left
                until = (
                    f"until {end:%Y-%m-%d %H:%M:%S} UTC"
                    if left > timedelta(0)
                    else "for what the analysis waits for"
                )
                again = min(_LOOK, left) if left > timedelta(0) else _LOOK
                return Step(
                    "rollout",
                    StepState.ACTIVE,
                    self._detail,
                    objects,
                    self._blocker(f"holds {until}", said.text),
                    again,
                )
        elif self._step.pause is not None and not self._is_resumed:
            command = f"modelyard resume {self.view.model.metadata.name} --stage {self.view.name}"
            raised = f'{{"spec":{{"stages":{{"{self.view.name}":{{"rollout":{{"resumed":{self.state.resumes(self.asked)}}}}}}}}}}}'
            patch = (
                f"kubectl patch mlmodel {self.view.model.metadata.name} --type merge -p '{raised}'"
            )
            waits = Blocker.of(
                Reason.ROLLOUT_PAUSED,
                f"{self._gets} It is paused. To continue: {command}, or {patch}",
            )
            return Step("rollout", StepState.WAITING, self._detail, objects, waits, _LOOK)
        if self.state.index >= len(self._steps) - 1:
            return Step("rollout", StepState.DONE, f"{self.candidate.version} gets all requests")
        return self._next()

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
        """Return a step with what the status shows of the rollout."""
        shown = {
            "applied_by": self._applied,
            "of": len(self._ready),
            "said": said.text[:SAID],
            "verdict": said.verdict,
        }
        return replace(step, rollout=self.state.model_copy(update=shown | self._counted))

    @property
    def _counted(self) -> dict[str, object]:
        """Return the counts for the status, if they have grown enough to be written."""
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


# --- pods that are told nothing any more ----------------------------------------------------------
def untold(view: StageView, now: datetime) -> tuple[Tell, ...]:
    """Return what takes their rule from pods that have one and should not: all but the stable ones
    of a canary, and those that drain.

    A displaced version that drains still passes on what reaches it.
    """
    state, draining = view.status.rollout, {each.identity for each in serving.draining(view, now)}
    kept = draining | (
        {view.effective.runtime.identity}
        if state is not None and view.canary is not None and view.effective
        else set()
    )
    return tuple(_tells((pod for pod in view.of_kind("Pod") if identity_of(pod) not in kept), None))


def keeps(view: StageView) -> frozenset[tuple[str, str]]:
    """Return what a rollout needs besides, by kind and name: the Service at which pods with a
    rule look for a version, and its analysis.
    """
    if not any(_told(pod) for pod in view.of_kind("Pod")) and view.status.rollout is None:
        return frozenset()
    held = (each for each in (view.status.candidate, view.effective) if each is not None)
    services = {("Service", build.workload_name(view.model, view.name, each)) for each in held}
    return frozenset({*services, ("ConfigMap", build.rollout_name(view.model, view.name))})


def _tells(pods: Iterable[Manifest], rule: str | None) -> Iterable[Tell]:
    """Return what tells pods a rule that they do not have yet."""
    for pod in pods:
        if _told(pod) != rule and not pod["metadata"].get("deletionTimestamp"):
            yield Tell(pod["metadata"]["name"], str(pod["metadata"]["uid"]), rule)


def _told(pod: Manifest) -> str | None:
    found: str | None = (pod["metadata"].get("annotations") or {}).get(TRAFFIC_ANNOTATION)
    return found
