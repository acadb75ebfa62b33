"""The record of a model's history in S3: names, chaining and check of its objects.

Each object is JSON: an `entry` as in `status.history`, its `number`, the `model`, and `previous`,
the SHA-256 of the object before. So the digest of one object covers all objects before it.
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
"""Greatest size of an entry's object in bytes; a larger object is not an entry."""
_DIGITS = 10
_SHA = 64


@dataclass(frozen=True)
class Finding:
    """A fault in the record.

    Attributes:
        number: Number of the entry that it is about.
        message: What is wrong, in sentences.

    """

    number: int
    message: str


def folder(namespace: str, uid: str) -> str:
    """Return the key prefix of a model's objects, with a slash at the end."""
    return f"{namespace}/{KEPT}/history/{uid}/"


def name(number: int) -> str:
    """Return the name of an entry's object; names sort like numbers."""
    return f"{number:0{_DIGITS}}.json"


def number_in(name_: str) -> int | None:
    """Return the number of the entry in an object's name, or None."""
    stem = name_.removesuffix(".json")
    found = int(stem) if stem.isascii() and stem.isdecimal() and len(stem) == _DIGITS else 0
    return found if found and name(found) == name_ else None


def digest_of(content: bytes) -> str:
    """Return the digest of an object, as `sha256:...`."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def entry_in(content: bytes) -> HistoryEntry | None:
    """Return the entry in an object, with its number, or None."""
    whole = _read(content)
    try:
        return HistoryEntry.model_validate(dict(whole["entry"]) | {"record": whole["number"]})
    except (KeyError, TypeError, ValueError, ValidationError):
        return None


def read_head(text: str) -> tuple[int, str]:
    """Read a head that was stored elsewhere: `12:sha256:...`, as in Events.

    Raises:
        ValueError: The text is not a head.

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
    """Find entries of a record that are missing, altered, misplaced or not the operator's.

    Args:
        objects: Number (from the object's name) and bytes of each object, in order of the numbers.
        uid: The model's uid.
        heads: Expected digests by number of the entry, each by its source.
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
                    f"It has the digest {digest}, but {source} says {expected}: it or an earlier"
                    " entry was altered.",
                )
        before = digest
    yield from (_missing(each) for each in range(last + 1, min(newest, last + _NAMED) + 1))
    if newest > last + _NAMED:
        yield Finding(newest, f"All entries from {last + 1} to {newest} are missing.")


_NAMED = 100
"""Greatest number of missing entries of one gap that are reported one by one."""


def is_entry(content: bytes, number: int, uid: str) -> bool:
    """Tell whether an object is the entry that its name says."""
    return _wrong(_read(content), number, uid) is None


def _missing(number: int) -> Finding:
    return Finding(number, "It is missing.")


def _broken(number: int) -> str:
    if number == 1:
        return "It refers to an earlier entry: earlier entries were removed, or it was altered."
    return (
        f"It does not match the digest in entry {number}: one of the two was altered or replaced."
    )


def _wrong(whole: Mapping[str, Any], number: int, uid: str) -> str | None:
    """Return why an object is not the entry that its name says, or None."""
    if not whole:
        return "It is not an entry in JSON: it was altered."
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
