"""Requests of one turn of the event loop are predicted together; an error affects only its own."""

import asyncio
from typing import Any

import numpy as np

from modelyard_runtime.serve.turn import Turn


class Sums:
    """A fast model that sums each row, refuses negative numbers, and records its numbers of
    rows.
    """

    platform, quick, signature = "sums", True, None

    def __init__(self) -> None:
        self.asked: list[int] = []

    def given(self, table: Any) -> Any:
        return table

    def invocations(self, body: bytes, content_type: str) -> Any:
        raise NotImplementedError  # a turn only asks for predictions

    def predict(self, given: Any) -> Any:
        self.asked.append(len(given))
        if (given < 0).any():
            raise ValueError("a number is negative")
        return given.sum(axis=1) if len(given) else np.empty(0, np.int64)


def numbers(*values: float, width: int = 1) -> Any:
    return np.repeat(np.array(values, np.float32).reshape(-1, 1), width, axis=1)


async def answers(model: Sums, *tables: Any) -> list[Any]:
    turn = Turn()
    found = await asyncio.gather(
        *(turn.predicted(model, table) for table in tables), return_exceptions=True
    )
    return [each if isinstance(each, Exception) else each.tolist() for each in found]


def test_the_requests_of_a_turn_are_one_prediction():
    model = Sums()
    assert asyncio.run(answers(model, numbers(1), numbers(2, 3), numbers(4))) == [[1], [2, 3], [4]]
    assert model.asked == [4]


def test_a_failing_request_is_refused_alone():
    model = Sums()
    good, bad, other = asyncio.run(answers(model, numbers(1), numbers(-2, 3), numbers(4)))
    assert (good, str(bad), other) == ([1], "a number is negative", [4])
    assert model.asked == [4, 1, 2, 1]


def test_a_call_is_bounded_and_the_rest_follows():
    """Three requests of 400 kB, of which 1 MiB fits two; and one larger than that."""
    model = Sums()
    tables = [
        *(numbers(*[number] * 100, width=1000) for number in (1, 2, 3)),
        numbers(*[4] * 300, width=1000),
    ]
    assert [each[0] for each in asyncio.run(answers(model, *tables))] == [1000, 2000, 3000, 4000]
    assert model.asked == [200, 100, 300]


def test_requests_without_rows_have_empty_predictions_of_the_right_shape():
    model = Sums()
    assert asyncio.run(answers(model, numbers(1), numbers(), numbers(2))) == [[1], [], [2]]
    assert sorted(model.asked) == [0, 2]


def test_a_cancelled_request_does_not_disturb_the_others():
    model = Sums()

    async def given_up() -> list[Any]:
        turn = Turn()
        first = asyncio.ensure_future(turn.predicted(model, numbers(1)))
        second = asyncio.ensure_future(turn.predicted(model, numbers(2)))
        await asyncio.sleep(0)  # both are waiting
        first.cancel()
        return (await second).tolist()

    assert asyncio.run(given_up()) == [2]
