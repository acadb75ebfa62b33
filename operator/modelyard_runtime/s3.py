"""Objects in S3: list, read, delete, and stream them to files across broken connections."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from modelyard.api.artifacts import S3Kind, read_s3_error

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = [
    "Denied",
    "Entry",
    "Gone",
    "StoreError",
    "TooLarge",
    "Unreachable",
    "client",
    "entries",
    "listing",
    "read",
    "remove",
    "save",
    "uploading",
]

_CHUNK = 1 << 20
_RESUMES = 5


class StoreError(Exception):
    """StoreError
    +-- Gone          the bucket or object does not exist, or changed while it was read
    +-- Denied        the credentials do not give access
    +-- TooLarge      the object is larger than the caller's limit
    +-- Unreachable   the store does not answer, or the connection breaks repeatedly
    """


class Gone(StoreError):
    """The bucket or object does not exist, or changed while it was read."""


class Denied(StoreError):
    """The credentials do not give access."""


class TooLarge(StoreError):
    """The object is larger than the caller's limit."""


class Unreachable(StoreError):
    """The store does not answer, or the connection breaks repeatedly."""


_MEANS: dict[S3Kind, type[StoreError]] = {
    S3Kind.NO_OBJECT: Gone,
    S3Kind.NO_BUCKET: Gone,
    S3Kind.CHANGED: Gone,
    S3Kind.FORBIDDEN: Denied,
    S3Kind.REDIRECT: Denied,
    S3Kind.REFUSED: Denied,
}


def client(connections: int = 8) -> "S3Client":
    """Return a client for MLFLOW_S3_ENDPOINT_URL (default: AWS), with the environment's keys."""
    import boto3  # noqa: PLC0415 - takes half a second, too long for the model server's start
    from botocore.config import Config  # noqa: PLC0415

    config = Config(
        connect_timeout=5,
        read_timeout=30,
        retries={"total_max_attempts": 3, "mode": "standard"},
        max_pool_connections=connections,
        s3={"addressing_style": "path"} if os.environ.get("MLFLOW_S3_ENDPOINT_URL") else {},
    )
    region = os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION") or "us-east-1"
    return boto3.client(
        "s3",
        endpoint_url=os.environ.get("MLFLOW_S3_ENDPOINT_URL") or None,
        region_name=region,
        config=config,
    )


class Entry(NamedTuple):
    """One object of a listing; its ETag is without quotes, and empty if the store gives none."""

    key: str
    size: int
    etag: str


def listing(store: "S3Client", bucket: str, prefix: str) -> Iterator[tuple[str, int]]:
    """Yield key and size in bytes of every object under a prefix.

    Raises:
        StoreError: It cannot be listed.

    """
    return ((each.key, each.size) for each in entries(store, bucket, prefix))


def entries(store: "S3Client", bucket: str, prefix: str) -> Iterator[Entry]:
    """Yield every object under a prefix.

    Raises:
        StoreError: It cannot be listed.

    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        for page in store.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", ()):
                yield Entry(entry["Key"], entry["Size"], entry.get("ETag", "").strip('"'))
    except (BotoCoreError, ClientError) as error:
        raise _translated(error, f"s3://{bucket}/{prefix}") from error


def read(store: "S3Client", bucket: str, key: str, limit: int, etag: str = "") -> bytes:
    """Return an object's bytes.

    Args:
        store: From `client`.
        bucket: The object's bucket.
        key: The object's key.
        limit: Bytes to read at most.
        etag: The ETag that it must have; empty: any.

    Raises:
        StoreError: It cannot be read to its end; `TooLarge` if it is larger than the limit.

    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    content = bytearray()
    try:
        more: dict[str, Any] = {"IfMatch": f'"{etag}"'} if etag else {}
        with closing(store.get_object(Bucket=bucket, Key=key, **more)["Body"]) as body:
            for chunk in body.iter_chunks(_CHUNK):
                content += chunk
                if len(content) > limit:
                    raise TooLarge(f"s3://{bucket}/{key} is larger than {limit} bytes")
    except (BotoCoreError, ClientError) as error:
        raise _translated(error, f"s3://{bucket}/{key}") from error
    return bytes(content)


def remove(store: "S3Client", bucket: str, keys: list[str]) -> None:
    """Delete up to 1000 objects; a missing object is no error.

    Raises:
        StoreError: Some are not deleted.

    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        answer = store.delete_objects(
            Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
        )
    except (BotoCoreError, ClientError) as error:
        raise _translated(error, f"s3://{bucket}/{keys[0]}") from error
    if left := answer.get("Errors"):
        what = (
            f"{len(left)} of {len(keys)} objects, such as s3://{bucket}/{left[0].get('Key')}, are"
            f" not deleted ({left[0].get('Code')})"
        )
        raise Denied(what) if left[0].get("Code") == "AccessDenied" else Unreachable(what)


def save(
    store: "S3Client", bucket: str, key: str, target: Path, arrived: Callable[[int], None]
) -> tuple[str, int]:
    """Stream an object into a file and return the SHA-256 of its bytes in hex and their number.

    After a broken connection the download resumes where it broke, if the object has not changed.

    Args:
        store: From `client`.
        bucket: The object's bucket.
        key: The object's key.
        target: The file, which is overwritten.
        arrived: Called with the number of bytes of each piece; its exceptions end the stream.

    Raises:
        StoreError: It cannot be read to its end.
        OSError: The file cannot be written.

    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    digest, size, etag = hashlib.sha256(), 0, ""
    with target.open("wb") as file:
        for resume in range(_RESUMES + 1):
            try:
                more: dict[str, Any] = {"Range": f"bytes={size}-", "IfMatch": etag} if size else {}
                answer = store.get_object(Bucket=bucket, Key=key, **more)
                etag = answer["ETag"]
                for chunk in answer["Body"].iter_chunks(_CHUNK):
                    digest.update(chunk)
                    size += file.write(chunk)
                    arrived(len(chunk))
                return digest.hexdigest(), size
            except (BotoCoreError, ClientError) as error:
                translated = _translated(error, f"s3://{bucket}/{key}")
                if resume == _RESUMES or not size or not isinstance(translated, Unreachable):
                    raise translated from error
    raise AssertionError("unreachable")


@contextmanager
def uploading(what: str) -> Iterator[None]:
    """Turn what boto3 raises while MLflow uploads `what` into a StoreError."""
    from boto3.exceptions import Boto3Error  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        yield
    except (Boto3Error, BotoCoreError, ClientError) as error:
        # `upload_file` raises its own exception while it handles the one with the store's answer.
        inner = error.__context__ if isinstance(error, Boto3Error) else None
        raise _translated(inner if isinstance(inner, Exception) else error, what) from error


def _translated(error: Exception, what: str) -> StoreError:
    """Return botocore's error about `what` as a StoreError."""
    response = getattr(error, "response", None)
    if response is None:
        no_keys = type(error).__name__ in {"NoCredentialsError", "PartialCredentialsError"}
        return (Denied if no_keys else Unreachable)(f"{what}: {error}")
    answer = read_s3_error(response)
    return _MEANS.get(answer.kind, Unreachable)(f"{what}: {answer.detail}")
