"""The loop: changes become keys, and keys become passes.

What a pass does does not belong here (`engine.reconcile`), nor when the next is due
(`engine.schedule`), nor where changes come from (`engine.kopf_app`, the adapters' watches).
"""

import asyncio
import contextlib
import logging
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from modelyard.cache import Cache, Change, Key
from modelyard.controller import AnyController, Relation
from modelyard.engine.backoff import Pacer
from modelyard.engine.clock import Clock
from modelyard.engine.events import Recorder
from modelyard.engine.gate import Gate
from modelyard.engine.metrics import Metrics
from modelyard.engine.queue import Priority, Queue
from modelyard.engine.reconcile import Reconciler, fingerprint
from modelyard.engine.report import conditions_of
from modelyard.engine.result import Outcome
from modelyard.engine.schedule import Schedule
from modelyard.engine.workers import Workers
from modelyard.plan import Manifest
from modelyard.ports import Backends, Objects

__all__ = ["Engine", "Options"]

logger = logging.getLogger("modelyard.engine")

_LAST_WORDS = 3.0

_AUDITED = 5.0
"""Objects a second that audits compare in the long run at most: one costs 0.2 ms of a core."""
_AT_ONCE = 50
"""Resyncs of one second at most: what was looked at together comes back together."""


@dataclass(frozen=True)
class Options:
    """How the engine runs.

    Attributes:
        workers: Passes at a time.
        resync: Seconds after which an object is looked at though nothing happened.
        resyncs_per_second: Resyncs a second of the objects of one kind that stay as they are: where
            there are many of these, each is looked at more rarely than every `resync`.
        deadline: Seconds that one pass may take.
        rounds: How often one pass goes round before others have their turn.

    """

    workers: int = 20
    resync: float = 300.0
    resyncs_per_second: float = 1.0
    deadline: float = 60.0
    rounds: int = 25


