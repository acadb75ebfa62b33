"""Measuring calls to the outside: who was asked for what, how it ended, how long it took.

What is done with the figures does not belong here (`engine` owns the metrics), nor any decision
about an error.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from modelyard.errors import (
    Ambiguous,
    Conflict,
    Dependency,
    Forbidden,
    Invalid,
    ModelyardError,
    Unavailable,
)

__all__ = ["CallTimer", "Missing", "OnCall", "outcome"]

OnCall = Callable[[Dependency, str, str, float], None]
"""Told of every call: dependency, operation (`create run`), outcome (see `outcome`), seconds."""

# Most specific first: Forbidden is an Invalid, Ambiguous an Unavailable.
_OUTCOMES: tuple[tuple[type[ModelyardError], str], ...] = (
    (Forbidden, "forbidden"),
    (Invalid, "invalid"),
    (Ambiguous, "ambiguous"),
    (Unavailable, "unavailable"),
    (Conflict, "conflict"),
)


class Missing(Invalid):
    """The object is not there. Adapters catch it where absence is an answer; elsewhere it
    crosses the port as `Invalid`.
    """


def outcome(error: BaseException | None) -> str:
    """Name how a call ended.

    Returns:
        `ok`, `missing`, `forbidden`, `invalid`, `ambiguous`, `unavailable` or `conflict`; `error`
            for anything else, a cancellation too.

    """
    if error is None:
        return "ok"
    if isinstance(error, Missing):
        return "missing"
    return next((name for kind, name in _OUTCOMES if isinstance(error, kind)), "error")


class CallTimer:
    """Measures one dependency's calls for one tenant, and says when the other side refused the
    credentials.
    """

    def __init__(
        self, dependency: Dependency, on_call: OnCall, refused: Callable[[], None] = lambda: None
    ) -> None:
        """Make a timer.

        Args:
            dependency: Who is called.
            on_call: Told of every call.
            refused: Told when a call ended as `Forbidden` by the other side's word.

        """
        self.dependency: Dependency = dependency
        self._on_call = on_call
        self._refused = refused

    @contextmanager
    def __call__(self, operation: str) -> Iterator[None]:
        """Measure what happens inside of the block."""
        begin = time.monotonic()
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._on_call(self.dependency, operation, outcome(error), time.monotonic() - begin)
            if isinstance(error, Forbidden):
                self._refused()
