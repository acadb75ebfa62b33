"""The whole engine in memory with a toy kind: its reads and writes without failures."""

from __future__ import annotations

import pytest

from modelyard.controller import FINALIZER
from modelyard.engine.engine import Options
from modelyard.errors import Unavailable
from modelyard.plan import Manifest
from tests.engine.toy import manifest
from tests.unit.engine_world import DOWN, MINUTE, World


@pytest.fixture
def world() -> World:
    return World()


# --- the good way ---------------------------------------------------------------------------------
async def test_an_object_is_created_with_the_fewest_writes(world: World) -> None:
    world.cluster.create(manifest())
    await world.settle()
    assert world.outside == [
        "experiment",
        "set_finalizers",
        "create_experiment",
        "experiment",
        "apply",
        "write_status",
        "event",
        "event",
        "event",
    ]
    assert world.condition("Ready") == ("True", "Synced")
    assert world.toy()["metadata"]["finalizers"] == [FINALIZER]
    assert world.toy()["status"]["observedGeneration"] == 1


async def test_the_finalizer_is_set_before_any_external_write(world: World) -> None:
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


async def test_our_own_writes_cause_no_second_reconcile(world: World) -> None:
    world.cluster.create(manifest())
    await world.settle()
    rounds = dict(world.toys.rounds)
    world.cluster.relisten()
    await world.settle()
    assert world.toys.rounds == rounds == {"fraud": 3}


async def test_an_idle_object_is_reconciled_once_per_resync_and_not_written(world: World) -> None:
    world.cluster.create(manifest())
    await world.settle()
    world.calls.log.clear()
    await world.settle(within=10 * MINUTE)
    assert world.outside == ["experiment", "experiment"]


async def test_many_unchanged_objects_are_resynced_less_often_but_a_changed_one_soon() -> None:
    world = World(options=Options(resync=300.0, resyncs_per_second=0.01))
    for number in range(12):  # at most 0.01 a second: each after 1,200 s
        world.cluster.create(manifest(f"toy-{number}"))
    await world.settle(within=10 * MINUTE)
    world.calls.log.clear()
    await world.settle(within=25 * MINUTE)
    assert 12 <= world.count("experiment") <= 24
    world.tracking.experiments.clear()
    world.calls.log.clear()
    await world.settle(within=25 * MINUTE)
    assert world.count("create_experiment") == 12
    # The round that creates, the one after it, and one five minutes later.
    assert 36 <= world.count("experiment") <= 48


async def test_a_restart_reads_nothing_external_until_the_resync(world: World) -> None:
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


async def test_a_restart_reconciles_changes_under_way_at_once(world: World) -> None:
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
    world.cluster.edit(
        "experiments", "risk", "fraud", lambda body: body["spec"].update(value="red")
    )
    await world.settle()
    assert world.toy()["status"]["value"] == "red"
    assert world.toy()["status"]["observedGeneration"] == 2
    child = world.cluster.live("v1/ConfigMap", "risk", "fraud-0")
    assert child is not None
    assert child["data"] == {"value": "red"}


def rewritten(child: Manifest) -> None:
    """Have another client apply other data to a ConfigMap of ours; only its annotation is
    watched.
    """
    child["data"] = {"value": "theirs"}
    child["metadata"]["annotations"].pop("modelyard.io/content")


async def test_a_changed_or_deleted_owned_object_is_repaired_at_once(
    world: World,
) -> None:
    world.cluster.create(manifest(value="red", children=2))
    await world.settle()
    world.cluster.edit("v1/ConfigMap", "risk", "fraud-0", rewritten)
    world.cluster.remove("v1/ConfigMap", "risk", "fraud-1")
    await world.settle()
    assert [child["data"] for child in world.cluster.all("v1/ConfigMap")] == [
        {"value": "red"},
        {"value": "red"},
    ]


