"""When to reconcile again: back-off, resyncs, the circuit breaker."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta

from modelyard.cache import Key
from modelyard.engine.backoff import RateLimiter, backoff
from modelyard.engine.breaker import CircuitBreaker
from modelyard.engine.queue import Queue
from modelyard.engine.result import Outcome, ReconcileResult
from modelyard.engine.schedule import Schedule


def test_the_bound_doubles_up_to_a_minute() -> None:
    assert [backoff(failures, lambda: 1.0) for failures in (1, 2, 3, 6, 7, 100)] == [
        1,
        2,
        4,
        32,
        60,
        60,
    ]


def test_jitter_spreads_from_a_tenth_of_the_bound_to_the_whole() -> None:
    assert backoff(7, lambda: 0.0) == 6.0
    assert backoff(7, lambda: 0.5) == 33.0


def test_resyncs_are_an_interval_apart_plus_or_minus_a_tenth() -> None:
    times = [RateLimiter(300, 50, random.Random(seed).random).next(1000.0) for seed in range(200)]
    assert min(times) >= 1262
    assert max(times) <= 1330
    assert len(set(times)) >= 7


def test_the_first_resyncs_after_a_start_are_spread_over_the_whole_interval() -> None:
    limiter = RateLimiter(300, 50, random.Random(1).random)
    times = [limiter.first(0.0) for _ in range(10_000)]
    seconds = Counter(int(time) for time in times)
    assert max(seconds.values()) <= 50
    assert max(times) < 310
    assert len(seconds) > 200


def test_resyncs_are_due_together_every_eight_seconds() -> None:
    limiter = RateLimiter(300, 50, random.Random(1).random)
    times = [limiter.next(1000.1) for _ in range(250)]
    assert all(time % 8 == 0 for time in times)
    assert 7 <= len(set(times)) <= 9


def test_the_resyncs_of_a_short_interval_do_not_all_share_one_moment() -> None:
    limiter = RateLimiter(10, 50, random.Random(1).random)
    assert {limiter.first(0.0) for _ in range(200)} == set(map(float, range(10)))


def _due(schedule: Schedule, result: ReconcileResult, number: int = 0) -> float:
    key = Key("experiments", "risk", f"e-{number}")
    schedule.after(key, result, 0.0)
    return schedule._entries[key].due


def test_the_resync_of_an_unchanged_object_depends_on_their_number() -> None:
    jitter = random.Random(1).random
    intervals = {"experiments": 6_000.0}
    schedule = Schedule(Queue(20), RateLimiter(300, 50, jitter), jitter, intervals.__getitem__)
    assert 5_390 <= _due(schedule, ReconcileResult(Outcome.SETTLED, quiet=True)) <= 6_600
    assert 260 <= _due(schedule, ReconcileResult(Outcome.SETTLED)) <= 330
    soon = ReconcileResult(Outcome.SETTLED, requeue_after=timedelta(seconds=60), quiet=True)
    assert _due(schedule, soon) == 60
    adopted = [Key("experiments", "risk", f"a-{number}") for number in range(500)]
    for key in adopted:
        schedule.adopt(key, 0, 0.0)
    due = sorted(schedule._entries[key].due for key in adopted)
    assert due[-1] > 5_900
    assert 2_500 < due[250] < 3_500


def test_a_full_second_moves_the_next_resync_to_a_later_one() -> None:
    limiter = RateLimiter(300, 2, lambda: 0.5)
    assert [int(limiter.next(0.0)) for _ in range(5)] == [296, 296, 297, 297, 298]


def test_the_limiter_drops_past_seconds() -> None:
    limiter = RateLimiter(10, 2, lambda: 0.5)
    for now in range(1000):
        limiter.next(float(now))
    assert len(limiter._booked) < 30


def test_retries_are_limited_per_namespace() -> None:
    schedule = Schedule(
        Queue(20), RateLimiter(300, 50, random.Random(1).random), random.Random(1).random
    )
    many = [Key("experiments", "broken", f"e-{number}") for number in range(1000)]
    for key in many:
        schedule.after(key, ReconcileResult(Outcome.FAILED), 100.0)
    seconds = Counter(int(schedule._entries[key].due) for key in many)
    assert max(seconds.values()) == 20
    assert len(seconds) <= 52
    one = Key("experiments", "risk", "fraud")
    schedule.after(one, ReconcileResult(Outcome.FAILED), 100.0)
    assert 100.1 <= schedule._entries[one].due <= 101


def test_three_failures_in_a_row_open_the_breaker_and_one_success_closes_it() -> None:
    breaker = CircuitBreaker()
    breaker.failed(0, 0)
    breaker.failed(0, 0)
    assert not breaker.blocks(0, held=5)
    breaker.failed(0, 0)
    assert breaker.blocks(0.1, held=0)
    assert not breaker.blocks(0.25, held=0)
    assert breaker.blocks(0.25, held=1)
    breaker.succeeded()
    assert not breaker.blocks(0.25, held=19)


def test_an_open_breaker_lets_one_try_every_second() -> None:
    breaker = CircuitBreaker()
    for _ in range(50):
        breaker.failed(100.0, 0)
    assert breaker.until == 101.0


def test_the_breaker_respects_retry_after() -> None:
    breaker = CircuitBreaker()
    for _ in range(3):
        breaker.failed(0.0, retry_after=30.0)
    assert breaker.blocks(29.0, held=0)
    assert not breaker.blocks(30.0, held=0)
