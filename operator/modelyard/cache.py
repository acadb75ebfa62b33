"""What the watches know, in memory: our own objects and their children. Asking the API server does not belong here.

Whoever learns something newer puts it in: a watch, the paged list, the answer to a write of ours. Something older is dropped, whatever
way it came, so that a stale event never undoes what we have written ourselves.
"""

import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from modelyard.kube.names import UID_LABEL
from modelyard.plan import Manifest

__all__ = ["Cache", "Change", "Key", "owner_of", "version_of"]

_TOMBSTONES = 4096
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
        scope: The plural of one of our own kinds, or `<apiVersion>/<Kind>` of a child.
        own: Whether it is one of our own kinds.

    """

    scope: str
    own: bool
    old: Manifest | None
    new: Manifest | None

    @property
    def body(self) -> Manifest:
        """The newest that is known of the object."""
        body = self.new if self.new is not None else self.old
        assert body is not None
        return body


class Cache:
    """Objects by scope, namespace and name; children also by their owner's uid.

    A scope is the plural of one of our own kinds, or `<apiVersion>/<Kind>` of a child.
    """

    def __init__(self, own: Iterable[str]) -> None:
        """Make an empty one.

        Args:
            own: The plurals of our own kinds.

        """
        self._objects: dict[str, dict[str, dict[str, Manifest]]] = {plural: {} for plural in own}
        self._own = frozenset(self._objects)
        self._children: dict[str, dict[tuple[str, str, str], Manifest]] = {}
        self._keys: dict[str, Key] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()
        self._listeners: list[Callable[[Change], None]] = []

    def subscribe(self, listener: Callable[[Change], None]) -> None:
        """Have every change told, once, after it is in."""
        self._listeners.append(listener)

    # --- reading --------------------------------------------------------------------------------------
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

    def owned(self, uid: str) -> tuple[Manifest, ...]:
        """Return an object's children."""
        return tuple(self._children.get(uid, {}).values())

    def locate(self, uid: str) -> Key | None:
        """Return the key of one of our own objects by its uid."""
        return self._keys.get(uid)

    # --- learning -------------------------------------------------------------------------------------
    def put(self, scope: str, body: Manifest) -> bool:
        """Take in what somebody saw; tell whether it was news. The body belongs to the cache from here on, and nobody changes it."""
        meta = body["metadata"]
        namespace, name, uid = meta["namespace"], meta["name"], meta["uid"]
        old = self.get(scope, namespace, name)
        if uid in self._gone or (old is not None and version_of(body) <= version_of(old)):
            return False
        body = _trimmed(body)
        if old is not None and old["metadata"]["uid"] != uid:
            self._unlink(scope, old)
        self._objects.setdefault(scope, {}).setdefault(namespace, {})[name] = body
        self._link(scope, body, old)
        self._tell(Change(scope, scope in self._own, old, body))
        return True

    def remove(self, scope: str, namespace: str, name: str, uid: str) -> bool:
        """Forget an object, if it is this one that we know; tell whether it was news."""
        self._gone[uid] = None
        if len(self._gone) > _TOMBSTONES:
            self._gone.popitem(last=False)
        old = self.get(scope, namespace, name)
        if old is None or old["metadata"]["uid"] != uid:
            return False
        objects = self._objects[scope]
        del objects[namespace][name]
        if not objects[namespace]:
            del objects[namespace]
        self._unlink(scope, old)
        self._tell(Change(scope, scope in self._own, old, None))
        return True

    def uids(self, scope: str, namespace: str | None = None) -> dict[str, tuple[str, str]]:
        """Return namespace and name of all that is known now, by uid: taken before a list begins, handed to `settle` after it."""
        namespaces: Mapping[str, Any] = self._objects.get(scope, {})
        wanted = namespaces if namespace is None else {namespace} & namespaces.keys()
        return {body["metadata"]["uid"]: (ns, name) for ns in wanted for name, body in namespaces[ns].items()}

    def settle(self, scope: str, before: Mapping[str, tuple[str, str]], listed: Iterable[str]) -> int:
        """Forget what was known before a list began and is not in it; return how many. What came meanwhile stays."""
        missing = before.keys() - set(listed)
        return sum(self.remove(scope, *before[uid], uid) for uid in missing)

    def _link(self, scope: str, body: Manifest, old: Manifest | None) -> None:
        meta = body["metadata"]
        if scope in self._own:
            self._keys[meta["uid"]] = Key(scope, meta["namespace"], meta["name"])
            return
        place = (scope, meta["namespace"], meta["name"])
        if old is not None and owner_of(old) != owner_of(body):
            self._unlink(scope, old)
        if owner := owner_of(body):
            self._children.setdefault(owner, {})[place] = body

    def _unlink(self, scope: str, body: Manifest) -> None:
        meta = body["metadata"]
        if scope in self._own:
            self._keys.pop(meta["uid"], None)
            return
        children = self._children.get(owner_of(body), {})
        children.pop((scope, meta["namespace"], meta["name"]), None)
        if not children:
            self._children.pop(owner_of(body), None)

    def _tell(self, change: Change) -> None:
        for listener in self._listeners:
            listener(change)


def owner_of(body: Manifest) -> str:
    """Return the uid of the object of ours that a child belongs to; empty when it names none."""
    return str((body["metadata"].get("labels") or {}).get(UID_LABEL, ""))


def version_of(body: Manifest) -> int:
    """Return the resourceVersion as a number: within one resource a later write has a greater one (KEP-5504)."""
    return int(body["metadata"].get("resourceVersion") or 0)


def _trimmed(body: Manifest) -> Manifest:
    """Drop what nobody reads, and share the strings that every object repeats: at 10,000 objects it is half of the memory."""
    meta = {key: value for key, value in body["metadata"].items() if key not in {"managedFields", "selfLink"}}
    if _LAST_APPLIED in (meta.get("annotations") or {}):
        meta["annotations"] = {key: value for key, value in meta["annotations"].items() if key != _LAST_APPLIED}
    return {sys.intern(key): _interned(value) for key, value in (body | {"metadata": meta}).items()}


def _interned(value: Any) -> Any:
    if isinstance(value, dict):
        return {sys.intern(key): _interned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_interned(item) for item in value]
    return value
