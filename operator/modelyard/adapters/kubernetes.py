"""Kubernetes behind the ports `Cluster` and `Objects`.

Owned objects are written by server-side apply, our own objects by JSON patch.

How a request is made does not belong here (`adapters.kubernetes_api`), nor how changes come in
(`adapters.kubernetes_watch`).
"""

import base64
import binascii
import json
import logging
import time
import uuid
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime

from modelyard.adapters import kubernetes_approvals
from modelyard.adapters.instrument import Missing
from modelyard.adapters.kubernetes_api import (
    APPLY,
    JSON_PATCH,
    KINDS,
    MERGE_PATCH,
    Api,
    Gone,
    Kind,
    kind_of,
)
from modelyard.adapters.kubernetes_freeze import Freezes
from modelyard.api.base import GROUP, VERSION
from modelyard.api.freeze import Calendar
from modelyard.cache import Cache
from modelyard.errors import Ambiguous, Conflict, Invalid, ModelyardError, Unavailable
from modelyard.kube.applied import stamped
from modelyard.kube.names import FIELD_MANAGER, TRAFFIC_ANNOTATION
from modelyard.kube.owned import parent_of, taken
from modelyard.plan import Delete, Manifest, Suspend, Tell

__all__ = ["Kubernetes", "Leases"]

logger = logging.getLogger("modelyard.kubernetes")

_LABELS_AGE = 60.0
_NOTE_LIMIT = 1000
_EVENTS = 20
"""Kubernetes joins the events of one cause, and Jobs try once a minute."""
# all that it says of a `test` that failed
_TEST_FAILED = "the server rejected our request due to an error in our request"
_UID_DIFFERS = "metadata.uid"  # the field that it names when a patch has another one
_OWN: Mapping[str, Kind] = {
    kind.plural: kind for kind in KINDS.values() if kind.api_version == f"{GROUP}/{VERSION}"
}


