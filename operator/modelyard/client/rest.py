"""HTTP to those whom a way leads to: a model, MLflow's REST API. JSON both ways.

What an answer means, beyond whether there is one, does not belong here.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from modelyard.client.errors import NotAllowed, NotFound, Refused, Unreachable

__all__ = ["Mlflow", "Reply", "ask"]


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
        found = content.get("error") or content.get("message") if isinstance(content, dict) else None
        return str(found or content)[:1000]


def ask(url: str, body: Any = None, *, who: str, seconds: float, headers: Mapping[str, str] | None = None, method: str = "") -> Reply:
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

    # A proxy of the environment is for the world outside, not for a port of this machine.
    outside = urlsplit(url).hostname not in {"127.0.0.1", "localhost", "::1"}
    try:
        with httpx.Client(timeout=seconds, trust_env=outside) as client:
            answer = client.request(method or ("GET" if body is None else "POST"), url, json=body, headers=dict(headers or {}))
    except (httpx.TransportError, OSError) as error:
        raise Unreachable(f"{who} does not answer: {str(error) or type(error).__name__}") from error
    return Reply(answer.status_code, {key.lower(): value for key, value in answer.headers.items()}, answer.content)


@dataclass(frozen=True)
class Mlflow:
    """MLflow's REST API, at an address that answers from here, with a namespace's own credentials."""

    url: str
    connection: Mapping[str, str] = field(repr=False)

    def ask(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST to `api/2.0/mlflow/<path>`.

        Raises:
            NotFound: MLflow has no such thing.
            NotAllowed: It refuses the credentials of the Secret.
            Refused: It refuses the request.
            Unreachable: It does not answer.

        """
        reply = ask(f"{self.url.rstrip('/')}/api/2.0/mlflow/{path}", dict(body), who="MLflow", seconds=30, headers=self._headers())
        if reply.code in {401, 403}:
            raise NotAllowed(f"MLflow refuses the credentials of the Secret modelyard-connection ({reply.code}): have them corrected.")
        if reply.code == 404:
            raise NotFound(f"MLflow has no such thing: {reply.said}")
        if reply.code >= 500 or reply.code == 429:
            raise Unreachable(f"MLflow cannot answer now ({reply.code}): {reply.said}")
        if reply.code >= 300:
            raise Refused(f"MLflow refuses {path}: {reply.said}")
        return dict(json.loads(reply.body or b"{}"))

    def _headers(self) -> dict[str, str]:
        token, user = self.connection.get("MLFLOW_TRACKING_TOKEN"), self.connection.get("MLFLOW_TRACKING_USERNAME")
        if user:
            pair = f"{user}:{self.connection.get('MLFLOW_TRACKING_PASSWORD', '')}"
            return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        return {"Authorization": f"Bearer {token}"} if token else {}
