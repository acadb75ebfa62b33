"""One search in MLflow, page by page, with an end whatever MLflow says.

MLflow returns every metric of every run, so a page of 200 runs may have hundreds of megabytes: a
page has as many rows as answers have room for. What a page means does not belong here
(`mlflow_runs`, `mlflow_registry`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from modelyard.adapters.bounds import MIB, Bounds
from modelyard.adapters.mlflow_errors import DEPENDENCY
from modelyard.adapters.mlflow_rest import Answer, Ask, Oversized
from modelyard.errors import Unavailable

__all__ = ["Found", "Pace", "endless", "search"]

T = TypeVar("T")
Page = tuple[list[T], str]
"""The rows of a page, and the token of the next one; empty: there is none."""


class Pace:
    """How many rows a page has: half after one that was too large or late, twice after a small
    one.
    """

    def __init__(self, most: int, first: int | None = None) -> None:
        """Begin with a first page of so many rows; None: with the most that a page may have."""
        self._most = most
        self.rows = first or most

    def slower(self, rows: int) -> bool:
        """Note that a page of so many rows was too much; return whether fewer can be asked for."""
        self.rows = max(1, min(self.rows, rows // 2))
        return rows > 1

    def done(self, size: int, bound: int) -> None:
        """Note the bytes of a page; below a quarter of the bound, twice as many rows fit."""
        if size < bound // 4:
            self.rows = min(self._most, self.rows * 2)


@dataclass(frozen=True)
class Found(Generic[T]):
    """What a search found.

    Attributes:
        rows: In MLflow's order.
        complete: Whether all pages were read, or as many rows were found as were wanted;
            otherwise a bound was reached.

    """

    rows: list[T]
    complete: bool


async def search(
    page: Callable[[int, str], Awaitable[Answer[Page[T]]]],
    bounds: Bounds,
    pace: Pace,
    *,
    wanted: int | None = None,
    keep: Callable[[T], bool] = lambda _: True,
) -> Found[T]:
    """Read pages until there is no more, until enough is found, or until a bound is reached.

    Args:
        page: Asks for a page of so many rows; the token is empty for the first.
        bounds: Of pages, bytes and seconds.
        pace: How many rows a page has; it is remembered from one search to the next.
        wanted: How many rows are enough; None: all.
        keep: Which rows count.

    Raises:
        Oversized: One row is too large.
        ModelyardError: What `page` raises.

    """
    loop = asyncio.get_running_loop()
    end, size, token = loop.time() + bounds.seconds, 0, ""
    found: list[T] = []
    for _ in range(bounds.pages):
        rows = pace.rows if wanted is None else min(pace.rows, wanted)
        try:
            answer = await page(rows, token)
        except Oversized:
            late = loop.time() >= end
            if pace.slower(rows) and not late:
                continue
            if found or late:
                break
            raise
        except Unavailable:
            # It may have been too much to do in time: whoever asks again asks for less.
            pace.slower(rows)
            raise
        read, token = answer.value
        found += filter(keep, read)
        size += answer.size
        pace.done(answer.size, bounds.answer)
        if not token or (wanted is not None and len(found) >= wanted):
            return Found(found[:wanted], complete=True)
        if size >= bounds.search or loop.time() >= end:
            break
    return Found(found, complete=False)


def endless(ask: Ask, bounds: Bounds) -> Unavailable:
    """Return the error of a search whose end was not reached, for those that need all of it."""
    detail = (
        f"the answer has no end within {bounds.pages} pages, {bounds.search / MIB:g} MiB and"
        f" {bounds.seconds:g} s"
    )
    return Unavailable(DEPENDENCY, ask.operation, ask.subject, detail)
