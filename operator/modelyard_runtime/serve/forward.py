"""Forward a request to the candidate and return its answer, or raise `Failed`.

Every error of the candidate becomes a `Failed`. `load` imports aiohttp with the first rule, because
the import takes 0.2 s and some megabytes, which a server without a rule should not spend.
"""

import asyncio
import re
import time
from dataclasses import replace
from io import BytesIO
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from modelyard.api.wire import FORWARDED_HEADER, RUNTIME_HEADER, SECONDS_HEADER, VERSION_HEADER
from modelyard_runtime.outcome import one_line
from modelyard_runtime.serve import binary
from modelyard_runtime.serve.budget import Held
from modelyard_runtime.serve.limits import FORWARDS, Limits
from modelyard_runtime.serve.predictor import Answer
from modelyard_runtime.serve.reception import PIECE
from modelyard_runtime.serve.rule import Rule
from modelyard_runtime.serve.split import Headers
from modelyard_runtime.serve.values import Refused

if TYPE_CHECKING:
    import aiohttp
    from multidict import CIMultiDictProxy

__all__ = ["Failed", "ForwardedRequest", "Forwarder"]

_CONNECT_SECONDS = 1.0
_OPEN_SECONDS = 1.0
_DIGITS = 15
_IDLE_SECONDS = 15.0
"""Shorter than the candidate keeps an idle connection, so that this side closes it."""
_POOL_SECONDS = 30.0
"""How long a pool of connections is used.

A connection stays with one pod, so without new connections new pods would get no requests.
"""
_AUTOMATIC = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_PASSED = frozenset(
    {
        b"content-type",
        b"content-encoding",
        b"accept",
        binary.HEADER,
        b"x-request-id",
        b"traceparent",
        b"tracestate",
    }
)
"""Headers that are forwarded: those that a model server reads, and trace headers.

It is a list of allowed headers. A candidate that does not serve callers itself yet must not see
their credentials and cookies, and a request must not set headers of the connection between the
servers.
"""
_TRACING = frozenset({b"x-request-id", b"traceparent", b"tracestate"})
_LONGEST = 1024
"""Bytes of a trace header: longer ones are not forwarded, nor those with bytes above 127."""
_CONTENT_TYPE = re.compile(r"[\x21-\x7e][\x20-\x7e]{0,255}")
_TIMED_OUT = 408
"""This status from a candidate is a failure: the whole body had arrived before it was forwarded."""


class Failed(Exception):
    """The candidate did not answer this request, or its answer is invalid."""


class NoMemory(Exception):
    """This pod has no memory for the candidate's answer."""


class ForwardedRequest(NamedTuple):
    """A request to forward."""

    path: str
    headers: Headers
    body: bytes
    held: Held
    """The request's memory budget: the answer is added as it arrives, and removed if it fails."""


