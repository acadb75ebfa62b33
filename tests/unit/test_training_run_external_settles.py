"""TrainingRun that trains elsewhere: apply each plan to a small model of MLflow and a notebook
until nothing is left to do.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.api.training_run import TrainingRun
from modelyard.errors import Unavailable
from modelyard.kube.names import FAILURE_TAG, HEARTBEAT_ANNOTATION
from modelyard.plan import (
    Action,
    ArchiveRun,
    CreateRun,
    Finalize,
    FinishRun,
    LogParameters,
    Record,
)
from modelyard.ports import TrackedRun
from modelyard.training_run.decide import finalize, on_error
from modelyard.training_run.observation import Observation
from tests.unit.builders import (
    NOW,
    PROPERTY,
    SECOND,
    URL,
    actions,
    said,
    training_run,
    written,
)
from tests.unit.test_training_run_ends import MODEL
from tests.unit.training_run_world import READY, decide

ENDS = {
    "well": "Ready Succeeded",
    "raises": "Stalled Failed",
    "stops": "Stalled Failed",
    "dies": "Stalled HeartbeatLost",
}
FATES = st.sampled_from(sorted(ENDS))
PASSES = 120


class World:
    """MLflow, and a notebook that trains for some time and then meets its fate: well, raises, stops
    (closed by hand), dies (silently).

    Its heartbeats come late or pause, as `gaps` says; no gap is long enough for the run to be
    closed.
    """

    def __init__(
        self, fate: str, lasts: timedelta, gaps: tuple[int, ...] = (20,), **spec: Any
    ) -> None:
        self.run, self.now = training_run(trainer={"external": {}}, **spec), NOW
        self.fate, self.gaps, self.lasts = fate, list(gaps), lasts
        self.tracked: TrackedRun | None = None
        self.open: timedelta | None = None
        self.next_beat = self.ends = NOW
        self.passes = 0
        self.away = False

    # --- the notebook -----------------------------------------------------------------------------
    def notebook(self) -> None:
        """Begin when the run id is in the status, send heartbeats while alive, close the run as its
        fate says.
        """
        if (
            self.run.status.mlflow is None
            or self.tracked is None
            or self.tracked.status != "RUNNING"
            or self.fate == "dead"
        ):
            return
        if self.open is None:
            self.open, self.ends, self.next_beat = self.lasts, self.now + self.lasts, self.now
        if self.now >= self.ends:
            status, tag = {
                "well": ("FINISHED", {}),
                "raises": ("FAILED", {FAILURE_TAG: "ValueError: no"}),
                "stops": ("KILLED", {}),
            }.get(self.fate, ("RUNNING", {}))
            if status == "RUNNING":
                self.fate = "dead"
                return
            self.tracked = replace(
                self.tracked, status=status, end=self.now, tags={**self.tracked.tags, **tag}
            )  # type: ignore[arg-type]
        elif self.now >= self.next_beat:
            beat = self.now.strftime("%Y-%m-%dT%H:%M:%SZ")
            meta = self.run.metadata.model_copy(
                update={"annotations": {HEARTBEAT_ANNOTATION: beat}}
            )
            self.run = self.run.model_copy(update={"metadata": meta})
            self.next_beat = self.now + (self.gaps.pop(0) if self.gaps else 20) * SECOND

    # --- the operator -----------------------------------------------------------------------------
    def look(self) -> bool:
        """Carry out one round, then let the notebook act every second until the next one is due;
        return whether one is.
        """
        self.passes += 1
        if self.away:
            self.run = written(
                self.run,
                on_error(self.run, Unavailable("MLflow", "search runs", "12"), self.now),
                self.now,
            )
            self.wait(5 * SECOND)
            return True
        deleting = self.run.metadata.deletion_timestamp is not None
        ended = self.run.status.completion_time is not None and not deleting
        runs = {} if ended or self.tracked is None or self.tracked.deleted else {1: self.tracked}
        model = MODEL if self.tracked and self.tracked.status == "FINISHED" and not ended else None
        world = Observation(
            experiment=READY,
            registered_model=None,
            owned=(),
            runs=runs,
            model=model,
            tracking_url=URL,
        )
        plan = (
            finalize(self.run, world, self.now) if deleting else decide(self.run, world, self.now)
        )
        for action in actions(plan):
            self.perform(action)
        if actions(plan):
            return True
        if isinstance(plan, Finalize):
            assert self.tracked is None or self.tracked.status != "RUNNING", "left open"
            return False
        before, self.run = self.run, written(self.run, plan, self.now)
        self.check(before)
        if isinstance(plan, Record):
            return True
        if plan.requeue_after is None:
            assert self.run.status.completion_time is not None or self.run.status.mlflow is None, (
                "open, and no round is due"
            )
            return self.run.status != before.status
        self.wait(plan.requeue_after)
        return True

    def perform(self, action: Action) -> None:
        match action:
            case CreateRun(experiment, name, tags):
                assert self.tracked is None, "I1: one run"
                self.tracked = TrackedRun(
                    "r1", experiment, name, "RUNNING", False, self.now, None, dict(tags)
                )
            case LogParameters("r1", parameters) if self.tracked:
                self.tracked = replace(self.tracked, parameters=dict(parameters))
            case FinishRun("r1", status) if self.tracked:
                assert (
                    self.fate in {"dies", "dead"}
                    or self.run.metadata.deletion_timestamp
                    or self.run.spec.active_deadline_seconds
                )
                self.tracked = replace(self.tracked, status=status, end=self.now)
            case ArchiveRun("r1") if self.tracked:
                self.tracked = replace(self.tracked, deleted=True)
            case _:
                raise AssertionError(action)

    def wait(self, span: timedelta) -> None:
        end = self.now + max(span, timedelta())
        self.notebook()
        while self.now < end:
            self.now = min(self.now + SECOND, end)
            self.notebook()

    def check(self, before: TrainingRun) -> None:
        old, new = before.status, self.run.status
        assert old.completion_time in {None, new.completion_time}, "an end is never changed"
        if old.completion_time is not None:
            assert (new.failure, new.is_true("Succeeded")) == (
                old.failure,
                old.is_true("Succeeded"),
            )

    def settle(self) -> None:
        limit = self.passes + PASSES
        while self.look():
            assert self.passes <= limit, f"not settled: {self.run.status.conditions}"


long = st.integers(0, 600).map(lambda seconds: seconds * SECOND)
gaps = st.lists(st.integers(1, 85), max_size=8).map(tuple)
specs = st.fixed_dictionaries(
    {}, optional={"parameters": st.just({"depth": "6"}), "dataset": st.just({"name": "cards"})}
)


@PROPERTY
@given(FATES, long, gaps, specs)
def test_settles_however_the_notebook_ends(
    fate: str, lasts: timedelta, late: tuple[int, ...], spec: dict[str, Any]
):
    world = World(fate, lasts, late, **spec)
    world.settle()
    assert said(world.run.status) == ENDS[fate]
    assert world.tracked
    assert world.tracked.status == {"well": "FINISHED", "stops": "KILLED"}.get(fate, "FAILED")
    assert world.run.status.condition("Silent") is None
    kept = world.run
    world.now += timedelta(days=2)
    world.settle()
    assert world.run == kept, "the record stays"


@PROPERTY
@given(FATES, long, st.sets(st.integers(0, 60), max_size=30))
def test_settles_though_mlflow_is_down_now_and_then(fate: str, lasts: timedelta, away: set[int]):
    world = World(fate, lasts)
    for step in range(60):
        world.away = step in away and world.run.status.completion_time is None
        world.look()
    world.away = False
    world.settle()
    assert said(world.run.status) == ENDS[fate]


@PROPERTY
@given(long, st.integers(1, 900))
def test_a_notebook_without_heartbeats_during_an_outage_trains_on(lasts: timedelta, seconds: int):
    """Neither heartbeats nor our own writes arrive; when Kubernetes is back, a heartbeat arrives
    within 20 s.
    """
    world = World("well", lasts + 30 * SECOND)
    for _ in range(4):
        world.look()
    assert world.run.status.mlflow
    world.now += seconds * SECOND
    world.ends += seconds * SECOND
    world.next_beat = world.now + 20 * SECOND
    world.settle()
    assert said(world.run.status) == "Ready Succeeded"


@PROPERTY
@given(FATES, long, st.integers(0, 60), st.sampled_from(["Retain", "Delete"]))
def test_can_be_deleted_at_any_time(fate: str, lasts: timedelta, steps: int, policy: str):
    world = World(fate, lasts, deletion_policy=policy)
    for _ in range(steps):
        world.look()
    world.run = world.run.model_copy(
        update={"metadata": world.run.metadata.model_copy(update={"deletion_timestamp": NOW})}
    )
    world.settle()
    assert world.tracked is None or world.tracked.deleted == (policy == "Delete")


@PROPERTY
@given(FATES, long, st.integers(1, 300))
def test_a_deadline_ends_it_whatever_it_says(fate: str, lasts: timedelta, deadline: int):
    world = World(fate, lasts, active_deadline_seconds=deadline)
    world.settle()
    assert said(world.run.status) in {ENDS[fate], "Stalled DeadlineExceeded"}
    assert world.run.status.completion_time
    assert world.run.status.completion_time <= NOW + (deadline + 5) * SECOND


@pytest.mark.parametrize("fate", ENDS)
def test_a_crash_between_any_two_steps_changes_nothing(fate: str):
    """A status that was never written is computed again."""
    plain = World(fate, 100 * SECOND, parameters={"depth": "6"})
    plain.settle()
    for lost in range(plain.passes):
        world = World(fate, 100 * SECOND, parameters={"depth": "6"})
        for _ in range(lost):
            world.look()
        before = world.run.status
        world.look()
        world.run = world.run.model_copy(update={"status": before})
        world.settle()
        assert said(world.run.status) == ENDS[fate]
