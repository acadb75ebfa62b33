"""Translate MLflow's error answers and failed connections.

No body of an answer reaches a message. Refused and filtered connections have the same message,
because a tenant chooses the address and reads the message: it must not serve as a port scanner.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from modelyard.adapters.bounds import SMALL
from modelyard.adapters.instrument import Missing
from modelyard.api.addresses import DENIED
from modelyard.errors import Conflict, Forbidden, Invalid, ModelyardError, Unavailable

__all__ = ["DEPENDENCY", "NO_ANSWER", "Ask", "Denied", "broken", "refusal"]

DEPENDENCY: Final = "MLflow"
NO_ANSWER = (
    "nothing answers at its address; check that MLflow runs and that MLFLOW_TRACKING_URI names it"
)
_UNKNOWN = "its host name is not known; check MLFLOW_TRACKING_URI"

_CONFLICTS = frozenset(
    {"RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS", "RESOURCE_CONFLICT", "ABORTED"}
)
_MISSING = frozenset({"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"})
# MLflow also answers 500 when it understands a request but refuses it because of an object's state.
_REFUSED = frozenset({"INVALID_STATE", "INVALID_PARAMETER_VALUE", "BAD_REQUEST", "NOT_IMPLEMENTED"})


class Denied(OSError):
    """The operator does not connect to this address; nothing was sent."""


@dataclass(frozen=True)
class Ask:
    """Describes a request in error messages.

    Attributes:
        operation: One of a few fixed texts, since it is a metric label.
        subject: The name of the object.
        hint: The detail if MLflow refuses the values.

    """

    operation: str
    subject: str
    hint: str = "MLflow refuses the values"


def broken(ask: Ask, later: type[Unavailable], error: Exception) -> Unavailable:
    """Translate a failed connection."""
    if isinstance(error, aiohttp.InvalidURL):
        return Unavailable(DEPENDENCY, ask.operation, ask.subject, _UNKNOWN)
    if isinstance(error, aiohttp.ClientConnectorError):
        # Nothing was sent: even a write is not ambiguous.
        return Unavailable(DEPENDENCY, ask.operation, ask.subject, _unreachable(error))
    return later(DEPENDENCY, ask.operation, ask.subject, "the connection broke")


def _unreachable(error: aiohttp.ClientConnectorError) -> str:
    """Return why nothing was sent."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "its TLS certificate is not trusted; give the operator the authority that signed it"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return _UNKNOWN
    return DENIED if isinstance(error.os_error, Denied) else NO_ANSWER


def _code(content: bytes | bytearray) -> str | None:
    """Return MLflow's error code; None if something else than MLflow answered."""
    try:
        found: Any = json.loads(content) if len(content) <= SMALL else None
        code = found["error_code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return code if isinstance(code, str) else None


def refusal(
    ask: Ask, status: int, content: bytes | bytearray, later: type[Unavailable]
) -> ModelyardError:
    """Translate an answer that is not a success."""
    code = _code(content)
    kind: type[ModelyardError]
    if status in {401, 403}:
        kind, detail = Forbidden, _forbidden(status, code)
    elif 300 <= status < 400:
        kind, detail = (
            Invalid,
            "answers with a redirect; write the final address into MLFLOW_TRACKING_URI",
        )
    elif status == 404 and code is None:
        # A proxy whose backend is down answers 404 too, so this never means that an object is
        # missing.
        kind, detail = Unavailable, "no MLflow answers at this path; check MLFLOW_TRACKING_URI"
    elif code in _MISSING:
        kind, detail = Missing, "MLflow has no such object"
    elif code in _CONFLICTS or status == 409:
        kind, detail = Conflict, "the name is taken already, or the object was changed meanwhile"
    elif code in _REFUSED or (400 <= status < 500 and status not in {408, 425, 429, 499}):
        kind, detail = Invalid, ask.hint
    else:
        kind, detail = later, f"answered {status}"
    return kind(DEPENDENCY, ask.operation, ask.subject, detail)


def _forbidden(status: int, code: str | None) -> str:
    if status == 401:
        return "MLflow does not accept the user and password, or the token, of the connection"
    if code is None:
        return (
            "refused (403); if the credentials are right, MLflow does not know this host name:"
            " start it with --allowed-hosts"
        )
    return "the connection's user may not do this in MLflow"