class Kubernetes:
    """Both ports in one: what is written through either is in the cache at once."""

    def __init__(
        self,
        api: Api,
        cache: Cache,
        *,
        namespaces: tuple[str, ...] = (),
        page_size: int = 500,
        reporter: str = "modelyard",
        resync: float = 300.0,
        freezes: Freezes | None = None,
    ) -> None:
        """Make one.

        Args:
            api: The session.
            cache: What the watches know.
            namespaces: Those that are served; empty for all.
            page_size: Objects in one page of a list.
            reporter: Who reports events: the pod.
            resync: Seconds for which the answer of `unguarded` is kept.
            freezes: What the watch of the cluster's calendar knows.

        """
        self._api = api
        self._cache = cache
        self._namespaces = namespaces
        self._page_size = page_size
        self._reporter = reporter
        self._labels: dict[str, tuple[float, Mapping[str, str]]] = {}
        self._unguarded: dict[str, tuple[float, str | None]] = {}
        self._resync = resync
        self._freezes = freezes or Freezes()

    # --- Cluster ----------------------------------------------------------------------------------
    def get(self, plural: str, namespace: str, name: str) -> Manifest | None:
        """Return one of our own objects."""
        return self._cache.get(plural, namespace, name)

    def select(self, plural: str, namespace: str) -> Iterable[Manifest]:
        """Return our own objects of a kind in a namespace."""
        return self._cache.select(plural, namespace)

    def owned(self, uid: str) -> tuple[Manifest, ...]:
        """Return the objects that one of our own objects owns."""
        return self._cache.owned(uid)

    def calendar(self) -> Calendar | str:
        """Return the freezes of the whole cluster."""
        return self._freezes.current

    async def apply(self, manifest: Manifest) -> None:
        """Server-side apply, by force, of an object whose name is free or whose owner is the
        same.
        """
        kind, meta = kind_of(manifest), manifest["metadata"]
        path = kind.path(meta["namespace"], meta["name"])
        await self._refuse_foreign(manifest)
        params = {"fieldManager": FIELD_MANAGER, "force": "true", "fieldValidation": "Strict"}
        subject = f"{meta['namespace']}/{meta['name']}"
        answer = await self._api.write(
            "PATCH",
            path,
            f"apply {kind.kind}",
            subject,
            stamped(manifest),
            content_type=APPLY,
            params=params,
        )
        self._cache.put(kind.scope, answer)

    async def _refuse_foreign(self, manifest: Manifest) -> None:
        """Refuse to apply what another object controls, or none; what is not known is read
        first.
        """
        kind, meta = kind_of(manifest), manifest["metadata"]
        subject = f"{meta['namespace']}/{meta['name']}"
        found = self._cache.get(kind.scope, meta["namespace"], meta["name"])
        try:
            found = found or await self._api.read(
                kind.path(meta["namespace"], meta["name"]), f"read {kind.kind}", subject
            )
        except Missing:
            return
        if parent_of(found) != parent_of(manifest):
            raise Invalid("Kubernetes", f"apply {kind.kind}", subject, taken(found))

    async def delete(self, namespace: str, child: Delete) -> None:
        """Delete an owned object if it still has that uid."""
        kind = KINDS[child.api_version, child.kind]
        body = {"preconditions": {"uid": child.uid}, "propagationPolicy": "Background"}
        subject = f"{namespace}/{child.name}"
        try:
            answer = await self._api.write(
                "DELETE", kind.path(namespace, child.name), f"delete {kind.kind}", subject, body
            )
        except (Missing, Conflict):  # gone, or another one of that name by now
            answer = {"kind": "Status"}
        scope = kind.plural if kind.plural in _OWN else kind.scope
        if answer.get("kind") == "Status":
            self._cache.remove(scope, namespace, child.name, child.uid)
        else:  # it is still there, on its way out
            self._cache.put(scope, answer)

    async def suspend(self, namespace: str, job: Suspend) -> None:
        """Set an owned Job's `suspend`, if it still has that uid."""
        kind, subject = KINDS["batch/v1", "Job"], f"{namespace}/{job.name}"
        path, operation = kind.path(namespace, job.name), f"suspend {kind.kind}"
        patch = [
            {"op": "test", "path": "/metadata/uid", "value": job.uid},
            {"op": "add", "path": "/spec/suspend", "value": job.suspend},
        ]
        params = {"fieldManager": FIELD_MANAGER}
        try:
            answer = await self._api.write(
                "PATCH", path, operation, subject, patch, content_type=JSON_PATCH, params=params
            )
        except Missing:
            self._cache.remove(kind.scope, namespace, job.name, job.uid)
            raise Conflict("Kubernetes", operation, subject, "it is gone") from None
        except Invalid as error:
            if _TEST_FAILED in error.detail:
                raise Conflict(
                    "Kubernetes", operation, subject, "another one has its name now"
                ) from None
            raise
        self._cache.put(kind.scope, answer)

    async def tell(self, namespace: str, pod: Tell) -> None:
        """Set or remove a pod's annotation, if it still has that uid: the API server refuses a
        patch that would change it.
        """
        kind, subject = KINDS["v1", "Pod"], f"{namespace}/{pod.name}"
        patch = {"metadata": {"uid": pod.uid, "annotations": {TRAFFIC_ANNOTATION: pod.rule}}}
        params = {"fieldManager": FIELD_MANAGER}
        path = kind.path(namespace, pod.name)
        try:
            answer = await self._api.write(
                "PATCH", path, "tell Pod", subject, patch, content_type=MERGE_PATCH, params=params
            )
        except Missing:
            self._cache.remove(kind.scope, namespace, pod.name, pod.uid)
            return
        except Invalid as error:
            if _UID_DIFFERS in error.detail:
                raise Conflict(
                    "Kubernetes", "tell Pod", subject, "another one has its name now"
                ) from None
            raise
        self._cache.put(kind.scope, answer)

    async def creation_error(self, namespace: str, uid: str) -> str | None:
        """Return the note of the newest `FailedCreate` event of a Job."""
        kind = KINDS["events.k8s.io/v1", "Event"]
        selector = f"regarding.uid={uid},reason=FailedCreate"
        params = {"fieldSelector": selector, "limit": str(_EVENTS)}
        answer = await self._api.read(
            kind.path(namespace), "list Event", f"{namespace}/{uid}", params
        )
        newest = max(answer.get("items") or (), key=_told_at, default=None)
        return None if newest is None else str(newest.get("note") or "")[:_NOTE_LIMIT] or None

    async def secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """Return a Secret's data, decoded; None when there is none."""
        kind = KINDS["v1", "Secret"]
        try:
            body = await self._api.read(
                kind.path(namespace, name), "read Secret", f"{namespace}/{name}"
            )
        except Missing:
            return None
        try:
            return {
                key: base64.b64decode(value).decode()
                for key, value in (body.get("data") or {}).items()
            }
        except (binascii.Error, UnicodeDecodeError):
            raise Invalid(
                "Kubernetes", "read Secret", f"{namespace}/{name}", "a value is not UTF-8 text"
            ) from None

    async def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """Return a ConfigMap's text; None when there is none."""
        try:
            body = await self._api.read(
                KINDS["v1", "ConfigMap"].path(namespace, name),
                "read ConfigMap",
                f"{namespace}/{name}",
            )
        except Missing:
            return None
        return body.get("data") or {}

    async def namespace_labels(self, namespace: str) -> Mapping[str, str]:
        """Return the labels of a namespace, at most a minute old."""
        when, labels = self._labels.get(namespace, (-_LABELS_AGE, {}))
        if time.monotonic() - when < _LABELS_AGE:
            return labels
        body = await self._api.read(f"/api/v1/namespaces/{namespace}", "read Namespace", namespace)
        labels = body["metadata"].get("labels") or {}
        self._labels[namespace] = (time.monotonic(), labels)
        return labels

    async def unguarded(self, namespace: str) -> str | None:
        """Say why ModelApprovals of a namespace cannot be believed; None: they can."""
        when, said = self._unguarded.get(namespace, (-self._resync, None))
        if time.monotonic() - when >= self._resync:
            said = await kubernetes_approvals.unguarded(self._api, namespace)
            self._unguarded[namespace] = (time.monotonic(), said)
        return said

    # --- Objects ----------------------------------------------------------------------------------
    async def page(self, plural: str, token: str) -> tuple[list[Manifest], str]:
        """List one page. The token is `<index of the namespace>:<the API server's own>`."""
        number, _, follow = token.partition(":")
        index = int(number or 0)
        namespace = self._namespaces[index] if self._namespaces else None
        params = {"limit": str(self._page_size)} | ({"continue": follow} if follow else {})
        try:
            answer = await self._api.read(
                _OWN[plural].path(namespace),
                f"list {plural}",
                namespace or "all namespaces",
                params,
            )
        except Gone:
            raise Unavailable(
                "Kubernetes",
                f"list {plural}",
                namespace or "all namespaces",
                "the list took too long",
            ) from None
        follow = answer["metadata"].get("continue", "")
        if follow:
            return answer["items"], f"{index}:{follow}"
        return answer["items"], f"{index + 1}:" if index + 1 < len(self._namespaces) else ""

    async def write_status(self, body: Manifest, status: Manifest) -> Manifest:
        """Replace an object's status in one write, if it has not changed since `body`."""
        meta = body["metadata"]
        # The uid is tested, not set as below: the status subresource ignores a patched uid.
        patch = [
            {"op": "test", "path": "/metadata/uid", "value": meta["uid"]},
            {"op": "add", "path": "/metadata/resourceVersion", "value": meta["resourceVersion"]},
            {"op": "add", "path": "/status", "value": status},
        ]
        return await self._patch(body, "status", "write status of", patch)

    async def set_finalizers(self, body: Manifest, finalizers: tuple[str, ...]) -> Manifest:
        """Replace an object's finalizers."""
        meta = body["metadata"]
        patch = [
            {"op": "add", "path": "/metadata/uid", "value": meta["uid"]},
            {"op": "add", "path": "/metadata/resourceVersion", "value": meta["resourceVersion"]},
            {"op": "add", "path": "/metadata/finalizers", "value": list(finalizers)},
        ]
        return await self._patch(body, "", "set finalizers of", patch)

    async def _patch(
        self, body: Manifest, subresource: str, operation: str, patch: list[Manifest]
    ) -> Manifest:
        kind, meta = kind_of(body), body["metadata"]
        subject = f"{meta['namespace']}/{meta['name']}"
        path = kind.path(meta["namespace"], meta["name"], subresource)
        what = f"{operation} {kind.kind}"
        try:
            return await self._api.write(
                "PATCH", path, what, subject, patch, content_type=JSON_PATCH
            )
        except Missing:
            self._cache.remove(kind.plural, meta["namespace"], meta["name"], meta["uid"])
            raise Conflict("Kubernetes", operation, subject, "it is gone") from None
        except Conflict:
            await self._learn(kind, body)
            raise
        except Invalid as error:
            if _TEST_FAILED in error.detail:
                raise Conflict(
                    "Kubernetes", operation, subject, "another one has its name now"
                ) from None
            raise

    async def _learn(self, kind: Kind, body: Manifest) -> None:
        """Read an object that has changed, for the next decision: its watch may be late, or cut."""
        meta = body["metadata"]
        subject, path = (
            f"{meta['namespace']}/{meta['name']}",
            kind.path(meta["namespace"], meta["name"]),
        )
        try:
            self._cache.put(kind.plural, await self._api.read(path, f"read {kind.kind}", subject))
        except Missing:
            self._cache.remove(kind.plural, meta["namespace"], meta["name"], meta["uid"])
        except ModelyardError as error:
            logger.info("What has changed could not be read: %s", error)

    async def event(self, body: Manifest, reason: str, message: str, *, warning: bool) -> None:
        """Record an event; one that is refused is logged and forgotten.

        Raises:
            Unavailable: Kubernetes takes nothing now, or this process may not write now.

        """
        meta = body["metadata"]
        kind = KINDS["events.k8s.io/v1", "Event"]
        event = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {
                "name": f"{meta['name'][:200]}.{uuid.uuid4().hex[:16]}",
                "namespace": meta["namespace"],
            },
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": f"{GROUP}/operator",
            "reportingInstance": self._reporter[:128],
            "action": "Reconcile",
            "reason": reason,
            "note": message[:_NOTE_LIMIT],
            "type": "Warning" if warning else "Normal",
            "regarding": {
                "apiVersion": body["apiVersion"],
                "kind": body["kind"],
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta["uid"],
            },
        }
        try:
            await self._api.write(
                "POST",
                kind.path(meta["namespace"]),
                "record Event",
                f"{meta['namespace']}/{meta['name']}",
                event,
            )
        except ModelyardError as error:
            if isinstance(error, Unavailable) and not isinstance(error, Ambiguous):
                raise
            logger.warning("An event is lost: %s", error)

    # --- the start --------------------------------------------------------------------------------
    async def unserved(self, plurals: Collection[str]) -> tuple[str, ...]:
        """Return which of our kinds the API server does not serve."""
        try:
            answer = await self._api.read(
                f"/apis/{GROUP}/{VERSION}", "discover", f"{GROUP}/{VERSION}"
            )
        except Missing:
            return tuple(plurals)
        served = {resource["name"] for resource in answer["resources"]}
        return tuple(plural for plural in plurals if plural not in served)


