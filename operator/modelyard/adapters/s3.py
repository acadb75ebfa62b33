"""One tenant's S3: `ports.Store` on boto3, in threads that a deadline watches.

Making clients and translating errors does not belong here (`s3_client`), nor the rules for URIs and
paths (`api.artifacts`).
"""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from modelyard.adapters.instrument import CallTimer, Missing
from modelyard.adapters.offload import CancelToken, Pool, Share
from modelyard.adapters.s3_blocking import (
    counted,
    create_object,
    delete_below,
    hash_object,
    listed,
    read_object,
)
from modelyard.adapters.s3_client import BLOCKING_ERRORS, Clients, Keys, Opened, strange, translate
from modelyard.adapters.s3_uri import parse_uri
from modelyard.api.artifacts import KEPT, Location, Reach, unwritable
from modelyard.api.digest import FileDigest, listing_digest, tree_digest
from modelyard.errors import Forbidden, Invalid, Unavailable
from modelyard.ports import ArtifactTree, StoredObject, Usage

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["S3", "Deadlines", "parse_uri"]

T = TypeVar("T")

_CALLS = 8
_DIGESTS = 4


@dataclass(frozen=True)
class Deadlines:
    """Seconds that a call may take, from waiting for a thread to its end.

    Attributes:
        call: One request.
        listing: A listing, or a deletion by prefix: as many requests as there are thousands of
            objects.
        digest: Reading a whole tree: models can be large.

    """

    call: float = 15.0
    listing: float = 120.0
    digest: float = 600.0


