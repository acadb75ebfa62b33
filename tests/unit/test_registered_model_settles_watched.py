"""RegisteredModel with `rollback.automatic`: it settles, also after a crash anywhere."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from modelyard.api.registered_model import Outcome
from modelyard.kube.names import VERSION_LABEL
from tests.unit.model_world import QUIET, ROUNDS, World
from tests.unit.model_world_crashes import crashes
from tests.unit.test_registered_model_settles_gated import FEWER

AUTOMATIC = {"automatic": {"watchFor": "10m"}}


class WatchedWorld(World):
    """A world in which the servers of some versions exit when requests reach them.

    Attributes:
        failing: The names of these versions.

    """

    failing: frozenset[str] = frozenset()

    def look(self) -> bool:
        self.fail()
        return super().look()

    def fail(self) -> None:
        """End the servers of failing versions where the Service routes to them."""
        at = f"{self.now:%Y-%m-%dT%H:%M:%SZ}"
        ended = {
            "name": "model",
            "lastState": {"terminated": {"reason": "Error", "exitCode": 139, "finishedAt": at}},
        }
        for key, there in list(self.children.items()):
            version = there["metadata"]["labels"][VERSION_LABEL]
            if key[0] == "Pod" and version in self.failing and self.front("production") == version:
                self.children[key] = there | {
                    "status": {"phase": "Running", "containerStatuses": [ended]}
                }


def change(world: WatchedWorld, what: str, value: Any) -> None:
    if what == "version":
        world.edit(production=value)
    elif what == "failing":
        world.failing = frozenset(value)
    elif what == "rollback":
        world.edit(production={"rollback": value})
    elif what == "later":
        world.now += timedelta(seconds=value)
    elif what == "replicas":
        world.edit(production={"serving": {"replicas": value}})
    elif what == "upgrade":
        world.upgrade(f"2.0.{world.rounds}")
        world.refresh("production")
    elif what == "retry":
        world.refresh("production")


does = st.one_of(
    st.tuples(st.just("version"), st.sampled_from(["v1", "v2", "v3", None])),
    st.tuples(st.just("failing"), st.sampled_from([[], ["v1"], ["v2"], ["v1", "v2"]])),
    st.tuples(st.just("rollback"), st.sampled_from([None, AUTOMATIC, AUTOMATIC])),
    st.tuples(st.just("later"), st.sampled_from([5, 20, 400, 700])),
    st.tuples(st.just("replicas"), st.sampled_from([0, 1, 2])),
    st.tuples(st.just("upgrade"), st.none()),
    st.tuples(st.just("retry"), st.none()),
)
changes = st.lists(st.tuples(does, st.integers(0, 12)), min_size=2, max_size=9)


def watched(**production: Any) -> WatchedWorld:
    """v1 is effective in production, and its successors are watched."""
    world = WatchedWorld(
        stages={"production": {"version": "v1", "rollback": AUTOMATIC} | production}
    )
    world.settle(ROUNDS * 3)
    return world


@FEWER
@given(changes, st.booleans())
def test_settles_whatever_fails(does: list[Any], eager: bool):
    world = watched()
    world.eager = eager
    for (what, value), rounds in does:
        change(world, what, value)
        for _ in range(rounds):
            world.look()
    world.edit(production={"serving": {"replicas": 1}})
    world.settle(ROUNDS * 3 + 25 * len(does))
    world.failing = frozenset()
    world.now += timedelta(hours=1)
    world.settle(ROUNDS * 3)
    kept = world.model
    world.settle(QUIET)
    assert world.model == kept, "a stable spec makes no write"
    stage = world.status("production")
    assert stage.watch is None or stage.blocked is not None, "a watch ends"
    identities = {
        each["metadata"]["labels"]["modelyard.io/identity"] for each in world.of_kind("Deployment")
    }
    assert identities == ({stage.runtime.identity} if stage.runtime is not None else set()), (
        "nothing is kept longer than it is needed"
    )


def test_a_crash_between_any_two_steps_of_a_round_changes_nothing():
    world = watched()
    world.failing = frozenset({"v2"})
    world.edit(production="v2")
    forks = crashes(world, 2)
    for crashed in forks:
        crashed.settle(ROUNDS * 3)
        assert crashed.told() == world.told()
    assert (world.effective("production"), world.front("production")) == ("v1", "v1")
    assert [entry.outcome for entry in world.model.status.history] == [
        Outcome.PROMOTED,
        Outcome.PROMOTED,
        Outcome.ROLLED_BACK,
    ]
    assert [(each.version, each.reason) for each in world.status("production").rejected] == [
        ("v2", "RolledBack")
    ]
