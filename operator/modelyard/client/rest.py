"""HTTP with JSON, to a model server and to MLflow's REST API; and what an HTTP status of either
means.

How an address is reached does not belong here (`kube.reach`), nor what an answer's content means.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from modelyard.client.errors import ClientError, NotAllowed, NotFound, Refused, Unreachable
from modelyard.client.proxies import never_by_proxy
from modelyard.kube.names import CONNECTION_SECRET

__all__ = ["Mlflow", "Reply", "ask", "meaning", "mlflow_error"]


@dataclass(frozen=True)
class Reply:
    """An answer: status code, headers (lower case), body."""

    code: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def said(self) -> str:
        """What an error says, in whichever form the protocols have for it."""
        try:
            content = json.loads(self.body)
        except ValueError:
            return self.body[:300].decode(errors="replace").strip()
        found = (
            content.get("error") or content.get("message") if isinstance(content, dict) else None
        )
        return str(found or content)[:1000]


def ask(
    url: str,
    body: Any = None,
    *,
    who: str,
    seconds: float,
    headers: Mapping[str, str] | None = None,
    method: str = "",
) -> Reply:
    """Send one request; a body makes it a POST. Whatever the answer is, it is returned.

    Args:
        url: Where.
        body: JSON.
        who: Whom, for the error: "The model fraud in production".
        seconds: How long the whole may take.
        headers: More headers.
        method: Instead of GET or POST.

    Raises:
        Unreachable: No answer.

    """
    import httpx  # noqa: PLC0415 - kr8s brings it, and is not loaded before it has to be

    # With a transport of its own httpx leaves the environment's proxies alone.
    transport = httpx.HTTPTransport() if never_by_proxy(url) else None
    try:
        with httpx.Client(timeout=seconds, transport=transport) as client:
            answer = client.request(
                method or ("GET" if body is None else "POST"),
                url,
                json=body,
                headers=dict(headers or {}),
            )
    except (httpx.TransportError, OSError) as error:
        raise Unreachable(f"{who} does not answer: {str(error) or type(error).__name__}") from error
    return Reply(
        answer.status_code,
        {key.lower(): value for key, value in answer.headers.items()},
        answer.content,
    )


def meaning(code: int) -> type[ClientError] | None:
    """Return what an HTTP status of MLflow or of a model server means as an error; None if the
    request was done.
    """
    if code in {401, 403}:
        return NotAllowed
    if code == 404:
        return NotFound
    if code >= 500 or code in {408, 429}:
        return Unreachable
    return Refused if code >= 300 else None


def mlflow_error(code: int, said: str, doing: str) -> ClientError | None:
    """Return an HTTP status of MLflow as an error with its text; None if the request was done.

    Args:
        code: The status.
        said: MLflow's own words.
        doing: What was asked for, as a verb phrase: "log metrics".

    """
    kind = meaning(code)
    if kind is None:
        return None
    if kind is NotAllowed:
        secret = f"the credentials of the Secret {CONNECTION_SECRET}"
        return NotAllowed(f"MLflow refuses to {doing} ({code}): have {secret} corrected.")
    if kind is NotFound:
        return NotFound(f"MLflow cannot {doing}, it has no such thing: {said}")
    if kind is Unreachable:
        return Unreachable(f"MLflow cannot {doing} now ({code}): {said}")
    return Refused(f"MLflow refuses to {doing}: {said}")


@dataclass(frozen=True)
class Mlflow:
    """MLflow's REST API, at an address that answers from here, with a namespace's own credentials.

    `get` and `post` ask for `api/2.0/mlflow/<path>`, and raise:
        NotFound: MLflow has no such thing.
        NotAllowed: It refuses the credentials of the Secret.
        Refused: It refuses the request.
        Unreachable: It does not answer, or cannot now.

    """

    url: str
    connection: Mapping[str, str] = field(repr=False)

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """Read something."""
        return self._asked(path, f"?{urlencode(query)}", None)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Search for something, or change it."""
        return self._asked(path, "", dict(body))

    def _asked(self, path: str, query: str, body: dict[str, Any] | None) -> dict[str, Any]:
        url = f"{self.url.rstrip('/')}/api/2.0/mlflow/{path}{query}"
        reply = ask(url, body, who="MLflow", seconds=30, headers=self._headers())
        if (error := mlflow_error(reply.code, reply.said, f"answer {path}")) is not None:
            raise error
        return dict(json.loads(reply.body or b"{}"))

    def _headers(self) -> dict[str, str]:
        token, user = (
            self.connection.get("MLFLOW_TRACKING_TOKEN"),
            self.connection.get("MLFLOW_TRACKING_USERNAME"),
        )
        if user:
            pair = f"{user}:{self.connection.get('MLFLOW_TRACKING_PASSWORD', '')}"
            return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        return {"Authorization": f"Bearer {token}"} if token else {}
