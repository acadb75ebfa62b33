"""What the watches know, in memory: our own objects and the objects that they own.

A watch, the paged list and the answer to a write of ours put in what they have learned. What is
older than what is known is dropped, whichever way it came, so a late event never undoes our own
write. Asking the API server does not belong here, nor the rule that says whose an object is
(`kube.owned`).
"""

import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from modelyard.api.base import GROUP
from modelyard.kube.names import APPLIED_ANNOTATION, CONTENT_ANNOTATION
from modelyard.kube.owned import OWNED, Parent, parent_of
from modelyard.plan import Manifest

__all__ = ["Cache", "Change", "Key", "version_of"]

_TOMBSTONES = 4096
_FOREVER = sys.maxsize
_METADATA_ONLY = frozenset(each.scope for each in OWNED if each.metadata_only)
_LINKS = frozenset(each.scope for each in OWNED if each.link)
_PARENTS = frozenset(scope for each in OWNED for scope in each.through)
_IDENTITY = ("name", "namespace", "uid", "resourceVersion", "ownerReferences", "deletionTimestamp")
_OUR_ANNOTATIONS = (APPLIED_ANNOTATION, CONTENT_ANNOTATION)
_ANNOTATION = 80
"""Characters that are kept of an annotation of ours, whose values are hashes."""
_NEVER_READ = {"managedFields", "selfLink"}
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class Key(NamedTuple):
    """The name of one of our own objects, as queues, metrics and logs use it."""

    plural: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """Write it as people do."""
        return f"{self.plural} {self.namespace}/{self.name}"


@dataclass(frozen=True)
class Change:
    """What became known: `old` is None when it is new to us, `new` is None when it is gone.

    Attributes:
        scope: The plural of one of our own kinds, or `<apiVersion>/<Kind>` of an owned object.
        own: Whether it is one of our own kinds.
        owners: Those of our own objects that owned it before, or own it now.

    """

    scope: str
    own: bool
    old: Manifest | None
    new: Manifest | None
    owners: tuple[Key, ...] = ()

    @property
    def body(self) -> Manifest:
        """The newest that is known of the object."""
        body = self.new if self.new is not None else self.old
        assert body is not None
        return body


class _Place(NamedTuple):
    """Where an object is: its scope, namespace and name."""

    scope: str
    namespace: str
    name: str


