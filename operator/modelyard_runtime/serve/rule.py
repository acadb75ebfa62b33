"""The rule of a canary, by which a stable pod splits requests: a JSON file from the operator.

The operator may change it at any time. A rule with an unknown or invalid field is not applied, and
its revision is not acknowledged.
"""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from modelyard_runtime.outcome import one_line

__all__ = ["Rule", "RuleFile", "parsed"]

_BYTES = 16 << 10
_SECONDS = 0.2
_REVISIONS = 1 << 53
_TIMEOUT = 3_600_000
_SERVICE = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
"""Must begin with a letter, as a Service's name does: `127` and `0x7f000001` are IP addresses."""
_LABEL = re.compile(r"[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?")
_TOKEN = re.compile(r"[-A-Za-z0-9!#$%&'*+.^_`|~]{1,64}")
_ASKED = frozenset({"revision", "candidate", "version", "runtime", "weight", "timeoutMs"})
_OPTIONAL = frozenset({"sticky", "invite"})


@dataclass(frozen=True)
class Rule:
    """How this pod splits its requests between its version and a candidate."""

    revision: int
    """Only increases; counters are kept per revision."""
    candidate: str
    """The name of the candidate's Service, in this namespace."""
    version: str
    """The version that the candidate serves."""
    runtime: str
    """Identity of its serving runtime."""
    weight: int
    """Percent of requests that are drawn for the candidate."""
    timeout: float
    """Seconds after which an answer counts as a failure, whichever version gives it."""
    header: bytes | None = None
    """The header whose value keeps a user at one version, in lower case."""
    cookie: str | None = None
    """The cookie whose value does so; a rule has at most one of header and cookie."""
    invite: bytes | None = None
    """The header that asks for a version by name, in lower case."""


def parsed(text: bytes) -> Rule | None:
    """Parse the file's content; None: it is empty, so there is no rule.

    Raises:
        ValueError: It is not a valid rule.

    """
    if len(text) > _BYTES:
        raise ValueError(f"it has more than {_BYTES} bytes")
    if not text.strip():
        return None
    found = orjson.loads(text)
    if not isinstance(found, dict):
        raise ValueError("it is not an object")  # noqa: TRY004 - the same to the caller
    if odd := sorted((found.keys() ^ _ASKED) - _OPTIONAL):
        raise ValueError(f"{odd[0][:64]!r} is {'missing' if odd[0] in _ASKED else 'unknown'}")
    sticky = _one_of(found, "sticky", ("header", "cookie"))
    header, invite = sticky.get("header"), _one_of(found, "invite", ("header",)).get("header")
    return Rule(
        revision=_number(found, "revision", 1, _REVISIONS),
        candidate=_text(found, "candidate", _SERVICE),
        version=_text(found, "version", _LABEL),
        runtime=_text(found, "runtime", _LABEL),
        weight=_number(found, "weight", 0, 100),
        timeout=_number(found, "timeoutMs", 1, _TIMEOUT) / 1000,
        header=header.lower().encode() if header else None,
        cookie=sticky.get("cookie"),
        invite=invite.lower().encode() if invite else None,
    )


def _number(found: Mapping[str, Any], name: str, least: int, most: int) -> int:
    value = found[name]
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{name} is not a whole number from {least} to {most}")
    return value


def _text(found: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    value = found[name]
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{name} is not a valid name")
    return value


def _one_of(found: Mapping[str, Any], name: str, kinds: tuple[str, ...]) -> Mapping[str, str]:
    """Return a member that must have exactly one of the fields `kinds`; empty if it is absent."""
    if name not in found:
        return {}
    value = found[name]
    if not isinstance(value, dict) or len(value) != 1 or not value.keys() <= set(kinds):
        raise ValueError(f"{name} must have exactly one field, {' or '.join(kinds)}")
    return {kind: _text(value, kind, _TOKEN) for kind in value}


class RuleFile:
    """Watches the file, which the kubelet projects from an annotation and replaces as a whole."""

    def __init__(self, path: Path, apply: Callable[[Rule | None], Awaitable[None]]) -> None:
        """Set the path; read nothing yet.

        Args:
            path: The file. If its folder does not exist, requests are never split.
            apply: Called with each new rule; None: there is none, or it is invalid.

        """
        self._path = path
        self._apply = apply
        self._stamp: object = None

    @property
    def mounted(self) -> bool:
        """Whether the file's folder exists."""
        return self._path.parent.is_dir()

    async def look(self) -> None:
        """Apply the rule if the file has changed."""
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        rule = None
        try:
            stamp, text = _read(self._path)
            rule = parsed(text)
        except FileNotFoundError:
            stamp = None
        except (OSError, ValueError) as error:  # printed once: the stamp is the same next time
            print(
                "traffic: the rule is invalid and not applied, this pod answers all requests:"
                f" {one_line(error)}",
                flush=True,
            )
        self._stamp = stamp
        await self._apply(rule)

    async def follow(self) -> None:
        """Check the file periodically, until its folder no longer exists."""
        while self.mounted:
            await asyncio.sleep(_SECONDS)
            await self.look()


def _stamp(path: Path) -> object:
    """Return a value that changes whenever the file does; None: it does not exist."""
    try:
        return _stamped(path.stat())
    except FileNotFoundError:
        return None
    except OSError as error:
        return error.errno


def _stamped(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _read(path: Path) -> tuple[object, bytes]:
    """Return the file's stamp and its content, read up to one byte beyond the limit.

    Raises:
        OSError: It cannot be read.

    """
    with path.open("rb") as file:
        return _stamped(os.fstat(file.fileno())), file.read(_BYTES + 1)
