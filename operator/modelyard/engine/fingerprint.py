"""A number that differs when a decision about an object could differ. Pure."""

from modelyard.plan import Manifest

__all__ = ["fingerprint"]


def fingerprint(body: Manifest, owned: tuple[Manifest, ...]) -> int:
    """Return a hash of what users set and of the owned objects, without our own status."""
    meta = body["metadata"]
    labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
    below = sorted(
        (each["metadata"]["uid"], each["metadata"].get("resourceVersion", "")) for each in owned
    )
    what = (meta["uid"], meta.get("generation"), meta.get("deletionTimestamp"))
    return hash((what, *sorted(labels.items()), None, *sorted(annotations.items()), tuple(below)))
