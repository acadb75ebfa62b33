"""Limits on answers of MLflow and S3, all in one place.

Both belong to tenants, so their answers are untrusted: the size is estimated before an answer
becomes Python objects, which take up to 27 times its bytes.
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
"""Maximum bytes of an answer that is parsed in the event loop: it takes milliseconds and at most
1.7 MB. Also the bytes of an error that are read, for its code.
"""
TRIED = 16
"""Maximum addresses of one name that are tried; a name server may answer with thousands."""

_WEIGHTS = ((b"{", 110), (b"[", 64), (b":", 90), (b",", 56))
_PER_BYTE, _PER_ASCII = 8, 5
"""Bytes of memory per byte of an answer: for its character in the text and in a string.

One emoji makes every character of a text take four bytes.
"""
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True)
class Bounds:
    """Limits of one call.

    Attributes:
        answer: Bytes of one answer of MLflow.
        large: Bytes above which a namespace reads one answer at a time.
        parsed: Estimated bytes of one answer of MLflow as Python objects.
        search: Bytes of all pages of one search in MLflow.
        seconds: Seconds for all pages of one search.
        pages: Pages of one search in MLflow, or of one listing in S3.
        text: Characters of the keys and values that one call returns, and so keeps in memory.
        metrics: Metrics kept per run.
        xml: Bytes of one answer of S3 other than an object; a page of 1000 long keys has 3 MB.
        tags: Tags of such an answer, and attributes; a page of 1000 objects has 26,000.
        objects: Objects in a listing, and so files of a model.
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
    """Limits that all tenants of one process share.

    Attributes:
        addresses: The addresses that may be connected to.
        bounds: The limits of one call.
        lookups: Threads that resolve names: a tenant's name server may never answer.
        parsing: The thread that parses large answers one at a time, so that their memory is needed
            only once.

    """

    addresses: Addresses = field(default_factory=Addresses)
    bounds: Bounds = Bounds()
    lookups: Pool = field(default_factory=lambda: Pool("MLflow", 8))
    parsing: Pool = field(default_factory=lambda: Pool("MLflow", 1, own=False))


class TooLarge(Exception):
    """An answer exceeds a limit; the text names it, for a message."""


class Room:
    """Counts the characters that the rows of one call may still have."""

    def __init__(self, bounds: Bounds) -> None:
        """Start with `Bounds.text` characters."""
        self._left = self._all = bounds.text

    def take(self, *texts: str) -> None:
        """Subtract the text of a row.

        Raises:
            TooLarge: The limit is exceeded.

        """
        self._left -= sum(map(len, texts))
        if self._left < 0:
            raise TooLarge(
                f"it has more than {self._all / MIB:g} MiB of names, tags and parameters"
            )


def document(body: bytes | bytearray, bounds: Bounds) -> dict[str, Any]:
    """Parse an answer of MLflow.

    Raises:
        TooLarge: Its objects would exceed `Bounds.parsed`; nothing was parsed.
        TypeError: It is not a JSON object.
        ValueError: It is not JSON, or is nested deeper than Python's recursion limit.

    """
    each_byte = _PER_ASCII if body.isascii() else _PER_BYTE
    weight = each_byte * len(body) + sum(each * body.count(token) for token, each in _WEIGHTS)
    if weight > bounds.parsed:
        raise TooLarge(f"the answer has more values than fit into {bounds.parsed / MIB:g} MiB")
    try:
        # The hook runs in Python, so the parsing thread lets the event loop run.
        answer = json.loads(body, object_hook=None if len(body) <= SMALL else _same)
        if _SURROGATE.search(body):
            # A lone surrogate cannot be encoded: it could not be hashed, logged or sent.
            answer = json.loads(json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace"))
    except RecursionError:
        raise ValueError("MLflow's answers are not nested that deeply") from None
    if not isinstance(answer, dict):
        raise TypeError("MLflow answers with JSON objects")
    return answer


def _same(found: dict[str, Any]) -> dict[str, Any]:
    return found


def check_xml(body: bytes, bounds: Bounds) -> None:
    """Check an answer of S3 before it is parsed.

    Raises:
        TooLarge: It has more tags or attributes than a page of a listing can, or declares entities.

    """
    if body.count(b"<") > bounds.tags:
        raise TooLarge(f"an answer has more than {bounds.tags} tags")
    # An attribute has two quotes. A parser compares every attribute of a tag with the others.
    if body.count(b'"') + body.count(b"'") > 2 * bounds.tags:
        raise TooLarge(f"an answer has more than {bounds.tags} attributes")
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise TooLarge("an answer declares entities, as no S3 does")
