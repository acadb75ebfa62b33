"""RegisteredModel with `reverify`: it settles, and a version that failed in staging is not
promoted.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from modelyard.api.registered_model import RegisteredModel, StageStatus
from modelyard.plan import Rest
from tests.unit.model_world import QUIET, ROUNDS
from tests.unit.model_world_crashes import crashes
from tests.unit.test_registered_model_settles_gated import (
    FEWER,
    METRIC,
    SIGNATURE,
    SOAK,
    GatedWorld,
)


class VerifiedWorld(GatedWorld):
    """A world that checks that no stage promotes a version that failed in its `from` stage."""

    def check_gates(self, before: RegisteredModel, name: str, stage: StageStatus) -> None:
        super().check_gates(before, name, stage)
        spec = self.model.spec.stages[name]
        if spec.from_ is None and not any(gate.soak for gate in spec.gates):
            return
        old = before.status.stages[name]
        if (
            old.candidate is not None
            and self.routed(name) == old.candidate.runtime.identity
            and name in self.routed_before
        ):
            return  # requests had reached it before the Fail
        (version,) = [each for each in before.status.versions if each.name == stage.version]
        assert all(
            each.verified is not False
            for each in version.held
            if each.stage == "staging" and each.digest == stage.digest
        )

    def rests(self, plan: Rest[Any]) -> None:
        super().rests(plan)
        for name, stage in self.model.status.stages.items():
            spec = self.model.spec.stages.get(name)
            asked = spec.reverify if spec is not None else None
            known = stage.verification
            assert known is None or asked is not None, "nothing is kept that is not asked for"
            if (
                asked is not None
                and asked.every
                and known is not None
                and stage.version
                and any(gate.metric for gate in spec.gates)
            ):
                assert plan.requeue_after is not None or stage.override is not None, (
                    "nothing wakes it for the next round"
                )
            if known is not None and known.verdict is not None:
                (version,) = [
                    each for each in self.model.status.versions if each.name == stage.version
                ]
                said = next(each.verified for each in version.held if each.stage == name)
                assert said is (known.verdict.value == "Pass")

    @property
    def routed_before(self) -> set[str]:
        """Return the stages whose Service routes to their candidate already."""
        stages = self.model.status.stages.items()
        return {
            name
            for name, stage in stages
            if stage.candidate is not None and self.routed(name) == stage.candidate.runtime.identity
        }


def change(world: VerifiedWorld, what: str, value: Any) -> None:
    staging = world.model.spec.stages["staging"]
    if what == "later":
        world.now += timedelta(minutes=value)
    elif what == "reverify":
        world.edit(staging={"reverify": value and {"every": value}})
    elif what == "verify" and staging.reverify is not None:
        asked = staging.reverify.model_dump(exclude_none=True)
        world.edit(staging={"reverify": asked | {"attempt": staging.reverify.attempt + 1}})
    elif what == "override":
        world.override("staging", value, 20)
    elif what == "gates":
        world.edit(staging={"gates": value})
    elif what == "needs":
        world.edit(production=value)
    elif what in {"staging", "production"}:
        world.edit(**{what: value})
    elif what == "upgrade":
        world.upgrade(f"2.0.{world.rounds}")
        world.refresh("staging")


VERSIONS = st.sampled_from(["v1", "v2", "v4", None])
does = st.one_of(
    st.tuples(st.just("staging"), VERSIONS),
    st.tuples(st.just("production"), VERSIONS),
    st.tuples(st.just("reverify"), st.sampled_from(["10m", "1h", None])),
    st.tuples(st.just("verify"), st.none()),
    st.tuples(st.just("gates"), st.sampled_from([[], [METRIC], [METRIC], [SIGNATURE]])),
    st.tuples(
        st.just("needs"),
        st.sampled_from([{"from_": "staging"}, {"gates": [SOAK]}, {"from_": None, "gates": []}]),
    ),
    st.tuples(st.just("override"), st.sampled_from(["v1", "v2", None])),
    st.tuples(st.just("later"), st.sampled_from([1, 15, 70, 1500])),
    st.tuples(st.just("upgrade"), st.none()),
)
changes = st.lists(st.tuples(does, st.integers(0, 12)), min_size=2, max_size=9)


def verified(**staging: Any) -> VerifiedWorld:
    """v1 is effective in both stages; staging is verified again."""
    stages = {
        "production": {"version": "v1"},
        "staging": {"version": "v1", "reverify": {"every": "1h"}} | staging,
    }
    world = VerifiedWorld(stages=stages)
    world.settle()
    return world


@FEWER
@given(changes, st.booleans())
def test_settles_whatever_is_verified_again_and_promotes_nothing_that_failed(
    does: list[Any], eager: bool
):
    world = verified()
    world.eager = eager
    for (what, value), rounds in does:
        change(world, what, value)
        for _ in range(rounds):
            world.look()
    world.edit(staging={"reverify": None})  # otherwise one round follows the other
    world.settle(ROUNDS + 25 * len(does))
    kept = world.model
    world.settle(QUIET)
    assert world.model == kept, "a stable spec makes no write"


def test_a_crash_between_any_two_steps_of_a_round_changes_nothing():
    world = verified()
    route: list[Any] = [
        lambda each: each.edit(
            staging={"version": "v1", "gates": [METRIC], "reverify": {"attempt": 1}}
        ),
        lambda each: each.edit(production={"from_": "staging", "version": "v2"}),
        lambda each: each.edit(staging={"gates": [], "version": "v2"}),
        lambda each: each.edit(staging={"gates": [METRIC], "reverify": {"attempt": 2}}),
    ]
    for turn in route:
        turn(world)
        forks = crashes(world, 3)
        for crashed in forks:
            crashed.settle()
            assert crashed.told() == world.told()
    said = world.status("staging").verification
    assert said is not None
    assert (said.verdict, said.attempt) == ("Fail", 2)
    assert world.effective("staging") == "v2"
