"""Asking the candidate: a request is passed on as it was read, and its answer comes back, or
`Failed`.

No error of the candidate gets further than that. Which requests are passed on belongs to `split`,
what a failure counts as to `splitter`. aiohttp is imported by `load`, with the first rule: it takes
0.2 s and some megabytes, which a server without a rule does not have to spend.
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

if TYPE_CHECKING:
    import aiohttp
    from multidict import CIMultiDictProxy

__all__ = ["Failed", "Forwarder", "Passed"]

_CONNECT_SECONDS = 1.0
_OPEN_SECONDS = 1.0
_DIGITS = 15
_IDLE_SECONDS = 15.0
"""Shorter than the candidate keeps an idle connection, so that this side closes it."""
_POOL_SECONDS = 30.0
"""A pool is used for so long: connections to a Service stay with their pod, and new pods want
requests too.
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
"""Headers that go to the candidate: what a model server reads, and what traces follow. It is a list
of what is let through, not of what is held back: credentials and cookies of callers are no business
of the candidate before it serves them itself, nor may one request tell the connection between the
servers what another one is."""
_CONTENT_TYPE = re.compile(r"[\x21-\x7e][\x20-\x7e]{0,255}")
_TIMED_OUT = 408
"""Of the candidate: its body, which this server had in full, was not there in time."""


class Failed(Exception):
    """The candidate did not answer this request as it should."""


class Passed(NamedTuple):
    """What is passed on."""

    path: str
    headers: Headers
    body: bytes
    held: Held
    """What the request holds; the answer is added while it comes, and taken away again if it is
    none.
    """


