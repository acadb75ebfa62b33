"""MLflow's REST API 2.0 over one aiohttp session: one request, one translated answer.

What the endpoints mean does not belong here (`mlflow_experiments`, `mlflow_runs`, `mlflow_registry`). Nothing is retried, no redirect
is followed, no body reaches a message.
"""

import asyncio
import base64
import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

import aiohttp
from yarl import URL

from modelyard.adapters.instrument import Missing, Probe
from modelyard.errors import Ambiguous, Conflict, Forbidden, Invalid, ModelyardError, Unavailable

__all__ = ["Ask", "Credentials", "Json", "Rest"]

Json = dict[str, Any]
T = TypeVar("T")
Method = Literal["GET", "POST", "PATCH", "DELETE"]

_DEPENDENCY: Final = "MLflow"
_BODY_LIMIT = 32 * 1024 * 1024
_CONNECT = 5.0
_CONNECTIONS = 16
# Below uvicorn's 5 s: a connection that the server is about to close is not taken for a write, whose fate would then be unknown.
_KEEP_ALIVE = 2.0

_CONFLICTS = frozenset({"RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS", "RESOURCE_CONFLICT", "ABORTED"})
_MISSING = frozenset({"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"})
# MLflow answers 500 for a state that forbids the request: it was understood and refused all the same.
_REFUSED = frozenset({"INVALID_STATE", "INVALID_PARAMETER_VALUE", "BAD_REQUEST", "NOT_IMPLEMENTED"})


@dataclass(frozen=True)
class Credentials:
    """How to prove who we are to one MLflow: user and password, or a token, or nothing."""

    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    def headers(self) -> dict[str, str]:
        """Return the header that carries them; user and password win, as in MLflow's own client."""
        if self.username:
            pair = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
            return {"Authorization": f"Basic {pair}"}
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


@dataclass(frozen=True)
class Ask:
    """What is asked, in words, for the message of an error; `hint` is said when MLflow refuses the values.

    An operation is one of a few fixed texts, for metrics are labelled with it; names belong into the subject.
    """

    operation: str
    subject: str
    hint: str = "MLflow refuses the values"


@dataclass(frozen=True)
class _Request:
    method: Method
    path: str
    query: Mapping[str, str] | None
    body: Json | None
    write: bool

    @property
    def later(self) -> type[Unavailable]:
        """The error of an answer that leaves open what happened."""
        return Ambiguous if self.write else Unavailable


