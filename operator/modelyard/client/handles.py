"""An object of ours in a person's hands: typed spec and status, as it was read, and what may be
done with it.

    run = client.runs.get("fraud-3")
    run.status.model.digest; run.ready; run.wait()

A handle does not change by itself: `refresh` reads anew, and methods that change something return
the new one. What only one kind can do does not belong here.
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
        found: Condition | None = (
            status.condition("Stalled") if self.stalled else status.condition("Ready")
        )
        return found

    @property
    def reason(self) -> str:
        """One word on where it stands, of docs/conditions.md; empty before the operator has seen
        it.
        """
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
            seen: Called with every state of it, for a display. In a notebook a bar shows it, if
                absent.

        Raises:
            Failed: It is stalled, or was deleted: its reason and message.
            TimedOut: It is still on its way.

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
        """Follow the object until `look` returns a handle.

        Args:
            look: Called with each state; returns the handle that is the result, None to go on, or
                raises.
            what: What is waited for, behind the object's name.
            seconds: How long.
            seen: Called with each state.
            stalls: Whether a stalled object is the end.

        """
        subject = f"{self.RESOURCE.KIND} {self.namespace}/{self.name}"
        last: Self | None = None
        found: Self | None = None

        def looked(body: Manifest | None) -> bool | None:
            nonlocal last, found
            if body is None or body["metadata"]["uid"] != self.metadata.uid:
                raise Failed(subject, "Deleted", "it was deleted while it was waited for.")
            last = type(self)(self._kube, body)
            move(last.progress(), f"{last.reason} {last.message}".strip())
            if seen is not None:
                seen(last)
            found = look(last)
            if found is None and stalls and last.stalled:
                raise last.failed()
            return True if found is not None else None

        with (
            display.bar(subject)
            if seen is None
            else nullcontext(lambda _done, _words: None) as move
        ):
            try:
                self._kube.until(
                    self.RESOURCE.KIND,
                    self.name,
                    looked,
                    what=subject,
                    seconds=seconds,
                    namespace=self.namespace,
                )
            except Paused:  # `look` has said what it waits for
                raise
            except TimedOut:
                stands = (
                    f"It says {last.reason}: {last.message}"
                    if last and last.reason
                    else "The operator has not seen it yet: does it run?"
                )
                raise TimedOut(
                    f"Waited {seconds:.0f} s in vain for {subject} {what}. {stands}", seconds
                ) from None
        assert found is not None
        return found

    def progress(self) -> float | None:
        """Return how far it is, 0 to 1; None: nobody knows."""
        return 1.0 if self.ready else None

    def row(self) -> dict[str, Any]:
        """Return its line in a table, by column: text, numbers, badges."""
        return {
            "name": self.name,
            "namespace": self.namespace,
            "status": self.badge,
            "age": self.age,
        }

    def fields(self) -> dict[str, Any]:
        """Return what is to be known of it, beside name and condition."""
        return {"age": self.age}

    @property
    def age(self) -> str:
        """How old it is: `3h`."""
        return text.age(self.metadata.creation_timestamp, datetime.now(UTC))

    @property
    def badge(self) -> display.Badge:
        """Its reason, coloured by whether it is Ready, on its way, or stalled."""
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
        return Failed(
            f"{self.RESOURCE.KIND} {self.namespace}/{self.name}",
            self.reason or "Unknown",
            self.message,
        )


class _Listed(Protocol):
    def row(self) -> dict[str, Any]: ...


ListedT = TypeVar("ListedT", bound=_Listed)


class Listing(tuple[ListedT, ...], Generic[ListedT]):
    """Several objects, shown as a table. `.rows()` gives the table's cells, `.frame()` a pandas
    DataFrame.
    """

    __slots__ = ()
    EMPTY: ClassVar[str] = "nothing here"

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each, by column: text, numbers, badges."""
        return [each.row() for each in self]

    def frame(self) -> Any:
        """Return the rows as a pandas DataFrame, badges as text.

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
        from modelyard.client.table import rows_table  # noqa: PLC0415 - rich is loaded by who draws

        return rows_table(self.rows(), self.EMPTY)


def listed(
    handle: type[HandleT], kube: Kube, *, all_namespaces: bool, labels: str
) -> Listing[HandleT]:
    """Return all objects of a kind, by namespace and name."""
    bodies = kube.list(handle.RESOURCE.KIND, all_namespaces=all_namespaces, labels=labels)
    return Listing(
        sorted(
            (handle(kube, body) for body in bodies), key=lambda each: (each.namespace, each.name)
        )
    )


def changes(
    handle: type[HandleT], kube: Kube, name: str, *, all_namespaces: bool, seconds: float | None
) -> Iterator[tuple[str, HandleT]]:
    """Go through what is there and then what happens to it."""
    for event in kube.watch(
        handle.RESOURCE.KIND, name, all_namespaces=all_namespaces, seconds=seconds
    ):
        yield event.type, handle(kube, event.object)
