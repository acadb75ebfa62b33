"""Closing the MLflow run of a training in this process, on every exit."""

import atexit
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

from modelyard.api.run_status import RunStatus
from modelyard.client.tracking import mlflow_errors
from modelyard.kube.names import FAILURE_TAG

if TYPE_CHECKING:
    from modelyard.client.local import LocalRun

__all__ = ["Closing", "terminable"]

_LONGEST = 1000
"""Characters of a failure that the run's tag keeps."""


class Closing:
    """Closes the MLflow run once: at the block's end, on an error or when the process ends."""

    def __init__(self, run: "LocalRun", mlflow: Any) -> None:
        self._run, self._mlflow = run, mlflow
        self._lock = threading.Lock()
        self._open = True
        atexit.register(self._at_exit)

    def close(self, status: RunStatus, why: str = "") -> None:
        """Close the run.

        Args:
            status: The status of the MLflow run.
            why: Why it failed or was killed, for a tag of the run.

        Raises:
            ClientError: MLflow does not answer, or refuses.

        """
        with self._lock:
            if not self._open:
                return
            self._open = False
        atexit.unregister(self._at_exit)
        client = self._run._client  # noqa: SLF001 - this package's own
        with mlflow_errors("close the run"):
            if why:
                client.set_tag(self._run.run_id, FAILURE_TAG, " ".join(why.split())[:_LONGEST])
            while self._mlflow.active_run() is not None:
                self._mlflow.end_run(status)
            # On another thread than the block's no run is active, and the loop closes nothing.
            client.set_terminated(self._run.run_id, status)

    def failed(self, error: BaseException) -> None:
        """Close the run because of `error`. If that fails, add a note to `error`."""
        killed = isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit)
        why = "the process ended" if killed else f"{type(error).__name__}: {error}"
        why = "interrupted" if isinstance(error, KeyboardInterrupt) else why
        try:
            self.close(RunStatus.KILLED if killed else RunStatus.FAILED, why)
        except Exception as second:  # noqa: BLE001 - the first error is the one to raise
            error.add_note(
                f"modelyard could not close the run {self._run.name}: {second}. The operator closes"
                " it in 90 s."
            )

    def leave(self) -> None:
        """Forget the run, which the operator or a user has closed, and end it in this process."""
        with self._lock:
            self._open = False
        atexit.unregister(self._at_exit)
        with suppress(Exception):
            while self._mlflow.active_run() is not None:
                self._mlflow.end_run(RunStatus.FAILED)

    def _at_exit(self) -> None:
        with suppress(Exception):
            self.close(RunStatus.KILLED, "the process ended")


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM raise SystemExit in the block, unless the process handles SIGTERM already.

    The handler raises once only: a second signal while the run is being closed would leave it
    open.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        yield
        return

    def end(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, lambda *_: None)
        raise SystemExit(143)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
