"""Count and delete the objects under a prefix in S3.

`things.place` decides which prefixes may be deleted. In a versioned bucket the bytes remain until
the bucket's lifecycle rule expires them.
"""

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from modelyard.api.artifacts import Location
from modelyard_runtime import s3

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["Artifacts"]

_BATCH = 1000  # S3's limit for one deletion request


class Artifacts:
    """One S3."""

    def __init__(self, client: "S3Client") -> None:
        """Keep the client."""
        self._client = client

    def size(self, prefix: Location) -> tuple[int, int]:
        """Return the number and the total size in bytes of the objects under a prefix.

        Raises:
            StoreError: S3 cannot list them. A missing bucket is an error too, because this may be
                the wrong S3.

        """
        sizes = [size for _, size in s3.listing(self._client, prefix.bucket, prefix.key)]
        return len(sizes), sum(sizes)

    def remove(self, prefix: Location) -> tuple[int, int]:
        """Delete all objects under a prefix; return their number and total size in bytes.

        Raises:
            StoreError: Some are not deleted. It is no error if there are none.

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
