"""Requests to the API server through kr8s, which no other module imports.

    login(...) -> Login      once; then `send` and `lines` with it, in the background's loop

kr8s handles kubeconfigs, exec plugins, in-cluster accounts and TLS. It is used for raw responses
only: its own error handling sends a forbidden request four times, and runs an exec plugin each
time. Its factory is bypassed: called without arguments it returns the first session that was made,
whatever its cluster, and it requests the server's version first.
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
"""Timeout of a response."""
_SILENT = 90.0
"""Timeout between two lines of a watch."""
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_UNUSED = ("cryptography.x509", "httpx_ws", "jsonpath")
"""Modules that kr8s imports, and that only port-forwards need: 80 of its 140 ms (decision 0010)."""


class Broken(Exception):
    """The connection failed or broke; a retry may succeed. Callers raise it as Unreachable."""


@dataclass
class Login:
    """A login at an API server, as one user.

    Attributes:
        api: kr8s' session.
        server: The API server's address.
        context: The kubeconfig's context; empty in a pod.
        namespace: The context's namespace, or the pod's.
        acting: Headers of each request that name the user to act as, as bytes; empty without
            impersonation.
        connecting: Held while a session is opened: by the first request, and by a request whose
            credentials have expired.
        opened: Whether a session is open.

    """

    api: "Api"
    server: str
    context: str
    namespace: str
    acting: tuple[tuple[bytes, bytes], ...]
    connecting: asyncio.Lock
    opened: bool = False

    @asynccontextmanager
    async def call(self, method: str, path: str, **how: Any) -> AsyncIterator["httpx.Response"]:
        """Send a request through kr8s. Other requests wait until the first has its response."""
        parent, _, last = path.rpartition("/")
        how["headers"] = self.headers(how.get("headers") or {})
        async with AsyncExitStack() as stack:
            async with nullcontext() if self.opened else self.connecting:
                response = await stack.enter_async_context(
                    self.api.call_api(method, version="", base=parent, url=last, **how)
                )
                if not self.opened:
                    _forget_keys(self.api)
                    self.opened = True
            yield response

    def headers(self, given: Mapping[str, str]) -> "httpx.Headers":
        """Return the headers of a request, with those that name the user to act as."""
        import httpx  # noqa: PLC0415 - kr8s' own

        return httpx.Headers(
            [*((key.encode(), value.encode()) for key, value in given.items()), *self.acting]
        )


@dataclass(frozen=True)
class Response:
    """A response: HTTP status code and body."""

    code: int
    body: bytes


async def login(context: str | None, kubeconfig: str | None, acting: Impersonation) -> Login:
    """Read the kubeconfig and run its exec plugin, or use the pod's service account.

    Args:
        context: The kubeconfig's context; the current one if absent.
        kubeconfig: Path of the kubeconfig.
        acting: The user to act as. What it leaves empty is taken from the kubeconfig's user.

    Raises:
        Unreachable: There is neither, or the kubeconfig cannot be read; the text says why.
        ValueError: There are groups or a uid to act with, but no user.

    """
    with postponed(*_UNUSED):
        import kr8s.asyncio  # noqa: PLC0415 - help and completion do not need it

    path = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    try:
        api = kr8s.asyncio.Api(bypass_factory=True, kubeconfig=path, context=context)
        await api.auth
    except Exception as error:  # reading the file, parsing its YAML and running a plugin can fail
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
    """Return the user to act as from the kubeconfig, which kr8s does not read."""
    if not context:
        return Impersonation()
    return Impersonation.of(
        api.auth.kubeconfig.get_user(api.auth.kubeconfig.get_context(context)["user"]) or {}
    )


def _namespace(api: "Api", context: str) -> str:
    """Return the namespace of `context`; kr8s returns that of the current context."""
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
    """Send a request, and send it once more with new credentials if they have expired (401).

    The retry is safe: the API server checks credentials before it does anything.

    Raises:
        Broken: There is no response in time, or the connection broke.

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
    """Send the request so that kr8s reads the kubeconfig and runs its plugin again."""
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
    """Yield the lines of a response; if it is an error, yield only the Response.

    Raises:
        Broken: The connection failed, broke, or had no new line for `silent` seconds.

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
    """Close the connections, for which kr8s has no method."""
    session: httpx.AsyncClient | None = getattr(to.api, "_session", None)
    if session is not None:
        await session.aclose()


def _why(error: Exception) -> str:
    """Say in one line why there is no response."""
    root: BaseException = error
    while root.__cause__ is not None:
        root = root.__cause__
    if isinstance(root, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({root.verify_message})"
    if isinstance(root, TimeoutError):
        return "it does not answer in time"
    return str(error) or type(error).__name__


def _forget_keys(api: "Api") -> None:
    """Delete the temporary files to which kr8s writes the keys and certificates of a kubeconfig.

    kr8s does not delete them. The session has read them by now.
    """
    auth = api.auth
    if not auth.active_context:
        return
    context = auth.kubeconfig.get_context(auth.active_context)
    user = auth.kubeconfig.get_user(context["user"])
    cluster = auth.kubeconfig.get_cluster(context["cluster"])
    files: list[tuple[Any, Any]] = [
        (user.get("client-key-data"), auth.client_key_file),
        (user.get("client-certificate-data"), auth.client_cert_file),
        (cluster.get("certificate-authority-data"), auth.server_ca_file),
    ]
    for data, path in files:
        if data and path:
            Path(str(path)).unlink(missing_ok=True)
