"""Blocking calls of S3, for a thread. They raise boto3's errors; `s3` translates them."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from modelyard.adapters.bounds import Bounds, Room, TooLarge
from modelyard.adapters.offload import CancelToken
from modelyard.adapters.s3_http import STEP
from modelyard.api.artifacts import Location, S3Kind, is_folder_mark, read_s3_error
from modelyard.api.digest import FileDigest
from modelyard.errors import Conflict, Forbidden, Invalid, Unavailable
from modelyard.ports import StoredObject, Usage

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import (
        ErrorTypeDef,
        ListObjectsV2OutputTypeDef,
        ObjectIdentifierTypeDef,
    )

__all__ = ["counted", "create_object", "delete_below", "hash_object", "listed", "read_object"]

_LARGEST = 2**50
"""Maximum bytes of an object; S3's own limit is far below."""


def pages(
    client: "S3Client", place: Location, token: CancelToken
) -> "Iterator[ListObjectsV2OutputTypeDef]":
    """List the objects below a place, page by page."""
    for page in client.get_paginator("list_objects_v2").paginate(
        Bucket=place.bucket, Prefix=place.prefix
    ):
        token.check()
        yield page


def stored(page: "ListObjectsV2OutputTypeDef", place: Location) -> Iterator[StoredObject]:
    """Return a page's objects, without the empty ones that show folders.

    Raises:
        KeyError: A key, a size or an ETag is missing.
        ValueError: A size is impossible.

    """
    for found in page.get("Contents", ()):
        size = found["Size"]
        if not 0 <= size <= _LARGEST:
            raise ValueError("no object has such a size")
        if not is_folder_mark(found["Key"], size):
            yield StoredObject(
                found["Key"].removeprefix(place.prefix), size, found["ETag"].strip('"')
            )


def listed(
    client: "S3Client", place: Location, token: CancelToken, bounds: Bounds
) -> list[StoredObject]:
    """List the objects below a place.

    Raises:
        TooLarge: There are more objects than a model can have.
        Unavailable: The listing did not end within the limits.

    """
    found: list[StoredObject] = []
    room = Room(bounds)
    for count, page in enumerate(pages(client, place, token)):
        for each in stored(page, place):
            room.take(each.path, each.etag)
            found.append(each)
        if len(found) > bounds.objects:
            raise TooLarge(
                f"it has more than {bounds.objects} objects, which is the maximum of a model"
            )
        if count >= bounds.pages:
            raise Unavailable(
                "S3",
                "list objects",
                str(place),
                f"the listing did not end within {bounds.pages} pages",
            )
    return found


def counted(client: "S3Client", place: Location, token: CancelToken, bounds: Bounds) -> Usage:
    """Count the objects below a place, within the limits."""
    objects = size = 0
    for count, page in enumerate(pages(client, place, token)):
        for each in stored(page, place):
            objects, size = objects + 1, size + each.size
        if count + 1 >= bounds.pages and page.get("IsTruncated"):
            return Usage(objects, size, complete=False)
    return Usage(objects, size)


def read_object(client: "S3Client", place: Location, limit: int, token: CancelToken) -> bytes:
    """Read one object, whatever size the store announces.

    Raises:
        Invalid: It is longer than `limit` bytes.

    """
    answer = client.get_object(Bucket=place.bucket, Key=place.key)
    content = bytearray()
    with closing(answer["Body"]) as body:
        for chunk in body.iter_chunks(STEP):
            token.check()
            content += chunk
            if len(content) > limit:
                raise Invalid("S3", "read object", str(place), f"it is larger than {limit} bytes")
    return bytes(content)


def create_object(client: "S3Client", place: Location, content: bytes, operation: str) -> None:
    """Store one object unless one exists there.

    Raises:
        Conflict: An object exists there.

    """
    try:
        client.put_object(
            Bucket=place.bucket,
            Key=place.key,
            Body=content,
            IfNoneMatch="*",
            ContentType="application/json",
        )
    except client.exceptions.ClientError as error:
        if read_s3_error(error.response).kind is S3Kind.CHANGED:
            raise Conflict("S3", operation, str(place), "an object exists there already") from None
        raise


def hash_object(
    place: Location, file: StoredObject
) -> "Callable[[S3Client, CancelToken], FileDigest]":
    """Return a function that streams one object, as it was listed, and computes its SHA-256."""

    def read(client: "S3Client", token: CancelToken) -> FileDigest:
        digest, size = hashlib.sha256(), 0
        answer = client.get_object(
            Bucket=place.bucket, Key=place.prefix + file.path, IfMatch=f'"{file.etag}"'
        )
        with closing(answer["Body"]) as body:
            for chunk in body.iter_chunks(STEP):
                token.check()
                digest.update(chunk)
                size += len(chunk)
                if size > file.size:
                    break
        if size != file.size:
            raise Unavailable(
                "S3",
                "read artifacts",
                f"{place}",
                "an object's size differs from the listing",
            )
        return FileDigest(file.path, size, digest.hexdigest())

    return read


def delete_below(client: "S3Client", place: Location, token: CancelToken, operation: str) -> None:
    """Delete every object below a place, a thousand at a time; a missing bucket is no error."""
    try:
        for page in pages(client, place, token):
            keys: list[ObjectIdentifierTypeDef] = [
                {"Key": found["Key"]} for found in page.get("Contents", ())
            ]
            if keys:
                answer = client.delete_objects(
                    Bucket=place.bucket, Delete={"Objects": keys, "Quiet": True}
                )
                _check_deleted(answer.get("Errors", ()), place, operation)
    except client.exceptions.NoSuchBucket:
        return


def _check_deleted(errors: "Sequence[ErrorTypeDef]", place: Location, operation: str) -> None:
    """Raise if the store did not delete some of the objects."""
    if any(error.get("Code") == "AccessDenied" for error in errors):
        raise Forbidden(
            "S3", operation, str(place), "the connection's keys may not delete some of the objects"
        )
    if errors:
        raise Unavailable(
            "S3", operation, str(place), f"the store did not delete {len(errors)} of the objects"
        )
