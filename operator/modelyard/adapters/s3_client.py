"""Create S3 clients, and translate what they raise."""

import logging
import os
import ssl
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import boto3
import botocore.config
import botocore.configprovider
import botocore.exceptions
import botocore.session
import urllib3.exceptions

from modelyard.adapters.bounds import Limits, TooLarge
from modelyard.adapters.instrument import Missing
from modelyard.adapters.s3_http import Denied, Redirected, Session
from modelyard.api.addresses import DENIED
from modelyard.api.artifacts import S3Kind, read_s3_error
from modelyard.errors import Ambiguous, Conflict, Forbidden, Invalid, ModelyardError, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["BLOCKING_ERRORS", "Clients", "Keys", "Opened", "strange", "translate"]

_DEPENDENCY: Final = "S3"
_CONNECT = 5
_READ = 10

_NOT_S3S = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    OverflowError,
    RecursionError,
)
BLOCKING_ERRORS = (
    botocore.exceptions.BotoCoreError,
    botocore.exceptions.ClientError,
    urllib3.exceptions.HTTPError,
    OSError,
    TooLarge,
    Redirected,
    *_NOT_S3S,
)
"""What a call of boto3 may raise for external reasons; `translate` translates them.

boto3 parses numbers and times of an answer without checks: an invalid one is a ValueError.
"""


@dataclass(frozen=True)
class Keys:
    """The address of one tenant's S3, and the credentials."""

    endpoint: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    region: str = "us-east-1"


class Opened(NamedTuple):
    """A client, and the session that sends its requests."""

    client: "S3Client"
    session: Session

    def close(self) -> None:
        """Close the connections that no call uses."""
        self.client.close()
        self.session.close()


class Clients:
    """Creates clients from explicit keys only: no environment, no file, no metadata service."""

    def __init__(self, ca_bundle: str | None = None, *, limits: Limits | None = None) -> None:
        """Prepare; botocore's description of S3 (some MB) is loaded with the first client.

        Args:
            ca_bundle: A file of certificate authorities to trust; None: OpenSSL's, which respects
                `SSL_CERT_FILE`.
            limits: Permitted addresses, and limits on answers.

        """
        self.limits = limits or Limits()
        # At DEBUG botocore logs whole requests, including session tokens.
        logging.getLogger("botocore").setLevel(logging.INFO)
        self._verify: str | bool = ca_bundle or ssl.get_default_verify_paths().cafile or True
        # Sessions are not thread-safe while they create a client; clients are.
        self._lock = threading.Lock()
        self._session: boto3.Session | None = None

    def make(self, keys: Keys, connections: int) -> Opened:
        """Create a client. The first call blocks for some 100 ms, so call it in a thread.

        Args:
            keys: The tenant's keys.
            connections: Maximum concurrent calls.

        """
        with self._lock:
            if self._session is None:
                self._session = boto3.Session(
                    botocore_session=_isolated_session(), region_name=keys.region
                )
            client = self._session.client(
                "s3",
                endpoint_url=keys.endpoint,
                region_name=keys.region,
                aws_access_key_id=keys.access_key,
                aws_secret_access_key=keys.secret_key,
                aws_session_token=keys.session_token or None,
                verify=self._verify,
                config=botocore.config.Config(
                    retries={"total_max_attempts": 1, "mode": "standard"},
                    s3={"addressing_style": "path"},
                    signature_version="s3v4",
                    # Not every store knows the newer checksums.
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                ),
            )
        session = Session(
            self.limits.addresses,
            self.limits.bounds,
            connect=_CONNECT,
            read=_READ,
            verify=self._verify,
            max_pool_connections=connections,
        )
        client.meta.events.register("before-send.s3", session.answer)
        return Opened(client, session)


