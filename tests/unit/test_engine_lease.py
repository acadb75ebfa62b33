"""The election: two candidates, one Lease, a fake clock."""

from __future__ import annotations

import copy

import pytest

from modelyard.engine.lease import Election
from modelyard.errors import Ambiguous, Conflict, Unavailable
from modelyard.plan import Manifest
from tests.fakes.calls import Calls
from tests.fakes.clock import FakeClock


class Store:
    """A Lease with the API server's optimistic lock."""

    def __init__(self) -> None:
        self.lease: Manifest | None = None
        self.call = Calls()

    async def read(self) -> Manifest | None:
        async with self.call("read"):
            return copy.deepcopy(self.lease)

    async def write(self, old: Manifest | None, spec: Manifest) -> Manifest:
        async with self.call("write"):
            if (old or {}).get("version") != (self.lease or {}).get("version"):
                raise Conflict("Kubernetes", "renew Lease", "x")
            self.lease = {
                "version": (old or {"version": 0})["version"] + 1,
                "spec": copy.deepcopy(spec),
            }
            return copy.deepcopy(self.lease)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store() -> Store:
    return Store()


def fails(
    store: Store, error: BaseException, phase: str = "before", operation: str = "write"
) -> None:
    def hook(name: str, when: str) -> None:
        if (name, when) == (operation, phase):
            raise error

    store.call.on_call = hook


def heals(store: Store) -> None:
    store.call.on_call = lambda _name, _phase: None


async def test_only_the_first_replica_holds_the_lease(store: Store, clock: FakeClock) -> None:
    one, two = Election(store, "one", clock), Election(store, "two", clock)
    assert await one.attempt()
    assert not await two.attempt()
    assert (one.held, two.held) == (True, False)
    one.fence()
    with pytest.raises(Unavailable):
        two.fence()


async def test_a_holder_that_renews_keeps_it(store: Store, clock: FakeClock) -> None:
    one, two = Election(store, "one", clock), Election(store, "two", clock)
    for _ in range(30):
        assert await one.attempt()
        assert not await two.attempt()
        clock.advance(2)
    assert store.lease is not None
    assert store.lease["spec"]["leaseTransitions"] == 1


async def test_another_replica_acquires_the_lease_only_after_its_duration(
    store: Store, clock: FakeClock
) -> None:
    one, two = Election(store, "one", clock), Election(store, "two", clock)
    await one.attempt()
    await two.attempt()
    clock.advance(14.9)
    assert not await two.attempt()
    clock.advance(0.2)
    assert await two.attempt()


async def test_the_holder_stops_writing_before_another_replica_may_start(
    store: Store, clock: FakeClock
) -> None:
    one, two = Election(store, "one", clock), Election(store, "two", clock)
    await one.attempt()
    await two.attempt()
    held = []
    for _ in range(200):
        clock.advance(0.1)
        await two.attempt()
        held.append((one.held, two.held))
    assert (True, True) not in held
    assert held[-1] == (False, True)


async def test_a_paused_holder_writes_nothing_when_it_continues(
    store: Store, clock: FakeClock
) -> None:
    one, two = Election(store, "one", clock), Election(store, "two", clock)
    await one.attempt()
    await two.attempt()
    clock.advance(60)
    assert not one.held
    assert await two.attempt()
    assert not await one.attempt()
    with pytest.raises(Unavailable):
        one.fence()


async def test_a_late_holder_without_a_successor_continues(store: Store, clock: FakeClock) -> None:
    one = Election(store, "one", clock)
    await one.attempt()
    fails(store, Unavailable("Kubernetes", "renew Lease", "x"))
    clock.advance(12)
    assert not await one.attempt()
    assert not one.held
    heals(store)
    assert await one.attempt()
    assert one.held


async def test_the_deadline_counts_from_before_the_renewing_request(
    store: Store, clock: FakeClock
) -> None:
    one = Election(store, "one", clock)

    def slow(name: str, phase: str) -> None:
        if (name, phase) == ("write", "after"):
            clock.advance(9)

    store.call.on_call = slow
    await one.attempt()
    assert one.held
    clock.advance(1)
    assert not one.held


async def test_an_ambiguous_write_is_read_back(store: Store, clock: FakeClock) -> None:
    one = Election(store, "one", clock)
    fails(store, Ambiguous("Kubernetes", "create Lease", "x"), phase="after")
    assert not await one.attempt()
    heals(store)
    assert await one.attempt()


async def test_one_of_two_concurrent_writers_wins(store: Store, clock: FakeClock) -> None:
    one, two = Election(store, "one", clock), Election(store, "two", clock)
    await two.attempt()
    await two.release()

    async def barge_in() -> None:
        await two.attempt()

    raced = False

    class Race(Store):
        async def write(self, old: Manifest | None, spec: Manifest) -> Manifest:
            nonlocal raced
            if not raced:
                raced = True
                await barge_in()
            return await store.write(old, spec)

        async def read(self) -> Manifest | None:
            return await store.read()

    one = Election(Race(), "one", clock)
    assert not await one.attempt()
    assert (one.held, two.held) == (False, True)


async def test_a_released_lease_is_free_at_once(store: Store, clock: FakeClock) -> None:
    one, two = Election(store, "one", clock), Election(store, "two", clock)
    await one.attempt()
    await one.release()
    assert not one.held
    assert await two.attempt()


async def test_only_the_holder_releases_the_lease(store: Store, clock: FakeClock) -> None:
    one, two = Election(store, "one", clock), Election(store, "two", clock)
    await one.attempt()
    await two.release()
    assert store.lease is not None
    assert store.lease["spec"]["holderIdentity"] == "one"


async def test_a_restarted_process_of_the_same_name_need_not_wait(
    store: Store, clock: FakeClock
) -> None:
    await Election(store, "one", clock).attempt()
    assert await Election(store, "one", clock).attempt()


async def test_a_deleted_lease_is_created_again(store: Store, clock: FakeClock) -> None:
    one = Election(store, "one", clock)
    await one.attempt()
    store.lease = None
    await one.attempt()
    assert await one.attempt()


async def test_a_renewal_that_was_cancelled_at_the_stop_does_not_block_the_release(
    store: Store, clock: FakeClock
) -> None:
    one, two = Election(store, "one", clock), Election(store, "two", clock)
    assert await one.attempt()
    assert store.lease is not None
    store.lease["version"] += 1  # the API server accepted a renewal whose answer was lost
    await one.release()
    assert await two.attempt()


async def test_a_lease_of_another_holder_is_left_alone(store: Store, clock: FakeClock) -> None:
    one, two = Election(store, "one", clock), Election(store, "two", clock)
    assert await one.attempt()
    assert store.lease is not None
    store.lease = {
        "version": store.lease["version"] + 1,
        "spec": store.lease["spec"] | {"holderIdentity": "two"},
    }
    await one.release()
    assert store.lease["spec"]["holderIdentity"] == "two"
    assert not two.held
