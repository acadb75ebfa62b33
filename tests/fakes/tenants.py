"""Connections in memory, like those of `modelyard.adapters.connection.Tenants`, without a Secret or
a server.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from modelyard.api.text import TextFilter
from modelyard.errors import Invalid
from modelyard.kube.names import CONNECTION_SECRET
from modelyard.ports import Tenant
from tests.fakes.calls import Call, Calls, Hook
from tests.fakes.mlflow import FakeTracking
from tests.fakes.s3 import FakeStore

__all__ = ["FakeTenants"]


class FakeTenants:
    """All namespaces, on one MLflow and one object store, with one log and one hook for every call
    of both.

    Attributes:
        tracking: The MLflow.
        world: The object store: bucket to key to bytes.
        wrong: Namespaces whose Secret is missing or wrong, and what the error's detail says.
        credentials: The contents of all namespaces' Secrets.
        doubted: Namespaces whose Secrets should be read again.

    """

    def __init__(
        self,
        bucket: str = "mlflow-artifacts",
        *,
        url: str = "http://mlflow.test:5050",
        clock: Callable[[], datetime] | None = None,
        calls: Calls | None = None,
    ) -> None:
        self._call = calls or Calls()
        self._url = url
        self.bucket = bucket
        self.tracking = FakeTracking(clock=clock, calls=self._call)
        self.world: dict[str, dict[str, bytes]] = {}
        self.wrong: dict[str, str] = {}
        self.credentials: tuple[str, ...] = ()
        self.doubted: list[str] = []
        self._tenants: dict[str, Tenant] = {}

    @property
    def calls(self) -> list[Call]:
        return self._call.log

    @property
    def on_call(self) -> Hook:
        return self._call.on_call

    @on_call.setter
    def on_call(self, hook: Hook) -> None:
        self._call.on_call = hook

    def store(self, namespace: str) -> FakeStore:
        """Return a namespace's view of the object store."""
        return FakeStore(self.bucket, namespace, world=self.world, calls=self._call)

    async def tenant(self, namespace: str) -> Tenant:
        """Return a namespace's clients; the same ones each time."""
        if namespace in self.wrong:
            raise Invalid(
                "Kubernetes",
                "read connection",
                f"{namespace}/{CONNECTION_SECRET}",
                self.wrong[namespace],
            )
        if namespace not in self._tenants:
            self._tenants[namespace] = Tenant(
                self.tracking, self.store(namespace), self.store(namespace).reach, self._url
            )
        return self._tenants[namespace]

    def text_filter(self, namespace: str) -> TextFilter:
        """Return the text filter of a namespace."""
        return TextFilter(self.credentials)

    def reread_secrets(self, namespace: str) -> None:
        """Record that the Secrets of a namespace are to be read again."""
        self.doubted.append(namespace)

    async def close(self) -> None:
        """Do nothing."""
