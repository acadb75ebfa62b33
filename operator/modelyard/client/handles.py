"""`Handle`: an object as it was read, with typed spec and status. `Listing`: several of them.

    run = client.runs.get("fraud-3")
    run.status.model.digest; run.ready; run.wait()

A handle never changes: `refresh` reads the object again and returns a new handle, and so do the
methods that change the object.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from modelyard.api.base import GROUP, VERSION, Condition, Meta, Resource
from modelyard.api.text import printable
from modelyard.client import display, text
from modelyard.client.errors import Failed, Paused, TimedOut
from modelyard.client.kube import Kube, Manifest
from modelyard.client.packages import need

__all__ = ["API_VERSION", "Handle", "Listing", "changes", "listed"]

API_VERSION = f"{GROUP}/{VERSION}"
ResourceT = TypeVar("ResourceT", bound=Resource[Any, Any])
HandleT = TypeVar("HandleT", bound="Handle[Any]")


class Handle(Generic[ResourceT]):
    """An object as it was read. It does not follow later changes.

    Attributes:
        body: The object as the API server returned it.
        object: The same as a typed object of `modelyard.api`.

    """

    RESOURCE: ClassVar[type[Resource[Any, Any]]]

    def __init__(self, kube: Kube, body: Manifest) -> None:
        self._kube = kube
        self.body = body
        self.object: ResourceT = self.RESOURCE.parse(body)  # type: ignore[assignment] # set by each subclass

    @property
    def name(self) -> str:
        """Name of the object."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """Namespace of the object."""
        return self.metadata.namespace

    @property
    def metadata(self) -> Meta:
        """Name, namespace, uid, labels, annotations."""
        return self.object.metadata

    @property
    def fresh(self) -> bool:
        """Whether the operator has observed the last change of the spec."""
        return bool(self.object.status.observed_generation >= self.metadata.generation)

    @property
    def ready(self) -> bool:
        """Whether everything that the spec asks for is done (condition Ready)."""
        return self.fresh and bool(self.object.status.is_true("Ready"))

    @property
    def stalled(self) -> bool:
        """Whether the operator cannot continue until a user acts (condition Stalled)."""
        return self.fresh and bool(self.object.status.is_true("Stalled"))

    @property
    def condition(self) -> Condition | None:
        """The most relevant condition: Stalled if that is true, else Ready."""
        status = self.object.status
        found: Condition | None = (
            status.condition("Stalled") if self.stalled else status.condition("Ready")
        )
        return found

    @property
    def reason(self) -> str:
        """The condition's reason, as in docs/conditions.md; empty before the first status."""
        return self.condition.reason if self.condition else ""

    @property
    def message(self) -> str:
        """The condition's message: what is the case, and what to do."""
        return self.condition.message if self.condition else ""

    def refresh(self) -> Self:
        """Read the object again, and return a new handle.

        Raises:
            NotFound: It no longer exists.

        """
        return type(self)(self._kube, self._kube.get(self.RESOURCE.KIND, self.name, self.namespace))

    def wait(self, seconds: float = 600, *, seen: Callable[[Self], None] | None = None) -> Self:
        """Wait until the object is Ready, and return a new handle.

        Args:
            seconds: How long to wait.
            seen: Called with a handle of every state, for a display. Absent: a notebook shows a
                progress bar.

        Raises:
            Failed: The operator cannot continue until a user acts, or the object was deleted.
            TimedOut: It is not Ready yet.

        """
        return self._until(lambda now: now if now.ready else None, "to be Ready", seconds, seen)

    def _until(
        self,
        look: Callable[[Self], Self | None],
        what: str,
        seconds: float,
        seen: Callable[[Self], None] | None,
        *,
        stalls: bool = True,
    ) -> Self:
        """Follow the object until `look` returns a handle, and return that.

        Args:
            look: Called with each state. Returns the result, or None to keep waiting; may raise.
            what: What is waited for, for the error: `to be Ready`.
            seconds: How long to wait.
            seen: Called with each state.
            stalls: Whether a stalled object raises Failed.

        """
        subject = f"{self.RESOURCE.KIND} {self.namespace}/{self.name}"
        last: Self | None = None
        found: Self | None = None

        def looked(body: Manifest | None) -> bool | None:
            nonlocal last, found
            if body is None or body["metadata"]["uid"] != self.metadata.uid:
                raise Failed(subject, "Deleted", "it was deleted during the wait.")
            last = type(self)(self._kube, body)
            move(last.progress(), f"{last.reason} {last.message}".strip())
            if seen is not None:
                seen(last)
            found = look(last)
            if found is None and stalls and last.stalled:
                raise last.failed()
            return True if found is not None else None

        bar = display.bar(subject) if seen is None else nullcontext(_no_bar)
        kind = self.RESOURCE.KIND
        with bar as move:
            try:
                self._kube.until(
                    kind, self.name, looked, what=subject, seconds=seconds, namespace=self.namespace
                )
            except Paused:  # its text says already what it waits for
                raise
            except TimedOut:
                raise _timed_out(f"{subject} {what}", seconds, last) from None
        assert found is not None
        return found

    def progress(self) -> float | None:
        """Return how much is done, 0 to 1; None if that is unknown."""
        return 1.0 if self.ready else None

    def row(self) -> dict[str, Any]:
        """Return the row of this object in a table, by column: text, numbers, badges."""
        return {
            "name": self.name,
            "namespace": self.namespace,
            "status": self.badge,
            "age": self.age,
        }

    def fields(self) -> dict[str, Any]:
        """Return the fields that a notebook shows besides name and condition, by title."""
        return {"age": self.age}

    @property
    def age(self) -> str:
        """Time since its creation, such as `3h`."""
        return text.age(self.metadata.creation_timestamp, datetime.now(UTC))

    @property
    def badge(self) -> display.Badge:
        """The reason, coloured by whether the object is Ready, in progress or stalled."""
        tone: display.Tone = (
            "good" if self.ready else "bad" if self.stalled else "busy" if self.reason else "quiet"
        )
        return display.Badge(self.reason or "New", tone)

    def __repr__(self) -> str:
        return (
            f"<{self.RESOURCE.KIND} {self.namespace}/{self.name}:"
            f" {printable(self.reason) or 'New'}>"
        )

    def _repr_html_(self) -> str:
        return display.card(
            f"{self.RESOURCE.KIND} {self.namespace}/{self.name}",
            self.badge,
            self.message,
            self.fields(),
        )

    def delete(self, *, wait: float = 0) -> None:
        """Delete the object. Its deletionPolicy decides what stays in MLflow.

        Args:
            wait: Seconds to wait until it is deleted; 0 returns at once.

        Raises:
            NotFound: It no longer exists.
            NotAllowed: With deletionPolicy Delete the user needs the verb `purge`.
            TimedOut: It still exists.

        """
        self._kube.delete(self.RESOURCE.KIND, self.name, self.namespace, wait=wait)

    def failed(self) -> Failed:
        """Return its condition as an error, for code that does its own waiting."""
        return Failed(
            f"{self.RESOURCE.KIND} {self.namespace}/{self.name}",
            self.reason or "Unknown",
            self.message,
        )


