"""RegisteredModel from many starts: apply each plan to a small model of the world until nothing is left to do, and look at every step."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelyard.registered_model.claims import claims

from modelyard.api.registered_model import RegisteredModel, Stage
from modelyard.errors import Unavailable
from modelyard.kube.names import STAGE_LABEL, STAGES_TAG, VERSION_LABEL
from modelyard.plan import (
    Action,
    Apply,
    CreateModel,
    CreateVersion,
    Delete,
    DeleteAlias,
    DeleteModelTags,
    Manifest,
    Plan,
    SetAlias,
    SetModelTags,
    SetVersionTags,
    TransitionStage,
)
from modelyard.ports import TrackedModel, TrackedVersion
from modelyard.registered_model.observe import Bytes, Seen
from tests.unit.builders import NOW, PROPERTY, URL, live, pod, registered_model, said, terminated, written
from tests.unit.model_builders import source
from tests.unit.test_registered_model import decide, declared

STAGES, VERSIONS = ("production", "staging", "canary"), ("v1", "v2", "v3", "v4")
BROKEN, LOST = "v3", "v4"
"""One cannot be loaded; the artifacts of another are gone."""
SERVED = ("Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler")
QUIET = 3
PASSES = 60


FEWER = settings(PROPERTY, max_examples=30)


def is_served(stage: Stage) -> bool:
    return stage.serving.replicas > 0 or stage.serving.autoscaling is not None


class World:
    """Kubernetes, MLflow and S3, as far as a RegisteredModel is concerned; `away`: MLflow does not answer."""

    def __init__(self, **spec: Any) -> None:
        self.model: RegisteredModel = registered_model(**({"versions": declared(*VERSIONS)} | spec))
        self.now = NOW
        self.away = False
        self.tracked: TrackedModel | None = None
        self.versions: dict[str, TrackedVersion] = {}
        self.children: dict[tuple[str, str], Manifest] = {}
        self.born = 0
        self.passes = 0
        self.events: list[str] = []

    # --- what is seen ---------------------------------------------------------------------------------
    def seen(self) -> Seen:
        asked = claims(self.model, ())
        seen = Seen(claims=asked, children=tuple(self.children.values()))
        if self.away:
            return replace(seen, trouble=Unavailable("MLflow", "read model", "risk.fraud"))
        if self.tracked is None:
            return replace(seen, tracking_url=URL)
        there = {version.tags["modelyard.io/version"] for version in self.versions.values() if "modelyard.io/version" in version.tags}
        missing = [name for name in asked if name not in there][:1]
        used = {stage.version for stage in self.model.spec.stages.values()} | {s.version for s in self.model.status.stages.values()}
        known = [version for version in self.model.status.versions if version.name in used and version.digest]
        lies = {version.name: None if version.name == LOST else Bytes("sha256:s", str(version.digest)) for version in known}
        return replace(
            seen,
            model=self.tracked,
            versions=tuple(self.versions.values()),
            sources={name: source(name) for name in missing},
            bytes=dict(lies),
            tracking_url=URL,
        )

    # --- what is done ---------------------------------------------------------------------------------
    def look(self) -> bool:
        """One look: act, or write the status down; then let others act. Tell whether anything changed."""
        self.passes += 1
        seen = self.seen()
        plan = decide(self.model, seen, self.now)
        assert plan == decide(self.model, seen, self.now)
        for action in plan.actions:
            self.perform(action)
        before = self.model
        if not plan.actions:
            self.model = written(self.model, plan, self.now)
            self.rests(plan)
        if plan.actions or self.model != before:
            self.events += [event.reason for event in plan.events]
            return True
        if self.others():
            return True
        self.now += plan.again or timedelta(0)
        return False

    def rests(self, plan: Plan[Any]) -> None:
        """The engine looks again when children change or when a plan asks for it, and not before: what is left to do would stay."""
        if plan.again is None and not self.fork().others():
            assert decide(self.model, self.seen(), self.now).actions == (), "left to do, and nobody looks"

    def settle(self, limit: int = PASSES) -> None:
        """Until nothing changes any more, however often it is looked at."""
        quiet, end = 0, self.passes + limit
        while quiet < QUIET:
            quiet = 0 if self.look() else quiet + 1
            assert self.passes <= end, f"not settled: {self.model.status.conditions}"

    def perform(self, action: Action) -> None:
        assert not self.away or isinstance(action, Apply | Delete), "nobody answers"
        match action:
            case Apply(manifest):
                self.apply(manifest)
            case Delete(_, kind, name, uid):
                self.delete(kind, name, uid)
            case CreateModel(name, description, tags):
                assert self.tracked is None
                self.tracked = TrackedModel(name, description, dict(tags), {})
            case DeleteModelTags(_, keys):
                assert self.tracked
                self.tracked = replace(self.tracked, tags={key: value for key, value in self.tracked.tags.items() if key not in keys})
            case SetModelTags(_, tags, description):
                assert self.tracked
                self.tracked = replace(self.tracked, tags={**self.tracked.tags, **tags}, description=description or "")
            case CreateVersion(name, uri, run, tags, _):
                number = str(len(self.versions) + 1)
                assert tags["modelyard.io/version"] not in {each.tags.get("modelyard.io/version") for each in self.versions.values()}, "I1"
                self.versions[number] = TrackedVersion(name, number, uri, run, "None", True, dict(tags), self.now)
            case SetVersionTags(_, number, tags):
                self.versions[number] = replace(self.versions[number], tags={**self.versions[number].tags, **tags})
            case TransitionStage(_, number, stage, displacing):
                held = {other for other, each in self.versions.items() if each.stage == stage}
                assert displacing or not held or stage not in {"Production", "Staging"}, "two versions in one of MLflow's stages"
                self.versions |= {other: replace(self.versions[other], stage="Archived") for other in held if displacing}
                self.versions[number] = replace(self.versions[number], stage=stage)
            case SetAlias(_, alias, number):
                self.alias(alias, number)
            case DeleteAlias(_, alias):
                self.alias(alias, None)
            case _:
                raise AssertionError(action)

    def alias(self, name: str, number: str | None) -> None:
        assert self.tracked
        left = {alias: there for alias, there in self.tracked.aliases.items() if alias != name}
        self.tracked = replace(self.tracked, aliases=left | ({name: number} if number else {}))

    def apply(self, manifest: Manifest) -> None:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        assert manifest["metadata"]["ownerReferences"][0]["uid"] == self.model.metadata.uid
        old = self.children.get((kind, name))
        if kind == "Service":
            self.check_switch(manifest, old)
        self.born += 1
        meta = old["metadata"] if old else {"uid": f"uid-{self.born}", "generation": 0, "creationTimestamp": f"{self.now:%FT%TZ}"}
        status = old.get("status", {}) if old else {}
        there = live(manifest, status, generation=meta["generation"] + 1, uid=meta["uid"], creationTimestamp=meta["creationTimestamp"])
        self.children[kind, name] = there

    def delete(self, kind: str, name: str, uid: str) -> None:
        there = self.children[kind, name]
        assert there["metadata"]["uid"] == uid
        labels = there["metadata"]["labels"]
        wanted = self.model.spec.stages.get(labels[STAGE_LABEL])
        status = self.model.status.stages.get(labels[STAGE_LABEL])
        holder = status.version if status else None
        if kind == "Deployment" and wanted and wanted.version and is_served(wanted):
            assert labels[VERSION_LABEL] != holder, "I8: the stable version serves until the new one has taken over"
            front = self.front(labels[STAGE_LABEL])
            assert front != labels[VERSION_LABEL], "users are sent to it"
        del self.children[kind, name]
        for key, child in list(self.children.items()):
            if child["kind"] == "Pod" and kind == "Deployment" and key[1].startswith(name):
                del self.children[key]

    def check_switch(self, manifest: Manifest, old: Manifest | None) -> None:
        """A Service never comes to point at a version that is not ready."""
        labels = manifest["metadata"]["labels"]
        if old is not None and old["metadata"]["labels"][VERSION_LABEL] == labels[VERSION_LABEL]:
            return
        status = self.model.status.stages.get(labels[STAGE_LABEL])
        if old is None and status and status.version == labels[VERSION_LABEL]:
            return  # somebody has deleted it, or replicas were 0
        deployment = self.deployment(labels[STAGE_LABEL], labels[VERSION_LABEL])
        assert deployment, "nothing is there to point at"
        assert deployment["status"].get("readyReplicas"), "not ready"
        held = status is not None and status.version is not None
        assert deployment["status"].get("availableReplicas") or not held, "ready for a moment only, and requests depend on it"
        assert deployment["status"]["observedGeneration"] == deployment["metadata"]["generation"]

    # --- what others do -------------------------------------------------------------------------------
    def others(self) -> bool:
        """The Deployments' controller and the kubelet: each Deployment comes one step further."""
        changed = False
        for (kind, name), there in list(self.children.items()):
            if kind != "Deployment":
                continue
            replicas, broken = there["spec"]["replicas"], there["metadata"]["labels"][VERSION_LABEL] == BROKEN
            ready = 0 if broken else replicas
            status = {"observedGeneration": there["metadata"]["generation"], "updatedReplicas": replicas, "readyReplicas": ready}
            # One step behind ready: `minReadySeconds`.
            status["availableReplicas"] = ready if there["status"].get("readyReplicas") == ready else 0
            if there["status"] != status:
                self.children[kind, name] = there | {"status": status}
                died = [terminated(67, '{"reason": "LoadFailed", "message": "It cannot be loaded."}', name="model")]
                new = pod(there, name=f"{name}-x7x7x", statuses=died if broken else ())
                new["metadata"]["creationTimestamp"] = there["metadata"]["creationTimestamp"]
                self.children["Pod", f"{name}-x7x7x"] = new
                changed = True
        return changed

    # --- users, and people who should not -------------------------------------------------------------
    def edit(self, **stages: Any) -> None:
        """Change stages: a version, None to clear, a dict for a whole stage, `...` to remove it."""
        spec = {name: stage.model_dump(exclude_none=True) for name, stage in self.model.spec.stages.items()}
        for name, wanted in stages.items():
            if wanted is ...:
                spec.pop(name, None)
            else:
                spec[name] = spec.get(name, {}) | (wanted if isinstance(wanted, dict) else {"version": wanted})
        self.patch(stages=spec)

    def patch(self, **spec: Any) -> None:
        about = self.model.metadata.model_dump() | {"generation": self.model.metadata.generation + 1}
        whole = self.model.spec.model_dump(exclude_none=True) | spec
        self.model = registered_model(about={k: v for k, v in about.items() if k != "name"}, status=self.model.status, **whole)

    # --- small words ----------------------------------------------------------------------------------
    def deployment(self, stage: str, version: str) -> Manifest | None:
        return self.children.get(("Deployment", f"fraud-{stage}-{version}"))

    def front(self, stage: str) -> str | None:
        service = self.children.get(("Service", f"fraud-{stage}"))
        return str(service["metadata"]["labels"][VERSION_LABEL]) if service else None

    def holder(self, stage: str) -> str | None:
        status = self.model.status.stages.get(stage)
        return status.version if status else None

    def number(self, version: str | None) -> str | None:
        return next((n for n, there in self.versions.items() if there.tags.get("modelyard.io/version") == version), None)

    def fork(self) -> World:
        other = copy(self)
        other.children, other.versions, other.events = dict(self.children), dict(self.versions), list(self.events)
        return other

    def told(self) -> Any:
        """What users can tell of the end, but for the time it took."""
        history = [(entry.stage, entry.from_, entry.to, entry.reason) for entry in self.model.status.history]
        registry = {number: (there.stage, there.tags) for number, there in self.versions.items()}
        return history, self.tracked, registry, sorted(self.children), said(self.model.status), self.model.status.summary

    # --- the end --------------------------------------------------------------------------------------
    def check_end(self) -> None:
        """What must be so when nothing is left to do, whatever happened on the way."""
        assert self.tracked
        holders = {stage: self.holder(stage) for stage in STAGES if self.holder(stage)}
        assert self.tracked.aliases == {stage: self.number(version) for stage, version in holders.items()}, "I2"
        assert set(self.model.status.stages) == set(self.model.spec.stages)
        for version in VERSIONS:
            there = self.versions[str(self.number(version))]
            held = sorted(stage for stage, holder in holders.items() if holder == version)
            assert there.tags.get(STAGES_TAG, "") == ",".join(held)
            if {"production", "staging"} & set(held):
                assert there.stage == ("Production" if "production" in held else "Staging")
            else:
                assert there.stage in ({"None"} if held else {"None", "Archived"})
        serving = {s: v for s, v in holders.items() if is_served(self.model.spec.stages[s])}
        assert {name for kind, name in self.children if kind == "Deployment"} == {f"fraud-{s}-{v}" for s, v in serving.items()}
        assert {name for kind, name in self.children if kind == "Service"} == {f"fraud-{s}" for s in serving}
        for stage, version in serving.items():
            assert self.front(stage) == version
            assert (self.model.spec.stages[stage].serving.autoscaling is None) == (
                ("HorizontalPodAutoscaler", f"fraud-{stage}") not in self.children
            )
        for stage, spec in self.model.spec.stages.items():
            if spec.version not in {BROKEN, LOST} or not is_served(spec):
                assert self.holder(stage) == spec.version or spec.version == LOST
        bad = [s for s in self.model.spec.stages.values() if s.version in {BROKEN, LOST} and (is_served(s) or s.version == LOST)]
        assert said(self.model.status).startswith("Stalled" if bad else "Ready")
        assert bool(self.model.status.is_true("Synced"))


