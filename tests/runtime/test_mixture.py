"""1,200 requests of all protocols get the same answers concurrently, pipelined and one by one."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.runtime.mixture import Got, answers, requests
from tests.runtime.programs import Server, serving

COUNT = 1200
WAYS = [(connections, pipelined) for connections in (1, 16, 64) for pipelined in (1, 5)]
wires = cache(requests)


@pytest.fixture(scope="module")
def plain(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server without the shortcut: uvicorn handles all requests."""
    with serving(
        tmp_path_factory.mktemp("plain"), models / "classifier", {"MODELYARD_QUICK": "false"}
    ) as server:
        yield server


@pytest.fixture(scope="module")
def alone(plain: Server) -> list[Got]:
    """Answers to one request at a time, so that none are joined."""
    found = answers(plain.port, wires(COUNT), 1, 1)
    assert len({status for status, *_ in found}) > 4
    return found


def differences(alone: list[Got], found: list[Got]) -> list[tuple[bytes, Got, Got]]:
    return [
        (wires(COUNT)[at], one, other)
        for at, (one, other) in enumerate(zip(alone, found, strict=True))
        if one != other
    ]


@pytest.mark.parametrize(("connections", "pipelined"), WAYS)
def test_the_shortcut_answers_like_uvicorn_s_path(
    served: Callable[[str], Server], alone: list[Got], connections: int, pipelined: int
):
    found = answers(served("classifier").port, wires(COUNT), connections, pipelined)
    assert not differences(alone, found)


def test_joined_predictions_equal_single_ones(plain: Server, alone: list[Got]):
    assert not differences(alone, answers(plain.port, wires(COUNT), 16, 5))
