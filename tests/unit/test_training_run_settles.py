"""TrainingRun from many initial states: apply each plan to a small model of the world until nothing
is left to do.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.api.registered_model import RegisteredModel, RegisteredModelStatus
from modelyard.api.training_run import TrainingRun
from modelyard.errors import Unavailable
from modelyard.kube.names import job_name
from modelyard.plan import (
    Action,
    Apply,
    ArchiveRun,
    CreateRun,
    Delete,
    Finalize,
    FinishRun,
    LogParameters,
    Manifest,
    Record,
    SetTags,
    Suspend,
    TagTarget,
)
from modelyard.ports import TrackedRun
from modelyard.training_run.decide import finalize, on_error
from modelyard.training_run.observation import Observation
from tests.unit.builders import (
    NOW,
    PROPERTY,
    URL,
    actions,
    job,
    live,
    pod,
    registered_model,
    said,
    terminated,
    training_run,
    written,
)
from tests.unit.test_training_run_ends import MODEL
from tests.unit.training_run_world import READY, decide

SAID = {"final": json.dumps({"reason": "InvalidParameters", "message": "no such parameter"})}
PASSES = 20
"""No attempt needs more."""


class World:
    """Kubernetes, MLflow and the trainer, as far as a TrainingRun is concerned.

    `fates` says how the Jobs end, one after another; the last fate repeats: well, open (well, but
    the run stays open), crash, oom, final (would only fail again), vanish (a user deletes the Job
    while it runs).
    """

    def __init__(self, run: TrainingRun, fates: tuple[str, ...], *, model: bool = True) -> None:
        self.run, self.fates, self.now = run, list(fates), NOW
        self.model: RegisteredModel | None = registered_model() if model else None
        self.runs: dict[int, TrackedRun] = {}
        self.children: dict[tuple[str, str], Manifest] = {}
        self.made: list[str] = []
        self.passes = 0

    # --- what is observed -------------------------------------------------------------------------
    def observed(self) -> Observation:
        ended = (
            self.run.status.completion_time is not None
            and self.run.metadata.deletion_timestamp is None
        )
        attempt = max(self.runs, default=0)
        there = self.children.get(("Job", job_name("fraud-1", attempt)))
        complete = there is not None and any(
            each["type"] == "Complete" for each in there["status"]["conditions"]
        )
        return Observation(
            experiment=READY,
            registered_model=self.model,
            owned=tuple(self.children.values()),
            runs={}
            if ended
            else {number: run for number, run in self.runs.items() if not run.deleted},
            model=MODEL if complete and not ended else None,
            tracking_url=URL,
        )

    # --- what is done -----------------------------------------------------------------------------
    def look(self) -> bool:
        """Carry out one round: act, or write the status; return whether anything changed."""
        self.passes += 1
        observed = self.observed()
        deleting = self.run.metadata.deletion_timestamp is not None
        plan = (
            finalize(self.run, observed, self.now)
            if deleting
            else decide(self.run, observed, self.now)
        )
        assert plan == (
            finalize(self.run, observed, self.now)
            if deleting
            else decide(self.run, observed, self.now)
        )
        for action in actions(plan):
            self.perform(action)
        if actions(plan):
            return True
        if isinstance(plan, Finalize):
            assert all(run.status not in {"RUNNING", "SCHEDULED"} for run in self.runs.values()), (
                "left open"
            )
            return False
        before, self.run = self.run, written(self.run, plan, self.now)
        self.check(before)
        if isinstance(plan, Record):
            return True
        if (
            plan.requeue_after is None and not deleting and not self.active()
        ):  # the engine reconciles when a Job changes or a requeue is due
            assert actions(decide(self.run, self.observed(), self.now)) == (), (
                "left to do, and no round is due"
            )
        if self.run.status != before.status:
            return True
        if self.others():
            return True
        if plan.requeue_after is not None:
            self.now += plan.requeue_after
            return True
        return False

    def perform(self, action: Action) -> None:
        match action:
            case CreateRun(experiment, name, tags):
                attempt = int(tags["modelyard.io/attempt"])
                assert attempt == len(self.runs) + 1, "I1: one run an attempt, one after another"
                assert all(run.status in {"FAILED", "KILLED"} for run in self.runs.values())
                self.runs[attempt] = TrackedRun(
                    f"r{attempt}", experiment, name, "RUNNING", False, self.now, None, dict(tags)
                )
            case LogParameters(run, parameters):
                self.change(run, parameters=dict(parameters))
            case SetTags(TagTarget("run", run), tags):
                self.change(run, tags={**self.tracked(run).tags, **tags})
            case FinishRun(run, status):
                self.change(run, status=status, end=self.now)
            case ArchiveRun(run):
                self.change(run, deleted=True)
            case Apply(manifest):
                self.apply(manifest)
            case Suspend(name, uid, suspend):
                there = self.children["Job", name]
                assert there["metadata"]["uid"] == uid
                self.children["Job", name] = there | {"spec": there["spec"] | {"suspend": suspend}}
            case Delete("batch/v1", "Job", name, uid):
                assert self.children["Job", name]["metadata"]["uid"] == uid
                self.children = {
                    key: child
                    for key, child in self.children.items()
                    if not self.below(child, name)
                }
            case Delete("v1", "ConfigMap", name, uid):
                assert self.children.pop(("ConfigMap", name))["metadata"]["uid"] == uid
            case _:
                raise AssertionError(action)

    def apply(self, manifest: Manifest) -> None:
        key = (manifest["kind"], manifest["metadata"]["name"])
        assert manifest["metadata"]["ownerReferences"][0]["uid"] == self.run.metadata.uid
        if key[0] == "Job" and key not in self.children:
            assert self.active() == [], "two attempts at once"
            assert key[1] == job_name("fraud-1", len(self.runs))
            self.made.append(key[1])
        self.children[key] = job(manifest) if key[0] == "Job" else live(manifest)

    # --- what others do ---------------------------------------------------------------------------
    def others(self) -> bool:
        """Act as the Job controller and the trainer: a pod starts, then ends as its fate says; the
        RegisteredModel registers versions.
        """
        for there in self.active():
            if there["spec"]["suspend"]:
                self.children = {
                    key: child for key, child in self.children.items() if child["kind"] != "Pod"
                }
                return False
            name = there["metadata"]["name"]
            if ("Pod", name) not in self.children:
                running = {"name": "trainer", "imageID": "image@sha256:1", "state": {"running": {}}}
                self.children["Pod", name] = pod(there, "Running", statuses=[running])
                return True
            self.end(there)
            return True
        register = self.run.spec.register_
        if (
            self.model
            and register
            and self.run.status.completion_time
            and not self.model.status.versions
            and self.run.status.model
        ):
            version = {
                "name": register.version,
                "mlflowVersion": "1",
                "trainingRun": "fraud-1",
                "runId": f"r{len(self.runs)}",
            }
            self.model = registered_model(
                status=RegisteredModelStatus.model_validate({"versions": [version]})
            )
            return True
        return False

    def end(self, there: Manifest) -> None:
        name, fate = (
            there["metadata"]["name"],
            self.fates.pop(0) if len(self.fates) > 1 else self.fates[0],
        )
        newest = f"r{len(self.runs)}"
        if fate == "vanish":
            self.children = {
                key: child for key, child in self.children.items() if not self.below(child, name)
            }
            return
        well = fate in {"well", "open"}
        state = terminated(
            0 if well else 1, SAID.get(fate, ""), "OOMKilled" if fate == "oom" else ""
        )
        self.children["Pod", name] = pod(there, "Succeeded" if well else "Failed", statuses=[state])
        self.children["Job", name] = job(there, "Complete" if well else "Failed")
        if fate == "well":
            self.change(newest, status="FINISHED", end=self.now)

    # --- invariants -------------------------------------------------------------------------------
    def check(self, before: TrainingRun) -> None:
        old, new = before.status, self.run.status
        assert new.attempt >= old.attempt
        assert old.completion_time in {None, new.completion_time}, "an end is never changed"
        if old.completion_time is not None:
            assert new.is_true("Succeeded") == old.is_true("Succeeded")
            assert new.failure == old.failure
        if new.completion_time is None:
            assert not new.is_true("Ready")

    # --- small helpers
    # -------------------------------------------------------------------------------
    def active(self) -> list[Manifest]:
        return [
            child
            for child in self.children.values()
            if child["kind"] == "Job" and not child["status"]["conditions"]
        ]

    def below(self, child: Manifest, name: str) -> bool:
        return name in {
            child["metadata"]["name"],
            child["metadata"].get("labels", {}).get("job-name"),
        }

    def tracked(self, id_: str) -> TrackedRun:
        return next(run for run in self.runs.values() if run.id == id_)

    def change(self, id_: str, **changes: Any) -> None:
        number = next(number for number, run in self.runs.items() if run.id == id_)
        self.runs[number] = replace(self.runs[number], **changes)

    def patch(self, **spec: Any) -> None:
        meta = self.run.metadata.model_copy(update={"generation": self.run.metadata.generation + 1})
        self.run = self.run.model_copy(
            update={"metadata": meta, "spec": self.run.spec.model_copy(update=spec)}
        )

    def settle(self, limit: int) -> None:
        limit += self.passes
        while self.look():
            assert self.passes <= limit, f"not settled: {self.run.status.conditions}"


def expected(fates: tuple[str, ...], backoff: int) -> tuple[str, int]:
    """Return the expected end and its attempt, derived from the fates alone."""
    left, attempt = [fate for fate in fates if fate != "vanish"], 1
    while True:
        fate = left.pop(0) if len(left) > 1 else left[0]
        if fate in {"well", "open"}:
            return "Ready Succeeded", attempt
        if fate == "final" or attempt > backoff:
            return {
                "crash": "Stalled Failed",
                "oom": "Stalled OutOfMemory",
                "final": "Stalled InvalidParameters",
            }[fate], attempt
        attempt += 1


fates = st.lists(
    st.sampled_from(["well", "open", "crash", "oom", "final", "vanish"]), min_size=1, max_size=4
).map(lambda found: (*found, "well") if found[-1] == "vanish" else tuple(found))
specs = st.fixed_dictionaries(
    {"backoff_limit": st.integers(0, 3)},
    optional={
        "parameters": st.just({"depth": "6"}),
        "register": st.just({"model": "fraud", "version": "v1"}),
        "ttl_seconds_after_finished": st.sampled_from([None, 0, 60]),
        "dataset": st.just({"name": "cards"}),
    },
)


@PROPERTY
@given(fates, specs)
def test_settles_whatever_happens_to_its_jobs(ends: tuple[str, ...], spec: dict[str, Any]):
    world = World(training_run(**spec), ends)
    words, attempt = expected(ends, spec["backoff_limit"])
    world.settle(PASSES * (len(ends) + spec["backoff_limit"]))
    assert (said(world.run.status), world.run.status.attempt, len(world.runs)) == (
        words,
        attempt,
        attempt,
    )
    assert [run.status for run in world.runs.values()][-1] == (
        "FINISHED" if words == "Ready Succeeded" else "FAILED"
    )
    kept = world.run
    world.now += timedelta(days=2)
    world.settle(4)
    assert world.run == kept, "the record stays"
    assert bool(world.made and any(key[0] == "Job" for key in world.children)) == (
        spec.get("ttl_seconds_after_finished", 86400) is None
    )


@PROPERTY
@given(fates, specs, st.lists(st.integers(0, 12), max_size=6))
def test_settles_when_it_is_suspended_and_resumed_at_any_time(
    ends: tuple[str, ...], spec: dict[str, Any], when: list[int]
):
    world = World(training_run(**spec), ends)
    for number, steps in enumerate(when):
        for _ in range(steps):
            world.look()
        world.patch(suspend=number % 2 == 0)
        if world.run.spec.suspend and world.run.status.completion_time is None:
            for _ in range(6):
                world.look()
            assert all(there["spec"]["suspend"] for there in world.active())
    world.patch(suspend=False)
    world.settle(PASSES * (len(ends) + spec["backoff_limit"]))
    assert (said(world.run.status), world.run.status.attempt) == expected(
        ends, spec["backoff_limit"]
    )


@PROPERTY
@given(fates, specs, st.integers(0, 40), st.sampled_from(["Retain", "Delete"]))
def test_can_be_deleted_at_any_time(
    ends: tuple[str, ...], spec: dict[str, Any], steps: int, policy: str
):
    world = World(training_run(deletion_policy=policy, **spec), ends)
    for _ in range(steps):
        world.look()
    world.run = world.run.model_copy(
        update={"metadata": world.run.metadata.model_copy(update={"deletion_timestamp": NOW})}
    )
    world.settle(4 + 2 * len(world.runs))
    assert world.active() == []
    assert all(run.deleted == (policy == "Delete") for run in world.runs.values())


@PROPERTY
@given(fates, specs, st.sets(st.integers(0, 30), max_size=5))
def test_settles_though_mlflow_is_down_now_and_then(
    ends: tuple[str, ...], spec: dict[str, Any], away: set[int]
):
    world = World(training_run(**spec), ends)
    for step in range(30):
        if step in away and world.run.status.completion_time is None:
            world.run = written(
                world.run,
                on_error(world.run, Unavailable("MLflow", "search runs", "12"), world.now),
                world.now,
            )
        world.look()
    world.settle(PASSES * (len(ends) + spec["backoff_limit"]))
    assert (said(world.run.status), world.run.status.attempt) == expected(
        ends, spec["backoff_limit"]
    )


@pytest.mark.parametrize("ends", [("well",), ("crash",), ("vanish", "open")])
def test_a_crash_between_any_two_steps_changes_nothing(ends: tuple[str, ...]):
    """The operator keeps no state of its own: a status that was never written is computed again."""
    plain = World(training_run(backoff_limit=1), ends)
    plain.settle(4 * PASSES)
    for lost in range(plain.passes):
        world = World(training_run(backoff_limit=1), ends)
        for _ in range(lost):
            world.look()
        before = world.run
        world.look()
        world.run = before
        world.settle(4 * PASSES)
        assert (said(world.run.status), len(world.runs), world.made) == (
            said(plain.run.status),
            len(plain.runs),
            plain.made,
        )
