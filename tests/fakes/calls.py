"""The log of a fake's calls, and a hook that lets a test fail or kill at any call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Call", "Calls", "Hook", "Phase"]

Phase = Literal["before", "after"]
Hook = Callable[[str, Phase], None]
"""Called with the method of every call of a port, before and after it took effect.

Its errors reach the caller: a BaseException to kill, `Ambiguous` after a write for
commit-then-error, `Unavailable` before for an outage.
"""


@dataclass(frozen=True)
class Call:
    """One call of a port, with its positional arguments."""

    operation: str
    arguments: tuple[Any, ...]


@dataclass
class Calls:
    """The log and the hook; the fakes of one story share one."""

    on_call: Hook = lambda _operation, _phase: None
    log: list[Call] = field(default_factory=list)

    @asynccontextmanager
    async def __call__(self, operation: str, *arguments: Any) -> AsyncIterator[None]:
        """Log a call and call the hook; a call that the fake refuses has no "after"."""
        self.log.append(Call(operation, arguments))
        self.on_call(operation, "before")
        yield
        self.on_call(operation, "after")

    def named(self, *operations: str) -> list[Call]:
        """Return the calls of these methods."""
        return [call for call in self.log if call.operation in operations]

    @property
    def names(self) -> list[str]:
        """Return the methods called, in order."""
        return [call.operation for call in self.log]
