"""One request to the API server: address, credentials, deadline, errors. What is asked for does not
belong here (`adapters.kubernetes`).

Configuration, TLS and credentials come from the official client; requests go as JSON through a
session of our own, for the client's models cost more CPU than the rest of a pass. There are no
retries: those are the loop's.
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
    """Where a kind's objects are found; all of ours are namespaced.

    Attributes:
        api_version: Group and version, as in manifests.
        kind: The kind.
        plural: Its name in paths.
        metadata_only: Whether a watch asks for the metadata of its objects alone.
        optional: Whether the API server may lack it.

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
        """What the cache calls it."""
        return f"{self.api_version}/{self.kind}"

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """Return the path of an object, of a namespace's list, or without a namespace of the
        whole cluster's.
        """
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
"""Every kind that the operator reads or writes: what it owns, our own, and three more."""


def kind_of(manifest: Manifest) -> Kind:
    """Return where a manifest's object is found; a kind that is not in the table is a bug."""
    return KINDS[manifest["apiVersion"], manifest["kind"]]


class Gone(Unavailable):
    """The list or stream that was to be continued is too old: begin anew."""


async def configuration(kubeconfig: str | None = None) -> Configuration:
    """Find the cluster: the one that a kubeconfig names, if one is given; else the one this pod
    runs in; else the user's own kubeconfig.

    Raises:
        Invalid: There is none.

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
        fence: Raises `Unavailable` when this process may not write any more; asked before each
            write.

    """

    def __init__(self, configuration: Configuration, on_call: OnCall, *, deadline: float) -> None:
        """Open a session; connections are made when they are needed.

        Args:
            configuration: Address, TLS and credentials.
            on_call: Told of every request.
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
        """Return a new session with the same server. Close it yourself.

        It carries the credentials, as fresh as the client keeps them; `answers` is the class of its
        responses.
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
        """End the session."""
        await self._session.close()

    async def _authorize(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Put the credentials in; with a client certificate there are none."""
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
        """Get an object or a list, in the form that `accept` asks for."""
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
        """Change something.

        Raises:
            Ambiguous: It may have happened.
            ModelyardError: It did not.

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
                    "Kubernetes", operation, subject, "the API server gave no whole answer"
                ) from error
            raise translated(status, raw, operation, subject, lost=lost, after=after)

    @asynccontextmanager
    async def stream(
        self, path: str, params: Mapping[str, str], operation: str, *, accept: str = JSON
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open a stream that has no deadline of its own; whoever reads it sets one.

        Raises:
            Gone: It cannot begin at this resourceVersion any more.
            ModelyardError: It did not begin, or it broke.

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
    """Return our error for an answer of the API server's.

    Its message is passed on, cut: it is the platform's own word to its users (a quota, an admission
    rule, a verb that is missing), never another system's body.
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
            return Gone("Kubernetes", operation, subject, "too old to be continued")
        case 429 | 503:
            error = Unavailable(
                "Kubernetes", operation, subject, "the API server asks to be left alone for a while"
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