def _isolated_session() -> botocore.session.Session:
    """Return a session that ignores the environment and the user's configuration files."""
    session = botocore.session.Session()
    store = session.get_component("config_store")
    chains = botocore.configprovider.ConfigChainFactory(session=session, environ={})
    files = {"config_file": os.devnull, "credentials_file": os.devnull}
    for name, (
        _,
        _,
        default,
        convert,
    ) in botocore.configprovider.BOTOCORE_DEFAUT_SESSION_VARIABLES.items():
        value = files.get(name, default)
        store.set_config_provider(
            name,
            chains.create_config_chain(instance_name=name, default=value, conversion_func=convert),
        )
    return session


# --- errors ---------------------------------------------------------------------------------------
_ELSEWHERE = "check MLFLOW_S3_ENDPOINT_URL and the region"
_MEANS: dict[S3Kind, tuple[type[ModelyardError], str]] = {
    S3Kind.NO_OBJECT: (Missing, ""),
    S3Kind.NO_BUCKET: (Invalid, "create it or correct MODELYARD_BUCKET"),
    S3Kind.CHANGED: (Unavailable, ""),
    S3Kind.FORBIDDEN: (Forbidden, ""),
    S3Kind.TAKEN: (Conflict, ""),
    S3Kind.NOT_S3: (Unavailable, "check the store and MLFLOW_S3_ENDPOINT_URL"),
    S3Kind.REDIRECT: (Invalid, _ELSEWHERE),
    S3Kind.REFUSED: (Invalid, ""),
}
"""The error for each answer, and what to do. After any other answer, a write may have happened."""


def translate(error: BaseException, operation: str, subject: str, *, write: bool) -> ModelyardError:
    """Translate what boto3 raised.

    An unclear answer to a write is `Ambiguous`; a missing object is `Missing`.
    """
    later: type[Unavailable] = Ambiguous if write else Unavailable
    if isinstance(error, botocore.exceptions.ClientError):
        answer = read_s3_error(error.response)
        kind, todo = _MEANS.get(answer.kind, (later, ""))
        return kind(
            _DEPENDENCY, operation, subject, f"{answer.detail}; {todo}" if todo else answer.detail
        )
    if isinstance(error, TooLarge):
        return (Ambiguous if write else Invalid)(_DEPENDENCY, operation, subject, str(error))
    if isinstance(error, Redirected):
        return Invalid(
            _DEPENDENCY, operation, subject, f"the store answers with a redirect; {_ELSEWHERE}"
        )
    if isinstance(error, botocore.exceptions.EndpointConnectionError) and isinstance(
        error.kwargs.get("error"), Denied
    ):
        return Unavailable(_DEPENDENCY, operation, subject, DENIED)
    if isinstance(
        error, botocore.exceptions.ConnectTimeoutError | botocore.exceptions.EndpointConnectionError
    ):
        return Unavailable(
            _DEPENDENCY,
            operation,
            subject,
            "nothing answers at its address; check the store and MLFLOW_S3_ENDPOINT_URL",
        )
    if isinstance(error, botocore.exceptions.SSLError):
        return Unavailable(
            _DEPENDENCY,
            operation,
            subject,
            "its TLS certificate is not trusted; give the operator the authority that signed it",
        )
    if isinstance(error, botocore.exceptions.ParamValidationError):
        return Invalid(_DEPENDENCY, operation, subject, "the name is not allowed")
    if isinstance(error, botocore.exceptions.ReadTimeoutError):
        return later(_DEPENDENCY, operation, subject, f"no answer within {_READ} s")
    if isinstance(error, _NOT_S3S):
        return later(
            _DEPENDENCY,
            operation,
            subject,
            "its address answers, but not like S3; check MLFLOW_S3_ENDPOINT_URL",
        )
    return later(_DEPENDENCY, operation, subject, "the connection broke")


def strange(error: BaseException) -> bool:
    """Return whether something else than S3 answered "not found", such as a proxy without backend.

    That answer is never taken as S3's, and its connection is not used again: the same peer would
    answer for as long as it stays open.
    """
    return (
        isinstance(error, botocore.exceptions.ClientError)
        and read_s3_error(error.response).kind is S3Kind.NOT_S3
    )
