"""Requests to the API server, through kr8s: kubeconfig, exec plugins, in-cluster accounts, TLS. The
only module that imports it.

    login(...) -> Login      once; then `send` and `lines` with it, in the background's loop

kr8s is asked for raw answers, since it would ask four times, and run an exec plugin as often,
before it says that something is forbidden. Its factory is passed by: without arguments it hands out
whatever was made first, whichever cluster that leads to, and it asks for the server's version
before anything else. What answers mean does not belong here (`answers`).
"""

import asyncio
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelyard.client.errors import Unreachable
from modelyard.client.kube.identity import Impersonation
from modelyard.client.kube.postponed import postponed

if TYPE_CHECKING:
    import httpx
    from kr8s.asyncio import Api

__all__ = ["Broken", "Login", "Response", "close", "lines", "login", "send"]

_SECONDS = 30.0
"""What one answer may take; a stream has no end, but must say something in `_SILENT`."""
_SILENT = 90.0
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_UNUSED = ("cryptography.x509", "httpx_ws", "jsonpath")
"""What kr8s imports for calls that are not made here, but for port-forwards: 80 of its 140 ms
(decision 0010).
"""


class Broken(Exception):
    """The connection did not come about, or broke; asking again may help. It never leaves the
    client.
    """


@dataclass
class Login:
    """A way to an API server, as one user.

    Attributes:
        api: kr8s' session.
        server: The API server's address.
        context: The kubeconfig's context; empty in a pod.
        namespace: The context's namespace, or the pod's.
        acting: Headers of each request that name the user to act as, as bytes; empty without
            impersonation.
        door: Held while a session is opened: by the first request, and by one whose credentials ran
            out.
        opened: A session is there.

    """

    api: "Api"
    server: str
    context: str
    namespace: str
    acting: tuple[tuple[bytes, bytes], ...]
    door: asyncio.Lock
    opened: bool = False

    @asynccontextmanager
    async def call(self, method: str, path: str, **how: Any) -> AsyncIterator["httpx.Response"]:
        """Ask, by one of kr8s' calls; the first one is alone until it is answered."""
        parent, _, last = path.rpartition("/")
        how["headers"] = self.headers(how.get("headers") or {})
        async with AsyncExitStack() as stack:
            async with nullcontext() if self.opened else self.door:
                response = await stack.enter_async_context(
                    self.api.call_api(method, version="", base=parent, url=last, **how)
                )
                if not self.opened:
                    _forget_keys(self.api)
                    self.opened = True
            yield response

    def headers(self, given: Mapping[str, str]) -> "httpx.Headers":
        """Return a request's headers, with those of the user to act as: each request says it,
        whichever session sends it.
        """
        import httpx  # noqa: PLC0415 - kr8s' own

        return httpx.Headers(
            [*((key.encode(), value.encode()) for key, value in given.items()), *self.acting]
        )


@dataclass(frozen=True)
class Response:
    """An answer: HTTP status code and body."""

    code: int
    body: bytes


async def login(context: str | None, kubeconfig: str | None, acting: Impersonation) -> Login:
    """Read the kubeconfig, run its exec plugin, or take the pod's account.

    Args:
        context: The kubeconfig's context; the current one if absent.
        kubeconfig: Path of the kubeconfig.
        acting: The user to act as; what it does not say, the kubeconfig's user may.

    Raises:
        Unreachable: There is neither, or it is not to be read; the text says what is missing.
        ValueError: Groups or a uid to act with, and no user to act as.

    """
    with postponed(*_UNUSED):
        import kr8s.asyncio  # noqa: PLC0415 - help and completion need not wait for it

    path = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    try:
        api = kr8s.asyncio.Api(bypass_factory=True, kubeconfig=path, context=context)
        await api.auth
    except Exception as error:  # kr8s raises whatever reading a file, its YAML and a plugin may
        raise Unreachable(_unusable(path, context, error)) from error
    active = api.auth.active_context
    try:
        configured = _acting(api, active)
    except ValueError as error:
        raise Unreachable(f"The kubeconfig {path} cannot be used: {error}.") from error
    said = tuple((key.encode(), value.encode()) for key, value in acting.over(configured).headers())
    return Login(api, api.auth.server, active, _namespace(api, active), said, asyncio.Lock())


