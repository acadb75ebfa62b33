"""How a pod's process reports its result: an exit code and a JSON termination message.

The reasons are in `modelyard.api.pod_end`.
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
from modelyard.api.text import TextFilter, credentials, printable

__all__ = ["Failure", "on_sigterm", "one_line", "report", "run", "run_until_stopped", "unwritable"]

_CONNECTED = ("MLFLOW_TRACKING_URI", "MLFLOW_S3_ENDPOINT_URL")
_DEFAULT_PATH = "/dev/termination-log"
_MESSAGE_LIMIT = 2000  # characters; the kubelet truncates at 4096 bytes, which would break the JSON
_BYTES_LIMIT = 4096
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Failure(Exception):
    """The program cannot continue: `message` says what is the case, `reason.fix` what to do."""

    def __init__(self, reason: PodReason, message: str) -> None:
        """Keep both parts.

        Raises:
            ValueError: The reason is one that only Kubernetes gives.

        """
        if reason.exit_code is None:
            raise ValueError(f"the reason {reason} is Kubernetes' own: no program ends with it")
        super().__init__(f"{reason}: {message.rstrip('.')}. {reason.fix}")
        self.reason = reason
        self.message = message
        self.code = reason.exit_code


def unwritable(error: OSError, what: str, otherwise: PodReason) -> Failure:
    """Return the Failure of a file that cannot be written: VolumeFull if the disk is full.

    Args:
        error: The operating system's error.
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
        payload: A JSON object. Its `message` is truncated if it is too long.

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
    except OSError as error:  # as outside a pod; the same text is on standard error
        print(f"the termination message cannot be written: {error}", file=sys.stderr)


def run(main: Callable[[], None]) -> NoReturn:
    """Run a program and exit with 0, or with a Failure's code and its termination message.

    Other exceptions end it with a traceback. The program and its child processes reach MLflow and
    S3 in the cluster without a proxy.
    """
    os.environ |= without_proxy(os.environ, (os.environ.get(name, "") for name in _CONNECTED))
    try:
        main()
    except Failure as failure:
        words = TextFilter(credentials(os.environ))  # an answer of MLflow or S3 may contain them
        print(words(str(failure)), file=sys.stderr, flush=True)
        report({"reason": failure.reason, "message": words(failure.message)})
        sys.exit(failure.code)
    sys.exit(0)


def run_until_stopped(main: Callable[[], None]) -> NoReturn:
    """Do as `run`, and on SIGTERM exit at once with 143, even while C code runs."""
    with on_sigterm(lambda: os._exit(Exit.STOPPED)):
        run(main)


@contextmanager
def on_sigterm(act: Callable[[], None]) -> Iterator[None]:
    """Call `act` on a separate thread at each SIGTERM, whatever the main thread is doing.

    The first process of a container ignores SIGTERM unless it has a handler, and Python runs
    handlers only between two bytecode instructions of the main thread. During a long call of
    XGBoost that is too late, and a signal that arrives just before a blocking call is not handled
    until the call returns. The wakeup descriptor is written by the handler in C.
    """
    readable, writable = socket.socketpair()
    writable.setblocking(False)

    def watch() -> None:
        while readable.recv(1):  # empty once the other end is closed
            act()

    with readable, writable:
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.set_wakeup_fd(writable.fileno())
        watching = threading.Thread(target=watch, daemon=True)
        watching.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)
            writable.close()
            watching.join()
