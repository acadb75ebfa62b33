"""MLflow, S3 and Kubernetes of a small world, as the real `observe` reads them."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from modelyard.api.artifacts import Reach
from modelyard.api.digest import listing_digest
from modelyard.api.text import TextFilter
from modelyard.errors import Unavailable
from modelyard.ports import ArtifactTree, StoredObject, Tenant, TrackedModel, TrackedVersion, Usage
from tests.unit.builders import BUCKET, NAMESPACE, URL
from tests.unit.model_world_state import LOST
from tests.unit.models import digest

ResultT = TypeVar("ResultT")


def at_once(coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: ResultT = end.value
        return result
    raise AssertionError("it waits for something")


class WorldPorts:
    """`modelyard.ports.Ports` over a world; also its MLflow and its S3."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.refusals = world.refusals
        self.traffic = world.traffic

    @property
    def cluster(self) -> Any:
        return self.world

    async def tenant(self, namespace: str) -> Tenant:
        there: Any = self
        return Tenant(there, there, Reach(BUCKET, NAMESPACE), URL)

    def text_filter(self, namespace: str) -> TextFilter:
        return TextFilter()

    def reread_secrets(self, namespace: str) -> None:
        """There are no Secrets here."""

    def answers(self, dependency: Any, operation: str) -> None:
        if self.world.away == dependency:
            raise Unavailable(dependency, operation, "risk.fraud")

    async def model(self, name: str) -> TrackedModel | None:
        self.answers("MLflow", "read model")
        return self.world.tracked

    async def versions(self, name: str) -> tuple[TrackedVersion, ...]:
        self.answers("MLflow", "read versions of")
        return tuple(self.world.versions.values())

    def text(self, uri: str) -> str | None:
        self.answers("S3", "list")
        name = uri.rpartition("/")[2]
        registered = any(each.source == uri for each in self.world.versions.values())
        return None if name == LOST and registered else self.world.stored.get(uri)

    async def usage(self, uri: str) -> Usage | None:
        self.answers("S3", "count objects")
        return Usage(sum(name.startswith(uri) for name in self.world.records), 0)

    async def read(self, uri: str, limit: int) -> bytes | None:
        if "/.modelyard/" in uri:
            self.answers("S3", "read object")
            found: bytes | None = self.world.records.get(uri)
            return found
        there = self.text(uri.removesuffix("/MLmodel"))
        return (
            None
            if there is None
            else b"flavors: {python_function: {}, xgboost: {data: model.ubj}}\n"
            + self.world.signed(there)
        )

    async def objects(self, uri: str) -> tuple[StoredObject, ...]:
        if "/.modelyard/" in uri:
            return tuple(
                StoredObject(name.removeprefix(uri), 3, "")
                for name in sorted(self.world.records)
                if name.startswith(uri)
            )
        there = self.text(uri)
        return () if there is None else (StoredObject("MLmodel", 3, there),)

    async def digest(self, uri: str) -> ArtifactTree | None:
        there = self.text(uri)
        listing = listing_digest([("MLmodel", 3, str(there))])
        return None if there is None else ArtifactTree(digest(there), 3, 1, listing)
