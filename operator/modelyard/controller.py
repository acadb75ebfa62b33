"""The contract that a kind fulfils: a value of functions. Running them does not belong here (`engine.reconcile`)."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelyard.errors import ModelyardError
from modelyard.plan import Manifest, Plan
from modelyard.ports import Cluster, Ports

__all__ = ["FINALIZER", "Controller", "Relation"]

FINALIZER = "modelyard.io/outside"


@dataclass(frozen=True)
class Relation:
    """When an object of another of our kinds changes, which of ours look again.

    Attributes:
        plural: The other kind.
        keys: From the changed object (as the watch gives it) and what the watches know to the names, in the same namespace, to look at.

    """

    plural: str
    keys: Callable[[Manifest, Cluster], Iterable[str]]


@dataclass(frozen=True)
class Controller:
    """One kind, as the engine runs it. `R` below is the kind's `Resource`, `S` what its observe returns.

    Attributes:
        resource: The kind's class; `resource.PLURAL` names it.
        observe: `(R, Ports, now) -> S`. Reads, changes nothing.
        decide: `(R, S, now) -> Plan`. Pure, raises nothing.
        release: `(R, S, now) -> Plan` for an object that is being deleted; `released` lets the finalizer go.
        trouble: `(R, error, now) -> Plan`: what users see when observing or an action failed. Pure.
        settled: `(R, children) -> bool`: told once for each object at start: nothing is under way, so its next look outside may
            wait for the resync. Pure.
        relations: Which changes elsewhere concern this kind.

    """

    resource: type[Any]
    observe: Callable[[Any, Ports, datetime], Awaitable[Any]]
    decide: Callable[[Any, Any, datetime], Plan[Any]]
    release: Callable[[Any, Any, datetime], Plan[Any]]
    trouble: Callable[[Any, ModelyardError, datetime], Plan[Any]]
    settled: Callable[[Any, tuple[Manifest, ...]], bool]
    relations: tuple[Relation, ...] = ()

    @property
    def plural(self) -> str:
        """The kind's plural, which names it in queues, metrics and logs."""
        return str(self.resource.PLURAL)
