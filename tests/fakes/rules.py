"""Rules of the API server about one or two objects: place, immutable fields, owners."""

from __future__ import annotations

from typing import Any

from modelyard.api.base import GROUP
from modelyard.api.kinds import KINDS
from modelyard.errors import Invalid
from modelyard.plan import Manifest

__all__ = [
    "OWN",
    "check_immutable",
    "controlled_by",
    "generation_counts",
    "is_orphan",
    "place_of",
    "scope_of",
]

OWN = {kind.resource.KIND: kind.resource.PLURAL for kind in KINDS}
# Immutable fields by kind: a path into the object.
_IMMUTABLE = {
    "Job": ("spec", "template"),
    "Deployment": ("spec", "selector"),
    "ConfigMap": ("data",),
}


def is_orphan(body: Manifest, uids: set[str]) -> bool:
    owners = body["metadata"].get("ownerReferences") or ()
    return bool(owners) and all(owner["uid"] not in uids for owner in owners)


def controlled_by(owner: Manifest) -> Manifest:
    """Return the controller reference to an object."""
    meta = owner["metadata"]
    reference = {"name": meta["name"], "uid": meta["uid"], "controller": True}
    return {"apiVersion": owner["apiVersion"], "kind": owner["kind"]} | reference


def generation_counts(body: Manifest) -> tuple[Any, Any]:
    """Return what changes an object's generation: its spec, and of a Deployment the annotations
    too.
    """
    annotations = body["metadata"].get("annotations") if body["kind"] == "Deployment" else None
    return body.get("spec"), annotations


def scope_of(body: Manifest) -> str:
    api_version, kind = body["apiVersion"], body["kind"]
    return OWN[kind] if api_version.startswith(f"{GROUP}/") else f"{api_version}/{kind}"


def place_of(body: Manifest) -> tuple[str, str, str]:
    return scope_of(body), body["metadata"]["namespace"], body["metadata"]["name"]


def check_immutable(live: Manifest, body: Manifest) -> None:
    path = _IMMUTABLE.get(body["kind"])
    if path is None or (body["kind"] == "ConfigMap" and not live.get("immutable")):
        return
    old, new = live, body
    for step in path:
        old, new = (old or {}).get(step), (new or {}).get(step)
    if old != new:
        raise Invalid(
            "Kubernetes",
            f"apply {body['kind']}",
            body["metadata"]["name"],
            f"{'.'.join(path)}: field is immutable",
        )
