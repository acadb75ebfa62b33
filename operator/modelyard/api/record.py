"""The record of a model's history in S3: how its objects are named and chained, and what is wrong
with a chain. Pure.

Each object is JSON: an `entry` as `status.history` has it, its `number`, the `model`, and
`previous`, the SHA-256 of the object before. So the digest of one object vouches for all before it.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from modelyard.api.artifacts import KEPT
from modelyard.api.history import HistoryEntry

__all__ = [
    "LIMIT",
    "Finding",
    "check",
    "digest_of",
    "entry_in",
    "folder",
    "is_entry",
    "name",
    "number_in",
    "read_head",
]

LIMIT = 64 * 1024
"""Bytes of an entry's object at most; what is larger is none of ours."""
_DIGITS = 10
_SHA = 64


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with the record.

    Attributes:
        number: Of the entry that it is about.
        message: What is wrong, as a sentence.

    """

    number: int
    message: str


def folder(namespace: str, uid: str) -> str:
    """Return the key below which the objects of a model lie, with a slash at the end."""
    return f"{namespace}/{KEPT}/history/{uid}/"


def name(number: int) -> str:
    """Return the name of an entry's object; names sort as numbers do."""
    return f"{number:0{_DIGITS}}.json"


def number_in(name_: str) -> int | None:
    """Return the number of the entry that an object is named for; None: it is none."""
    stem = name_.removesuffix(".json")
    found = int(stem) if stem.isascii() and stem.isdecimal() and len(stem) == _DIGITS else 0
    return found if found and name(found) == name_ else None


def digest_of(content: bytes) -> str:
    """Return the digest of an object, as `sha256:...`."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def entry_in(content: bytes) -> HistoryEntry | None:
    """Return the entry in an object, with its number; None: it is no entry."""
    whole = _read(content)
    try:
        return HistoryEntry.model_validate(dict(whole["entry"]) | {"record": whole["number"]})
    except (KeyError, TypeError, ValueError, ValidationError):
        return None


def read_head(text: str) -> tuple[int, str]:
    """Read a head that was kept elsewhere: `12:sha256:...`, as Events have it.

    Raises:
        ValueError: It is no such text.

    """
    number, _, digest = text.strip().partition(":")
    figures = digest.removeprefix("sha256:")
    if not number.isdecimal() or not int(number) or not digest.startswith("sha256:"):
        raise ValueError("a head is a number, a colon and a digest, such as 12:sha256:2c26b4...")
    if len(figures) != _SHA or figures.strip("0123456789abcdef"):
        raise ValueError(
            "the digest of a head is sha256: and 64 hex digits, in lower case, as in the Event"
        )
    return int(number), digest


def check(
    objects: Iterable[tuple[int, bytes]],
    uid: str,
    heads: Mapping[int, Mapping[str, str]],
    newest: int,
) -> Iterator[Finding]:
    """Return what is wrong with a record: entries that are missing, altered, in another place or
    not the operator's.

    Args:
        objects: Number, by the object's name, and bytes of each, in order of the numbers.
        uid: The model's.
        heads: By number of an entry, the digests that it should have, each by where that is said.
        newest: Number of the newest entry that S3 should have.

    """
    last, before = 0, None
    for number, content in objects:
        yield from (_missing(each) for each in range(last + 1, min(number, last + 1 + _NAMED)))
        if number - last > 1 + _NAMED:
            yield Finding(number - 1, f"All entries from {last + 1} to {number - 1} are missing.")
        gap, last = number != last + 1, number
        whole, digest = _read(content), digest_of(content)
        if (wrong := _wrong(whole, number, uid)) is not None:
            yield Finding(number, wrong)
        elif not gap and whole.get("previous") != before:
            yield Finding(number - 1 or number, _broken(number))
        for source, expected in heads.get(number, {}).items():
            if digest != expected:
                yield Finding(
                    number,
                    f"It has the digest {digest}, and {source} says {expected}: it, or one before"
                    " it, was altered.",
                )
        before = digest
    yield from (_missing(each) for each in range(last + 1, min(newest, last + _NAMED) + 1))
    if newest > last + _NAMED:
        yield Finding(newest, f"All entries from {last + 1} to {newest} are missing.")


_NAMED = 100
"""Entries of one gap that are named one by one."""


def is_entry(content: bytes, number: int, uid: str) -> bool:
    """Tell whether an object is the entry of a model that its name says."""
    return _wrong(_read(content), number, uid) is None


def _missing(number: int) -> Finding:
    return Finding(number, "It is missing.")


def _broken(number: int) -> str:
    if number == 1:
        return "It says that an entry comes before it: those were removed, or it was altered."
    return (
        f"It is not what entry {number} was chained to: one of the two was altered, or exchanged."
    )


def _wrong(whole: Mapping[str, Any], number: int, uid: str) -> str | None:
    """Say why an object is not the entry that its name says."""
    if not whole:
        return "It is no JSON of an entry: it was altered."
    if whole.get("number") != number:
        return f"It holds the entry {str(whole.get('number'))[:20]}: entries were reordered."
    model = whole.get("model")
    if not isinstance(model, dict) or model.get("uid") != uid:
        return "It is the entry of another model."
    return None


def _read(content: bytes) -> dict[str, Any]:
    try:
        whole = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return whole if isinstance(whole, dict) else {}
