"""The record: each entry of the history as an object in S3, chained by digests. Pure.

The operator writes an object once and never changes or deletes it. Its bytes depend only on the
status, so that after a crash the operator writes the same bytes again. The status names two
entries: the newest one, with the digest of its object, and the newest one that S3 has. The entries
between them are pending, and stay in the status (decision 0034).
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from modelyard.api.base import Condition, Meta, condition
from modelyard.api.blocker import Blocker
from modelyard.api.conditions import stalled
from modelyard.api.history import HistoryEntry, RecordedEntry, RecordStatus
from modelyard.api.record import digest_of, name
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.api.registered_model import RegisteredModel, RegisteredModelStatus
from modelyard.plan import PutRecord
from modelyard.registered_model.history import LENGTH
from modelyard.registered_model.observation import Observation

__all__ = [
    "RETRY",
    "Link",
    "Step",
    "chain",
    "current",
    "full",
    "is_full",
    "new",
    "numbered",
    "room",
    "step",
]

RETRY = timedelta(seconds=30)
"""How often storing an entry is retried."""
_FULL = 40
"""Number of pending entries at which no promotion starts.

The rest of the history is reserved for changes that must not wait, such as a rollback.
"""


@dataclass(frozen=True)
class Link:
    """An entry as it is stored.

    Attributes:
        entry: The entry, with its number.
        content: The bytes of its object.
        digest: Their SHA-256, as `sha256:...`.

    """

    entry: HistoryEntry
    content: bytes
    digest: str

    @property
    def number(self) -> int:
        """Its number."""
        return self.entry.record or 0


@dataclass(frozen=True)
class Step:
    """The next step for the record.

    Attributes:
        put: The object to store.
        stored: The entry that was found in S3.
        left: Whether other entries are pending too.
        problem: Conditions about a problem of the record; empty: there is none.

    """

    put: PutRecord | None = None
    stored: RecordedEntry | None = None
    left: bool = False
    problem: tuple[Condition, ...] = ()

    def applied(self, status: RegisteredModelStatus) -> RegisteredModelStatus:
        """Return a status that names the newest stored entry."""
        if self.stored is None or status.record is None:
            return status
        return status.model_copy(
            update={"record": status.record.model_copy(update={"stored": self.stored})}
        )


# --- the chain ------------------------------------------------------------------------------------
def chain(model: RegisteredModel) -> tuple[Link, ...]:
    """Return the pending entries as objects, oldest first, including those just recorded."""
    record = model.status.record
    if record is None:
        return ()
    return _linked(model.metadata, model.status.history, record.stored)


def _linked(
    about: Meta, entries: Iterable[HistoryEntry], stored: RecordedEntry | None
) -> tuple[Link, ...]:
    before, last = (stored.digest, stored.number) if stored is not None else (None, 0)
    links = []
    for entry in sorted(
        (each for each in entries if (each.record or 0) > last), key=lambda each: each.record or 0
    ):
        content = _content(about, entry, before)
        before = digest_of(content)
        links.append(Link(entry, content, before))
    return tuple(links)


def _content(about: Meta, entry: HistoryEntry, previous: str | None) -> bytes:
    """Return an entry's object: canonical JSON without fields that have no value."""
    whole: dict[str, object] = {
        "entry": entry.model_dump(
            mode="json", by_alias=True, exclude_none=True, exclude={"record"}
        ),
        "model": {"namespace": about.namespace, "name": about.name, "uid": about.uid},
        "number": entry.record,
    } | ({"previous": previous} if previous is not None else {})
    return json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


# --- numbers --------------------------------------------------------------------------------------
def current(model: RegisteredModel, observation: Observation) -> RecordStatus | None:
    """Return the record's status, else what S3 has of it; None: neither is known yet."""
    if model.status.record is not None:
        return model.status.record
    head = observation.record.head if observation.record is not None else None
    if head is None:
        return None
    return RecordStatus(
        number=head.number, digest=head.digest, stored=head if head.number else None
    )


