"""A shorter way for small requests of a quick model: answered where they are read.

It needs no scope, task and messages of ASGI. Only a request of which all is known goes this way:
POST to a path that predicts, HTTP/1.1, kept alive, with a body whose length is said and that comes
in the read that has its headers. Everything else, and what turns out to be something else, goes
uvicorn's way, with the limits of `deadlines`. MODELYARD_QUICK=false turns this module off. Like
`deadlines` it rests on uvicorn's class; tests/runtime/test_mixture.py judges a newer one.
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
from modelyard_runtime.serve.predictor import Answer, Asked, Predictor, Request
from modelyard_runtime.serve.reception import PIECE, Message
from modelyard_runtime.serve.split import Drawn
from modelyard_runtime.serve.splitter import Splitter
from modelyard_runtime.serve.values import Array, Refused

__all__ = ["QuickProtocol"]

Headers = list[tuple[bytes, bytes]]
_HEEDED = frozenset({b"transfer-encoding", b"content-encoding", b"upgrade", FORWARDED})
"""Headers of requests that go uvicorn's way, and the one of those that another pod has passed
on.
"""
_DIGITS = 6


@dataclass(slots=True)
class _Slot:
    """A request, in the order in which they are answered."""

    work: Work
    headers: Headers
    held: Held
    begun: float
    forwarded: bool
    body: bytes = b""
    answer: Answer | None = None
    drawn: Drawn | None = None


class QuickProtocol(BoundedProtocol):
    """uvicorn's protocol, bounded, with a shorter way.

    Slots and cycles exclude each other: while one waits, the other's requests do.
    """

    _reading: _Slot | None = None
    """The request whose body is being read, if it goes the shorter way."""
    _forwarded = False
    """Whether another pod has passed that request on."""
    _sending = False
    """True while a task sends the first slot's answer."""
    _lines: ClassVar[tuple[Headers, bytes]] = ([], b"")
    """The headers of every answer, which uvicorn changes once a second, and how they are
    written.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Begin with no request."""
        self._slots: deque[_Slot] = deque()
        super().connection_made(transport)

    # --- which way --------------------------------------------------------------------------------
    def on_headers_complete(self) -> None:
        """Choose the way."""
        # of an answer to a request before this one in the same read
        self._unset_keepalive_if_required()
        if (work := self._quick_work()) is None:
            super().on_headers_complete()
            return
        self._begin_body()
        app = self._application
        app.last_request = begun = time.monotonic()
        self._reading = _Slot(work, self.headers, app.reception.held(), begun, self._forwarded)

    def _quick_work(self) -> Work | None:
        """Return what the request asks for, if it may go the shorter way."""
        app, parser = self._application, self.parser
        work = app.paths.get(self.url)
        if (
            work is None
            or app.model is None
            or not app.model.quick
            or app.draining
            or self.pipeline
            or super()._answering
        ):
            return None
        if (
            parser.get_method() != b"POST"
            or parser.get_http_version() != "1.1"
            or self.server[1] == app.metrics_port  # type: ignore[index] # connected, so known
        ):
            return None
        if not parser.should_keep_alive() or parser.should_upgrade() or self.expect_100_continue:
            return None
        length, self._forwarded = b"", False
        for name, value in self.headers:
            if name in _HEEDED:
                if name != FORWARDED:
                    return None
                self._forwarded = True
            if name == b"content-length":
                length = value
        known = length.isdigit() and len(length) < _DIGITS
        return work if known and int(length) <= min(QUICK_BYTES, app.limits.body) else None

    def _hand_over(self, slot: _Slot) -> None:
        """Let uvicorn go on with a request whose headers it has not seen as complete."""
        HttpToolsProtocol.on_headers_complete(self)
        if slot.body:
            HttpToolsProtocol.on_body(self, slot.body)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: object) -> None:
        """Start a request of uvicorn's, or let it wait behind those that wait here."""
        if self._slots:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, app))  # type: ignore[arg-type] # the app as uvicorn types it
        else:
            super()._start_asgi_task(cycle, app)  # type: ignore[arg-type] # as above

    # --- reading ----------------------------------------------------------------------------------
    def data_received(self, data: bytes) -> None:
        """Read on; a body that is not whole by then is uvicorn's."""
        super().data_received(data)
        slot, self._reading = self._reading, None
        if slot is not None and self.parser is not None and not self.transport.is_closing():
            self._hand_over(slot)
        if len(self._slots) > 1 or self._sending:
            self.flow.pause_reading()  # until they are answered

    def on_body(self, body: bytes) -> None:
        """Keep what came."""
        if self._reading is None:
            super().on_body(body)
        else:
            self._content += len(body)
            self._reading.body += body

    def on_message_complete(self) -> None:
        """Ask for a prediction."""
        slot, self._reading = self._reading, None
        app = self._application
        model = app.model
        if slot is None or model is None:
            super().on_message_complete()
            return
        request, compressed = intake.asked_with(slot.work.protocol, slot.headers, slot.body)
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
        """Draw for a request, and tell whether it is for the candidate, which is asked on
        uvicorn's way.
        """
        if slot.work.split and not slot.forwarded:
            slot.drawn = splitter.draw(slot.headers, len(slot.body))
        if slot.drawn is None or not slot.drawn.candidate:
            return False
        self.scope[DRAWN] = slot.drawn  # type: ignore[literal-required] # a key of our own
        return True

    def _ask(self, slot: _Slot, model: Predictor, request: Request) -> None:
        try:
            slot.held.take(len(slot.body))
            asked = slot.work.begin(model, request)
            rows = next(asked)
        except StopIteration as done:
            self._answer(slot, done.value)
        except Exception as error:  # noqa: BLE001 - a model may raise anything, and the next request may be well
            self._answer(slot, failed(slot.work.protocol, error))
        else:
            self._application.turn.ask(model, rows, partial(self._predicted, slot, asked))

    # --- answering --------------------------------------------------------------------------------
    def _predicted(self, slot: _Slot, asked: Asked, found: Array | Exception) -> None:
        """Answer with predictions, or with why there are none."""
        answer: Answer
        try:
            if isinstance(found, Exception):
                raise found
            asked.send(found)
            raise RuntimeError("a request asks once")
        except StopIteration as done:
            answer = done.value
        except Exception as error:  # noqa: BLE001 - as in `_ask`
            answer = failed(slot.work.protocol, error)
        self._answer(slot, answer)

    def _answer(self, slot: _Slot, answer: Answer) -> None:
        """Have an answer, which goes behind those of the requests before."""
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
        """Send what can be sent; when nothing waits any more, let uvicorn go on with the
        connection.
        """
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

    # --- as the bounds and the end of the connection see it ---------------------------------------
    def shutdown(self) -> None:
        """Close, or do so with the answers that wait: the server drains, so that they say so."""
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
