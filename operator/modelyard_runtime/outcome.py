"""How a pod's process says what came of it: an exit code, and a JSON object in the container's termination message.

What can go wrong is the business of the programs; here is only how it is told.
"""

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any, NoReturn

__all__ = ["Exit", "Failure", "one_line", "report", "run", "run_until_stopped"]

_DEFAULT_PATH = "/dev/termination-log"
_MESSAGE_LIMIT = 2000  # characters; the kubelet keeps 4096 bytes, and cuts JSON in the middle
_BYTES_LIMIT = 4096


class Exit(IntEnum):
    """Exit codes of this package's programs. The operator reads the reason; the code is for people and for Jobs' failure policies."""

    MISMATCH = 65
    """The bytes are not those that were promised."""
    UNAVAILABLE = 66
    """An input is not there or cannot be read."""
    INVALID = 67
    """An input is not what it should be: trying again changes nothing."""
    UNREACHABLE = 69
    """A service does not answer: trying again may help."""
    NO_SPACE = 73
    """The volume is full."""
    STOPPED = 143
    """SIGTERM came."""


class Failure(Exception):
    """The program cannot go on; `reason` is one CamelCase word, `message` says what happened and what to do."""

    def __init__(self, reason: str, message: str, code: Exit) -> None:
        """Keep the three parts of the outcome."""
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message
        self.code = code


def one_line(error: BaseException, limit: int = 600) -> str:
    """Return an exception as one line of at most `limit` characters."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= limit else text[: limit - 3] + "..."


def report(payload: Mapping[str, Any]) -> None:
    """Write the container's termination message.

    Args:
        payload: A JSON object. A `message` in it that is too long for a termination message is cut.

    """
    kept = dict(payload)
    if "message" in kept:
        kept["message"] = str(kept["message"])[:_MESSAGE_LIMIT]
    text = json.dumps(kept, ensure_ascii=False)
    while len(text.encode()) > _BYTES_LIMIT and kept.get("message"):
        kept["message"] = kept["message"][: len(kept["message"]) * 3 // 4]
        text = json.dumps(kept, ensure_ascii=False)
    try:
        Path(os.environ.get("MODELYARD_TERMINATION_LOG", _DEFAULT_PATH)).write_text(text, encoding="utf-8")
    except OSError as error:  # outside of a pod there is none; the same text is on standard error
        print(f"no termination message written: {error}", file=sys.stderr)


def run(main: Callable[[], None]) -> NoReturn:
    """Run a program and exit: 0, or a Failure's code with its termination message. Other exceptions end it with a traceback."""
    try:
        main()
    except Failure as failure:
        print(failure, file=sys.stderr, flush=True)
        report({"reason": failure.reason, "message": failure.message})
        sys.exit(failure.code)
    sys.exit(0)


def run_until_stopped(main: Callable[[], None]) -> NoReturn:
    """Like `run`, and SIGTERM ends the process at once with 143, even while it is in C code.

    The first process of a container ignores SIGTERM unless it has a handler, and Python runs handlers only between
    two of its own instructions: during a long call of XGBoost that is too late.
    """
    readable, writable = socket.socketpair()
    writable.setblocking(False)

    def stop_on_signal() -> None:
        # Nothing, when the process ends by itself and lets go of the other end: that is no signal.
        if readable.recv(1):
            os._exit(Exit.STOPPED)

    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.set_wakeup_fd(writable.fileno())
    threading.Thread(target=stop_on_signal, daemon=True).start()
    run(main)
