"""Draw the version that answers a request, by a rule. Pure: the random number is an argument."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from modelyard_runtime.serve.rule import Rule

__all__ = ["Drawn", "Headers", "Split"]

Headers = Sequence[tuple[bytes, bytes]]
"""A request's headers, names in lower case."""
_SHARES = 10_000
_STABLE, _CANDIDATE = b"stable", b"candidate"


@dataclass(frozen=True, slots=True)
class Drawn:
    """The version that was drawn for one request."""

    rule: Rule
    candidate: bool
    """True: the candidate answers; False: the stable version."""
    invited: bool = False
    """True: the version was not drawn at random; the request names it."""
    key: int | None = None
    """The user's key, under `sticky`."""


class Split:
    """A rule, ready to draw by."""

    def __init__(self, rule: Rule, name: str, version: str) -> None:
        """Prepare a rule.

        Args:
            rule: The rule.
            name: The model's name, so that each model divides the users differently.
            version: The version of this server.

        """
        self.rule = rule
        self._name = name.encode()
        self._drawn = Drawn(rule, candidate=False), Drawn(rule, candidate=True)
        varies = rule.weight or rule.header or rule.cookie or rule.invite
        self.only = None if varies else self._drawn[0]
        """The draw for every request if it is always the same; it makes a weight of 0 cheap."""
        here = Drawn(rule, candidate=False, invited=True)
        there = Drawn(rule, candidate=True, invited=True)
        # In a refresh both serve the same version; its name then selects the candidate.
        self._invited = {
            _STABLE: here,
            version.encode(): here,
            _CANDIDATE: there,
            rule.version.encode(): there,
        }

    def draw(self, headers: Headers, chance: Callable[[], float]) -> Drawn:
        """Return the version for a request.

        Args:
            headers: The request's headers.
            chance: Returns a random number in [0, 1).

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
                # A user's key is always in the same one of 10,000 shares. So a user who is sent to
                # the candidate at one weight is also sent there at a greater weight.
                return Drawn(rule, key % _SHARES < rule.weight * _SHARES // 100, key=key)
        return self._drawn[chance() * 100 < rule.weight]


def _value(headers: Headers, name: bytes) -> bytes:
    """Return the first value of a header; empty: it is absent."""
    for each, value in headers:
        if each == name:
            return value
    return b""


def _cookie(headers: Headers, name: str) -> bytes:
    """Return the first value of a cookie, as it was sent; empty: it is absent."""
    wanted = name.encode()
    for each, line in headers:
        if each == b"cookie":
            for part in line.split(b";"):
                found, _, value = part.strip().partition(b"=")
                if found == wanted:
                    return value
    return b""
