"""Conversations with S3 that take more than one request, for a thread. They raise what boto3 raises; `s3` translates."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from modelyard.adapters.offload import Lifeline
from modelyard.api.artifacts import Location, is_folder_mark
from modelyard.api.digest import FileDigest
from modelyard.errors import Forbidden, Unavailable
from modelyard.ports import StoredObject

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ErrorTypeDef, ObjectIdentifierTypeDef

__all__ = ["delete_below", "hash_object", "listed"]

_CHUNK = 1024 * 1024


def listed(client: "S3Client", place: Location, lifeline: Lifeline) -> Iterator[StoredObject]:
    """List the objects below a place, page by page, without the marks that show folders."""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=place.bucket, Prefix=place.prefix):
        lifeline.check()
        for found in page.get("Contents", ()):
            if not is_folder_mark(found["Key"], found["Size"]):
                yield StoredObject(found["Key"].removeprefix(place.prefix), found["Size"], found["ETag"].strip('"'))


def hash_object(place: Location, file: StoredObject) -> "Callable[[S3Client, Lifeline], FileDigest]":
    """Return what streams one object and computes its SHA-256, if it is still the one that was listed."""

    def read(client: "S3Client", lifeline: Lifeline) -> FileDigest:
        digest, size = hashlib.sha256(), 0
        answer = client.get_object(Bucket=place.bucket, Key=place.prefix + file.path, IfMatch=f'"{file.etag}"')
        with closing(answer["Body"]) as body:
            for chunk in body.iter_chunks(_CHUNK):
                lifeline.check()
                digest.update(chunk)
                size += len(chunk)
        if size != file.size:
            raise Unavailable("S3", "read artifacts", f"{place}", "an object came back shorter than it is")
        return FileDigest(file.path, size, digest.hexdigest())

    return read


def delete_below(client: "S3Client", place: Location, lifeline: Lifeline, operation: str) -> None:
    """Delete every object below a place, a thousand at a time; a bucket that is gone has none."""
    try:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=place.bucket, Prefix=place.prefix):
            lifeline.check()
            keys: list[ObjectIdentifierTypeDef] = [{"Key": found["Key"]} for found in page.get("Contents", ())]
            if keys:
                answer = client.delete_objects(Bucket=place.bucket, Delete={"Objects": keys, "Quiet": True})
                _complain(answer.get("Errors", ()), place, operation)
    except client.exceptions.NoSuchBucket:
        return


def _complain(errors: "Sequence[ErrorTypeDef]", place: Location, operation: str) -> None:
    """Tell that the store kept some of them."""
    if any(error.get("Code") == "AccessDenied" for error in errors):
        raise Forbidden("S3", operation, str(place), "the connection's keys may not delete some of the objects")
    if errors:
        raise Unavailable("S3", operation, str(place), f"the store kept {len(errors)} of the objects")
