"""CloudEvents: one for each entry of a model's history."""

from __future__ import annotations

from cloudevents.http import from_dict

from tests.fakes.cluster import Killed
from tests.story.test_crash_anywhere import WRITES, strike
from tests.story.test_gates import serves_v1
from tests.story.world import World


async def lives(world: World) -> None:
    await serves_v1(world)
    for version in ("v2", "v1", None):
        world.promote("fraud", "production", version)
        await world.run()


async def test_each_entry_of_the_history_is_sent_once_and_whole():
    world = World()
    await lives(world)
    history = world.status("registeredmodels", "fraud")["history"]
    uid = world.get("registeredmodels", "fraud")["metadata"]["uid"]
    events = [from_dict(each) for each in world.announced]
    outcomes = ["promoted", "promoted", "rolledback", "cleared"]
    assert [event["type"] for event in events] == [
        f"io.modelyard.promotion.{outcome}" for outcome in outcomes
    ]
    assert [event.data | {"record": event.data["record"]["number"]} for event in events] == history
    newest = world.status("registeredmodels", "fraud")["record"]
    assert events[-1].data["record"] == {"number": newest["number"], "digest": newest["digest"]}
    assert {event["source"] for event in events} == {
        "/apis/modelyard.io/v1alpha1/namespaces/risk/registeredmodels/fraud"
    }
    assert {event["subject"] for event in events} == {"production"}
    assert [event["time"] for event in events] == [entry["time"] for entry in history]
    assert len({event["id"] for event in events}) == len(events)
    assert all(event["id"].startswith(f"{uid}/") for event in events)


async def test_a_restarted_operator_sends_nothing_twice():
    world = World()
    strike(world, 12, "after", Killed, WRITES)
    await lives(world)
    before = len(world.announced)
    world.restart()
    await world.run()
    ids = [event["id"] for event in world.announced]
    assert len(ids) == before == len(set(ids)), (
        "what stands in the history was told by the operator that wrote it"
    )