def _told_at(event: Manifest) -> str:
    """Return when an event was told last; events of core/v1 have other fields for it."""
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime")
        or event.get("deprecatedLastTimestamp")
        or event.get("eventTime")
        or ""
    )


class Leases:
    """One Lease object, as the election reads and writes it."""

    def __init__(self, api: Api, namespace: str, name: str) -> None:
        """Name it."""
        self._api = api
        self._namespace = namespace
        self._name = name
        self._kind = KINDS["coordination.k8s.io/v1", "Lease"]

    async def read(self) -> Manifest | None:
        """Return the Lease; None when there is none."""
        try:
            return await self._api.read(
                self._kind.path(self._namespace, self._name),
                "read Lease",
                f"{self._namespace}/{self._name}",
            )
        except Missing:
            return None

    async def write(self, old: Manifest | None, spec: Manifest) -> Manifest:
        """Create it, or replace the spec of what was read.

        Raises:
            Conflict: Somebody else wrote it meanwhile.

        """
        meta = {"name": self._name, "namespace": self._namespace}
        body = {
            "apiVersion": self._kind.api_version,
            "kind": self._kind.kind,
            "metadata": meta,
            "spec": spec,
        }
        subject = f"{self._namespace}/{self._name}"
        if old is None:
            return await self._api.write(
                "POST",
                self._kind.path(self._namespace),
                "create Lease",
                subject,
                body,
                fenced=False,
            )
        body = json.loads(json.dumps(old)) | {"spec": spec}
        return await self._api.write(
            "PUT",
            self._kind.path(self._namespace, self._name),
            "renew Lease",
            subject,
            body,
            fenced=False,
        )
