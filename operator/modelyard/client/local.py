"""A training that happens here, in a notebook or a script, recorded as a TrainingRun of the trainer
`external`.

The operator makes the MLflow run and, when it is over, says so in the object; this side logs, says
every 20 s that it is alive, and closes the run on any exit: the block's end (FINISHED), an
exception (FAILED, with its words in a tag), an interrupt, SIGTERM or the process's end (KILLED). A
killed kernel says nothing more, and after 90 s the operator closes the run.
"""

import atexit
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType
from typing import Any

from modelyard.api.dataset import tagged
from modelyard.api.run_status import RunStatus
from modelyard.api.wire import PROGRESS_METRIC
from modelyard.client import profile as figures
from modelyard.client.errors import ClientError, Failed, NotFound, Refused, Unreachable
from modelyard.client.kube import Kube
from modelyard.client.kube.reach import Reach
from modelyard.client.packages import need
from modelyard.client.rest import mlflow_error
from modelyard.client.text import as_text
from modelyard.client.tracking import connected
from modelyard.kube.names import FAILURE_TAG, HEARTBEAT_ANNOTATION

__all__ = ["LocalRun", "check", "flavor_of", "recording"]

_BEAT = 20.0
"""Seconds between two signs of life; the operator gives up after 90."""
_SOON = 5.0
"""Seconds after one that did not arrive."""
_WORDS = 1000
_TRIES = 5
_FLAVORS = {
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "catboost": "catboost",
    "sklearn": "sklearn",
    "torch": "pytorch",
    "keras": "tensorflow",
    "tensorflow": "tensorflow",
    "onnx": "onnx",
    "statsmodels": "statsmodels",
    "prophet": "prophet",
    "spacy": "spacy",
    "mlflow": "pyfunc",
}
_XGBOOST_NEEDS = {
    "mlflow": "mlflow",
    "numpy": "numpy",
    "pandas": "pandas",
    "scikit-learn": "scikit-learn",
    "xgboost": "xgboost",
}


def check() -> None:
    """See to it, before anything is made, that a run can be recorded here.

    Raises:
        Missing: MLflow is not installed.
        Refused: Another MLflow run is active here; plain mlflow calls could not be told apart.

    """
    active = need("mlflow", "A run that trains here").active_run()
    if active is not None:
        raise Refused(
            f"The MLflow run {active.info.run_id} is active here: end it first, mlflow.end_run()."
        )