def _unusable(path: str, context: str | None, error: Exception) -> str:
    if isinstance(error, ValueError) and "No such context" in str(error):
        return (
            f"The kubeconfig {path} has no context {context}; `kubectl config get-contexts` lists"
            " those that it has."
        )
    if isinstance(error, ValueError) and "Unable to find" in str(error):
        return (
            f"There is no kubeconfig at {path}: set KUBECONFIG, or run where a service account is"
            " mounted."
        )
    return f"The kubeconfig {path} cannot be used: {type(error).__name__}: {error}"


def _acting(api: "Api", context: str) -> Impersonation:
    """Return the user that the kubeconfig says to act as, which kr8s does not read."""
    if not context:
        return Impersonation()
    return Impersonation.of(
        api.auth.kubeconfig.get_user(api.auth.kubeconfig.get_context(context)["user"]) or {}
    )


def _namespace(api: "Api", context: str) -> str:
    """Return the context's own namespace; kr8s takes that of the current context, whichever is
    used.
    """
    if context:
        return str(api.auth.kubeconfig.get_context(context).get("namespace") or "default")
    with suppress(OSError):
        return _ACCOUNT.read_text(encoding="utf-8").strip() or "default"
    return "default"


async def send(
    to: Login,
    method: str,
    path: str,
    *,
    body: bytes | None = None,
    params: Mapping[str, str] | None = None,
    media: str = "application/json",
) -> Response:
    """Ask once, and once more when credentials ran out in the meantime, which the API server says
    before it does anything.

    Raises:
        Broken: No answer in time, or the connection broke.

    """
    headers = {"Content-Type": media, "Accept": "application/json"}
    ask = {"content": body, "params": dict(params or {}), "headers": headers, "timeout": _SECONDS}
    try:
        async with asyncio.timeout(_SECONDS):
            async with to.call(method, path, raise_for_status=False, **ask) as response:
                answer = Response(response.status_code, response.content)
            return answer if answer.code != 401 else await _again(to, method, path, ask, answer)
    except Exception as error:
        raise Broken(_why(error)) from error


async def _again(
    to: Login, method: str, path: str, ask: dict[str, Any], before: Response
) -> Response:
    """Ask so that kr8s reads the kubeconfig again, runs the plugin again, and opens a session
    with what it finds.
    """
    import kr8s  # noqa: PLC0415

    to.opened = False
    try:
        async with to.call(method, path, **ask) as response:
            return Response(response.status_code, response.content)
    except kr8s.ServerError as error:
        _forget_keys(to.api)
        return (
            Response(error.response.status_code, error.response.content)
            if error.response is not None
            else before
        )


async def lines(
    to: Login, path: str, params: Mapping[str, str], *, silent: float | None = _SILENT
) -> AsyncGenerator[str | Response, None]:
    """Stream an answer line by line; an answer that is an error comes as a Response, alone.

    Raises:
        Broken: The connection did not come about, broke, or said nothing for `silent` seconds.

    """
    import httpx  # noqa: PLC0415 - kr8s' own

    limits = httpx.Timeout(_SECONDS, read=silent)
    try:
        async with to.call(
            "GET", path, params=dict(params), raise_for_status=False, stream=True, timeout=limits
        ) as response:
            if response.is_error:
                yield Response(response.status_code, await response.aread())
                return
            async for line in response.aiter_lines():
                yield line
    except Exception as error:
        raise Broken(_why(error)) from error


async def close(to: Login) -> None:
    """Give the connections back; kr8s has no word for it."""
    session: httpx.AsyncClient | None = getattr(to.api, "_session", None)
    if session is not None:
        await session.aclose()


def _why(error: Exception) -> str:
    """Say in one line why nobody answered."""
    root: BaseException = error
    while root.__cause__ is not None:
        root = root.__cause__
    if isinstance(root, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({root.verify_message})"
    if isinstance(root, TimeoutError):
        return "it does not answer in time"
    return str(error) or type(error).__name__


def _forget_keys(api: "Api") -> None:
    """Remove the temporary files that kr8s writes keys and certificates of a kubeconfig to, and
    leaves; the session has read them.
    """
    auth = api.auth
    if not auth.active_context:
        return
    context = auth.kubeconfig.get_context(auth.active_context)
    user, cluster = (
        auth.kubeconfig.get_user(context["user"]),
        auth.kubeconfig.get_cluster(context["cluster"]),
    )
    files: list[tuple[Any, Any]] = [
        (user.get("client-key-data"), auth.client_key_file),
        (user.get("client-certificate-data"), auth.client_cert_file),
        (cluster.get("certificate-authority-data"), auth.server_ca_file),
    ]
    for data, path in files:
        if data and path:
            Path(str(path)).unlink(missing_ok=True)
