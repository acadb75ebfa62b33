"""The tabular trainer: read the table, fit an estimator, evaluate it on held-out rows."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import xgboost as xgb
from sklearn import metrics
from sklearn.model_selection import train_test_split

from modelyard.api.keys import fitting
from modelyard.api.trainers import TRAINERS
from modelyard_runtime.config import Task
from modelyard_runtime.dataset import invalid
from modelyard_runtime.outcome import one_line
from modelyard_runtime.parameters import convert, invalid_parameters

__all__ = ["Split", "estimator", "evaluate", "fit", "split", "table"]

_SEED = 42
_VALIDATION = 0.2
_ROWS = 10
_REFUSED = ("Unknown", "Parameter", "parameter", "Invalid", "objective", "metric", "exceed bound")

Listener = Callable[[int, Mapping[str, float]], None]
"""Called after every boosting round with the round, from 0, and its metrics."""


@dataclass(frozen=True)
class Split:
    """The rows to train on, and the rows to evaluate on."""

    train: pd.DataFrame
    train_target: pd.Series
    validation: pd.DataFrame
    validation_target: pd.Series


def table(path: Path, target: str, task: Task) -> tuple[pd.DataFrame, pd.Series]:
    """Read features, all float64, and target.

    Raises:
        Failure: DatasetInvalid, naming the column.

    """
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise invalid(f"{path.name} cannot be read: {one_line(error)}") from error
    # Parquet may have numbers as names; spec.dataset.target is a string.
    frame.columns = [str(name) for name in frame.columns]
    if target not in frame:
        raise invalid(f"the dataset has no column {target}; set spec.dataset.target")
    features = frame.drop(columns=target)
    if len(frame) < _ROWS or not len(features.columns):
        raise invalid(
            f"the dataset has {len(frame)} rows and {len(features.columns)} features; the trainer"
            f" needs at least {_ROWS} rows and one feature"
        )
    checked = _labels if task == "classification" else _quantities
    return _numbers(features), checked(frame[target])


def _numbers(features: pd.DataFrame) -> pd.DataFrame:
    """Return the features as float64, NaN for missing: the same type in training and serving."""
    if odd := [name for name in features.columns if set("[]<") & set(name)]:
        raise invalid(
            f"the column {odd[0]} has [, ] or < in its name, which XGBoost does not allow"
        )
    if text := [
        name for name, kind in features.dtypes.items() if not (pd.api.types.is_numeric_dtype(kind))
    ]:
        names = ", ".join(str(name) for name in text[:10])
        raise invalid(
            f"the trainer takes only numbers; encode or drop {names}, or train with a script"
        )
    numbers = features.astype("float64")
    if infinite := [name for name in numbers if np.isinf(numbers[name].to_numpy()).any()]:
        raise invalid(f"the column {infinite[0]} has infinite values; replace or drop them")
    return numbers


def _labels(target: pd.Series) -> pd.Series:
    """Return the target as classes 0 ... k-1."""
    numbers = _quantities(target)
    classes, counts = np.unique(numbers, return_counts=True)
    if len(classes) < 2 or not np.array_equal(classes, np.arange(len(classes))):
        shown = ", ".join(f"{value:g}" for value in classes[:10])
        raise invalid(
            f"the classes of {target.name} are {shown}; they must be 0, 1 and so on without gaps"
        )
    if counts.min() < 2 or len(numbers) * _VALIDATION < len(classes):
        raise invalid(
            f"class {classes[counts.argmin()]:g} of {target.name} has {counts.min()} rows, too few"
            " for training and validation"
        )
    return numbers.astype("int64")


def _quantities(target: pd.Series) -> pd.Series:
    if not pd.api.types.is_numeric_dtype(target):
        raise invalid(
            f"the target {target.name} has {target.dtype} values, not numbers; encode it, or"
            " train with a script"
        )
    if absent := int(target.isna().sum()):
        raise invalid(f"the target {target.name} is missing in {absent} rows; drop them")
    numbers = target.astype("float64")
    if np.isinf(numbers.to_numpy()).any():
        raise invalid(f"the target {target.name} has infinite values; drop those rows")
    return numbers


def split(features: pd.DataFrame, target: pd.Series, task: Task, seed: int) -> Split:
    """Keep a fifth of the rows of each class for validation; a seed always keeps the same rows."""
    stratify = target if task == "classification" else None
    train, validation, train_target, validation_target = train_test_split(
        features, target, test_size=_VALIDATION, random_state=seed, stratify=stratify
    )
    return Split(train, train_target, validation, validation_target)


def estimator(trainer: str, task: Task, parameters: Mapping[str, str]) -> "xgb.XGBModel":
    """Return an estimator with the user's parameters, a seed, and one thread per CPU of the pod.

    Raises:
        Failure: InvalidParameters.

    """
    known = TRAINERS[trainer]
    module, _, name = known.estimators[task].partition(":")
    kind = getattr(import_module(module), name)
    return kind(
        **{"random_state": _SEED, "n_jobs": _cpus()} | convert(parameters, kind, known.aliases)
    )


def fit(model: "xgb.XGBModel", rows: Split, listener: Listener) -> None:
    """Train.

    Raises:
        Failure: InvalidParameters, when XGBoost rejects a value.

    """
    model.callbacks = [_Listening(listener)]
    try:
        model.fit(
            rows.train,
            rows.train_target,
            eval_set=[(rows.train, rows.train_target), (rows.validation, rows.validation_target)],
            verbose=False,
        )
    except (xgb.core.XGBoostError, ValueError) as error:
        first = str(error).split("Stack trace")[0]
        if any(word in first for word in _REFUSED):
            raise invalid_parameters(
                f"XGBoost rejects a value: {' '.join(first.split())}"
            ) from error
        raise
    finally:
        # set_params would pass all parameters to the booster, which does not take a list of metrics
        model.callbacks = None


class _Listening(xgb.callback.TrainingCallback):  # type: ignore[misc]
    """Passes on each round's metrics, named `train.logloss`, `validation.error_at_0.7`."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def after_iteration(
        self, model: object, epoch: int, evals_log: Mapping[str, Mapping[str, list[Any]]]
    ) -> bool:
        del model
        names = {"validation_0": "train", "validation_1": "validation"}
        newest = {
            fitting(f"{names.get(data, data)}.{name}"): float(values[-1])
            for data, logged in evals_log.items()
            for name, values in logged.items()
        }
        self._listener(epoch, newest)
        return False


