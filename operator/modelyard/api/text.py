"""Clean texts from other programs: mask credentials, and remove invisible characters.

A pod's log, MLflow's answer and an MLflow parameter are not trusted. They are cleaned where they
enter the operator, and again where the command line and a notebook print them. Standard library
only, because pods import it.
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

__all__ = ["HIDDEN", "MASK", "OUR_NAMES", "TextFilter", "credentials", "escaped", "printable"]

MASK = "***"
"""Replacement of a credential."""
HIDDEN = (
    "(not shown: the namespace's Secrets could not be read, and the text may hold their values)"
)
"""Replacement of a text whose credentials are unknown."""
_SHORTEST = 8
"""Smallest length of a credential; shorter values are often ordinary words."""
_PIECE, _PIECES = 1024, 32
"""Size and number of the pieces in which longer values are searched, which bounds the work."""
_TORN = 4
"""Smallest part of a credential that is masked where a text was cut within it."""

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
"""Names that are the same in every installation, and are never masked: a kubelet's message about a
missing Secret is useless without its name. Longer names come before their prefixes.
"""
_OUR_NAME = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, OUR_NAMES))})(?![\w-])")
_FIRST = 0xE000
"""Private-use characters replace these names while a text is searched; `printable` has removed any
others.
"""
_HOLDERS = {name: chr(_FIRST + index) for index, name in enumerate(OUR_NAMES)}
_HELD = re.compile(f"[{''.join(_HOLDERS.values())}]")

_CONTROL = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # OSC, DCS, ...
)
"""Complete control sequences of terminals; from a broken one only the control characters are
removed.
"""
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Characters that Unicode calls printable but that have no width: default-ignorable marks, fillers,
the Braille blank.
"""
_ENCODED = re.compile("%[0-9A-F]{2}")
_CAMEL = re.compile("(?<=[a-z0-9])(?=[A-Z])")
_CREDENTIAL = re.compile(
    r"PASSWORD|PASSWD|PASSPHRASE|SECRET|CREDENTIAL|(?:API|ACCESS|PRIVATE|AUTH)KEY|TOKENS?(?:$|[_.-])"
    r"|(?:^|[_.-])(?:PASS|PWD|KEY|AUTH|PAT|SAS|JWT|BEARER)(?:$|[_.-])",
    re.IGNORECASE,
)
"""Matches the names of keys that hold credentials; camel case is split first."""


def printable(text: str, *, lines: bool = False) -> str:
    """Return a text without control sequences, bidi and zero-width characters.

    Args:
        text: Any text.
        lines: Keep line breaks and tabs; otherwise each becomes a space.

    """
    if text.isascii() and text.isprintable():
        return text
    plain = _INVISIBLE.sub("", _CONTROL.sub("", text).replace("\r\n", "\n"))
    return "".join(map(_kept if lines else _kept_in_line, plain))


def escaped(document: str) -> str:
    r"""Return a JSON document with invisible characters escaped, such as `\u202e`."""
    return "".join(
        char if char == "\n" or printable(char) == char else json.dumps(char)[1:-1]
        for char in document
    )


def credentials(values: Mapping[str, str], known: Collection[str] = ()) -> tuple[str, ...]:
    """Return the credentials among some values.

    Args:
        values: A Secret's data, or a process's environment. A value is a credential if its key
            contains PASSWORD, TOKEN, SECRET, KEY or the like; so is a password in a URL.
        known: Common values that are not secret, such as the namespace's name.

    """
    found = [value for key, value in values.items() if _CREDENTIAL.search(_CAMEL.sub("_", key))]
    found += (password for value in values.values() for password in _passwords(value))
    fits = dict.fromkeys(value for each in found if len(value := each.strip()) >= _SHORTEST)
    pieces = (piece for value in fits if value not in known for piece in _pieces(value))
    return tuple(islice(pieces, _PIECES))


