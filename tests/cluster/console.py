"""Lines of progress, and commands whose output goes to a log."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

__all__ = ["Console", "Failed", "Log", "tail"]


class Failed(RuntimeError):
    """A step failed; the message says which, why and where its log is."""


class Console:
    """Prints lines that begin with the elapsed seconds; thread-safe."""

    def __init__(self, out: IO[str]) -> None:
        self._start = time.monotonic()
        self._lock = threading.Lock()
        self._out = out

    @property
    def elapsed(self) -> float:
        """Return the seconds since the console was created."""
        return time.monotonic() - self._start

    def say(self, text: str) -> None:
        with self._lock:
            print(f"[{self.elapsed:5.0f} s] {text}", file=self._out, flush=True)


def tail(path: Path, lines: int = 25) -> str:
    """Return the last ``lines`` lines of a log; empty without a log."""
    if not path.exists():
        return ""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


class Log:
    """One step's log file, and the way to run commands into it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")

    def write(self, text: str) -> None:
        with self.path.open("a") as out:
            out.write(text.rstrip("\n") + "\n")

    def run(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: IO[bytes] | None = None,
        timeout: float | None = None,
    ) -> None:
        """Run a command with its output in the log; raise ``Failed`` unless it exits with 0."""
        words = [str(word) for word in command]
        self.write("$ " + " ".join(words))
        with self.path.open("ab") as out:
            try:
                code = subprocess.run(
                    words,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    stdin=stdin or subprocess.DEVNULL,
                    cwd=cwd,
                    env=merged(env),
                    timeout=timeout,
                    check=False,
                ).returncode
            except (OSError, subprocess.TimeoutExpired) as error:
                raise Failed(str(error)) from error
        if code:
            raise Failed(f"{Path(words[0]).name} ended with {code}")

    def read(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> str:
        """Return a command's output; log errors, and raise ``Failed`` unless it exits with 0."""
        words = [str(word) for word in command]
        self.write("$ " + " ".join(words))
        with self.path.open("ab") as out:
            done = subprocess.run(
                words,
                stdout=subprocess.PIPE,
                stderr=out,
                stdin=subprocess.DEVNULL,
                cwd=cwd,
                env=merged(env),
                check=False,
            )
        if done.returncode:
            raise Failed(f"{Path(words[0]).name} ended with {done.returncode}")
        return done.stdout.decode()


def merged(env: Mapping[str, str] | None) -> dict[str, str]:
    """Return the process's environment, updated with ``env``."""
    return {**os.environ, **(env or {})}
