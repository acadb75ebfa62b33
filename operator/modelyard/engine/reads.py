"""The ports of one object: what MLflow and S3 answered is kept until the operator writes to
them.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, cast

from modelyard.api.text import Words
from modelyard.engine.clock import Clock
from modelyard.errors import ModelyardError
from modelyard.ports import Backends, Cluster, Store, Tenant, Tracking
from modelyard.traffic import Traffic

__all__ = ["ObjectPorts"]


class ObjectPorts:
    """`ports.Ports` for one object.

    A reconcile observes once per round, and most rounds change nothing in MLflow or S3: an answer
    is kept until the operator writes to the one that gave it, or the namespace's connection
    changes. Writes do not come through here; `engine.perform` has the clients of `writers`.
    """

    def __init__(self, backends: Backends, clock: Clock) -> None:
        """Create them with nothing read."""
        self._backends = backends
        self._clock = clock
        self._tenants: dict[str, Tenant] = {}
        self._asked: set[str] = set()
        self._answers: dict[tuple[Any, ...], Any] = {}
        self._oldest: float | None = None
        self._refusals: dict[tuple[str, str], ModelyardError] = {}

    @property
    def cluster(self) -> Cluster:
        """Kubernetes. What the watches know costs nothing, and is never kept here."""
        return self._backends.cluster

    @property
    def traffic(self) -> Traffic:
        """What serving pods answered."""
        return self._backends.traffic

    @property
    def refusals(self) -> Mapping[tuple[str, str], ModelyardError]:
        """What the API server refused in this reconcile, by kind and name, and failed
        `PutRecord`s by URI.
        """
        return self._refusals

    @property
    def oldest(self) -> float | None:
        """When the oldest answer was read, on the monotonic clock; None if none is kept."""
        return self._oldest

    async def tenant(self, namespace: str) -> Tenant:
        """Return the namespace's clients, whose answers are kept."""
        clients = await self.writers(namespace)
        tracking = _Kept("MLflow", clients.tracking, self._ask)
        store = _Kept("S3", clients.store, self._ask)
        return replace(clients, tracking=cast("Tracking", tracking), store=cast("Store", store))

    async def writers(self, namespace: str) -> Tenant:
        """Return the namespace's clients themselves, looked up once per reconcile."""
        if namespace not in self._asked:
            clients = await self._backends.tenant(namespace)
            if self._tenants.get(namespace) is not clients:  # the connection is another one
                self._drop()
            self._tenants[namespace] = clients
            self._asked.add(namespace)
        return self._tenants[namespace]

    def words(self, namespace: str) -> Words:
        """Return what cleans the texts of the namespace's pods and of its MLflow."""
        return self._backends.words(namespace)

    def doubt(self, namespace: str) -> None:
        """Have the namespace's Secrets read again, before its clients are looked up in this
        reconcile.
        """
        self._backends.doubt(namespace)

    def refused(self, kind: str, name: str, error: ModelyardError) -> None:
        """Note that the API server refused an `Apply` or a `Tell`, or that something could not
        be stored.
        """
        self._refusals[kind, name] = error

    def written(self, dependency: Literal["MLflow", "S3"]) -> None:
        """Drop the answers of MLflow or S3: it was written to."""
        self._answers = {
            key: answer for key, answer in self._answers.items() if key[0] != dependency
        }

    def stored(self, uri: str) -> None:
        """Drop what was answered about one object in S3: it was written to."""
        self._answers = {key: answer for key, answer in self._answers.items() if uri not in key}

    def _drop(self) -> None:
        self._answers.clear()
        self._oldest = None

    def begin(self) -> None:
        """Begin another reconcile: look the clients up again, and retry what was refused."""
        self._asked.clear()
        self._refusals.clear()

    async def _ask(self, key: tuple[Any, ...], call: Callable[[], Awaitable[Any]]) -> Any:
        if key not in self._answers:
            began = self._clock.time()
            answer = await call()
            self._answers[key] = answer
            self._oldest = began if self._oldest is None else min(began, self._oldest)
        return self._answers[key]


class _Kept:
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
