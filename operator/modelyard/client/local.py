"""A training that happens here, in a notebook or a script, recorded as a TrainingRun of the trainer `external`."""

from collections.abc import Mapping
from typing import Any

__all__ = ["LocalRun"]


class LocalRun:
    """The run of a `client.runs.start` block.

    Attributes:
        name: The TrainingRun.
        run_id: Its MLflow run.

    """

    name: str
    run_id: str

    def log_params(self, parameters: Mapping[str, Any]) -> None:
        """Log parameters to MLflow; once written they cannot be changed."""
        raise NotImplementedError

    def log_metric(self, name: str, value: float, step: int = 0) -> None:
        """Log one value of a metric."""
        raise NotImplementedError

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log values of several metrics in one request."""
        raise NotImplementedError

    def log_progress(self, percent: float) -> None:
        """Say how far it is, 0 to 100: `status.progress` shows it, with the time that is left."""
        raise NotImplementedError

    def log_model(self, model: Any, name: str = "model", *, input_example: Any = None, flavor: str = "auto", **more: Any) -> str:
        """Log a model with its flavour and signature; return its URI, `models:/m-...`.

        Args:
            model: The model.
            name: Its name in the run; `model` is the one that is registered.
            input_example: A few rows of input: the signature is inferred from them, and a serving pod predicts them before it is ready.
            flavor: An MLflow flavour, such as `xgboost`; by the model's class if `auto`.
            more: Further arguments of the flavour's `log_model`.

        Raises:
            ValueError: No flavour is known for the model's class; name one.

        """
        raise NotImplementedError

    def log_data(self, data: Any, name: str = "data", *, target: str | None = None) -> str:
        """Log what is trained on, with its digest and figures (rows, missing values, duplicates, class balance); return the digest.

        Args:
            data: A DataFrame, or the path of a Parquet or CSV file.
            name: Its name in MLflow.
            target: The column to predict, whose classes are counted.

        """
        raise NotImplementedError
