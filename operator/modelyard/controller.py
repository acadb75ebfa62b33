"""The contract between a kind and the engine: a set of functions that `engine.reconcile` calls."""

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
    """Which objects of a kind to reconcile when an object of another kind changes.

    Attributes:
        plural: The other kind.
        keys: Function from the changed object and the cluster to names in the same namespace.

    """

    plural: str
    keys: Callable[[Manifest, Cluster], Iterable[str]]


@dataclass(frozen=True)
class Finished:
    """A change that a status reports as finished, for metrics.

    Attributes:
        outcome: How it finished, as one of a few words.
        seconds: How long it took, if known.

    """

    outcome: str
    seconds: float | None = None


@dataclass(frozen=True)
class Controller(Generic[ResourceT, ObservationT, StatusT]):
    """One kind, as the engine sees it.

    Attributes:
        resource: The kind's class; `resource.PLURAL` names it.
        observe: Read the cluster and the external systems; change nothing.
        decide: Return the plan of the next round. Pure; raises nothing.
        finalize: The same for an object that is being deleted.
        on_error: Return the plan after a failed read or action. Pure.
        in_sync: Tells whether nothing is in progress. MLflow and S3 are then not read before the
            first resync. Called once per object when the operator starts. Pure.
        relations: Which changes of other kinds affect this one.
        survives_refusals: Whether `decide` is called again after the API server refused an `Apply`
            or a `SetTrafficRule` (`Ports.refusals`). Otherwise the reconcile ends with `on_error`.
        reads_valid_for: How long answers of MLflow and S3 may be used again while a change is in
            progress (the status is not Ready) and only owned objects change; None: every reconcile
            reads.
        finished: What finished between the previous and the written status, both as JSON. Pure.
        cloud_events: Returns the CloudEvents about an object, from its previous and its written
            status, as JSON. Pure.

    """

    resource: type[ResourceT]
    observe: Callable[[ResourceT, Ports, datetime], Awaitable[ObservationT]]
    decide: Callable[[ResourceT, ObservationT, datetime], Plan[StatusT]]
    finalize: Callable[[ResourceT, ObservationT, datetime], Plan[StatusT]]
    on_error: Callable[[ResourceT, ModelyardError, datetime], Rest[StatusT] | Finalize]
    in_sync: Callable[[ResourceT, tuple[Manifest, ...]], bool]
    relations: tuple[Relation, ...] = ()
    survives_refusals: bool = False
    reads_valid_for: timedelta | None = None
    finished: Callable[[Manifest, Manifest], Iterable[Finished]] = lambda _before, _after: ()
    cloud_events: Callable[[Manifest, Manifest, Manifest], Iterable[Manifest]] = (
        lambda _body, _before, _after: ()
    )

    @property
    def plural(self) -> str:
        """The kind's plural name, as in queues, metrics and logs."""
        return str(self.resource.PLURAL)


AnyController = Controller[Any, Any, Any]
"""A controller of any kind."""
