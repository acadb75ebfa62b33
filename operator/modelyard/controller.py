"""The contract of a kind: a value of functions, which `engine.reconcile` runs."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from modelyard.api.base import Resource
from modelyard.errors import ModelyardError
from modelyard.plan import Finalize, Manifest, Plan, Rest
from modelyard.ports import Cluster, Ports

__all__ = ["FINALIZER", "AnyController", "Controller", "Finished", "Relation"]

FINALIZER = "modelyard.io/external-cleanup"

ResourceT = TypeVar("ResourceT", bound=Resource[Any, Any])
ObservationT = TypeVar("ObservationT")
StatusT = TypeVar("StatusT")


@dataclass(frozen=True)
class Relation:
    """Which of our objects to reconcile when an object of another of our kinds changes.

    Attributes:
        plural: The other kind.
        keys: From the changed object and the cluster to names in the same namespace.

    """

    plural: str
    keys: Callable[[Manifest, Cluster], Iterable[str]]


@dataclass(frozen=True)
class Finished:
    """Something that a status says has ended, for metrics.

    Attributes:
        outcome: How, as one of few words.
        seconds: How long it took, if that is known.

    """

    outcome: str
    seconds: float | None = None


@dataclass(frozen=True)
class Controller(Generic[ResourceT, ObservationT, StatusT]):
    """One kind, as the engine runs it.

    Attributes:
        resource: The kind's class; `resource.PLURAL` names it.
        observe: Read the world; change nothing.
        decide: Return the next round. Pure; raises nothing.
        finalize: The same for an object that is being deleted.
        on_error: Return what users see when observing or an action failed. Pure.
        in_sync: Tell whether nothing is under way, asked once for each object at start: its next
            external read can wait for the resync. Pure.
        relations: Which changes of other kinds concern this one.
        survives_refusals: Whether `decide` goes on with an object of which the API server refused
            an `Apply` or a `Tell` (`Ports.refusals`). Otherwise the refusal ends the reconcile in
            `on_error`.
        reads_last: How long answers of MLflow and S3 may be used again while a change is under way
            (the status is not Ready) and only owned objects change; None: every reconcile reads.
        finished: What a status that was written says has ended since the one before, as JSON. Pure.
        announced: The CloudEvents about an object, from its status before and the one that was
            written, as JSON. Pure.

    """

    resource: type[ResourceT]
    observe: Callable[[ResourceT, Ports, datetime], Awaitable[ObservationT]]
    decide: Callable[[ResourceT, ObservationT, datetime], Plan[StatusT]]
    finalize: Callable[[ResourceT, ObservationT, datetime], Plan[StatusT]]
    on_error: Callable[[ResourceT, ModelyardError, datetime], Rest[StatusT] | Finalize]
    in_sync: Callable[[ResourceT, tuple[Manifest, ...]], bool]
    relations: tuple[Relation, ...] = ()
    survives_refusals: bool = False
    reads_last: timedelta | None = None
    finished: Callable[[Manifest, Manifest], Iterable[Finished]] = lambda _before, _after: ()
    announced: Callable[[Manifest, Manifest, Manifest], Iterable[Manifest]] = (
        lambda _body, _before, _after: ()
    )

    @property
    def plural(self) -> str:
        """The kind's plural, which names it in queues, metrics and logs."""
        return str(self.resource.PLURAL)


AnyController = Controller[Any, Any, Any]
"""A kind whose types do not matter to the code that passes it on."""
