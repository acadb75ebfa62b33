"""An object of ours in a person's hands: typed spec and status, as it was read, and what may be done with it.

    run = client.runs.get("fraud-3")
    run.status.model.digest; run.ready; run.wait()

A handle does not change by itself: `refresh` reads anew, and methods that change something return the new one. What only one kind can do
does not belong here.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic, Self, TypeVar

from modelyard.api.base import Condition, Meta, Resource
from modelyard.client.errors import Failed
from modelyard.client.kube import Kube, Manifest

__all__ = ["Handle", "Listing"]

ResourceT = TypeVar("ResourceT", bound=Resource[Any, Any])
HandleT = TypeVar("HandleT", bound="Handle[Any]")


class Handle(Generic[ResourceT]):
    """An object as it was read.

    Attributes:
        body: The object as the API server gave it.
        object: The same, typed: `modelyard.api`.

    """

    RESOURCE: ClassVar[type[Resource[Any, Any]]]

    def __init__(self, kube: Kube, body: Manifest) -> None:
        self._kube = kube
        self.body = body
        self.object: ResourceT = self.RESOURCE.parse(body)  # type: ignore[assignment] # each kind of handle names its own

    @property
    def name(self) -> str:
        """Its name."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return self.metadata.namespace

    @property
    def metadata(self) -> Meta:
        """Name, namespace, uid, labels, annotations."""
        return self.object.metadata

    @property
    def fresh(self) -> bool:
        """Its status speaks of its spec: the operator has seen the last change."""
        return bool(self.object.status.observed_generation >= self.metadata.generation)

    @property
    def ready(self) -> bool:
        """Everything that its spec asks for is so."""
        return self.fresh and bool(self.object.status.is_true("Ready"))

    @property
    def stalled(self) -> bool:
        """It goes no further until somebody does something."""
        return self.fresh and bool(self.object.status.is_true("Stalled"))

    @property
    def condition(self) -> Condition | None:
        """The condition that says most: Stalled if it is, else Ready."""
        status = self.object.status
        found: Condition | None = status.condition("Stalled") if self.stalled else status.condition("Ready")
        return found

    @property
    def reason(self) -> str:
        """One word on where it stands, of docs/conditions.md; empty before the operator has seen it."""
        return self.condition.reason if self.condition else ""

    @property
    def message(self) -> str:
        """Where it stands and what to do next, in words."""
        return self.condition.message if self.condition else ""

    def refresh(self) -> Self:
        """Read it anew; return the new handle.

        Raises:
            NotFound: It is gone.

        """
        return type(self)(self._kube, self._kube.get(self.RESOURCE.KIND, self.name, self.namespace))

    def wait(self, seconds: float = 600, *, seen: Callable[[Self], None] | None = None) -> Self:
        """Wait until it is Ready for the spec that it has; return the new handle.

        Args:
            seconds: How long.
            seen: Called with every state of it, for a display. In a notebook a bar shows it, if absent.

        Raises:
            Failed: It is stalled, or was deleted: its reason and message.
            TimedOut: It is still on its way.

        """
        raise NotImplementedError

    def delete(self, *, wait: float = 0) -> None:
        """Delete it; what it made outside goes or stays as its deletionPolicy says.

        Args:
            wait: Seconds to wait until it is gone; 0: do not wait.

        Raises:
            NotFound: It is gone already.
            NotAllowed: With deletionPolicy Delete the verb `purge` is needed.
            TimedOut: It is still there.

        """
        self._kube.delete(self.RESOURCE.KIND, self.name, self.namespace, wait=wait)

    def failed(self) -> Failed:
        """Return what its condition says, as an error; for whoever waits by himself."""
        return Failed(f"{self.RESOURCE.KIND} {self.namespace}/{self.name}", self.reason or "Unknown", self.message)


class Listing(tuple[HandleT, ...], Generic[HandleT]):
    """Some handles; a notebook shows them as a table. `.rows()` gives the table's cells, `.frame()` a pandas DataFrame."""

    __slots__ = ()

    def rows(self) -> Sequence[dict[str, Any]]:
        """Return a row for each, by column."""
        raise NotImplementedError

    def frame(self) -> Any:
        """Return the rows as a pandas DataFrame.

        Raises:
            Missing: pandas is not installed.

        """
        raise NotImplementedError