def numbered(
    model: RegisteredModel, record: RecordStatus | None, entries: tuple[HistoryEntry, ...]
) -> tuple[RecordStatus | None, tuple[HistoryEntry, ...]]:
    """Return the record and the history with the new entries numbered; without a record, none."""
    if record is None:
        return None, model.status.history
    new_ = tuple(
        entry.model_copy(update={"record": record.number + at})
        for at, entry in enumerate(entries, 1)
    )
    history = (*model.status.history, *new_)[-LENGTH:]
    if not new_:
        return record, history
    last = _linked(model.metadata, history, record.stored)[-1]
    return record.model_copy(update={"number": last.number, "digest": last.digest}), history


def new(before: RegisteredModelStatus, model: RegisteredModel) -> tuple[Link, ...]:
    """Return the entries that are new in a model's status, as objects."""
    last = before.record.number if before.record is not None else 0
    return tuple(link for link in chain(model) if link.number > last)


def room(record: RecordStatus | None) -> int:
    """Return how many more entries the history can take.

    Pending entries must stay in it. Before the record is known, it can take none, because no entry
    can get a number.
    """
    return LENGTH - record.pending if record is not None else 0


def is_full(record: RecordStatus | None, candidates: int) -> bool:
    """Tell whether no promotion may start.

    Args:
        record: The record's status.
        candidates: Number of promotions in progress: each ends with an entry.

    """
    return record is not None and record.pending + candidates >= _FULL


# --- what comes next ------------------------------------------------------------------------------
def step(model: RegisteredModel, observation: Observation) -> Step:
    """Return the next step for the first pending entry; empty if there is none, or without S3."""
    links, there = chain(model), observation.record
    if not links or there is None:
        return Step()
    first, uri = links[0], there.folder + name(links[0].number)
    if there.content == first.content:
        return Step(
            stored=RecordedEntry(number=first.number, digest=first.digest), left=len(links) > 1
        )
    if there.content is not None:
        return Step(problem=_conflict(uri, first))
    error = there.error or observation.refusals.get(("PutRecord", uri))
    if error is not None:
        return Step(
            problem=(
                condition(
                    "Synced",
                    False,
                    Reason.RECORD_PENDING,
                    f"{_waiting(len(links))}: {error}. {_EFFECT}",
                ),
            )
        )
    return Step(PutRecord(uri, first.content))


_EFFECT = (
    f"What serves is not affected. It is retried every {RETRY.seconds} s; with {_FULL} of"
    f" {LENGTH} waiting no promotion starts."
)


def _waiting(count: int) -> str:
    return (
        f"{count} {'entry' if count == 1 else 'entries'} of the history"
        f" {'is' if count == 1 else 'are'} not in S3 yet"
    )


def _conflict(uri: str, link: Link) -> tuple[Condition, ...]:
    message = (
        f"{uri} is not entry {link.number} of the history, which should have {link.digest}:"
        " another client wrote it. Nothing was deleted, and what serves is still serving. Look at"
        " it (modelyard history verify), copy it elsewhere and delete it with the namespace's keys:"
        f" then the operator writes its own. With {_FULL} of {LENGTH} entries waiting no promotion"
        " starts."
    )
    return (
        *stalled(Reason.RECORD_CONFLICT, message),
        condition("Synced", False, Reason.RECORD_CONFLICT, message),
    )


def full(model: str, version: str | None, record: RecordStatus | None) -> Blocker:
    """Return the blocker of a stage that cannot change until S3 answers about the record."""
    if record is None:
        return Blocker.of(
            Reason.RECORD_PENDING,
            f"{version or 'The stage'} waits until S3 says which entries the history of {model}"
            " has.",
        )
    message = (
        f"{version or 'The stage'} waits: {_waiting(record.pending)}, and the status keeps"
        f" {LENGTH}. See the condition Synced for why. The version displaced last, an override and"
        " a rollback do not wait."
    )
    return Blocker.of(Reason.RECORD_PENDING, message, needs_action=True)
