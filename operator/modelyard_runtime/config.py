"""A training pod's configuration: the ConfigMap at /etc/modelyard and environment variables."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from modelyard.api import wire
from modelyard.api.artifacts import Reach, read_places
from modelyard.api.pod_end import PodReason
from modelyard.api.trainers import TRAINERS
from modelyard_runtime.outcome import Failure

__all__ = ["DatasetSpec", "RunConfig", "Task", "configuration", "dataset_folder", "reach"]

Task = Literal["classification", "regression"]

_ROWS = 2000


@dataclass(frozen=True)
class DatasetSpec:
    """The dataset of a training."""

    name: str
    """Its name in MLflow."""
    uri: str | None
    """`s3://bucket/key.parquet` or `.csv`; None: synthetic."""
    digest: str | None
    """`sha256:<hex>` of the file's bytes, where the spec gives it."""
    target: str
    """The column to predict."""
    rows: int
    """How many rows a synthetic dataset has."""


@dataclass(frozen=True)
class RunConfig:
    """One training, as the operator recorded it."""

    parameters: Mapping[str, str]
    """Hyper-parameters as the user wrote them."""
    trainer: str
    """Its name, one of `modelyard.api.trainers`."""
    task: Task | None
    """What a tabular trainer learns; None for the other trainers."""
    dataset: DatasetSpec | None
    namespace: str = ""
    """The TrainingRun's namespace; empty: not given."""

    @property
    def reach(self) -> Reach | None:
        """What the namespace may read of S3; None when its connection names no bucket.

        Raises:
            Failure: InvalidConfiguration, when MODELYARD_READ_BUCKETS cannot be read.

        """
        return reach(self.namespace)


def reach(namespace: str) -> Reach | None:
    """Return what a namespace may read of S3; None when its connection names no bucket.

    Raises:
        Failure: InvalidConfiguration, when MODELYARD_READ_BUCKETS cannot be read.

    """
    bucket = os.environ.get("MODELYARD_BUCKET")
    if not bucket or not namespace:
        return None
    try:
        shared = read_places(os.environ.get("MODELYARD_READ_BUCKETS", ""))
    except ValueError as error:
        raise _invalid(f"MODELYARD_READ_BUCKETS: {error}") from error
    return Reach(bucket, namespace, shared)


def dataset_folder() -> Path:
    """Return the folder that holds the dataset's file, `dataset.parquet` or `dataset.csv`."""
    return Path(os.environ.get(wire.DATASET_PATH, wire.DATASET_FOLDER))


def configuration() -> RunConfig:
    """Read `run.json` and `parameters.json` from MODELYARD_CONFIG, by default `/etc/modelyard`.

    Raises:
        Failure: InvalidConfiguration, naming the file and the field.

    """
    run, parameters = _object(wire.RUN_FILE), _object(wire.PARAMETERS_FILE)
    if wrong := [name for name, value in parameters.items() if not isinstance(value, str)]:
        raise _invalid(f"parameters.json: {wrong[0]} is not a string")
    trainer, task = _trainer(_member(run, "trainer"))
    dataset, namespace = _dataset(_member(run, "dataset")), _member(run, "run").get("namespace", "")
    if not isinstance(namespace, str):
        raise _invalid("run.json: run.namespace is not a string")
    return RunConfig(
        parameters=parameters, trainer=trainer, task=task, dataset=dataset, namespace=namespace
    )


def _trainer(raw: Mapping[str, Any]) -> tuple[str, Task | None]:
    """Return the trainer's name, and its task if it is tabular."""
    if len(raw) != 1 or not raw.keys() <= TRAINERS.keys():
        raise _invalid(
            f"run.json: trainer is {', '.join(raw) or 'empty'}, not one of {', '.join(TRAINERS)}"
        )
    ((name, settings),) = raw.items()
    tasks = TRAINERS[name].estimators
    if not tasks:
        return name, None
    task = (settings or {}).get("task", "classification")
    if task not in tasks:
        raise _invalid(f"run.json: trainer.{name}.task is {task!r}, not {' or '.join(tasks)}")
    return name, cast("Task", task)


def _dataset(raw: Mapping[str, Any]) -> DatasetSpec | None:
    """Check the member `dataset`."""
    if not raw:
        return None
    for field in ("name", "uri", "digest", "target"):
        if not isinstance(raw.get(field) or "", str):
            raise _invalid(f"run.json: dataset.{field} is not a string")
    if not raw.get("name"):
        raise _invalid("run.json: dataset.name is missing")
    try:
        rows = int(raw.get("rows") or _ROWS)
    except (TypeError, ValueError):
        raise _invalid(f"run.json: dataset.rows is {raw['rows']!r}, not a number") from None
    if rows < 1:
        raise _invalid(f"run.json: dataset.rows is {rows}, less than 1")
    return DatasetSpec(
        raw["name"],
        raw.get("uri") or None,
        raw.get("digest") or None,
        raw.get("target") or "target",
        rows,
    )


def _object(name: str) -> dict[str, Any]:
    """Read one JSON object."""
    path = Path(os.environ.get("MODELYARD_CONFIG", wire.CONFIG_FOLDER)) / name
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _invalid(f"{path}: {error}") from error
    if not isinstance(value, dict):
        raise _invalid(f"{path} is not a JSON object")
    return value


def _member(run: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a member, which must be an object; empty if it is absent."""
    value = run.get(name) or {}
    if not isinstance(value, dict):
        raise _invalid(f"run.json: {name} is not an object")
    return value


def _invalid(message: str) -> Failure:
    return Failure(PodReason.INVALID_CONFIGURATION, message)
