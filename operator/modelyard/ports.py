"""The ports: what the kinds and the engine may ask of Kubernetes, MLflow and S3.

No vendor's type or error crosses a port: adapters translate both, and never retry. Every read may
raise `Invalid` or `Unavailable`; a write may also raise `Conflict` or `Ambiguous`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from modelyard.api.artifacts import Reach
from modelyard.api.freeze import Calendar
from modelyard.api.text import TextFilter
from modelyard.errors import ModelyardError
from modelyard.kube.names import CONNECTION_SECRET
from modelyard.plan import Delete, Manifest, SetTrafficRule, Suspend
from modelyard.store import ArtifactTree, Store, StoredObject, Usage
from modelyard.tracked import (
    LoggedModel,
    ModelStage,
    RunList,
    TrackedExperiment,
    TrackedModel,
    TrackedRun,
    TrackedVersion,
)
from modelyard.tracking import Tracking
from modelyard.traffic import Traffic

__all__ = [
    "ArtifactTree",
    "Backends",
    "Cluster",
    "LoggedModel",
    "ModelStage",
    "Objects",
    "Ports",
    "RunList",
    "Store",
    "StoredObject",
    "Tenant",
    "TrackedExperiment",
    "TrackedModel",
    "TrackedRun",
    "TrackedVersion",
    "Tracking",
    "Usage",
]


# --- Kubernetes -----------------------------------------------------------------------------------
class Cluster(Protocol):
    """Kubernetes, for the kinds.

    `get`, `select` and `owned` read the cache of the watches and send no request.
    """

    def get(self, plural: str, namespace: str, name: str) -> Manifest | None:
        """Return an object of one of modelyard's kinds."""
        ...

    def select(self, plural: str, namespace: str) -> Iterable[Manifest]:
        """Return the objects of one of modelyard's kinds in a namespace."""
        ...

    def owned(self, uid: str) -> tuple[Manifest, ...]:
        """Return the objects that an object of modelyard's owns, each with apiVersion and kind.

        An object is owned if it is in the owner's namespace and has a controller reference to the
        owner's uid; pods are owned through their ReplicaSet or Job. A ConfigMap has its metadata
        only.
        """
        ...

    def calendar(self) -> Calendar | str:
        """Return the cluster's freezes from the watch's cache, or why they cannot be read."""
        ...

    async def apply(self, manifest: Manifest) -> None:
        """Apply server-side with modelyard's field manager, by force.

        The answer is visible to `owned` at once.

        The adapter adds the hashes of `kube.applied`. `Invalid` if an object of that name exists
        that the manifest's owner does not control.
        """
        ...

    async def delete(self, namespace: str, child: Delete) -> None:
        """Delete an owned object if it still has that uid; a missing one is no error."""
        ...

    async def suspend(self, namespace: str, job: Suspend) -> None:
        """Set only `suspend` of an owned Job; `Conflict` if the Job no longer has that uid."""
        ...

    async def tell(self, namespace: str, pod: SetTrafficRule) -> None:
        """Set or remove a serving pod's annotation with its traffic rule; a missing pod is no
        error.

        `Conflict` if another pod has that name now. The answer is visible to `owned` at once.
        """
        ...

    async def creation_error(self, namespace: str, uid: str) -> str | None:
        """Return why Kubernetes could not create a pod for a Job, in at most 1,024 characters, or
        None.

        The text comes from Events, which any user of the namespace may write: use it in messages
        only.
        """
        ...

    async def secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """Return a Secret's decoded data, or None."""
        ...

    async def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """Return a ConfigMap's data, or None."""
        ...

    async def namespace_labels(self, namespace: str) -> Mapping[str, str]:
        """Return the labels of a namespace, at most a minute old."""
        ...

    async def unguarded(self, namespace: str) -> str | None:
        """Return why ModelApprovals of a namespace cannot be trusted, or None.

        They can be trusted if the API server refuses approvals in another user's name.

        Found by a dry run of creating one; the answer is at most a resync old.
        """
        ...


class Objects(Protocol):
    """Objects of modelyard's kinds, for the engine. Kinds never use this port."""

    async def page(self, plural: str, token: str) -> tuple[list[Manifest], str]:
        """List one page of a kind, uncached, and return the next page's token; empty at the end."""
        ...

    async def write_status(self, body: Manifest, status: Manifest) -> Manifest:
        """Replace an object's status if uid and resourceVersion are still those of `body`.

        Otherwise `Conflict`: the cache then holds the current object, for which the status is
        decided again.
        """
        ...

    async def set_finalizers(self, body: Manifest, finalizers: tuple[str, ...]) -> Manifest:
        """Replace an object's finalizers if uid and resourceVersion are still those of `body`.

        Otherwise `Conflict`, as for a status.
        """
        ...

    async def event(self, body: Manifest, reason: str, message: str, *, warning: bool) -> None:
        """Record an event about an object; a refused one is logged and dropped.

        Raises:
            Unavailable: Kubernetes is unavailable, or this process does not hold the lease.

        """
        ...


# --- what a kind is given ----------------------------------------------------------------------
@dataclass(frozen=True)
class Tenant:
    """A namespace's clients, from its Secret `modelyard-connection`. It holds no credential."""

    tracking: Tracking
    store: Store
    reach: Reach
    tracking_url: str
    pods_secret: str = CONNECTION_SECRET
    """The Secret for the namespace's pods: `modelyard-connection-pods` where it exists."""


class Backends(Protocol):
    """The external systems that the operator uses."""

    @property
    def cluster(self) -> Cluster:
        """Kubernetes."""
        ...

    @property
    def traffic(self) -> Traffic:
        """The counters of serving pods."""
        ...

    async def tenant(self, namespace: str) -> Tenant:
        """Return the namespace's clients.

        Raises:
            Invalid: The Secret or one of its keys is missing; `operation` is `read connection`.
            Unavailable: Kubernetes does not answer.

        """
        ...

    def text_filter(self, namespace: str) -> TextFilter:
        """Return the filter for a namespace's texts.

        It masks the credentials that `tenant` read last; before the first read it hides every text.
        """
        ...

    def reread_secrets(self, namespace: str) -> None:
        """Make the next `tenant` read the namespace's Secrets again: they may have changed."""
        ...


class Ports(Backends, Protocol):
    """The ports of a kind's `observe`, for one reconcile."""

    @property
    def refusals(self) -> Mapping[tuple[str, str], ModelyardError]:
        """Errors of this reconcile's actions (`Controller.survives_refusals`).

        An `Apply` and a `SetTrafficRule` by kind and name, a `PutRecord` by its URI.
        """
        ...
