"""The control loop: changes become keys in the queue, and workers reconcile the keys."""

import asyncio
import contextlib
import logging
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from modelyard.cache import Cache, Change, Key
from modelyard.controller import AnyController, Relation
from modelyard.engine.backoff import RateLimiter
from modelyard.engine.breaker import CircuitBreaker
from modelyard.engine.clock import Clock
from modelyard.engine.events import Recorder
from modelyard.engine.fingerprint import fingerprint
from modelyard.engine.metrics import Metrics
from modelyard.engine.queue import Priority, Queue
from modelyard.engine.reconcile import Reconciler
from modelyard.engine.report import conditions_of
from modelyard.engine.result import Outcome
from modelyard.engine.schedule import Schedule
from modelyard.engine.workers import Workers
from modelyard.plan import Manifest
from modelyard.ports import Backends, Objects

__all__ = ["Engine", "Options"]

logger = logging.getLogger("modelyard.engine")

_FLUSH = 3.0
"""Seconds that a stopping process spends on posting the remaining events."""
_AUDITED = 5.0
"""Maximum objects per second that audits compare on average: one costs 0.2 ms of a core."""
_RESYNCS = 50
"""Maximum resyncs per second, because objects that were reconciled together are due together."""


@dataclass(frozen=True)
class Options:
    """How the engine runs.

    Attributes:
        workers: Concurrent reconciles.
        resync: Seconds after which an object is reconciled although nothing has changed.
        resyncs_per_second: Maximum resyncs per second of unchanged objects of one kind. With many
            objects, the interval between two resyncs of one object becomes longer than `resync`.
        deadline: Seconds that one reconcile may take.
        rounds: Maximum rounds of one reconcile; after them the object is queued again.

    """

    workers: int = 20
    resync: float = 300.0
    resyncs_per_second: float = 1.0
    deadline: float = 60.0
    rounds: int = 25


