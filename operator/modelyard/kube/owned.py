"""The kinds of objects that the operator owns, and the owner of an object. Pure.

The watches, the API paths and the operator's RBAC rules come from the table `OWNED`, so a new owned
kind is one line here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from modelyard.api.base import GROUP

__all__ = ["BY_SCOPE", "OWNED", "OwnedKind", "Parent", "parent_of", "taken"]

# Server-side apply needs patch, and create if the object does not exist; the get before the first
# apply checks that the name is free.
_KEEP = ("get", "list", "watch", "create", "patch", "delete")
_WATCH = ("list", "watch")
_DEPLOYMENT, _REPLICA_SET, _JOB = "apps/v1/Deployment", "apps/v1/ReplicaSet", "batch/v1/Job"


@dataclass(frozen=True)
class OwnedKind:
    """A kind of object that belongs to one of our own objects.

    Attributes:
        api_version: Group and version, as in manifests.
        kind: The kind.
        plural: Its name in paths and roles.
        verbs: The RBAC verbs of the operator; kinds with `watch` are watched.
        why: Why the operator needs them, in a sentence.
        through: The scopes of the kinds between such an object and ours, for objects that a
            controller of Kubernetes creates. Empty: our own object is its controller.
        metadata_only: Only its metadata is watched and kept in memory.
        link: Whether it only links the objects that it controls to their owner, as a ReplicaSet
            does. `Cluster.owned` does not return it.
        optional: The cluster may not serve this API. It is watched as soon as it is installed.

    """

    api_version: str
    kind: str
    plural: str
    verbs: tuple[str, ...]
    why: str
    through: tuple[str, ...] = ()
    metadata_only: bool = False
    link: bool = False
    optional: bool = False

    @property
    def group(self) -> str:
        """The API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def scope(self) -> str:
        """The kind's scope in the cache."""
        return f"{self.api_version}/{self.kind}"

    @property
    def watched(self) -> bool:
        """Whether the operator watches objects of this kind."""
        return "watch" in self.verbs


OWNED = (
    OwnedKind(
        "v1",
        "ConfigMap",
        "configmaps",
        _KEEP,
        "Holds the parameters of a run; only the metadata is watched.",
        metadata_only=True,
    ),
    OwnedKind(
        "v1",
        "Service",
        "services",
        _KEEP,
        "Is the address of a stage, or of a candidate that a gate asks.",
    ),
    OwnedKind("apps/v1", "Deployment", "deployments", _KEEP, "Serves a version."),
    OwnedKind(
        "apps/v1",
        "ControllerRevision",
        "controllerrevisions",
        _KEEP,
        "Keeps the pod template that was rolled out in a stage.",
    ),
    OwnedKind("batch/v1", "Job", "jobs", _KEEP, "Is an attempt at training, or asks a gate."),
    OwnedKind(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        _KEEP,
        "Scales a stage.",
    ),
    OwnedKind(
        "policy/v1",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        _KEEP,
        "Keeps the drain of a node from taking all pods of a stage.",
    ),
    OwnedKind(
        "apps/v1",
        "ReplicaSet",
        "replicasets",
        _WATCH,
        "Says which Deployment a pod belongs to; only the metadata is read.",
        through=(_DEPLOYMENT,),
        metadata_only=True,
        link=True,
    ),
    OwnedKind(
        "v1",
        "Pod",
        "pods",
        (*_WATCH, "patch"),
        "Says why a Job or a Deployment does not start, with the last lines of a failed container;"
        " an annotation of one that serves tells it how to split its requests, and the policy"
        " operator-fence keeps the operator to that annotation.",
        through=(_REPLICA_SET, _JOB),
    ),
)
"""Every kind of object that the operator owns."""

BY_SCOPE: Mapping[str, OwnedKind] = {each.scope: each for each in OWNED}


class Parent(NamedTuple):
    """The object that a controller reference names.

    Attributes:
        scope: `modelyard.io` for one of our own objects, else `<apiVersion>/<Kind>`.
        namespace: The namespace of both.
        name: Its name.
        uid: Its uid.

    """

    scope: str
    namespace: str
    name: str
    uid: str


def parent_of(body: Mapping[str, Any]) -> Parent | None:
    """Return the object that an object belongs to, by its controller reference.

    Labels are ignored, since any user who can edit an object can set them. None if there is no
    controller reference, or one to a kind that objects of this kind do not belong to. Whether the
    parent exists, and who owns it, does not follow from the object alone (`cache`).
    """
    meta, found = body["metadata"], _controller(body)
    if found is None:
        return None
    kind = BY_SCOPE.get(f"{body['apiVersion']}/{body['kind']}")
    if kind is not None and kind.through:
        scope = f"{found['apiVersion']}/{found['kind']}"
        if scope not in kind.through:
            return None
    elif found["apiVersion"].startswith(f"{GROUP}/"):
        scope = GROUP
    else:
        return None
    return Parent(scope, meta["namespace"], found["name"], found["uid"])


def taken(live: Mapping[str, Any]) -> str:
    """Return why an owned object cannot have the name of another object, and what to do.

    Names of owned objects are joined from other names, so two can be equal: stage `eu-prod` of the
    model `fraud` and stage `prod` of the model `fraud-eu` have the same Service name.
    """
    found = _controller(live)
    if found is None or not found["apiVersion"].startswith(f"{GROUP}/"):
        return (
            "an object of this name exists already, and has another owner; delete it, or rename"
            " this object"
        )
    other = f"{found['kind']} {found['name']}"
    return f"the {other} owns an object of this name already; rename this object, or its stage"


def _controller(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    references = body["metadata"].get("ownerReferences") or ()
    return next((each for each in references if each.get("controller")), None)