class Engine:
    """The loop. Made closed: it takes changes in from `open` on, when the cache is whole."""

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
        dice: Callable[[], float] = random.random,
    ) -> None:
        """Put one together.

        Args:
            controllers: The kinds.
            backends: Kubernetes, MLflow and S3.
            objects: Where our own objects are listed and written.
            cache: What the watches know; changes come from here.
            clock: What time it is.
            options: How it runs.
            metrics: Where it is counted.
            announce: Takes the CloudEvents about what was written.
            fence: Raises `Unavailable` when this process may not write any more.
            dice: Where chance comes from.

        """
        self._controllers = {controller.plural: controller for controller in controllers}
        self._objects = objects
        self._cache = cache
        self._clock = clock
        self._options = options
        self._metrics = metrics or Metrics()
        self._queue = Queue(options.workers)
        self._gate = Gate()
        self._schedule = Schedule(
            self._queue, Pacer(options.resync, _AT_ONCE, dice), dice, self._interval
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
            ended=self._metrics.ended,
            announce=announce,
            rounds=options.rounds,
            deadline=options.deadline,
        )
        self._backends = backends
        self._open = False
        self._moved = clock.time()
        cache.subscribe(self._changed)
        kinds = {
            plural: controller.resource.KIND for plural, controller in self._controllers.items()
        }
        self._metrics.watch_over(
            cache, kinds, self.priorities, self._schedule.away, lambda: self.recorder.dropped
        )

    # --- changes become keys ----------------------------------------------------------------------
    def open(self) -> None:
        """Take up work: everything that the cache holds is looked at, and every change from now
        on.
        """
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
        """Have an object looked at, even if nothing of its own has changed."""
        if self._cache.get(*key) is None:
            return
        self._schedule.force(key, self._clock.time())
        self._reconciler.forget_reads(key)
        self._add(key, Priority.HIGH)

    def trigger_waiting(self, plural: str) -> None:
        """Have the objects of a kind looked at that are not Ready: something outside of all of
        them has changed.
        """
        if not self._open:
            return
        for body in self._cache.every(plural):
            if conditions_of(body.get("status") or {}).get("Ready", {}).get("status") != "True":
                self.trigger(_key(plural, body))

    def _add(self, key: Key, priority: Priority) -> None:
        self._queue.add(key, priority, self._clock.time())
        self._workers.wake()

    # --- keys become passes -----------------------------------------------------------------------
    async def settle(self) -> int:
        """Work off what is ready now, one key after another, and post the events; return how
        many passes it took. For tests.
        """
        passes = 0
        while await self.step() is not None:
            passes += 1
        await self.recorder.flush()
        return passes

    async def step(self) -> tuple[Key, Outcome] | None:
        """Take one key, if one may be taken now, and do its pass."""
        now = self._clock.time()
        if self._gate.blocks(now, self._queue.held):
            return None
        key = self._queue.take(now)
        if key is None:
            return None
        try:
            return key, await self._look(key)
        finally:
            self._moved = self._clock.time()
            self._queue.done(key, self._moved)

    async def _look(self, key: Key) -> Outcome:
        begin = self._clock.time()
        if self._spares(key, begin):
            self._metrics.reconciled(key.plural, Outcome.SKIPPED, 0.0)
            return Outcome.SKIPPED
        result = await self._reconciler.reconcile(key)
        end = self._clock.time()
        self._metrics.reconciled(key.plural, result.outcome, end - begin)
        if result.outcome is Outcome.UNAVAILABLE:
            self._gate.failed(end, result.retry_after)
        else:
            self._gate.passed()
        self._schedule.after(key, result, end)
        return result.outcome

    def _interval(self, plural: str) -> float:
        """Return the seconds between two looks at an object of a kind that stays as it is."""
        return max(
            self._options.resync, self._cache.count(plural) / self._options.resyncs_per_second
        )

    def _spares(self, key: Key, now: float) -> bool:
        """Tell whether this look can be spared."""
        body = self._cache.get(*key)
        if body is None:
            return False
        children = self._cache.owned(body["metadata"]["uid"])
        mark = fingerprint(body, children)
        if self._schedule.knows(key):
            return self._schedule.spares(key, mark, now)
        if not self._settled(key, body, children):
            return False
        self._schedule.adopt(key, mark, now)
        return True

    def _settled(self, key: Key, body: Manifest, children: tuple[Manifest, ...]) -> bool:
        """Tell whether an object that this process has not looked at yet was left settled by the
        one before.
        """
        meta, status = body["metadata"], body.get("status") or {}
        if "deletionTimestamp" in meta or status.get("observedGeneration") != meta.get(
            "generation"
        ):
            return False
        controller = self._controllers[key.plural]
        try:
            return controller.in_sync(controller.resource.parse(body), children)
        except ValueError:  # it does not fit its kind: the pass says so
            return False

    # --- the workers ------------------------------------------------------------------------------
    def start(self) -> list["asyncio.Task[None]"]:
        """Make the workers and the events' poster; they wait until `open`."""
        return [
            *self._workers.start(self._options.workers),
            asyncio.create_task(self.recorder.run(), name="events"),
        ]

    async def drain(self, tasks: Iterable["asyncio.Task[None]"], patience: float) -> None:
        """Let what is under way end, for so many seconds; begin nothing new."""
        await self._workers.drain(patience)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                await self.recorder.flush()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- what the watches may have lost -----------------------------------------------------------
    async def audit(self) -> int:
        """Compare the cache with the API server's own list, page by page; return how much the
        watches had lost.

        Raises:
            ModelyardError: The list could not be read to its end; nothing was forgotten.

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
        news += self._cache.settle(plural, before, listed)
        if self._open and news:
            self._metrics.drifted(plural, news)
            logger.info("The list of %s brought %d changes that no watch had told of", plural, news)
        return news

    # --- asking -----------------------------------------------------------------------------------
    def until_audit(self, least: float) -> float:
        """Return the seconds until the next audit, `least` or more: where there are many objects
        it is rarer.
        """
        return max(least, sum(map(self._cache.count, self._controllers)) / _AUDITED)

    def priorities(self) -> dict[str, tuple[int, float]]:
        """Return, by priority, how many keys are ready, and for how many seconds the oldest has
        been.
        """
        now = self._clock.time()
        return {
            priority.value: (self._queue.depth(priority), self._queue.age(priority, now))
            for priority in Priority
        }

    @property
    def away(self) -> Mapping[tuple[str, str], int]:
        """How many objects wait for what is away, by namespace and what it is."""
        return self._schedule.away()

    @property
    def stuck(self) -> bool:
        """Whether keys are ready, Kubernetes answers, and yet no pass has ended for longer than
        three may take.
        """
        ready = sum(self._queue.depth(priority) for priority in Priority)
        return (
            ready > 0
            and not self._gate.shut
            and self._clock.time() - self._moved > 3 * self._options.deadline
        )

    @property
    def next_time(self) -> float | None:
        """When the next key may be taken, if none may be now: the next that waits, or those that
        a shut gate holds back.
        """
        waiting = self._queue.next_time()
        if not self._gate.shut:
            return waiting
        if self._queue.held:
            return None  # the one that tries says how it goes on
        if any(self._queue.depth(priority) for priority in Priority):
            return self._gate.until
        return None if waiting is None else max(waiting, self._gate.until)


def _key(plural: str, body: Manifest) -> Key:
    return Key(plural, body["metadata"]["namespace"], body["metadata"]["name"])
