"""How a pod splits its requests: a small file of JSON that the operator writes and may change at
any time.

Which request goes where belongs to `split`. What is not wholly understood is not applied, and its
revision not acknowledged.
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
"""It begins with a letter, as a Service's name does: `127` and `0x7f000001` are addresses."""
_LABEL = re.compile(r"[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?")
_TOKEN = re.compile(r"[-A-Za-z0-9!#$%&'*+.^_`|~]{1,64}")
_ASKED = frozenset({"revision", "candidate", "version", "runtime", "weight", "timeoutMs"})
_OPTIONAL = frozenset({"sticky", "invite"})


@dataclass(frozen=True)
class Rule:
    """What the operator has told this pod."""

    revision: int
    """It only rises; counters are kept by it."""
    candidate: str
    """A Service of this namespace."""
    version: str
    """The version that the candidate serves."""
    runtime: str
    """Identity of what serves it."""
    weight: int
    """Percent of the requests that are drawn for the candidate."""
    timeout: float
    """Seconds after which an answer is a failure, whoever gives it."""
    header: bytes | None = None
    """The header whose value keeps a user at one version, in lower case."""
    cookie: str | None = None
    """The cookie that does; there is a header or a cookie, or neither."""
    invite: bytes | None = None
    """The header that asks for a version by name, in lower case."""


def parsed(text: bytes) -> Rule | None:
    """Return the rule in a file; None: there is none.

    Raises:
        ValueError: It is no rule.

    """
    if len(text) > _BYTES:
        raise ValueError(f"it has more than {_BYTES} bytes")
    if not text.strip():
        return None
    found = orjson.loads(text)
    if not isinstance(found, dict):
        raise ValueError("it is no object")  # noqa: TRY004 - to the caller both are the same
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
        raise ValueError(f"{name} is no whole number of {least} to {most}")
    return value


def _text(found: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    value = found[name]
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{name} is no name")
    return value


def _one_of(found: Mapping[str, Any], name: str, kinds: tuple[str, ...]) -> Mapping[str, str]:
    """Return an object with one of these fields; an empty one if the rule does not have it."""
    if name not in found:
        return {}
    value = found[name]
    if not isinstance(value, dict) or len(value) != 1 or not value.keys() <= set(kinds):
        raise ValueError(f"{name} does not have {' or '.join(kinds)}, and nothing else")
    return {kind: _text(value, kind, _TOKEN) for kind in value}


class RuleFile:
    """Follows the file: it is projected from an annotation of the pod, which the kubelet
    replaces as a whole.
    """

    def __init__(self, path: Path, apply: Callable[[Rule | None], Awaitable[None]]) -> None:
        """Read nothing yet.

        Args:
            path: The file. Where its folder is not there, the feature is off.
            apply: Takes each rule as it comes; None: there is none, or none that is understood.

        """
        self._path = path
        self._apply = apply
        self._stamp: object = None

    @property
    def mounted(self) -> bool:
        """Whether there is a folder to look into."""
        return self._path.parent.is_dir()

    async def look(self) -> None:
        """Apply the rule if the file is not what it was."""
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        rule = None
        try:
            stamp, text = _read(self._path)
            rule = parsed(text)
        except FileNotFoundError:
            stamp = None
        except (OSError, ValueError) as error:  # said once: the next look finds the same stamp
            print(
                "traffic: the rule is not applied, all requests are answered here:"
                f" {one_line(error)}",
                flush=True,
            )
        self._stamp = stamp
        await self._apply(rule)

    async def follow(self) -> None:
        """Look again and again; end when the folder is gone."""
        while self.mounted:
            await asyncio.sleep(_SECONDS)
            await self.look()


def _stamp(path: Path) -> object:
    """Return what changes whenever the file does; None: it is not there."""
    try:
        return _stamped(path.stat())
    except FileNotFoundError:
        return None
    except OSError as error:
        return error.errno


def _stamped(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _read(path: Path) -> tuple[object, bytes]:
    """Return the stamp of what was read, and a byte more than a rule may have at most.

    Raises:
        OSError: It cannot be read.

    """
    with path.open("rb") as file:
        return _stamped(os.fstat(file.fileno())), file.read(_BYTES + 1)
