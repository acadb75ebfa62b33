"""Predict the rows of all requests that arrive in one iteration of the event loop together.

The fixed cost of a prediction is paid once for all of them. No request waits for later requests.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from modelyard_runtime.serve.predictor import Predictor
from modelyard_runtime.serve.values import Array

__all__ = ["Then", "Turn"]

Then = Callable[[Array | Exception], None]
"""Called with the predictions for one request's rows, or with the error. It must not raise."""
_BYTES = 1 << 20
"""Bytes of rows that are predicted in one call; further rows follow in the next iteration."""


class _WaitingRows(NamedTuple):
    """Rows of one request that wait for the end of the iteration."""

    rows: Array
    then: Then


class Turn:
    """The rows that arrived since the last prediction. Used only in the event loop."""

    def __init__(self) -> None:
        """Start without rows."""
        self._waiting: deque[_WaitingRows] = deque()

    def ask(self, model: Predictor, rows: Array, then: Then) -> None:
        """Predict rows at the end of this iteration of the event loop.

        Args:
            model: A quick model, the same in all calls.
            rows: Rows from the model's `given`.
            then: Called with the predictions.

        """
        if not len(rows):  # predictions for no rows have another shape
            _predict(model, [_WaitingRows(rows, then)])
            return
        self._waiting.append(_WaitingRows(rows, then))
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._end, model)

    async def predicted(self, model: Predictor, rows: Array) -> Array:
        """Return the predictions for rows.

        Raises:
            Exception: What the model raises for these rows.

        """
        found: asyncio.Future[Array] = asyncio.get_running_loop().create_future()

        def then(result: Array | Exception) -> None:
            if found.done():  # its request was cancelled
                return
            if isinstance(result, Exception):
                found.set_exception(result)
            else:
                found.set_result(result)

        self.ask(model, rows, then)
        return await found

    def _end(self, model: Predictor) -> None:
        part, size = list[_WaitingRows](), 0
        while self._waiting and (not part or size + self._waiting[0].rows.nbytes <= _BYTES):
            part.append(self._waiting.popleft())
            size += part[-1].rows.nbytes
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._end, model)
        _predict(model, part)


def _predict(model: Predictor, part: list[_WaitingRows]) -> None:
    """Predict together; if that fails, each request alone, so that only the failing one fails."""
    try:
        whole = model.predict(
            part[0].rows if len(part) == 1 else np.concatenate([each.rows for each in part])
        )
    except Exception as error:  # noqa: BLE001 - a model may raise anything
        if len(part) == 1:
            part[0].then(error)
        else:
            for each in part:
                _predict(model, [each])
        return
    at = 0
    for each in part:
        each.then(whole[at : at + len(each.rows)])
        at += len(each.rows)
