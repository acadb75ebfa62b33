"""Text that others wrote: without credentials, and without characters that a reader cannot see.

A pod's log, MLflow's answer and an MLflow parameter are a stranger's words. They are cleaned where
they enter the operator, and once more where the command line and a notebook print them. Standard
library only, for pods import it. Which text is a stranger's belongs to the callers.
"""

import base64
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from itertools import islice
from urllib.parse import quote, quote_plus, unquote, urlsplit

__all__ = ["HIDDEN", "MASK", "OUR_NAMES", "Words", "credentials", "escaped", "printable"]

MASK = "***"
"""What stands for a credential."""
HIDDEN = (
    "(not shown: the namespace's Secrets could not be read, and the text may hold their values)"
)
"""What stands for a text whose credentials are unknown."""
_SHORTEST = 8
"""Characters of a value that is taken for a credential. Shorter ones are ordinary words."""
_PIECE, _PIECES = 1024, 32
"""A longer value is looked for piece by piece, which bounds the work; so does their number."""
_TORN = 4
"""Characters of a credential that count where a text was cut within it."""

OUR_NAMES = (
    "modelyard-connection-pods",
    "modelyard-connection",
    "modelyard_runtime",
    "modelyard.io",
    "MLFLOW_TRACKING_URI",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_S3_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_DEFAULT_REGION",
    "MODELYARD_BUCKET",
    "MODELYARD_READ_BUCKETS",
)
"""Names that are the same in every installation, in which nothing is masked: what the kubelet says
of a Secret that is missing is of use only with its name. A name before another one that it begins
with."""
_OUR_NAME = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, OUR_NAMES))})(?![\w-])")
_FIRST = 0xE000
"""Private characters stand for these names while a text is searched; `printable` leaves none in
it.
"""
_HOLDERS = {name: chr(_FIRST + index) for index, name in enumerate(OUR_NAMES)}
_HELD = re.compile(f"[{''.join(_HOLDERS.values())}]")

