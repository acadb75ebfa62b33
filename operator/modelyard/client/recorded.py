"""The whole history of a model, as it is recorded in S3, and whether it is what was written."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from modelyard.api import record
from modelyard.api.history import HistoryEntry, RecordStatus
from modelyard.api.record import LIMIT, Finding
from modelyard.api.registered_model import RegisteredModel
from modelyard.client.artifacts import s3_client, told
from modelyard.client.errors import Failed
from modelyard.client.kube import Kube
from modelyard.client.kube.reach import Reach
from modelyard.client.people import People

__all__ = ["Recorded", "VerifiedHistory"]

Seen = Callable[[int, int], None]
_STREAMS = 8
_AT_ONCE = 64
"""Objects that are in memory at a time."""
_MOST = 100_000
"""Entries of a model that are read at most."""
_WHAT = "Reading a history"


@dataclass(frozen=True)
class VerifiedHistory:
    """What a verification of a model's record found.

    Attributes:
        model: `<namespace>/<name>`.
        entries: How many entries S3 has.
        head: Number and digest of the newest entry of S3, as `12:sha256:...`; empty: there is none.
            Kept elsewhere, it shows later whether the record was rewritten.
        pending: Entries that are in the status alone: S3 did not take them yet.
        findings: What is wrong, by number of the entry; empty: nothing is.

    """

    model: str
    entries: int
    head: str
    pending: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def __str__(self) -> str:
        """Say it in a line, and what is wrong in one each."""
        if not self.ok:
            lines = [f"entry {each.number}: {each.message}" for each in self.findings]
            return "\n".join([f"The history of {self.model} is not what was recorded:", *lines])
        waits = f" {self.pending} more are not in S3 yet." if self.pending else ""
        kept = f" Its head is {self.head}." if self.head else ""
        return (
            f"The history of {self.model} is whole: {self.entries} entries in S3, each chained to"
            f" the one before.{kept}{waits}"
        )


class Recorded(People):
    """What is asked of a model's whole history."""

    def __init__(self, kube: Kube, reach: Reach) -> None:
        super().__init__(kube)
        self._reach = reach

    def history(self, name: str, *, seen: Seen | None = None) -> tuple[HistoryEntry, ...]:
        """Return a model's whole history, oldest first: from S3, and from the status what S3 does
        not have yet.

        Args:
            name: The model.
            seen: Called with (entries read, entries in all).

        Raises:
            NotAllowed: The user may not read the Secret modelyard-connection.
            Failed: More than 100,000 entries, or an object is no entry (`verify_history` says
                more).
            Unreachable: S3 does not answer.

        """
        model = self._model(name).object
        entries = []
        for number, content in self._objects(model, seen):
            entry = record.entry_in(content)
            if entry is None:
                raise Failed(
                    model.key,
                    "RecordConflict",
                    f"the object of entry {number} is no entry: modelyard history verify {name}",
                )
            entries.append(entry)
        last = entries[-1].record or 0 if entries else 0
        return (
            *entries,
            *(each for each in model.status.history if each.record is None or each.record > last),
        )

    def verify_history(
        self, name: str, *, head: str = "", seen: Seen | None = None
    ) -> VerifiedHistory:
        """Check a model's record in S3: that no entry is missing, altered or reordered.

        The status says which entry is the newest and what its digest is. Whoever can write both the
        bucket and the status could rewrite the whole chain: `head`, from an Event or a CloudEvent,
        shows that.

        Args:
            name: The model.
            head: A head that was kept elsewhere: `12:sha256:...`.
            seen: Called with (entries read, entries in all).

        Raises:
            ValueError: `head` is no head.
            NotAllowed: The user may not read the Secret modelyard-connection.
            Failed: More than 100,000 entries.
            Unreachable: S3 does not answer.

        """
        kept = record.read_head(head) if head else None
        model = self._model(name).object
        known = model.status.record or RecordStatus(number=0)
        heads, newest, found = _expected(known, kept)
        read: list[tuple[int, str]] = []

        def objects() -> Iterator[tuple[int, bytes]]:
            for number, content in self._objects(model, seen):
                read.append((number, record.digest_of(content)))
                yield number, content

        found += record.check(objects(), model.metadata.uid, heads, newest)
        if model.status.record is not None:
            beyond = (number for number, _ in read if number > known.number)
            found += [
                Finding(
                    each, f"The status ends with {known.number}: the operator did not write it."
                )
                for each in beyond
            ]
        last = f"{read[-1][0]}:{read[-1][1]}" if read else ""
        return VerifiedHistory(
            model.key,
            len(read),
            last,
            known.pending,
            tuple(sorted(found, key=lambda each: each.number)),
        )

    def _objects(self, model: RegisteredModel, seen: Seen | None) -> Iterator[tuple[int, bytes]]:
        connection = self._reach.connection(model.metadata.namespace)
        bucket = connection.get("MODELYARD_BUCKET")
        if not bucket:
            raise Failed(
                model.key,
                "ConnectionMissing",
                "the Secret modelyard-connection lacks MODELYARD_BUCKET.",
            )
        local = {
            **connection,
            "MLFLOW_S3_ENDPOINT_URL": self._reach.url(connection["MLFLOW_S3_ENDPOINT_URL"]),
        }
        yield from objects(
            local, bucket, record.folder(model.metadata.namespace, model.metadata.uid), seen
        )


