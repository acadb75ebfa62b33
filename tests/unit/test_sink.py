"""CloudEvents to a real HTTP receiver, which answers correctly, late, wrongly or not at all."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import ValidationError

from modelyard.adapters.cloud_events import DEPENDENCY, CloudEvents
from modelyard.adapters.instrument import CallTimer
from modelyard.engine.metrics import Metrics
from modelyard.engine.sink import Sink, Timing
from modelyard.errors import Forbidden, Invalid, Unavailable
from modelyard.plan import Manifest
from modelyard.settings import Settings
from tests.receiver import receiver
from tests.servers import free_port

QUICK = Timing(first=0.01, longest=0.05, close=30.0)


def event(number: int) -> Manifest:
    source = "/apis/modelyard.io/v1alpha1/namespaces/risk/registeredmodels/fraud"
    data = {"stage": "production", "to": f"v{number}", "reason": "Größe"}
    return {
        "specversion": "1.0",
        "type": "io.modelyard.promotion.promoted",
        "source": source,
        "id": f"uid/{number}",
        "data": data,
    }


@dataclass
class Rig:
    """A running sink and its counts: the outcome of each event and of each request."""

    sink: Sink = field(init=False)
    ended: Counter[str] = field(default_factory=Counter)
    calls: list[str] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def count(self, outcome: str) -> None:
        self.ended[outcome] += 1
        self.news.set()

    def called(self, _dependency: str, _operation: str, outcome: str, _seconds: float) -> None:
        self.calls.append(outcome)
        self.news.set()

    async def until_ended(self, count: int) -> None:
        await self.until(lambda: self.ended.total() >= count)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def sends(
    url: str, *, token_file: str = "", deadline: float = 30.0, length: int = 1000, run: bool = True
) -> AsyncIterator[Rig]:
    rig = Rig()
    post = CloudEvents(
        url, CallTimer(DEPENDENCY, rig.called), token_file=token_file, deadline=deadline
    )
    rig.sink = Sink(post.post, rig.count, timing=QUICK, length=length)
    task = asyncio.create_task(rig.sink.run()) if run else None
    try:
        yield rig
    finally:
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await post.close()


async def test_events_arrive_in_order_and_whole():
    async with receiver() as there, sends(there.url) as rig:
        for number in range(3):
            rig.sink.put(event(number))
        await rig.until_ended(3)
    assert there.ids == ["uid/0", "uid/1", "uid/2"]
    (first, *_) = there.events
    assert (first["specversion"], first["type"], first["source"]) == (
        "1.0",
        event(0)["type"],
        event(0)["source"],
    )
    assert first.data == event(0)["data"]
    assert there.tokens == [None] * 3
    assert (rig.ended, rig.sink.waiting) == ({"delivered": 3}, 0)


@pytest.mark.parametrize("status", [302, 401, 403, 404, 408, 410, 429, 500, 503])
async def test_a_temporarily_refused_event_is_sent_again_before_later_ones(status: int):
    async with receiver() as there, sends(there.url) as rig:
        there.answers(status, status, Location=there.url)
        rig.sink.put(event(0))
        rig.sink.put(event(1))
        await rig.until_ended(2)
    assert there.ids == ["uid/0", "uid/0", "uid/0", "uid/1"]
    assert rig.ended == {"delivered": 2}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status: int):
    async with receiver() as there, receiver() as elsewhere:
        there.answers(status, Location=elsewhere.url)
        post = CloudEvents(there.url, CallTimer(DEPENDENCY, lambda *_: None))
        with pytest.raises(
            Unavailable,
            match=rf"answered {status}; redirects are not followed: give the address that it leads"
            r" to",
        ):
            await post.post(event(0))
        await post.close()
    assert (there.ids, elsewhere.ids) == (["uid/0"], [])


@pytest.mark.parametrize("status", [400, 413, 415, 422])
async def test_a_refused_event_does_not_block_later_ones(
    status: int, caplog: pytest.LogCaptureFixture
):
    async with receiver() as there, sends(there.url) as rig:
        there.answers(status)
        rig.sink.put(event(0))
        rig.sink.put(event(1))
        await rig.until_ended(2)
    assert there.ids == ["uid/0", "uid/1"]
    assert rig.ended == {"refused": 1, "delivered": 1}
    assert f"uid/0: CloudEvents: send event http://127.0.0.1: answered {status}" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    ("status", "error", "later"),
    [
        (429, Unavailable, 17.0),
        (503, Unavailable, 17.0),
        (401, Forbidden, None),
        (422, Invalid, None),
    ],
)
async def test_the_meaning_of_an_answer(status: int, error: type[Exception], later: float | None):
    async with receiver() as there:
        there.answers(status, **{"Retry-After": "17"})
        post = CloudEvents(there.url, CallTimer(DEPENDENCY, lambda *_: None))
        with pytest.raises(error) as raised:
            await post.post(event(0))
        await post.close()
    assert type(raised.value) is error
    assert getattr(raised.value, "retry_after", None) == later


async def test_a_receiver_that_asks_for_a_year_is_asked_again_sooner():
    async with receiver() as there, sends(there.url) as rig:
        there.answers(503, **{"Retry-After": "99999"})
        rig.sink.put(event(0))
        await rig.until_ended(1)
    assert there.ids == ["uid/0", "uid/0"]


async def test_a_request_to_a_hanging_receiver_times_out_and_is_retried():
    async with receiver() as there, sends(there.url, deadline=1.0) as rig:

        async def once(_: web.Request) -> web.StreamResponse:
            there.answers()
            await asyncio.Event().wait()
            raise AssertionError

        there.answer = once
        rig.sink.put(event(0))
        await rig.until_ended(1)
    assert set(there.ids) == {"uid/0"}
    assert rig.calls[0] == "unavailable"


async def test_an_answer_without_end_is_not_read():
    async with receiver() as there, sends(there.url) as rig:

        async def endless(request: web.Request) -> web.StreamResponse:
            answer = web.StreamResponse()
            await answer.prepare(request)
            with suppress(ConnectionError):
                while True:
                    await answer.write(b"x" * 65536)
            return answer

        there.answer = endless
        rig.sink.put(event(0))
        await rig.until_ended(1)
    assert (there.ids, rig.ended) == (["uid/0"], {"delivered": 1})


async def test_without_a_receiver_the_oldest_events_beyond_the_buffer_are_dropped_and_counted():
    async with sends(f"http://127.0.0.1:{free_port()}", length=3) as rig:
        for number in range(5):
            rig.sink.put(event(number))
            await asyncio.sleep(0)
        assert (rig.sink.waiting, rig.ended) == (3, {"dropped": 2})
    async with receiver() as there, sends(there.url, length=3, run=False) as rig:
        for number in range(5):
            rig.sink.put(event(number))
        await rig.sink.close()
    assert there.ids == ["uid/2", "uid/3", "uid/4"]
    assert rig.ended == {"dropped": 2, "delivered": 3}


async def test_at_shutdown_undelivered_events_are_lost_and_reported(
    caplog: pytest.LogCaptureFixture,
):
    async with sends(f"http://127.0.0.1:{free_port()}", run=False) as rig:
        rig.sink.put(event(0))
        rig.sink.put(event(1))
        await rig.sink.close()
    assert (rig.sink.waiting, rig.ended, rig.calls) == (0, {"dropped": 2}, ["unavailable"])
    assert (
        "lost because the operator stops:"
        " /apis/modelyard.io/v1alpha1/namespaces/risk/registeredmodels/fraud uid/1" in caplog.text
    )


async def test_a_bug_costs_one_event(caplog: pytest.LogCaptureFixture):
    async with receiver() as there, sends(there.url) as rig:
        rig.sink.put(event(0) | {"data": object()})
        rig.sink.put(event(1))
        await rig.until_ended(2)
    assert there.ids == ["uid/1"]
    assert rig.ended == {"refused": 1, "delivered": 1}
    assert "This is a bug" in caplog.text


async def test_the_token_is_read_for_each_event_and_without_it_nothing_is_sent(tmp_path: Path):
    token = tmp_path / "token"
    async with receiver() as there, sends(there.url, token_file=str(token)) as rig:
        rig.sink.put(event(0))
        await rig.until(lambda: bool(rig.calls))
        assert (there.ids, rig.calls[0]) == ([], "unavailable"), (
            "an event without its token is not sent"
        )
        token.write_text("first\n")
        await rig.until_ended(1)
        token.write_text("second")
        rig.sink.put(event(1))
        await rig.until_ended(2)
    assert there.tokens == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize("words", ["", "two\nlines", "Schlüssel"])
async def test_a_token_that_no_header_can_carry_is_not_sent(words: str, tmp_path: Path):
    token = tmp_path / "token"
    token.write_text(words)
    async with receiver() as there:
        post = CloudEvents(there.url, CallTimer(DEPENDENCY, lambda *_: None), token_file=str(token))
        with pytest.raises(Unavailable, match=r"check events\.tokenSecret"):
            await post.post(event(0))
        await post.close()
    assert there.ids == []


async def test_a_path_or_query_with_a_key_is_not_shown():
    post = CloudEvents(
        f"http://127.0.0.1:{free_port()}/hunter2?key=hunter2",
        CallTimer(DEPENDENCY, lambda *_: None),
    )
    with pytest.raises(Unavailable) as raised:
        await post.post(event(0))
    await post.close()
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["sink", "ftp://sink", "https://user:password@sink", "https://", "https://sink/#part"]
)
def test_an_invalid_address_is_refused_at_the_start(url: str):
    with pytest.raises(ValidationError, match="write an http or https URL"):
        Settings(events_sink=url)


def test_finished_and_waiting_events_are_counted():
    metrics = Metrics()
    metrics.announcing(lambda: 7)
    metrics.announced("dropped")
    get = metrics.registry.get_sample_value
    assert get("modelyard_cloudevents_waiting") == 7
    outcomes = ("delivered", "refused", "dropped")
    assert [get("modelyard_cloudevents_total", {"outcome": outcome}) for outcome in outcomes] == [
        0,
        0,
        1,
    ], "an alert sees the first one"
