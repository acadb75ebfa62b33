"""One connection to one API server, as one user. It is opened by the first request."""

import json
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from modelyard.client.errors import ClientError, Unreachable
from modelyard.client.kube import answers, transport
from modelyard.client.kube.background import Background, background
from modelyard.client.kube.identity import Impersonation
from modelyard.client.kube.kinds import Kind

__all__ = ["Session", "path"]

_METHODS = {"get": "GET", "list": "GET", "create": "POST", "patch": "PATCH", "delete": "DELETE"}


class Session:
    """A connection to an API server. See `Kube` for the arguments. Any thread may use it."""

    def __init__(
        self,
        namespace: str | None,
        context: str | None,
        kubeconfig: str | None,
        acting: Impersonation | None,
    ) -> None:
        self._namespace, self._context, self._kubeconfig = namespace, context, kubeconfig
        self._acting = acting or Impersonation()
        self._opening = threading.Lock()
        self._open: tuple[Background, transport.Login] | None = None

    @property
    def namespace(self) -> str:
        """The namespace of calls that name none."""
        return self._namespace or self.login.namespace

    @property
    def login(self) -> transport.Login:
        """The login at the API server."""
        return self._opened()[1]

    @property
    def loop(self) -> Background:
        """The event loop that the requests run in."""
        return self._opened()[0]

    def _opened(self) -> tuple[Background, transport.Login]:
        """Connect lazily; after a fork, reconnect on the child's event loop."""
        with self._opening:
            loop = background()
            if self._open is None or self._open[0] is not loop:
                self._open = (
                    loop,
                    loop.run(transport.login(self._context, self._kubeconfig, self._acting)),
                )
            return self._open

    def close(self) -> None:
        """Close the connections. The next request opens new ones."""
        with self._opening:
            if self._open is not None and self._open[0] is background():
                self._open[0].run(transport.close(self._open[1]))
            self._open = None

    def request(
        self,
        verb: str,
        kind: Kind,
        name: str,
        namespace: str | None,
        *,
        subresource: str = "",
        everywhere: bool = False,
    ) -> answers.Request:
        """Describe a request, for the error that its response may be."""
        where = "" if everywhere or not kind.namespaced else namespace or self.namespace
        resource = f"{kind.plural}/{subresource}" if subresource else kind.plural
        return answers.Request(
            verb,
            resource,
            kind.group,
            kind.name,
            where,
            name,
            self.login.server,
            self.login.context,
        )

    def ask(
        self,
        verb: str,
        kind: Kind,
        name: str,
        namespace: str | None,
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        media: str = "application/json",
        everywhere: bool = False,
    ) -> dict[str, Any]:
        """Send a request, and return the response.

        Raises:
            ClientError: The API server refuses the request, or does not answer.

        """
        request = self.request(verb, kind, name, namespace, everywhere=everywhere)
        where = path(request, kind, collection=verb in {"list", "create"})
        text = None if body is None else json.dumps(body).encode()
        given = {key: value for key, value in (params or {}).items() if value}
        try:
            answer = self.loop.run(
                transport.send(
                    self.login, _METHODS[verb], where, body=text, params=given, media=media
                )
            )
        except transport.Broken as error:
            raise self._unreachable(error) from error
        if answer.code >= 400:
            raise answers.error(request, answer.code, answer.body)
        return dict(json.loads(answer.body))

    def lines(
        self, request: answers.Request, where: str, params: Mapping[str, str]
    ) -> Iterator[str]:
        """Yield the lines of a response. There is no limit on the time between two lines."""
        login = self.login
        try:
            for line in self.loop.stream(
                lambda: transport.lines(login, where, params, silent=None)
            ):
                if isinstance(line, transport.Response):
                    raise answers.error(request, line.code, line.body)
                yield line
        except transport.Broken as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> ClientError:
        return Unreachable(
            f"The API server at {self.login.server} does not answer: {error}. Is it up, and is"
            " the context right?"
        )


def path(request: answers.Request, kind: Kind, *, collection: bool = False) -> str:
    """Return the URL path of an object, or of a collection."""
    root = f"/apis/{kind.api_version}" if "/" in kind.api_version else f"/api/{kind.api_version}"
    place = f"/namespaces/{request.namespace}" if request.namespace else ""
    return f"{root}{place}/{kind.plural}" + ("" if collection else f"/{request.name}")
