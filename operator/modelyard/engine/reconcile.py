"""One pass over one object: look, decide, do, look again, until nothing is left to do; then say where it stands.

When the next pass is due does not belong here (`engine.engine`), nor how a status is put together (`engine.report`).
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from pydantic import ValidationError

from modelyard.api.conditions import CONNECTION_OPERATION
from modelyard.cache import Cache, Key
from modelyard.controller import FINALIZER, Controller
from modelyard.engine import report
from modelyard.engine.clock import Clock
from modelyard.engine.events import Recorder
from modelyard.engine.perform import perform
from modelyard.errors import Conflict, Forbidden, ModelyardError, Unavailable
from modelyard.plan import Apply, Delete, Event, Manifest, Plan
from modelyard.ports import Cluster, Objects, Ports, Tenant

__all__ = ["Outcome", "Reconciler", "Verdict", "fingerprint"]

logger = logging.getLogger("modelyard.engine")

ISSUES = "https://github.com/modelyard/modelyard/issues"


class Outcome(StrEnum):
    """How a pass ended."""

    SETTLED = "settled"
    """Nothing is left to do."""
    BUSY = "busy"
    """There is more to do; it was somebody else's turn."""
    CONFLICT = "conflict"
    """Somebody else was faster: look again."""
    UNAVAILABLE = "unavailable"
    """Kubernetes did not answer, so nothing could be said either."""
    FAILED = "failed"
    """An error that the status tells of."""
    INVALID = "invalid"
    """The object does not fit its kind."""
    BUG = "bug"
    """Something that should never happen; the status tells of it."""
    GONE = "gone"
    """There is no such object any more, or we hold nothing of it."""
    SKIPPED = "skipped"
    """Nothing has changed since the last pass, and it is not time for the next."""


@dataclass(frozen=True)
class Verdict:
    """How a pass ended.

    Attributes:
        outcome: In a word.
        mark: The fingerprint of what the last look saw; None when there was none.
        again: When the plan wants another look.
        retry_after: Seconds that the other side asked us to wait.
        away: Who does not let this namespace in: `MLflow`, `S3`, or `connection` when there is none. All its objects will hear the same.

    """

    outcome: Outcome
    mark: int | None = None
    again: timedelta | None = None
    retry_after: float = 0.0
    away: str | None = None


def fingerprint(body: Manifest, children: tuple[Manifest, ...]) -> int:
    """Return a number that differs when a decision could differ: what users set, and the children. Our own status is not in it."""
    meta = body["metadata"]
    labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
    below = sorted((child["metadata"]["uid"], child["metadata"].get("resourceVersion", "")) for child in children)
    what = (meta["uid"], meta.get("generation"), meta.get("deletionTimestamp"), *sorted(labels.items()), None, *sorted(annotations.items()))
    return hash((what, tuple(below)))


