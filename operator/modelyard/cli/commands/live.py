"""Watch objects on threads, and redraw a live display from the main thread."""

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

__all__ = ["StatusLine", "WatchedObjects", "status_line"]

_REDRAW = 1.0
"""Seconds between redraws, at least."""
_TICK = 5.0
"""Seconds between redraws without a change, because ages grow."""


class WatchedObjects:
    """Watched objects by kind and uid, shared between threads.

    An error of a watch is raised in the thread that reads `changes`.
    """

    def __init__(self) -> None:
        self._changed = threading.Event()
        self._lock = threading.Lock()
        self._objects: dict[tuple[str, str], Manifest] = {}
        self._error: BaseException | None = None

    def follow(self, work: Callable[[], Any]) -> None:
        """Run work on a daemon thread; `changes` raises its error."""

        def done() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - raised again by `changes`
                self._error = error
                self._changed.set()

        threading.Thread(target=done, daemon=True).start()

    def watch(self, kube: Kube, kind: str, **what: Any) -> None:
        """Watch the objects of a kind."""

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

    def notify(self) -> None:
        """Report a change that is not an object's."""
        self._changed.set()

    def of(self, kind: str) -> list[Manifest]:
        """Return the objects of a kind, by namespace and name."""
        with self._lock:
            found = [body for (which, _), body in self._objects.items() if which == kind]
        return sorted(
            found, key=lambda body: (body["metadata"]["namespace"], body["metadata"]["name"])
        )

    def changes(self, until: threading.Event | None = None) -> Iterator[bool]:
        """Yield True after a change, False when it is time to redraw; at most once a second."""
        pause = until or threading.Event()
        while True:
            changed = self._changed.wait(_TICK)
            self._changed.clear()
            if self._error is not None:
                raise self._error
            yield changed
            pause.wait(_REDRAW)


class StatusLine:
    """A line that is redrawn on a terminal; in a pipe or a log, a new line for each change."""

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

    def show(self, drawing: RenderableType, plain: str) -> None:
        """Show the current state.

        Args:
            drawing: For a terminal: replaces the last one. It is redrawn every second, so it may
                compute times while it is drawn.
            plain: For a log: printed only if it differs from the last one, so it must have no ages.

        """
        if self._live:
            self._live.update(drawing, refresh=True)
        elif plain != self._last:
            self._screen.message(Text(plain))
        self._last = plain

    def print(self, words: RenderableType) -> None:
        """Print a line that stays, above the one that is redrawn."""
        if self._live:
            self._live.console.print(words, soft_wrap=True)
        else:
            self._screen.message(words)


@contextmanager
def status_line(screen: Screen, interrupted: str) -> Iterator[StatusLine]:
    """Show a status line during a block; on Ctrl-C print what continues and how to watch it."""
    try:
        with StatusLine(screen) as status:
            yield status
    except KeyboardInterrupt:
        screen.message(Text(interrupted))
        raise
