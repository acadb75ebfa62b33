"""HTTP with JSON, to a model server or MLflow's REST API, and its status codes as errors."""

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
    """A response: status code, headers (names in lower case), body."""

    code: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def error_text(self) -> str:
        """The text of an error, from the fields that the protocols have for it."""
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
    """Send one request, and return the response, whatever its status code is.

    Args:
        url: The URL.
        body: The body, sent as JSON; None sends a GET, else a POST.
        who: What is asked, for the error: "The model fraud in production".
        seconds: Timeout of each phase: connecting, sending, waiting for bytes.
        headers: Additional headers.
        method: The method, instead of GET or POST.

    Raises:
        Unreachable: There is no response.

    """
    import httpx  # noqa: PLC0415 - imported on first use (decision 0010)

    # With an explicit transport httpx ignores the environment's proxies.
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
    """Return the error class of an HTTP status of MLflow or a model server; None for a success."""
    if code in {401, 403}:
        return NotAllowed
    if code == 404:
        return NotFound
    if code >= 500 or code in {408, 429}:
        return Unreachable
    return Refused if code >= 300 else None


def mlflow_error(code: int, error_text: str, doing: str) -> ClientError | None:
    """Return an HTTP status of MLflow as an error with its text; None for a success.

    Args:
        code: The HTTP status.
        error_text: The text that MLflow gave.
        doing: What was asked for, as a verb phrase: "log metrics".

    """
    kind = meaning(code)
    if kind is None:
        return None
    if kind is NotAllowed:
        secret = f"the credentials of the Secret {CONNECTION_SECRET}"
        return NotAllowed(f"MLflow refuses to {doing} ({code}): have {secret} corrected.")
    if kind is NotFound:
        return NotFound(f"MLflow cannot {doing}: not found: {error_text}")
    if kind is Unreachable:
        return Unreachable(f"MLflow cannot {doing} now ({code}): {error_text}")
    return Refused(f"MLflow refuses to {doing}: {error_text}")


@dataclass(frozen=True)
class Mlflow:
    """MLflow's REST API, with a namespace's credentials.

    `get` and `post` send requests to `api/2.0/mlflow/<path>`.

    Attributes:
        url: MLflow's URL, as this machine reaches it.
        connection: The values of the connection's Secret.

    Raises:
        NotFound: MLflow does not have the object.
        NotAllowed: MLflow refuses the credentials of the Secret.
        Refused: MLflow refuses the request.
        Unreachable: MLflow does not answer, or cannot answer now.

    """

    url: str
    connection: Mapping[str, str] = field(repr=False)

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """Send a GET request with a query, and return the response."""
        return self._asked(path, f"?{urlencode(query)}", None)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send a POST request, which searches or changes, and return the response."""
        return self._asked(path, "", dict(body))

    def _asked(self, path: str, query: str, body: dict[str, Any] | None) -> dict[str, Any]:
        url = f"{self.url.rstrip('/')}/api/2.0/mlflow/{path}{query}"
        reply = ask(url, body, who="MLflow", seconds=30, headers=self._headers())
        if (error := mlflow_error(reply.code, reply.error_text, f"answer {path}")) is not None:
            raise error
        return dict(json.loads(reply.body or b"{}"))

    def _headers(self) -> dict[str, str]:
        token = self.connection.get("MLFLOW_TRACKING_TOKEN")
        user = self.connection.get("MLFLOW_TRACKING_USERNAME")
        if user:
            pair = f"{user}:{self.connection.get('MLFLOW_TRACKING_PASSWORD', '')}"
            return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        return {"Authorization": f"Bearer {token}"} if token else {}
