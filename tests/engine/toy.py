"""A kind that is small enough to test an engine with: one experiment in MLflow, some ConfigMaps, nothing of the real kinds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

from modelyard.api.base import Resource, Schema, Status, condition
from modelyard.api.conditions import progressing, ready, trouble
from modelyard.controller import Controller, Relation
from modelyard.errors import ModelyardError
from modelyard.kube.applied import in_sync
from modelyard.kube.names import FIELD_MANAGER, MANAGED_BY, UID_LABEL, UID_TAG
from modelyard.plan import Action, Apply, CreateExperiment, Delete, DeleteExperiment, Event, Manifest, Plan
from modelyard.ports import Ports, TrackedExperiment

__all__ = ["Toy", "Toys", "manifest"]

API_VERSION = "modelyard.io/v1alpha1"


class ToySpec(Schema):
    value: str = ""
    children: int = 1
    again: int | None = None
    outside: bool = True


class ToyStatus(Status):
    id: str | None = None
    value: str = ""


class Toy(Resource[ToySpec, ToyStatus]):
    KIND: ClassVar[str] = "Experiment"
    PLURAL: ClassVar[str] = "experiments"


@dataclass(frozen=True)
class Seen:
    tracked: TrackedExperiment | None
    children: tuple[Manifest, ...]


@dataclass
class Toys:
    """The kind, and a count of its looks.

    Attributes:
        looks: How often each object was observed.
        raises: What observing an object raises, by name.
        related: From a changed object of the other kind to the names to look at.

    """

    looks: dict[str, int] = field(default_factory=dict)
    raises: dict[str, BaseException] = field(default_factory=dict)

    async def observe(self, toy: Toy, ports: Ports, _now: datetime) -> Seen:
        name = toy.metadata.name
        self.looks[name] = self.looks.get(name, 0) + 1
        if name in self.raises:
            raise self.raises[name]
        tracked = None
        if toy.spec.outside:
            tracked = await (await ports.tenant(toy.metadata.namespace)).tracking.experiment(toy.key)
        return Seen(tracked, ports.cluster.owned(toy.metadata.uid))

    def controller(self, *relations: Relation) -> Controller:
        return Controller(Toy, self.observe, decide, release, complain, settled, relations)


def decide(toy: Toy, seen: Seen, _now: datetime) -> Plan[ToyStatus]:
    if toy.spec.outside and seen.tracked is None:
        status = _status(toy, None, *progressing("Creating", "Creating it."))
        return Plan(status, (CreateExperiment(toy.key, "s3://bucket/x", {UID_TAG: toy.metadata.uid}),), events=(Event("Created", "Made."),))
    id_ = None if seen.tracked is None else seen.tracked.id
    if actions := tuple(_children(toy, seen.children)):
        return Plan(_status(toy, id_, *progressing("Creating", "Applying.")), actions)
    again = None if toy.spec.again is None else timedelta(seconds=toy.spec.again)
    return Plan(_status(toy, id_, *ready("Synced", f"All is {toy.spec.value or 'well'}.")), again=again)


def release(toy: Toy, seen: Seen, _now: datetime) -> Plan[ToyStatus]:
    status = _status(toy, toy.status.id, *progressing("Deleting", "Going."))
    if seen.tracked is not None and not seen.tracked.deleted:
        return Plan(status, (DeleteExperiment(seen.tracked.id),))
    return Plan(status, released=True)


def complain(toy: Toy, error: ModelyardError, _now: datetime) -> Plan[ToyStatus]:
    return Plan(_status(toy, toy.status.id, *trouble(error)))


def settled(toy: Toy, _children: tuple[Manifest, ...]) -> bool:
    return toy.status.is_true("Ready")


def _status(toy: Toy, id_: str | None, *conditions: Any) -> ToyStatus:
    return ToyStatus(conditions=(*conditions, condition("Toy", True, "Toy", "It is a toy.")), id=id_, value=toy.spec.value)


def _children(toy: Toy, children: tuple[Manifest, ...]) -> list[Action]:
    wanted = {f"{toy.metadata.name}-{number}" for number in range(toy.spec.children)}
    current = {child["metadata"]["name"]: child for child in children if child["kind"] == "ConfigMap"}
    manifests = [_config_map(toy, name) for name in sorted(wanted)]
    out: list[Action] = [
        Apply(each) for each in manifests if (there := current.get(each["metadata"]["name"])) is None or not in_sync(each, there)
    ]
    gone = [child for name, child in current.items() if name not in wanted and "deletionTimestamp" not in child["metadata"]]
    return out + [Delete("v1", "ConfigMap", child["metadata"]["name"], child["metadata"]["uid"]) for child in gone]


def _config_map(toy: Toy, name: str) -> Manifest:
    meta = toy.metadata
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "namespace": meta.namespace,
            "labels": {UID_LABEL: meta.uid, MANAGED_BY: FIELD_MANAGER},
            "ownerReferences": [{"apiVersion": API_VERSION, "kind": Toy.KIND, "name": meta.name, "uid": meta.uid, "controller": True}],
        },
        "data": {"value": toy.spec.value},
    }


def manifest(name: str = "fraud", namespace: str = "risk", **spec: Any) -> Manifest:
    """Return a toy as a user writes it."""
    return {"apiVersion": API_VERSION, "kind": Toy.KIND, "metadata": {"name": name, "namespace": namespace}, "spec": spec}
