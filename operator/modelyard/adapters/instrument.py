"""Measure calls to dependencies: operation, outcome and duration."""

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
"""Called after every call: dependency, operation (`create run`), `outcome`, seconds."""

# Most specific first: Forbidden is an Invalid, Ambiguous an Unavailable.
_OUTCOMES: tuple[tuple[type[ModelyardError], str], ...] = (
    (Forbidden, "forbidden"),
    (Invalid, "invalid"),
    (Ambiguous, "ambiguous"),
    (Unavailable, "unavailable"),
    (Conflict, "conflict"),
)


class Missing(Invalid):
    """The object does not exist.

    Adapters catch it where absence is an answer; elsewhere it crosses the port as `Invalid`.
    """


def outcome(error: BaseException | None) -> str:
    """Return the outcome of a call, by its error.

    Returns:
        `ok`, `missing`, `forbidden`, `invalid`, `ambiguous`, `unavailable` or `conflict`; `error`
            for anything else, including a cancellation.

    """
    if error is None:
        return "ok"
    if isinstance(error, Missing):
        return "missing"
    return next((name for kind, name in _OUTCOMES if isinstance(error, kind)), "error")


class CallTimer:
    """Measures one dependency's calls for one tenant, and reports refused credentials."""

    def __init__(
        self, dependency: Dependency, on_call: OnCall, refused: Callable[[], None] = lambda: None
    ) -> None:
        """Create a timer.

        Args:
            dependency: The dependency.
            on_call: Called after every call.
            refused: Called when a call ended as `Forbidden`.

        """
        self.dependency: Dependency = dependency
        self._on_call = on_call
        self._refused = refused

    @contextmanager
    def __call__(self, operation: str) -> Iterator[None]:
        """Measure the block as one call."""
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
