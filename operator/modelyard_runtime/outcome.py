"""How a pod's process says what came of it: an exit code, and a JSON object in the container's
termination message.

What can go wrong is in `modelyard.api.pod_end`; this module only writes it down.
"""

import errno
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from modelyard.api.pod_end import Exit, PodReason
from modelyard.api.proxies import without_proxy
from modelyard.api.text import Words, credentials, printable

__all__ = ["Failure", "on_sigterm", "one_line", "report", "run", "run_until_stopped", "unwritable"]

_CONNECTED = ("MLFLOW_TRACKING_URI", "MLFLOW_S3_ENDPOINT_URL")
_DEFAULT_PATH = "/dev/termination-log"
_MESSAGE_LIMIT = 2000  # characters; the kubelet keeps 4096 bytes, and cuts JSON in the middle
_BYTES_LIMIT = 4096
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Failure(Exception):
    """The program cannot go on; `message` says what is the case, `reason` why and what to do."""

    def __init__(self, reason: PodReason, message: str) -> None:
        """Keep both parts.

        Raises:
            ValueError: The reason is Kubernetes' to give.

        """
        if reason.exit_code is None:
            raise ValueError(f"no program gives the reason {reason}")
        super().__init__(f"{reason}: {message.rstrip('.')}. {reason.fix}")
        self.reason = reason
        self.message = message
        self.code = reason.exit_code


def unwritable(error: OSError, what: str, otherwise: PodReason) -> Failure:
    """Return the failure of a file that cannot be written: VolumeFull where the disk or a limit is
    the cause.

    Args:
        error: What the operating system says.
        what: What cannot be written, and where.
        otherwise: The reason for all other causes.

    """
    return Failure(
        PodReason.VOLUME_FULL if error.errno in _FULL else otherwise, f"{what}: {one_line(error)}"
    )


def one_line(error: BaseException, limit: int = 600) -> str:
    """Return an exception as one line of at most `limit` characters."""
    text = " ".join(printable(f"{type(error).__name__}: {error}", lines=True).split())
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
        Path(os.environ.get("MODELYARD_TERMINATION_LOG", _DEFAULT_PATH)).write_text(
            text, encoding="utf-8"
        )
    except OSError as error:  # outside of a pod there is none; the same text is on standard error
        print(f"no termination message written: {error}", file=sys.stderr)


def run(main: Callable[[], None]) -> NoReturn:
    """Run a program and exit: 0, or a Failure's code with its termination message. Other exceptions
    end it with a traceback.

    Neither it nor a process of its own asks MLflow and S3 in the cluster through a proxy.
    """
    os.environ |= without_proxy(os.environ, (os.environ.get(name, "") for name in _CONNECTED))
    try:
        main()
    except Failure as failure:
        words = Words(credentials(os.environ))  # what MLflow and S3 answer may repeat them
        print(words(str(failure)), file=sys.stderr, flush=True)
        report({"reason": failure.reason, "message": words(failure.message)})
        sys.exit(failure.code)
    sys.exit(0)


def run_until_stopped(main: Callable[[], None]) -> NoReturn:
    """Like `run`, and SIGTERM ends the process at once with 143, even while it is in C code."""
    with on_sigterm(lambda: os._exit(Exit.STOPPED)):
        run(main)


@contextmanager
def on_sigterm(act: Callable[[], None]) -> Iterator[None]:
    """Call `act` on a thread of its own at each SIGTERM, whatever the main thread is doing.

    The first process of a container ignores SIGTERM unless it has a handler, and Python runs
    handlers only between two of its own instructions on the main thread. During a long call of
    XGBoost that is too late, and a signal that comes just before a call that waits is not looked at
    until the wait is over. The wakeup descriptor is written by the handler in C.
    """
    readable, writable = socket.socketpair()
    writable.setblocking(False)

    def heed() -> None:
        while readable.recv(1):  # nothing, once the other end is closed: that is no signal
            act()

    with readable, writable:
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.set_wakeup_fd(writable.fileno())
        heeding = threading.Thread(target=heed, daemon=True)
        heeding.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)
            writable.close()
            heeding.join()
