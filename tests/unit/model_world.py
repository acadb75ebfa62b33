"""A small world for a RegisteredModel: Kubernetes, MLflow and S3 as values.

The real `observe` reads it, and only plans change it. Every round checks what must always hold;
`check_end` checks what must hold when nothing is left to do.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from modelyard.adapters.pod_traffic import PodTraffic
from modelyard.api.freeze import Calendar
from modelyard.api.registered_model import RegisteredModel
from modelyard.controller import FINALIZER
from modelyard.errors import Invalid, ModelyardError, Unavailable
from modelyard.kube.names import IDENTITY_LABEL, STAGE_LABEL, UID_TAG, VERSION_LABEL, VERSION_TAG
from modelyard.plan import (
    Act,
    Action,
    Apply,
    CreateModel,
    CreateVersion,
    Delete,
    DeleteAlias,
    DeleteTags,
    Manifest,
    Plan,
    PutRecord,
    Record,
    Rest,
    SetAlias,
    SetTags,
    SetTrafficRule,
    TransitionStage,
)
from modelyard.ports import TrackedModel, TrackedVersion
from modelyard.registered_model.decide import decider
from modelyard.registered_model.observation import Observation
from modelyard.registered_model.observe import observe
from modelyard.registered_model.serving import DRAIN
from tests.fakes.pods import FakePods
from tests.unit.builders import (
    NOW,
    RUNTIME,
    artifacts,
    live,
    pod,
    registered_model,
    terminated,
    written,
)
from tests.unit.model_world_edits import Edited
from tests.unit.model_world_ports import WorldPorts, at_once
from tests.unit.model_world_state import LOST, identity, is_served, moves_of
from tests.unit.models import declared

VERSIONS = ("v1", "v2", "v3", LOST)
BROKEN = "v3"
"""It cannot be loaded."""
SERVED = (
    "Deployment",
    "Service",
    "PodDisruptionBudget",
    "HorizontalPodAutoscaler",
    "ControllerRevision",
)
QUIET = 3
ROUNDS = 80
_SAME_PLAN = 2


class World(Edited):
    """One RegisteredModel and everything around it.

    Attributes:
        model: The object, as the API server has it.
        away: The dependency that is down; empty when both are up.
        broken: Versions that cannot be loaded, whatever the runtime.
        refused: Kinds and names whose apply the API server refuses, and pods whose annotation it
            refuses.
        stored: The bytes in S3: one character for each tree.
        records: The entries of the history in S3, by URI.
        storing: S3 accepts new entries.
        eager: Other controllers act after every round, not only when the operator rests.

    """

    def __init__(self, **spec: Any) -> None:
        self.model: RegisteredModel = registered_model(**({"versions": declared(*VERSIONS)} | spec))
        self.now = NOW
        self.away = ""
        self.eager = False
        self.runtime = RUNTIME
        self.broken = {BROKEN}
        self.refused: set[tuple[str, str]] = set()
        self.stored = {artifacts(name): name[-1] for name in VERSIONS}
        self.tracked: TrackedModel | None = None
        self.versions: dict[str, TrackedVersion] = {}
        self.numbers = 0
        self.records: dict[str, bytes] = {}
        self.storing = True
        self.children: dict[tuple[str, str], Manifest] = {}
        self.refusals: dict[tuple[str, str], ModelyardError] = {}
        self.born = 0
        self.rounds = 0
        self.events: list[str] = []
        self.done: list[Action] = []
        self.last: tuple[Any, int] = (None, 0)
        self.unrouted: dict[str, datetime] = {}
        self.pods = FakePods()
        self.traffic = PodTraffic(self.pods)

    # --- the ports, as `observe` reads them -------------------------------------------------------
    @property
    def cluster(self) -> Any:
        return self

    def select(self, plural: str, namespace: str) -> tuple[Manifest, ...]:
        return ()

    def owned(self, uid: str) -> tuple[Manifest, ...]:
        return tuple(self.children.values())

    def calendar(self) -> Calendar:
        return Calendar()

    def signed(self, text: str) -> bytes:
        """Return the signature in the MLmodel file of a tree."""
        return b""

    async def namespace_labels(self, namespace: str) -> dict[str, str]:
        return {}

    async def unguarded(self, namespace: str) -> str | None:
        return None

    def observed(self) -> Observation:
        """Return what `observe` sees; none of it waits for anything."""
        return at_once(observe(self.model, WorldPorts(self), self.now))

    # --- one round --------------------------------------------------------------------------------
    def look(self) -> bool:
        """Carry out one round, then let others act. Return whether anything changed."""
        self.rounds += 1
        plan = self.plan()
        before = self.model
        match plan:
            case Act(actions):
                for action in actions:
                    self.perform(action)
            case Record() | Rest():
                self.model = written(self.model, plan, self.now)
                self.check_effective(before)
        changed = self.model != before or (
            isinstance(plan, Act) and any(not self.refuses(each) for each in plan.actions)
        )
        if isinstance(plan, Rest):
            self.refusals = {}
            self.rests(plan)
        if changed:
            self.events += [event.reason for event in plan.events]
        if (self.eager or not changed) and self.others():
            return True
        if not changed and isinstance(plan, Rest):
            self.now += plan.requeue_after or timedelta(0)
        return changed

    def plan(self) -> Plan[Any]:
        """Return the next round, and check what must hold of every decision."""
        seen = self.observed()
        plan = decider(self.runtime)(self.model, seen, self.now)
        self.check_sources(plan, seen)
        same = self.last[1] + 1 if plan == self.last[0] else 0
        self.last = (plan, same)
        assert same <= _SAME_PLAN or isinstance(plan, Rest), f"the engine would stop it: {plan}"
        return plan

    def check_sources(self, plan: Plan[Any], seen: Observation) -> None:
        """No decision depends on the history or on the copies of the record in MLflow's tags."""
        if self.rounds % 3:
            return
        assert plan == decider(self.runtime)(self.model, seen, self.now), "a decision is pure"
        forgot = self.model.model_copy(
            update={"status": self.model.status.model_copy(update={"history": ()})}
        )
        if self.model.status.record is not None and self.model.status.record.pending > 1:
            # several entries are stored one after the other, each with a write of the status
            return
        assert moves_of(decider(self.runtime)(forgot, seen, self.now)) == moves_of(plan), (
            "a rule reads the history"
        )
        if self.model.status.mlflow_name:
            forged = {
                "modelyard.io/uri": "s3://b/forged",
                "modelyard.io/digest": "sha256:" + "f" * 64,
            }
            there = tuple(replace(each, tags={**each.tags, **forged}) for each in seen.versions)
            decided = decider(self.runtime)(self.model, replace(seen, versions=there), self.now)
            assert moves_of(decided) == moves_of(plan), "a rule reads MLflow's tags"

    def rests(self, plan: Rest[Any]) -> None:
        """The engine reconciles again only when owned objects change or a plan asks for it: check
        that nothing else is left to do.
        """
        if plan.requeue_after is None and not self.fork().others():
            left = decider(self.runtime)(self.model, self.observed(), self.now)
            assert isinstance(left, Rest), f"left to do, and nothing wakes it: {left}"

    def settle(self, limit: int = ROUNDS) -> None:
        """Reconcile until nothing changes."""
        quiet, end = 0, self.rounds + limit
        while quiet < QUIET:
            quiet = 0 if self.look() else quiet + 1
            assert self.rounds <= end, f"not settled: {self.model.status.conditions}"

    def perform(self, action: Action) -> None:
        """Carry out one action."""
        self.done.append(action)
        if isinstance(action, Apply):
            return self.apply(action.manifest)
        if isinstance(action, Delete):
            return self.delete(action)
        if isinstance(action, SetTrafficRule):
            return self.tell(action)
        if isinstance(action, PutRecord):
            return self.store(action)
        assert self.away != "MLflow", "MLflow does not answer"
        about = self.model.metadata.model_copy(update={"finalizers": (FINALIZER,)})
        self.model = self.model.model_copy(update={"metadata": about})
        return self.external(action)

    def store(self, action: PutRecord) -> None:
        """Store an entry of the history, unless S3 refuses it."""
        if self.refuses(action):
            self.refusals["PutRecord", action.uri] = Unavailable("S3", "create object", action.uri)
            return
        assert action.uri not in self.records, "an entry is stored once"
        self.records[action.uri] = action.content

    def external(self, action: Action) -> None:
        """Change MLflow as it would change itself."""
        match action:
            case CreateModel(name, description, tags):
                assert self.tracked is None
                self.tracked = TrackedModel(name, description, dict(tags), {})
            case SetTags(target, tags, description) if target.kind == "model":
                assert self.tracked
                said = self.tracked.description if description is None else description
                self.tracked = replace(
                    self.tracked, tags={**self.tracked.tags, **tags}, description=said
                )
            case DeleteTags(_, keys):
                assert self.tracked
                self.tracked = replace(
                    self.tracked,
                    tags={
                        key: value for key, value in self.tracked.tags.items() if key not in keys
                    },
                )
            case SetTags(target, tags, _):
                self.tag(target.version, tags)
            case CreateVersion(name, uri, run, tags, _):
                self.create(name, uri, run, dict(tags))
            case TransitionStage(_, number, stage, displacing):
                held = {other for other, each in self.versions.items() if each.stage == stage}
                assert displacing or not held or stage not in {"Production", "Staging"}, (
                    "two versions in one of MLflow's stages"
                )
                self.versions |= {
                    other: replace(self.versions[other], stage="Archived")
                    for other in held
                    if displacing
                }
                self.versions[number] = replace(self.versions[number], stage=stage)
            case SetAlias(_, alias, number):
                self.alias(alias, number)
            case DeleteAlias(_, alias):
                self.alias(alias, None)
            case _:
                raise AssertionError(action)

    def create(self, name: str, uri: str, run: str | None, tags: dict[str, str]) -> str:
        """Register a version; a recorded version is registered only once."""
        same = [
            each
            for each in self.versions.values()
            if (each.source, each.tags.get(UID_TAG)) == (uri, tags.get(UID_TAG))
        ]
        assert UID_TAG not in tags or not [
            each for each in same if each.tags.get(VERSION_TAG) == tags[VERSION_TAG]
        ], "I1: registered twice"
        self.numbers += 1
        number = str(self.numbers)
        self.versions[number] = TrackedVersion(name, number, uri, run, "None", True, tags, self.now)
        return number

    def tag(self, number: str, tags: Any) -> None:
        """Set tags of a version."""
        self.versions[number] = replace(
            self.versions[number], tags={**self.versions[number].tags, **tags}
        )

    def alias(self, name: str, number: str | None) -> None:
        """Set or delete an alias."""
        assert self.tracked
        left = {alias: there for alias, there in self.tracked.aliases.items() if alias != name}
        self.tracked = replace(self.tracked, aliases=left | ({name: number} if number else {}))

    def apply(self, manifest: Manifest) -> None:
        """Apply an owned object, unless the API server refuses it."""
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        if self.refuses(Apply(manifest)):
            self.refusals[kind, name] = Invalid(
                "Kubernetes", f"apply {kind}", name, "a policy says no"
            )
            return
        assert manifest["metadata"]["ownerReferences"][0]["uid"] == self.model.metadata.uid
        old = self.children.get((kind, name))
        if kind == "Service":
            self.check_switch(manifest, old)
            self.left_by(old, manifest)
        if kind == "ControllerRevision" and old is not None:
            assert old["data"] == manifest["data"], (
                "the API server refuses to change the data of a ControllerRevision"
            )
        self.born += 1
        meta = (
            old["metadata"]
            if old
            else {
                "uid": f"uid-{self.born}",
                "generation": 0,
                "creationTimestamp": f"{self.now:%FT%TZ}",
            }
        )
        status = old.get("status", {}) if old else {}
        there = live(
            manifest,
            status,
            generation=meta["generation"] + 1,
            uid=meta["uid"],
            creationTimestamp=meta["creationTimestamp"],
        )
        self.children[kind, name] = there

    def refuses(self, action: Action) -> bool:
        """Return whether the API server refuses an action, or S3 an entry of the history."""
        if isinstance(action, PutRecord):
            return self.away == "S3" or not self.storing
        if isinstance(action, SetTrafficRule):
            return ("Pod", action.name) in self.refused
        return (
            isinstance(action, Apply)
            and (action.manifest["kind"], action.manifest["metadata"]["name"]) in self.refused
        )

    def left_by(self, old: Manifest | None, new: Manifest | None) -> None:
        """Note when a Service stopped selecting an identity."""
        if old is not None:
            self.unrouted[identity(old)] = self.now
        if new is not None:
            self.unrouted.pop(identity(new), None)

    def delete(self, action: Delete) -> None:
        """Delete an owned object."""
        there = self.children[action.kind, action.name]
        assert there["metadata"]["uid"] == action.uid
        labels = there["metadata"]["labels"]
        wanted = self.model.spec.stages.get(labels[STAGE_LABEL])
        if action.kind == "Service":
            self.left_by(there, None)
        if action.kind == "Deployment" and wanted and wanted.version and is_served(wanted):
            effective = self.status(labels[STAGE_LABEL]).effective
            stable = effective.runtime.identity if effective else None
            assert labels[IDENTITY_LABEL] != stable, (
                "I8: the stable version is serving until the candidate is recorded"
            )
            assert self.routed(labels[STAGE_LABEL]) != labels[IDENTITY_LABEL], (
                "requests are routed to it"
            )
            unrouted = self.unrouted.get(labels[IDENTITY_LABEL])
            self.check_window(wanted, labels[STAGE_LABEL], labels[IDENTITY_LABEL])
            assert unrouted is None or self.now - unrouted >= DRAIN, (
                "requests that were on their way reach a terminating pod"
            )
        del self.children[action.kind, action.name]
        if action.kind == "Deployment":
            self.children = {
                key: each
                for key, each in self.children.items()
                if key[0] != "Pod" or not key[1].startswith(action.name)
            }

    # --- what must always hold --------------------------------------------------------------------
    def check_switch(self, manifest: Manifest, old: Manifest | None) -> None:
        """A Service never selects a version that is not ready."""
        stage = manifest["metadata"]["labels"][STAGE_LABEL]
        if old is not None and identity(old) == identity(manifest):
            return
        status = self.status(stage)
        if old is None and status.runtime and status.runtime.identity == identity(manifest):
            return  # the Service was deleted, or replicas were 0
        deployment = self.deployment(stage, identity(manifest))
        assert deployment, "there is nothing to route to"
        assert deployment["status"].get("readyReplicas"), "not ready"
        assert deployment["status"].get("availableReplicas") or status.version is None, (
            "ready for a moment only, and requests depend on it"
        )
        assert deployment["status"]["observedGeneration"] == deployment["metadata"]["generation"]

    # --- what others do ---------------------------------------------------------------------------
    def others(self) -> bool:
        """The Deployments' controller and the kubelet: each Deployment comes one step further."""
        changed = False
        for (kind, name), there in list(self.children.items()):
            if kind != "Deployment":
                continue
            replicas, broken = (
                there["spec"]["replicas"],
                there["metadata"]["labels"][VERSION_LABEL] in self.broken,
            )
            ready = 0 if broken else replicas
            status = {
                "observedGeneration": there["metadata"]["generation"],
                "updatedReplicas": replicas,
                "readyReplicas": ready,
            }
            # One step behind ready: `minReadySeconds`.
            status["availableReplicas"] = (
                ready if there["status"].get("readyReplicas") == ready else 0
            )
            if there["status"] != status:
                self.children[kind, name] = there | {"status": status}
                died = [
                    terminated(
                        67,
                        '{"reason": "LoadFailed", "message": "It cannot be loaded."}',
                        name="model",
                    )
                ]
                new = pod(there, name=f"{name}-x7x7x", statuses=died if broken else ())
                new["metadata"]["creationTimestamp"] = there["metadata"]["creationTimestamp"]
                self.children["Pod", f"{name}-x7x7x"] = new
                changed = True
        return changed

    # --- users ------------------------------------------------------------------------------------
    def fork(self) -> World:
        """Return an independent copy."""
        other = copy(self)
        other.children, other.versions, other.events = (
            dict(self.children),
            dict(self.versions),
            list(self.events),
        )
        other.stored, other.unrouted, other.done = (
            dict(self.stored),
            dict(self.unrouted),
            list(self.done),
        )
        other.records = dict(self.records)
        return other
