"""One reconcile of one object: observe, decide, perform, until the plan rests; then report.

When the next reconcile is due is `engine.schedule`'s to say; `engine.report` builds the status.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from modelyard.api.conditions import CONNECTION_OPERATION, EngineReason
from modelyard.cache import Cache, Key
from modelyard.controller import FINALIZER, AnyController, Finished
from modelyard.engine import report
from modelyard.engine.clock import Clock
from modelyard.engine.events import Recorder
from modelyard.engine.perform import perform
from modelyard.engine.reads import ObjectPorts
from modelyard.engine.result import Outcome, ReconcileResult
from modelyard.errors import Conflict, Forbidden, Invalid, ModelyardError, Unavailable
from modelyard.plan import (
    Act,
    Apply,
    CreateBucket,
    Delete,
    Event,
    Finalize,
    Manifest,
    Owned,
    Plan,
    PutRecord,
    Record,
    Rest,
    Suspend,
    Tell,
)
from modelyard.ports import Backends, Objects

__all__ = ["Reconciler", "fingerprint"]

logger = logging.getLogger("modelyard.engine")

ISSUES = "https://github.com/modelyard/modelyard/issues"
_CARRIED_OUT = 2
"""How often one reconcile carries out the same plan. When it comes back once more, what it writes
does not last, and carrying it out again would change nothing either."""


def fingerprint(body: Manifest, owned: tuple[Manifest, ...]) -> int:
    """Return a number that differs when a decision could differ.

    It covers what users set and the owned objects; our own status is not in it.
    """
    meta = body["metadata"]
    labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
    below = sorted(
        (each["metadata"]["uid"], each["metadata"].get("resourceVersion", "")) for each in owned
    )
    what = (meta["uid"], meta.get("generation"), meta.get("deletionTimestamp"))
    return hash((what, *sorted(labels.items()), None, *sorted(annotations.items()), tuple(below)))


@dataclass
class _Kept:
    """The ports of an object whose change is under way, for the reconciles that its owned
    objects wake.
    """

    ports: ObjectPorts
    fingerprint: int
    expires: float


class Reconciler:
    """Carries reconciles out."""

    def __init__(
        self,
        controllers: Mapping[str, AnyController],
        backends: Backends,
        objects: Objects,
        *,
        cache: Cache,
        clock: Clock,
        recorder: Recorder,
        fence: Callable[[], None] = lambda: None,
        finished: Callable[[Finished], None] = lambda _: None,
        announce: Callable[[Manifest], None] = lambda _: None,
        rounds: int = 25,
        deadline: float = 60.0,
    ) -> None:
        """Put one together.

        Args:
            controllers: The kinds, by plural.
            backends: Kubernetes, MLflow and S3.
            objects: Where statuses and finalizers are written.
            cache: What the watches know.
            clock: What time it is.
            recorder: Where Events are recorded.
            fence: Raises `Unavailable` when this process may no longer write.
            finished: Counts what has finished.
            announce: Takes the CloudEvents about what was written.
            rounds: Rounds of one reconcile before other objects have their turn.
            deadline: Seconds that one reconcile may take.

        """
        self._controllers = controllers
        self._backends = backends
        self._objects = objects
        self._cache = cache
        self._clock = clock
        self._recorder = recorder
        self._fence = fence
        self._finished = finished
        self._announce = announce
        self._rounds = rounds
        self._deadline = deadline
        self._kept: dict[Key, _Kept] = {}

    async def reconcile(self, key: Key) -> ReconcileResult:
        """Bring one object as close to its spec as is possible now; raises only a cancellation."""
        controller = self._controllers[key.plural]
        try:
            try:
                async with asyncio.timeout(self._deadline):
                    return await self._reconcile(controller, key)
            except Conflict as error:
                logger.info("Another client wrote first: %s", error, extra={"key": str(key)})
                return ReconcileResult(Outcome.CONFLICT)
            except ModelyardError as error:
                return await self._failed(controller, key, error)
            except _Misfit as misfit:
                message = f"This object does not fit its kind: {misfit}"
                return await self._unfit(key, Outcome.INVALID, EngineReason.INVALID_SPEC, message)
            except TimeoutError:
                logger.warning(
                    "A reconcile took longer than %g s", self._deadline, extra={"key": str(key)}
                )
                message = (
                    f"A reconcile took longer than {self._deadline:g} s and was stopped. It is"
                    " retried automatically."
                )
                return await self._unfit(
                    key, Outcome.FAILED, EngineReason.RECONCILE_TIMED_OUT, message, stalled=False
                )
        except ModelyardError as error:  # the status could not be written
            logger.warning("Could not report: %s", error, extra={"key": str(key)})
            return _unreported(error)
        except Exception:
            logger.exception(
                "This is a bug; please report it at %s", ISSUES, extra={"key": str(key)}
            )
            return await self._bug(key)

    def forget_reads(self, key: Key) -> None:
        """Have the next reconcile of an object read MLflow and S3."""
        self._kept.pop(key, None)

    # --- the rounds -----------------------------------------------------------------------------
    async def _reconcile(self, controller: AnyController, key: Key) -> ReconcileResult:
        ports, now = self._ports(key), self._clock.now().replace(microsecond=0)
        carried_out: list[Plan[Any]] = []
        for _ in range(self._rounds):
            body = self._cache.get(*key)
            if body is None or (_deleting(body) and FINALIZER not in _finalizers(body)):
                self.forget_reads(key)
                return ReconcileResult(Outcome.GONE)
            observed = fingerprint(body, self._cache.owned(body["metadata"]["uid"]))
            plan = await _plan(controller, body, ports, now)
            if carried_out.count(plan) >= _CARRIED_OUT:
                return await self._no_progress(key, plan)
            match plan:
                case Act():
                    await self._act(controller, key, body, plan, ports)
                case Record(status, events):
                    await self._report(key, body, report.dumped(status), events)
                case Rest(status, requeue_after, events):
                    news = await self._report(key, body, report.dumped(status), events)
                    self._keep(controller, key, ports, plan)
                    return ReconcileResult(
                        Outcome.SETTLED, observed, requeue_after, quiet=not (news or carried_out)
                    )
                case Finalize(events):
                    return await self._finalize(key, body, events)
            carried_out.append(plan)
        return ReconcileResult(Outcome.BUSY)

    async def _act(
        self, controller: AnyController, key: Key, body: Manifest, plan: Act, ports: ObjectPorts
    ) -> None:
        """Carry the actions out, in order. For a kind that survives it, a refused `Apply` or `Tell`
        does not stop the others.

        What cannot be stored of a record stops nothing: what serves, the registry and the status
        come first.
        """
        external = any(not isinstance(action, Owned) for action in plan.actions)
        if external and FINALIZER not in _finalizers(body) and not _deleting(body):
            self._fence()
            self._cache.put(
                key.plural,
                await self._objects.set_finalizers(body, (*_finalizers(body), FINALIZER)),
            )
        for action in plan.actions:
            self._fence()
            logger.debug("Performing %s", action, extra={"key": str(key)})
            try:
                await perform(
                    action, key.namespace, ports.cluster, lambda: ports.writers(key.namespace)
                )
            except ModelyardError as error:
                if isinstance(action, PutRecord):
                    logger.info("An entry of the history waits: %s", error, extra={"key": str(key)})
                    ports.refused("PutRecord", action.uri, error)
                elif (
                    isinstance(action, Apply | Tell)
                    and isinstance(error, Invalid)
                    and controller.survives_refusals
                ):
                    ports.refused(*_named(action), error)
                else:
                    raise
            finally:
                if isinstance(action, PutRecord):
                    ports.stored(action.uri)
                elif not isinstance(action, Owned):
                    ports.written("S3" if isinstance(action, CreateBucket) else "MLflow")
        for event in plan.events:
            self._recorder.record(body, event)

    async def _finalize(
        self, key: Key, body: Manifest, events: tuple[Event, ...]
    ) -> ReconcileResult:
        assert _deleting(body), "only an object that is being deleted is finalized"
        self._fence()
        self.forget_reads(key)
        left = tuple(finalizer for finalizer in _finalizers(body) if finalizer != FINALIZER)
        self._cache.put(key.plural, await self._objects.set_finalizers(body, left))
        for event in events:
            self._recorder.record(body, event)
        return ReconcileResult(Outcome.GONE)

    async def _report(
        self, key: Key, body: Manifest, status: Manifest, events: tuple[Event, ...] = ()
    ) -> bool:
        old = body.get("status") or {}
        new = report.merge(old, status, body["metadata"].get("generation", 1), self._clock.now())
        if new == old:
            return False
        self._fence()
        self._cache.put(key.plural, await self._objects.write_status(body, new))
        for said in (*report.transitions(old, new), *events):
            self._recorder.record(body, said)
        controller = self._controllers[key.plural]
        for each in controller.finished(old, new):
            self._finished(each)
        for event in controller.announced(body, old, new):
            self._announce(event)
        return True

    # --- what was read before -------------------------------------------------------------------
    def _ports(self, key: Key) -> ObjectPorts:
        """Return the object's ports, with the answers of its last reconcile if they may be used."""
        kept = self._kept.pop(key, None)
        body = self._cache.get(*key)
        now = self._clock.time()
        if (
            kept is None
            or body is None
            or now >= kept.expires
            or kept.fingerprint != fingerprint(body, ())
        ):
            return ObjectPorts(self._backends, self._clock)
        kept.ports.begin()
        return kept.ports

    def _keep(
        self, controller: AnyController, key: Key, ports: ObjectPorts, plan: Rest[Any]
    ) -> None:
        """Keep what was read while a change is under way: its pods do not change MLflow or S3.

        An answer is never older than `Controller.reads_last`, however many reconciles use it.
        """
        body = self._cache.get(*key)
        settled = plan.status.is_true("Ready")
        last = plan.reads_last if settled else controller.reads_last
        if last is None or body is None or ports.oldest is None:
            return
        expires = ports.oldest + last.total_seconds()
        if plan.requeue_after is not None and not settled:
            expires = min(expires, self._clock.time() + plan.requeue_after.total_seconds())
        self._kept[key] = _Kept(ports, fingerprint(body, ()), expires)

    # --- errors ---------------------------------------------------------------------------------
    async def _failed(
        self, controller: AnyController, key: Key, error: ModelyardError
    ) -> ReconcileResult:
        body = self._cache.get(*key)
        if body is None:
            return ReconcileResult(Outcome.GONE)
        if isinstance(error, Unavailable) and error.dependency == "Kubernetes":
            logger.info("%s", error, extra={"key": str(key)})
            return _unreported(error)
        observed = fingerprint(body, self._cache.owned(body["metadata"]["uid"]))
        plan = controller.on_error(_parsed(controller, body), error, self._clock.now())
        if isinstance(plan, Finalize):
            return await self._finalize(key, body, plan.events)
        news = await self._report(key, body, report.dumped(plan.status), plan.events)
        logger.log(logging.WARNING if news else logging.DEBUG, "%s", error, extra={"key": str(key)})
        retry_after = getattr(error, "retry_after", 0.0)
        return ReconcileResult(
            Outcome.FAILED, observed, plan.requeue_after, retry_after, _down(error)
        )

    async def _no_progress(self, key: Key, plan: Plan[Any]) -> ReconcileResult:
        """End a reconcile that would run in a circle, and say so."""
        logger.error(
            "The same plan came back after it was carried out: %s", plan, extra={"key": str(key)}
        )
        message = (
            f"What the operator writes does not last ({_written(plan)}): something else changes it"
            " back at once, such as another controller or an admission webhook. It is retried"
            " automatically."
        )
        return await self._unfit(
            key, Outcome.FAILED, EngineReason.NO_PROGRESS, message, stalled=False
        )

    async def _unfit(
        self, key: Key, outcome: Outcome, reason: str, message: str, *, stalled: bool = True
    ) -> ReconcileResult:
        body = self._cache.get(*key)
        if body is None:
            return ReconcileResult(Outcome.GONE)
        observed = fingerprint(body, self._cache.owned(body["metadata"]["uid"]))
        generation = body["metadata"].get("generation", 1)
        status = report.ill(body.get("status") or {}, reason, message, generation, stalled=stalled)
        await self._report(key, body, status)
        return ReconcileResult(outcome, observed)

    async def _bug(self, key: Key) -> ReconcileResult:
        message = (
            "This is a bug of modelyard, and the operator's log has its trace; please report it at"
            f" {ISSUES}. It is retried."
        )
        try:
            return await self._unfit(key, Outcome.BUG, EngineReason.INTERNAL_ERROR, message)
        except ModelyardError as error:
            return _unreported(error)
        except Exception:
            logger.exception("A bug, and it could not even be reported", extra={"key": str(key)})
            return ReconcileResult(Outcome.BUG)


