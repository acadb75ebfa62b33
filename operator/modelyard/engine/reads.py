"""Read cache per object: keeps answers of MLflow and S3 until the operator writes to them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal, cast

from modelyard.api.text import TextFilter
from modelyard.cache import Key
from modelyard.engine.clock import Clock
from modelyard.engine.fingerprint import fingerprint
from modelyard.errors import ModelyardError
from modelyard.plan import Manifest, Rest
from modelyard.ports import Backends, Cluster, Store, Tenant, Tracking
from modelyard.traffic import Traffic

__all__ = ["KeptReads", "ObjectPorts"]


class ObjectPorts:
    """`ports.Ports` for one object.

    A reconcile observes once per round, and most rounds change nothing in MLflow or S3: an answer
    is kept until the operator writes to the system that gave it, or the namespace's connection
    changes. Writes bypass this class: `engine.perform` uses the clients of `writers`.
    """

    def __init__(self, backends: Backends, clock: Clock) -> None:
        """Create ports without any kept answer."""
        self._backends = backends
        self._clock = clock
        self._tenants: dict[str, Tenant] = {}
        self._asked: set[str] = set()
        self._answers: dict[tuple[Any, ...], Any] = {}
        self._oldest: float | None = None
        self._refusals: dict[tuple[str, str], ModelyardError] = {}

    @property
    def cluster(self) -> Cluster:
        """Kubernetes. Reads come from the watches' cache, so they are never kept here."""
        return self._backends.cluster

    @property
    def traffic(self) -> Traffic:
        """What serving pods answered."""
        return self._backends.traffic

    @property
    def refusals(self) -> Mapping[tuple[str, str], ModelyardError]:
        """What the API server refused in this reconcile, by kind and name; failed `PutRecord`s by
        URI.
        """
        return self._refusals

    @property
    def oldest(self) -> float | None:
        """When the oldest answer was read, on the monotonic clock; None if none is kept."""
        return self._oldest

    async def tenant(self, namespace: str) -> Tenant:
        """Return the namespace's clients; their answers are kept."""
        clients = await self.writers(namespace)
        tracking = _CachedPort("MLflow", clients.tracking, self._ask)
        store = _CachedPort("S3", clients.store, self._ask)
        return replace(clients, tracking=cast("Tracking", tracking), store=cast("Store", store))

    async def writers(self, namespace: str) -> Tenant:
        """Return the namespace's clients without the cache, looked up once per reconcile."""
        if namespace not in self._asked:
            clients = await self._backends.tenant(namespace)
            if self._tenants.get(namespace) is not clients:  # the connection has changed
                self._drop()
            self._tenants[namespace] = clients
            self._asked.add(namespace)
        return self._tenants[namespace]

    def text_filter(self, namespace: str) -> TextFilter:
        """Return the filter for texts of the namespace's pods and of its MLflow."""
        return self._backends.text_filter(namespace)

    def reread_secrets(self, namespace: str) -> None:
        """Make the next look-up of the namespace's clients read its Secrets again."""
        self._backends.reread_secrets(namespace)

    def refused(self, kind: str, name: str, error: ModelyardError) -> None:
        """Record a refused `Apply` or `SetTrafficRule`, or a failed `PutRecord`."""
        self._refusals[kind, name] = error

    def written(self, dependency: Literal["MLflow", "S3"]) -> None:
        """Drop the answers of MLflow or S3 after a write to it."""
        self._answers = {
            key: answer for key, answer in self._answers.items() if key[0] != dependency
        }

    def stored(self, uri: str) -> None:
        """Drop the answers about one object in S3 after a write to it."""
        self._answers = {key: answer for key, answer in self._answers.items() if uri not in key}

    def _drop(self) -> None:
        self._answers.clear()
        self._oldest = None

    def begin(self) -> None:
        """Start another reconcile: look the clients up again, and retry what was refused."""
        self._asked.clear()
        self._refusals.clear()

    async def _ask(self, key: tuple[Any, ...], call: Callable[[], Awaitable[Any]]) -> Any:
        if key not in self._answers:
            began = self._clock.time()
            answer = await call()
            self._answers[key] = answer
            self._oldest = began if self._oldest is None else min(began, self._oldest)
        return self._answers[key]


class _CachedPort:
    """A port whose methods are called once for the same arguments."""

    def __init__(
        self,
        name: str,
        port: object,
        ask: Callable[[tuple[Any, ...], Callable[[], Awaitable[Any]]], Awaitable[Any]],
    ) -> None:
        self._name = name
        self._port = port
        self._ask = ask

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        ask, call = self._ask, getattr(self._port, method)

        def kept(*args: Any, **kwargs: Any) -> Awaitable[Any]:
            named = sorted((name, _hashable(value)) for name, value in kwargs.items())
            key = (self._name, method, *map(_hashable, args), *named)
            return ask(key, lambda: call(*args, **kwargs))

        return kept


def _hashable(value: Any) -> Any:
    return tuple(sorted(value.items())) if isinstance(value, Mapping) else value


@dataclass
class _Kept:
    """An object's ports while a change of it is in progress, for its next reconciles."""

    ports: ObjectPorts
    fingerprint: int
    expires: float


class KeptReads:
    """Keeps an object's ports, with their answers, from one reconcile to the next."""

    def __init__(self, backends: Backends, clock: Clock) -> None:
        """Create one that keeps nothing."""
        self._backends = backends
        self._clock = clock
        self._kept: dict[Key, _Kept] = {}

    def forget(self, key: Key) -> None:
        """Drop what is kept of an object."""
        self._kept.pop(key, None)

    def take(self, key: Key, body: Manifest | None) -> ObjectPorts:
        """Return an object's ports, with the last reconcile's answers if these are still valid."""
        kept = self._kept.pop(key, None)
        now = self._clock.time()
        if (
            kept is None
            or body is None
            or now >= kept.expires
            or kept.fingerprint != fingerprint(body, ())
        ):
            return ObjectPorts(self._backends, self._clock)
        kept.ports.begin()
        return kept.ports

    def keep(
        self,
        key: Key,
        ports: ObjectPorts,
        body: Manifest | None,
        plan: Rest[Any],
        reads_valid_for: timedelta | None,
    ) -> None:
        """Keep the answers for the next reconcile while the object waits for its pods.

        Pods that start or run do not change what the operator reads in MLflow or S3.

        Args:
            key: The object.
            ports: Its ports, with the answers.
            body: The object as it is now.
            plan: The plan with which the reconcile ended.
            reads_valid_for: The maximum age of an answer, as in `Controller`.

        """
        in_sync = plan.status.is_true("Ready")
        last = plan.reads_valid_for if in_sync else reads_valid_for
        if last is None or body is None or ports.oldest is None:
            return
        expires = ports.oldest + last.total_seconds()
        if plan.requeue_after is not None and not in_sync:
            expires = min(expires, self._clock.time() + plan.requeue_after.total_seconds())
        self._kept[key] = _Kept(ports, fingerprint(body, ()), expires)
