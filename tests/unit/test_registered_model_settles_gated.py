"""RegisteredModel with gates and overrides: it settles, and no version bypasses its gates."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from modelyard.api.registered_model import RegisteredModel, StageStatus
from modelyard.plan import Rest
from tests.unit.builders import NOW, PROPERTY
from tests.unit.model_world import QUIET, ROUNDS, World
from tests.unit.model_world_crashes import crashes
from tests.unit.models import declared, digest

FEWER = settings(PROPERTY, max_examples=5)
STAGES = ("production", "staging")
WIDE = {"1": ("a", "b"), "2": ("a", "b", "c"), "3": ("a", "b"), "4": ("a", "b")}
"""Inputs of each tree, all required: v2 asks for one that the others do not have."""
SIGNATURE = {"name": "signature", "signature": {}}
OF_STAGING = {"name": "of-staging", "signature": {"stage": "staging"}}
SOAK = {"name": "soak", "soak": {"stage": "staging", "for": "10m"}}
METRIC = {"name": "metric", "metric": {"name": "f1", "atLeast": "0.9"}}
"""No version of this world comes from a run: it rejects all."""
BLOCKED = {
    "WaitingForStage",
    "GatesPending",
    "GateFailed",
    "OverrideEnded",
    "ServingFailed",
    "ArtifactMissing",
    "VersionUnknown",
}


class GatedWorld(World):
    """A world whose trees have signatures; it checks which versions become effective."""

    def signed(self, text: str) -> bytes:
        inputs = [{"name": name, "type": "double", "required": True} for name in WIDE[text]]
        return (
            b"signature: "
            + json.dumps({"inputs": json.dumps(inputs), "outputs": "[]"}).encode()
            + b"\n"
        )

    def check_effective(self, before: RegisteredModel) -> None:
        super().check_effective(before)
        for name, stage in self.model.status.stages.items():
            old = before.status.stages.get(name) or StageStatus()
            if stage.version in {None, old.version} or self.returns(before, name, stage, old):
                continue
            if self.is_overridden(name, old):
                assert old.override
                assert (old.override.version, old.override.digest) == (stage.version, stage.digest)
                continue
            self.check_gates(before, name, stage)

    def returns(
        self, before: RegisteredModel, name: str, stage: StageStatus, old: StageStatus
    ) -> bool:
        """Return whether the version displaced last came back; if the stage has a window, within
        it.
        """
        if old.previous is None or old.previous.served != stage.effective:
            return False
        rollback = self.model.spec.stages[name].rollback
        if rollback is None or rollback.lasts is None:
            return True
        (version,) = [each for each in before.status.versions if each.name == stage.version]
        (left,) = [each.until_time for each in version.held if each.stage == name]
        assert left, "it was displaced"
        return (old.start_time or self.now) < left + rollback.lasts

    def is_overridden(self, name: str, stage: StageStatus) -> bool:
        """Return whether the stage's override decides, by its record and its spec."""
        known, asked = stage.override, self.model.spec.stages[name].override
        return (
            known is not None
            and asked is not None
            and known.version == asked.version
            and self.now < known.until_time
        )

    def check_gates(self, before: RegisteredModel, name: str, stage: StageStatus) -> None:
        spec, text = self.model.spec.stages[name], str(stage.version)[-1]
        (version,) = [each for each in before.status.versions if each.name == stage.version]
        held = [
            each for each in version.held if each.stage == "staging" and each.digest == stage.digest
        ]
        assert spec.version == stage.version, "an override that is not in force decides nothing"
        assert spec.from_ is None or held, "it did not come from where it must come from"
        for gate in spec.gates:
            assert gate.metric is None, "no version passes this one"
            if gate.soak is not None:
                assert held
                assert (held[0].until_time or self.now) - held[0].since_time >= timedelta(
                    minutes=10
                )
            if gate.signature is not None:
                incumbent = before.status.stages.get(gate.signature.stage or name) or StageStatus()
                there = WIDE[str(incumbent.version)[-1]] if incumbent.version else WIDE[text]
                assert incumbent.digest == digest(text) or set(WIDE[text]) <= set(there), (
                    "it cannot be asked as the incumbent"
                )

    def rests(self, plan: Rest[Any]) -> None:
        super().rests(plan)
        for name, stage in self.model.status.stages.items():
            if (
                name in self.model.spec.stages
                and stage.override is not None
                and self.is_overridden(name, stage)
                and stage.override.digest
            ):
                assert plan.requeue_after is not None, "nothing wakes it when the override ends"
                assert self.now + plan.requeue_after <= stage.override.until_time

    def check_end(self) -> None:
        self.check_registry()
        self.check_serving()
        for name in self.model.spec.stages:
            status = self.status(name)
            assert status.version == status.desired or (
                status.blocked and status.blocked.reason in BLOCKED
            )
        assert self.model.status.is_true("Synced")

    def override(self, stage: str, version: str | None, minutes: int = 60) -> None:
        """Set or remove an override."""
        until = self.now + timedelta(minutes=minutes)
        self.edit(
            **{
                stage: {
                    "override": version
                    and {"version": version, "reason": "incident", "until": until}
                }
            }
        )


