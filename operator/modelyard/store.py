"""The port to a tenant's S3, and its values."""

from dataclasses import dataclass
from typing import Protocol

__all__ = ["ArtifactTree", "Store", "StoredObject", "Usage"]


@dataclass(frozen=True)
class Usage:
    """Number and size of the objects below a prefix; if not `complete`, a lower bound."""

    objects: int
    bytes: int
    complete: bool = True


@dataclass(frozen=True, order=True)
class StoredObject:
    """One object below a prefix: its relative path, its size in bytes and its ETag."""

    path: str
    size: int
    etag: str


@dataclass(frozen=True)
class ArtifactTree:
    """A fully read artifact tree: digest, size in bytes, number of files, listing digest."""

    digest: str
    bytes: int
    files: int
    listing_digest: str = ""


class Store(Protocol):
    """One tenant's S3. URIs are `s3://<bucket>/<key>`; `Forbidden` outside the tenant's reach."""

    async def create_bucket(self, bucket: str) -> None:
        """Create a bucket; one that the tenant already owns is no error."""
        ...

    async def usage(self, uri: str) -> Usage | None:
        """Count the objects below a prefix, up to a million; None if the bucket does not exist."""
        ...

    async def objects(self, uri: str) -> tuple[StoredObject, ...]:
        """List the objects below a prefix, sorted by path."""
        ...

    async def digest(self, uri: str) -> ArtifactTree | None:
        """Read every object below a prefix and compute the tree's digest; None if there is none."""
        ...

    async def read(self, uri: str, limit: int) -> bytes | None:
        """Read one object of at most `limit` bytes, or None; `Invalid` if it is larger."""
        ...

    async def create(self, uri: str, content: bytes) -> None:
        """Store a new object in the namespace's own folder; `Conflict` if it already exists."""
        ...

    async def delete_prefix(self, uri: str) -> None:
        """Delete all objects below a prefix, which ends with a slash."""
        ...