class Cache:
    """Objects by scope, namespace and name; owned objects also by the object that controls them.

    A scope is the plural of one of our own kinds, or `<apiVersion>/<Kind>` of an owned object. Who
    owns what is followed along the controller references at each question, so it does not matter in
    which order a pod, its ReplicaSet and its Deployment become known, or go.
    """

    def __init__(self, own: Iterable[str]) -> None:
        """Make an empty one.

        Args:
            own: The plurals of our own kinds.

        """
        self._objects: dict[str, dict[str, dict[str, Manifest]]] = {plural: {} for plural in own}
        self._own = frozenset(self._objects)
        self._controlled: dict[Parent, dict[_Place, None]] = {}
        self._keys: dict[str, Key] = {}
        self._gone: OrderedDict[str, int] = OrderedDict()
        self._listeners: list[Callable[[Change], None]] = []

    def subscribe(self, listener: Callable[[Change], None]) -> None:
        """Have every change told, once, after it is in."""
        self._listeners.append(listener)

    # --- reading ----------------------------------------------------------------------------------
    def get(self, scope: str, namespace: str, name: str) -> Manifest | None:
        """Return an object; None when there is none that we know of."""
        return self._objects.get(scope, {}).get(namespace, {}).get(name)

    def select(self, scope: str, namespace: str) -> tuple[Manifest, ...]:
        """Return the objects of a namespace."""
        return tuple(self._objects.get(scope, {}).get(namespace, {}).values())

    def every(self, scope: str) -> Iterator[Manifest]:
        """Go through all objects of a scope."""
        for objects in self._objects.get(scope, {}).values():
            yield from objects.values()

    def count(self, scope: str) -> int:
        """Return how many objects of a scope there are."""
        return sum(map(len, self._objects.get(scope, {}).values()))

    def owned(self, uid: str) -> tuple[Manifest, ...]:
        """Return the objects that one of our own objects owns, pods included.

        An object is owned if it is in its owner's namespace and its controller reference names the
        owner, or another owned object that its kind belongs to (`kube.owned`).
        """
        key = self._keys.get(uid)
        if key is None:
            return ()
        return tuple(self._below(Parent(GROUP, key.namespace, key.name, uid)))

    def _below(self, parent: Parent) -> Iterator[Manifest]:
        for place in self._controlled.get(parent, ()):
            body = self._objects[place.scope][place.namespace][place.name]
            if place.scope not in _LINKS:
                yield body
            if place.scope in _PARENTS:
                yield from self._below(Parent(*place, body["metadata"]["uid"]))

    # --- learning ---------------------------------------------------------------------------------
    def put(self, scope: str, body: Manifest) -> bool:
        """Take in what was seen; return whether it was news.

        The body belongs to the cache from here on; do not change it.
        """
        meta = body["metadata"]
        namespace, name, uid = meta["namespace"], meta["name"], meta["uid"]
        old, version = self.get(scope, namespace, name), version_of(body)
        if version <= self._gone.get(uid, -1) or (old is not None and version <= version_of(old)):
            return False
        after = self._parent(scope, body)
        # Labels select what is watched, and anybody writes them: what nothing of ours controls is
        # known by its name alone, whatever it holds.
        is_stranger = scope not in self._own and after is None
        body = _trimmed(body, metadata_only=is_stranger or scope in _METADATA_ONLY)
        before = None if old is None else self._parent(scope, old)
        owners = self._owners(before, after)
        self._objects.setdefault(scope, {}).setdefault(namespace, {})[name] = body
        if scope in self._own:
            if old is not None:
                self._keys.pop(old["metadata"]["uid"], None)
            self._keys[uid] = Key(scope, namespace, name)
        elif before != after:
            self._move(_Place(scope, namespace, name), before, after)
        elif scope in _LINKS and old is not None and old["metadata"]["uid"] == uid:
            return True  # it is below the same object as before, and nothing else of it is read
        self._tell(Change(scope, scope in self._own, old, body, owners))
        return True

    def remove(
        self, scope: str, namespace: str, name: str, uid: str, version: int = _FOREVER
    ) -> bool:
        """Forget an object, if it is this one that is known; return whether it was news.

        Args:
            scope: Of the object.
            namespace: Of the object.
            name: Of the object.
            uid: Of the object.
            version: The resourceVersion up to which this holds. An object that only left a watch's
                selector may come back with a later one; one that is deleted never does.

        """
        old = self.get(scope, namespace, name)
        known = old is not None and old["metadata"]["uid"] == uid
        if old is not None and known and version < version_of(old):
            return False
        self._gone[uid] = max(version, self._gone.get(uid, -1))
        if len(self._gone) > _TOMBSTONES:
            self._gone.popitem(last=False)
        if old is None or not known:
            return False
        objects, parent = self._objects[scope], self._parent(scope, old)
        owners = self._owners(parent)
        del objects[namespace][name]
        if not objects[namespace]:
            del objects[namespace]
        if scope in self._own:
            self._keys.pop(uid, None)
        self._move(_Place(scope, namespace, name), parent, None)
        self._tell(Change(scope, scope in self._own, old, None, owners))
        return True

    def uids(self, scope: str, namespace: str | None = None) -> dict[str, tuple[str, str]]:
        """Return namespace and name of all that is known now, by uid: taken before a list
        begins, handed to `settle` after it.
        """
        namespaces: Mapping[str, Any] = self._objects.get(scope, {})
        wanted = namespaces if namespace is None else {namespace} & namespaces.keys()
        return {
            body["metadata"]["uid"]: (ns, name)
            for ns in wanted
            for name, body in namespaces[ns].items()
        }

    def settle(
        self,
        scope: str,
        before: Mapping[str, tuple[str, str]],
        listed: Iterable[str],
        version: int = _FOREVER,
    ) -> int:
        """Forget what was known before a list began and is not in it; return how many.

        What came meanwhile stays.

        Args:
            scope: What was listed.
            before: What `uids` returned before the list began.
            listed: The uids in the list.
            version: The list's resourceVersion, if the list selects: see `remove`.

        """
        missing = before.keys() - set(listed)
        return sum(self.remove(scope, *before[uid], uid, version) for uid in missing)

    # --- who owns what ----------------------------------------------------------------------------
    def _parent(self, scope: str, body: Manifest) -> Parent | None:
        return None if scope in self._own else parent_of(body)

    def _move(self, place: _Place, before: Parent | None, after: Parent | None) -> None:
        """Have an object below another parent."""
        if before is not None and (places := self._controlled.get(before)) is not None:
            places.pop(place, None)
            if not places:
                del self._controlled[before]
        if after is not None:
            self._controlled.setdefault(after, {})[place] = None

    def _owners(self, *parents: Parent | None) -> tuple[Key, ...]:
        """Return our own objects above these, as far as they are known."""
        found = (self._owner(parent) for parent in dict.fromkeys(parents))
        return tuple(dict.fromkeys(key for key in found if key is not None))

    def _owner(self, parent: Parent | None) -> Key | None:
        while parent is not None and parent.scope != GROUP:
            body = self.get(parent.scope, parent.namespace, parent.name)
            if body is None or body["metadata"]["uid"] != parent.uid:
                return None
            parent = parent_of(body)
        if parent is None:
            return None
        key = self._keys.get(parent.uid)
        return key if key is not None and key[1:] == parent[1:3] else None

    def _tell(self, change: Change) -> None:
        for listener in self._listeners:
            listener(change)


def version_of(body: Manifest) -> int:
    """Return the resourceVersion as a number: within one resource a later write has a greater
    one (KEP-5504).
    """
    return int(body["metadata"].get("resourceVersion") or 0)


def _trimmed(body: Manifest, *, metadata_only: bool) -> Manifest:
    """Drop what is never read, and share the strings that every object repeats.

    That is half of the memory at 10,000 objects.
    """
    meta: Manifest = body["metadata"]
    if metadata_only:
        said = meta.get("annotations") or {}
        ours = {key: said[key][:_ANNOTATION] for key in _OUR_ANNOTATIONS if key in said}
        meta = {key: meta[key] for key in _IDENTITY if key in meta} | (
            {"annotations": ours} if ours else {}
        )
        body = {"apiVersion": body["apiVersion"], "kind": body["kind"]}
    else:
        meta = {key: value for key, value in meta.items() if key not in _NEVER_READ}
    if _LAST_APPLIED in (meta.get("annotations") or {}):
        kept = {key: value for key, value in meta["annotations"].items() if key != _LAST_APPLIED}
        meta["annotations"] = kept
    return {sys.intern(key): _interned(value) for key, value in (body | {"metadata": meta}).items()}


def _interned(value: Any) -> Any:
    if isinstance(value, dict):
        return {sys.intern(key): _interned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_interned(item) for item in value]
    return value
