"""A reconcile that annotates pods: a refusal of the API server does not stop the other actions."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime

import pytest

from modelyard.engine.report import conditions_of
from modelyard.errors import Conflict, Forbidden, Invalid, ModelyardError, Unavailable
from modelyard.kube.names import TRAFFIC_ANNOTATION
from modelyard.plan import Act, Plan, SetTrafficRule
from tests.engine.toy import Observation, Toy, Toys, ToyStatus, manifest
from tests.unit.engine_world import World

RULE = json.dumps({"revision": 1})
PODS = ("fraud-a", "fraud-b", "fraud-c")
RBAC = Forbidden(
    "Kubernetes",
    "tell Pod",
    "risk/fraud-a",
    'pods "fraud-a" is forbidden: cannot patch resource "pods"',
)
WEBHOOK = Invalid(
    "Kubernetes",
    "tell Pod",
    "risk/fraud-a",
    'admission webhook "pods.example.com" denied the request',
)


@dataclass
class AnnotatingToys(Toys):
    """Annotates pods once, before it creates its ConfigMaps.

    Attributes:
        pods: Their uids, by name.

    """

    pods: dict[str, str] = field(default_factory=dict)
    told: bool = False

    def decide(self, toy: Toy, observation: Observation, now: datetime) -> Plan[ToyStatus]:
        plan = super().decide(toy, observation, now)
        if self.told or not isinstance(plan, Act) or observation.tracked is None:
            return plan
        self.told = True
        return Act(
            (*(SetTrafficRule(name, uid, RULE) for name, uid in self.pods.items()), *plan.actions)
        )


def refusing(error: ModelyardError, *, survives: bool = True) -> World:
    """A world with three pods; the API server refuses annotations of the first."""
    toys = AnnotatingToys(survives_refusals=survives)
    world = World(toys)
    for name in PODS:
        made = world.cluster.create(
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "risk"}}
        )
        toys.pods[name] = made["metadata"]["uid"]
    world.cluster.refuses["Pod", "fraud-a"] = error
    world.cluster.create(manifest(children=2))
    return world


def told(world: World) -> list[str]:
    return [
        each["metadata"]["name"]
        for each in world.cluster.all("v1/Pod")
        if (each["metadata"].get("annotations") or {}).get(TRAFFIC_ANNOTATION) == RULE
    ]


@pytest.mark.parametrize("error", [RBAC, WEBHOOK], ids=["rbac", "webhook"])
async def test_a_refused_annotation_stops_no_other_action(error: Invalid) -> None:
    world = refusing(error)
    await world.settle()
    assert told(world) == ["fraud-b", "fraud-c"]
    assert len(world.cluster.all("v1/ConfigMap")) == 2
    assert conditions_of(world.toy()["status"])["Stalled"]["message"] == "fraud-a", (
        "the decision has its name"
    )


async def test_without_survives_refusals_a_refused_annotation_ends_the_reconcile() -> None:
    world = refusing(RBAC, survives=False)
    await world.engine.step()
    assert told(world) == []
    assert world.condition("Stalled") == ("True", "RequestRefused")


@pytest.mark.parametrize(
    "error", [Conflict("Kubernetes", "tell Pod", "x"), Unavailable("Kubernetes", "tell Pod", "x")]
)
async def test_a_failed_annotation_stops_the_rest(error: ModelyardError) -> None:
    world = refusing(error)
    await world.engine.step()
    assert told(world) == []
    assert world.cluster.all("v1/ConfigMap") == []