def objects(
    connection: Mapping[str, str], bucket: str, folder: str, seen: Seen | None = None
) -> Iterator[tuple[int, bytes]]:
    """Read the objects of a record in order, each with its number; of one that is too large only so
    much that it is seen.

    Args:
        connection: Keys and endpoint, as the Secret has them; the endpoint answers from here.
        bucket: The namespace's bucket.
        folder: Where the objects lie, with a slash at the end.
        seen: Called with (objects read, objects in all).

    Raises:
        Failed: There is no such bucket, or there are more than 100,000 objects.
        NotAllowed: S3 refuses the keys.
        Unreachable: S3 does not answer.

    """
    with closing(s3_client(connection, _WHAT)) as s3:
        numbers = _listed(s3, bucket, folder)

        def get(number: int) -> bytes:
            with told(f"s3://{bucket}/{folder}{record.name(number)}", _WHAT):
                body = s3.get_object(Bucket=bucket, Key=folder + record.name(number))["Body"]
                with closing(body):
                    return bytes(body.read(LIMIT + 1))

        with ThreadPoolExecutor(_STREAMS, thread_name_prefix="modelyard-history") as pool:
            for start in range(0, len(numbers), _AT_ONCE):
                batch = numbers[start : start + _AT_ONCE]
                yield from zip(batch, pool.map(get, batch), strict=True)
                if seen is not None:
                    seen(start + len(batch), len(numbers))


def _listed(s3: Any, bucket: str, folder: str) -> list[int]:
    found: list[int] = []
    with told(f"s3://{bucket}/{folder}", _WHAT):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder):
            found += [
                number
                for each in page.get("Contents", ())
                if (number := record.number_in(each["Key"].removeprefix(folder)))
            ]
            if len(found) > _MOST:
                raise Failed(
                    f"s3://{bucket}/{folder}",
                    "RecordConflict",
                    f"more than {_MOST} entries lie there.",
                )
    return sorted(found)


def _expected(
    known: RecordStatus, kept: tuple[int, str] | None
) -> tuple[dict[int, dict[str, str]], int, list[Finding]]:
    """Return by number which digests entries should have, the newest that S3 should have, and
    what is wrong already.
    """
    heads: dict[int, dict[str, str]] = {}
    stored = known.stored.number if known.stored is not None else 0
    if known.stored is not None and known.stored.digest is not None:
        heads[stored] = {"the status": known.stored.digest}
    if kept is None:
        return heads, stored, []
    number, digest = kept
    if number > known.number:
        return (
            heads,
            stored,
            [
                Finding(
                    number,
                    "It is missing: the head says that it was written, and the status ends with"
                    f" {known.number}.",
                )
            ],
        )
    if number == known.number and digest != known.digest:
        return (
            heads,
            stored,
            [
                Finding(
                    number,
                    f"The status says {known.digest}, and the head says {digest}: the record was"
                    " rewritten.",
                )
            ],
        )
    heads.setdefault(number, {})["the head"] = digest
    return heads, stored, []
