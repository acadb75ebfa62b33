"""A run that trains in this process, recorded as a TrainingRun of the trainer `external`.

The operator creates the MLflow run, and updates the TrainingRun when that has ended. The client
logs, sends a heartbeat every 20 s, and closes the MLflow run on every exit: FINISHED at the block's
end; FAILED on an exception, with its text in a tag; KILLED on an interrupt, on SIGTERM or when the
process ends. If the process is killed, the heartbeats stop and the operator closes the run after
90 s.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelyard.api.dataset import tagged
from modelyard.api.run_status import RunStatus
from modelyard.api.wire import PROGRESS_METRIC
from modelyard.client import profile as figures
from modelyard.client.closing import Closing, terminable
from modelyard.client.errors import Refused
from modelyard.client.flavors import flavor_of, xgboost_requirements
from modelyard.client.heartbeat import beating
from modelyard.client.kube import Kube
from modelyard.client.kube.reach import Reach
from modelyard.client.packages import need
from modelyard.client.text import as_text
from modelyard.client.tracking import connected, mlflow_errors

__all__ = ["LocalRun", "check", "flavor_of", "recording"]

_TRIES = 5
"""Attempts to log a dataset."""


def check() -> None:
    """Check, before anything is created, that this process can record a run.

    Raises:
        Missing: MLflow is not installed.
        Refused: Another MLflow run is active in this process, so that plain mlflow calls would be
            ambiguous.

    """
    active = need("mlflow", "A run that trains here").active_run()
    if active is not None:
        raise Refused(
            f"The MLflow run {active.info.run_id} is active here: end it first with"
            " mlflow.end_run()."
        )


class LocalRun:
    """The run of a `client.runs.start` block. Its methods log to the MLflow run.

    Each method raises Unreachable if MLflow does not answer, NotAllowed if it refuses the
    credentials, and Refused if it refuses the request.

    Attributes:
        name: Name of the TrainingRun.
        namespace: Namespace of the TrainingRun.
        run_id: Id of the MLflow run.

    """

    def __init__(self, kube: Kube, name: str, run_id: str, client: Any) -> None:
        self.name, self.namespace, self.run_id = name, kube.namespace, run_id
        self._client = client

    def log_params(self, parameters: Mapping[str, Any]) -> None:
        """Log parameters. MLflow does not let them change later.

        Args:
            parameters: Values by name; `True` and `False` are logged in lower case.

        Raises:
            Refused: A parameter was logged before with another value.

        """
        entities = need("mlflow.entities", "Logging parameters")
        with mlflow_errors("log parameters"):
            self._client.log_batch(
                self.run_id,
                params=[entities.Param(key, as_text(value)) for key, value in parameters.items()],
            )

    def log_metric(self, name: str, value: float, step: int = 0) -> None:
        """Log one value of a metric.

        Args:
            name: Name of the metric.
            value: The value.
            step: Training step or epoch of the value.

        """
        self.log_metrics({name: value}, step)

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log one value of each of several metrics, in one request.

        Args:
            metrics: Values by name.
            step: Training step or epoch of the values.

        """
        entities = need("mlflow.entities", "Logging metrics")
        now = int(datetime.now(UTC).timestamp() * 1000)
        with mlflow_errors("log metrics"):
            self._client.log_batch(
                self.run_id,
                metrics=[
                    entities.Metric(key, float(value), now, step) for key, value in metrics.items()
                ],
            )

    def log_progress(self, percent: float) -> None:
        """Log how much of the training is done, in percent (0 to 100).

        `status.progress` shows it, with an estimate of the time left.
        """
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
        """Log a model with its flavour and signature.

        `register=` of the run registers the model that is logged last.

        Args:
            model: The model.
            name: Name of the model in the run.
            input_example: A few rows of input, of shape (rows, features). MLflow infers the
                signature from them, and a serving pod predicts them before it is ready.
            flavor: An MLflow flavour, such as `xgboost`; `auto` finds it by the model's class.
            more: Further arguments of the flavour's `log_model`.

        Returns:
            The model's URI, as `mlflow.pyfunc.load_model` takes it.

        Raises:
            ValueError: No flavour is known for the model's class: pass `flavor`.
            Missing: The flavour's package is not installed.

        """
        chosen = flavor_of(model) if flavor == "auto" else flavor
        module = need(f"mlflow.{chosen}", f"Logging a model of the flavour {chosen}")
        if chosen == "xgboost":
            # Without this MLflow loads the model in another process to find out, which takes 8 s.
            more.setdefault("pip_requirements", xgboost_requirements())
        arguments = {"name": name, "input_example": input_example, **more}
        with mlflow_errors("log the model"):
            info = (
                module.log_model(python_model=model, **arguments)
                if chosen == "pyfunc"
                else module.log_model(model, **arguments)
            )
        return str(info.model_uri)

    def log_data(self, data: Any, name: str = "data", *, target: str | None = None) -> str:
        """Log the training data's digest and figures; the data itself is not uploaded.

        The figures are the number of rows, missing values, duplicates and the class balance.

        Args:
            data: A pandas DataFrame, or the path of a Parquet or CSV file.
            name: Name of the dataset in MLflow.
            target: The column to predict, whose classes are counted.

        Returns:
            The digest, `sha256:<hex>`.

        Raises:
            ValueError: `data` is neither, has no rows, or has no column `target`.
            Missing: pandas is needed to read a file, and is not installed.

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
        with mlflow_errors("log the dataset"):
            self._log_input(dataset)
            self._client.log_batch(self.run_id, tags=tags)
        return found.digest

    def _log_input(self, dataset: Any) -> None:
        """Log a dataset, with retries.

        If several runs log the same dataset at once, MLflow refuses all but one. The next attempt
        of the others finds the dataset.
        """
        exceptions = need("mlflow.exceptions", "Logging a dataset")
        for attempts_left in reversed(range(_TRIES)):
            try:
                self._client.log_inputs(self.run_id, datasets=[dataset])
            except exceptions.MlflowException as error:
                if not attempts_left or "unique" not in str(error).lower():
                    raise
            else:
                return

    def __repr__(self) -> str:
        return f"<LocalRun {self.namespace}/{self.name}: MLflow run {self.run_id}>"


@contextmanager
def recording(kube: Kube, reach: Reach, name: str, run_id: str) -> Iterator[LocalRun]:
    """Record an MLflow run for the length of a block, and close it.

    Raises:
        Failed: At the block's end, the TrainingRun was deleted or has failed meanwhile.

    """
    with ExitStack() as stack:
        mlflow = stack.enter_context(connected(kube, reach, "A run that trains here"))
        run = LocalRun(kube, name, run_id, mlflow.MlflowClient())
        closing = Closing(run, mlflow)
        with mlflow_errors("begin the run"):
            mlflow.start_run(run_id=run_id)
        stack.callback(closing.close, RunStatus.KILLED, "the block did not begin")
        heart = stack.enter_context(beating(kube, name, kube.namespace))
        stack.enter_context(terminable())
        try:
            yield run
        except BaseException as error:
            closing.failed(error)
            raise
        if heart.ended is not None:
            closing.leave()
            raise heart.ended
        closing.close(RunStatus.FINISHED)
