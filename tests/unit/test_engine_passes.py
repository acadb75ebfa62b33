"""The whole engine, step by step, with a toy kind, in memory: what it writes, what it asks, and what it does when things go wrong."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from modelyard.cache import Cache
from modelyard.controller import FINALIZER, Relation
from modelyard.engine.engine import Engine, Options
from modelyard.engine.report import conditions_of
from modelyard.errors import Ambiguous, Conflict, Forbidden, Invalid, ModelyardError, Unavailable
from modelyard.plan import Manifest
from modelyard.ports import Tenant
from tests.engine.toy import Toys, manifest
from tests.fakes.calls import Calls
from tests.fakes.clock import FakeClock, settle
from tests.fakes.cluster import FakeCluster, Killed
from tests.fakes.mlflow import FakeTracking
from tests.fakes.s3 import FakeStore

MINUTE = timedelta(minutes=1)
DOWN = Unavailable("MLflow", "find experiment", "risk/fraud")


@dataclass
class World:
    """A cluster and an MLflow that outlive operators, and the operator that runs now."""

    toys: Toys = field(default_factory=Toys)
    relations: tuple[Relation, ...] = ()
    options: Options = field(default_factory=Options)
    clock: FakeClock = field(default_factory=FakeClock)
    calls: Calls = field(default_factory=Calls)

    def __post_init__(self) -> None:
        self.tracking = FakeTracking(clock=self.clock.now, calls=self.calls)
        self.tenants = 0
        self.fence: list[ModelyardError] = []
        self.cluster = FakeCluster(Cache(["experiments"]), clock=self.clock, calls=self.calls)
        self.restart()

    def restart(self) -> None:
        """Begin a new operator, which knows nothing."""
        self.calls.on_call = lambda _operation, _phase: None
        cache = Cache(["experiments", "trainingruns"])
        self.cluster.attach(cache)
        controllers = [self.toys.controller(*self.relations)]
        self.engine = Engine(
            controllers, self, self.cluster, cache=cache, clock=self.clock, options=self.options, dice=lambda: 0.5, fence=self._fence
        )
        self.engine.open()

    def _fence(self) -> None:
        if self.fence:
            raise self.fence[0]

    async def tenant(self, namespace: str) -> Tenant:
        self.tenants += 1
        return Tenant(self.tracking, FakeStore("bucket", namespace, calls=self.calls), "bucket", "http://mlflow.test")

    async def settle(self, within: timedelta = timedelta()) -> int:
        return await settle(self.engine, self.clock, within)

    def toy(self, name: str = "fraud") -> Manifest:
        body = self.cluster.live("experiments", "risk", name)
        assert body is not None
        return body

    def condition(self, type_: str, name: str = "fraud") -> tuple[str, str]:
        found = conditions_of(self.toy(name)["status"])[type_]
        return found["status"], found["reason"]

    def count(self, *operations: str) -> int:
        return len(self.calls.named(*operations))

    @property
    def outside(self) -> list[str]:
        """Who was called, in order."""
        return self.calls.names


@pytest.fixture
def world() -> World:
    return World()


# --- the good way ---------------------------------------------------------------------------------------
async def test_an_object_is_brought_about_with_the_fewest_writes(world: World) -> None:
    world.cluster.create(manifest())
    await world.settle()
    assert world.outside == [
        "experiment",
        "set_finalizers",
        "create_experiment",
        "experiment",
        "apply",
        "experiment",
        "write_status",
        "event",
        "event",
        "event",
    ]
    assert world.condition("Ready") == ("True", "Synced")
    assert world.toy()["metadata"]["finalizers"] == [FINALIZER]
    assert world.toy()["status"]["observedGeneration"] == 1


async def test_the_finalizer_stands_before_anything_is_made_outside(world: World) -> None:
    world.cluster.create(manifest())
    seen = []

    def look(operation: str, phase: str) -> None:
        if (operation, phase) == ("create_experiment", "before"):
            seen.append(world.toy()["metadata"].get("finalizers"))

    world.calls.on_call = look
    await world.settle()
    assert seen == [[FINALIZER]]


async def test_transitional_statuses_are_not_written(world: World) -> None:
    world.cluster.create(manifest(children=3))
    await world.settle()
    assert world.count("write_status") == 1


async def test_our_own_writes_cause_no_second_look(world: World) -> None:
    world.cluster.create(manifest())
    await world.settle()
    looks = dict(world.toys.looks)
    world.cluster.relisten()
    await world.settle()
    assert world.toys.looks == looks == {"fraud": 3}


async def test_an_idle_object_is_looked_at_once_a_resync_and_not_written(world: World) -> None:
    world.cluster.create(manifest())
    await world.settle()
    world.calls.log.clear()
    await world.settle(within=10 * MINUTE)
    assert world.outside == ["experiment", "experiment"]


async def test_a_restart_asks_nobody_anything_until_the_resync(world: World) -> None:
    for number in range(20):
        world.cluster.create(manifest(f"toy-{number}"))
    await world.settle()
    for _ in range(10):
        world.calls.log.clear()
        world.restart()
        await world.settle()
        assert world.outside == []
    await world.settle(within=6 * MINUTE)
    assert set(world.outside) == {"experiment"}
    assert len(world.outside) >= 20


async def test_a_restart_looks_at_once_at_what_was_under_way(world: World) -> None:
    world.cluster.create(manifest())
    world.toys.raises["fraud"] = DOWN
    await world.settle()
    world.toys.raises.clear()
    world.restart()
    await world.settle()
    assert world.condition("Ready") == ("True", "Synced")


async def test_a_change_of_the_spec_is_carried_out_at_once(world: World) -> None:
    world.cluster.create(manifest())
    await world.settle()
    world.cluster.edit("experiments", "risk", "fraud", lambda body: body["spec"].update(value="red"))
    await world.settle()
    assert world.toy()["status"]["value"] == "red"
    assert world.toy()["status"]["observedGeneration"] == 2
    child = world.cluster.live("v1/ConfigMap", "risk", "fraud-0")
    assert child is not None
    assert child["data"] == {"value": "red"}


async def test_a_child_that_somebody_changed_or_deleted_is_repaired_at_once(world: World) -> None:
    world.cluster.create(manifest(value="red", children=2))
    await world.settle()
    world.cluster.edit("v1/ConfigMap", "risk", "fraud-0", lambda body: body.update(data={"value": "blue"}))
    world.cluster.remove("v1/ConfigMap", "risk", "fraud-1")
    await world.settle()
    assert [child["data"] for child in world.cluster.all("v1/ConfigMap")] == [{"value": "red"}, {"value": "red"}]


async def test_a_child_too_many_goes(world: World) -> None:
    world.cluster.create(manifest(children=2))
    await world.settle()
    world.cluster.edit("experiments", "risk", "fraud", lambda body: body["spec"].update(children=1))
    await world.settle()
    assert [child["metadata"]["name"] for child in world.cluster.all("v1/ConfigMap")] == ["fraud-0"]
    assert world.count("delete") == 1


async def test_a_plan_that_wants_another_look_gets_it(world: World) -> None:
    world.cluster.create(manifest(again=30))
    await world.settle()
    looks = world.toys.looks["fraud"]
    await world.settle(within=2 * MINUTE)
    assert world.toys.looks["fraud"] == looks + 4


async def test_a_namespaces_clients_are_looked_up_once_a_pass(world: World) -> None:
    world.cluster.create(manifest())
    await world.settle()
    assert world.tenants == 1
    assert world.toys.looks["fraud"] == 3


async def test_a_deleted_object_is_let_go_when_nothing_is_left_outside(world: World) -> None:
    world.cluster.create(manifest())
    await world.settle()
    world.cluster.remove("experiments", "risk", "fraud")
    await world.settle()
    assert world.cluster.live("experiments", "risk", "fraud") is None
    assert world.cluster.all("v1/ConfigMap") == []
    assert world.outside.count("delete_experiment") == 1
    assert world.outside.index("delete_experiment") < len(world.outside) - 1 - world.outside[::-1].index("set_finalizers")


async def test_an_object_that_others_hold_on_to_is_left_alone_after_its_release(world: World) -> None:
    body = manifest()
    body["metadata"]["finalizers"] = ["somebody.else/holds"]
    world.cluster.create(body)
    await world.settle()
    world.cluster.remove("experiments", "risk", "fraud")
    await world.settle()
    world.calls.log.clear()
    await world.settle(within=20 * MINUTE)
    assert world.toy()["metadata"]["finalizers"] == ["somebody.else/holds"]
    assert world.outside == []


async def test_a_name_that_is_used_again_is_another_object(world: World) -> None:
    world.cluster.create(manifest())
    await world.settle()
    world.cluster.remove("experiments", "risk", "fraud")
    await world.settle()
    world.cluster.create(manifest(value="new"))
    await world.settle()
    assert world.toy()["status"]["value"] == "new"
    assert [child["data"] for child in world.cluster.all("v1/ConfigMap")] == [{"value": "new"}]


# --- events ---------------------------------------------------------------------------------------------
async def test_users_are_told_of_each_transition_once(world: World) -> None:
    world.cluster.create(manifest())
    await world.settle(within=30 * MINUTE)
    assert world.cluster.events == [
        ("Experiment", "fraud", "Created", "Made.", False),
        ("Experiment", "fraud", "Synced", "All is well.", False),
        ("Experiment", "fraud", "Toy", "It is a toy.", False),
    ]


async def test_what_flips_to_and_fro_is_told_once_in_ten_minutes(world: World) -> None:
    world.cluster.create(manifest())
    await world.settle()
    for _ in range(5):
        world.toys.raises["fraud"] = DOWN
        world.cluster.edit("experiments", "risk", "fraud", lambda body: body["metadata"].update(labels={"x": str(world.clock.time())}))
        await world.settle()
        world.toys.raises.clear()
        world.clock.advance(60)
        await world.settle()
    assert [event[2] for event in world.cluster.events].count("MLflowUnavailable") == 1
    world.clock.advance(600)
    world.toys.raises["fraud"] = DOWN
    await world.settle(within=6 * MINUTE)
    assert [event[2] for event in world.cluster.events].count("MLflowUnavailable") == 2


async def test_an_event_that_cannot_be_told_stops_nobody(world: World) -> None:
    world.cluster.create(manifest())
    world.cluster.fail_next("event", ValueError("oops"))
    await world.settle()
    assert [event[2] for event in world.cluster.events] == ["Synced", "Toy"]
    assert world.condition("Ready") == ("True", "Synced")


# --- the bad way ----------------------------------------------------------------------------------------
async def test_an_error_is_told_and_tried_again_ever_more_slowly(world: World) -> None:
    world.toys.raises["fraud"] = DOWN
    world.cluster.create(manifest())
    await world.settle()
    assert world.condition("Ready") == ("False", "MLflowUnavailable")
    times = []
    for _ in range(9):
        assert world.engine.next_time is not None
        world.clock.advance(world.engine.next_time - world.clock.time())
        times.append(world.clock.time())
        await world.settle()
    pauses = [round(b - a, 2) for a, b in zip([0.0, *times], times, strict=False)]
    assert pauses == [0.55, 1.1, 2.2, 4.4, 8.8, 17.6, 33.0, 33.0, 33.0]
    assert world.count("write_status") == 1


async def test_what_heals_is_ready_again_and_its_failures_are_forgotten(world: World) -> None:
    world.toys.raises["fraud"] = DOWN
    world.cluster.create(manifest())
    await world.settle(within=2 * MINUTE)
    world.toys.raises.clear()
    await world.settle(within=MINUTE)
    assert world.condition("Ready") == ("True", "Synced")
    world.toys.raises["fraud"] = DOWN
    world.cluster.edit("experiments", "risk", "fraud", lambda body: body["spec"].update(value="x"))
    await world.settle()
    assert world.engine.next_time == pytest.approx(world.clock.time() + 0.55)


async def test_who_asks_to_be_left_alone_is(world: World) -> None:
    error = Unavailable("MLflow", "find experiment", "risk/fraud")
    error.retry_after = 42.0
    world.toys.raises["fraud"] = error
    world.cluster.create(manifest())
    await world.settle()
    assert world.engine.next_time == world.clock.time() + 42.0


async def test_an_event_does_not_cut_a_back_off_short_but_a_change_does(world: World) -> None:
    world.toys.raises["fraud"] = DOWN
    world.cluster.create(manifest())
    await world.settle(within=MINUTE)
    looks = world.toys.looks["fraud"]
    world.cluster.edit("experiments", "risk", "fraud", lambda body: body["status"].update(id="scribble"))
    await world.settle()
    assert world.toys.looks["fraud"] == looks
    world.cluster.edit("experiments", "risk", "fraud", lambda body: body["spec"].update(value="x"))
    await world.settle()
    assert world.toys.looks["fraud"] == looks + 1


async def test_a_create_that_was_not_heard_of_is_searched_for_and_not_repeated(world: World) -> None:
    world.cluster.create(manifest())
    world.cluster.fail_next("create_experiment", Ambiguous("MLflow", "create experiment", "risk/fraud"), after=True)
    await world.settle(within=MINUTE)
    assert world.condition("Ready") == ("True", "Synced")
    assert world.count("create_experiment") == 1
    assert len(world.tracking.experiments) == 1


@pytest.mark.parametrize("error", [Invalid("S3", "make", "x"), Forbidden("MLflow", "make", "x"), Unavailable("S3", "make", "x")])
async def test_each_error_reaches_the_status(world: World, error: ModelyardError) -> None:
    world.toys.raises["fraud"] = error
    world.cluster.create(manifest())
    await world.settle()
    assert world.condition("Ready")[0] == "False"
    assert error.dependency in conditions_of(world.toy()["status"])["Ready"]["message"]


async def test_a_conflict_is_tried_again_soon_and_not_told(world: World) -> None:
    world.cluster.create(manifest())
    world.cluster.fail_next("apply", Conflict("Kubernetes", "apply", "x"))
    await world.settle(within=timedelta(seconds=1))
    assert world.condition("Ready") == ("True", "Synced")
    assert world.count("write_status") == 1


async def test_a_bug_is_told_and_nobody_dies_of_it(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.toys.raises["fraud"] = ZeroDivisionError("oops")
    world.cluster.create(manifest("other"))
    world.cluster.create(manifest())
    await world.settle()
    assert world.condition("Stalled") == ("True", "InternalError")
    assert "bug" in conditions_of(world.toy()["status"])["Stalled"]["message"]
    assert "oops" not in str(world.toy()["status"])
    assert "ZeroDivisionError: oops" in caplog.text
    assert world.condition("Ready", "other") == ("True", "Synced")
    world.toys.raises.clear()
    await world.settle(within=MINUTE)
    assert world.condition("Stalled") == ("False", "Synced")


async def test_an_object_that_does_not_fit_its_kind_is_told_what_is_wrong(world: World) -> None:
    world.cluster.create(manifest(children="many"))
    await world.settle()
    assert world.condition("Stalled") == ("True", "InvalidSpec")
    assert "spec.children" in conditions_of(world.toy()["status"])["Stalled"]["message"]
    assert world.toys.looks == {}
    world.cluster.edit("experiments", "risk", "fraud", lambda body: body["spec"].update(children=1))
    await world.settle()
    assert world.condition("Stalled") == ("False", "Synced")


async def test_a_pass_that_takes_too_long_is_given_up(world: World) -> None:
    world = World(options=Options(deadline=0.01))
    world.cluster.create(manifest())
    never = asyncio.Event()

    async def hangs(*_: Any) -> None:
        await never.wait()

    class Hanging(FakeTracking):
        experiment = hangs  # type: ignore[assignment]

    world.tracking = Hanging(calls=world.calls)
    await world.settle()
    assert world.condition("Reconciling") == ("True", "PassTimedOut")


async def test_nobody_writes_without_the_lease(world: World) -> None:
    world.fence.append(Unavailable("Kubernetes", "write", "anything", "no lease"))
    world.cluster.create(manifest())
    await world.settle(within=MINUTE)
    assert set(world.outside) == {"experiment"}
    world.fence.clear()
    await world.settle(within=MINUTE)
    assert world.condition("Ready") == ("True", "Synced")


async def test_while_kubernetes_does_not_answer_only_one_tries_at_a_time(world: World) -> None:
    def down(operation: str, _phase: str) -> None:
        if operation in {"apply", "write_status", "set_finalizers"}:
            raise Unavailable("Kubernetes", operation, "x")

    for number in range(50):
        world.cluster.create(manifest(f"toy-{number}"))
    world.calls.on_call = down
    await world.settle(within=timedelta(seconds=20))
    assert world.count("set_finalizers") < 25
    world.calls.on_call = lambda _operation, _phase: None
    await world.settle(within=timedelta(seconds=5))
    assert {world.condition("Ready", f"toy-{number}") for number in range(50)} == {("True", "Synced")}


async def test_an_object_that_has_more_to_do_than_one_pass_lets_others_have_their_turn(world: World) -> None:
    world = World(options=Options(rounds=2))
    world.cluster.create(manifest("a"))
    world.cluster.create(manifest("b"))
    first = await world.engine.step()
    second = await world.engine.step()
    assert first is not None
    assert second is not None
    assert (first[1], second[0].name) == ("busy", "b")
    await world.settle()
    assert world.condition("Ready", "a") == ("True", "Synced")


# --- what watches lose ----------------------------------------------------------------------------------
async def test_a_lost_event_comes_to_light_by_the_list(world: World) -> None:
    world.cluster.create(manifest("stays"))
    world.cluster.create(manifest("goes"))
    await world.settle()
    world.cluster.deaf = True
    world.cluster.edit("experiments", "risk", "stays", lambda body: body["spec"].update(value="new"))
    world.cluster.edit("experiments", "risk", "goes", lambda body: body["metadata"].update(finalizers=[]))
    world.cluster.remove("experiments", "risk", "goes")
    world.cluster.create(manifest("comes"))
    assert await world.settle() == 0
    world.cluster.deaf = False
    assert await world.engine.audit() == 3
    await world.settle()
    assert world.toy("stays")["status"]["value"] == "new"
    assert world.condition("Ready", "comes") == ("True", "Synced")
    assert await world.engine.audit() == 0


async def test_a_stale_view_makes_no_duplicate_and_harms_no_successor(world: World) -> None:
    world.cluster.create(manifest())
    await world.settle()
    world.cluster.deaf = True
    world.cluster.edit("experiments", "risk", "fraud", lambda body: body["metadata"].update(finalizers=[]))
    world.cluster.remove("experiments", "risk", "fraud")
    world.cluster.create(manifest(value="successor"))
    world.clock.advance(400)
    await world.settle(within=timedelta(seconds=5))
    assert "status" not in world.toy()
    world.cluster.relisten()
    await world.settle()
    assert world.toy()["status"]["value"] == "successor"


async def test_a_related_change_causes_a_look_though_nothing_of_its_own_changed() -> None:
    world = World(relations=(Relation("trainingruns", lambda run, _cluster: [run["spec"]["experiment"]]),))
    world.cluster.create(manifest())
    await world.settle()
    looks = world.toys.looks["fraud"]
    run = manifest("run-1", experiment="fraud") | {"kind": "TrainingRun"}
    world.cluster.create(run)
    await world.settle()
    assert world.toys.looks["fraud"] == looks + 1
    world.cluster.edit("trainingruns", "risk", "run-1", lambda body: body.update(status={"completionTime": "now"}))
    await world.settle()
    assert world.toys.looks["fraud"] == looks + 2


async def test_a_relation_that_fails_is_logged_and_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    world = World(relations=(Relation("trainingruns", lambda run, _cluster: [run["spec"]["nonsense"]]),))
    world.cluster.create(manifest("run-1") | {"kind": "TrainingRun"})
    assert "KeyError" in caplog.text


# --- crash anywhere -------------------------------------------------------------------------------------
CRASH_POINTS = [(number, phase) for number in range(1, 13) for phase in ("before", "after")]


async def _life(world: World) -> None:
    """A whole life: made, changed, deleted."""
    world.cluster.create(manifest(children=2))
    await world.settle(within=MINUTE)
    world.cluster.edit("experiments", "risk", "fraud", lambda body: body["spec"].update(value="red", children=1))
    await world.settle(within=MINUTE)


@pytest.mark.parametrize(("number", "phase"), CRASH_POINTS)
async def test_a_crash_anywhere_changes_nothing_of_the_end(number: int, phase: str) -> None:
    expected = World()
    await _life(expected)
    world = World()
    left = number

    def kill(_operation: str, when: str) -> None:
        nonlocal left
        if when == phase:
            left -= 1
            if left == 0:
                raise Killed

    world.calls.on_call = kill
    try:
        await _life(world)
    except Killed:
        world.restart()
        await world.settle(within=MINUTE)
        world.cluster.edit("experiments", "risk", "fraud", lambda body: body["spec"].update(value="red", children=1))
        await world.settle(within=MINUTE)
    assert left <= 0, "the story is shorter than this: the test would not fail"
    assert len(world.tracking.experiments) == 1
    assert world.toy()["status"]["conditions"] == expected.toy()["status"]["conditions"]
    assert [child["data"] for child in world.cluster.all("v1/ConfigMap")] == [{"value": "red"}]
    world.cluster.remove("experiments", "risk", "fraud")
    await world.settle(within=MINUTE)
    assert world.cluster.live("experiments", "risk", "fraud") is None
