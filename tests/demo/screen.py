"""The demo's output: steps with their times, commands as users type them, tables, a progress bar.
Colour only on a terminal.
"""

import os
import time
from typing import IO

__all__ = ["Screen"]

BAR = 30
STEP_SECONDS = 5.0


class Screen:
    """Prints lines that begin with the seconds since it was created."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._start = time.monotonic()
        self._live = out.isatty() and os.environ.get("TERM") != "dumb"
        self._colour = self._live and not os.environ.get("NO_COLOR")
        self._open = False
        self._said: tuple[int, float] = (-1, 0.0)

    @property
    def elapsed(self) -> float:
        """Return the seconds since the screen was created."""
        return time.monotonic() - self._start

    def _paint(self, text: str, code: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._colour else text

    def _line(self, text: str) -> None:
        if self._open:
            self._out.write("\r\033[K")
            self._open = False
        print(text, file=self._out, flush=True)

    def title(self, text: str) -> None:
        self._line(self._paint(text, "1"))

    def step(self, text: str) -> None:
        """Print the title of a step."""
        self._line("")
        self._line(f"[{self.elapsed:5.0f} s] {self._paint(text, '1;36')}")

    def say(self, text: str) -> None:
        self._line(f"[{self.elapsed:5.0f} s] {text}")

    def good(self, text: str) -> None:
        self._line(f"[{self.elapsed:5.0f} s] {self._paint(text, '32')}")

    def command(self, text: str) -> None:
        """Print a command as users type it."""
        self._line(f"          {self._paint('$ ' + text, '1')}")

    def block(self, text: str) -> None:
        """Print a command's output."""
        for line in text.rstrip().splitlines():
            self._line(f"          {line}")

    def bad(self, text: str) -> None:
        first, _, rest = text.partition("\n")
        self._line(f"[{self.elapsed:5.0f} s] {self._paint('failed: ' + first, '31')}")
        self.block(rest)

    def progress(self, percent: int, text: str) -> None:
        """Show progress: one growing line on a terminal, elsewhere a line every tenth or five
        seconds.
        """
        full = round(BAR * percent / 100)
        line = f"[{self.elapsed:5.0f} s] [{'#' * full}{'.' * (BAR - full)}] {percent:3} %  {text}"
        if self._live:
            self._out.write(f"\r\033[K{line[:150]}")
            self._out.flush()
            self._open = True
            return
        tenth, now = percent // 10, time.monotonic()
        if tenth != self._said[0] or now - self._said[1] >= STEP_SECONDS:
            self._said = (tenth, now)
            self._line(line)

    def close(self) -> None:
        """End the growing line, if there is one, so that it stays."""
        if self._open:
            self._open = False
            print(file=self._out, flush=True)
        self._said = (-1, 0.0)