async def test_a_surplus_owned_object_is_deleted(world: World) -> None:
    world.cluster.create(manifest(children=2))
    await world.settle()
    world.cluster.edit("experiments", "risk", "fraud", lambda body: body["spec"].update(children=1))
    await world.settle()
    assert [child["metadata"]["name"] for child in world.cluster.all("v1/ConfigMap")] == ["fraud-0"]
    assert world.count("delete") == 1


async def test_a_plan_with_requeue_after_is_reconciled_then(world: World) -> None:
    world.cluster.create(manifest(again=30))
    await world.settle()
    rounds = world.toys.rounds["fraud"]
    await world.settle(within=2 * MINUTE)
    assert world.toys.rounds["fraud"] == rounds + 4


async def test_a_namespaces_clients_are_looked_up_once_per_reconcile(world: World) -> None:
    world.cluster.create(manifest())
    await world.settle()
    assert world.tenants == 1
    assert world.toys.rounds["fraud"] == 3


async def test_a_deleted_object_is_finalized_when_nothing_external_is_left(world: World) -> None:
    world.cluster.create(manifest())
    await world.settle()
    world.cluster.remove("experiments", "risk", "fraud")
    await world.settle()
    assert world.cluster.live("experiments", "risk", "fraud") is None
    assert world.cluster.all("v1/ConfigMap") == []
    assert world.outside.count("delete_experiment") == 1
    assert world.outside.index("delete_experiment") < len(world.outside) - 1 - world.outside[
        ::-1
    ].index("set_finalizers")


async def test_an_object_with_other_finalizers_is_left_alone_once_it_is_finalized(
    world: World,
) -> None:
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


async def test_an_object_recreated_under_the_same_name_is_another_object(world: World) -> None:
    world.cluster.create(manifest())
    await world.settle()
    world.cluster.remove("experiments", "risk", "fraud")
    await world.settle()
    world.cluster.create(manifest(value="new"))
    await world.settle()
    assert world.toy()["status"]["value"] == "new"
    assert [child["data"] for child in world.cluster.all("v1/ConfigMap")] == [{"value": "new"}]


# --- events ---------------------------------------------------------------------------------------
async def test_each_transition_is_one_event(world: World) -> None:
    world.cluster.create(manifest())
    await world.settle(within=30 * MINUTE)
    assert world.cluster.events == [
        ("Experiment", "fraud", "Created", "Made.", False),
        ("Experiment", "fraud", "Synced", "All is well.", False),
        ("Experiment", "fraud", "Toy", "It is a toy.", False),
    ]


async def test_a_flapping_condition_is_one_event_in_ten_minutes(world: World) -> None:
    world.cluster.create(manifest())
    await world.settle()
    for _ in range(5):
        world.toys.raises["fraud"] = DOWN
        world.cluster.edit(
            "experiments",
            "risk",
            "fraud",
            lambda body: body["metadata"].update(labels={"x": str(world.clock.time())}),
        )
        await world.settle()
        world.toys.raises.clear()
        world.clock.advance(60)
        await world.settle()
    assert [event[2] for event in world.cluster.events].count("MLflowUnavailable") == 1
    world.clock.advance(600)
    world.toys.raises["fraud"] = DOWN
    await world.settle(within=6 * MINUTE)
    assert [event[2] for event in world.cluster.events].count("MLflowUnavailable") == 2


async def test_an_event_that_cannot_be_posted_blocks_nothing(world: World) -> None:
    world.cluster.create(manifest())
    world.cluster.fail_next("event", ValueError("oops"))
    await world.settle()
    assert [event[2] for event in world.cluster.events] == ["Synced", "Toy"]
    assert world.condition("Ready") == ("True", "Synced")


async def test_an_event_waits_while_kubernetes_is_unavailable(world: World) -> None:
    world.cluster.create(manifest())
    world.cluster.fail_next(
        "event", Unavailable("Kubernetes", "record Event", "risk/fraud", "away")
    )
    await world.settle()
    assert world.cluster.events == [], "what follows keeps its order"
    await world.settle()
    assert [event[2] for event in world.cluster.events] == ["Created", "Synced", "Toy"]
