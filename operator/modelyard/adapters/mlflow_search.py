"""Search in MLflow page by page, within limits, whatever MLflow answers.

MLflow returns every metric of every run, so a page of 200 runs may have hundreds of megabytes: the
number of rows adapts to the size of the answers.
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
"""The rows of a page, and the token of the next one; empty on the last page."""


class Pace:
    """The rows per page: halved after one that was too large or late, doubled after a small one."""

    def __init__(self, most: int, first: int | None = None) -> None:
        """Start with `first` rows, or with the maximum."""
        self._most = most
        self.rows = first or most

    def slower(self, rows: int) -> bool:
        """Record that a page of `rows` rows was too much; return whether fewer are possible."""
        self.rows = max(1, min(self.rows, rows // 2))
        return rows > 1

    def done(self, size: int, bound: int) -> None:
        """Record the bytes of a page; below a quarter of the limit, the rows are doubled."""
        if size < bound // 4:
            self.rows = min(self._most, self.rows * 2)


@dataclass(frozen=True)
class Found(Generic[T]):
    """The result of a search.

    Attributes:
        rows: In MLflow's order.
        complete: Whether all pages were read, or enough rows were found; otherwise a limit was
            reached.

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
    """Read pages until the last one, until enough rows are found, or until a limit is reached.

    Args:
        page: Requests a page, by number of rows and token; the first token is empty.
        bounds: Limits of pages, bytes and seconds.
        pace: The rows per page; kept from one search to the next.
        wanted: How many rows are enough; None: all.
        keep: Returns whether a row counts.

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
            # The page may have been too large to arrive in time: the next attempt asks for less.
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
    """Return the error for callers that need all rows of an incomplete search."""
    detail = (
        f"the answer has no end within {bounds.pages} pages, {bounds.search / MIB:g} MiB and"
        f" {bounds.seconds:g} s"
    )
    return Unavailable(DEPENDENCY, ask.operation, ask.subject, detail)
