"""Taking away what lies below a prefix in S3. Which prefixes those may be does not belong here:
`things.place` says it.

In a bucket with versions the bytes stay until the bucket's own lifecycle rule ends them.
"""

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from modelyard.api.artifacts import Location
from modelyard_runtime import s3

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["Artifacts"]

_BATCH = 1000  # what S3 deletes at a time


class Artifacts:
    """One S3."""

    def __init__(self, client: "S3Client") -> None:
        """Keep the client."""
        self._client = client

    def size(self, prefix: Location) -> tuple[int, int]:
        """Return how many objects lie below a prefix, and their bytes.

        Raises:
            StoreError: S3 does not say; a bucket that is not there is an error too, for it may be
                the wrong S3.

        """
        sizes = [size for _, size in s3.listing(self._client, prefix.bucket, prefix.key)]
        return len(sizes), sum(sizes)

    def remove(self, prefix: Location) -> tuple[int, int]:
        """Delete all objects below a prefix; return how many there were, and their bytes. None is
        no error.

        Raises:
            StoreError: Something is left.

        """
        assert prefix.key.endswith("/")
        assert len(prefix.key) > 1
        objects = total = 0
        for batch in _batches(s3.listing(self._client, prefix.bucket, prefix.key)):
            s3.remove(self._client, prefix.bucket, [key for key, _ in batch])
            objects += len(batch)
            total += sum(size for _, size in batch)
        return objects, total


def _batches(entries: Iterator[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    while batch := list(islice(entries, _BATCH)):
        yield batch
