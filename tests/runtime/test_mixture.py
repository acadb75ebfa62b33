"""1,200 requests of all protocols, good and bad: one after the other, and many at once, get the same answers in the same order."""

from collections.abc import Callable
from functools import cache

import pytest

from tests.runtime.mixture import answers, requests
from tests.runtime.programs import Server

COUNT = 1200
wires = cache(requests)


@pytest.mark.parametrize(("connections", "pipelined"), [(1, 1), (16, 1), (16, 5), (64, 1)])
def test_what_is_asked_together_is_answered_as_if_alone(served: Callable[[str], Server], alone: list, connections: int, pipelined: int):
    found = answers(served("classifier").port, wires(COUNT), connections, pipelined)
    wrong = [(wires(COUNT)[at], one, other) for at, (one, other) in enumerate(zip(alone, found, strict=True)) if one != other]
    assert not wrong, wrong[0]


@pytest.fixture(scope="module")
def alone(served: Callable[[str], Server]) -> list:
    """What a server answers that is asked one thing at a time."""
    found = answers(served("classifier").port, wires(COUNT), 1, 1)
    assert len({status for status, *_ in found}) > 4
    return found