class _Pass:
    """The ports for one pass: the tenant is looked up once."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._tenants: dict[str, Tenant] = {}

    @property
    def cluster(self) -> Cluster:
        return self._ports.cluster

    async def tenant(self, namespace: str) -> Tenant:
        if namespace not in self._tenants:
            self._tenants[namespace] = await self._ports.tenant(namespace)
        return self._tenants[namespace]


class Reconciler:
    """Carries passes out. It remembers nothing between two of them."""

    def __init__(
        self,
        controllers: Mapping[str, Controller],
        ports: Ports,
        objects: Objects,
        *,
        cache: Cache,
        clock: Clock,
        recorder: Recorder,
        fence: Callable[[], None] = lambda: None,
        rounds: int = 25,
        deadline: float = 60.0,
    ) -> None:
        """Put one together.

        Args:
            controllers: The kinds, by plural.
            ports: The outside.
            objects: Where statuses and finalizers are written.
            cache: What the watches know.
            clock: What time it is.
            recorder: Where users are told.
            fence: Raises `Unavailable` when this process may not write any more.
            rounds: How often one pass goes round before others have their turn.
            deadline: Seconds that one pass may take.

        """
        self._controllers = controllers
        self._ports = ports
        self._objects = objects
        self._cache = cache
        self._clock = clock
        self._recorder = recorder
        self._fence = fence
        self._rounds = rounds
        self._deadline = deadline

    async def reconcile(self, key: Key) -> Verdict:
        """Bring one object to where its spec wants it, as far as that goes now; raises nothing but a cancellation."""
        controller = self._controllers[key.plural]
        try:
            try:
                async with asyncio.timeout(self._deadline):
                    return await self._go_round(controller, key)
            except Conflict as error:
                logger.info("Somebody else was faster: %s", error, extra={"key": str(key)})
                return Verdict(Outcome.CONFLICT)
            except ModelyardError as error:
                return await self._in_trouble(controller, key, error)
            except _Misfit as misfit:
                return await self._ill(key, Outcome.INVALID, "InvalidSpec", f"This object does not fit its kind: {misfit}")
            except TimeoutError:
                logger.warning("A pass took longer than %g s", self._deadline, extra={"key": str(key)})
                message = f"A pass took longer than {self._deadline:g} s and was given up. It is tried again by itself."
                return await self._ill(key, Outcome.FAILED, "PassTimedOut", message, stalled=False)
        except ModelyardError as error:  # the status could not be written
            logger.warning("Could not report: %s", error, extra={"key": str(key)})
            return _unreported(error)
        except Exception:
            logger.exception("This is a bug; please report it at %s", ISSUES, extra={"key": str(key)})
            return await self._bug(key)

    # --- the pass ---------------------------------------------------------------------------------------
    async def _go_round(self, controller: Controller, key: Key) -> Verdict:
        ports = _Pass(self._ports)
        for _ in range(self._rounds):
            body = self._cache.get(*key)
            if body is None or (_deleting(body) and FINALIZER not in _finalizers(body)):
                return Verdict(Outcome.GONE)
            mark = fingerprint(body, self._cache.owned(body["metadata"]["uid"]))
            resource, now = _parsed(controller, body), self._clock.now().replace(microsecond=0)
            seen = await controller.observe(resource, ports, now)
            plan = (controller.release if _deleting(body) else controller.decide)(resource, seen, now)
            if plan.actions:
                await self._act(key, body, plan, ports)
            elif plan.released and _deleting(body):
                return await self._let_go(key, body, plan.events)
            else:
                wrote = await self._report(key, body, report.dumped(plan.status), plan.events)
                if not (wrote and plan.again == timedelta()):  # zero means: this status first, then go on
                    return Verdict(Outcome.SETTLED, mark, plan.again)
        return Verdict(Outcome.BUSY)

    async def _act(self, key: Key, body: Manifest, plan: Plan[Any], ports: _Pass) -> None:
        outside = any(not isinstance(action, Apply | Delete) for action in plan.actions)
        if outside and FINALIZER not in _finalizers(body) and not _deleting(body):
            self._fence()
            self._cache.put(key.plural, await self._objects.set_finalizers(body, (*_finalizers(body), FINALIZER)))
        for action in plan.actions:
            self._fence()
            logger.debug("Doing %s", action, extra={"key": str(key)})
            await perform(action, key.namespace, ports.cluster, lambda: ports.tenant(key.namespace))
        for event in plan.events:
            self._recorder.record(body, event)

    async def _let_go(self, key: Key, body: Manifest, events: tuple[Event, ...]) -> Verdict:
        self._fence()
        left = tuple(finalizer for finalizer in _finalizers(body) if finalizer != FINALIZER)
        self._cache.put(key.plural, await self._objects.set_finalizers(body, left))
        for event in events:
            self._recorder.record(body, event)
        return Verdict(Outcome.GONE)

    async def _report(self, key: Key, body: Manifest, status: Manifest, events: tuple[Event, ...] = ()) -> bool:
        old = body.get("status") or {}
        new = report.merge(old, status, body["metadata"].get("generation", 1), self._clock.now())
        if new == old:
            return False
        self._fence()
        self._cache.put(key.plural, await self._objects.write_status(body, new))
        for event in (*report.transitions(old, new), *events):
            self._recorder.record(body, event)
        return True

    # --- when it does not go well -----------------------------------------------------------------------
    async def _in_trouble(self, controller: Controller, key: Key, error: ModelyardError) -> Verdict:
        body = self._cache.get(*key)
        if body is None:
            return Verdict(Outcome.GONE)
        if isinstance(error, Unavailable) and error.dependency == "Kubernetes":
            logger.info("%s", error, extra={"key": str(key)})
            return _unreported(error)
        mark = fingerprint(body, self._cache.owned(body["metadata"]["uid"]))
        plan = controller.trouble(_parsed(controller, body), error, self._clock.now())
        if plan.released and _deleting(body):
            return await self._let_go(key, body, plan.events)
        news = await self._report(key, body, report.dumped(plan.status), plan.events)
        logger.log(logging.WARNING if news else logging.DEBUG, "%s", error, extra={"key": str(key)})
        return Verdict(Outcome.FAILED, mark, plan.again, getattr(error, "retry_after", 0.0), _away(error))

    async def _ill(self, key: Key, outcome: Outcome, reason: str, message: str, *, stalled: bool = True) -> Verdict:
        body = self._cache.get(*key)
        if body is None:
            return Verdict(Outcome.GONE)
        mark = fingerprint(body, self._cache.owned(body["metadata"]["uid"]))
        status = report.ill(body.get("status") or {}, reason, message, body["metadata"].get("generation", 1), stalled=stalled)
        await self._report(key, body, status)
        return Verdict(outcome, mark)

    async def _bug(self, key: Key) -> Verdict:
        message = f"This is a bug of modelyard, and the operator's log has its trace; please report it at {ISSUES}. It is tried again."
        try:
            return await self._ill(key, Outcome.BUG, "InternalError", message)
        except ModelyardError as error:
            return _unreported(error)
        except Exception:
            logger.exception("A bug, and it could not even be reported", extra={"key": str(key)})
            return Verdict(Outcome.BUG)


class _Misfit(Exception):
    """The object does not fit its kind's class, though the CRD let it through."""


def _parsed(controller: Controller, body: Manifest) -> Any:
    try:
        return controller.resource.parse(body)
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors(include_input=False))
        raise _Misfit("; ".join(problems)) from None


def _away(error: ModelyardError) -> str | None:
    if error.operation == CONNECTION_OPERATION:
        return "connection"
    everybody_s = isinstance(error, Unavailable | Forbidden) and error.dependency != "Kubernetes"
    return error.dependency if everybody_s else None


def _unreported(error: ModelyardError) -> Verdict:
    if isinstance(error, Unavailable):
        return Verdict(Outcome.UNAVAILABLE, retry_after=error.retry_after)
    return Verdict(Outcome.CONFLICT if isinstance(error, Conflict) else Outcome.FAILED)


def _deleting(body: Manifest) -> bool:
    return "deletionTimestamp" in body["metadata"]


def _finalizers(body: Manifest) -> tuple[str, ...]:
    return tuple(body["metadata"].get("finalizers") or ())