class Forwarder:
    """Forwards a worker's requests; holds their connections, limits and circuit breaker."""

    def __init__(self, version: str, address: str, limits: Limits) -> None:
        """Set the limits; open no connection yet.

        Args:
            version: The version of this server.
            address: Host and port of a Service; `{name}` is replaced by its name.
            limits: An answer may take half of what all requests may hold, and so may all forwarded
                bodies together.

        """
        self._version = version
        self._address = address
        self._max_bytes = limits.held // 2
        self._longest = limits.timeout
        self._circuit = _Circuit()
        self._revision = self._requests = self._bytes = 0
        self._client: ModuleType | None = None
        self._keepalive_session: aiohttp.ClientSession | None = None
        self._single_use_session: aiohttp.ClientSession | None = None
        """A session whose connections are closed after one request."""
        self._opened_at = 0.0
        self._closing: set[asyncio.Task[None]] = set()

    def load(self) -> None:
        """Import aiohttp; call it in a thread.

        Raises:
            ImportError: aiohttp is not installed.

        """
        import aiohttp  # noqa: PLC0415 - see the module

        self._client = aiohttp

    @property
    def loaded(self) -> bool:
        """Whether aiohttp was imported."""
        return self._client is not None

    def full(self, size: int) -> bool:
        """Return whether forwarding a body of `size` bytes would exceed the limits."""
        return self._requests >= FORWARDS or self._bytes + size > self._max_bytes

    async def ask(
        self, rule: Rule, request: ForwardedRequest, seconds: float
    ) -> tuple[Answer, float]:
        """Return the candidate's answer, and the seconds that its model server took for it.

        Args:
            rule: Names the candidate.
            request: The request.
            seconds: The time limit.

        Raises:
            Failed: There is no answer in time, or it is not the candidate's; or the candidate was
                unreachable a moment ago.
            NoMemory: This pod has no memory for the answer beside the request.

        """
        if rule.revision != self._revision:  # the candidate may have changed
            self._revision, self._circuit = rule.revision, _Circuit()
        circuit, size, begun = self._circuit, len(request.body), time.monotonic()
        if not circuit.lets(begun):
            raise Failed("it was unreachable a moment ago")
        self._requests += 1
        self._bytes += size
        try:
            async with asyncio.timeout(seconds):
                answer, took = await self._send(rule, request, min(_CONNECT_SECONDS, seconds / 2))
        except Refused as error:  # this pod lacks memory; the candidate has not failed
            request.held.exchange(size)
            circuit.reached()
            raise NoMemory(one_line(error)) from error
        except Exception as error:
            request.held.exchange(size)
            if self._broken(error):
                circuit.broke(time.monotonic())
            elif not isinstance(error, TimeoutError):  # a timeout may have either cause
                circuit.reached()
            raise Failed(one_line(error)) from error
        else:
            circuit.reached()
            here = time.monotonic() - begun
            return answer, here if took is None else min(took, here)
        finally:
            self._requests -= 1
            self._bytes -= size

    def _broken(self, error: Exception) -> bool:
        """Return whether the connection could not be opened, or broke."""
        client = self._loaded()
        return isinstance(
            error,
            client.ClientOSError | client.ServerDisconnectedError | client.ConnectionTimeoutError,
        )

    async def _send(
        self, rule: Rule, request: ForwardedRequest, connect: float
    ) -> tuple[Answer, float | None]:
        """Send on a kept-alive connection; retry on a new one if the candidate had closed it."""
        client, connection = self._loaded(), SimpleNamespace(kept=False)
        times = client.ClientTimeout(total=None, sock_connect=connect)
        try:
            return await self._exchange(self._pool(), rule, request, times, connection)
        except (client.ClientOSError, client.ServerDisconnectedError):
            if not connection.kept:
                raise
        if self._single_use_session is None:
            self._single_use_session = self._opened(limit=0, force_close=True)
        return await self._exchange(self._single_use_session, rule, request, times, connection)

    async def _exchange(
        self,
        session: "aiohttp.ClientSession",
        rule: Rule,
        request: ForwardedRequest,
        times: "aiohttp.ClientTimeout",
        connection: SimpleNamespace,
    ) -> tuple[Answer, float | None]:
        """Send a request and read its answer, on one connection."""
        passed = {
            name.decode("ascii"): value.decode("utf-8", "replace")
            for name, value in request.headers
            if name in _PASSED and (name not in _TRACING or _is_short(value))
        }
        passed[FORWARDED_HEADER] = self._version
        url = f"http://{self._address.replace('{name}', rule.candidate)}{request.path}"
        # A file object is sent no faster than the candidate reads it.
        body = request.body if len(request.body) <= PIECE else BytesIO(request.body)
        response_context = session.post(
            url,
            data=body,
            headers=passed,
            allow_redirects=False,
            timeout=times,
            trace_request_ctx=connection,
        )
        async with response_context as found:
            answer = _checked_head(rule, found.status, found.headers)
            pieces, size = [], 0
            async for piece in found.content.iter_any():
                size += len(piece)
                if size > self._max_bytes:
                    raise Failed(f"the answer is larger than {self._max_bytes} bytes")
                request.held.take(len(piece))
                pieces.append(piece)
            if answer.head is not None and answer.head > size:
                raise Failed("the answer is shorter than the length that it gives for its JSON")
            return replace(answer, body=b"".join(pieces)), _took(found.headers, self._longest)

    # --- connections ------------------------------------------------------------------------------
    def _pool(self) -> "aiohttp.ClientSession":
        """Return the session that keeps connections alive."""
        now = time.monotonic()
        if self._keepalive_session is None or now - self._opened_at > _POOL_SECONDS:
            # Close the old session after the time limit, when its last request has ended.
            if self._keepalive_session is not None:
                asyncio.get_running_loop().call_later(
                    self._longest, self._close_later, self._keepalive_session
                )
            self._keepalive_session = self._opened(limit=FORWARDS, keepalive_timeout=_IDLE_SECONDS)
            self._opened_at = now
        return self._keepalive_session

    def _opened(self, **how: Any) -> "aiohttp.ClientSession":
        """Return a session; `how` are arguments of its connector."""
        client = self._loaded()

        async def kept(_: object, context: SimpleNamespace, __: object) -> None:
            context.trace_request_ctx.kept = True

        trace = client.TraceConfig()
        trace.on_connection_reuseconn.append(kept)
        found: aiohttp.ClientSession = client.ClientSession(
            # Resolve the name for each connection: a Service that was deleted and created again
            # has another address. There are few connections.
            connector=client.TCPConnector(use_dns_cache=False, **how),
            cookie_jar=client.DummyCookieJar(),
            skip_auto_headers=_AUTOMATIC,
            auto_decompress=False,
            trust_env=False,  # no proxy for a pod of this namespace
            trace_configs=[trace],
        )
        return found

    def _close_later(self, session: "aiohttp.ClientSession") -> None:
        task = asyncio.get_running_loop().create_task(session.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close all sessions."""
        for session in (self._keepalive_session, self._single_use_session):
            if session is not None:
                await session.close()

    def _loaded(self) -> ModuleType:
        if self._client is None:
            raise RuntimeError("aiohttp is not loaded: call load() with the first rule")
        return self._client


class _Circuit:
    """Circuit breaker: no request for a second after a broken connection, then one as a probe."""

    def __init__(self) -> None:
        self._until = 0.0

    def lets(self, now: float) -> bool:
        """Return whether a request may be sent; while the circuit is open, one probe per second."""
        if self._until:
            if now < self._until:
                return False
            self._until = now + _OPEN_SECONDS
        return True

    def broke(self, now: float) -> None:
        """Open the circuit."""
        self._until = now + _OPEN_SECONDS

    def reached(self) -> None:
        """Close the circuit."""
        self._until = 0.0


def _checked_head(rule: Rule, status: int, headers: "CIMultiDictProxy[str]") -> Answer:
    """Check status and headers; return the answer, still without its body.

    Raises:
        Failed: The answer is a failure, or does not come from the candidate's model server.

    """
    for name, expected in (VERSION_HEADER, rule.version), (RUNTIME_HEADER, rule.runtime):
        if (values := headers.getall(name, [])) != [expected]:
            raise Failed(
                f"the answer's {name} is {', '.join(values)[:64] or 'missing'}, not {expected}"
            )
    if status != 200 and (not 400 <= status < 500 or status == _TIMED_OUT):
        raise Failed(f"it answered with {status}")
    kind, head = headers.get("content-type", ""), headers.get(binary.HEADER.decode())
    if not _CONTENT_TYPE.fullmatch(kind) or "content-encoding" in headers:
        raise Failed("the answer has an invalid content type, or is compressed")
    if head is not None and not (head.isascii() and head.isdigit() and len(head) <= _DIGITS):
        raise Failed("the answer does not give the length of its JSON")
    who = (rule.version.encode(), rule.runtime.encode())
    return Answer(b"", status, kind.encode(), head=None if head is None else int(head), by=who)


def _took(headers: "CIMultiDictProxy[str]", longest: float) -> float | None:
    """Return the latency in seconds that the candidate reports; None: missing or implausible."""
    try:
        seconds = float(headers.get(SECONDS_HEADER, ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds <= longest else None


def _is_short(value: bytes) -> bool:
    """Tell whether a trace header is ASCII and short enough for any server to read."""
    return len(value) <= _LONGEST and value.isascii()