class S3:
    """`ports.Store`, with one tenant's keys."""

    def __init__(
        self,
        keys: Keys,
        reach: Reach,
        timer: CallTimer,
        *,
        clients: Clients,
        pool: Pool,
        bulk: Pool,
        deadlines: Deadlines | None = None,
    ) -> None:
        """Make the store; no request is made, and the client only with the first call.

        Args:
            keys: The tenant's.
            reach: Where it may read and write.
            timer: Measures every call of this port (not every request).
            clients: Makes the client.
            pool: Threads for short calls.
            bulk: Threads for reading whole trees, apart from the others, which must not wait for
                them.
            deadlines: How long calls may take.

        """
        self._keys = keys
        self._reach = reach
        self._timer = timer
        self._clients = clients
        self._calls = pool.share(_CALLS)
        self._digests = bulk.share(_DIGESTS)
        self._deadlines = deadlines or Deadlines()
        self._bounds = clients.limits.bounds
        self._opened: Opened | None = None
        self._making = threading.Lock()

    async def close(self) -> None:
        """Close the connections when the threads of all calls have returned, or when waiting for
        that is cancelled.
        """
        try:
            await self._calls.idle()
            await self._digests.idle()
        finally:
            if self._opened is not None:
                self._opened.close()

    async def create_bucket(self, bucket: str) -> None:
        """Create a bucket; one that is ours already is no error. One request.

        Raises:
            Conflict: Somebody else holds that name.
            Forbidden: It is not this tenant's own bucket, or the keys may not create it.

        """
        place = self._writable(Location(bucket, ""), "create bucket")

        def create(client: "S3Client", _: CancelToken) -> None:
            try:
                if self._keys.region == "us-east-1":
                    client.create_bucket(Bucket=place.bucket)
                else:
                    client.create_bucket(
                        Bucket=place.bucket,
                        CreateBucketConfiguration={
                            "LocationConstraint": self._keys.region,  # type: ignore[typeddict-item] # any
                        },
                    )
            except client.exceptions.BucketAlreadyOwnedByYou:
                return

        await self._run("create bucket", bucket, create, self._deadlines.call, write=True)

    async def usage(self, uri: str) -> Usage | None:
        """Count what lies below a prefix; None when the bucket itself is not there. One request for
        each 1000 objects, 1000 at most.

        So it also answers whether there is a bucket. HEAD would not: its answer has no body, and so
        no word that it is S3's.
        """
        place = self._readable(parse_uri(uri, "count objects"), "count objects")

        def count(client: "S3Client", token: CancelToken) -> Usage | None:
            try:
                return counted(client, place, token, self._bounds)
            except client.exceptions.NoSuchBucket:
                return None

        return await self._run("count objects", str(place), count, self._deadlines.listing)

    async def objects(self, uri: str) -> tuple[StoredObject, ...]:
        """List what lies below a prefix, sorted by path. One request for each 1000 objects."""
        place = self._readable(parse_uri(uri, "list objects"), "list objects")

        def listing(client: "S3Client", token: CancelToken) -> tuple[StoredObject, ...]:
            return tuple(sorted(listed(client, place, token, self._bounds)))

        return await self._run("list objects", str(place), listing, self._deadlines.listing)

    async def read(self, uri: str, limit: int) -> bytes | None:
        """Read one object of at most `limit` bytes; none is None. One request.

        Raises:
            Invalid: It is larger.

        """
        place = self._readable(parse_uri(uri, "read object"), "read object")

        def get(client: "S3Client", token: CancelToken) -> bytes:
            return read_object(client, place, limit, token)

        if not place.key or place.key.endswith("/"):
            return None
        try:
            return await self._run("read object", str(place), get, self._deadlines.call)
        except Missing:
            return None

    async def create(self, uri: str, content: bytes) -> None:
        """Store one object, if nothing lies there. One request.

        Raises:
            Conflict: An object lies there, which stays as it is.
            Forbidden: It is not in the namespace's own folder, or the keys may not write there.
            Ambiguous: It may have been stored.

        """
        operation = "create object"
        place = self._writable(parse_uri(uri, operation), operation)
        if not place.is_below(self._reach.own) or place.key.endswith("/"):
            raise Forbidden(
                "S3", operation, str(place), f"nothing is stored but below {self._reach.own}"
            )

        def create(client: "S3Client", _: CancelToken) -> None:
            create_object(client, place, content, operation)

        await self._run(operation, str(place), create, self._deadlines.call, write=True)

    async def digest(self, uri: str) -> ArtifactTree | None:
        """Read every byte below a prefix and compute the tree's digest; None when nothing is there.

        One request for each 1000 objects, and one for each object, four at a time. Zero-byte keys
        that end with a slash, which consoles make to show folders, are no files.

        Raises:
            Invalid: No pod could write the tree; the message names the path.
            Unavailable: It changed while it was read, the store sends almost nothing, or the
                deadline passed.

        """
        operation = "read artifacts"
        place = self._readable(parse_uri(uri, operation), operation)
        with self._timer(operation):
            return await self._whole(
                operation, place, asyncio.get_running_loop().time() + self._deadlines.digest
            )

    async def delete_prefix(self, uri: str) -> None:
        """Delete everything below a prefix, which ends with a slash. Two requests for each 1000
        objects. Older versions of a bucket that keeps them stay.

        Raises:
            Forbidden: It is not below `<own bucket>/<own folder>/<something>/`.
            Invalid: It does not end with a slash.
            Ambiguous: Some may be left; deleting again goes on.

        """
        operation = "delete artifacts"
        place = self._writable(parse_uri(uri, operation), operation)
        if (
            not place.key.startswith(f"{self._reach.folder}/")
            or place.key == f"{self._reach.folder}/"
        ):
            raise Forbidden(
                "S3",
                operation,
                str(place),
                "nothing is deleted but below"
                f" s3://{self._reach.bucket}/{self._reach.folder}/<name>/",
            )
        if place.is_below(Location(self._reach.bucket, f"{self._reach.folder}/{KEPT}/")):
            raise Forbidden("S3", operation, str(place), f"below {KEPT}/ nothing is deleted")
        if not place.key.endswith("/"):
            raise Invalid("S3", operation, str(place), "a prefix ends with a slash")

        def delete(client: "S3Client", token: CancelToken) -> None:
            delete_below(client, place, token, operation)

        await self._run(operation, str(place), delete, self._deadlines.listing, write=True)

    # --- where ------------------------------------------------------------------------------------
    def _readable(self, place: Location, operation: str) -> Location:
        if not self._reach.reads(place):
            raise Forbidden("S3", operation, str(place), self._reach.outside)
        return place

    def _writable(self, place: Location, operation: str) -> Location:
        if place.bucket != self._reach.bucket:
            raise Forbidden(
                "S3", operation, str(place), "the connection writes to MODELYARD_BUCKET only"
            )
        return place

    # --- how --------------------------------------------------------------------------------------
    async def _run(
        self,
        operation: str,
        subject: str,
        ask: "Callable[[S3Client, CancelToken], T]",
        deadline: float,
        *,
        write: bool = False,
    ) -> T:
        with self._timer(operation):
            return await self._offload(self._calls, operation, subject, ask, deadline, write=write)

    async def _offload(
        self,
        share: Share,
        operation: str,
        subject: str,
        ask: "Callable[[S3Client, CancelToken], T]",
        deadline: float,
        *,
        write: bool = False,
    ) -> T:
        def call(token: CancelToken) -> T:
            opened: Opened | None = None
            try:
                opened = self._made()
                return ask(opened.client, token)
            except BLOCKING_ERRORS as error:
                token.check()
                if opened is not None and strange(error):
                    self._forget(opened)
                raise translate(error, operation, subject, write=write) from None

        return await share.run(
            operation, subject, call, deadline=deadline, write=write, stall=self._bounds.stall
        )

    def _made(self) -> Opened:
        with self._making:
            if self._opened is None:
                self._opened = self._clients.make(self._keys, _CALLS + _DIGESTS)
            return self._opened

    def _forget(self, opened: Opened) -> None:
        """Open new connections for the next call; calls that are under way end on theirs."""
        with self._making:
            if self._opened is opened:
                self._opened = None
        opened.close()

    async def _whole(self, operation: str, place: Location, end: float) -> ArtifactTree | None:
        def left() -> float:
            return max(0.0, end - asyncio.get_running_loop().time())

        def listing(client: "S3Client", token: CancelToken) -> list[StoredObject]:
            found = listed(client, place, token, self._bounds)
            if complaint := unwritable(file.path for file in found):
                raise Invalid(
                    "S3", operation, str(place), f"{complaint}; no pod could serve this tree"
                )
            return found

        files = await self._offload(self._digests, operation, str(place), listing, left())
        waiting = iter(files)

        async def worker() -> list[FileDigest]:
            # One iterator for all workers: each takes what is next.
            return [
                await self._offload(
                    self._digests, operation, str(place), hash_object(place, file), left()
                )
                for file in waiting
            ]

        try:
            async with asyncio.TaskGroup() as group:
                workers = [group.create_task(worker()) for _ in range(min(_DIGESTS, len(files)))]
        except BaseExceptionGroup as failed:
            first = failed.exceptions[0]
            if isinstance(first, Missing):
                raise Unavailable(
                    "S3", operation, str(place), "it changed while it was read"
                ) from None
            raise first from None
        digests = [digest for done in workers for digest in done.result()]
        if not files:
            return None
        listed_as = listing_digest((file.path, file.size, file.etag) for file in files)
        return ArtifactTree(
            tree_digest(digests), sum(file.size for file in digests), len(digests), listed_as
        )
