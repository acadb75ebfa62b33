"""How much of MLflow and S3 the operator takes in. The one place for these figures.

Both belong to tenants, so an answer is a stranger's: it is weighed before it becomes Python
objects, which take up to 27 times an answer's bytes. Which addresses may be connected to does not
belong here (`api.addresses`).
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from modelyard.adapters.offload import Pool
from modelyard.api.addresses import Addresses

__all__ = ["MIB", "SMALL", "TRIED", "Bounds", "Limits", "Room", "TooLarge", "check_xml", "document"]

MIB = 1024 * 1024
SMALL = 64 * 1024
"""Bytes of an answer that is parsed in the event loop: within milliseconds, at most 1.7 MB; and
of an error, for its code.
"""
TRIED = 16
"""Addresses of one name that are tried; a name server may answer with thousands."""

_WEIGHTS = ((b"{", 110), (b"[", 64), (b":", 90), (b",", 56))
_PER_BYTE, _PER_ASCII = 8, 5
"""Bytes of memory for each byte: its character in the text and in a string.

One emoji makes every character of a text take four.
"""
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True)
class Bounds:
    """Bounds of one call.

    Attributes:
        answer: Bytes of one answer of MLflow.
        large: Bytes above which a namespace reads one answer at a time.
        parsed: Bytes that one answer of MLflow may take as Python objects, by estimate.
        search: Bytes of all pages of one search in MLflow.
        seconds: Seconds that all pages of one search may take.
        pages: Pages of one search in MLflow, or of one listing in S3.
        text: Characters of the keys and values that one call returns, and so keeps in memory.
        metrics: Metrics that are kept of a run.
        xml: Bytes of one answer of S3 that is no object; a page of 1000 long keys has 3 MB.
        tags: Tags of such an answer, and attributes; a page of 1000 objects has 26,000.
        objects: Objects that a listing may name, and so files of a model.
        stall: Seconds without 256 KiB of an object, or a page of a listing, that end a read.

    """

    answer: int = 16 * MIB
    large: int = MIB
    parsed: int = 64 * MIB
    search: int = 64 * MIB
    seconds: float = 30.0
    pages: int = 1000
    text: int = 8 * MIB
    metrics: int = 1000
    xml: int = 8 * MIB
    tags: int = 40_000
    objects: int = 50_000
    stall: float = 20.0


@dataclass(frozen=True)
class Limits:
    """What all tenants of one process share.

    Attributes:
        addresses: Who may be connected to.
        bounds: How much is taken in.
        lookups: Threads that resolve names: a name server of a tenant's may never answer.
        parsing: The thread that parses large answers, one at a time: their memory is needed once.

    """

    addresses: Addresses = field(default_factory=Addresses)
    bounds: Bounds = Bounds()
    lookups: Pool = field(default_factory=lambda: Pool("MLflow", 8))
    parsing: Pool = field(default_factory=lambda: Pool("MLflow", 1, own=False))


class TooLarge(Exception):
    """An answer exceeds a bound; the text says which, for a message."""


class Room:
    """How much text the rows of one call may still have."""

    def __init__(self, bounds: Bounds) -> None:
        """Begin with all of it."""
        self._left = self._all = bounds.text

    def take(self, *texts: str) -> None:
        """Note the text of a row.

        Raises:
            TooLarge: There was no more room.

        """
        self._left -= sum(map(len, texts))
        if self._left < 0:
            raise TooLarge(
                f"it has more than {self._all / MIB:g} MiB of names, tags and parameters"
            )


def document(body: bytes | bytearray, bounds: Bounds) -> dict[str, Any]:
    """Read an answer of MLflow.

    Raises:
        TooLarge: It would become too many objects; nothing was parsed.
        TypeError: It is no JSON object.
        ValueError: It is no JSON, or deeper than Python's recursion goes.

    """
    each_byte = _PER_ASCII if body.isascii() else _PER_BYTE
    weight = each_byte * len(body) + sum(each * body.count(token) for token, each in _WEIGHTS)
    if weight > bounds.parsed:
        raise TooLarge(f"the answer has more values than fit into {bounds.parsed / MIB:g} MiB")
    try:
        # A hook is Python: while it runs, the event loop gets its turn.
        answer = json.loads(body, object_hook=None if len(body) <= SMALL else _kept)
        if _SURROGATE.search(body):
            # Half of a pair is no text: it cannot be hashed, logged or sent on.
            answer = json.loads(json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace"))
    except RecursionError:
        raise ValueError("no answer of MLflow is that deep") from None
    if not isinstance(answer, dict):
        raise TypeError("MLflow answers with objects")
    return answer


def _kept(found: dict[str, Any]) -> dict[str, Any]:
    return found


def check_xml(body: bytes, bounds: Bounds) -> None:
    """Check an answer of S3 before it is parsed.

    Raises:
        TooLarge: It has more tags or attributes than any page of a listing, or declares entities.

    """
    if body.count(b"<") > bounds.tags:
        raise TooLarge(f"an answer has more than {bounds.tags} tags")
    # Two quotes each. A parser compares every attribute of a tag with the others.
    if body.count(b'"') + body.count(b"'") > 2 * bounds.tags:
        raise TooLarge(f"an answer has more than {bounds.tags} attributes")
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise TooLarge("an answer declares entities, as no S3 does")