NONE, TWO, SCALED = {"replicas": 0}, {"replicas": 2}, {"autoscaling": {"min_replicas": 2, "max_replicas": 4}}
wanted = st.sampled_from([*VERSIONS, "v1", "v2", None, ..., *({"serving": serving} for serving in (NONE, TWO, SCALED))])
edits = st.lists(st.tuples(st.sampled_from(STAGES), wanted, st.integers(0, 12)), min_size=1, max_size=6)


@PROPERTY
@given(edits)
def test_settles_however_the_spec_goes_to_and_fro(changes: list[tuple[str, Any, int]]):
    world = World()
    for stage, version, looks in changes:
        world.edit(**{stage: version})
        for _ in range(looks):
            world.look()
    world.settle(PASSES + 20 * len(changes))
    world.check_end()
    kept = world.model
    world.now += timedelta(hours=1)
    world.settle(QUIET)
    assert world.model == kept, "I6: a stable spec makes no write"


@FEWER
@given(edits, st.lists(st.integers(1, 10), min_size=1, max_size=4))
def test_settles_though_mlflow_is_away_now_and_then_and_nothing_changes_hands_meanwhile(
    changes: list[tuple[str, Any, int]], turns: list[int]
):
    world = World(stages={"production": {"version": "v1"}})
    world.settle()
    for number, (stage, version, looks) in enumerate(changes):
        world.away = number % 2 == 0
        before = {name: (world.holder(name), world.front(name)) for name in STAGES}
        world.edit(**{stage: version})
        for _ in range(looks + turns[number % len(turns)]):
            world.look()
        if world.away:
            assert {name: world.holder(name) for name in STAGES} == {name: holder for name, (holder, _) in before.items()}
    world.away = False
    world.settle(PASSES + 20 * len(changes))
    world.check_end()


