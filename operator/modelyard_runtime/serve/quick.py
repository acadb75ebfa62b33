"""A shortcut for small requests of a quick model: they are answered in the protocol's callbacks.

It saves ASGI's scope, task and messages. It takes only a POST to a path that predicts, in HTTP/1.1
with keep-alive, whose body has a Content-Length and arrives in the same read as its headers. Every
other request goes through uvicorn, with the limits of `deadlines`. MODELYARD_QUICK=false turns this
module off. Like `deadlines` it depends on uvicorn's class; tests/runtime/test_mixture.py checks a
newer one.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from modelyard_runtime.serve import intake
from modelyard_runtime.serve.app import DRAWN, FORWARDED, QUICK_BYTES, Work, failed
from modelyard_runtime.serve.budget import Held
from modelyard_runtime.serve.deadlines import ABORT, BoundedProtocol
from modelyard_runtime.serve.predictor import Answer, AnswerGenerator, Predictor, Request
from modelyard_runtime.serve.reception import PIECE, Message
from modelyard_runtime.serve.split import Drawn
from modelyard_runtime.serve.splitter import Splitter
from modelyard_runtime.serve.values import Array, Refused

__all__ = ["QuickProtocol"]

Headers = list[tuple[bytes, bytes]]
_SPECIAL = frozenset({b"transfer-encoding", b"content-encoding", b"upgrade", FORWARDED})
"""Headers of requests that go through uvicorn, and the one of requests from another pod."""
_DIGITS = 6


@dataclass(slots=True)
class _Slot:
    """A request that waits for its answer; answers are sent in the order of requests."""

    work: Work
    headers: Headers
    held: Held
    begun: float
    forwarded: bool
    body: bytes = b""
    answer: Answer | None = None
    drawn: Drawn | None = None


class QuickProtocol(BoundedProtocol):
    """uvicorn's protocol with deadlines and the shortcut.

    Slots (of the shortcut) and cycles (of uvicorn) exclude each other: requests of one kind wait
    until those of the other are answered.
    """

    _reading: _Slot | None = None
    """The request whose body is being read, if it takes the shortcut."""
    _forwarded = False
    """Whether another pod has forwarded that request."""
    _sending = False
    """True while a task sends the first slot's answer."""
    _lines: ClassVar[tuple[Headers, bytes]] = ([], b"")
    """The headers of every answer, which uvicorn replaces once a second, and their bytes."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Start without requests."""
        self._slots: deque[_Slot] = deque()
        super().connection_made(transport)

    # --- shortcut or uvicorn ----------------------------------------------------------------------
    def on_headers_complete(self) -> None:
        """Choose the shortcut or uvicorn."""
        # The timer was set by an answer to an earlier request in the same read.
        self._unset_keepalive_if_required()
        if (work := self._quick_work()) is None:
            super().on_headers_complete()
            return
        self._begin_body()
        app = self._application
        app.last_request = begun = time.monotonic()
        self._reading = _Slot(work, self.headers, app.reception.held(), begun, self._forwarded)

    def _quick_work(self) -> Work | None:
        """Return the work of the request, if it may take the shortcut."""
        app, parser = self._application, self.parser
        work = app.paths.get(self.url)
        if work is None or app.model is None or not app.model.quick or app.draining:
            return None
        if self.pipeline or super()._answering:
            return None
        if parser.get_method() != b"POST" or parser.get_http_version() != "1.1":
            return None
        if self.server[1] == app.metrics_port:  # type: ignore[index] # known, as it is connected
            return None
        if not parser.should_keep_alive() or parser.should_upgrade() or self.expect_100_continue:
            return None
        length, self._forwarded = b"", False
        for name, value in self.headers:
            if name in _SPECIAL:
                if name != FORWARDED:
                    return None
                self._forwarded = True
            if name == b"content-length":
                length = value
        known = length.isdigit() and len(length) < _DIGITS
        return work if known and int(length) <= min(QUICK_BYTES, app.limits.body) else None

    def _hand_over(self, slot: _Slot) -> None:
        """Let uvicorn continue with a request whose complete headers it has not seen yet."""
        HttpToolsProtocol.on_headers_complete(self)
        if slot.body:
            HttpToolsProtocol.on_body(self, slot.body)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: object) -> None:
        """Start a request of uvicorn's, or queue it behind the slots."""
        if self._slots:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, app))  # type: ignore[arg-type] # the app as uvicorn types it
        else:
            super()._start_asgi_task(cycle, app)  # type: ignore[arg-type] # as above

    # --- reading ----------------------------------------------------------------------------------
    def data_received(self, data: bytes) -> None:
        """Read; a request whose body is not complete after this read is left to uvicorn."""
        super().data_received(data)
        slot, self._reading = self._reading, None
        if slot is not None and self.parser is not None and not self.transport.is_closing():
            self._hand_over(slot)
        if len(self._slots) > 1 or self._sending:
            self.flow.pause_reading()  # until the slots are answered

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        if self._reading is None:
            super().on_body(body)
        else:
            self._content += len(body)
            self._reading.body += body

    def on_message_complete(self) -> None:
        """Request a prediction."""
        slot, self._reading = self._reading, None
        app = self._application
        model = app.model
        if slot is None or model is None:
            super().on_message_complete()
            return
        request, compressed = intake.request_of(slot.work.protocol, slot.headers, slot.body)
        if intake.is_slow(model, request, compressed) or (
            app.splitter.split is not None and self._draws(app.splitter, slot)
        ):
            self._hand_over(slot)
            super().on_message_complete()
            return
        self._end_body()
        self._slots.append(slot)
        self._ask(slot, model, request)

    def _draws(self, splitter: Splitter, slot: _Slot) -> bool:
        """Draw a version; return whether it is the candidate, which `App` forwards to."""
        if slot.work.split and not slot.forwarded:
            slot.drawn = splitter.draw(slot.headers, len(slot.body))
        if slot.drawn is None or not slot.drawn.candidate:
            return False
        self.scope[DRAWN] = slot.drawn  # type: ignore[literal-required] # our own key
        return True

    def _ask(self, slot: _Slot, model: Predictor, request: Request) -> None:
        try:
            slot.held.take(len(slot.body))
            generator = slot.work.begin(model, request)
            rows = next(generator)
        except StopIteration as done:
            self._answer(slot, done.value)
        except Exception as error:  # noqa: BLE001 - a model may raise anything, and the next request may succeed
            self._answer(slot, failed(slot.work.protocol, error))
        else:
            self._application.turn.ask(model, rows, partial(self._predicted, slot, generator))

    # --- answering --------------------------------------------------------------------------------
    def _predicted(self, slot: _Slot, generator: AnswerGenerator, found: Array | Exception) -> None:
        """Answer with predictions, or with the error."""
        answer: Answer
        try:
            if isinstance(found, Exception):
                raise found
            generator.send(found)
            raise RuntimeError("a request yields rows only once")
        except StopIteration as done:
            answer = done.value
        except Exception as error:  # noqa: BLE001 - as in `_ask`
            answer = failed(slot.work.protocol, error)
        self._answer(slot, answer)

    def _answer(self, slot: _Slot, answer: Answer) -> None:
        """Set a slot's answer, which is sent after those of earlier requests."""
        try:
            slot.held.exchange(len(answer.body))
        except Refused as error:
            answer = failed(slot.work.protocol, error)
        app = self._application
        seconds = app.answered(slot.work, answer, slot.begun)
        if slot.drawn is not None:
            app.splitter.count(slot.drawn, answer.status, seconds)
        elif slot.forwarded:
            answer = replace(answer, took=seconds)
        slot.answer = answer
        self._flush()

    def _flush(self) -> None:
        """Send the answers that are ready; if no slot is left, return the connection to uvicorn."""
        while not self._sending and self._slots and (answer := self._slots[0].answer) is not None:
            if self.transport.is_closing():
                self._slots.popleft().held.give()
            elif len(answer.body) > PIECE or self.flow.write_paused:
                self._sending = True
                task = self.loop.create_task(self._send(self._slots[0], answer))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
            else:
                self.transport.write(self._head(answer) + answer.body)
                self._slots[0].held.give()
                self._sent()
        if not self._slots:
            self.on_response_complete()

    def _sent(self) -> None:
        self._slots.popleft()
        if self._application.draining:
            self.transport.close()

    async def _send(self, slot: _Slot, answer: Answer) -> None:
        """Send an answer no faster than the client reads it, and drop a client that does not."""

        async def send(message: Message) -> None:
            if self.flow.write_paused:
                await self.flow.drain()
            if not self.transport.is_closing():
                self.transport.write(message["body"])

        head: Message = {"body": self._head(answer)}
        try:
            await self._application.reception.send(
                head, answer.body, {ABORT: self.transport.abort}, send, slot.held
            )
        finally:
            self._sending = False
            self._sent()
            self._flush()

    def _head(self, answer: Answer) -> bytes:
        headers, lines = self._lines
        if headers is not self.server_state.default_headers:
            headers = self.server_state.default_headers
            lines = b"".join(b"%b: %b\r\n" % (name.lower(), value) for name, value in headers)
            QuickProtocol._lines = headers, lines
        own = b"".join([b"%b: %b\r\n" % pair for pair in self._application.headers(answer)])
        return b"%b%b%b\r\n" % (STATUS_LINE[answer.status], lines, own)

    # --- for `deadlines` and the end of the connection --------------------------------------------
    def shutdown(self) -> None:
        """Close; with open slots, their answers close it, because the server is draining."""
        if not self._slots:
            super().shutdown()

    @property
    def _answering(self) -> bool:
        return bool(self._slots) or super()._answering

    @property
    def _begun(self) -> bool:
        return bool(self._slots) or super()._begun

    @property
    def _queued(self) -> int:
        return len(self._slots) + super()._queued
