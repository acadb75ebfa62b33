"""End every process of a test run after the run, however it ended.

Fixtures end the processes that they started, unless pytest is killed first. So a second process
waits for pytest to end, and then ends all processes that carry the run's mark in their environment:
servers, their children, commands that a test was waiting for. Every process inherits the mark; only
processes that must outlive the run are started without it.

    python watcher.py PID MARK      watch in the background; returns when it watches
"""

from __future__ import annotations

import os
import secrets
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

__all__ = ["MARK", "marked", "unmarked", "watch"]

MARK = "MODELYARD_TEST_RUN"
# How long a process may take to exit: helm marks an upgrade as failed, servers close files.
GRACE_SECONDS = 10.0
POLL_SECONDS = 0.05


def watch() -> None:
    """Mark all processes started from now on, and end them when this process has ended."""
    mark = secrets.token_hex(16)
    # Without an environment: the watcher of an outer test run would end it too early.
    command = [sys.executable, "-I", "-S", __file__, str(os.getpid()), mark]
    subprocess.run(command, env={}, check=True, stdin=subprocess.DEVNULL)
    os.environ[MARK] = mark


def unmarked() -> dict[str, str]:
    """Return the environment for a process that outlives the test run."""
    return {name: value for name, value in os.environ.items() if name != MARK}


def marked(mark: str, proc: Path = Path("/proc")) -> set[int]:
    """Return the readable processes that carry a mark."""
    wanted = f"{MARK}={mark}".encode()
    found = set()
    for entry in proc.iterdir():
        try:
            if entry.name.isdigit() and wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.add(int(entry.name))
        except OSError:  # it has ended, or is another user's
            continue
    return found


def end(mark: str, grace: float = GRACE_SECONDS) -> None:
    """Send SIGTERM to every process with the mark, and kill those that do not exit."""
    asked: set[int] = set()
    deadline = time.monotonic() + grace
    while left := marked(mark):
        late = time.monotonic() > deadline
        for process in left if late else left - asked:
            send(process, signal.SIGKILL if late else signal.SIGTERM)
        asked |= left
        time.sleep(POLL_SECONDS)


def send(process: int, number: signal.Signals) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return


def main(process: int, mark: str) -> None:
    """Watch a process in the background."""
    ended = os.pidfd_open(process)
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")
    for stream in (1, 2):  # a reader of the run's output must see its end
        os.dup2(0, stream)
    select.select([ended], [], [])
    end(mark)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