class Rest:
    """One tenant's way to one MLflow. Make it inside of a running event loop."""

    def __init__(
        self, uri: str, credentials: Credentials, probe: Probe, *, deadline: float = 10.0, tls: ssl.SSLContext | None = None
    ) -> None:
        """Open the session; no request is made.

        Args:
            uri: MLflow's address, with a path if it is served below one.
            credentials: This tenant's own.
            probe: Measures every request.
            deadline: Seconds for one request as a whole, from waiting for a connection to the last byte.
            tls: Whom to trust; None: OpenSSL's own rules, which heed `SSL_CERT_FILE`.

        """
        self._base = URL(uri.rstrip("/")) / "api/2.0/mlflow"
        self._probe = probe
        self._deadline = deadline
        self._inflight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._session = aiohttp.ClientSession(
            # True is aiohttp's own context, made once a process: loading the system's authorities takes longer than a request.
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS, keepalive_timeout=_KEEP_ALIVE, ssl=True if tls is None else tls),
            timeout=aiohttp.ClientTimeout(total=deadline, sock_connect=_CONNECT),
            headers={"Accept": "application/json", "User-Agent": "modelyard", **credentials.headers()},
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(_once,),
            trust_env=False,  # no proxy, no .netrc: a tenant's calls depend on the tenant's Secret alone
        )

    async def close(self) -> None:
        """Close the session when the calls in flight have ended, or when waiting for that is cancelled; later calls are `Unavailable`."""
        try:
            await self._idle.wait()
        finally:
            await self._session.close()

    async def read(
        self, ask: Ask, path: str, *, query: Mapping[str, str] | None = None, body: Json | None = None, parse: Callable[[Json], T]
    ) -> T:
        """Ask for something: GET, or POST where MLflow searches by a body.

        Args:
            ask: In words.
            path: Below `api/2.0/mlflow/`.
            query: Of a GET.
            body: Of a POST.
            parse: From the answer to the result; a KeyError, TypeError or ValueError of it means that this is not MLflow's answer.

        Raises:
            Missing: MLflow says that there is no such object.
            Invalid: MLflow understood and refused; `Forbidden` because of the credentials.
            Unavailable: Anything else. An internal error is asked about once more before.

        """
        return await self._call(ask, _Request("GET" if body is None else "POST", path, query, body, write=False), parse)

    async def write(self, ask: Ask, path: str, body: Json, *, method: Method = "POST", parse: Callable[[Json], T]) -> T:
        """Change something.

        Raises:
            Missing: MLflow says that there is no such object.
            Conflict: The name is taken.
            Invalid: MLflow understood and refused; `Forbidden` because of the credentials.
            Ambiguous: The request left, and no clear answer came back.
            Unavailable: The request did not leave.

        """
        return await self._call(ask, _Request(method, path, None, body, write=True), parse)

    async def _call(self, ask: Ask, request: _Request, parse: Callable[[Json], T]) -> T:
        with self._probe(ask.operation):
            if self._session.closed:
                raise Unavailable(_DEPENDENCY, ask.operation, ask.subject, "the connection was replaced meanwhile")
            self._enter()
            try:
                status, content = await self._exchange(ask, request)
                # 3.17 without its auth app may fail when two search runs at once: both import it, and one sees half of it.
                if status == 500 and not request.write:
                    status, content = await self._exchange(ask, request)
            finally:
                self._leave()
            if not 200 <= status < 300:
                raise _refusal(ask, status, content, request.later)
            try:
                answer = json.loads(content)
                if not isinstance(answer, dict):
                    raise TypeError
                return parse(answer)
            except (ValueError, KeyError, TypeError, AttributeError, IndexError):
                raise request.later(_DEPENDENCY, ask.operation, ask.subject, f"answered {status}, but not as MLflow does") from None

    async def _exchange(self, ask: Ask, request: _Request) -> tuple[int, bytes]:
        url = self._base.joinpath(*request.path.split("/"))
        try:
            async with self._session.request(
                request.method, url, params=request.query, json=request.body, allow_redirects=False
            ) as response:
                return response.status, await _content(response, ask)
        except _Broken as broken:
            raise _break(ask, request, broken.error) from None
        except aiohttp.ConnectionTimeoutError:
            raise Unavailable(_DEPENDENCY, ask.operation, ask.subject, f"nobody answers at its address within {_CONNECT:g} s") from None
        except TimeoutError:
            raise request.later(_DEPENDENCY, ask.operation, ask.subject, f"no answer within {self._deadline:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise _break(ask, request, error) from None

    def _enter(self) -> None:
        self._inflight += 1
        self._idle.clear()

    def _leave(self) -> None:
        self._inflight -= 1
        if self._inflight == 0:
            self._idle.set()


class _Broken(Exception):
    """Carries an error past aiohttp, which sends a GET or a DELETE once more when a connection breaks. Retrying is the engine's."""

    def __init__(self, error: aiohttp.ClientError) -> None:
        super().__init__()
        self.error = error


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    try:
        return await handler(request)
    except TimeoutError:
        raise
    except aiohttp.ClientError as error:
        raise _Broken(error) from None


async def _content(response: aiohttp.ClientResponse, ask: Ask) -> bytes:
    """Read the body, up to the limit."""
    parts = bytearray()
    async for part in response.content.iter_chunked(65536):
        parts += part
        if len(parts) > _BODY_LIMIT:
            raise Invalid(_DEPENDENCY, ask.operation, ask.subject, f"the answer is larger than {_BODY_LIMIT // 1024 // 1024} MiB")
    return bytes(parts)


def _break(ask: Ask, request: _Request, error: Exception) -> Unavailable:
    """Translate a connection that failed."""
    if isinstance(error, aiohttp.ClientConnectorError):
        # Nothing was sent: even a write is not ambiguous.
        return Unavailable(_DEPENDENCY, ask.operation, ask.subject, _unreachable(error))
    return request.later(_DEPENDENCY, ask.operation, ask.subject, f"the connection broke ({type(error).__name__})")


def _unreachable(error: aiohttp.ClientError) -> str:
    """Say why nothing was sent, in our words."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "its TLS certificate is not trusted; give the operator the authority that signed it"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its host name is not known; check MLFLOW_TRACKING_URI"
    return "nobody listens at its address; check that MLflow runs and that MLFLOW_TRACKING_URI names it"


def _code(content: bytes) -> str | None:
    """Return MLflow's error code; None when it was not MLflow that answered."""
    try:
        code = json.loads(content)["error_code"]
    except (ValueError, KeyError, TypeError):
        return None
    return code if isinstance(code, str) else None


def _refusal(ask: Ask, status: int, content: bytes, later: type[Unavailable]) -> ModelyardError:
    """Translate an answer that is no success."""
    code = _code(content)
    kind: type[ModelyardError]
    if status in {401, 403}:
        kind, detail = Forbidden, _forbidden(status, code)
    elif 300 <= status < 400:
        kind, detail = Invalid, "answers with a redirect; write the final address into MLFLOW_TRACKING_URI"
    elif status == 404 and code is None:
        # A proxy whose backend is away says this too, so it is never taken for MLflow's word that an object is missing.
        kind, detail = Unavailable, "no MLflow answers at this path; check MLFLOW_TRACKING_URI"
    elif code in _MISSING:
        kind, detail = Missing, "MLflow has no such object"
    elif code in _CONFLICTS or status == 409:
        kind, detail = Conflict, "MLflow has one of that name already, or changed it meanwhile"
    elif code in _REFUSED or (400 <= status < 500 and status not in {408, 425, 429, 499}):
        kind, detail = Invalid, ask.hint
    else:
        kind, detail = later, f"answered {status}"
    return kind(_DEPENDENCY, ask.operation, ask.subject, detail)


def _forbidden(status: int, code: str | None) -> str:
    if status == 401:
        return "MLflow does not accept the user and password, or the token, of the connection"
    if code is None:
        return "refused (403); if the credentials are right, MLflow does not know this host name: start it with --allowed-hosts"
    return "the connection's user may not do this in MLflow"
