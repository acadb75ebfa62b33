"""One request to the API server: address, credentials, deadline, errors.

Configuration, TLS and credentials come from the official client; requests are sent as JSON through
our own session, because the client's models cost more CPU than the rest of a reconcile. There are
no retries here; the engine schedules them.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject

from modelyard.adapters.instrument import CallTimer, Missing, OnCall
from modelyard.api.base import GROUP, VERSION
from modelyard.api.kinds import KINDS as OWN
from modelyard.api.text import printable
from modelyard.errors import Ambiguous, Conflict, Forbidden, Invalid, ModelyardError, Unavailable
from modelyard.kube.owned import OWNED
from modelyard.plan import Manifest

__all__ = ["KINDS", "Api", "Gone", "Kind", "configuration", "kind_of"]

JSON = "application/json"
APPLY = "application/apply-patch+yaml"  # JSON is YAML
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
_CONNECT = 3.0
_MESSAGE_LIMIT = 400


@dataclass(frozen=True)
class Kind:
    """The API paths of a kind; all kinds here are namespaced.

    Attributes:
        api_version: Group and version, as in manifests.
        kind: The kind.
        plural: Its name in paths.
        metadata_only: Whether a watch requests only the metadata of its objects.
        optional: Whether the API server may not serve it.

    """

    api_version: str
    kind: str
    plural: str
    metadata_only: bool = False
    optional: bool = False

    @property
    def root(self) -> str:
        """The path of the API that serves it."""
        return (
            f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        )

    @property
    def scope(self) -> str:
        """The kind's scope in the cache."""
        return f"{self.api_version}/{self.kind}"

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """Return the path of an object, or of the list of a namespace or the whole cluster."""
        where = f"/namespaces/{namespace}" if namespace is not None else ""
        return "/".join(filter(None, (f"{self.root}{where}/{self.plural}", name, subresource)))


_TABLE = (
    *(
        Kind(each.api_version, each.kind, each.plural, each.metadata_only, each.optional)
        for each in OWNED
    ),
    *(Kind(f"{GROUP}/{VERSION}", each.resource.KIND, each.resource.PLURAL) for each in OWN),
    Kind("v1", "Secret", "secrets"),
    Kind("coordination.k8s.io/v1", "Lease", "leases"),
    Kind("events.k8s.io/v1", "Event", "events"),
)
KINDS: Mapping[tuple[str, str], Kind] = {(kind.api_version, kind.kind): kind for kind in _TABLE}
"""Every kind that the operator reads or writes: owned kinds, our own, and three more."""


def kind_of(manifest: Manifest) -> Kind:
    """Return a manifest's kind; one that is not in the table is a bug."""
    return KINDS[manifest["apiVersion"], manifest["kind"]]


class Gone(Unavailable):
    """The list or stream to continue has expired: start over."""


async def configuration(kubeconfig: str | None = None) -> Configuration:
    """Find the cluster: by the given kubeconfig, else in this pod, else by the user's kubeconfig.

    Raises:
        Invalid: No cluster is configured.

    """
    found = Configuration()
    try:
        if kubeconfig is not None:
            await config.load_kube_config(kubeconfig, client_configuration=found)
        else:
            try:
                config.load_incluster_config(client_configuration=found)
            except config.ConfigException:
                await config.load_kube_config(client_configuration=found)
    except config.ConfigException as error:
        raise Invalid(
            "Kubernetes", "find", "the cluster", f"neither in a pod nor by a kubeconfig: {error}"
        ) from None
    return found


