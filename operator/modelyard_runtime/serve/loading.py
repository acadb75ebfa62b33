"""Load the model in a folder, and let it predict once."""

import gc
import os
import time
from pathlib import Path

import numpy as np

from modelyard.api.pod_end import PodReason
from modelyard.api.wire import ALLOW_CODE
from modelyard_runtime.outcome import Failure, one_line
from modelyard_runtime.serve.artifact import Artifact, read
from modelyard_runtime.serve.memory import give_back, share_one_arena
from modelyard_runtime.serve.predictor import Predictor, answered
from modelyard_runtime.serve.signature import Column, Signature
from modelyard_runtime.serve.values import Array, Columns, Matrix, Refused, Table

__all__ = ["load"]

_SAMPLES = {
    "boolean": False,
    "integer": 0,
    "long": 0,
    "float": 0.0,
    "double": 0.0,
    "string": "",
    "binary": "",
    "datetime": "2000-01-01",
}


def load(folder: Path) -> Predictor:
    """Load the model and let it predict once.

    Raises:
        Failure: LoadFailed, CodeModelForbidden, SmokeFailed.

    """
    share_one_arena()
    start = time.monotonic()
    artifact = read(folder)
    model = _loaded(artifact)
    _smoke(model, artifact.example)
    gc.collect()
    gc.freeze()  # the garbage collector need not scan the loaded objects again under load
    give_back()
    print(
        f"loaded a {model.platform} model and predicted once in {time.monotonic() - start:.2f} s",
        flush=True,
    )
    return model


def _loaded(artifact: Artifact) -> Predictor:
    """Load the model; reject one that runs its own code, unless the namespace allows it."""
    allowed = os.environ.get(ALLOW_CODE, "").lower() == "true"
    if artifact.code and not allowed:
        message = f"loading this model runs code that came with it: {artifact.code}"
        raise Failure(PodReason.CODE_FORBIDDEN, message)
    # MLflow's own setting for the same question; by default it trusts every pickle.
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = str(allowed).lower()
    if booster := artifact.native_xgboost:
        from modelyard_runtime.serve import native  # noqa: PLC0415 - a model needs only one of the two

        return native.load(artifact, booster)
    from modelyard_runtime.serve import generic  # noqa: PLC0415

    return generic.load(artifact)


def _smoke(model: Predictor, example: bytes | None) -> None:
    """Predict with the input example, or with a row built from the signature when there is none."""
    try:
        if example is not None:
            answer = answered(model.invocations(example, "application/json"), model)
            if answer.status != 200:
                raise Refused(answer.body.decode(errors="replace"))
        elif model.signature is None:
            print(
                "the model has neither an input example nor a signature, so it is not tested:"
                " log it with input_example to have it predict before it is served",
                flush=True,
            )
        elif (table := _sample(model.signature)) is not None:
            model.predict(model.given(table))
    except Exception as error:  # the model's code may raise anything
        what = "its own input example" if example is not None else "a row built from its signature"
        raise Failure(
            PodReason.SMOKE_FAILED, f"the model cannot predict with {what}: {one_line(error)}"
        ) from error


def _sample(signature: Signature) -> Table | None:
    """Return one row of zeros and empty strings; None if the signature has other types."""
    if tensors := signature.tensors:
        arrays: dict[str, Array] = {
            spec.name or "": np.zeros(
                [1 if size < 0 else size for size in spec.shape],
                None if spec.dtype == "object" else spec.dtype,
            )
            for spec in tensors
        }
        return Columns(arrays) if signature.names else Matrix(arrays[""])
    if not all(column.type in _SAMPLES for column in signature.columns):
        return None
    return Columns(
        {
            column.name or str(index): [_sampled(column)]
            for index, column in enumerate(signature.columns)
        }
    )


def _sampled(column: Column) -> object:
    return _SAMPLES[column.type]