_CONTROL = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # OSC, DCS, ...
)
"""Whole control sequences of terminals; what is left of a broken one loses its control
characters.
"""
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Printable in Unicode's eyes, and of no width: default-ignorable marks, fillers, the blank of
Braille.
"""
_ENCODED = re.compile("%[0-9A-F]{2}")
_CAMEL = re.compile("(?<=[a-z0-9])(?=[A-Z])")
_CREDENTIAL = re.compile(
    r"PASSWORD|PASSWD|PASSPHRASE|SECRET|CREDENTIAL|(?:API|ACCESS|PRIVATE|AUTH)KEY|TOKENS?(?:$|[_.-])"
    r"|(?:^|[_.-])(?:PASS|PWD|KEY|AUTH|PAT|SAS|JWT|BEARER)(?:$|[_.-])",
    re.IGNORECASE,
)
"""In the name of a key, whose words in camel case are taken apart before."""


def printable(text: str, *, lines: bool = False) -> str:
    """Return a text without what cannot be seen: control sequences, bidi and zero-width characters.

    Args:
        text: Anything.
        lines: Keep line breaks and tabs; otherwise each becomes a space.

    """
    if text.isascii() and text.isprintable():
        return text
    plain = _INVISIBLE.sub("", _CONTROL.sub("", text).replace("\r\n", "\n"))
    return "".join(map(_kept if lines else _kept_in_line, plain))


def escaped(document: str) -> str:
    r"""Return a JSON document in which no text hides a character: `\u202e` instead of the
    character.
    """
    return "".join(
        char if char == "\n" or printable(char) == char else json.dumps(char)[1:-1]
        for char in document
    )


def credentials(values: Mapping[str, str], known: Collection[str] = ()) -> tuple[str, ...]:
    """Return the values that prove who somebody is.

    Args:
        values: A Secret's data, or a process's environment. A key's name says what its value is:
            one with PASSWORD, TOKEN, SECRET, KEY and the like is a credential; so is the password
            within an address.
        known: Names that are everywhere and no secrets, such as the namespace's.

    """
    found = [value for key, value in values.items() if _CREDENTIAL.search(_CAMEL.sub("_", key))]
    found += (password for value in values.values() for password in _passwords(value))
    fits = dict.fromkeys(value for each in found if len(value := each.strip()) >= _SHORTEST)
    pieces = (piece for value in fits if value not in known for piece in _pieces(value))
    return tuple(islice(pieces, _PIECES))


@dataclass(frozen=True)
class Words:
    """Clean texts of one namespace: credentials become `***`, and `printable` does the rest. Whole
    names of ours stay.

    Attributes:
        values: The credentials; a text may hold them as they are, in base64, URL-encoded, in JSON
            or XML.
        unknown: The credentials could not be read: no text is shown.

    """

    values: tuple[str, ...] = field(default=(), repr=False)
    unknown: bool = False

    def __call__(self, text: str, *, lines: bool = False) -> str:
        """Return a text that may be shown; see `printable` for `lines`."""
        if not text:
            return text
        if self.unknown:
            return HIDDEN
        # First of all what is invisible: it may stand within a credential.
        clean = self._rare.masked(printable(text, lines=lines))
        if not self._common.values:
            return clean
        kept = _OUR_NAME.sub(lambda found: _HOLDERS[found[0]], clean)
        return _HELD.sub(lambda found: OUR_NAMES[ord(found[0]) - _FIRST], self._common.masked(kept))

    @cached_property
    def _rare(self) -> "_Search":
        return _Search(tuple(value for value in self.values if not _is_ours(value)))

    @cached_property
    def _common(self) -> "_Search":
        """What is a part of names of ours: within those it is no credential, for everybody knows
        them.
        """
        return _Search(tuple(filter(_is_ours, self.values)))


@dataclass(frozen=True)
class _Search:
    """What masks some credentials in a text that `printable` has cleaned."""

    values: tuple[str, ...] = field(repr=False)

    def masked(self, text: str) -> str:
        """Return the text with the credentials masked: whole, wrapped over lines, and torn at
        its ends.
        """
        for form in self._forms:
            text = text.replace(form, MASK)
        return self._torn(self._wrapped(text))

    @cached_property
    def _forms(self) -> tuple[str, ...]:
        """What to look for, the longest first: one form may hold another."""
        return tuple(
            sorted({form for value in self.values for form in _forms(value)}, key=len, reverse=True)
        )

    def _wrapped(self, text: str) -> str:
        """Mask a credential that a program has wrapped: over two lines, or with white space in
        it.
        """
        dense = "".join(text.split())
        found = sorted(span for form in self._dense for span in _spans(form, dense))
        if not found:
            return text
        where = [index for index, char in enumerate(text) if not char.isspace()]
        parts, end = [], 0
        for first, last in found:
            if where[first] >= end:
                parts += [text[end : where[first]], MASK]
            end = max(end, where[last] + 1)
        return "".join((*parts, text[end:]))

    @cached_property
    def _dense(self) -> tuple[str, ...]:
        """The forms without white space, as far as enough is left of them."""
        dense = dict.fromkeys("".join(form.split()) for form in self._forms)
        return tuple(form for form in dense if len(form) >= _SHORTEST)

    def _torn(self, text: str) -> str:
        """Mask what is left of a credential in which the text begins or ends: logs are cut
        anywhere.
        """
        head = max((_overlap(form, text) for form in self._forms), default=0)
        if head:
            text = MASK + text[head:]
        tail = max((_overlap(text, form) for form in self._forms), default=0)
        return text[: len(text) - tail] + MASK if tail else text


def _is_ours(value: str) -> bool:
    return any(value in name for name in OUR_NAMES)


def _pieces(value: str) -> Iterable[str]:
    """Cut a value into pieces that are none of them too short to be looked for."""
    last = max(0, len(value) - _SHORTEST)
    starts = [start for start in range(0, len(value), _PIECE) if start <= last]
    return (value[start:end] for start, end in zip(starts, [*starts[1:], len(value)], strict=True))


def _kept(char: str) -> str:
    return char if char in "\n\t" else _kept_in_line(char)


def _kept_in_line(char: str) -> str:
    return char if char.isprintable() else " " if char.isspace() else ""


def _passwords(value: str) -> Iterable[str]:
    """Return the password within an address, as it is written and as it is meant."""
    try:
        password = urlsplit(value).password if "://" in value else None
    except ValueError:
        password = None
    return () if password is None else dict.fromkeys((password, unquote(password)))


def _spans(form: str, text: str) -> Iterator[tuple[int, int]]:
    """Go through the places of a form: its first and last character."""
    start = text.find(form)
    while start >= 0:
        yield start, start + len(form) - 1
        start = text.find(form, start + len(form))


def _forms(value: str) -> Iterable[str]:
    """Return a credential as programs write it: plain, URL-encoded, in JSON, in XML, in base64."""
    encoded = {
        quote(value, safe="", errors="replace"),
        quote(value, errors="replace"),
        quote_plus(value, errors="replace"),
    }
    lower = {_ENCODED.sub(lambda found: found[0].lower(), form) for form in encoded}
    written = {
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        escape(value),
        escape(value, quote=False),
    }
    written |= {form.replace("/", "\\/") for form in written}  # as some programs write JSON
    return {value, *encoded, *lower, *written, *_base64(value)}


def _base64(value: str) -> Iterable[str]:
    """Return what a value looks like within base64, behind 0, 1 or 2 bytes of something else."""
    raw, forms = value.encode("utf-8", "surrogatepass"), set()
    for before in range(3):
        whole = base64.b64encode(bytes(before) + raw).decode().rstrip("=")
        # The characters that share bits with the neighbours are left out.
        first = (before * 8 + 5) // 6
        last = (before + len(raw)) * 8 // 6
        forms |= {whole[first:last], whole[first:last].translate(_URL_SAFE)}
    return forms


_URL_SAFE = str.maketrans("+/", "-_")


def _overlap(first: str, second: str) -> int:
    """Return how many characters at the end of `first` are the beginning of `second`, if enough."""
    longest = min(len(first), len(second))
    return next(
        (size for size in range(longest, _TORN - 1, -1) if first.endswith(second[:size])), 0
    )
