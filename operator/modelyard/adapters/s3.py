"""One tenant's S3: `ports.Store` on boto3, in threads with a deadline."""

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
    """Seconds that a call may take, including the wait for a thread.

    Attributes:
        call: One request.
        listing: A listing, or a deletion by prefix: one request per thousand objects.
        digest: Reading a whole tree, since models can be large.

    """

    call: float = 15.0
    listing: float = 120.0
    digest: float = 600.0


class S3:
    """`ports.Store` with one tenant's keys."""

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
        """Create the store; the client is created with the first call.

        Args:
            keys: The tenant's keys.
            reach: Where the tenant may read and write.
            timer: Measures every call of this port (not every request).
            clients: Creates the client.
            pool: Threads for short calls.
            bulk: Threads for reading whole trees, so that short calls do not wait for them.
            deadlines: Time limits of calls.

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
        """Close the connections when all calls have ended, or when this is cancelled."""
        try:
            await self._calls.idle()
            await self._digests.idle()
        finally:
            if self._opened is not None:
                self._opened.close()

    async def create_bucket(self, bucket: str) -> None:
        """Create a bucket; one that this account owns already is no error. One request.

        Raises:
            Conflict: Another account owns the name.
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
                            "LocationConstraint": self._keys.region,  # type: ignore[typeddict-item] # any region
                        },
                    )
            except client.exceptions.BucketAlreadyOwnedByYou:
                return

        await self._run("create bucket", bucket, create, self._deadlines.call, write=True)

    async def usage(self, uri: str) -> Usage | None:
        """Count the objects below a prefix; None if the bucket does not exist.

        One request per 1000 objects, at most 1000. It also tells whether the bucket exists: HEAD
        could not, since its answer has no body that shows that S3 answered.
        """
        place = self._readable(parse_uri(uri, "count objects"), "count objects")

        def count(client: "S3Client", token: CancelToken) -> Usage | None:
            try:
                return counted(client, place, token, self._bounds)
            except client.exceptions.NoSuchBucket:
                return None

        return await self._run("count objects", str(place), count, self._deadlines.listing)

    async def objects(self, uri: str) -> tuple[StoredObject, ...]:
        """List the objects below a prefix, sorted by path. One request per 1000 objects."""
        place = self._readable(parse_uri(uri, "list objects"), "list objects")

        def listing(client: "S3Client", token: CancelToken) -> tuple[StoredObject, ...]:
            return tuple(sorted(listed(client, place, token, self._bounds)))

        return await self._run("list objects", str(place), listing, self._deadlines.listing)

    async def read(self, uri: str, limit: int) -> bytes | None:
        """Read one object of at most `limit` bytes; None if it does not exist. One request.

        Raises:
            Invalid: The object is larger.

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
        """Store one object unless one exists there. One request.

        Raises:
            Conflict: An object exists there, and is unchanged.
            Forbidden: It is not in the namespace's own folder, or the keys may not write there.
            Ambiguous: It may have been stored.

        """
        operation = "create object"
        place = self._writable(parse_uri(uri, operation), operation)
        if not place.is_below(self._reach.own) or place.key.endswith("/"):
            raise Forbidden(
                "S3", operation, str(place), f"objects are stored below {self._reach.own} only"
            )

        def create(client: "S3Client", _: CancelToken) -> None:
            create_object(client, place, content, operation)

        await self._run(operation, str(place), create, self._deadlines.call, write=True)

    async def digest(self, uri: str) -> ArtifactTree | None:
        """Read every byte below a prefix and compute the tree's digest; None if it is empty.

        One request per 1000 objects, and one per object, four at a time. Empty keys that end with a
        slash, which consoles create to show folders, are not files.

        Raises:
            Invalid: No pod could write the tree; the message names the path.
            Unavailable: It changed while it was read, the store sent almost nothing, or the
                deadline passed.

        """
        operation = "read artifacts"
        place = self._readable(parse_uri(uri, operation), operation)
        with self._timer(operation):
            return await self._whole(
                operation, place, asyncio.get_running_loop().time() + self._deadlines.digest
            )

    async def delete_prefix(self, uri: str) -> None:
        """Delete everything below a prefix, which ends with a slash.

        Two requests per 1000 objects. In a versioned bucket, older versions remain.

        Raises:
            Forbidden: The prefix is not below `<own bucket>/<own folder>/<something>/`.
            Invalid: It does not end with a slash.
            Ambiguous: Some objects may remain; delete again to continue.

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
                f"objects are deleted below s3://{self._reach.bucket}/{self._reach.folder}/<name>/"
                " only",
            )
        if place.is_below(Location(self._reach.bucket, f"{self._reach.folder}/{KEPT}/")):
            raise Forbidden("S3", operation, str(place), f"objects below {KEPT}/ are never deleted")
        if not place.key.endswith("/"):
            raise Invalid("S3", operation, str(place), "the prefix must end with a slash")

        def delete(client: "S3Client", token: CancelToken) -> None:
            delete_below(client, place, token, operation)

        await self._run(operation, str(place), delete, self._deadlines.listing, write=True)

    # --- permissions ------------------------------------------------------------------------------
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

    # --- calls ------------------------------------------------------------------------------------
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
        """Open new connections for the next call; calls under way keep theirs."""
        with self._making:
            if self._opened is opened:
                self._opened = None
        opened.close()

    async def _whole(self, operation: str, place: Location, end: float) -> ArtifactTree | None:
        def left() -> float:
            return max(0.0, end - asyncio.get_running_loop().time())

        def listing(client: "S3Client", token: CancelToken) -> list[StoredObject]:
            found = listed(client, place, token, self._bounds)
            if problem := unwritable(file.path for file in found):
                raise Invalid(
                    "S3", operation, str(place), f"{problem}; no pod could serve this tree"
                )
            return found

        files = await self._offload(self._digests, operation, str(place), listing, left())
        waiting = iter(files)

        async def worker() -> list[FileDigest]:
            # One iterator for all workers: each takes the next file.
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
