"""Kubernetes behind the ports `Cluster` and `Objects`.

Owned objects are written by server-side apply, our own objects by JSON patch.
"""

import base64
import binascii
import logging
import time
from collections.abc import Iterable, Mapping

from modelyard.adapters import kubernetes_approvals, kubernetes_events
from modelyard.adapters.instrument import Missing
from modelyard.adapters.kubernetes_api import APPLY, JSON_PATCH, KINDS, MERGE_PATCH, Api, kind_of
from modelyard.adapters.kubernetes_freeze import Freezes
from modelyard.adapters.kubernetes_own import OWN, REPLACED, TEST_FAILED, OwnObjects
from modelyard.api.freeze import Calendar
from modelyard.cache import Cache
from modelyard.errors import Ambiguous, Conflict, Invalid, ModelyardError, Unavailable
from modelyard.kube.applied import stamped
from modelyard.kube.names import FIELD_MANAGER, TRAFFIC_ANNOTATION
from modelyard.kube.owned import parent_of, taken
from modelyard.plan import Delete, Manifest, SetTrafficRule, Suspend

__all__ = ["Kubernetes"]

logger = logging.getLogger("modelyard.kubernetes")

_LABELS_AGE = 60.0
_UID_DIFFERS = "metadata.uid"
"""What the API server names when a merge patch has another uid."""


class Kubernetes(OwnObjects):
    """Both ports in one; the answer to each write goes into the cache at once."""

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
        """Create the ports.

        Args:
            api: The session.
            cache: The objects that the watches maintain.
            namespaces: The namespaces that are served; empty for all.
            page_size: Objects in one page of a list.
            reporter: The name of this pod, as the reporter of events.
            resync: Seconds for which the answer of `unguarded` is kept.
            freezes: The cluster's calendar, maintained by its watch.

        """
        super().__init__(api, cache, namespaces=namespaces, page_size=page_size)
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
        """Apply an owned object server-side, by force, unless another owner has its name."""
        kind, meta = kind_of(manifest), manifest["metadata"]
        path = kind.path(meta["namespace"], meta["name"])
        await self._refuse_foreign(manifest)
        params = {"fieldManager": FIELD_MANAGER, "force": "true", "fieldValidation": "Strict"}
        subject = f"{meta['namespace']}/{meta['name']}"
        operation, body = f"apply {kind.kind}", stamped(manifest)
        answer = await self._api.write(
            "PATCH", path, operation, subject, body, content_type=APPLY, params=params
        )
        self._cache.put(kind.scope, answer)

    async def _refuse_foreign(self, manifest: Manifest) -> None:
        """Refuse to apply over an object of another owner, or of none.

        An object that is not in the cache is read first.

        Raises:
            Invalid: The name is taken.

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

    async def delete(self, namespace: str, owned: Delete) -> None:
        """Delete an owned object if it still has that uid."""
        kind = KINDS[owned.api_version, owned.kind]
        body = {"preconditions": {"uid": owned.uid}, "propagationPolicy": "Background"}
        subject = f"{namespace}/{owned.name}"
        try:
            answer = await self._api.write(
                "DELETE", kind.path(namespace, owned.name), f"delete {kind.kind}", subject, body
            )
        except (Missing, Conflict):  # it is gone, or another object has its name
            answer = {"kind": "Status"}
        scope = kind.plural if kind.plural in OWN else kind.scope
        if answer.get("kind") == "Status":
            self._cache.remove(scope, namespace, owned.name, owned.uid)
        else:  # it still exists, with a deletionTimestamp
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
            if TEST_FAILED in error.detail:
                raise Conflict("Kubernetes", operation, subject, REPLACED) from None
            raise
        self._cache.put(kind.scope, answer)

    async def tell(self, namespace: str, pod: SetTrafficRule) -> None:
        """Set or remove a pod's annotation, if the pod still has that uid.

        The API server refuses a merge patch that would change the uid.
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
                raise Conflict("Kubernetes", "tell Pod", subject, REPLACED) from None
            raise
        self._cache.put(kind.scope, answer)

    async def creation_error(self, namespace: str, uid: str) -> str | None:
        """Return the note of the newest `FailedCreate` event of a Job."""
        return await kubernetes_events.creation_error(self._api, namespace, uid)

    async def secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """Return a Secret's data, decoded; None if there is no such Secret."""
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
        """Return a ConfigMap's text; None if there is no such ConfigMap."""
        path = KINDS["v1", "ConfigMap"].path(namespace, name)
        try:
            body = await self._api.read(path, "read ConfigMap", f"{namespace}/{name}")
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
        """Return why the namespace's ModelApprovals cannot be trusted; None if they can."""
        when, reason = self._unguarded.get(namespace, (-self._resync, None))
        if time.monotonic() - when >= self._resync:
            reason = await kubernetes_approvals.unguarded(self._api, namespace)
            self._unguarded[namespace] = (time.monotonic(), reason)
        return reason

    async def event(self, body: Manifest, reason: str, message: str, *, warning: bool) -> None:
        """Post an event; one that the API server refuses is logged and dropped.

        Raises:
            Unavailable: Kubernetes accepts no writes now, or this process may not write now.

        """
        try:
            await kubernetes_events.post(
                self._api, self._reporter, body, reason, message, warning=warning
            )
        except ModelyardError as error:
            if isinstance(error, Unavailable) and not isinstance(error, Ambiguous):
                raise
            logger.warning("An event was lost: %s", error)