def evaluate(model: "xgb.XGBModel", rows: Split, task: Task) -> dict[str, float]:
    """Evaluate the model on the validation rows."""
    truth, found = rows.validation_target, model.predict(rows.validation)
    if task == "regression":
        return {
            "rmse": float(metrics.root_mean_squared_error(truth, found)),
            "mae": float(metrics.mean_absolute_error(truth, found)),
            "r2": float(metrics.r2_score(truth, found)),
        }
    odds = model.predict_proba(rows.validation)
    classes = np.arange(odds.shape[1])
    binary = len(classes) == 2
    average = {"average": "binary" if binary else "macro", "zero_division": 0.0}
    result = {
        "accuracy": float(metrics.accuracy_score(truth, found)),
        "f1": float(metrics.f1_score(truth, found, **average)),
        "precision": float(metrics.precision_score(truth, found, **average)),
        "recall": float(metrics.recall_score(truth, found, **average)),
    }
    # Some objectives, such as hinge loss, give no probabilities: these two metrics are left out.
    if np.allclose(odds.sum(axis=1), 1, atol=1e-3):
        with suppress(ValueError):
            result["log_loss"] = float(metrics.log_loss(truth, odds, labels=classes))
            result["roc_auc"] = float(
                metrics.roc_auc_score(
                    truth, odds[:, 1] if binary else odds, multi_class="ovr", labels=classes
                )
            )
    return {name: value for name, value in result.items() if np.isfinite(value)}


def _cpus() -> int:
    """Return how many CPUs the pod may use; threads beyond its limit only wait for each other."""
    quotas = []
    with suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        quotas.append(float(quota) / float(period))  # "max": ValueError
    with suppress(OSError, ValueError):
        folder = Path("/sys/fs/cgroup/cpu")
        quota, period = (
            (folder / f"cpu.cfs_{name}_us").read_text(encoding="ascii")
            for name in ("quota", "period")
        )
        quotas.append(float(quota) / float(period))
    limit = min((value for value in quotas if value > 0), default=float("inf"))
    return max(1, int(min(len(os.sched_getaffinity(0)), np.ceil(limit))))