HANDS = ["alias", "no alias", "stage", "child", "version"]
meddling = st.lists(
    st.tuples(
        st.sampled_from(["alias", "no alias", "stage", "child", "version"]), st.sampled_from(STAGES), st.integers(1, 3), st.integers(0, 6)
    ),
    min_size=1,
    max_size=5,
)


@FEWER
@given(meddling)
def test_whatever_others_move_is_put_back(hands: list[tuple[str, str, int, int]]):
    world = World(stages={"production": {"version": "v1"}, "staging": {"version": "v2"}})
    world.settle(2 * PASSES)
    for what, stage, number, looks in hands:
        meddle(world, what, stage, str(number))
        for _ in range(looks):
            world.look()
    world.settle(2 * PASSES)
    world.check_end()


def meddle(world: World, what: str, stage: str, number: str) -> None:
    assert world.tracked
    there = world.versions.get(number)
    if what == "alias" and stage in world.model.spec.stages:
        world.alias(stage, number)
    elif what == "no alias":
        world.alias(stage, None)
    elif what == "stage" and there:
        world.versions[number] = replace(there, stage=("Production", "Staging", "Archived")[int(number) - 1])
    elif what == "version" and there and "modelyard.io/version" in there.tags:
        by_hand = str(len(world.versions) + 1)
        world.versions[by_hand] = TrackedVersion(there.model, by_hand, "s3://b/by-hand", None, "Production", True, {}, NOW)
    elif what == "child":
        deletable = sorted(key for key, child in world.children.items() if child["kind"] in SERVED)
        del world.children[deletable[int(number) % len(deletable)]]


@pytest.mark.parametrize("route", [("v1", "v2", "v1"), ("v1", BROKEN, "v1"), ("v1", None, "v2", ...)])
def test_a_crash_between_any_two_steps_changes_nothing(route: tuple[Any, ...]):
    """The operator's memory is the world: a status that was never written is made again."""
    world = World()
    for version in route:
        world.edit(production=version)
        forks = []
        quiet = 0
        while quiet < QUIET:
            crashed, before = world.fork(), world.model
            quiet = 0 if world.look() else quiet + 1
            crashed.look()
            crashed.model = before
            forks.append(crashed)
        world.check_end()
        for crashed in forks:
            crashed.settle()
            assert crashed.told() == world.told()
