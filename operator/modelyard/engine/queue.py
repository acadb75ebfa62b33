"""The work queue: keys that are ready, that wait for a time, or that a worker holds.

A plain data structure without a lock, a task or a clock: everything happens in one event loop, and
the time is an argument. Four rules:

- One worker at most holds a key. A key that is added meanwhile becomes ready when the worker is
  done with it.
- High priority (changes) comes before low (resyncs and retries), but one pick in five is low, so
  that a busy cluster still recovers.
- Namespaces take turns.
- Low priority holds at most half of the workers, a namespace at most three quarters: 5,000 failing
  objects in one namespace do not stop the others.
"""

import heapq
import itertools
from collections import Counter, OrderedDict
from enum import Enum

from modelyard.cache import Key

__all__ = ["Priority", "Queue"]

_LOW_TURN = 5
"""One pick in this many prefers low priority."""


class Priority(Enum):
    """How urgent a reconcile is."""

    HIGH = "high"
    """A user changed something, or a change is under way."""
    LOW = "low"
    """A resync, or a retry after a failure."""


class _Ready:
    """The ready keys of one priority: FIFO within a namespace, round-robin among namespaces."""

    def __init__(self) -> None:
        self._namespaces: OrderedDict[str, OrderedDict[Key, float]] = OrderedDict()
        self.size = 0

    def add(self, key: Key, now: float) -> None:
        self._namespaces.setdefault(key.namespace, OrderedDict())[key] = now
        self.size += 1

    def discard(self, key: Key) -> None:
        keys = self._namespaces.get(key.namespace)
        if keys is None or key not in keys:
            return
        del keys[key]
        self.size -= 1
        if not keys:
            del self._namespaces[key.namespace]

    def pop(self, held: Counter[str], share: int) -> Key | None:
        namespace = next(
            (namespace for namespace in self._namespaces if held[namespace] < share), None
        )
        if namespace is None:
            return None
        keys = self._namespaces[namespace]
        key, _ = keys.popitem(last=False)
        self.size -= 1
        if keys:
            self._namespaces.move_to_end(namespace)
        else:
            del self._namespaces[namespace]
        return key

    def oldest(self) -> float | None:
        return min((next(iter(keys.values())) for keys in self._namespaces.values()), default=None)


class Queue:
    """The keys to reconcile. Each is ready or held, and may also wait for a time."""

    def __init__(self, workers: int) -> None:
        """Create an empty queue for a number of workers."""
        self._by_priority = {priority: _Ready() for priority in Priority}
        self._ready: dict[Key, Priority] = {}
        self._held: dict[Key, Priority] = {}
        self._again: dict[Key, Priority] = {}
        self._namespaces: Counter[str] = Counter()
        self._timers: list[tuple[float, int, Key]] = []
        self._waiting: dict[Key, tuple[float, int, Priority]] = {}
        self._serial = itertools.count()
        self._picks = 0
        self._share = max(1, workers * 3 // 4)
        self._low_share = max(1, workers // 2)

    # --- in ---------------------------------------------------------------------------------------
    def add(self, key: Key, priority: Priority, now: float) -> None:
        """Make a key ready; if a worker holds it, when the worker is done.

        A key that is ready already keeps its place, or moves up to the higher priority.
        """
        if key in self._held:
            self._again[key] = _urgent(self._again.get(key, priority), priority)
            return
        ready = self._ready.get(key)
        if ready is priority or ready is Priority.HIGH:
            return
        if ready is not None:
            self._by_priority[ready].discard(key)
        self._ready[key] = priority
        self._by_priority[priority].add(key, now)

    def add_at(self, key: Key, priority: Priority, when: float) -> None:
        """Make a key ready at a time, which replaces an earlier one."""
        serial = next(self._serial)
        self._waiting[key] = (when, serial, priority)
        heapq.heappush(self._timers, (when, serial, key))
        if len(self._timers) > 2 * len(self._waiting) + 64:
            self._timers = [(when, serial, key) for key, (when, serial, _) in self._waiting.items()]
            heapq.heapify(self._timers)

    def forget(self, key: Key) -> None:
        """Drop the time that a key waits for."""
        self._waiting.pop(key, None)

    # --- out --------------------------------------------------------------------------------------
    def take(self, now: float) -> Key | None:
        """Return the next key, held until `done`; None if none may be taken now."""
        self._ripen(now)
        self._picks += 1
        priorities = (
            (Priority.LOW, Priority.HIGH)
            if self._picks % _LOW_TURN == 0
            else (Priority.HIGH, Priority.LOW)
        )
        for priority in priorities:
            if priority is Priority.LOW and self._held_low() >= self._low_share:
                continue
            key = self._by_priority[priority].pop(self._namespaces, self._share)
            if key is not None:
                del self._ready[key]
                self._held[key] = priority
                self._namespaces[key.namespace] += 1
                return key
        return None

    def done(self, key: Key, now: float) -> None:
        """Give a key back; it is ready at once if it was added meanwhile."""
        del self._held[key]
        self._namespaces[key.namespace] -= 1
        if not self._namespaces[key.namespace]:
            del self._namespaces[key.namespace]
        priority = self._again.pop(key, None)
        if priority is not None:
            self.add(key, priority, now)

    def _ripen(self, now: float) -> None:
        while self._timers and self._timers[0][0] <= now:
            _, serial, key = heapq.heappop(self._timers)
            waiting = self._waiting.get(key)
            if waiting is not None and waiting[1] == serial:
                del self._waiting[key]
                self.add(key, waiting[2], now)

    def _held_low(self) -> int:
        return sum(priority is Priority.LOW for priority in self._held.values())

    # --- state ------------------------------------------------------------------------------------
    def next_time(self) -> float | None:
        """Return when the next waiting key becomes ready; None if none waits."""
        while self._timers:
            when, serial, key = self._timers[0]
            waiting = self._waiting.get(key)
            if waiting is not None and waiting[1] == serial:
                return when
            heapq.heappop(self._timers)
        return None

    def depth(self, priority: Priority) -> int:
        """Return the number of ready keys of a priority."""
        return self._by_priority[priority].size

    def age(self, priority: Priority, now: float) -> float:
        """Return the age in seconds of the oldest ready key of a priority."""
        oldest = self._by_priority[priority].oldest()
        return 0.0 if oldest is None else max(0.0, now - oldest)

    @property
    def held(self) -> int:
        """The number of keys that workers hold."""
        return len(self._held)

    @property
    def waiting(self) -> int:
        """The number of keys that wait for a time."""
        return len(self._waiting)


def _urgent(one: Priority, other: Priority) -> Priority:
    return Priority.HIGH if Priority.HIGH in {one, other} else Priority.LOW