class Api:
    """A session with one API server.

    Attributes:
        host: Its address, `https://...`.
        fence: Raises `Unavailable` when this process may no longer write; called before each
            write.

    """

    def __init__(self, configuration: Configuration, on_call: OnCall, *, deadline: float) -> None:
        """Open a session; connections are made on demand.

        Args:
            configuration: Address, TLS and credentials.
            on_call: Called after every request.
            deadline: Seconds that one request may take.

        """
        self.host: str = configuration.host
        self.fence: Callable[[], None] = lambda: None
        self._configuration = configuration
        self._ssl = RESTClientObject(configuration).ssl_context
        self._timer = CallTimer("Kubernetes", on_call)
        self._timeout = aiohttp.ClientTimeout(total=deadline, sock_connect=_CONNECT)
        self._session = self.session()

    def session(
        self, answers: type[aiohttp.ClientResponse] = aiohttp.ClientResponse
    ) -> aiohttp.ClientSession:
        """Return a new session with the same server, which the caller closes.

        It sends the client's current credentials; `answers` is the class of its responses.
        """
        return aiohttp.ClientSession(
            base_url=self.host,
            connector=aiohttp.TCPConnector(limit=0, ssl=self._ssl),
            proxy=self._configuration.proxy,
            headers={"Accept": "application/json", "User-Agent": "modelyard"},
            middlewares=(self._authorize,),
            response_class=answers,
        )

    async def close(self) -> None:
        """Close the session."""
        await self._session.close()

    async def _authorize(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Add the credentials; with a client certificate there are none."""
        token = await self._configuration.get_api_key_with_prefix("BearerToken")
        if token:
            request.headers["Authorization"] = token
        elif self._configuration.username:
            request.headers["Authorization"] = self._configuration.get_basic_auth_token()
        return await handler(request)

    async def read(
        self,
        path: str,
        operation: str,
        subject: str,
        params: Mapping[str, str] | None = None,
        *,
        accept: str = JSON,
    ) -> Manifest:
        """Get an object or a list, in the form that `accept` names."""
        headers = {"Accept": accept}
        return await self._request("GET", path, operation, subject, params=params, headers=headers)

    async def write(
        self,
        method: str,
        path: str,
        operation: str,
        subject: str,
        body: Any,
        *,
        content_type: str = JSON,
        params: Mapping[str, str] | None = None,
        fenced: bool = True,
    ) -> Manifest:
        """Send a write.

        Raises:
            Ambiguous: The write may have happened.
            ModelyardError: The write did not happen.

        """
        if fenced:
            self.fence()
        data = json.dumps(body, separators=(",", ":")).encode()
        headers = {"Content-Type": content_type}
        return await self._request(
            method, path, operation, subject, params=params, data=data, headers=headers
        )

    async def _request(
        self,
        method: str,
        path: str,
        operation: str,
        subject: str,
        *,
        params: Mapping[str, str] | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Manifest:
        lost = Unavailable if data is None else Ambiguous
        with self._timer(operation):
            try:
                async with self._session.request(
                    method, path, params=params, data=data, headers=headers, timeout=self._timeout
                ) as response:
                    raw = await response.read()
                    if response.status < 300:
                        answer: Manifest = json.loads(raw)
                        return answer
                    status, after = response.status, response.headers.get("Retry-After", "")
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                raise Unavailable(
                    "Kubernetes", operation, subject, "the API server cannot be reached"
                ) from error
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                raise lost(
                    "Kubernetes", operation, subject, "the API server's answer was incomplete"
                ) from error
            raise translated(status, raw, operation, subject, lost=lost, after=after)

    @asynccontextmanager
    async def stream(
        self, path: str, params: Mapping[str, str], operation: str, *, accept: str = JSON
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open a stream without a deadline; the reader sets one.

        Raises:
            Gone: This resourceVersion has expired.
            ModelyardError: The stream did not start, or it broke.

        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT)
        asked = self._session.get(path, params=params, headers={"Accept": accept}, timeout=timeout)
        try:
            async with asked as response:
                if response.status >= 300:
                    after = response.headers.get("Retry-After", "")
                    raise translated(
                        response.status,
                        await response.read(),
                        operation,
                        path,
                        lost=Unavailable,
                        after=after,
                    )
                yield response
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable("Kubernetes", operation, path, "the stream broke") from error


def translated(
    status: int,
    raw: bytes,
    operation: str,
    subject: str,
    *,
    lost: type[Unavailable],
    after: str = "",
) -> ModelyardError:
    """Return our error for an answer of the API server.

    Its message is passed on, truncated: it is meant for users of the cluster (a quota, an admission
    rule, a missing verb), and never another system's body.
    """
    detail = _message(raw)
    match status:
        case 401 | 403:
            return Forbidden("Kubernetes", operation, subject, detail)
        case 404:
            return Missing("Kubernetes", operation, subject, detail)
        case 409:
            return Conflict("Kubernetes", operation, subject, detail)
        case 410:
            return Gone("Kubernetes", operation, subject, "it has expired")
        case 429 | 503:
            error = Unavailable(
                "Kubernetes",
                operation,
                subject,
                "the API server is overloaded and asks for a pause",
            )
            error.retry_after = float(after) if after.isdigit() else 0.0
            return error
        case _ if status >= 500:
            return lost("Kubernetes", operation, subject, f"the API server failed with {status}")
        case _:
            return Invalid("Kubernetes", operation, subject, detail)


def _message(raw: bytes) -> str:
    try:
        message = str(json.loads(raw).get("message", ""))
    except (ValueError, AttributeError):
        return ""
    return printable(message)[:_MESSAGE_LIMIT]