class Engine:
    """The control loop. It ignores changes until `open`, which is called after the initial list."""

    def __init__(
        self,
        controllers: Iterable[AnyController],
        backends: Backends,
        objects: Objects,
        *,
        cache: Cache,
        clock: Clock,
        options: Options = Options(),
        metrics: Metrics | None = None,
        announce: Callable[[Manifest], None] = lambda _: None,
        fence: Callable[[], None] = lambda: None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Create an engine.

        Args:
            controllers: The kinds.
            backends: Kubernetes, MLflow and S3.
            objects: Lists and writes our own objects.
            cache: The objects that the watches maintain; the source of changes.
            clock: The time.
            options: How it runs.
            metrics: The process's metrics.
            announce: Receives the CloudEvents about what was written.
            fence: Raises `Unavailable` when this process may no longer write.
            jitter: Returns a random number from 0 to 1.

        """
        self._controllers = {controller.plural: controller for controller in controllers}
        self._objects = objects
        self._cache = cache
        self._clock = clock
        self._options = options
        self._metrics = metrics or Metrics()
        self._queue = Queue(options.workers)
        self._breaker = CircuitBreaker()
        self._schedule = Schedule(
            self._queue, RateLimiter(options.resync, _RESYNCS, jitter), jitter, self._interval
        )
        self._workers = Workers(self.step, lambda: self.next_time, lambda: self._queue.held, clock)
        self._relations: dict[str, list[tuple[str, Relation]]] = defaultdict(list)
        for controller in self._controllers.values():
            for relation in controller.relations:
                self._relations[relation.plural].append((controller.plural, relation))
        self.recorder = Recorder(objects, clock)
        self._reconciler = Reconciler(
            self._controllers,
            backends,
            objects,
            cache=cache,
            clock=clock,
            recorder=self.recorder,
            fence=fence,
            finished=self._metrics.finished,
            announce=announce,
            rounds=options.rounds,
            deadline=options.deadline,
        )
        self._backends = backends
        self._open = False
        self._progressed = clock.time()
        cache.subscribe(self._changed)
        kinds = {
            plural: controller.resource.KIND for plural, controller in self._controllers.items()
        }
        self._metrics.watch_over(
            cache, kinds, self.priorities, self._schedule.parked, lambda: self.recorder.dropped
        )

    # --- changes become keys ----------------------------------------------------------------------
    def open(self) -> None:
        """Start to work: reconcile every object in the cache, and react to each change."""
        self._open = True
        for plural in self._controllers:
            for body in self._cache.every(plural):
                self._add(_key(plural, body), Priority.HIGH)

    def _changed(self, change: Change) -> None:
        if not self._open:
            return
        if not change.own:
            for owner in change.owners:
                self._add(owner, Priority.HIGH)
            return
        if change.scope in self._controllers:
            key = _key(change.scope, change.body)
            if change.new is None:
                self._reconciler.forget_reads(key)
                self._schedule.forget(key, self._clock.time())
            elif change.old is None or fingerprint(change.old, ()) != fingerprint(change.new, ()):
                self._add(key, Priority.HIGH)
        self._tell_relations(change)

    def _tell_relations(self, change: Change) -> None:
        for plural, relation in self._relations[change.scope]:
            try:
                names = tuple(relation.keys(change.body, self._backends.cluster))
            except Exception:
                logger.exception(
                    "This is a bug: whom a change concerns",
                    extra={"key": str(_key(change.scope, change.body))},
                )
                continue
            for name in names:
                self.trigger(Key(plural, change.body["metadata"]["namespace"], name))

    def trigger(self, key: Key) -> None:
        """Reconcile an object although nothing of its own has changed."""
        if self._cache.get(*key) is None:
            return
        self._schedule.force(key, self._clock.time())
        self._reconciler.forget_reads(key)
        self._add(key, Priority.HIGH)

    def trigger_waiting(self, plural: str) -> None:
        """Reconcile the objects of a kind that are not Ready: something they all depend on has
        changed.
        """
        if not self._open:
            return
        for body in self._cache.every(plural):
            if conditions_of(body.get("status") or {}).get("Ready", {}).get("status") != "True":
                self.trigger(_key(plural, body))

    def _add(self, key: Key, priority: Priority) -> None:
        self._queue.add(key, priority, self._clock.time())
        self._workers.wake()

    # --- keys become reconciles -------------------------------------------------------------------
    async def settle(self) -> int:
        """Reconcile what is ready now, one key after another, and post the events. For tests.

        Returns:
            The number of keys.

        """
        steps = 0
        while await self.step() is not None:
            steps += 1
        await self.recorder.flush()
        return steps

    async def step(self) -> tuple[Key, Outcome] | None:
        """Take one key, if one may be taken now, and reconcile it."""
        now = self._clock.time()
        if self._breaker.blocks(now, self._queue.held):
            return None
        key = self._queue.take(now)
        if key is None:
            return None
        try:
            return key, await self._reconcile(key)
        finally:
            self._progressed = self._clock.time()
            self._queue.done(key, self._progressed)

    async def _reconcile(self, key: Key) -> Outcome:
        begin = self._clock.time()
        if self._may_skip(key, begin):
            self._metrics.reconciled(key.plural, Outcome.SKIPPED, 0.0)
            return Outcome.SKIPPED
        result = await self._reconciler.reconcile(key)
        end = self._clock.time()
        self._metrics.reconciled(key.plural, result.outcome, end - begin)
        if result.outcome is Outcome.UNAVAILABLE:
            self._breaker.failed(end, result.retry_after)
        else:
            self._breaker.succeeded()
        self._schedule.after(key, result, end)
        return result.outcome

    def _interval(self, plural: str) -> float:
        """Return the seconds between two resyncs of an unchanged object of a kind."""
        return max(
            self._options.resync, self._cache.count(plural) / self._options.resyncs_per_second
        )

    def _may_skip(self, key: Key, now: float) -> bool:
        """Return whether this reconcile would find nothing to do."""
        body = self._cache.get(*key)
        if body is None:
            return False
        owned = self._cache.owned(body["metadata"]["uid"])
        current = fingerprint(body, owned)
        if self._schedule.knows(key):
            return self._schedule.may_skip(key, current, now)
        if not self._in_sync(key, body, owned):
            return False
        self._schedule.adopt(key, current, now)
        return True

    def _in_sync(self, key: Key, body: Manifest, owned: tuple[Manifest, ...]) -> bool:
        """Return whether an earlier process left this object in sync."""
        meta, status = body["metadata"], body.get("status") or {}
        if "deletionTimestamp" in meta:
            return False
        if status.get("observedGeneration") != meta.get("generation"):
            return False
        controller = self._controllers[key.plural]
        try:
            return controller.in_sync(controller.resource.parse(body), owned)
        except ValueError:  # the object does not fit its kind; the reconcile reports it
            return False

    # --- the workers ------------------------------------------------------------------------------
    def start(self) -> list["asyncio.Task[None]"]:
        """Start the workers and the task that posts events; they wait until `open`."""
        return [
            *self._workers.start(self._options.workers),
            asyncio.create_task(self.recorder.run(), name="events"),
        ]

    async def drain(self, tasks: Iterable["asyncio.Task[None]"], patience: float) -> None:
        """Start no new reconcile, and wait up to `patience` seconds for those under way."""
        await self._workers.drain(patience)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH):
                await self.recorder.flush()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- changes that the watches missed ----------------------------------------------------------
    async def audit(self) -> int:
        """Compare the cache with the API server's list, page by page, and correct it.

        Returns:
            The number of changes that the watches had missed.

        Raises:
            ModelyardError: The list could not be read to its end; nothing was removed.

        """
        return sum([await self._audit(plural) for plural in self._controllers])

    async def _audit(self, plural: str) -> int:
        before = self._cache.uids(plural)
        listed: set[str] = set()
        news, token = 0, ""
        while True:
            page, token = await self._objects.page(plural, token)
            for body in page:
                listed.add(body["metadata"]["uid"])
                news += self._cache.put(plural, body)
            if not token:
                break
        news += self._cache.remove_missing(plural, before, listed)
        if self._open and news:
            self._metrics.drifted(plural, news)
            logger.info("The list of %s brought %d changes that the watch had missed", plural, news)
        return news

    # --- state ------------------------------------------------------------------------------------
    def until_audit(self, least: float) -> float:
        """Return the seconds until the next audit: `least`, or more if there are many objects."""
        return max(least, sum(map(self._cache.count, self._controllers)) / _AUDITED)

    def priorities(self) -> dict[str, tuple[int, float]]:
        """Return, by priority, the number of ready keys and the age of the oldest in seconds."""
        now = self._clock.time()
        return {
            priority.value: (self._queue.depth(priority), self._queue.age(priority, now))
            for priority in Priority
        }

    @property
    def parked(self) -> Mapping[tuple[str, str], int]:
        """The number of objects that wait for a dependency, by namespace and dependency."""
        return self._schedule.parked()

    @property
    def stuck(self) -> bool:
        """Whether keys are ready and Kubernetes answers, but no reconcile has ended for three
        deadlines.
        """
        ready = sum(self._queue.depth(priority) for priority in Priority)
        return (
            ready > 0
            and not self._breaker.is_open
            and self._clock.time() - self._progressed > 3 * self._options.deadline
        )

    @property
    def next_time(self) -> float | None:
        """When the next key may be taken: the next waiting one, or when the open circuit breaker
        allows the next attempt.
        """
        waiting = self._queue.next_time()
        if not self._breaker.is_open:
            return waiting
        if self._queue.held:
            return None  # the attempt under way decides
        if any(self._queue.depth(priority) for priority in Priority):
            return self._breaker.until
        return None if waiting is None else max(waiting, self._breaker.until)


def _key(plural: str, body: Manifest) -> Key:
    return Key(plural, body["metadata"]["namespace"], body["metadata"]["name"])
