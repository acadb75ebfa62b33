"""MLflow's REST API 2.0 over one aiohttp session: one request, one translated answer.

Redirects are not followed, answers are not decompressed, and no body reaches a message.
"""

import asyncio
import base64
import ssl
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import aiohttp
from yarl import URL

from modelyard.adapters.bounds import MIB, SMALL, Limits, TooLarge, document
from modelyard.adapters.instrument import CallTimer
from modelyard.adapters.lookup import Resolver, sockets
from modelyard.adapters.mlflow_errors import DEPENDENCY, NO_ANSWER, Ask, broken, refusal
from modelyard.errors import Ambiguous, Invalid, Unavailable

__all__ = ["Answer", "Ask", "Credentials", "Json", "Oversized", "Rest"]

Json = dict[str, Any]
T = TypeVar("T")
Method = Literal["GET", "POST", "PATCH", "DELETE"]

_CONNECT = 5.0
_CONNECTIONS = 16
_LOOKUPS = 2
_PIECES, _PIECE = 1000, 64
"""Pieces of an answer that may be small, and the minimum average bytes of the pieces above that
number: each piece costs the event loop as much as a kilobyte.
"""
# Below uvicorn's 5 s: a write must not use a connection that the server is about to close, since
# its outcome would be unknown.
_KEEP_ALIVE = 2.0


@dataclass(frozen=True)
class Credentials:
    """Credentials for one MLflow: user and password, or a token, or nothing."""

    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    def headers(self) -> dict[str, str]:
        """Return the header; user and password have priority, as in MLflow's own client."""
        if self.username:
            pair = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
            return {"Authorization": f"Basic {pair}"}
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


class Oversized(Invalid):
    """The answer exceeds a limit; asking for less may help."""


@dataclass(frozen=True)
class Answer(Generic[T]):
    """A parsed answer, and its size in bytes."""

    value: T
    size: int


@dataclass(frozen=True)
class _Request:
    method: Method
    path: str
    query: Mapping[str, str] | None
    body: Json | None
    write: bool

    @property
    def later(self) -> type[Unavailable]:
        """The error if the outcome is unclear."""
        return Ambiguous if self.write else Unavailable


