"""Kubernetes in memory: `modelyard.ports.Cluster` and `Objects` with the API server's own rules,
and actions of users and controllers.

It implements uids, resourceVersions and generations, preconditions, the status subresource,
server-side apply by one field manager, finalizers, garbage collection by owner references, and the
ReplicaSet between a Deployment and its pods. Every change is in the cache at once, as from a watch,
unless the fake is `deaf`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from modelyard.adapters.kubernetes_approvals import UNGUARDED
from modelyard.api.freeze import Calendar
from modelyard.cache import Cache
from modelyard.errors import Conflict, Invalid, ModelyardError
from modelyard.kube.applied import stamped
from modelyard.kube.names import TRAFFIC_ANNOTATION
from modelyard.kube.owned import parent_of, taken
from modelyard.plan import Delete, Manifest, SetTrafficRule, Suspend
from tests.fakes.applying import copied, merged
from tests.fakes.calls import Call, Calls, Hook
from tests.fakes.clock import FakeClock
from tests.fakes.rules import (
    OWN,
    check_immutable,
    controlled_by,
    generation_counts,
    is_orphan,
    place_of,
    scope_of,
)

__all__ = ["FakeCluster", "Killed", "controlled_by"]

_PAGE = 500


class Killed(BaseException):
    """The operator's process was killed at this point."""


