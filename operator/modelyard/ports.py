"""The seams: what the kinds may ask of Kubernetes, MLflow and S3, and the small values that come
back.

No vendor's type crosses a port, and no vendor's error: adapters translate both, and never retry.
Every read may raise `Invalid` or `Unavailable`, every write `Conflict` and `Ambiguous` besides.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from modelyard.api.artifacts import Reach
from modelyard.api.freeze import Calendar
from modelyard.api.run_status import RunStatus
from modelyard.api.text import Words
from modelyard.errors import ModelyardError
from modelyard.kube.names import CONNECTION_SECRET
from modelyard.plan import Delete, Manifest, Suspend, Tell
from modelyard.tracked import (
    LoggedModel,
    ModelStage,
    RunList,
    TrackedExperiment,
    TrackedModel,
    TrackedRun,
    TrackedVersion,
)
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
    """Kubernetes, as decisions need it. `get`, `select` and `owned` read what the watches know
    and cost nothing.
    """

    def get(self, plural: str, namespace: str, name: str) -> Manifest | None:
        """Return one of our own objects."""
        ...

    def select(self, plural: str, namespace: str) -> Iterable[Manifest]:
        """Return our own objects of a kind in a namespace."""
        ...

    def owned(self, uid: str) -> tuple[Manifest, ...]:
        """Return the objects that one of our own objects owns, each with apiVersion and kind.

        Owned is what is in the owner's namespace and has a controller reference to the owner's uid,
        and pods by way of their ReplicaSet or Job. Of a ConfigMap it is the metadata alone.
        """
        ...

    def calendar(self) -> Calendar | str:
        """Return the freezes of the whole cluster, as the watch knows them, or why they cannot
        be read.
        """
        ...

    async def apply(self, manifest: Manifest) -> None:
        """Server-side apply with our field manager, by force; the answer is visible to `owned` at
        once.

        The manifest is stamped on the way (`kube.applied`). `Invalid` if an object of that name
        exists that the manifest's owner does not control.
        """
        ...

    async def delete(self, namespace: str, child: Delete) -> None:
        """Delete an owned object if it still has that uid; one that is gone is no error."""
        ...

    async def suspend(self, namespace: str, job: Suspend) -> None:
        """Set an owned Job's `suspend`, and nothing else; `Conflict` if it no longer has that
        uid.
        """
        ...

    async def tell(self, namespace: str, pod: Tell) -> None:
        """Set or remove the annotation of a serving pod by which it splits its requests; one that
        is gone is no error.

        `Conflict` if another pod has its name now. The answer is visible to `owned` at once.
        """
        ...

    async def creation_error(self, namespace: str, uid: str) -> str | None:
        """Return why Kubernetes last could not create a pod for a Job, at most 1,024 characters;
        None if it said nothing.

        Only events say it, and anybody in the namespace may write one: it is good for a message.
        """
        ...

    async def secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """Return a Secret's data, decoded; None when there is none."""
        ...

    async def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """Return a ConfigMap's text; None when there is none."""
        ...

    async def namespace_labels(self, namespace: str) -> Mapping[str, str]:
        """Return the labels of a namespace, at most a minute old."""
        ...

    async def unguarded(self, namespace: str) -> str | None:
        """Say why ModelApprovals of a namespace cannot be believed; None: the API server takes none
        in another's name.

        It is asked by the dry run of creating one, and the answer is at most a resync old.
        """
        ...


class Objects(Protocol):
    """Our own objects, as the engine writes them. Kinds never see this port."""

    async def page(self, plural: str, token: str) -> tuple[list[Manifest], str]:
        """List one page of a kind, straight from the API server; the second value continues the
        list, empty at its end.
        """
        ...

    async def write_status(self, body: Manifest, status: Manifest) -> Manifest:
        """Replace an object's status in one write, if uid and resourceVersion are still those of
        `body`.

        `Conflict` if not: the object is in the cache as it is now, and its status is decided again.
        """
        ...

    async def set_finalizers(self, body: Manifest, finalizers: tuple[str, ...]) -> Manifest:
        """Replace an object's finalizers, if uid and resourceVersion are still those of `body`.

        `Conflict` if not, as with a status.
        """
        ...

    async def event(self, body: Manifest, reason: str, message: str, *, warning: bool) -> None:
        """Record an event about an object; one that is refused is logged and forgotten.

        Raises:
            Unavailable: Kubernetes takes nothing now, or this process may not write now.

        """
        ...


