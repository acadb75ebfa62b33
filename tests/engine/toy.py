"""A small kind for testing the engine: one experiment in MLflow, some ConfigMaps, nothing of the
real kinds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

from modelyard.api.base import Resource, Schema, Status, condition
from modelyard.api.conditions import CONNECTION_OPERATION, progressing, ready, stalled, trouble
from modelyard.controller import Controller, Relation
from modelyard.errors import ModelyardError
from modelyard.kube import applied
from modelyard.kube.names import FIELD_MANAGER, MANAGED_BY, UID_LABEL, UID_TAG
from modelyard.plan import (
    Act,
    Action,
    Apply,
    CreateExperiment,
    Delete,
    DeleteExperiment,
    Event,
    Finalize,
    Manifest,
    Plan,
    Record,
    Rest,
)
from modelyard.ports import Ports, TrackedExperiment

__all__ = ["Toy", "Toys", "manifest", "toy_status"]

API_VERSION = "modelyard.io/v1alpha1"


class ToySpec(Schema):
    value: str = ""
    children: int = 1
    again: int | None = None
    outside: bool = True
    stored: bool = False
    noted: bool = False
    busy: bool = False


class ToyStatus(Status):
    id: str | None = None
    value: str = ""
    noted: bool = False


class Toy(Resource[ToySpec, ToyStatus]):
    KIND: ClassVar[str] = "Experiment"
    PLURAL: ClassVar[str] = "experiments"


@dataclass(frozen=True)
class Observation:
    tracked: TrackedExperiment | None
    owned: tuple[Manifest, ...]
    refused: frozenset[str] = frozenset()


@dataclass
class Toys:
    """The toy kind, with a count of rounds.

    Attributes:
        rounds: How often each object was observed.
        raises: The error that observing an object raises, by name.
        restless: By name, the plan that repeats whatever was done.
        reads_valid_for: `Controller.reads_valid_for`.
        survives_refusals: `Controller.survives_refusals`; refused ConfigMaps are named in the
            status.

    """

    rounds: dict[str, int] = field(default_factory=dict)
    raises: dict[str, BaseException] = field(default_factory=dict)
    restless: dict[str, Plan[ToyStatus]] = field(default_factory=dict)
    reads_valid_for: timedelta | None = None
    survives_refusals: bool = False

    async def observe(self, toy: Toy, ports: Ports, _now: datetime) -> Observation:
        name = toy.metadata.name
        self.rounds[name] = self.rounds.get(name, 0) + 1
        if name in self.raises:
            raise self.raises[name]
        tracked = None
        if toy.spec.outside:
            tenant = await ports.tenant(toy.metadata.namespace)
            tracked = await tenant.tracking.experiment(toy.key)
            if toy.spec.stored:
                await tenant.store.usage("s3://bucket/risk/")
        return Observation(
            tracked,
            ports.cluster.owned(toy.metadata.uid),
            frozenset(name for _, name in ports.refusals),
        )

    def decide(self, toy: Toy, observation: Observation, now: datetime) -> Plan[ToyStatus]:
        return self.restless.get(toy.metadata.name) or decide(toy, observation, now)

    def controller(self, *relations: Relation) -> Controller[Toy, Observation, ToyStatus]:
        return Controller(
            resource=Toy,
            observe=self.observe,
            decide=self.decide,
            finalize=finalize,
            on_error=on_error,
            in_sync=in_sync,
            relations=relations,
            survives_refusals=self.survives_refusals,
            reads_valid_for=self.reads_valid_for,
            cloud_events=cloud_events,
        )


def decide(toy: Toy, observation: Observation, _now: datetime) -> Plan[ToyStatus]:
    if toy.spec.outside and observation.tracked is None:
        return Act(
            (CreateExperiment(toy.key, "s3://bucket/x", {UID_TAG: toy.metadata.uid}),),
            (Event("Created", "Made."),),
        )
    id_ = None if observation.tracked is None else observation.tracked.id
    if actions := tuple(_config_maps(toy, observation)):
        return Act(actions)
    if toy.spec.noted and not toy.status.noted:
        return Record(
            toy_status(toy, id_, *progressing("Noted", "Noted.")).model_copy(update={"noted": True})
        )
    requeue_after = None if toy.spec.again is None else timedelta(seconds=toy.spec.again)
    if observation.refused:
        return Rest(
            toy_status(toy, id_, *stalled("Refused", ", ".join(sorted(observation.refused)))),
            requeue_after,
        )
    if toy.spec.busy:
        return Rest(toy_status(toy, id_, *progressing("Busy", "Not ready.")), requeue_after)
    return Rest(
        toy_status(toy, id_, *ready("Synced", f"All is {toy.spec.value or 'well'}.")), requeue_after
    )


def finalize(_toy: Toy, observation: Observation, _now: datetime) -> Plan[ToyStatus]:
    if observation.tracked is not None and not observation.tracked.deleted:
        return Act((DeleteExperiment(observation.tracked.id),))
    return Finalize((Event("Finalized", "Nothing external is left."),))


def on_error(toy: Toy, error: ModelyardError, _now: datetime) -> Rest[ToyStatus] | Finalize:
    if toy.metadata.deletion_timestamp is not None and error.operation == CONNECTION_OPERATION:
        return Finalize((Event("LeftBehind", "The connection is gone.", warning=True),))
    return Rest(toy_status(toy, toy.status.id, *trouble(error)))


def in_sync(toy: Toy, _owned: tuple[Manifest, ...]) -> bool:
    return toy.status.is_true("Ready")


def cloud_events(body: Manifest, before: Manifest, after: Manifest) -> Iterator[Manifest]:
    if before.get("value") != after.get("value"):
        meta = body["metadata"]
        source, id_ = f"/{meta['namespace']}/{meta['name']}", f"{meta['uid']}/{after['value']}"
        yield {
            "specversion": "1.0",
            "type": "toy.painted",
            "source": source,
            "id": id_,
            "data": {"value": after["value"]},
        }


def toy_status(toy: Toy, id_: str | None, *conditions: Any) -> ToyStatus:
    return ToyStatus(
        conditions=(*conditions, condition("Toy", True, "Toy", "It is a toy.")),
        id=id_,
        value=toy.spec.value,
        noted=toy.status.noted,
    )


def _config_maps(toy: Toy, observation: Observation) -> list[Action]:
    wanted = {
        f"{toy.metadata.name}-{number}" for number in range(toy.spec.children)
    } - observation.refused
    current = {
        each["metadata"]["name"]: each for each in observation.owned if each["kind"] == "ConfigMap"
    }
    manifests = [_config_map(toy, name) for name in sorted(wanted)]
    out: list[Action] = [
        Apply(each)
        for each in manifests
        if (there := current.get(each["metadata"]["name"])) is None
        or not applied.same_content(each, there)
    ]
    surplus = current.keys() - wanted - observation.refused
    gone = [
        current[name]
        for name in sorted(surplus)
        if "deletionTimestamp" not in current[name]["metadata"]
    ]
    return out + [
        Delete("v1", "ConfigMap", each["metadata"]["name"], each["metadata"]["uid"])
        for each in gone
    ]


def _config_map(toy: Toy, name: str) -> Manifest:
    meta = toy.metadata
    made = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "namespace": meta.namespace,
            "labels": {UID_LABEL: meta.uid, MANAGED_BY: FIELD_MANAGER},
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": Toy.KIND,
                    "name": meta.name,
                    "uid": meta.uid,
                    "controller": True,
                }
            ],
        },
        "data": {"value": toy.spec.value},
    }
    return applied.with_content(made)


def manifest(name: str = "fraud", namespace: str = "risk", **spec: Any) -> Manifest:
    """Return a toy as a user writes it."""
    return {
        "apiVersion": API_VERSION,
        "kind": Toy.KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
