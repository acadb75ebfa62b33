"""Send metrics to MLflow while a training runs, about once a second, without delaying it."""

import threading
import time
from contextlib import nullcontext, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from modelyard.api.wire import PROGRESS_METRIC
from modelyard_runtime.outcome import Failure, one_line
from modelyard_runtime.tracking import guarded, is_refusal

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

__all__ = ["LiveMetrics"]

_SECONDS = 1.0
_BATCH = 1000  # MLflow's limit for one request


class LiveMetrics:
    """Collects metrics in the training's thread and sends them from another thread."""

    def __init__(self, client: "MlflowClient", run_id: str) -> None:
        """Start the sending thread."""
        self._client = client
        self._run_id = run_id
        self._waiting: list[Metric] = []
        self._progress: Metric | None = None
        self._refused: set[str] = set()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._send_all_along, daemon=True)
        self._thread.start()

    def add(self, values: dict[str, float], step: int) -> None:
        """Queue the metrics of one step."""
        from mlflow.entities import Metric  # noqa: PLC0415 - imported by now

        now = int(time.time() * 1000)
        with self._lock:
            self._waiting += [Metric(name, value, now, step) for name, value in values.items()]

    def progress(self, percent: float, step: int) -> None:
        """Set the training's progress, 0 to 100; only the newest value is sent."""
        from mlflow.entities import Metric  # noqa: PLC0415

        with self._lock:
            self._progress = Metric(
                PROGRESS_METRIC, round(percent, 1), int(time.time() * 1000), step
            )

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Send the remaining metrics.

        Raises:
            Failure: MLflow does not answer; a record with gaps would look complete. Not raised
                when the block itself ends with an error, which counts.

        """
        self._closing.set()
        self._thread.join()
        with suppress(Failure) if error else nullcontext(), guarded("logging the last metrics"):
            self._send()

    def _send_all_along(self) -> None:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415 - MLflow is loaded once it is needed

        while not self._closing.wait(_SECONDS):
            try:
                self._send()
            # The metrics are kept and sent with the next ones: a restart of MLflow does not stop
            # the training.
            except MlflowException as error:
                print(f"metrics are not sent yet, retrying: {one_line(error)}", flush=True)

    def _send(self) -> None:
        with self._lock:
            batch = self._waiting[: _BATCH - 1]
            sent = len(batch)
            progress, self._progress = self._progress, None
            batch = [*batch, progress] if progress else batch
        while batch:
            try:
                self._log(batch)
            except BaseException:
                with self._lock:
                    self._progress = self._progress or progress
                raise
            with self._lock:
                del self._waiting[:sent]
                batch = self._waiting[:_BATCH]
                sent = len(batch)

    def _log(self, batch: "list[Metric]") -> None:
        """Send a batch; split one that MLflow rejects, so that only the invalid metric is lost."""
        from mlflow.exceptions import MlflowException  # noqa: PLC0415 - MLflow is loaded once it is needed

        batch = [metric for metric in batch if metric.key not in self._refused]
        if not batch:
            return
        try:
            self._client.log_batch(self._run_id, metrics=batch)
        except MlflowException as error:
            if not is_refusal(error):
                raise
            if len(batch) > 1:
                half = len(batch) // 2
                self._log(batch[:half])
                self._log(batch[half:])
                return
            self._refused.add(batch[0].key)
            print(
                f"the metric {batch[0].key} is left out: MLflow rejects it: {one_line(error)}",
                flush=True,
            )
