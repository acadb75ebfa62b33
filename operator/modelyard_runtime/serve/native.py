"""XGBoost models, predicted by XGBoost's library without MLflow, pandas or scikit-learn.

`artifact` decides which models are served in this way.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import orjson

from modelyard_runtime.outcome import one_line
from modelyard_runtime.serve import invocations
from modelyard_runtime.serve.artifact import Artifact, load_failed
from modelyard_runtime.serve.booster import Booster, BoosterError
from modelyard_runtime.serve.predictor import Answer, AnswerGenerator
from modelyard_runtime.serve.signature import Column, Signature, Tensor
from modelyard_runtime.serve.values import Array, Matrix, Records, Table, cast, columns_of

__all__ = ["NativeXGBoost", "load"]


def load(artifact: Artifact, path: Path) -> "NativeXGBoost":
    """Load a booster.

    Raises:
        Failure: LoadFailed.

    """
    kind = str(artifact.flavors["xgboost"].get("model_class", "")).rpartition(".")[2]
    try:
        booster = Booster(path)
        estimator = kind not in {"", "Booster"} and not booster.linear
        if estimator and (best := booster.best_iteration) is not None:
            booster.use_rounds(best + 1)
    except BoosterError as error:
        raise load_failed(f"XGBoost cannot read {path.name}: {one_line(error)}") from error
    return NativeXGBoost(
        booster, artifact.signature, classifies=kind in {"XGBClassifier", "XGBRFClassifier"}
    )


def _agree(names: Sequence[str | None], booster: Booster) -> None:
    """Check that a signature has the booster's features, or answers would be silently wrong."""
    if len(names) != booster.features:
        raise load_failed(
            f"the signature has {len(names)} columns, but the booster has {booster.features}"
            " features"
        )
    if None not in names and booster.names and list(names) != booster.names:
        raise load_failed(
            "the signature's columns are not the booster's features in the same order; log the"
            " model again with input_example"
        )


class NativeXGBoost:
    """A booster with the answers of the estimator that it was saved from."""

    platform = "xgboost"
    quick = True

    def __init__(self, booster: Booster, signature: Signature | None, *, classifies: bool) -> None:
        """Prepare what every prediction needs.

        Args:
            booster: The model.
            signature: The model's signature; without one, the booster's features are the columns.
            classifies: The model was a classifier, so it answers with classes.

        """
        self._booster = booster
        learner = booster.config["learner"]
        self._classes = (
            max(2, int(learner["learner_model_param"]["num_class"])) if classifies else 0
        )
        self._softmax = learner["objective"]["name"] == "multi:softmax"
        names: Sequence[str | None] = booster.names or [None] * booster.features
        self.signature = signature or Signature(
            tuple(Column(name, "double") for name in names), (Tensor(None, "float32", (-1,)),)
        )
        self._columns = self.signature.columns or tuple(
            Column(None, "double") for _ in range(self.signature.tensors[0].shape[1])
        )
        self._names = [column.name for column in self._columns]
        _agree(self._names, booster)
        self._any_number = all(column.type in {"double", "float"} for column in self._columns)

    def given(self, table: Table) -> Array:
        """Return rows for the booster."""
        return self._matrix(table, lenient=False)

    def invocations(self, body: bytes, content_type: str) -> AnswerGenerator:
        """Answer as `mlflow models serve` does, see `invocations`."""
        table = invocations.table(body, content_type, self._columns)
        found = yield self._matrix(table, lenient=True)
        return Answer(orjson.dumps({"predictions": found.tolist()}), rows=len(found))

    def _matrix(self, table: Table, *, lenient: bool) -> Array:
        """Return rows for the booster: float32, NaN for missing values."""
        quick = self._quick(table)
        if quick is None:
            given = columns_of(table, self._columns)
            rows = next((len(values) for values in given if values is not None), 0)
            quick = np.full((rows, len(given)), np.nan, np.float32)
            for index, (column, values) in enumerate(zip(self._columns, given, strict=True)):
                if values is not None:
                    quick[:, index] = cast(
                        column, values, column.name or str(index), lenient=lenient
                    )
        with np.errstate(over="ignore"):  # what exceeds float32 becomes infinite, as in XGBoost
            return np.ascontiguousarray(quick, np.float32)

    def _quick(self, table: Table) -> Array | None:
        """Convert all rows at once if they are numbers in the right shape; None: they are not."""
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
        fits = values.ndim == 2 and values.shape[1] == len(self._columns)
        return values if fits and values.dtype.kind in "fiu" else None

    def predict(self, given: Array) -> Array:
        """Return one prediction per row, as the estimator does: a class, a number, or several."""
        if not len(given):
            return np.empty(0, np.int64 if self._classes else np.float32)
        found = self._booster.predict(given)
        if not self._classes:
            return np.asarray(found)
        if found.ndim > 1 and self._classes != 2:
            return np.asarray(np.argmax(found, axis=1))
        if found.ndim > 1 and found.shape[1] != 1:  # several labels per row
            return np.asarray(found > 0.5, np.float64)
        return np.asarray(
            found.astype(np.int32) if self._softmax else (found.reshape(-1) > 0.5).astype(np.int64)
        )