def _no_bar(_done: float | None, _words: str) -> None:
    """Show nothing, where the caller has a display of its own."""


def _timed_out(what: str, seconds: float, last: Handle[Any] | None) -> TimedOut:
    """Return the error of a wait: what was waited for, and the last status."""
    state = (
        f"Its status is {last.reason}: {last.message}"
        if last and last.reason
        else "The operator has not observed it yet. Is the operator running?"
    )
    return TimedOut(f"Timed out after {seconds:.0f} s waiting for {what}. {state}", seconds)


class _Listed(Protocol):
    def row(self) -> dict[str, Any]: ...


ListedT = TypeVar("ListedT", bound=_Listed)


class Listing(tuple[ListedT, ...], Generic[ListedT]):
    """Several objects as a tuple, shown as a table. `.frame()` returns a pandas DataFrame."""

    __slots__ = ()
    EMPTY: ClassVar[str] = "nothing here"
    """The text shown instead of an empty table."""

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per object, by column: text, numbers, badges."""
        return [each.row() for each in self]

    def frame(self) -> Any:
        """Return the rows as a pandas DataFrame of shape (objects, columns), with badges as text.

        Raises:
            Missing: pandas is not installed.

        """
        pandas = need("pandas", "A DataFrame")
        plain = (str, int, float, type(None))
        return pandas.DataFrame(
            [
                {
                    key: value if isinstance(value, plain) else display.plain(value)
                    for key, value in row.items()
                }
                for row in self.rows()
            ]
        )

    def __repr__(self) -> str:
        return str(self.__rich__().plain)

    def _repr_html_(self) -> str:
        return display.html_table(self.rows(), self.EMPTY)

    def __rich__(self) -> Any:
        from modelyard.client.table import rows_table  # noqa: PLC0415 - loads rich, which only drawing needs

        return rows_table(self.rows(), self.EMPTY)


def listed(
    handle: type[HandleT], kube: Kube, *, all_namespaces: bool, labels: str
) -> Listing[HandleT]:
    """Return all objects of a kind, sorted by namespace and name."""
    bodies = kube.list(handle.RESOURCE.KIND, all_namespaces=all_namespaces, labels=labels)
    return Listing(
        sorted(
            (handle(kube, body) for body in bodies), key=lambda each: (each.namespace, each.name)
        )
    )


def changes(
    handle: type[HandleT], kube: Kube, name: str, *, all_namespaces: bool, seconds: float | None
) -> Iterator[tuple[str, HandleT]]:
    """Yield the objects that exist, then each change, as (type, object)."""
    for event in kube.watch(
        handle.RESOURCE.KIND, name, all_namespaces=all_namespaces, seconds=seconds
    ):
        yield event.type, handle(kube, event.object)