# --- MLflow ---------------------------------------------------------------------------------------
class Tracking(Protocol):
    """One tenant's MLflow."""

    async def experiment(self, name: str) -> TrackedExperiment | None:
        """Find an experiment by name, a soft-deleted one too; one that is not deleted wins."""
        ...

    async def experiment_by_id(self, id_: str) -> TrackedExperiment | None:
        """Return an experiment, soft-deleted ones too."""
        ...

    async def create_experiment(self, name: str, location: str, tags: Mapping[str, str]) -> str:
        """Create an experiment and return its id."""
        ...

    async def restore_experiment(self, id_: str) -> None:
        """Undo the soft deletion."""
        ...

    async def delete_experiment(self, id_: str) -> None:
        """Soft-delete; deleting twice is no error."""
        ...

    async def set_experiment_tags(self, id_: str, tags: Mapping[str, str]) -> None:
        """Set tags."""
        ...

    async def delete_experiment_tags(self, id_: str, keys: Iterable[str]) -> None:
        """Take tags away; one that is gone is no error."""
        ...

    async def run(self, id_: str) -> TrackedRun | None:
        """Return a run, soft-deleted ones too."""
        ...

    async def runs(
        self,
        experiment: str,
        *,
        tags: Mapping[str, str] | None = None,
        deleted: bool | None = False,
        limit: int = 1000,
    ) -> tuple[TrackedRun, ...]:
        """Return the newest runs of an experiment that have these tags; with `deleted`, the
        soft-deleted ones instead, with None both.
        """
        ...

    async def newest_runs(
        self, experiment: str, *, deleted: bool | None, limit: int, metric: str | None
    ) -> RunList:
        """Return the newest runs, as many as can be read; `deleted` as for `runs`. Of their
        metrics only the named one is read.
        """
        ...

    async def ended_runs(
        self, experiment: str, before: datetime, *, limit: int, metric: str | None
    ) -> RunList:
        """Return the runs that ended before a moment, those that did so first first; of their
        metrics only the named one.
        """
        ...

    async def best_runs(
        self, experiment: str, metric: str, *, greatest: bool, limit: int
    ) -> RunList:
        """Return the finished runs with the greatest or least values of a metric, best first; of
        their metrics only this one.
        """
        ...

    async def create_run(self, experiment: str, name: str, tags: Mapping[str, str]) -> str:
        """Create a run, in state RUNNING, and return its id."""
        ...

    async def log_parameters(self, run: str, parameters: Mapping[str, str]) -> None:
        """Log parameters; one that has another value already is `Invalid`."""
        ...

    async def set_run_tags(self, run: str, tags: Mapping[str, str]) -> None:
        """Set tags."""
        ...

    async def finish_run(self, run: str, status: RunStatus) -> None:
        """Close a run now."""
        ...

    async def reopen_run(self, run: str) -> None:
        """Have a run that was closed go on; one that is open stays as it is."""
        ...

    async def delete_run(self, run: str) -> None:
        """Soft-delete; deleting twice is no error."""
        ...

    async def restore_run(self, run: str) -> None:
        """Undo the soft deletion."""
        ...

    async def logged_models(
        self, experiment: str, run: str, name: str | None = None
    ) -> tuple[LoggedModel, ...]:
        """Return the newest 50 models that a run of an experiment logged whole, of this name if
        one is given, newest first.
        """
        ...

    async def model(self, name: str) -> TrackedModel | None:
        """Return a registered model."""
        ...

    async def create_model(self, name: str, description: str, tags: Mapping[str, str]) -> None:
        """Create a registered model; one of that name is a `Conflict`."""
        ...

    async def set_model_tags(
        self, name: str, tags: Mapping[str, str], description: str | None
    ) -> None:
        """Set tags, and the description unless it is None."""
        ...

    async def delete_model_tags(self, name: str, keys: Iterable[str]) -> None:
        """Take tags away; one that is gone is no error."""
        ...

    async def delete_model(self, name: str) -> None:
        """Delete the model and its versions; one that is gone is no error."""
        ...

    async def versions(self, model: str) -> tuple[TrackedVersion, ...]:
        """Return all versions of a model, oldest first."""
        ...

    async def versions_of_run(self, run: str) -> tuple[TrackedVersion, ...]:
        """Return the versions of any model that came from a run."""
        ...

    async def create_version(
        self,
        model: str,
        source: str,
        run: str | None,
        tags: Mapping[str, str],
        logged_model: str | None,
    ) -> str:
        """Register a version and return MLflow's number for it."""
        ...

    async def set_version_tags(self, model: str, version: str, tags: Mapping[str, str]) -> None:
        """Set tags."""
        ...

    async def transition(
        self, model: str, version: str, stage: ModelStage, *, displacing: bool = False
    ) -> None:
        """Move one version to an MLflow stage; no other version moves, unless `displacing`
        archives those that are in it, at once.
        """
        ...

    async def set_alias(self, model: str, alias: str, version: str) -> None:
        """Point an alias at a version."""
        ...

    async def delete_alias(self, model: str, alias: str) -> None:
        """Remove an alias; one that is gone is no error."""
        ...

    async def delete_version(self, model: str, version: str) -> None:
        """Delete a version; one that is gone is no error."""
        ...