class _Misfit(Exception):
    """The object does not fit its kind's class, though the CRD let it through."""


async def _plan(
    controller: AnyController, body: Manifest, ports: ObjectPorts, now: datetime
) -> Plan[Any]:
    resource = _parsed(controller, body)
    observation = await controller.observe(resource, ports, now)
    decide = controller.finalize if _deleting(body) else controller.decide
    return decide(resource, observation, now)


def _parsed(controller: AnyController, body: Manifest) -> Any:
    try:
        return controller.resource.parse(body)
    except ValidationError as error:
        problems = (
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
            for problem in error.errors(include_input=False)
        )
        raise _Misfit("; ".join(problems)) from None


def _named(action: Apply | Tell) -> tuple[str, str]:
    """Return kind and name of what an action is about."""
    if isinstance(action, Tell):
        return "Pod", action.name
    return action.manifest["kind"], action.manifest["metadata"]["name"]


def _written(plan: Plan[Any]) -> str:
    """Name what a plan writes, in the user's terms."""
    if not isinstance(plan, Act):
        return "its status"
    names = []
    for action in plan.actions:
        match action:
            case Apply(manifest):
                names.append(f"{manifest['kind']} {manifest['metadata']['name']}")
            case Suspend(name):
                names.append(f"suspend of the Job {name}")
            case Tell(name):
                names.append(f"what the Pod {name} is told")
            case Delete():
                names.append(f"the deletion of {action.kind} {action.name}")
            case _:
                names.append(f"{type(action).__name__} in MLflow or S3")
    return ", ".join(names)


def _down(error: ModelyardError) -> str | None:
    if error.operation == CONNECTION_OPERATION:
        return "connection"
    for_all = isinstance(error, Unavailable | Forbidden) and error.dependency != "Kubernetes"
    return error.dependency if for_all else None


def _unreported(error: ModelyardError) -> ReconcileResult:
    if isinstance(error, Unavailable):
        return ReconcileResult(Outcome.UNAVAILABLE, retry_after=error.retry_after)
    return ReconcileResult(Outcome.CONFLICT if isinstance(error, Conflict) else Outcome.FAILED)


def _deleting(body: Manifest) -> bool:
    return "deletionTimestamp" in body["metadata"]


def _finalizers(body: Manifest) -> tuple[str, ...]:
    return tuple(body["metadata"].get("finalizers") or ())
