"""A small world in which stages roll out in steps: one pod per replica, the pods' traffic rules,
and the counters that they report.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from datetime import datetime
from typing import Any

from modelyard.errors import Forbidden
from modelyard.kube.names import IDENTITY_LABEL, STAGE_LABEL, TRAFFIC_ANNOTATION
from modelyard.plan import Action, Apply, Manifest, SetTrafficRule
from modelyard.traffic import Answered, Arm, Interval, Split, SplitObservation, Watched
from tests.unit.builders import pod, terminated
from tests.unit.model_world import ROUNDS, World

__all__ = ["CANARY", "RolloutWorld", "rolled_out"]

CANARY = {
    "strategy": "Canary",
    "steps": [{"weight": 5}, {"hold": "10m"}, {"weight": 50}, {"hold": "10m"}],
}


class SplitTraffic:
    """Pods that apply their traffic rule, slow ones one round later."""

    def __init__(self, world: RolloutWorld) -> None:
        self.world = world
        self.intervals: list[tuple[Arm, Arm]] = []
        """What the next intervals count: of the stable version, and of the candidate."""
        self.begun: dict[tuple[int, int], datetime] = {}
        """When an interval began, by the number before it and the revision."""
        self.requests = 0
        """Requests that were drawn for the candidate under its present weight."""

    async def answered(self, watched: Watched, pods: Iterable[Manifest], now: datetime) -> Answered:
        return Answered()

    async def split(
        self, asked: Split, pods: Iterable[Manifest], now: datetime
    ) -> SplitObservation:
        revisions = {
            str(each["metadata"]["uid"]): self.world.applied.get(str(each["metadata"]["uid"]), 0)
            for each in pods
        }
        interval = None
        begun = self.begun.setdefault((asked.judged, asked.revision), now)
        if asked.judged < len(self.intervals) and now - begun >= asked.interval:
            stable, candidate = self.intervals[asked.judged]
            interval = Interval(asked.judged + 1, stable, candidate)
        return SplitObservation(revisions, candidate=Arm(self.requests), interval=interval)


class RolloutWorld(World):
    """A world in which a Deployment has as many pods as replicas.

    Attributes:
        applied: The revision that each pod applies, by the pod's uid.
        down: Versions whose pods run and are not ready.

    """

    def __init__(self, **spec: Any) -> None:
        super().__init__(**spec)
        self.applied: dict[str, int] = {}
        self.down: set[str] = set()
        self.maps: dict[str, dict[str, str]] = {}
        self.traffic: Any = SplitTraffic(self)

    async def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        return self.maps.get(name)

    def perform(self, action: Action) -> None:
        if not isinstance(action, SetTrafficRule):
            return super().perform(action)
        self.done.append(action)
        if self.refuses(action):
            self.refusals["Pod", action.name] = Forbidden(
                "Kubernetes", "tell Pod", f"risk/{action.name}", "pods is forbidden"
            )
            return None
        found = [
            (key, each)
            for key, each in self.children.items()
            if each["metadata"].get("uid") == action.uid
        ]
        if not found:
            return None  # deleting a missing pod is no error
        key, there = found[0]
        self.check_told(there, action)
        there = deepcopy(there)
        annotations = {
            k: v
            for k, v in (there["metadata"].get("annotations") or {}).items()
            if k != TRAFFIC_ANNOTATION
        }
        there["metadata"]["annotations"] = annotations | (
            {TRAFFIC_ANNOTATION: action.rule} if action.rule is not None else {}
        )
        self.children[key] = there
        return None

    def apply(self, manifest: Manifest) -> None:
        if manifest["kind"] == "ConfigMap" and not self.refuses(Apply(manifest)):
            self.maps[manifest["metadata"]["name"]] = manifest["data"]
        super().apply(manifest)

    def owned(self, uid: str) -> tuple[Manifest, ...]:
        """Return owned objects; the watch drops the labels of ConfigMaps."""
        there = super().owned(uid)
        return tuple(
            each | {"metadata": each["metadata"] | {"labels": {}}}
            if each["kind"] == "ConfigMap"
            else each
            for each in there
        )

    # --- what must always hold --------------------------------------------------------------------
    def check_switch(self, manifest: Manifest, old: Manifest | None) -> None:
        """The candidate has a Service of its own before its pods are ready."""
        if manifest["metadata"]["name"] == f"fraud-{manifest['metadata']['labels'][STAGE_LABEL]}":
            super().check_switch(manifest, old)

    def left_by(self, old: Manifest | None, new: Manifest | None) -> None:
        """Callers send their requests to the stage's Service."""
        there = new if old is None else old
        if (
            there is not None
            and there["metadata"]["name"] == f"fraud-{there['metadata']['labels'][STAGE_LABEL]}"
        ):
            super().left_by(old, new)

    def check_told(self, there: Manifest, action: SetTrafficRule) -> None:
        """Check that only stable pods forward requests, and only to a version with a ready pod."""
        if action.rule is None:
            return
        rule, stage = json.loads(action.rule), there["metadata"]["labels"][STAGE_LABEL]
        effective = self.status(stage).effective
        assert effective is not None
        assert there["metadata"]["labels"][IDENTITY_LABEL] == effective.runtime.identity, (
            "the stable pods split"
        )
        assert rule["revision"] == self.status(stage).traffic_revision, (
            "the rule is the recorded one"
        )
        if rule["weight"]:
            assert self.ready(stage, rule["runtime"]), "a version without a ready pod gets requests"
            assert ("Service", rule["candidate"]) in self.children, "there is no such Service"

    def ready(self, stage: str, identity: str) -> int:
        """Return how many pods of an identity are ready."""
        deployment = self.deployment(stage, identity)
        return int(deployment["status"].get("readyReplicas") or 0) if deployment is not None else 0

    # --- what others do ---------------------------------------------------------------------------
    def others(self) -> bool:
        changed = super().others()
        for (kind, name), there in list(self.children.items()):
            if kind == "Deployment":
                self.children.pop(("Pod", f"{name}-x7x7x"), None)
                changed = self._pods(name, there) or changed
        for each in self.of_kind("Pod"):
            told = (each["metadata"].get("annotations") or {}).get(TRAFFIC_ANNOTATION)
            revision, uid = (
                json.loads(told)["revision"] if told is not None else 0,
                each["metadata"]["uid"],
            )
            changed = changed or self.applied.get(uid, 0) != revision
            self.applied[uid] = revision
        return changed

    def _pods(self, name: str, there: Manifest) -> bool:
        """Create as many pods as replicas; pods of a version that is down are not ready."""
        version = there["metadata"]["labels"]["modelyard.io/version"]
        ready = there["status"].get("readyReplicas", 0) if version not in self.down else 0
        if version in self.down and there["status"].get("readyReplicas"):
            self.children["Deployment", name] = there | {
                "status": there["status"] | {"readyReplicas": 0, "availableReplicas": 0}
            }
        wanted, changed = there["spec"]["replicas"], False
        for number in range(max(wanted, 12)):
            key = ("Pod", f"{name}-{number}")
            if number >= wanted:
                changed = self.children.pop(key, None) is not None or changed
                continue
            state = {
                "conditions": [{"type": "Ready", "status": "True" if number < ready else "False"}]
            }
            old = self.children.get(key)
            if old is None:
                self.born += 1
                died = [
                    terminated(
                        67,
                        '{"reason": "LoadFailed", "message": "It cannot be loaded."}',
                        name="model",
                    )
                ]
                self.children[key] = pod(
                    there, name=key[1], statuses=died if version in self.broken else (), **state
                )
                self.children[key]["metadata"]["creationTimestamp"] = there["metadata"][
                    "creationTimestamp"
                ]
                self.children[key]["metadata"]["uid"] = f"uid-pod-{self.born}"
                changed = True
            elif old["status"]["conditions"] != state["conditions"]:
                self.children[key] = old | {"status": old["status"] | state}
                changed = True
        return changed

    def fork(self) -> RolloutWorld:
        other = super().fork()
        assert isinstance(other, RolloutWorld)
        other.applied, other.maps = dict(self.applied), dict(self.maps)
        traffic = SplitTraffic(other)
        traffic.intervals, traffic.requests, traffic.begun = (
            self.traffic.intervals,
            self.traffic.requests,
            dict(self.traffic.begun),
        )
        other.traffic = traffic
        return other

    # --- queries of tests -------------------------------------------------------------------------
    def maps_there(self) -> list[str]:
        """Return the ConfigMaps that exist."""
        return [name for kind, name in self.children if kind == "ConfigMap"]

    def rules(self, version: str) -> list[dict[str, Any]]:
        """Return the traffic rules of a version's pods."""
        pods = (
            each
            for each in self.of_kind("Pod")
            if each["metadata"]["labels"]["modelyard.io/version"] == version
        )
        found = (
            (each["metadata"].get("annotations") or {}).get(TRAFFIC_ANNOTATION) for each in pods
        )
        return [json.loads(each) for each in found if each is not None]

    def weights(self, version: str) -> set[int]:
        """Return the weights in the traffic rules of a version's pods."""
        return {rule["weight"] for rule in self.rules(version)}

    def replicas(self, version: str) -> int:
        """Return how many pods a version has."""
        return sum(
            each["spec"]["replicas"]
            for each in self.of_kind("Deployment")
            if each["metadata"]["labels"]["modelyard.io/version"] == version
        )

    def until(self, what: Any, limit: int = ROUNDS) -> None:
        """Reconcile until something holds."""
        for _ in range(limit):
            if what():
                return
            self.look()
        raise AssertionError(
            f"it never came: {self.model.status.conditions} {self.status('production').rollout}"
        )


def rolled_out(replicas: int = 2, rollout: Any = CANARY, **production: Any) -> RolloutWorld:
    """v1 is effective in production, which rolls out in steps."""
    stage = {"version": "v1", "serving": {"replicas": replicas}, "rollout": rollout} | production
    world = RolloutWorld(stages={"production": stage})
    world.settle(ROUNDS * 3)
    return world