def gated() -> GatedWorld:
    world = GatedWorld(stages={"production": {"version": "v1"}, "staging": {"version": "v1"}})
    world.settle()
    return world


versions = st.sampled_from(["v1", "v2", "v2", "v3", "v4", None])
does = st.one_of(
    st.tuples(st.just("version"), versions),
    st.tuples(
        st.just("gates"),
        st.sampled_from(
            [[], [SIGNATURE], [OF_STAGING], [SOAK], [METRIC], [SIGNATURE, SOAK], [SOAK, METRIC]]
        ),
    ),
    st.tuples(st.just("from_"), st.sampled_from(["staging", None])),
    st.tuples(st.just("override"), st.sampled_from(["v1", "v2", "v3", "v4", "v9", None])),
    st.tuples(st.just("attempt"), st.none()),
    st.tuples(st.just("later"), st.sampled_from([1, 15, 70, 1500])),
    st.tuples(st.just("scale"), st.sampled_from([0, 1, 2])),
    st.tuples(st.just("upgrade"), st.none()),
    st.tuples(st.just("rollback"), st.sampled_from([{"window": "1h"}, {"window": "10m"}, None])),
)
changes = st.lists(
    st.tuples(does, st.sampled_from(STAGES), st.integers(0, 12)), min_size=2, max_size=9
)


def change(world: GatedWorld, stage: str, what: str, value: Any) -> None:
    if what == "later":
        world.now += timedelta(minutes=value)
    elif what == "override":
        world.override(stage, value)
    elif what == "attempt":
        world.refresh(stage)
    elif what == "upgrade":
        world.upgrade(f"2.0.{world.rounds}")
    elif what == "scale":
        world.edit(**{stage: {"serving": {"replicas": value}}})
    elif what == "version":
        world.edit(**{stage: value})
    elif stage == "production":
        world.edit(production={what: value})


@FEWER
@given(changes, st.booleans())
def test_settles_with_gates_and_overrides_and_no_version_bypasses_them(
    does: list[Any], eager: bool
):
    world = gated()
    world.eager = eager
    for (what, value), stage, rounds in does:
        change(world, stage, what, value)
        for _ in range(rounds):
            world.look()
    world.settle(ROUNDS + 25 * len(does))
    world.check_end()
    kept = world.model
    world.settle(QUIET)
    assert world.model == kept, "a stable spec makes no write"


@FEWER
@given(
    changes,
    st.sampled_from(STAGES),
    st.sampled_from(["v2", "v3"]),
    st.sampled_from(["v9", "v3", "v4", None, "end"]),
)
def test_nothing_switches_when_an_override_ends_or_is_replaced_by_one_without_effect(
    does: list[Any], stage: str, version: str, after: str | None
):
    world = gated()
    world.edit(**{stage: "v1"})
    world.override(stage, version)
    world.settle()
    effective = world.effective(stage)
    if after == "end":
        world.now += timedelta(hours=2)
    elif after != "v4" or effective == "v1":
        world.override(stage, after, 0 if after == "v3" else 60)
    if after != "v4":
        world.settle()
        assert world.effective(stage) == effective
    world.now += timedelta(days=2)
    world.settle()
    assert world.effective(stage) in {effective, "v4"}


def test_a_version_that_is_declared_and_desired_at_once_is_judged_by_its_gates():
    """`kubectl apply` of files does this: in the round that records the version, nothing of it was
    read yet.
    """
    world = GatedWorld(
        versions=declared("v1"), stages={"production": {"version": "v1", "gates": [SIGNATURE]}}
    )
    world.settle()
    world.patch(versions=declared("v1", "v2"))
    world.edit(production="v2")
    world.settle()
    (said,) = world.status("production").gates
    assert (said.verdict, said.message) == ("Fail", "against v1: input c is new and required")
    assert world.effective("production") == "v1"


def test_a_crash_between_any_two_steps_of_a_gated_and_of_an_overridden_promotion_changes_nothing():
    world = GatedWorld(stages={"production": {"version": None}, "staging": {"version": None}})
    route: list[Any] = [
        lambda each: each.edit(
            production={"version": "v1", "gates": [SIGNATURE, SOAK]}, staging="v1"
        ),
        lambda each: each.edit(production="v2", staging="v2"),
        lambda each: each.override("production", "v2"),
        lambda each: each.override("production", "v9"),
        lambda each: each.edit(production={"override": None, "attempt": 1, "version": "v1"}),
    ]
    for turn in route:
        turn(world)
        forks = crashes(world, 2, 1)
        world.check_end()
        for crashed in forks:
            crashed.settle()
            assert crashed.told() == world.told()
    assert world.now >= NOW