class LocalRun:
    """The run of a `client.runs.start` block.

    Attributes:
        name: The TrainingRun.
        namespace: Its namespace.
        run_id: Its MLflow run.

    """

    def __init__(self, kube: Kube, name: str, run_id: str, client: Any) -> None:
        self.name, self.namespace, self.run_id = name, kube.namespace, run_id
        self._client = client

    def log_params(self, parameters: Mapping[str, Any]) -> None:
        """Log parameters to MLflow; once written they cannot be changed.

        Raises:
            Refused: One was logged with another value.

        """
        entities = need("mlflow.entities", "Logging parameters")
        with _told("log parameters"):
            self._client.log_batch(
                self.run_id,
                params=[entities.Param(key, as_text(value)) for key, value in parameters.items()],
            )

    def log_metric(self, name: str, value: float, step: int = 0) -> None:
        """Log one value of a metric."""
        self.log_metrics({name: value}, step)

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log values of several metrics in one request."""
        entities = need("mlflow.entities", "Logging metrics")
        now = int(datetime.now(UTC).timestamp() * 1000)
        with _told("log metrics"):
            self._client.log_batch(
                self.run_id,
                metrics=[
                    entities.Metric(key, float(value), now, step) for key, value in metrics.items()
                ],
            )

    def log_progress(self, percent: float) -> None:
        """Say how far it is, 0 to 100: `status.progress` shows it, with the time that is left."""
        self.log_metrics({PROGRESS_METRIC: min(100.0, max(0.0, percent))}, step=int(percent))

    def log_model(
        self,
        model: Any,
        name: str = "model",
        *,
        input_example: Any = None,
        flavor: str = "auto",
        **more: Any,
    ) -> str:
        """Log a model with its flavour and signature; return its URI, `models:/m-...`.

        Args:
            model: The model.
            name: Its name in the run; the last one that is logged is the one that is registered.
            input_example: A few rows of input: the signature is inferred from them, and a serving
                pod predicts them before it is ready.
            flavor: An MLflow flavour, such as `xgboost`; by the model's class if `auto`.
            more: Further arguments of the flavour's `log_model`.

        Raises:
            ValueError: No flavour is known for the model's class; name one.
            Missing: The flavour's package is not installed.

        """
        chosen = flavor_of(model) if flavor == "auto" else flavor
        module = need(f"mlflow.{chosen}", f"Logging a model of the flavour {chosen}")
        if chosen == "xgboost":
            # Named here, MLflow does not load the model once more in a process of its own to find
            # out: that takes 8 s.
            more.setdefault("pip_requirements", _pinned())
        arguments = {"name": name, "input_example": input_example, **more}
        with _told("log the model"):
            info = (
                module.log_model(python_model=model, **arguments)
                if chosen == "pyfunc"
                else module.log_model(model, **arguments)
            )
        return str(info.model_uri)

    def log_data(self, data: Any, name: str = "data", *, target: str | None = None) -> str:
        """Log what is trained on, with its digest and figures (rows, missing values, duplicates,
        class balance); return the digest.

        Args:
            data: A DataFrame, or the path of a Parquet or CSV file.
            name: Its name in MLflow.
            target: The column to predict, whose classes are counted.

        Raises:
            ValueError: It is no such data, or has no rows or no such column.

        """
        entities = need("mlflow.entities", "Logging a dataset")
        found = figures.profile(data, target)
        uri = Path(data).resolve().as_uri() if isinstance(data, str | Path) else ""
        context = [entities.InputTag("mlflow.data.context", "training")]
        dataset = entities.DatasetInput(
            entities.Dataset(**figures.entity(name, uri, found)), context
        )
        tags = [
            entities.RunTag(key, value)
            for key, value in tagged(name, found.digest, uri or "memory", found).items()
        ]
        with _told("log the dataset"):
            self._log_input(dataset)
            self._client.log_batch(self.run_id, tags=tags)
        return found.digest

    def _log_input(self, dataset: Any) -> None:
        """Of runs that bring the same dataset at once MLflow refuses all but one; the next try
        finds what the winner inserted.
        """
        exceptions = need("mlflow.exceptions", "Logging a dataset")
        for left in reversed(range(_TRIES)):
            try:
                self._client.log_inputs(self.run_id, datasets=[dataset])
            except exceptions.MlflowException as error:
                if not left or "unique" not in str(error).lower():
                    raise
            else:
                return

    def __repr__(self) -> str:
        return f"<LocalRun {self.namespace}/{self.name}: MLflow run {self.run_id}>"


@contextmanager
def recording(kube: Kube, reach: Reach, name: str, run_id: str) -> Iterator[LocalRun]:
    """Record into a run for the length of a block, and close it."""
    with ExitStack() as stack:
        mlflow = stack.enter_context(connected(kube, reach, "A run that trains here"))
        run = LocalRun(kube, name, run_id, mlflow.MlflowClient())
        closing = _Closing(run, mlflow)
        with _told("begin the run"):
            mlflow.start_run(run_id=run_id)
        stack.callback(closing.close, RunStatus.KILLED, "the block was left without a word")
        heart = stack.enter_context(_beating(kube, name, kube.namespace))
        stack.enter_context(_terminable())
        try:
            yield run
        except BaseException as error:
            closing.failed(error)
            raise
        if heart.ended is not None:
            closing.leave()
            raise heart.ended
        closing.close(RunStatus.FINISHED)


class _Closing:
    """Closes the MLflow run once, whatever comes first: the block's end, an error, the process's
    end.
    """

    def __init__(self, run: LocalRun, mlflow: Any) -> None:
        self._run, self._mlflow = run, mlflow
        self._lock = threading.Lock()
        self._open = True
        atexit.register(self._at_exit)

    def close(self, status: RunStatus, why: str = "") -> None:
        """Close it, with a few words on why it did not end well.

        Raises:
            ClientError: MLflow does not take it.

        """
        with self._lock:
            if not self._open:
                return
            self._open = False
        atexit.unregister(self._at_exit)
        client = self._run._client  # noqa: SLF001 - both are this module's
        with _told("close the run"):
            if why:
                client.set_tag(self._run.run_id, FAILURE_TAG, " ".join(why.split())[:_WORDS])
            while self._mlflow.active_run() is not None:
                self._mlflow.end_run(status)
            client.set_terminated(
                self._run.run_id, status
            )  # on another thread than the block's, there was no active run

    def failed(self, error: BaseException) -> None:
        """Close it because of what was raised; trouble with that is a note on the error, not
        another one.
        """
        killed = isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit)
        why = (
            "interrupted"
            if isinstance(error, KeyboardInterrupt)
            else "the process ended"
            if killed
            else f"{type(error).__name__}: {error}"
        )
        try:
            self.close(RunStatus.KILLED if killed else RunStatus.FAILED, why)
        except Exception as second:  # noqa: BLE001 - the first one is what matters
            error.add_note(
                f"modelyard could not close the run {self._run.name}: {second}. The operator does"
                " it in 90 s."
            )

    def leave(self) -> None:
        """Others have closed it: only forget it here."""
        with self._lock:
            self._open = False
        atexit.unregister(self._at_exit)
        with suppress(Exception):
            while self._mlflow.active_run() is not None:
                self._mlflow.end_run(RunStatus.FAILED)

    def _at_exit(self) -> None:
        with suppress(Exception):
            self.close(RunStatus.KILLED, "the process ended")


class _Heart(threading.Thread):
    """Says every 20 s that the run is alive, and hears from the answer whether it still is."""

    def __init__(self, kube: Kube, name: str, namespace: str) -> None:
        super().__init__(name=f"modelyard-heartbeat-{name}", daemon=True)
        self._kube, self._name, self._namespace = kube, name, namespace
        self._over = threading.Event()
        self.ended: Failed | None = None

    def run(self) -> None:
        """Beat until `stop`, or until there is nothing to keep alive."""
        pause = 0.0
        while not self._over.wait(pause):
            try:
                body = self.beat()
            except NotFound:
                self.ended = Failed(
                    f"TrainingRun {self._namespace}/{self._name}",
                    "Deleted",
                    "it was deleted while it was trained.",
                )
                return
            except ClientError:
                pause = _SOON
                continue
            pause = _BEAT
            status = body.get("status") or {}
            if status.get("completionTime"):
                if failure := status.get("failure"):
                    self.ended = Failed(
                        f"TrainingRun {self._namespace}/{self._name}",
                        failure["reason"],
                        failure["message"],
                    )
                return

    def beat(self) -> dict[str, Any]:
        """Write one sign of life; return the object."""
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return self._kube.patch(
            "TrainingRun",
            self._name,
            {"metadata": {"annotations": {HEARTBEAT_ANNOTATION: now}}},
            self._namespace,
        )

    def stop(self) -> None:
        """End it."""
        self._over.set()


@contextmanager
def _beating(kube: Kube, name: str, namespace: str) -> Iterator[_Heart]:
    heart = _Heart(kube, name, namespace)
    heart.start()
    try:
        yield heart
    finally:
        heart.stop()
        heart.join(5)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the block like an interrupt does, where nobody else has a use for it.

    The handler only raises, and only once: a second signal while the run is closed would leave it
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


@contextmanager
def _told(doing: str) -> Iterator[None]:
    """Turn MLflow's errors into ours.

    Args:
        doing: What is being done, for the message: "log metrics".

    """
    exceptions = need("mlflow.exceptions", "A run that trains here")
    try:
        yield
    except exceptions.MlflowException as error:
        code, said = error.get_http_status_code(), " ".join(str(error).split())[:600]
        raise mlflow_error(code, said, doing) or Unreachable(
            f"MLflow cannot {doing}: {said}"
        ) from error


def flavor_of(model: Any) -> str:
    """Return MLflow's flavour for a model, by where its class, or one that it is made of, comes
    from.

    Raises:
        ValueError: None is known.

    """
    for each in type(model).__mro__:
        if (root := each.__module__.partition(".")[0]) in _FLAVORS:
            return _FLAVORS[root]
    if callable(model):
        return "pyfunc"
    raise ValueError(
        f"no MLflow flavour is known for a {type(model).__name__}: name one, flavor='sklearn'"
    )


def _pinned() -> list[str]:
    found = {}
    for installed, name in (*_XGBOOST_NEEDS.items(), ("xgboost-cpu", "xgboost")):
        with suppress(PackageNotFoundError):
            found[name] = version(installed)
    return [f"{name}=={number}" for name, number in sorted(found.items())]
