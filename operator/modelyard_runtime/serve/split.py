"""For which version a request is drawn. Pure: headers and chance are given.

What a rule is belongs to `rule`, what is done with what was drawn to `splitter`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from modelyard_runtime.serve.rule import Rule

__all__ = ["Drawn", "Headers", "Split"]

Headers = Sequence[tuple[bytes, bytes]]
"""Names are in lower case."""
_SHARES = 10_000
_STABLE, _CANDIDATE = b"stable", b"candidate"


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was drawn for one request."""

    rule: Rule
    candidate: bool
    """True: the candidate is asked."""
    invited: bool = False
    """True: nothing was drawn, the request asks for this version by name."""
    key: int | None = None
    """Of the user, under `sticky`."""


class Split:
    """A rule, ready to draw by."""

    def __init__(self, rule: Rule, name: str, version: str) -> None:
        """Prepare it.

        Args:
            rule: The rule.
            name: The model's name; users are shared out otherwise for each model.
            version: The version that is served here.

        """
        self.rule = rule
        self._name = name.encode()
        self._drawn = Drawn(rule, candidate=False), Drawn(rule, candidate=True)
        self.only = (
            None if rule.weight or rule.header or rule.cookie or rule.invite else self._drawn[0]
        )
        """What is drawn for each request, if that is always the same: a weight of 0 costs
        little.
        """
        here, there = (
            Drawn(rule, candidate=False, invited=True),
            Drawn(rule, candidate=True, invited=True),
        )
        # In a refresh both serve the same version: its name is the candidate's.
        self._invited = {
            _STABLE: here,
            version.encode(): here,
            _CANDIDATE: there,
            rule.version.encode(): there,
        }

    def draw(self, headers: Headers, chance: Callable[[], float]) -> Drawn:
        """Return for which version a request is.

        Args:
            headers: The request's.
            chance: Returns a random number of 0 to 1, 1 excluded.

        """
        rule = self.rule
        if rule.invite is not None and (invited := self._invited.get(_value(headers, rule.invite))):
            return invited
        if rule.header is not None or rule.cookie is not None:
            value = (
                _value(headers, rule.header) if rule.header else _cookie(headers, rule.cookie or "")
            )
            if value:
                key = int.from_bytes(blake2b(value, digest_size=8, key=self._name[:64]).digest())
                # One share of 10,000 is a user's for ever: what a weight gives to the candidate, a
                # greater one gives too.
                return Drawn(rule, key % _SHARES < rule.weight * _SHARES // 100, key=key)
        return self._drawn[chance() * 100 < rule.weight]


def _value(headers: Headers, name: bytes) -> bytes:
    """Return the first value of a header; empty: it is not there."""
    for each, value in headers:
        if each == name:
            return value
    return b""


def _cookie(headers: Headers, name: str) -> bytes:
    """Return the first value of a cookie, as it was sent; empty: it is not there."""
    wanted = name.encode()
    for each, line in headers:
        if each == b"cookie":
            for part in line.split(b";"):
                found, _, value = part.strip().partition(b"=")
                if found == wanted:
                    return value
    return b""
