"""uvicorn's protocol with deadlines for headers, bodies, unread answers and idle connections.

uvicorn's class is not a documented interface: pyproject.toml pins its minor version, and
tests/runtime/test_limits.py checks a newer one.
"""

import asyncio
from enum import Enum
from types import MethodType
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from modelyard.api.wire import RUNTIME_HEADER, VERSION_HEADER

if TYPE_CHECKING:
    from modelyard_runtime.serve.app import App

__all__ = ["ABORT", "LATE", "BoundedProtocol", "answer_as"]

LATE = "modelyard.late"
"""In a request's scope: its body did not arrive in time and is incomplete."""
ABORT = "modelyard.abort"
"""In a request's scope: a function that drops the connection and all unsent data."""
_PIPELINED = 64
"""Pipelined requests of one connection; a client that sends more is dropped."""
_WHO = (VERSION_HEADER.encode(), RUNTIME_HEADER.encode())
_FRAMES = 8
"""Most bytes on the wire per byte of a chunked body; a chunk of one byte takes six."""


class _Phase(Enum):
    """The part of a request that is being read."""

    NONE = 0
    HEADERS = 1
    BODY = 2


class BoundedProtocol(HttpToolsProtocol):
    """One connection, whose requests must arrive within the application's limits."""

    _phase = _Phase.NONE
    _request = 0
    """The number of requests so far."""
    _size = 0
    """Bytes of the present headers or body, without those of the first read."""
    _content = 0
    """Bytes of content in the body so far."""
    _timer: asyncio.TimerHandle | None = None

    # --- the connection --------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Wait for a request; close another connection if there are too many."""
        super().connection_made(transport)
        app = self._application
        app.connections[self] = None
        if len(app.connections) > app.limits.connections:
            for other in app.connections:
                if other is not self and other.drop():
                    break
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection from the application's list."""
        self._application.connections.pop(self, None)
        self._disarm()
        super().connection_lost(exc)

    def drop(self) -> bool:
        """Close the connection unless it is answering a complete request; return whether it did."""
        if self._phase is _Phase.NONE and self._answering:
            return False
        self._application.connections.pop(self, None)
        self.transport.abort()
        return True

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection; drop it if the client has not read its last answer."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        super().timeout_keep_alive_handler()

    # --- what is read ----------------------------------------------------------------------------
    def data_received(self, data: bytes) -> None:
        """Read, and check the size and the duration of the present part of the request."""
        before = self._request, self._phase
        super().data_received(data)
        if self.parser is None or self.transport.is_closing():
            self._disarm()
        elif (self._request, self._phase) != before:
            self._disarm()
            self._size = 0
            if self._phase is not _Phase.NONE:
                self._arm()
        elif self._phase is not _Phase.NONE:
            self._size += len(data)
            self._judge()
        elif not self._answering and self._timer is None:
            self._arm()  # only line ends, which do not begin a request

    def on_message_begin(self) -> None:
        """Start reading headers."""
        if self._queued >= _PIPELINED:
            raise RuntimeError("stops the parser: one read may contain thousands of requests")
        self._request += 1
        self._phase = _Phase.HEADERS
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)[ABORT] = self.transport.abort

    def send_400_response(self, msg: str) -> None:
        """Answer an invalid request; only close if the client would take it for another answer."""
        begun = self._answering and (self._phase is not _Phase.BODY or self._begun)
        if self.pipeline or begun:
            self.transport.abort()
        else:
            super().send_400_response(msg)

    def on_headers_complete(self) -> None:
        """Start reading the body."""
        self._begin_body()
        super().on_headers_complete()

    def _begin_body(self) -> None:
        self._phase, self._content = _Phase.BODY, 0

    def on_body(self, body: bytes) -> None:
        """Count the content."""
        self._content += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for the next request."""
        self._end_body()
        super().on_message_complete()

    def _end_body(self) -> None:
        self._phase = _Phase.NONE
        connections = self._application.connections
        if connections.pop(self, True) is None:
            connections[self] = None  # at the end: closed last if there are too many connections

    def _judge(self) -> None:
        most = self._application.limits.header_bytes
        if self._phase is _Phase.HEADERS and self._size > most:
            self._refuse(400, f"The headers have more than {most} bytes.")
        elif self._phase is _Phase.BODY and self._size - _FRAMES * self._content > most:
            self._refuse(400, "The body has more framing than content.")

    # --- deadlines -------------------------------------------------------------------------------
    def _arm(self) -> None:
        limits = self._application.limits
        seconds = limits.timeout if self._phase is _Phase.BODY else limits.headers
        self._timer = self.loop.call_later(seconds, self._late)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        """End a request that did not arrive in time."""
        self._timer = None
        if self._phase is not _Phase.BODY:
            if self._answering:  # the answer to the request before is sent first
                self._arm()
            elif self._phase is _Phase.HEADERS:
                seconds = self._application.limits.headers
                self._refuse(408, f"The headers did not arrive within {seconds:g} s.")
            else:  # without a request; the client would take an answer for that of its next one
                self.transport.close()
        elif self.cycle.response_complete:
            self.transport.abort()  # the request was refused, and the client is still sending
        else:
            cast("dict[str, Any]", self.cycle.scope)[LATE] = True
            self.cycle.keep_alive = self.cycle.more_body = False
            self.cycle.message_event.set()
            self._arm()

    def _refuse(self, status: int, message: str) -> None:
        """Answer an incomplete request and close; in the middle of another answer, only close."""
        if not self._answering:
            headers = [
                *self.server_state.default_headers,
                (b"content-type", b"text/plain; charset=utf-8"),
            ]
            headers += [(b"content-length", b"%d" % len(message)), (b"connection", b"close")]
            lines = [STATUS_LINE[status], *(b"%b: %b\r\n" % pair for pair in headers), b"\r\n"]
            self.transport.write(b"".join((*lines, message.encode("ascii"))))
            self.transport.close()
        else:
            self.transport.abort()
        self._disarm()

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _begun(self) -> bool:
        """True if an answer to an earlier request has begun or is still to be sent."""
        return self.cycle is not None and self.cycle.response_started

    @property
    def _queued(self) -> int:
        """The number of pipelined requests."""
        return len(self.pipeline)

    @property
    def _application(self) -> "App":
        return cast("App", self.config.app)


def answer_as(send: object, version: bytes, runtime: bytes) -> None:
    """Set the version headers of one answer to those of another version, which gives it.

    Args:
        send: ASGI's `send`, which is a method of uvicorn's object for the request.
        version: The version.
        runtime: Identity of its serving runtime.

    """
    cycle = cast("MethodType", send).__self__
    assert isinstance(cycle, RequestResponseCycle), "uvicorn's send is a method of the request"
    own = [(name, value) for name, value in cycle.default_headers if name not in _WHO]
    cycle.default_headers = [*own, (_WHO[0], version), (_WHO[1], runtime)]
