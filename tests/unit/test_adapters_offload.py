"""The bounded pool: deadlines, threads, and cancelled calls."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path

import pytest

from modelyard.adapters.offload import Abandoned, CancelToken, Pool
from modelyard.errors import Ambiguous, Unavailable

SOON, LATE = 0.05, 20.0


class Stuck:
    """A call that hangs until it is released."""

    def __init__(self) -> None:
        self.began, self.go, self.ended = threading.Event(), threading.Event(), threading.Event()

    def __call__(self, _: CancelToken) -> str:
        self.began.set()
        self.go.wait(LATE)
        self.ended.set()
        return "done"


async def until(condition) -> None:
    async with asyncio.timeout(LATE):
        while not condition():  # noqa: ASYNC110 - a thread sets it
            await asyncio.sleep(0.001)


async def test_a_call_runs_in_another_thread_and_returns_its_result():
    share = Pool("S3", 2).share(1)
    ident = await share.run("read", "x", lambda _: threading.get_ident(), deadline=LATE)
    assert ident != threading.get_ident()


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), StopIteration()])
async def test_what_a_call_raises_is_raised(error: BaseException):
    def fail(_: CancelToken) -> None:
        raise error

    share = Pool("S3", 1).share(1)
    with pytest.raises(RuntimeError if isinstance(error, StopIteration) else type(error)):
        await share.run("read", "x", fail, deadline=LATE)
    assert await share.run("read", "x", lambda _: 1, deadline=LATE) == 1


@pytest.mark.parametrize(("write", "kind"), [(False, Unavailable), (True, Ambiguous)])
async def test_a_deadline_ends_the_wait(write: bool, kind: type[Unavailable]):
    stuck = Stuck()
    with pytest.raises(Unavailable, match="S3: read x: no answer within") as caught:
        await Pool("S3", 1).share(1).run("read", "x", stuck, deadline=SOON, write=write)
    assert type(caught.value) is kind
    stuck.go.set()
    await until(stuck.ended.is_set)


async def test_a_slot_is_free_only_when_its_thread_returns():
    stuck = Stuck()
    share = Pool("S3", 1).share(1)
    with pytest.raises(Unavailable):
        await share.run("read", "x", stuck, deadline=SOON)
    with pytest.raises(Unavailable, match="too many calls") as caught:
        await share.run(
            "write", "y", lambda _: pytest.fail("ran beside the other"), deadline=SOON, write=True
        )
    assert type(caught.value) is Unavailable, "it did not begin, so nothing is ambiguous"
    stuck.go.set()
    assert await share.run("read", "x", lambda _: "free", deadline=LATE) == "free"


async def test_one_tenant_that_hangs_leaves_slots_to_the_others():
    stuck = [Stuck() for _ in range(4)]
    pool = Pool("S3", 3)
    mine, theirs = pool.share(2), pool.share(2)
    hanging = [asyncio.create_task(mine.run("read", "x", each, deadline=LATE)) for each in stuck]
    await until(lambda: sum(each.began.is_set() for each in stuck) == 2)
    assert await theirs.run("read", "y", lambda _: "served", deadline=LATE) == "served"
    assert sum(each.began.is_set() for each in stuck) == 2
    for each in stuck:
        each.go.set()
    assert await asyncio.gather(*hanging) == ["done"] * 4


async def test_a_long_call_is_cancelled_when_its_caller_leaves():
    ended = threading.Event()

    def long(token: CancelToken) -> None:
        try:
            while True:
                token.check()
        except Abandoned:
            ended.set()
            raise

    share = Pool("S3", 1).share(1)
    with pytest.raises(Unavailable):
        await share.run("read", "x", long, deadline=SOON)
    await until(ended.is_set)
    assert await share.run("read", "x", lambda _: "free", deadline=LATE) == "free"


async def test_a_cancelled_caller_leaves_nothing_behind():
    stuck = Stuck()
    share = Pool("S3", 1).share(1)
    task = asyncio.create_task(share.run("read", "x", stuck, deadline=LATE))
    await until(stuck.began.is_set)
    waiting = asyncio.create_task(share.run("read", "y", lambda _: 1, deadline=LATE))
    await asyncio.sleep(0)
    for each in (task, waiting):
        each.cancel()
        with pytest.raises(asyncio.CancelledError):
            await each
    stuck.go.set()
    assert await share.run("read", "x", lambda _: "free", deadline=LATE) == "free"


async def test_idle_means_that_every_thread_returned():
    stuck = Stuck()
    share = Pool("S3", 1).share(1)
    await share.idle()
    with pytest.raises(Unavailable):
        await share.run("read", "x", stuck, deadline=SOON)
    waiting = asyncio.create_task(share.idle())
    await asyncio.sleep(0)
    assert not waiting.done()
    stuck.go.set()
    await waiting
    assert stuck.ended.is_set()


async def test_the_event_loop_runs_while_calls_block():
    stuck = Stuck()
    task = asyncio.create_task(Pool("S3", 1).share(1).run("read", "x", stuck, deadline=LATE))
    await until(stuck.began.is_set)
    assert not task.done()
    stuck.go.set()
    assert await task == "done"


def test_a_hanging_call_does_not_keep_the_process_alive():
    """The thread outlives its event loop: it raises nothing, and the interpreter does not wait for
    it.
    """
    stuck = Stuck()

    async def leave() -> None:
        with pytest.raises(Unavailable):
            await Pool("S3", 1).share(1).run("read", "x", stuck, deadline=SOON)

    asyncio.run(leave())
    assert all(
        thread.daemon for thread in threading.enumerate() if thread.name.startswith("modelyard-")
    )
    stuck.go.set()
    assert stuck.ended.wait(LATE)


def test_a_call_holds_one_descriptor_and_cancelling_shuts_its_last_connection():
    token, pairs = CancelToken(), [socket.socketpair() for _ in range(50)]
    before = len([*Path("/proc/self/fd").iterdir()])
    for one, _ in pairs:
        for _ in range(10):
            token.hold(one)
    assert len([*Path("/proc/self/fd").iterdir()]) == before + 1
    token.cancel()
    assert pairs[-1][1].recv(1) == b""
    late = socket.socketpair()
    token.hold(late[0])
    assert late[1].recv(1) == b""
    token.release()
    for each in (*pairs, late):
        for end in each:
            end.close()
    assert len([*Path("/proc/self/fd").iterdir()]) == before - 100
