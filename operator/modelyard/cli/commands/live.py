"""Following what happens: threads that watch, one thread that draws. What is drawn comes from
`views`.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

from modelyard.cli.screen import Screen
from modelyard.client.kube import Kube, Manifest

__all__ = ["Board", "Teller", "telling"]

_REDRAW = 1.0
"""Seconds between two drawings: what changes faster nobody reads."""
_TICK = 5.0
"""Seconds after which is drawn anew though nothing happened: ages grow."""


class Board:
    """What watches know, shared between threads: objects by kind and uid. An error of a watch is
    raised where the board is read.
    """

    def __init__(self) -> None:
        self._changed = threading.Event()
        self._lock = threading.Lock()
        self._objects: dict[tuple[str, str], Manifest] = {}
        self._error: BaseException | None = None

    def follow(self, work: Callable[[], Any]) -> None:
        """Do something on a thread that ends with the program; what it raises is raised by
        `wait`.
        """

        def done() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
                self._error = error
                self._changed.set()

        threading.Thread(target=done, daemon=True).start()

    def watch(self, kube: Kube, kind: str, **what: Any) -> None:
        """Keep up with the objects of a kind."""

        def watching() -> None:
            for event in kube.watch(kind, **what):
                key = (kind, event.object["metadata"]["uid"])
                with self._lock:
                    if event.type == "Deleted":
                        self._objects.pop(key, None)
                    else:
                        self._objects[key] = event.object
                self._changed.set()

        self.follow(watching)

    def nudge(self) -> None:
        """Say that something has changed which the board does not hold."""
        self._changed.set()

    def of(self, kind: str) -> list[Manifest]:
        """Return the objects of a kind, by namespace and name."""
        with self._lock:
            found = [body for (which, _), body in self._objects.items() if which == kind]
        return sorted(
            found, key=lambda body: (body["metadata"]["namespace"], body["metadata"]["name"])
        )

    def changes(self, until: threading.Event | None = None) -> Iterator[bool]:
        """Yield when something has changed (True) or when it is time to draw anew (False); never
        twice within a second.
        """
        pause = until or threading.Event()
        while True:
            changed = self._changed.wait(_TICK)
            self._changed.clear()
            if self._error is not None:
                raise self._error
            yield changed
            pause.wait(_REDRAW)


class Teller:
    """One line that changes, on a screen; in a pipe or a log a line for each change."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._live = (
            Live(console=screen.out, refresh_per_second=1 / _REDRAW, transient=True)
            if screen.live
            else None
        )
        self._last = ""

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    def now(self, drawing: RenderableType, plain: str) -> None:
        """Show where it stands.

        Args:
            drawing: For a screen, drawn over the one before, and again every second: what it
                computes as it is drawn moves.
            plain: For a log; told only when it is another than the one before, so it holds no age.

        """
        if self._live:
            self._live.update(drawing, refresh=True)
        elif plain != self._last:
            self._screen.tell(Text(plain))
        self._last = plain

    def line(self, words: RenderableType) -> None:
        """Say something that stays, above what changes."""
        if self._live:
            self._live.console.print(words, soft_wrap=True)
        else:
            self._screen.tell(words)


@contextmanager
def telling(screen: Screen, interrupted: str) -> Iterator[Teller]:
    """Tell for the length of a block; on Ctrl-C say what goes on and how to come back."""
    try:
        with Teller(screen) as teller:
            yield teller
    except KeyboardInterrupt:
        screen.tell(Text(interrupted))
        raise