class FakeCluster:
    """One cluster, which outlives operators; `attach` gives it the next operator's cache.

    Attributes:
        calls: The log of calls of the two ports, `Call(operation, arguments)`.
        events: The posted events: kind, name, reason, message, whether it is a warning.
        secrets: Data by namespace and name.
        labels: Labels by namespace.
        refuses: Errors of a quota, a policy or validation, by kind and name.
        creation_errors: Why Kubernetes cannot create a Job's pod, by the Job's uid.
        guarded: Whether the policies for approvals are in force.
        freezes: What `calendar` returns.
        deaf: While True, only the answers to our own writes reach the cache. `relisten` brings
            it up to date.

    """

    def __init__(
        self, cache: Cache, *, clock: FakeClock | None = None, calls: Calls | None = None
    ) -> None:
        self._cache = cache
        self._clock = clock or FakeClock()
        self._call = calls or Calls()
        self._objects: dict[tuple[str, str, str], Manifest] = {}
        self._applied: dict[str, Manifest] = {}
        self._version = 0
        self._made = 0
        self._collecting = False
        self.events: list[tuple[str, str, str, str, bool]] = []
        self.secrets: dict[tuple[str, str], dict[str, str]] = {}
        self.labels: dict[str, dict[str, str]] = {}
        self.refuses: dict[tuple[str, str], ModelyardError] = {}
        self.deaf = False
        self.creation_errors: dict[str, str] = {}
        self.guarded = True
        self.freezes: Calendar | str = Calendar()

    @property
    def calls(self) -> list[Call]:
        return self._call.log

    @property
    def on_call(self) -> Hook:
        return self._call.on_call

    @on_call.setter
    def on_call(self, hook: Hook) -> None:
        self._call.on_call = hook

    def fail_next(self, operation: str, error: BaseException, *, after: bool = False) -> None:
        """Make the next call of a method fail; `after` it took effect, for commit-then-error."""
        hook = self.on_call
        done = False

        def fail(name: str, phase: str) -> None:
            nonlocal done
            hook(name, phase)  # type: ignore[arg-type]
            if not done and name == operation and phase == ("after" if after else "before"):
                done = True
                raise error

        self.on_call = fail

    # --- Cluster ----------------------------------------------------------------------------------
    def get(self, plural: str, namespace: str, name: str) -> Manifest | None:
        return self._cache.get(plural, namespace, name)

    def select(self, plural: str, namespace: str) -> Iterable[Manifest]:
        return self._cache.select(plural, namespace)

    def owned(self, uid: str) -> tuple[Manifest, ...]:
        return self._cache.owned(uid)

    async def apply(self, manifest: Manifest) -> None:
        async with self._call("apply", manifest):
            desired = copied(stamped(manifest))
            desired.pop("status", None)
            refusal = self.refuses.get((desired["kind"], desired["metadata"]["name"]))
            if refusal is not None:
                raise refusal
            live = self._objects.get(place_of(desired))
            if live is not None and parent_of(live) != parent_of(desired):
                raise Invalid(
                    "Kubernetes",
                    f"apply {desired['kind']}",
                    desired["metadata"]["name"],
                    taken(live),
                )
            if live is None:
                body = self._born(desired)
            else:
                previous = self._applied.get(live["metadata"]["uid"], {})
                body = merged(live, desired, previous)
                check_immutable(live, body)
                body["metadata"] |= {
                    key: live["metadata"][key]
                    for key in ("uid", "resourceVersion", "creationTimestamp")
                }
            body = self._store(body)
            self._applied[body["metadata"]["uid"]] = desired
        self._cache.put(scope_of(body), copied(body))

    async def delete(self, namespace: str, child: Delete) -> None:
        async with self._call("delete", namespace, child):
            place = (
                scope_of({"apiVersion": child.api_version, "kind": child.kind}),
                namespace,
                child.name,
            )
            live = self._objects.get(place)
            if live is not None and live["metadata"]["uid"] == child.uid:
                self._delete(place)
        left = self._objects.get(place)
        if left is not None and left["metadata"]["uid"] == child.uid:  # being deleted
            self._cache.put(place[0], copied(left))
        else:
            self._cache.remove(*place, child.uid)

    async def suspend(self, namespace: str, job: Suspend) -> None:
        place = ("batch/v1/Job", namespace, job.name)
        async with self._call("suspend", namespace, job):
            live = self._objects.get(place)
            if live is None or live["metadata"]["uid"] != job.uid:
                self._cache.remove(*place, job.uid)
                raise Conflict("Kubernetes", "suspend Job", job.name, "it is gone")
            body = self._store(
                copied(live) | {"spec": copied(live["spec"]) | {"suspend": job.suspend}}
            )
        self._cache.put(place[0], copied(body))

    async def tell(self, namespace: str, pod: SetTrafficRule) -> None:
        place = ("v1/Pod", namespace, pod.name)
        async with self._call("tell", namespace, pod):
            if (refusal := self.refuses.get(("Pod", pod.name))) is not None:
                raise refusal
            live = self._objects.get(place)
            if live is None:
                self._cache.remove(*place, pod.uid)
                return
            if live["metadata"]["uid"] != pod.uid:
                raise Conflict(
                    "Kubernetes", "tell Pod", pod.name, "another object has its name now"
                )
            body = copied(live)
            said = {
                key: value
                for key, value in (body["metadata"].pop("annotations", None) or {}).items()
                if key != TRAFFIC_ANNOTATION
            }
            said |= {TRAFFIC_ANNOTATION: pod.rule} if pod.rule is not None else {}
            body["metadata"] |= {"annotations": said} if said else {}
            body = self._store(body)
        self._cache.put(place[0], copied(body))

    async def creation_error(self, namespace: str, uid: str) -> str | None:
        async with self._call("creation_error", namespace, uid):
            return self.creation_errors.get(uid)

    async def secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        async with self._call("secret", namespace, name):
            return self.secrets.get((namespace, name))

    async def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        async with self._call("config_map", namespace, name):
            found = self._objects.get(("v1/ConfigMap", namespace, name))
            return None if found is None else dict(found.get("data") or {})

    async def namespace_labels(self, namespace: str) -> Mapping[str, str]:
        async with self._call("namespace_labels", namespace):
            return self.labels.get(namespace, {})

    def calendar(self) -> Calendar | str:
        return self.freezes

    async def unguarded(self, namespace: str) -> str | None:
        async with self._call("unguarded", namespace):
            return None if self.guarded else UNGUARDED

    # --- Objects ----------------------------------------------------------------------------------
    async def page(self, plural: str, token: str) -> tuple[list[Manifest], str]:
        async with self._call("page", plural, token):
            bodies = [
                body
                for (scope, _, _), body in sorted(self._objects.items(), key=lambda item: item[0])
                if scope == plural
            ]
            begin = int(token or 0)
            end = begin + _PAGE
            return copied(bodies[begin:end]), str(end) if end < len(bodies) else ""

    async def write_status(self, body: Manifest, status: Manifest) -> Manifest:
        async with self._call("write_status", body, status):
            live = self._newest(body, "write status of")
            return copied(self._store(copied(live) | {"status": copied(status)}))

    async def set_finalizers(self, body: Manifest, finalizers: tuple[str, ...]) -> Manifest:
        async with self._call("set_finalizers", body, finalizers):
            live = self._newest(body, "set finalizers of")
            added = set(finalizers) - set(live["metadata"].get("finalizers", ()))
            if added and "deletionTimestamp" in live["metadata"]:
                raise Invalid(
                    "Kubernetes",
                    "set finalizers of",
                    live["metadata"]["name"],
                    "no finalizer may be added: it is being deleted",
                )
            changed = copied(live)
            changed["metadata"]["finalizers"] = list(finalizers)
            stored = copied(self._store(changed))
            self._bury(place_of(live))
            return stored

    async def event(self, body: Manifest, reason: str, message: str, *, warning: bool) -> None:
        async with self._call("event", body, reason, message):
            self.events.append((body["kind"], body["metadata"]["name"], reason, message, warning))

    # --- users and other controllers --------------------------------------------------------------
    def create(self, manifest: Manifest) -> Manifest:
        """Create an object; a status is dropped, as the API server does."""
        assert place_of(manifest) not in self._objects, f"{place_of(manifest)} exists"
        return copied(
            self._store(self._born({k: v for k, v in copied(manifest).items() if k != "status"}))
        )

    def live(self, scope: str, namespace: str, name: str) -> Manifest | None:
        """Return an object as the API server has it, whatever is in the cache."""
        return copied(self._objects.get((scope, namespace, name)))

    def all(self, scope: str) -> list[Manifest]:
        """Return all objects of a plural, or of `<apiVersion>/<Kind>`."""
        return [copied(body) for (each, _, _), body in self._objects.items() if each == scope]

    def peek(self, scope: str) -> list[Manifest]:
        """Return all objects of a scope without copying them; do not change them."""
        return [body for (each, _, _), body in self._objects.items() if each == scope]

    def edit(
        self, scope: str, namespace: str, name: str, change: Callable[[Manifest], Any]
    ) -> Manifest:
        """Change an object's spec or status; a change of the spec raises the generation."""
        body = copied(self._objects[scope, namespace, name])
        change(body)
        return copied(self._store(body))

    def remove(self, scope: str, namespace: str, name: str) -> None:
        """Delete an object; with a finalizer it only gets a deletionTimestamp."""
        self._delete((scope, namespace, name))

    def start_pod(self, owner: Manifest, name: str = "", **status: Any) -> Manifest:
        """Create a pod of a Job, or of a Deployment by way of its ReplicaSet, with this status."""
        meta, template = owner["metadata"], owner["spec"]["template"]
        labels = dict(template["metadata"]["labels"])
        if owner["kind"] == "Deployment":
            owner = self._replica_set(owner)
            labels = dict(owner["metadata"]["labels"])
        else:
            labels["job-name"] = meta["name"]
        pod = self.create(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": name or f"{meta['name']}-pod",
                    "namespace": meta["namespace"],
                    "labels": labels,
                    "ownerReferences": [controlled_by(owner)],
                },
                "spec": copied(template["spec"]),
            }
        )
        return self.edit(*place_of(pod), lambda body: body.update(status=status)) if status else pod

    def _replica_set(self, deployment: Manifest) -> Manifest:
        """Return the ReplicaSet of a Deployment's template; create it if there is none."""
        meta, template = deployment["metadata"], deployment["spec"]["template"]
        digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]
        labels = template["metadata"]["labels"] | {"pod-template-hash": digest}
        body = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{meta['name']}-{digest}",
                "namespace": meta["namespace"],
                "labels": labels,
                "ownerReferences": [controlled_by(deployment)],
            },
            "spec": {"replicas": deployment["spec"].get("replicas", 1)},
        }
        return self.live(*place_of(body)) or self.create(body)

    def attach(self, cache: Cache) -> None:
        """Use the next operator's cache, and fill it as its watches would."""
        self._cache = cache
        self.relisten()

    def relisten(self) -> None:
        """Bring the cache up to date, as a list does after a broken stream."""
        self.deaf = False
        for scope in {*OWN.values(), *(place[0] for place in self._objects)}:
            before = self._cache.uids(scope)
            bodies = self.all(scope)
            for body in bodies:
                self._cache.put(scope, body)
            self._cache.remove_missing(scope, before, [body["metadata"]["uid"] for body in bodies])

    # --- the API server ---------------------------------------------------------------------------
    def _born(self, body: Manifest) -> Manifest:
        self._made += 1
        created = self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        return body | {
            "metadata": body["metadata"]
            | {
                "uid": f"uid-{self._made}",
                "creationTimestamp": created,
                "resourceVersion": "0",
                "generation": 1,
            }
        }

    def _newest(self, body: Manifest, operation: str) -> Manifest:
        """Return the object if it has the uid and resourceVersion of `body`."""
        live = self._objects.get(place_of(body))
        if live is None or live["metadata"]["uid"] != body["metadata"]["uid"]:
            meta = body["metadata"]
            self._cache.remove(scope_of(body), meta["namespace"], meta["name"], meta["uid"])
            raise Conflict("Kubernetes", operation, meta["name"], "it is gone")
        if live["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            self._cache.put(scope_of(live), copied(live))
            raise Conflict("Kubernetes", operation, live["metadata"]["name"], "it has changed")
        return live

    def _store(self, body: Manifest) -> Manifest:
        """Store a body; without a change nothing happens, as on a real API server."""
        place = place_of(body)
        old = self._objects.get(place)
        if old is not None and old == body:
            return old
        if old is not None and generation_counts(old) != generation_counts(body):
            body["metadata"]["generation"] = old["metadata"]["generation"] + 1
        self._version += 1
        body["metadata"]["resourceVersion"] = str(self._version)
        self._objects[place] = body
        if not self.deaf:
            self._cache.put(place[0], copied(body))
        return body

    def _delete(self, place: tuple[str, str, str]) -> None:
        body = copied(self._objects[place])
        if body["metadata"].get("finalizers"):
            body["metadata"].setdefault(
                "deletionTimestamp", self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
            )
            self._store(body)
            return
        self._version += 1
        del self._objects[place]
        if not self.deaf:
            self._cache.remove(*place, body["metadata"]["uid"])
        self._collect()

    def _bury(self, place: tuple[str, str, str]) -> None:
        meta = self._objects[place]["metadata"]
        if "deletionTimestamp" in meta and not meta.get("finalizers"):
            self._delete(place)

    def _collect(self) -> None:
        """Delete the objects of missing owners, and theirs in turn."""
        if self._collecting:
            return
        self._collecting = True
        gone = True
        while gone:
            uids = {body["metadata"]["uid"] for body in self._objects.values()}
            orphans = [place for place, body in self._objects.items() if is_orphan(body, uids)]
            for place in orphans:
                self._delete(place)
            gone = any(place not in self._objects for place in orphans)
        self._collecting = False
