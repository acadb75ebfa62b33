"""One reconcile of one object: rounds of observe, decide and perform until the plan rests."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from modelyard.api.conditions import EngineReason
from modelyard.cache import Cache, Key
from modelyard.controller import FINALIZER, AnyController, Finished
from modelyard.engine import report
from modelyard.engine.body import InvalidObject, finalizers, is_deleting, parsed
from modelyard.engine.clock import Clock
from modelyard.engine.events import Recorder
from modelyard.engine.fingerprint import fingerprint
from modelyard.engine.perform import perform, subject_of, written_by
from modelyard.engine.reads import KeptReads, ObjectPorts
from modelyard.engine.result import Outcome, ReconcileResult, down_dependency, result_without_status
from modelyard.errors import Conflict, Invalid, ModelyardError, Unavailable
from modelyard.plan import (
    Act,
    Action,
    Apply,
    CreateBucket,
    Event,
    Finalize,
    Manifest,
    Owned,
    Plan,
    PutRecord,
    Record,
    Rest,
    SetTrafficRule,
)
from modelyard.ports import Backends, Objects

__all__ = ["Reconciler"]

logger = logging.getLogger("modelyard.engine")

ISSUES = "https://github.com/modelyard/modelyard/issues"
_MAX_REPEATS = 2
"""How often one reconcile carries out the same plan.

