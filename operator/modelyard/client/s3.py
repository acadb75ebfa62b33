"""An S3 client with a namespace's keys, and S3's errors as ClientErrors."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from modelyard.api.artifacts import S3Kind, read_s3_error
from modelyard.api.pod_end import PodReason
from modelyard.client.errors import ClientError, Failed, NotAllowed, Unreachable
from modelyard.client.packages import need
from modelyard.client.proxies import never_by_proxy

__all__ = ["STREAMS", "s3_client", "s3_errors"]

STREAMS = 8
"""Requests to S3 in parallel."""


def s3_client(connection: Mapping[str, str], what: str) -> Any:
    """Return an S3 client with a namespace's keys; the environment and ~/.aws are ignored.

    Args:
        connection: The values of the connection's Secret.
        what: What needs it, for the error: "Downloading a model".

    Raises:
        Missing: boto3 is not installed.

    """
    endpoint = connection["MLFLOW_S3_ENDPOINT_URL"]
    boto3, config = need("boto3", what), need("botocore.config", what)
    return boto3.session.Session(
        aws_access_key_id=connection["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=connection["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=connection.get("AWS_SESSION_TOKEN") or None,
        region_name=connection.get("AWS_DEFAULT_REGION") or "us-east-1",
    ).client(
        "s3",
        endpoint_url=endpoint,
        config=config.Config(
            connect_timeout=5,
            read_timeout=30,
            retries={"total_max_attempts": 3, "mode": "standard"},
            max_pool_connections=STREAMS,
            # None: the proxies of the environment.
            proxies={} if never_by_proxy(endpoint) else None,
            s3={"addressing_style": "path"},
        ),
    )


@contextmanager
def s3_errors(subject: str, what: str) -> Iterator[None]:
    """Raise S3's errors about a subject as ClientErrors."""
    vendor = need("botocore.exceptions", what)
    try:
        yield
    except (vendor.BotoCoreError, vendor.ClientError) as error:
        raise _translated(error, subject) from error


def _translated(error: Exception, what: str) -> ClientError:
    answer = read_s3_error(getattr(error, "response", {}))
    if answer.kind is S3Kind.CHANGED:
        return Failed(
            what,
            PodReason.DIGEST_MISMATCH,
            "it changed during the download: it is not what was registered.",
        )
    if answer.kind in {S3Kind.NO_OBJECT, S3Kind.NO_BUCKET}:
        return Failed(what, PodReason.ARTIFACT_MISSING, f"{answer.detail}.")
    if answer.kind is S3Kind.NOT_S3:
        return Unreachable(
            "No S3 answers at the address in the Secret modelyard-connection. The bytes that have"
            " arrived stay. Call again to continue."
        )
    if answer.kind in {S3Kind.FORBIDDEN, S3Kind.REDIRECT, S3Kind.REFUSED}:
        return NotAllowed(
            f"S3 refuses the Secret modelyard-connection: {answer.detail}. Have it corrected."
        )
    return Unreachable(
        f"S3 does not answer: {error}. The bytes that have arrived stay. Call again to continue."
    )
