"""S3 in memory: `modelyard.ports.Store`, and actions of pods and users."""

from __future__ import annotations

import hashlib

from modelyard.adapters.s3_uri import parse_uri
from modelyard.api.artifacts import KEPT, Location, Reach, is_folder_mark, unwritable
from modelyard.api.digest import FileDigest, listing_digest, tree_digest
from modelyard.errors import Conflict, Forbidden, Invalid
from modelyard.ports import ArtifactTree, StoredObject, Usage
from tests.fakes.calls import Call, Calls, Hook

__all__ = ["FakeStore"]


class FakeStore:
    """One tenant's view of an object store; `world` is the store itself, shared by all views.

    Attributes:
        world: Bucket to key to bytes.

    """

    def __init__(
        self,
        bucket: str,
        folder: str,
        shared: frozenset[Location] = frozenset(),
        *,
        world: dict[str, dict[str, bytes]] | None = None,
        calls: Calls | None = None,
    ) -> None:
        self._reach = Reach(bucket, folder, shared)
        self._call = calls or Calls()
        self.world: dict[str, dict[str, bytes]] = {} if world is None else world

    @property
    def reach(self) -> Reach:
        return self._reach

    @property
    def calls(self) -> list[Call]:
        return self._call.log

    @property
    def on_call(self) -> Hook:
        return self._call.on_call

    @on_call.setter
    def on_call(self, hook: Hook) -> None:
        self._call.on_call = hook

    async def create_bucket(self, bucket: str) -> None:
        self._writable(Location(bucket, ""))
        async with self._call("create_bucket", bucket):
            self.world.setdefault(bucket, {})

    async def usage(self, uri: str) -> Usage | None:
        place = self._readable(parse_uri(uri))
        async with self._call("usage", uri):
            if place.bucket not in self.world:
                return None
            found = self._below(place)
            return Usage(len(found), sum(map(len, found.values())))

    async def objects(self, uri: str) -> tuple[StoredObject, ...]:
        place = self._readable(parse_uri(uri))
        async with self._call("objects", uri):
            listed = (
                StoredObject(path, len(data), hashlib.md5(data).hexdigest())
                for path, data in self._below(place).items()
            )
            return tuple(sorted(listed))

    async def digest(self, uri: str) -> ArtifactTree | None:
        place = self._readable(parse_uri(uri))
        async with self._call("digest", uri):
            found = self._below(place)
            if complaint := unwritable(found):
                raise Invalid("S3", "read artifacts", uri, complaint)
            files = [
                FileDigest(path, len(data), hashlib.sha256(data).hexdigest())
                for path, data in found.items()
            ]
            if not files:
                return None
            listing = listing_digest(
                (path, len(data), hashlib.md5(data).hexdigest()) for path, data in found.items()
            )
            return ArtifactTree(
                tree_digest(files), sum(file.size for file in files), len(files), listing
            )

    async def read(self, uri: str, limit: int) -> bytes | None:
        place = self._readable(parse_uri(uri))
        async with self._call("read", uri, limit):
            if not place.key or place.key.endswith("/"):
                return None
            data = self._bucket(place).get(place.key)
            if data is not None and len(data) > limit:
                raise Invalid("S3", "read object", uri, f"it is larger than {limit} bytes")
            return data

    async def create(self, uri: str, content: bytes) -> None:
        place = self._writable(parse_uri(uri))
        if not place.is_below(self._reach.own) or place.key.endswith("/"):
            raise Forbidden("S3", "create object", uri)
        async with self._call("create", uri, content):
            if place.key in self._bucket(place):
                raise Conflict("S3", "create object", uri)
            self.world[place.bucket][place.key] = content

    async def delete_prefix(self, uri: str) -> None:
        place = self._writable(parse_uri(uri))
        if (
            not place.key.startswith(f"{self._reach.folder}/")
            or place.key == f"{self._reach.folder}/"
        ):
            raise Forbidden("S3", "delete artifacts", uri)
        if place.is_below(Location(self._reach.bucket, f"{self._reach.folder}/{KEPT}/")):
            raise Forbidden("S3", "delete artifacts", uri)
        if not place.key.endswith("/"):
            raise Invalid("S3", "delete artifacts", uri)
        async with self._call("delete_prefix", uri):
            bucket = self.world.get(place.bucket, {})
            for key in [key for key in bucket if key.startswith(place.key)]:
                del bucket[key]

    # --- pods and users ---------------------------------------------------------------------------
    def put(self, uri: str, data: bytes) -> None:
        """Store an object under any key; create the bucket if it does not exist."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        self.world.setdefault(bucket, {})[key] = data

    # --- internals
    # ---------------------------------------------------------------------------------------
    def _bucket(self, place: Location) -> dict[str, bytes]:
        if place.bucket not in self.world:
            raise Invalid("S3", "read", str(place))
        return self.world[place.bucket]

    def _below(self, place: Location) -> dict[str, bytes]:
        prefix = place.prefix
        below = {key: data for key, data in self._bucket(place).items() if key.startswith(prefix)}
        return {
            key.removeprefix(prefix): data
            for key, data in below.items()
            if not is_folder_mark(key, len(data))
        }

    def _readable(self, place: Location) -> Location:
        if not self._reach.reads(place):
            raise Forbidden("S3", "read", str(place), self._reach.outside)
        return place

    def _writable(self, place: Location) -> Location:
        if place.bucket != self._reach.bucket:
            raise Forbidden("S3", "write", str(place))
        return place
