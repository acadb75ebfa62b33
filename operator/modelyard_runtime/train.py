"""Train the tabular model that run.json describes, and log it to MLflow.

python -m modelyard_runtime.train
"""

import logging
import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from modelyard.api.pod_end import PodReason
from modelyard_runtime import sign, tracking
from modelyard_runtime.config import Task, configuration, dataset_folder
from modelyard_runtime.dataset import find, invalid
from modelyard_runtime.outcome import Failure, report, run_until_stopped

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["main"]

_EXAMPLE_ROWS = 5
_FITTED = 95.0
"""Percent of the progress that boosting takes; the rest is evaluating and logging the model."""


def main() -> None:
    """Train the model, evaluate it and log it."""
    config = configuration()
    if config.task is None:
        raise Failure(
            PodReason.INVALID_CONFIGURATION, f"the trainer {config.trainer} is not tabular"
        )
    if config.dataset is None:
        raise invalid(f"the trainer {config.trainer} needs a dataset; set spec.dataset")
    run_id, key = tracking.run_id(), sign.signing_key()
    from modelyard_runtime import learning  # noqa: PLC0415 - takes seconds, during which SIGTERM would be ignored

    model = learning.estimator(config.trainer, config.task, config.parameters)
    features, target = learning.table(find(dataset_folder()), config.dataset.target, config.task)
    rows = learning.split(features, target, config.task, int(model.random_state))
    print(
        f"{len(rows.train)} rows to train on, {len(rows.validation)} to validate on,"
        f" {features.shape[1]} features",
        flush=True,
    )
    client = tracking.client()
    import mlflow  # noqa: PLC0415

    from modelyard_runtime.live import LiveMetrics  # noqa: PLC0415

    with (
        tracking.guarded("recording the training"),
        mlflow.start_run(run_id=run_id),
        LiveMetrics(client, run_id) as live,
    ):
        rounds = model.get_num_boosting_rounds()

        def listen(epoch: int, values: Mapping[str, float]) -> None:
            live.add(dict(values), epoch)
            live.progress(_FITTED * (epoch + 1) / rounds, epoch)

        learning.fit(model, rows, listen)
        found = learning.evaluate(model, rows, config.task)
        print(", ".join(f"{name} {value:.4f}" for name, value in found.items()), flush=True)
        live.add(found, 0)
        uri = _log_model(
            model, rows.validation.head(_EXAMPLE_ROWS).reset_index(drop=True), config.task
        )
        if key is not None:
            sign.sign_logged(run_id, key)
        live.progress(100, rounds)
    print(f"logged {uri}", flush=True)
    report({"model": {"uri": uri}, "metrics": found})


def _log_model(model: Any, example: "pd.DataFrame", task: Task) -> str:
    """Log the model with signature and input example and return its URI."""
    import mlflow.xgboost  # noqa: PLC0415
    from mlflow.models import ModelSignature  # noqa: PLC0415
    from mlflow.types import ColSpec, Schema  # noqa: PLC0415

    signature = ModelSignature(
        inputs=Schema([ColSpec("double", name) for name in example.columns]),
        outputs=Schema([ColSpec("long" if task == "classification" else "float")]),
    )
    # MLflow would warn in every training's log that this image has no pip whose version to pin.
    logging.getLogger("mlflow.utils.environment").addFilter(
        lambda record: "pip version" not in record.getMessage()
    )
    info = mlflow.xgboost.log_model(
        model,
        name="model",
        signature=signature,
        input_example=example,
        # Otherwise MLflow loads the model again in another process to find them: 8 s.
        pip_requirements=_requirements(),
    )
    return str(info.model_uri)


def _requirements() -> list[str]:
    """Return the pinned requirements for loading the model elsewhere."""
    names = {
        "mlflow": "mlflow",
        "numpy": "numpy",
        "pandas": "pandas",
        "scikit-learn": "scikit-learn",
        "xgboost-cpu": "xgboost",
        "xgboost": "xgboost",
    }
    pinned = {}
    for installed, name in names.items():
        try:
            pinned[name] = version(installed)
        except PackageNotFoundError:
            continue
    return [f"{name}=={found}" for name, found in sorted(pinned.items())]


if __name__ == "__main__":
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    run_until_stopped(main)