class Rest:
    """One tenant's HTTP session with MLflow. Create it inside a running event loop."""

    def __init__(
        self,
        uri: str,
        credentials: Credentials,
        timer: CallTimer,
        *,
        deadline: float = 10.0,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Open the session; no request is made.

        Args:
            uri: MLflow's address, with a path if it is served below one.
            credentials: This tenant's credentials.
            timer: Measures every request.
            deadline: Seconds for a whole call, from waiting for a connection to the parsed answer.
            tls: The trusted authorities; None: OpenSSL's defaults, which respect `SSL_CERT_FILE`.
            limits: Permitted addresses, and limits on answers; shared by all tenants.

        """
        limits = limits or Limits()
        self._base = URL(uri.rstrip("/")) / "api/2.0/mlflow"
        self._timer = timer
        self._deadline = deadline
        self.bounds = limits.bounds
        self._parsing = limits.parsing.share(1)
        self._large = asyncio.Semaphore(1)
        self._inflight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=_CONNECTIONS,
                keepalive_timeout=_KEEP_ALIVE,
                # True is aiohttp's own context, created once per process: loading the system's
                # authorities takes longer than a request.
                ssl=True if tls is None else tls,
                resolver=Resolver(limits.lookups.share(_LOOKUPS)),
                socket_factory=sockets(limits.addresses, self._base.host or ""),
            ),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT),
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": "modelyard",
                **credentials.headers(),
            },
            auto_decompress=False,  # a few kilobytes could become gigabytes
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(_once,),
            # no proxy and no .netrc: a tenant's calls depend on the tenant's Secret only
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the session when the calls under way have ended, or when this is cancelled.

        Later calls raise `Unavailable`.
        """
        try:
            await self._idle.wait()
        finally:
            await self._session.close()

    async def read(
        self,
        ask: Ask,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        parse: Callable[[Json], T],
    ) -> T:
        """Send a read: GET, or POST where MLflow searches by a body.

        Args:
            ask: Describes the request.
            path: The path below `api/2.0/mlflow/`.
            query: The parameters of a GET.
            body: The body of a POST.
            parse: Converts the answer; a KeyError, TypeError or ValueError means that the answer
                is not MLflow's.

        Raises:
            Missing: MLflow has no such object.
            Invalid: MLflow understood and refused; `Forbidden` because of the credentials.
            Oversized: The answer exceeds the limits.
            Unavailable: Any other failure; an internal error is retried once first.

        """
        return (await self.page(ask, path, query=query, body=body, parse=parse)).value

    async def page(
        self,
        ask: Ask,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        parse: Callable[[Json], T],
    ) -> Answer[T]:
        """Send a read as `read` does, and return the size of the answer with it."""
        return await self._call(
            ask, _Request("GET" if body is None else "POST", path, query, body, write=False), parse
        )

    async def write(
        self,
        ask: Ask,
        path: str,
        body: Json,
        *,
        method: Method = "POST",
        parse: Callable[[Json], T],
    ) -> T:
        """Send a write.

        Raises:
            Missing: MLflow has no such object.
            Conflict: The name is taken.
            Invalid: MLflow understood and refused; `Forbidden` because of the credentials.
            Ambiguous: The request was sent, and no clear answer arrived.
            Unavailable: The request was not sent.

        """
        return (await self._call(ask, _Request(method, path, None, body, write=True), parse)).value

    async def _call(self, ask: Ask, request: _Request, parse: Callable[[Json], T]) -> Answer[T]:
        with self._timer(ask.operation):
            if self._session.closed:
                raise Unavailable(
                    DEPENDENCY, ask.operation, ask.subject, "the connection was replaced meanwhile"
                )
            self._enter()
            try:
                async with asyncio.timeout(self._deadline), AsyncExitStack() as held:
                    return await self._answer(ask, request, parse, held)
            except TimeoutError:
                raise request.later(
                    DEPENDENCY, ask.operation, ask.subject, f"no answer within {self._deadline:g} s"
                ) from None
            except TooLarge as large:
                kind = Ambiguous if request.write else Oversized
                raise kind(DEPENDENCY, ask.operation, ask.subject, str(large)) from None
            finally:
                self._leave()

    async def _answer(
        self, ask: Ask, request: _Request, parse: Callable[[Json], T], held: AsyncExitStack
    ) -> Answer[T]:
        status, content = await self._exchange(ask, request, held)
        # MLflow 3.17 without its auth app may fail on two concurrent searches for runs: both
        # import a module, and one sees half of it.
        if status == 500 and not request.write:
            status, content = await self._exchange(ask, request, held)
        if not 200 <= status < 300:
            raise refusal(ask, status, content, request.later)

        def parsed(_: object = None) -> T:
            return parse(document(content, self.bounds))

        try:
            if len(content) <= SMALL:
                return Answer(parsed(), len(content))
            value = await self._parsing.run(
                ask.operation, ask.subject, parsed, deadline=self._deadline
            )
            return Answer(value, len(content))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError):
            raise request.later(
                DEPENDENCY, ask.operation, ask.subject, f"answered {status}, but not like MLflow"
            ) from None

    async def _exchange(
        self, ask: Ask, request: _Request, held: AsyncExitStack
    ) -> tuple[int, bytearray]:
        url = self._base.joinpath(*request.path.split("/"))
        try:
            async with self._session.request(
                request.method, url, params=request.query, json=request.body, allow_redirects=False
            ) as response:
                return response.status, await self._content(response, held)
        except _Broken as error:
            raise broken(ask, request.later, error.error) from None
        except aiohttp.ConnectionTimeoutError:
            raise Unavailable(DEPENDENCY, ask.operation, ask.subject, NO_ANSWER) from None
        except TimeoutError:  # the whole call's, which is an OSError too
            raise
        except (aiohttp.ClientError, OSError) as error:
            raise broken(ask, request.later, error) from None

    async def _content(self, response: aiohttp.ClientResponse, held: AsyncExitStack) -> bytearray:
        """Read the body up to the limit; of an error only the bytes that may hold its code."""
        done, large, parts = 200 <= response.status < 300, False, bytearray()
        limit = self.bounds.answer if done else SMALL
        if done and (response.content_length or 0) > limit:
            raise TooLarge(f"the answer is larger than {limit / MIB:g} MiB")
        pieces = 0
        async for part, _ in response.content.iter_chunks():
            parts += part
            pieces += 1
            if pieces > _PIECES + len(parts) // _PIECE:
                raise TooLarge(f"the answer comes in pieces of less than {_PIECE} bytes")
            if len(parts) > limit and not done:
                break
            if len(parts) > limit:
                raise TooLarge(f"the answer is larger than {limit / MIB:g} MiB")
            if done and not large and len(parts) > self.bounds.large:
                await held.enter_async_context(self._large)
                large = True
        return parts

    def _enter(self) -> None:
        self._inflight += 1
        self._idle.clear()

    def _leave(self) -> None:
        self._inflight -= 1
        if self._inflight == 0:
            self._idle.set()


class _Broken(Exception):
    """Carries an error past aiohttp, which would resend a GET or DELETE on a broken connection."""

    def __init__(self, error: aiohttp.ClientError) -> None:
        super().__init__()
        self.error = error


async def _once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    try:
        return await handler(request)
    except TimeoutError:
        raise
    except aiohttp.ClientError as error:
        raise _Broken(error) from None
