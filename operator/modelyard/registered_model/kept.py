"""Read which version a pod template serves, from its ControllerRevision or Deployment. Pure."""

from collections.abc import Mapping
from typing import Any

from modelyard.api.registered_model import ModelRuntime, ServedVersion
from modelyard.kube.names import IDENTITY_LABEL, VERSION_LABEL
from modelyard.plan import Manifest
from modelyard.registered_model import build

__all__ = ["kept_in", "served_by", "template_in"]


def template_in(kept: Mapping[str, Any], what: ServedVersion) -> Manifest | None:
    """Return the template in a ControllerRevision, if its digest and image are those of `what`."""
    found: Manifest = (kept.get("data") or {}).get("template") or {}
    there = _read(found)
    return found if there == (what.digest, what.runtime.image) else None


def kept_in(kept: Mapping[str, Any]) -> ServedVersion | None:
    """Return what a ControllerRevision's template serves; None if it is not the operator's."""
    found: Manifest = (kept.get("data") or {}).get("template") or {}
    there, labelled = _read(found), kept["metadata"].get("labels") or {}
    if there is None or not {VERSION_LABEL, IDENTITY_LABEL} <= labelled.keys():
        return None
    digest, image = there
    runtime = ModelRuntime(
        image=image, revision=int(kept.get("revision") or 0), identity=labelled[IDENTITY_LABEL]
    )
    return ServedVersion(version=labelled[VERSION_LABEL], digest=digest, runtime=runtime)


def served_by(deployment: Mapping[str, Any]) -> ServedVersion | None:
    """Return what a Deployment's template serves; None if it is not the operator's."""
    found: Manifest = (deployment.get("spec") or {}).get("template") or {}
    there, labelled = _read(found), (found.get("metadata") or {}).get("labels") or {}
    if there is None or not {VERSION_LABEL, IDENTITY_LABEL} <= labelled.keys():
        return None
    digest, image = there
    runtime = ModelRuntime(
        image=image, revision=_revision_of(found["spec"]), identity=labelled[IDENTITY_LABEL]
    )
    return ServedVersion(version=labelled[VERSION_LABEL], digest=digest, runtime=runtime)


def _revision_of(pod: Mapping[str, Any]) -> int:
    """Return the revision of a template in use, read from its parts.

    If an older template were taken for the present revision, its pods would be asked to split.
    """
    if any(volume["name"] == build.TRAFFIC_VOLUME for volume in pod.get("volumes") or ()):
        return build.REVISION
    server = next(each for each in pod["containers"] if each["name"] == build.MODEL)
    return 3 if build.is_of_revision_3(server) else 2


def _read(found: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return digest and image of an operator's template; others may have added containers to it."""
    try:
        pod = found["spec"]
        fetch = next(each for each in pod["initContainers"] if each["name"] == build.FETCH)
        server = next(each for each in pod["containers"] if each["name"] == build.MODEL)
        digest: str = fetch["command"][fetch["command"].index("--digest") + 1]
        return (digest, server["image"]) if fetch["image"] == server["image"] else None
    except (KeyError, IndexError, ValueError, TypeError, StopIteration):
        return None
