"""RegisteredModel with `rollout` from many initial states: it settles, leaves no pod with a rule,
and survives a crash anywhere.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from modelyard.api.registered_model import Outcome
from tests.unit.model_world import QUIET, ROUNDS
from tests.unit.model_world_crashes import crashes
from tests.unit.rollout_world import CANARY, RolloutWorld, rolled_out
from tests.unit.test_registered_model_settles_gated import FEWER

OTHER = {
    "strategy": "Canary",
    "steps": [{"replicas": 1}, {"weight": 30}, {"weight": 10}, {"hold": "1m"}],
}
PAUSED = {"strategy": "Canary", "steps": [{"weight": 10}, {"pause": {}}]}


def change(world: RolloutWorld, what: str, value: Any) -> None:
    if what == "version":
        world.edit(production=value)
    elif what == "rollout":
        world.edit(production={"rollout": value})
    elif what == "later":
        world.now += timedelta(seconds=value)
    elif what == "replicas":
        world.edit(production={"serving": {"replicas": value}})
    elif what == "down":
        world.down = set(value)
        world.others()
    elif what == "override":
        until = (world.now + timedelta(hours=1)).isoformat()
        asked = {"version": value, "reason": "incident", "until": until} if value else None
        world.edit(production={"override": asked})
    elif what == "upgrade":
        world.upgrade(f"2.0.{world.rounds}")
        world.refresh("production")


does = st.one_of(
    st.tuples(st.just("version"), st.sampled_from(["v1", "v2", "v2", "v3", None])),
    st.tuples(st.just("rollout"), st.sampled_from([None, CANARY, OTHER, PAUSED])),
    st.tuples(st.just("later"), st.sampled_from([5, 20, 700])),
    st.tuples(st.just("replicas"), st.sampled_from([0, 1, 3])),
    st.tuples(st.just("down"), st.sampled_from([[], ["v1"], ["v2"]])),
    st.tuples(st.just("override"), st.sampled_from(["v1", "v2", None])),
    st.tuples(st.just("upgrade"), st.none()),
)
changes = st.lists(st.tuples(does, st.integers(0, 14)), min_size=2, max_size=9)


@FEWER
@given(changes, st.booleans())
def test_settles_whatever_happens(does: list[Any], eager: bool):
    world = rolled_out()
    world.eager = eager
    for (what, value), rounds in does:
        change(world, what, value)
        for _ in range(rounds):
            world.look()
    world.down = set()
    world.edit(production={"rollout": CANARY, "override": None, "serving": {"replicas": 1}})
    world.settle(ROUNDS * 4 + 25 * len(does))
    for _ in range(3):  # two holds, and a wait of a day
        world.now += timedelta(hours=30)
        world.settle(ROUNDS * 4)
    kept = world.model
    world.settle(QUIET)
    assert world.model == kept, "a stable spec makes no write"
    stage = world.status("production")
    assert stage.rollout is None, "a rollout ends"
    assert not [each for version in ("v1", "v2", "v3") for each in world.rules(version)], (
        "no pod splits without a rollout"
    )
    identities = {
        each["metadata"]["labels"]["modelyard.io/identity"] for each in world.of_kind("Deployment")
    }
    assert identities == ({stage.runtime.identity} if stage.runtime is not None else set()), (
        "nothing is kept longer than it is needed"
    )
    assert len(world.of_kind("Service")) == len(identities), "nor is an address"


def test_a_crash_between_any_two_steps_of_a_round_changes_nothing():
    world = rolled_out(
        rollout=CANARY | {"steps": [{"weight": 5}, {"replicas": 2}, {"weight": 50}, {"hold": "5s"}]}
    )
    world.edit(production="v2")
    forks = crashes(world, 2)
    for crashed in forks:
        crashed.settle(ROUNDS * 3)
        assert crashed.told() == world.told()
    assert (world.effective("production"), world.front("production")) == ("v2", "v2")
    assert [entry.outcome for entry in world.model.status.history] == [
        Outcome.PROMOTED,
        Outcome.PROMOTED,
    ]
