"""Compare a live owned object with its manifest, in the fields that we own. Pure.

Server-side apply keeps fields that other managers added, and removes fields that we applied before
and no longer apply. So a field of another manager is no difference, and the annotation
`modelyard.io/applied` holds a hash of *which* fields we applied, to notice a dropped one. The
values are compared with the live object itself. (An object's managedFields hold the same in
several kilobytes, which the cache does not keep.)
"""

import hashlib
import json
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from modelyard.kube.names import APPLIED_ANNOTATION, CONTENT_ANNOTATION
from modelyard.kube.quantities import quantity

__all__ = [
    "ATOMIC_MAPS",
    "MERGE_KEYS",
    "in_sync",
    "item_key",
    "same_content",
    "stamped",
    "with_content",
]

Manifest = dict[str, Any]

MERGE_KEYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "claims": (("name",),),
    "containers": (("name",),),
    "env": (("name",),),
    "hostAliases": (("ip",),),
    "imagePullSecrets": (("name",),),
    "initContainers": (("name",),),
    "ownerReferences": (("uid",),),
    "ports": (("containerPort", "protocol"), ("port", "protocol")),  # of a container, of a Service
    "resourceClaims": (("name",),),
    "schedulingGates": (("name",),),
    "topologySpreadConstraints": (("topologyKey", "whenUnsatisfiable"),),
    "volumeDevices": (("devicePath",),),
    "volumeMounts": (("mountPath",),),
    "volumes": (("name",),),
}
"""Lists that Kubernetes merges, with the alternatives of fields that identify their items.

Every other list is atomic: an apply replaces all of it. A test compares this with the OpenAPI of a
real API server.
"""
_KEY_DEFAULTS = {"protocol": "TCP"}

ATOMIC_MAPS = frozenset({"matchLabels", "nodeSelector", "selector"})
"""Maps of strings that an apply replaces as a whole: one more entry changes their meaning."""


def stamped(manifest: Manifest) -> Manifest:
    """Return a manifest as it is applied, with the hash of its fields in an annotation."""
    meta = manifest["metadata"]
    annotations = (meta.get("annotations") or {}) | {APPLIED_ANNOTATION: _fields_hash(manifest)}
    return manifest | {"metadata": meta | {"annotations": annotations}}


def in_sync(manifest: Manifest, live: Manifest) -> bool:
    """Return whether an apply of this manifest would change nothing of the live object.

    That is: the object was last applied with the same fields, and each still has our value. An
    object without the annotation, applied by an older release, is not in sync. Do not use this for
    a Job whose template another release may have built differently: the template is immutable, so
    an apply would be refused.
    """
    applied = (live["metadata"].get("annotations") or {}).get(APPLIED_ANNOTATION)
    return applied == _fields_hash(manifest) and _holds(manifest, live)


def with_content(config_map: Manifest) -> Manifest:
    """Return a ConfigMap with a hash of its data in an annotation.

    Only the metadata of ConfigMaps is watched, so the annotation identifies the data as applied.
    Data that must not change afterwards is `immutable`.
    """
    text = json.dumps(config_map["data"], sort_keys=True, separators=(",", ":"))
    annotations = {CONTENT_ANNOTATION: hashlib.sha256(text.encode()).hexdigest()[:16]}
    meta = config_map["metadata"]
    annotations = (meta.get("annotations") or {}) | annotations
    return config_map | {"metadata": meta | {"annotations": annotations}}


def same_content(config_map: Manifest, live: Manifest) -> bool:
    """Return whether a live ConfigMap was applied as this one, by its metadata alone."""
    ours, theirs = config_map["metadata"]["annotations"], live["metadata"].get("annotations") or {}
    expected = {
        APPLIED_ANNOTATION: _fields_hash(config_map),
        CONTENT_ANNOTATION: ours[CONTENT_ANNOTATION],
    }
    return all(theirs.get(key) == value for key, value in expected.items())


# --- which fields we apply ------------------------------------------------------------------------
def _fields_hash(manifest: Manifest) -> str:
    """Return a hash of the paths of all fields of a manifest, without their values.

    A value may follow an autoscaler, such as the number of replicas, and a different value shows in
    the live object.
    """
    meta = manifest["metadata"]
    annotations = dict(meta.get("annotations") or {})
    if annotations.pop(APPLIED_ANNOTATION, None) is not None:
        without = {key: value for key, value in meta.items() if key != "annotations"}
        meta = without | ({"annotations": annotations} if annotations else {})
    shape = _shape(manifest | {"metadata": meta}, "")
    paths = json.dumps(shape, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(paths.encode()).hexdigest()[:16]


def _shape(value: Any, field: str) -> Any:
    if isinstance(value, dict) and value and field not in ATOMIC_MAPS:
        # Most items are plain values, which need no call.
        return {
            key: _shape(item, key) if isinstance(item, _NESTED) else None
            for key, item in value.items()
        }
    if isinstance(value, list) and value and (key_of := item_key(field, value)) is not None:
        return {repr(key_of(item)): _shape(item, "") for item in value}
    return None


_NESTED = (dict, list)


def item_key(field: str, items: list[Any]) -> Callable[[Manifest], Hashable] | None:
    """Return the function that identifies items of a list that Kubernetes merges; else None."""
    for keys in MERGE_KEYS.get(field, ()):
        if all(isinstance(item, dict) and _has(item, keys) for item in items):
            return partial(_item_key, keys)
    return None


def _has(item: Manifest, keys: tuple[str, ...]) -> bool:
    return all(key in item or key in _KEY_DEFAULTS for key in keys)


def _item_key(keys: tuple[str, ...], item: Manifest) -> Hashable:
    return tuple(item.get(key, _KEY_DEFAULTS.get(key)) for key in keys)


# --- whether the values are the same --------------------------------------------------------------
def _holds(ours: Any, live: Any, field: str = "") -> bool:
    """Return whether `live` has everything that `ours` has.

    Maps, and lists that Kubernetes merges, may have more in `live`; atomic ones must be equal.
    Resource quantities are compared by value: `1000m` is `1`. Empty values may be absent; False and
    0 may not, since their absence may mean another default.
    """
    if live is None:
        return ours is None or ours in ({}, [], "")
    if ours == live:  # the usual case, and a hundred times cheaper than field by field
        return True
    if isinstance(ours, dict):
        return isinstance(live, dict) and _map_holds(ours, live, field)
    if isinstance(ours, list):
        return isinstance(live, list) and _list_holds(ours, live, field)
    if field in _QUANTITIES and (amount := quantity(ours)) is not None:
        return amount == quantity(live)
    return bool(ours == live)


def _map_holds(ours: Manifest, live: Manifest, field: str) -> bool:
    if field in ATOMIC_MAPS and ours.keys() != live.keys():
        return False
    above = field if field in _QUANTITIES else None
    return all(_holds(value, live.get(key), above or key) for key, value in ours.items())


def _list_holds(ours: list[Any], live: list[Any], field: str) -> bool:
    key_of = item_key(field, [*ours, *live])
    if key_of is not None:
        theirs = {key_of(item): item for item in live}
        return all(_holds(item, theirs.get(key_of(item))) for item in ours)
    return len(ours) == len(live) and (ours == live or all(map(_holds, ours, live)))


_QUANTITIES = frozenset({"requests", "limits", "sizeLimit"})
"""Fields whose values, or whose map's values, are resource quantities."""
