"""Models of any flavour that MLflow can load, through pyfunc. /invocations uses MLflow's code."""

import importlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelyard.api.flavors import MLMODEL
from modelyard_runtime.outcome import one_line
from modelyard_runtime.serve.artifact import Artifact, load_failed
from modelyard_runtime.serve.predictor import Answer, AnswerGenerator
from modelyard_runtime.serve.signature import Column, Signature, Tensor
from modelyard_runtime.serve.values import (
    Array,
    Columns,
    Matrix,
    Records,
    Refused,
    Table,
    cast,
    columns_of,
    tensor_of,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PyfuncModel", "load"]


def load(artifact: Artifact) -> "PyfuncModel":
    """Load a model behind MLflow's pyfunc interface. The caller has checked that it may run code.

    Raises:
        Failure: LoadFailed.

    """
    if artifact.code and "python_function" not in artifact.flavors:
        raise load_failed(
            "the model has no python_function flavour, which MLflow needs to load such a model"
        )
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ["_MLFLOW_IS_IN_SERVING_ENVIRONMENT"] = "true"
    try:
        pyfunc = importlib.import_module("mlflow.pyfunc")
        # MLflow imports the class that python_function names, so it loads only models that may run
        # code.
        model = (
            pyfunc.load_model(str(artifact.folder)) if artifact.code else _xgboost(artifact, pyfunc)
        )
        return PyfuncModel(model, artifact.signature)
    except Exception as error:  # the model's code may raise anything
        raise load_failed(f"MLflow cannot load the model: {one_line(error)}") from error


def _xgboost(artifact: Artifact, pyfunc: Any) -> Any:
    """Load a model that is only data (see `why_code`): one of XGBoost's classes, and a file."""
    flavor = artifact.flavors["xgboost"]
    name = str(flavor.get("model_class", "Booster")).rpartition(".")[2]
    model = getattr(importlib.import_module("xgboost"), name)()
    model.load_model(artifact.folder / str(flavor["data"]))
    described = importlib.import_module("mlflow.models").Model.load(str(artifact.folder / MLMODEL))
    wrapper = importlib.import_module("mlflow.xgboost")._XGBModelWrapper  # noqa: SLF001 - as MLflow does
    return pyfunc.PyFuncModel(model_meta=described, model_impl=wrapper(model))


class PyfuncModel:
    """A model behind MLflow's pyfunc interface."""

    platform = "mlflow_pyfunc"
    quick = False

    def __init__(self, model: Any, signature: Signature | None) -> None:
        """Keep the model and MLflow's scoring module."""
        self.signature = signature
        self._model = model
        self._scoring = importlib.import_module("mlflow.pyfunc.scoring_server")
        self._error = importlib.import_module("mlflow.exceptions").MlflowException
        self._input_schema = model.metadata.get_input_schema()

    def predict(self, given: Any) -> Any:
        """Return what the model returns."""
        try:
            return self._model.predict(given)
        except self._error as error:
            status = error.get_http_status_code()
            raise Refused(error.message, status if 400 <= status < 500 else 500) from error

    def invocations(self, body: bytes, content_type: str) -> AnswerGenerator:
        """Answer with MLflow's own scoring server, which calls the model itself."""
        yield from ()
        return self._scored(body, content_type)

    def _scored(self, body: bytes, content_type: str) -> Answer:
        try:
            answer = self._scoring.invocations(body, content_type, self._model, self._input_schema)
        except self._error as error:
            return Answer(error.serialize_as_json().encode(), error.get_http_status_code())
        return Answer(answer.response.encode(), answer.status, answer.mimetype.encode())

    def given(self, table: Table) -> "pd.DataFrame | Array | dict[str, Array]":
        """Return the input for pyfunc, in the signature's types."""
        if self.signature is None:
            return _untyped(table)
        if self.signature.tensors:
            return _tensors(self.signature.tensors, table)
        import pandas as pd  # noqa: PLC0415 - imported by MLflow already

        specs = self.signature.columns
        given = columns_of(table, specs)
        return pd.DataFrame(
            {
                _label(spec, index): pd.Series(cast(spec, values, spec.name or str(index)))
                for index, (spec, values) in enumerate(zip(specs, given, strict=True))
                if values is not None
            }
        )


def _label(spec: Column, index: int) -> str | int:
    """Return a column's label in MLflow's schema."""
    return spec.number if spec.number is not None else spec.name or index


def _untyped(table: Table) -> "pd.DataFrame | Array":
    """Return the input as it is, for a model without a signature."""
    import pandas as pd  # noqa: PLC0415

    if isinstance(table, Matrix):
        return table.array
    return pd.DataFrame(list(table.rows) if isinstance(table, Records) else dict(table.given))


def _tensors(specs: tuple[Tensor, ...], table: Table) -> "Array | dict[str, Array]":
    """Return one array, or one per name, as the signature says."""
    if isinstance(table, Records):
        names = [spec.name or "" for spec in specs]
        if missing := [name for name in names if any(name not in row for row in table.rows)]:
            raise Refused(f"the input lacks {missing[0]}, which the model's signature requires")
        table = Columns({name: [row[name] for row in table.rows] for name in names})
    if isinstance(table, Matrix):
        if len(specs) != 1:
            raise Refused(
                f"the model takes {len(specs)} tensors by name:"
                f" {', '.join(str(spec.name) for spec in specs)}"
            )
        found = tensor_of(specs[0], table.array, specs[0].name or "the input")
        return {specs[0].name: found} if specs[0].name else found
    given: Mapping[str, Any] = table.given
    if len(specs) == 1 and specs[0].name is None and len(given) == 1:
        return tensor_of(specs[0], next(iter(given.values())), "the input")
    if missing := [str(spec.name) for spec in specs if spec.name not in given]:
        raise Refused(f"the input lacks {missing[0]}, which the model's signature requires")
    return {
        str(spec.name): tensor_of(spec, given[str(spec.name)], str(spec.name)) for spec in specs
    }
