"""The methods of `client.models` that read the history in S3, and verify that it is unchanged."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from modelyard.api import record
from modelyard.api.history import HistoryEntry, RecordStatus
from modelyard.api.record import LIMIT, Finding
from modelyard.api.registered_model import RegisteredModel
from modelyard.client.errors import Failed
from modelyard.client.model_methods import ModelMethods
from modelyard.client.s3 import STREAMS, s3_client, s3_errors

__all__ = ["Recorded", "VerifiedHistory"]

Seen = Callable[[int, int], None]
_AT_ONCE = 64
"""Objects that are read before they are passed on: the most in memory."""
_MOST = 100_000
"""Entries of one model that are read at most."""
_WHAT = "Reading a history"


@dataclass(frozen=True)
class VerifiedHistory:
    """The result of `verify_history`.

    Attributes:
        model: `<namespace>/<name>`.
        entries: Number of entries in S3.
        head: Number and digest of the newest entry in S3, as `12:sha256:...`; empty if there is
            none. Keep it elsewhere to detect later whether the record was rewritten.
        pending: Number of entries that are only in the status, and not in S3 yet.
        findings: What is wrong, by number of the entry; empty if nothing is.

    """

    model: str
    entries: int
    head: str
    pending: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether the record is complete and unchanged."""
        return not self.findings

    def __str__(self) -> str:
        """Return the result in one line, followed by one line per finding."""
        if not self.ok:
            lines = [f"entry {each.number}: {each.message}" for each in self.findings]
            return "\n".join([f"The history of {self.model} is not what was recorded:", *lines])
        waits = f" {self.pending} more are not in S3 yet." if self.pending else ""
        kept = f" Its head is {self.head}." if self.head else ""
        return (
            f"The history of {self.model} is whole: {self.entries} entries in S3, each chained to"
            f" the one before.{kept}{waits}"
        )


class Recorded(ModelMethods):
    """Read and verify the history."""

    def history(self, name: str, *, seen: Seen | None = None) -> tuple[HistoryEntry, ...]:
        """Return the whole history of a model, oldest entry first.

        Most entries come from S3; those that are not in S3 yet come from the status.

        Args:
            name: The model.
            seen: Called with (entries read, entries in total).

        Raises:
            NotFound: There is no such model.
            NotAllowed: The user may not read the Secret modelyard-connection.
            Failed: There are more than 100,000 entries, or an object is not an entry
                (`verify_history` reports which).
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
                    f"the object of entry {number} is not an entry. See: modelyard history verify"
                    f" {name}",
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
        """Check that no entry of a model's history in S3 is missing, changed or reordered.

        The status holds the number and digest of the newest entry. A user who can write both the
        bucket and the status could rewrite the whole chain; pass a `head` from an Event or a
        CloudEvent to detect that.

        Args:
            name: The model.
            head: A head that was kept elsewhere: `12:sha256:...`.
            seen: Called with (entries read, entries in total).

        Raises:
            ValueError: `head` does not have this form.
            NotFound: There is no such model.
            NotAllowed: The user may not read the Secret modelyard-connection.
            Failed: There are more than 100,000 entries.
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
            beyond = [number for number, _ in read if number > known.number]
            message = f"The status ends with {known.number}: the operator did not write it."
            found += [Finding(each, message) for each in beyond]
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
    """Yield the objects of a record in order, as (number, content).

    At most one byte more than `record.LIMIT` is read of each, which is enough to tell that it is
    too large.

    Args:
        connection: The values of the connection's Secret, with an endpoint that this machine
            reaches.
        bucket: The namespace's bucket.
        folder: Prefix of the objects' keys, with a slash at the end.
        seen: Called with (objects read, objects in total).

    Raises:
        Failed: There is no such bucket, or it has more than 100,000 objects below `folder`.
        NotAllowed: S3 refuses the keys.
        Unreachable: S3 does not answer.

    """
    with closing(s3_client(connection, _WHAT)) as s3:
        numbers = _listed(s3, bucket, folder)

        def get(number: int) -> bytes:
            with s3_errors(f"s3://{bucket}/{folder}{record.name(number)}", _WHAT):
                body = s3.get_object(Bucket=bucket, Key=folder + record.name(number))["Body"]
                with closing(body):
                    return bytes(body.read(LIMIT + 1))

        with ThreadPoolExecutor(STREAMS, thread_name_prefix="modelyard-history") as pool:
            for start in range(0, len(numbers), _AT_ONCE):
                batch = numbers[start : start + _AT_ONCE]
                yield from zip(batch, pool.map(get, batch), strict=True)
                if seen is not None:
                    seen(start + len(batch), len(numbers))


def _listed(s3: Any, bucket: str, folder: str) -> list[int]:
    found: list[int] = []
    with s3_errors(f"s3://{bucket}/{folder}", _WHAT):
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
                    f"it has more than {_MOST} entries.",
                )
    return sorted(found)


def _expected(
    known: RecordStatus, kept: tuple[int, str] | None
) -> tuple[dict[int, dict[str, str]], int, list[Finding]]:
    """Return the digests that entries should have by number, the newest number, and findings."""
    heads: dict[int, dict[str, str]] = {}
    stored = known.stored.number if known.stored is not None else 0
    if known.stored is not None and known.stored.digest is not None:
        heads[stored] = {"the status": known.stored.digest}
    if kept is None:
        return heads, stored, []
    number, digest = kept
    if number > known.number:
        message = (
            "It is missing: the head says that it was written, and the status ends with"
            f" {known.number}."
        )
        return heads, stored, [Finding(number, message)]
    if number == known.number and digest != known.digest:
        message = (
            f"The status says {known.digest}, and the head says {digest}: the record was rewritten."
        )
        return heads, stored, [Finding(number, message)]
    heads.setdefault(number, {})["the head"] = digest
    return heads, stored, []
