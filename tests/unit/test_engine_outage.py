"""MLflow or S3 is down for a namespace: one object probes, and all are released on success."""

from __future__ import annotations

import math
import random
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelyard.cache import Key
from modelyard.engine.backoff import RateLimiter
from modelyard.engine.queue import Queue
from modelyard.engine.result import Outcome, ReconcileResult
from modelyard.engine.schedule import Schedule
from modelyard.errors import Forbidden, Invalid, ModelyardError, Unavailable
from tests.engine.toy import manifest
from tests.unit.engine_world import DOWN, MINUTE, World

MANY = [f"toy-{number}" for number in range(100)]
KEYS = [
    Key("experiments", namespace, f"e-{number}") for namespace in ("a", "b") for number in range(4)
]
CONNECTION = Invalid("Kubernetes", "read connection", "risk/modelyard-connection")


@pytest.fixture
def world() -> World:
    return World()


def made(world: World, names: list[str], error: Exception = DOWN) -> None:
    for name in names:
        world.toys.raises[name] = error
        world.cluster.create(manifest(name))


def ready(world: World, names: list[str]) -> int:
    return sum(world.condition("Ready", name) == ("True", "Synced") for name in names)


@pytest.mark.parametrize(
    "error", [DOWN, Unavailable("S3", "list", "x"), Forbidden("MLflow", "find", "x"), CONNECTION]
)
async def test_one_parked_object_probes_and_its_success_releases_all(
    world: World, error: ModelyardError
) -> None:
    made(world, MANY, error)
    await world.settle()
    assert ready(world, MANY) == 0
    looks = sum(world.toys.rounds.values())
    await world.settle(within=5 * MINUTE)
    assert 100 <= sum(world.toys.rounds.values()) - looks <= 200, (
        "every object probes within five minutes, and none much more often"
    )
    world.toys.raises.clear()
    await world.settle(within=timedelta(seconds=8))
    assert ready(world, MANY) == 100
    assert world.engine.parked == {}


async def test_few_parked_objects_probe_every_half_minute_at_least(world: World) -> None:
    made(world, MANY[:3])
    await world.settle(within=10 * MINUTE)
    world.toys.raises.clear()
    await world.settle(within=timedelta(seconds=31))
    assert ready(world, MANY[:3]) == 3


async def test_an_object_that_always_fails_does_not_hold_up_the_others(world: World) -> None:
    made(world, ["bad", *MANY[:5]])
    await world.settle(within=5 * MINUTE)
    for name in MANY[:5]:
        del world.toys.raises[name]
    await world.settle(within=MINUTE)
    assert ready(world, MANY[:5]) == 5
    assert world.engine.parked == {("risk", "MLflow"): 1}


async def test_if_the_probing_object_is_deleted_another_probes(world: World) -> None:
    made(world, MANY)
    await world.settle()
    for name in MANY[:99]:
        world.cluster.remove("experiments", "risk", name)
    await world.settle()
    world.toys.raises.clear()
    await world.settle(within=MINUTE)
    assert ready(world, MANY[99:]) == 1


async def test_a_changed_object_is_reconciled_at_once_while_it_is_parked(world: World) -> None:
    made(world, MANY)
    await world.settle(within=5 * MINUTE)
    rounds = world.toys.rounds["toy-7"]
    world.cluster.edit("experiments", "risk", "toy-7", lambda body: body["spec"].update(value="x"))
    await world.settle()
    assert world.toys.rounds["toy-7"] == rounds + 1


def test_a_parked_object_is_skipped_until_it_probes_or_is_released() -> None:
    schedule = Schedule(Queue(4), RateLimiter(300, 50, lambda: 0.5), lambda: 0.5)
    first, second = KEYS[:2]
    for key in (first, second):
        schedule.after(key, ReconcileResult(Outcome.FAILED, 5, down="MLflow"), 100.0)
    assert [schedule.may_skip(key, 5, 1000.0) for key in (first, second)] == [False, True]
    assert not schedule.may_skip(second, 6, 100.0), "it was changed"
    schedule.after(first, ReconcileResult(Outcome.SETTLED, 5), 1000.0)
    assert [schedule.may_skip(key, 5, 1000.5) for key in (first, second)] == [True, False]


async def test_parked_objects_are_counted(world: World) -> None:
    made(world, MANY[:4])
    made(world, MANY[4:6], Unavailable("S3", "list", "x"))
    made(world, ["odd"], ZeroDivisionError("a bug"))
    await world.settle()
    assert world.engine.parked == {("risk", "MLflow"): 4, ("risk", "S3"): 2}
    count = world.metrics.registry.get_sample_value
    assert count("modelyard_objects_waiting", {"namespace": "risk", "dependency": "MLflow"}) == 4


async def test_a_namespace_does_not_wait_for_another(world: World) -> None:
    made(world, MANY)
    await world.settle(within=5 * MINUTE)
    world.cluster.create(manifest("fraud", namespace="other"))
    await world.settle()
    body = world.cluster.live("experiments", "other", "fraud")
    assert body is not None
    assert body["status"]["id"]


ENDS = [
    *(ReconcileResult(each) for each in Outcome if each is not Outcome.SKIPPED),
    ReconcileResult(Outcome.FAILED, down="MLflow"),
    ReconcileResult(Outcome.FAILED, down="MLflow"),
    ReconcileResult(Outcome.FAILED, down="S3", retry_after=7),
]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(KEYS), st.sampled_from(ENDS), st.integers(0, 40)), max_size=60
    )
)
def test_every_outage_has_a_next_probe_whatever_happens(
    ends: list[tuple[Key, ReconcileResult, int]],
) -> None:
    """And no parked object is lost: once all calls succeed, each is reconciled."""
    queue, jitter = Queue(4), random.Random(1).random
    schedule, now = Schedule(queue, RateLimiter(300, 50, jitter), jitter), 0.0
    there = set[Key]()
    for key, result, pause in ends:
        now += pause
        schedule.after(key, result, now)
        (there.discard if result.outcome is Outcome.GONE else there.add)(key)
    got_on = set[Key]()
    while (when := queue.next_time()) is not None and when < now + 700:
        key = queue.take(when)
        assert key is not None
        got_on.add(key)
        schedule.after(key, ReconcileResult(Outcome.SETTLED), when)
        queue.done(key, when)
    assert got_on == there
    assert not schedule.parked()
    assert all(entry.due < math.inf for entry in schedule._entries.values())
