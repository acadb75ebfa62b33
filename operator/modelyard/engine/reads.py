"""The ports of one object: what MLflow and S3 answered is kept until the operator writes to them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from modelyard.errors import ModelyardError
from modelyard.ports import Backends, Cluster, Store, Tenant, Tracking

__all__ = ["ObjectPorts"]


class ObjectPorts:
    """`ports.Ports` for one object.

    A reconcile observes once per round, and most rounds change nothing in MLflow or S3: an answer is
    kept until `written` is called. Writes do not come through here; `engine.perform` has the clients
    of `writers`.
    """

    def __init__(self, backends: Backends) -> None:
        """Create them with nothing read."""
        self._backends = backends
        self._tenants: dict[str, Tenant] = {}
        self._answers: dict[tuple[Any, ...], Any] = {}
        self._refusals: dict[tuple[str, str], ModelyardError] = {}

    @property
    def cluster(self) -> Cluster:
        """Kubernetes. What the watches know costs nothing, and is never kept here."""
        return self._backends.cluster

    @property
    def refusals(self) -> Mapping[tuple[str, str], ModelyardError]:
        """The applies that the API server refused in this reconcile, by kind and name."""
        return self._refusals

    async def tenant(self, namespace: str) -> Tenant:
        """Return the namespace's clients, whose answers are kept."""
        clients = await self.writers(namespace)
        tracking = _Kept("tracking", clients.tracking, self._answers)
        store = _Kept("store", clients.store, self._answers)
        return replace(clients, tracking=cast("Tracking", tracking), store=cast("Store", store))

    async def writers(self, namespace: str) -> Tenant:
        """Return the namespace's clients themselves."""
        if namespace not in self._tenants:
            self._tenants[namespace] = await self._backends.tenant(namespace)
        return self._tenants[namespace]

    def refused(self, kind: str, name: str, error: ModelyardError) -> None:
        """Note that the API server refused an apply."""
        self._refusals[kind, name] = error

    def written(self) -> None:
        """Forget every answer: MLflow or S3 was written to."""
        self._answers.clear()

    def begin(self) -> None:
        """Begin another reconcile: the clients may have changed, and refusals are tried again."""
        self._tenants.clear()
        self._refusals.clear()


class _Kept:
    """A port whose methods are called once for the same arguments."""

    def __init__(self, name: str, port: object, answers: dict[tuple[Any, ...], Any]) -> None:
        self._name = name
        self._port = port
        self._answers = answers

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        call = getattr(self._port, method)

        async def ask(*args: Any, **kwargs: Any) -> Any:
            key = (self._name, method, *map(_hashable, args), *sorted((k, _hashable(v)) for k, v in kwargs.items()))
            if key not in self._answers:
                self._answers[key] = await call(*args, **kwargs)
            return self._answers[key]

        return ask


def _hashable(value: Any) -> Any:
    return tuple(sorted(value.items())) if isinstance(value, Mapping) else value
