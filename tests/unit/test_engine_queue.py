"""The queue's four rules, as a table of keys and times: no loop, no clock."""

from __future__ import annotations

from modelyard.cache import Key
from modelyard.engine.queue import Priority, Queue


def key(name: str, namespace: str = "a") -> Key:
    return Key("toys", namespace, name)


def drain(queue: Queue, now: float = 0.0) -> list[str]:
    """Take and return keys until none is left."""
    out = []
    while (taken := queue.take(now)) is not None:
        out.append(taken.name)
        queue.done(taken, now)
    return out


def test_a_key_that_is_added_many_times_is_taken_once() -> None:
    queue = Queue(4)
    for _ in range(5):
        queue.add(key("x"), Priority.HIGH, 0)
    assert drain(queue) == ["x"]


def test_a_held_key_that_is_added_is_ready_again_when_it_is_done() -> None:
    queue = Queue(4)
    queue.add(key("x"), Priority.HIGH, 0)
    held = queue.take(0)
    queue.add(key("x"), Priority.HIGH, 1)
    assert held is not None
    assert queue.take(1) is None
    queue.done(held, 2)
    assert drain(queue, 2) == ["x"]


def test_high_priority_comes_first_but_one_pick_in_five_is_low() -> None:
    queue = Queue(10)
    for number in range(10):
        queue.add(key(f"routine-{number}"), Priority.LOW, 0)
        queue.add(key(f"change-{number}"), Priority.HIGH, 0)
    first = drain(queue)[:10]
    assert [name.split("-")[0] for name in first] == ["change"] * 4 + ["routine"] + [
        "change"
    ] * 4 + ["routine"]


def test_a_change_raises_the_priority_of_a_ready_key() -> None:
    queue = Queue(4)
    queue.add(key("slow"), Priority.LOW, 0)
    queue.add(key("x"), Priority.LOW, 0)
    queue.add(key("x"), Priority.HIGH, 1)
    queue.add(key("x"), Priority.LOW, 2)
    assert drain(queue) == ["x", "slow"]


def test_namespaces_take_turns() -> None:
    queue = Queue(4)
    for number in range(100):
        queue.add(key(f"a{number}", "a"), Priority.HIGH, 0)
    queue.add(key("b0", "b"), Priority.HIGH, 1)
    queue.add(key("c0", "c"), Priority.HIGH, 1)
    assert drain(queue)[:3] == ["a0", "b0", "c0"]


def test_low_priority_holds_at_most_half_of_the_workers() -> None:
    queue = Queue(4)
    for namespace in "abcd":
        queue.add(key("x", namespace), Priority.LOW, 0)
    first, second, third = queue.take(0), queue.take(0), queue.take(0)
    assert first is not None
    assert second is not None
    assert third is None
    queue.add(key("user", "e"), Priority.HIGH, 0)
    assert queue.take(0) == key("user", "e")
    queue.done(first, 0)
    assert queue.take(0) is not None


def test_a_namespace_holds_at_most_three_quarters_of_the_workers() -> None:
    queue = Queue(4)
    for number in range(10):
        queue.add(key(f"x{number}", "greedy"), Priority.HIGH, 0)
    taken = [queue.take(0) for _ in range(4)]
    assert [each is not None for each in taken] == [True, True, True, False]
    queue.add(key("other", "modest"), Priority.HIGH, 5)
    assert queue.take(5) == key("other", "modest")


def test_a_key_that_waits_becomes_ready_at_its_time() -> None:
    queue = Queue(4)
    queue.add_at(key("x"), Priority.LOW, 10)
    assert queue.take(9.9) is None
    assert queue.next_time() == 10
    assert drain(queue, 10) == ["x"]
    assert queue.next_time() is None


def test_a_new_time_replaces_the_earlier_one() -> None:
    queue = Queue(4)
    queue.add_at(key("x"), Priority.LOW, 10)
    queue.add_at(key("x"), Priority.LOW, 20)
    assert queue.take(15) is None
    assert queue.next_time() == 20
    queue.forget(key("x"))
    assert queue.next_time() is None
    assert queue.take(30) is None


def test_replaced_times_do_not_accumulate() -> None:
    queue = Queue(4)
    for number in range(10_000):
        queue.add_at(key("x"), Priority.LOW, 100.0 + number)
    assert len(queue._timers) < 200
    assert queue.next_time() == 100.0 + 9_999


def test_depth_and_age_describe_the_waiting_keys() -> None:
    queue = Queue(4)
    queue.add(key("x", "a"), Priority.HIGH, 3)
    queue.add(key("y", "b"), Priority.HIGH, 1)
    assert (queue.depth(Priority.HIGH), queue.depth(Priority.LOW)) == (2, 0)
    assert queue.age(Priority.HIGH, 4) == 3
    assert queue.age(Priority.LOW, 4) == 0
    queue.take(4)
    assert queue.depth(Priority.HIGH) == 1
    assert queue.held == 1