If the plan is returned once more, another client reverts its changes, so the reconcile ends.
"""


class Reconciler:
    """Reconciles objects, one at a time per key."""

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
        """Create a reconciler.

        Args:
            controllers: The kinds, by plural.
            backends: Kubernetes, MLflow and S3.
            objects: Writes statuses and finalizers.
            cache: The objects that the watches maintain.
            clock: The time.
            recorder: Posts Kubernetes events.
            fence: Raises `Unavailable` when this process may no longer write, because it has lost
                its Lease.
            finished: Counts the changes of stages that a status reports as finished.
            announce: Receives a CloudEvent for each new entry of a model's history.
            rounds: Maximum rounds of one reconcile; after them the object is queued again.
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
        self._reads = KeptReads(backends, clock)

    async def reconcile(self, key: Key) -> ReconcileResult:
        """Reconcile one object and report how that ended. Raises nothing but `CancelledError`."""
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
            except InvalidObject as invalid:
                message = f"This object does not fit its kind: {invalid}"
                return await self._report_without_plan(
                    key, Outcome.INVALID, EngineReason.INVALID_SPEC, message
                )
            except TimeoutError:
                logger.warning(
                    "A reconcile took longer than %g s", self._deadline, extra={"key": str(key)}
                )
                message = (
                    f"A reconcile took longer than {self._deadline:g} s and was stopped. It is"
                    " retried automatically."
                )
                return await self._report_without_plan(
                    key, Outcome.FAILED, EngineReason.RECONCILE_TIMED_OUT, message, stalled=False
                )
        except ModelyardError as error:  # the status could not be written
            logger.warning("The status could not be written: %s", error, extra={"key": str(key)})
            return result_without_status(error)
        except Exception:
            logger.exception(
                "This is a bug; please report it at %s", ISSUES, extra={"key": str(key)}
            )
            return await self._bug(key)

    def forget_reads(self, key: Key) -> None:
        """Drop an object's kept reads, so that its next reconcile reads MLflow and S3."""
        self._reads.forget(key)

    # --- the rounds -----------------------------------------------------------------------------
    async def _reconcile(self, controller: AnyController, key: Key) -> ReconcileResult:
        ports = self._reads.take(key, self._cache.get(*key))
        now = self._clock.now().replace(microsecond=0)
        performed: list[Plan[Any]] = []
        for _ in range(self._rounds):
            body = self._cache.get(*key)
            if body is None or (is_deleting(body) and FINALIZER not in finalizers(body)):
                self.forget_reads(key)
                return ReconcileResult(Outcome.GONE)
            observed = fingerprint(body, self._cache.owned(body["metadata"]["uid"]))
            plan = await _plan(controller, body, ports, now)
            if performed.count(plan) >= _MAX_REPEATS:
                return await self._no_progress(key, plan)
            match plan:
                case Act():
                    await self._act(controller, key, body, plan, ports)
                case Record(status, events):
                    await self._report(key, body, report.dumped(status), events)
                case Rest(status, requeue_after, events):
                    is_written = await self._report(key, body, report.dumped(status), events)
                    self._reads.keep(
                        key, ports, self._cache.get(*key), plan, controller.reads_valid_for
                    )
                    return ReconcileResult(
                        Outcome.SETTLED,
                        observed,
                        requeue_after,
                        quiet=not (is_written or performed),
                    )
                case Finalize(events):
                    return await self._finalize(key, body, events)
            performed.append(plan)
        return ReconcileResult(Outcome.BUSY)

    async def _act(
        self, controller: AnyController, key: Key, body: Manifest, plan: Act, ports: ObjectPorts
    ) -> None:
        """Carry out the actions in order, then record the plan's events."""
        external = any(not isinstance(action, Owned) for action in plan.actions)
        if external and FINALIZER not in finalizers(body) and not is_deleting(body):
            self._fence()
            with_ours = (*finalizers(body), FINALIZER)
            self._cache.put(key.plural, await self._objects.set_finalizers(body, with_ours))
        for action in plan.actions:
            self._fence()
            logger.debug("Performing %s", action, extra={"key": str(key)})
            await self._perform(controller, key, action, ports)
        for event in plan.events:
            self._recorder.record(body, event)

    async def _perform(
        self, controller: AnyController, key: Key, action: Action, ports: ObjectPorts
    ) -> None:
        """Carry out one action, and drop the kept reads that it invalidates.

        Two failures are recorded in `ports`, and the reconcile continues. One is a history entry
        that cannot be stored: serving, registry and status must not wait for it. The other is an
        `Apply` or `SetTrafficRule` that the API server refused, if `Controller.survives_refusals`.
        """
        try:
            await perform(
                action, key.namespace, ports.cluster, lambda: ports.writers(key.namespace)
            )
        except ModelyardError as error:
            if isinstance(action, PutRecord):
                logger.info(
                    "A history entry could not be stored yet: %s", error, extra={"key": str(key)}
                )
                ports.refused("PutRecord", action.uri, error)
            elif (
                isinstance(action, Apply | SetTrafficRule)
                and isinstance(error, Invalid)
                and controller.survives_refusals
            ):
                ports.refused(*subject_of(action), error)
            else:
                raise
        finally:
            if isinstance(action, PutRecord):
                ports.stored(action.uri)
            elif not isinstance(action, Owned):
                ports.written("S3" if isinstance(action, CreateBucket) else "MLflow")

    async def _finalize(
        self, key: Key, body: Manifest, events: tuple[Event, ...]
    ) -> ReconcileResult:
        assert is_deleting(body), "only an object that is being deleted is finalized"
        self._fence()
        self.forget_reads(key)
        others = tuple(finalizer for finalizer in finalizers(body) if finalizer != FINALIZER)
        self._cache.put(key.plural, await self._objects.set_finalizers(body, others))
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
        for event in (*report.transitions(old, new), *events):
            self._recorder.record(body, event)
        controller = self._controllers[key.plural]
        for each in controller.finished(old, new):
            self._finished(each)
        for cloud_event in controller.cloud_events(body, old, new):
            self._announce(cloud_event)
        return True

    # --- errors ---------------------------------------------------------------------------------
    async def _failed(
        self, controller: AnyController, key: Key, error: ModelyardError
    ) -> ReconcileResult:
        body = self._cache.get(*key)
        if body is None:
            return ReconcileResult(Outcome.GONE)
        if isinstance(error, Unavailable) and error.dependency == "Kubernetes":
            logger.info("%s", error, extra={"key": str(key)})
            return result_without_status(error)
        observed = fingerprint(body, self._cache.owned(body["metadata"]["uid"]))
        plan = controller.on_error(parsed(controller, body), error, self._clock.now())
        if isinstance(plan, Finalize):
            return await self._finalize(key, body, plan.events)
        is_written = await self._report(key, body, report.dumped(plan.status), plan.events)
        logger.log(
            logging.WARNING if is_written else logging.DEBUG, "%s", error, extra={"key": str(key)}
        )
        retry_after = getattr(error, "retry_after", 0.0)
        return ReconcileResult(
            Outcome.FAILED, observed, plan.requeue_after, retry_after, down_dependency(error)
        )

    async def _no_progress(self, key: Key, plan: Plan[Any]) -> ReconcileResult:
        """End a reconcile that would repeat the same plan, and report it."""
        logger.error("The plan's changes do not last: %s", plan, extra={"key": str(key)})
        message = (
            f"What the operator writes does not last ({written_by(plan)}): another controller or"
            " an admission webhook reverts it. It is retried automatically."
        )
        return await self._report_without_plan(
            key, Outcome.FAILED, EngineReason.NO_PROGRESS, message, stalled=False
        )

    async def _report_without_plan(
        self, key: Key, outcome: Outcome, reason: str, message: str, *, stalled: bool = True
    ) -> ReconcileResult:
        body = self._cache.get(*key)
        if body is None:
            return ReconcileResult(Outcome.GONE)
        observed = fingerprint(body, self._cache.owned(body["metadata"]["uid"]))
        generation = body["metadata"].get("generation", 1)
        status = report.undecided(
            body.get("status") or {}, reason, message, generation, stalled=stalled
        )
        await self._report(key, body, status)
        return ReconcileResult(outcome, observed)

    async def _bug(self, key: Key) -> ReconcileResult:
        message = (
            "This is a bug in modelyard. The operator's log has the traceback; please report it at"
            f" {ISSUES}. It is retried."
        )
        try:
            return await self._report_without_plan(
                key, Outcome.BUG, EngineReason.INTERNAL_ERROR, message
            )
        except ModelyardError as error:
            return result_without_status(error)
        except Exception:
            logger.exception("The bug could not be reported in the status", extra={"key": str(key)})
            return ReconcileResult(Outcome.BUG)


async def _plan(
    controller: AnyController, body: Manifest, ports: ObjectPorts, now: datetime
) -> Plan[Any]:
    resource = parsed(controller, body)
    observation = await controller.observe(resource, ports, now)
    decide = controller.finalize if is_deleting(body) else controller.decide
    return decide(resource, observation, now)
