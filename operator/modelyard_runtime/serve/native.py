"""XGBoost's own library, asked without MLflow, pandas or scikit-learn in between.

Which models are served this way is decided by `artifact`; protocols do not belong here.
"""

import importlib
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from modelyard_runtime.outcome import one_line
from modelyard_runtime.serve import invocations
from modelyard_runtime.serve.artifact import Artifact, load_failed
from modelyard_runtime.serve.predictor import Answer
from modelyard_runtime.serve.signature import Column, Signature, Tensor
from modelyard_runtime.serve.values import Array, Matrix, Records, Table, cast, columns_of

if TYPE_CHECKING:
    import xgboost

__all__ = ["NativeXGBoost", "load"]


@contextmanager
def _without(*names: str) -> Iterator[None]:
    """Let imports of these modules fail, as if they were not installed.

    XGBoost imports scikit-learn wherever it finds it, and that pandas and pyarrow: a second and 150 MB for nothing that
    predicting uses. It is made to work without.
    """
    hidden = [name for name in names if name not in sys.modules]
    modules: dict[str, Any] = sys.modules
    modules.update(dict.fromkeys(hidden))  # None is how Python marks a module that is not to be imported
    try:
        yield
    finally:
        for name in hidden:
            del modules[name]


def load(artifact: Artifact, path: Path) -> "NativeXGBoost":
    """Load a booster.

    Raises:
        Failure: LoadFailed.

    """
    with _without("sklearn", "pandas", "pyarrow", "polars"):
        library = importlib.import_module("xgboost")
    booster = library.Booster({"nthread": 1})
    try:
        booster.load_model(path)
    except (library.core.XGBoostError, ValueError, OSError) as error:
        raise load_failed(f"XGBoost cannot read {path.name}: {one_line(error)}") from error
    booster.set_param({"nthread": 1})  # a saved model brings its own
    kind = str(artifact.flavors["xgboost"].get("model_class", "")).rpartition(".")[2]
    classifies, raw = kind in {"XGBClassifier", "XGBRFClassifier"}, kind in {"", "Booster"}
    return NativeXGBoost(booster, library, artifact.signature, classifies=classifies, raw=raw)


def _agree(names: Sequence[str | None], booster: "xgboost.Booster") -> None:
    """Refuse a signature that is not about this booster: its columns would be taken for other features, silently."""
    if len(names) != booster.num_features():
        raise load_failed(f"the signature has {len(names)} columns, the booster takes {booster.num_features()} features")
    if None not in names and booster.feature_names and list(names) != booster.feature_names:
        raise load_failed("the signature's columns are not the booster's features, in their order; log the model again with an example")


class NativeXGBoost:
    """A booster that answers as the estimator would that it was saved from."""

    platform = "xgboost"
    quick = True

    def __init__(self, booster: "xgboost.Booster", library: Any, signature: Signature | None, *, classifies: bool, raw: bool) -> None:
        """Look once at what every prediction depends on.

        Args:
            booster: The model.
            library: The module xgboost.
            signature: As the model was logged; without one, the booster's features are the columns.
            classifies: It was saved from a classifier, which answers with classes.
            raw: It was saved as a booster, which heeds no best iteration.

        """
        self._booster, self._library = booster, library
        learner = json.loads(booster.save_config())["learner"]
        self._classes = max(2, int(learner["learner_model_param"]["num_class"])) if classifies else 0
        self._softmax = learner["objective"]["name"] == "multi:softmax"
        self._linear = learner["gradient_booster"]["name"] == "gblinear"
        self._rounds = (0, 0)
        if not raw and not self._linear:
            with suppress(AttributeError):  # only a training that stopped early has one
                self._rounds = (0, booster.best_iteration + 1)
        names: Sequence[str | None] = booster.feature_names or [None] * booster.num_features()
        self.signature = signature or Signature(tuple(Column(name, "double") for name in names), (Tensor(None, "float32", (-1,)),))
        self._columns = self.signature.columns or tuple(Column(None, "double") for _ in range(self.signature.tensors[0].shape[1]))
        self._names = [column.name for column in self._columns]
        _agree(self._names, booster)
        self._any_number = all(column.type in {"double", "float"} for column in self._columns)

    def predict(self, table: Table) -> Array:
        """Return one prediction a row: a class, a number, or several of them."""
        return self._answer(self._matrix(table, lenient=False))

    def invocations(self, body: bytes, content_type: str) -> Answer:
        """Answer as `mlflow models serve` does, see `invocations`."""
        table = invocations.table(body, content_type, self._columns)
        found = self._answer(self._matrix(table, lenient=True))
        return Answer(orjson.dumps({"predictions": found.tolist()}), rows=len(found))

    def _matrix(self, table: Table, *, lenient: bool) -> Array:
        """Return rows as the booster takes them, float32 and NaN for what is missing."""
        quick = self._quick(table)
        if quick is None:
            given = columns_of(table, self._columns)
            rows = next((len(values) for values in given if values is not None), 0)
            quick = np.full((rows, len(given)), np.nan, np.float32)
            for index, (column, values) in enumerate(zip(self._columns, given, strict=True)):
                if values is not None:
                    quick[:, index] = cast(column, values, column.name or str(index), lenient=lenient)
        with np.errstate(over="ignore"):  # beyond float32 is infinite, as it is for XGBoost
            return np.ascontiguousarray(quick, np.float32)

    def _quick(self, table: Table) -> Array | None:
        """Return the rows in one go if they are plainly numbers in the right shape; otherwise `columns_of` and `cast` say what is wrong."""
        if not self._any_number:
            return None
        if isinstance(table, Records) and None not in self._names:
            try:
                rows = [[row[name] for name in self._names] for row in table.rows]  # type: ignore[index] # no name is None
            except KeyError:
                return None
            return Matrix(rows).numbers(len(self._columns))
        if not isinstance(table, Matrix):
            return None
        if (numbers := table.numbers(len(self._columns))) is not None:
            return numbers
        values = table.array
        return values if values.dtype.kind in "fiu" and values.ndim == 2 and values.shape[1] == len(self._columns) else None

    def _answer(self, rows: Array) -> Array:
        """Predict, and do what the scikit-learn interface does with the result."""
        if not len(rows):
            return np.empty(0, np.int64 if self._classes else np.float32)
        if self._linear:
            found = self._booster.predict(self._library.DMatrix(rows, nthread=1), validate_features=False)
        else:
            found = self._booster.inplace_predict(rows, iteration_range=self._rounds, validate_features=False)
        if not self._classes:
            return np.asarray(found)
        if found.ndim > 1 and self._classes != 2:
            return np.asarray(np.argmax(found, axis=1))
        if found.ndim > 1 and found.shape[1] != 1:  # several labels a row
            return np.asarray(found > 0.5, np.float64)
        return np.asarray(found.astype(np.int32) if self._softmax else (found.reshape(-1) > 0.5).astype(np.int64))