# --- S3 -------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Usage:
    """What lies below a prefix; not `complete`: at least so much."""

    objects: int
    bytes: int
    complete: bool = True


@dataclass(frozen=True, order=True)
class StoredObject:
    """One object below a prefix: its path relative to it, its size in bytes, the store's own tag
    of its content.
    """

    path: str
    size: int
    etag: str


@dataclass(frozen=True)
class ArtifactTree:
    """An artifact tree that was read whole: digest and size of its bytes, number of files,
    digest of its listing.
    """

    digest: str
    bytes: int
    files: int
    listing_digest: str = ""


class Store(Protocol):
    """One tenant's S3. Every URI is `s3://<bucket>/<key>`; one beyond the tenant's reach is
    `Forbidden`.
    """

    async def create_bucket(self, bucket: str) -> None:
        """Create a bucket; one that is ours already is no error."""
        ...

    async def usage(self, uri: str) -> Usage | None:
        """Count what lies below a prefix, up to a million objects; None when the bucket itself
        is not there.
        """
        ...

    async def objects(self, uri: str) -> tuple[StoredObject, ...]:
        """List what lies below a prefix, sorted by path."""
        ...

    async def digest(self, uri: str) -> ArtifactTree | None:
        """Read every byte below a prefix and compute the tree's digest; None when nothing is
        there.
        """
        ...

    async def read(self, uri: str, limit: int) -> bytes | None:
        """Read one object of at most `limit` bytes; a larger one is `Invalid`, none is None."""
        ...

    async def create(self, uri: str, content: bytes) -> None:
        """Store one object in the namespace's own folder; `Conflict` if one lies there, which
        stays as it is.
        """
        ...

    async def delete_prefix(self, uri: str) -> None:
        """Delete everything below a prefix, which ends with a slash."""
        ...


@dataclass(frozen=True)
class Tenant:
    """What a namespace's Secret `modelyard-connection` opens. It holds no credential that could
    be printed.
    """

    tracking: Tracking
    store: Store
    reach: Reach
    tracking_url: str
    pods_secret: str = CONNECTION_SECRET
    """The Secret that the namespace's pods get: `modelyard-connection-pods` where it exists."""


class Backends(Protocol):
    """Everything external that the operator works with."""

    @property
    def cluster(self) -> Cluster:
        """Kubernetes."""
        ...

    @property
    def traffic(self) -> Traffic:
        """What serving pods answered."""
        ...

    async def tenant(self, namespace: str) -> Tenant:
        """Return the namespace's clients.

        Raises:
            Invalid: There is no Secret, or it lacks a key; `operation` is `read connection`.
            Unavailable: Kubernetes did not answer.

        """
        ...

    def words(self, namespace: str) -> Words:
        """Return what cleans a namespace's texts, by the credentials that `tenant` read last;
        before that, none is shown.
        """
        ...

    def doubt(self, namespace: str) -> None:
        """Have the next `tenant` read the namespace's Secrets again: something says that they
        are no longer what was read.
        """
        ...


class Ports(Backends, Protocol):
    """What a kind's `observe` reads from, in one reconcile."""

    @property
    def refusals(self) -> Mapping[tuple[str, str], ModelyardError]:
        """What was refused in this reconcile: applies by kind and name, pods that could not be told
        (`Controller.survives_refusals`), and failed `PutRecord`s by URI.
        """
        ...
