"""Sign the model that a training logged, with the key in `trainer.sign` of its TrainingRun.

The signature covers the files that are in the store when the training ends. The gate `signed`
rejects files that are logged afterwards.
"""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelyard.api import wire
from modelyard.api.pod_end import PodReason
from modelyard_runtime import s3, tracking
from modelyard_runtime.fetch import hashed, translated_errors
from modelyard_runtime.outcome import Failure

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from mlflow import MlflowClient

__all__ = ["sign_logged", "signing_key"]

_DEFAULT = "model"
"""The name under which the operator looks for a run's model first."""
_KEY_BYTES, _MODELS = 64 << 10, 50


@dataclass(frozen=True)
class _Logged:
    """A model of the run: the URI of its files, and a function that adds a file to them."""

    uri: str
    put: Callable[[str], None]


def signing_key() -> "EllipticCurvePrivateKey | None":
    """Read the key; None when the run asks for no signature.

    Call it before the training, which may take hours.

    Raises:
        Failure: SigningKeyUnusable. Its message does not contain the key.

    """
    if not (named := os.environ.get(wire.SIGNED_BY)):
        return None
    from modelyard_runtime import signature  # noqa: PLC0415 - a tenth of a second that most trainings do not need

    secret, _, key = named.partition("/")
    what = f"the key {key} of the Secret {secret}"
    path = Path(os.environ.get("MODELYARD_SIGNING_FOLDER", wire.SIGNING_FOLDER)) / wire.SIGNING_FILE
    try:
        with path.open("rb") as file:
            data = file.read(_KEY_BYTES)
    except OSError:
        raise Failure(PodReason.SIGNING_KEY_UNUSABLE, f"{what} does not exist") from None
    try:
        return signature.private_key(data)
    except signature.BadSignature as error:
        raise Failure(PodReason.SIGNING_KEY_UNUSABLE, f"{what} {error}") from None


def sign_logged(run_id: str, key: "EllipticCurvePrivateKey") -> None:
    """Sign the model that the operator would register: the one named `model`, else the last logged.

    For a run without a model, do nothing.

    Raises:
        Failure: MLflow or S3 does not answer, or refuses a request.

    """
    from modelyard_runtime import signature  # noqa: PLC0415 - as above

    client = tracking.client()
    with tracking.guarded("looking for the model to sign"):
        found = _logged(client, run_id)
    for model in found:
        with (
            translated_errors(f"the signature of {model.uri} cannot be written"),
            tempfile.TemporaryDirectory() as folder,
        ):
            data = signature.sign(model.uri.rstrip("/").rpartition("/")[2], hashed(model.uri), key)
            if len(data) > signature.LIMIT:
                raise Failure(
                    PodReason.ARTIFACT_INVALID,
                    f"{model.uri} has too many files for a signature of {signature.LIMIT} bytes",
                )
            path = Path(folder) / signature.FILE
            path.write_bytes(data)
            with (
                tracking.guarded("logging the signature"),
                s3.uploading(f"{model.uri}/{signature.FILE}"),
            ):
                model.put(str(path))
        print(
            f"signed {model.uri} with the key {signature.fingerprint(key.public_key())}", flush=True
        )
    if not found:
        print("the run has no model: nothing is signed", flush=True)


def _logged(client: "MlflowClient", run_id: str) -> list[_Logged]:
    """Return the run's model; several, if they were logged in the same millisecond."""
    run = client.get_run(run_id)
    mine = f"source_run_id = '{run_id}'"
    newest = [{"field_name": "creation_timestamp", "ascending": False}]
    for filter_ in (f"{mine} AND name = '{_DEFAULT}'", mine):
        answer = client.search_logged_models(
            [run.info.experiment_id], filter_, max_results=_MODELS, order_by=newest
        )
        ready = [model for model in answer if str(model.status) == "READY"]
        last = [model for model in ready if model.creation_timestamp == ready[0].creation_timestamp]
        if last:
            return [
                _Logged(model.artifact_location, _to_model(client, model.model_id))
                for model in last
            ]
    if not client.list_artifacts(run_id, _DEFAULT):
        return []
    uri = f"{run.info.artifact_uri.rstrip('/')}/{_DEFAULT}"
    return [_Logged(uri, lambda path: client.log_artifact(run_id, path, _DEFAULT))]


def _to_model(client: "MlflowClient", model: str) -> Callable[[str], None]:
    return lambda path: client.log_model_artifact(model, path)