@dataclass(frozen=True)
class TextFilter:
    """Filter for the texts of one namespace: masks credentials as `***` and applies `printable`.

    `OUR_NAMES` are not masked.

    Attributes:
        values: The credentials; they are found in plain text, base64, URL encoding, JSON and XML.
        unknown: The credentials could not be read, so every text is hidden.

    """

    values: tuple[str, ...] = field(default=(), repr=False)
    unknown: bool = False

    def __call__(self, text: str, *, lines: bool = False) -> str:
        """Return the cleaned text; see `printable` for `lines`."""
        if not text:
            return text
        if self.unknown:
            return HIDDEN
        # Remove invisible characters first, because they may interrupt a credential.
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
        """Credentials that are part of `OUR_NAMES`: within these names they are not masked."""
        return _Search(tuple(filter(_is_ours, self.values)))


@dataclass(frozen=True)
class _Search:
    """Masks some credentials in a text that `printable` has cleaned."""

    values: tuple[str, ...] = field(repr=False)

    def masked(self, text: str) -> str:
        """Return the text with complete, wrapped and cut credentials masked."""
        for form in self._forms:
            text = text.replace(form, MASK)
        return self._torn(self._wrapped(text))

    @cached_property
    def _forms(self) -> tuple[str, ...]:
        """The forms to search for, longest first, because one may contain another."""
        return tuple(
            sorted({form for value in self.values for form in _forms(value)}, key=len, reverse=True)
        )

    def _wrapped(self, text: str) -> str:
        """Mask a credential that a program wrapped over lines, or wrote with white space in it."""
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
        """The forms without white space, if they are still long enough."""
        dense = dict.fromkeys("".join(form.split()) for form in self._forms)
        return tuple(form for form in dense if len(form) >= _SHORTEST)

    def _torn(self, text: str) -> str:
        """Mask a part of a credential at either end of the text, because logs are cut anywhere."""
        head = max((_overlap(form, text) for form in self._forms), default=0)
        if head:
            text = MASK + text[head:]
        tail = max((_overlap(text, form) for form in self._forms), default=0)
        return text[: len(text) - tail] + MASK if tail else text


def _is_ours(value: str) -> bool:
    return any(value in name for name in OUR_NAMES)


def _pieces(value: str) -> Iterable[str]:
    """Cut a value into pieces, none of which is too short to search for."""
    last = max(0, len(value) - _SHORTEST)
    starts = [start for start in range(0, len(value), _PIECE) if start <= last]
    return (value[start:end] for start, end in zip(starts, [*starts[1:], len(value)], strict=True))


def _kept(char: str) -> str:
    return char if char in "\n\t" else _kept_in_line(char)


def _kept_in_line(char: str) -> str:
    return char if char.isprintable() else " " if char.isspace() else ""


def _passwords(value: str) -> Iterable[str]:
    """Return the password in a URL, as written and decoded."""
    try:
        password = urlsplit(value).password if "://" in value else None
    except ValueError:
        password = None
    return () if password is None else dict.fromkeys((password, unquote(password)))


def _spans(form: str, text: str) -> Iterator[tuple[int, int]]:
    """Yield the positions of a form's first and last character."""
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
    """Return a value's form within base64, after 0, 1 or 2 other bytes."""
    raw, forms = value.encode("utf-8", "surrogatepass"), set()
    for before in range(3):
        whole = base64.b64encode(bytes(before) + raw).decode().rstrip("=")
        # Characters that share bits with their neighbours are left out.
        first = (before * 8 + 5) // 6
        last = (before + len(raw)) * 8 // 6
        forms |= {whole[first:last], whole[first:last].translate(_URL_SAFE)}
    return forms


_URL_SAFE = str.maketrans("+/", "-_")


def _overlap(first: str, second: str) -> int:
    """Return the length of the longest end of `first` that begins `second`, or 0 below `_TORN`."""
    longest = min(len(first), len(second))
    return next(
        (size for size in range(longest, _TORN - 1, -1) if first.endswith(second[:size])), 0
    )
