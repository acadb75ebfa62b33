"""The memory budget of a process: a request that exceeds it is refused, and work waits its turn."""

import asyncio

import pytest

from modelyard_runtime.serve.budget import Budget, Held
from modelyard_runtime.serve.limits import Limits
from modelyard_runtime.serve.values import Refused

LIMITS = Limits(body=50, one=100, work=100, held=100, connections=16)


def test_reservations_beyond_the_budget_are_refused_and_freed_ones_are_reusable():
    budget = Budget(LIMITS)
    first, second = Held(budget), Held(budget)
    first.take(60)
    with pytest.raises(Refused, match="60 bytes of other requests") as refused:
        second.take(41)
    assert refused.value.status == 503
    second.take(40)
    first.exchange(10)
    second.take(50)
    for held in (first, second):
        held.give()
        held.give()
    budget.take(100)


async def test_work_waits_in_order_of_arrival():
    budget, order = Budget(LIMITS), list[str]()

    async def work(name: str, size: int) -> None:
        await budget.begin(size)
        order.append(name)

    await work("first", 80)
    large, small = asyncio.create_task(work("large", 90)), asyncio.create_task(work("small", 10))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert order == ["first"], "what is small does not overtake what waits"
    budget.end(80)
    await asyncio.gather(large, small)
    assert order == ["first", "large", "small"]


async def test_a_cancelled_wait_takes_nothing_and_lets_the_next_begin():
    budget = Budget(LIMITS)
    await budget.begin(60)
    large, small = asyncio.create_task(budget.begin(90)), asyncio.create_task(budget.begin(40))
    await asyncio.sleep(0)
    large.cancel()
    await small
    late = asyncio.create_task(budget.begin(100))
    await asyncio.sleep(0)
    budget.end(60)
    budget.end(40)
    late.cancel()  # its turn has come, and it gets both signals at once
    await asyncio.gather(large, late, return_exceptions=True)
    assert late.cancelled()
    await budget.begin(100)