class Forwarder:
    """What a worker's requests to the candidate share: connections, bounds, and what is known of
    the candidate being there.
    """

    def __init__(self, version: str, address: str, limits: Limits) -> None:
        """Make no connection yet.

        Args:
            version: The version that is served here.
            address: Where a Service is, a host and a port; `{name}` stands for its name.
            limits: An answer may have half of what all requests may hold, and so may all bodies
                that are passed on together.

        """
        self._version = version
        self._address = address
        self._most = limits.held // 2
        self._longest = limits.timeout
        self._circuit = _Circuit()
        self._revision = self._requests = self._bytes = 0
        self._client: ModuleType | None = None
        self._kept: aiohttp.ClientSession | None = None
        self._unkept: aiohttp.ClientSession | None = None
        """Its connections are closed after one request."""
        self._made = 0.0
        self._closing: set[asyncio.Task[None]] = set()

    def load(self) -> None:
        """Import what is needed; in a thread.

        Raises:
            ImportError: It is not installed.

        """
        import aiohttp  # noqa: PLC0415 - see the module

        self._client = aiohttp

    @property
    def loaded(self) -> bool:
        """Whether it was imported."""
        return self._client is not None

    def full(self, size: int) -> bool:
        """Return whether a body of so many bytes more would be too much at once."""
        return self._requests >= FORWARDS or self._bytes + size > self._most

    async def ask(self, rule: Rule, asked: Passed, seconds: float) -> tuple[Answer, float]:
        """Return the candidate's answer, and how long its model server took for it, in seconds.

        Args:
            rule: Who the candidate is.
            asked: The request.
            seconds: How long all of it may take.

        Raises:
            Failed: There is none in time, or it is none of the candidate's; or it was not there a
                moment ago.

        """
        if rule.revision != self._revision:  # the operator knows more than this worker did
            self._revision, self._circuit = rule.revision, _Circuit()
        circuit, size, begun = self._circuit, len(asked.body), time.monotonic()
        if not circuit.lets(begun):
            raise Failed("it was not there a moment ago")
        self._requests += 1
        self._bytes += size
        try:
            async with asyncio.timeout(seconds):
                answer, took = await self._tried(rule, asked, min(_CONNECT_SECONDS, seconds / 2))
        except Exception as error:
            asked.held.exchange(size)
            if self._broken(error):
                circuit.broke(time.monotonic())
            elif not isinstance(error, TimeoutError):  # which says neither
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
        """Return whether there was no connection, or none any more."""
        client = self._loaded()
        return isinstance(
            error,
            client.ClientOSError | client.ServerDisconnectedError | client.ConnectionTimeoutError,
        )

    async def _tried(
        self, rule: Rule, asked: Passed, connect: float
    ) -> tuple[Answer, float | None]:
        """Ask on a kept connection, and once more on another if the candidate had closed that
        one meanwhile.
        """
        client, connection = self._loaded(), SimpleNamespace(kept=False)
        times = client.ClientTimeout(total=None, sock_connect=connect)
        try:
            return await self._exchanged(self._pool(), rule, asked, times, connection)
        except (client.ClientOSError, client.ServerDisconnectedError):
            if not connection.kept:
                raise
        if self._unkept is None:
            self._unkept = self._opened(limit=0, force_close=True)
        return await self._exchanged(self._unkept, rule, asked, times, connection)

    async def _exchanged(
        self,
        session: "aiohttp.ClientSession",
        rule: Rule,
        asked: Passed,
        times: "aiohttp.ClientTimeout",
        connection: SimpleNamespace,
    ) -> tuple[Answer, float | None]:
        """Send a request and read its answer, on one connection."""
        passed = {
            name.decode("ascii"): value.decode("utf-8", "replace")
            for name, value in asked.headers
            if name in _PASSED
        }
        passed[FORWARDED_HEADER] = self._version
        url = f"http://{self._address.replace('{name}', rule.candidate)}{asked.path}"
        body = (
            asked.body if len(asked.body) <= PIECE else BytesIO(asked.body)
        )  # which is sent no faster than it is read
        asking = session.post(
            url,
            data=body,
            headers=passed,
            allow_redirects=False,
            timeout=times,
            trace_request_ctx=connection,
        )
        async with asking as found:
            answer = _judged(rule, found.status, found.headers)
            pieces, size = [], 0
            async for piece in found.content.iter_any():
                size += len(piece)
                if size > self._most:
                    raise Failed(f"the answer has more than {self._most} bytes")
                asked.held.take(len(piece))
                pieces.append(piece)
            if answer.head is not None and answer.head > size:
                raise Failed("the answer is shorter than its JSON")
            return replace(answer, body=b"".join(pieces)), _took(found.headers, self._longest)

    # --- connections ------------------------------------------------------------------------------
    def _pool(self) -> "aiohttp.ClientSession":
        """Return the kept connections."""
        now = time.monotonic()
        if self._kept is None or now - self._made > _POOL_SECONDS:
            if self._kept is not None:  # what it carries has ended by then
                asyncio.get_running_loop().call_later(self._longest, self._retire, self._kept)
            self._kept, self._made = (
                self._opened(limit=FORWARDS, keepalive_timeout=_IDLE_SECONDS),
                now,
            )
        return self._kept

    def _opened(self, **how: Any) -> "aiohttp.ClientSession":
        """Return a session whose connections are kept, or not, in this way."""
        client = self._loaded()

        async def kept(_: object, context: SimpleNamespace, __: object) -> None:
            context.trace_request_ctx.kept = True

        trace = client.TraceConfig()
        trace.on_connection_reuseconn.append(kept)
        found: aiohttp.ClientSession = client.ClientSession(
            # A Service that was made anew has another address: a name is looked up for each
            # connection, which are few.
            connector=client.TCPConnector(use_dns_cache=False, **how),
            cookie_jar=client.DummyCookieJar(),
            skip_auto_headers=_AUTOMATIC,
            auto_decompress=False,
            trust_env=False,  # a pod of this namespace is not behind a proxy
            trace_configs=[trace],
        )
        return found

    def _retire(self, session: "aiohttp.ClientSession") -> None:
        task = asyncio.get_running_loop().create_task(session.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close what is open."""
        for session in (self._kept, self._unkept):
            if session is not None:
                await session.close()

    def _loaded(self) -> ModuleType:
        if self._client is None:
            raise RuntimeError("aiohttp is loaded with the first rule")
        return self._client


class _Circuit:
    """Whether the candidate is there: for a second after it was not, nobody waits for it, and
    then one request tries.
    """

    def __init__(self) -> None:
        self._until = 0.0

    def lets(self, now: float) -> bool:
        """Return whether a request may be passed on; one that may while it was not there is the
        only one for a second.
        """
        if self._until:
            if now < self._until:
                return False
            self._until = now + _OPEN_SECONDS
        return True

    def broke(self, now: float) -> None:
        """It is not there."""
        self._until = now + _OPEN_SECONDS

    def reached(self) -> None:
        """It is."""
        self._until = 0.0


def _judged(rule: Rule, status: int, headers: "CIMultiDictProxy[str]") -> Answer:
    """Return an answer without its body.

    Raises:
        Failed: It is a failure, or none that the candidate's model server gives.

    """
    for name, expected in (VERSION_HEADER, rule.version), (RUNTIME_HEADER, rule.runtime):
        if (said := headers.getall(name, [])) != [expected]:
            raise Failed(
                f"the answer's {name} is {', '.join(said)[:64] or 'missing'}, not {expected}"
            )
    if status != 200 and (not 400 <= status < 500 or status == _TIMED_OUT):
        raise Failed(f"it answered with {status}")
    kind, head = headers.get("content-type", ""), headers.get(binary.HEADER.decode())
    if not _CONTENT_TYPE.fullmatch(kind) or "content-encoding" in headers:
        raise Failed("the answer's body is of no known kind")
    if head is not None and not (head.isascii() and head.isdigit() and len(head) <= _DIGITS):
        raise Failed("the answer does not say how long its JSON is")
    who = (rule.version.encode(), rule.runtime.encode())
    return Answer(b"", status, kind.encode(), head=None if head is None else int(head), by=who)


def _took(headers: "CIMultiDictProxy[str]", longest: float) -> float | None:
    """Return how long the candidate says that it took, in seconds; None: it does not, or it
    cannot be.
    """
    try:
        seconds = float(headers.get(SECONDS_HEADER, ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds <= longest else None
