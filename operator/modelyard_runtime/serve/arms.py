"""Counters of the requests of a canary: by arm (the drawn version) and outcome, in shared memory.

They count under one revision of the rule. The next revision resets them to zero and adds the counts
to totals that only grow.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from modelyard.api.wire import LATENCY_EDGES as EDGES

__all__ = [
    "CANDIDATE",
    "CHANGING",
    "INVITED",
    "OUTCOMES",
    "REVISION",
    "STABLE",
    "WORDS",
    "Arms",
    "pages",
    "totals",
]

STABLE = 0
CANDIDATE = 1
INVITED = 2
_NAMES = ("stable", "candidate", "invited")
OUTCOMES = ("ok", "failure", "refusal")

REVISION = 0
"""Index of the word with the rule's revision; 0 without a rule."""
_WEIGHT, _KNOWN, _FIRST = range(1, 4)
"""Index of the rule's weight; of 1 once there was a rule; of the first arm."""
_FAILURES, _REFUSALS, _DRAWN, _BUCKETS = range(4)
_ARM = _BUCKETS + len(EDGES) + 1
_ANSWERS = tuple(_FIRST + arm * _ARM + _BUCKETS for arm in range(3))
_BEFORE = _FIRST + 3 * _ARM
WORDS = _BEFORE + 3 * len(OUTCOMES)
"""Size of all counters, in words of 64 bits."""
CHANGING = (1 << 64) - 1
"""The revision while the counters are being reset."""


class Arms:
    """The counters of one worker."""

    def __init__(self, words: memoryview) -> None:
        """Count in `words`, which must be zero."""
        self._words = words

    def begin(self, revision: int, weight: int) -> None:
        """Start counting for another revision; 0: there is no rule."""
        words = self._words
        if words[REVISION] != revision:
            ended = [_outcomes(words, arm) for arm in range(3)]
            words[REVISION] = CHANGING
            for at, count in enumerate(count for each in ended for count in each):
                words[_BEFORE + at] += count
            for at in range(_FIRST, _BEFORE):
                words[at] = 0
        words[_WEIGHT] = weight
        words[_KNOWN] = words[_KNOWN] or int(revision > 0)
        words[REVISION] = revision

    def drew(self, arm: int) -> None:
        """Count a draw. Its outcome is counted later: after a timeout, if the version hangs."""
        self._words[_FIRST + arm * _ARM + _DRAWN] += 1

    def answered(self, arm: int, seconds: float) -> None:
        """Count an answer and its latency."""
        self._words[_ANSWERS[arm] + bisect_left(EDGES, seconds)] += 1

    def failed(self, arm: int) -> None:
        """Count a failure."""
        self._words[_FIRST + arm * _ARM + _FAILURES] += 1

    def refused(self, arm: int) -> None:
        """Count a refusal."""
        self._words[_FIRST + arm * _ARM + _REFUSALS] += 1


def pages(alive: Sequence[Sequence[int]], everyone: Iterable[Sequence[int]]) -> dict[str, Any]:
    """Return the JSON object with the counters of all workers.

    Args:
        alive: The words of the running workers, at least one. The pod's revision is their lowest.
        everyone: The words of all workers: counts of a worker that has ended remain valid. Workers
            with another revision are left out.

    """
    revision = _revision(alive)
    found: dict[str, Any] = {"revision": revision}
    if any(words[_KNOWN] for words in alive):
        same = [words for words in everyone if words[REVISION] == revision]
        arms = {name: _page([words[at : at + _ARM] for words in same]) for name, at in _places()}
        found |= {
            "arms": {name: arms[name] for name in _NAMES[:INVITED]},
            _NAMES[INVITED]: arms[_NAMES[INVITED]],
        }
    return found


def totals(
    alive: Sequence[Sequence[int]], everyone: Sequence[Sequence[int]]
) -> tuple[int, dict[tuple[str, str], int]] | None:
    """Return the weight in percent and all requests so far by arm and outcome.

    None: there never was a rule.
    """
    if not any(words[_KNOWN] for words in alive):
        return None
    found = {}
    for arm, name in enumerate(_NAMES):
        before = _BEFORE + arm * len(OUTCOMES)
        counts = [
            (_outcomes(words, arm), words[before : before + len(OUTCOMES)]) for words in everyone
        ]
        for at, outcome in enumerate(OUTCOMES):
            found[name, outcome] = sum(now[at] + earlier[at] for now, earlier in counts)
    revision = _revision(alive)
    return next((words[_WEIGHT] for words in alive if words[REVISION] == revision), 0), found


def _revision(alive: Iterable[Sequence[int]]) -> int:
    return min(0 if words[REVISION] == CHANGING else words[REVISION] for words in alive)


def _places() -> Iterator[tuple[str, int]]:
    for arm, name in enumerate(_NAMES):
        yield name, _FIRST + arm * _ARM


def _page(arms: Sequence[Sequence[int]]) -> dict[str, Any]:
    sums = [sum(column) for column in zip(*arms, strict=True)] or [0] * _ARM
    return {
        "drawn": sums[_DRAWN],
        "requests": sum(sums) - sums[_DRAWN],
        "failures": sums[_FAILURES],
        "refusals": sums[_REFUSALS],
        "latency": {str(i): count for i, count in enumerate(sums[_BUCKETS:]) if count},
    }


def _outcomes(words: Sequence[int], arm: int) -> tuple[int, int, int]:
    """Return the numbers of an arm's requests that were answered, failed and were refused."""
    failures, refusals, _, *answers = words[_FIRST + arm * _ARM :][:_ARM]
    return sum(answers), failures, refusals
