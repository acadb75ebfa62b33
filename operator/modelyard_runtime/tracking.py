"""MLflow as the pods use it: the client, the run that the operator created, and its errors."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from modelyard.api.pod_end import PodReason
from modelyard.api.wire import RUN_ID
from modelyard_runtime.outcome import Failure, one_line

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

__all__ = ["client", "guarded", "is_refusal", "run_id"]


def client() -> "MlflowClient":
    """Return a client for MLFLOW_TRACKING_URI.

    Importing MLflow takes seconds: call it after everything that can fail earlier.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # Wait about a minute for a server that restarts; one that is down must not keep the pod until
    # its deadline.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "5")
    # It would print URLs that only pods can reach; users find theirs in status.mlflow.url.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    from mlflow import MlflowClient  # noqa: PLC0415

    return MlflowClient()


def run_id() -> str:
    """Return the id of the run that the operator created for this attempt.

    Raises:
        Failure: InvalidConfiguration, when it is not set.

    """
    if not (found := os.environ.get(RUN_ID)):
        raise Failure(PodReason.INVALID_CONFIGURATION, f"{RUN_ID} is not set")
    return found


def is_refusal(error: "MlflowException") -> bool:
    """Return whether MLflow rejects a request's content, so that a retry would fail as well."""
    status = error.get_http_status_code()
    return 400 <= status < 500 and status not in {401, 403, 404, 408, 429}


@contextmanager
def guarded(doing: str) -> Iterator[None]:
    """Turn MLflow's errors into a Failure: ConnectionRefused, RequestRefused or MLflowUnavailable.

    Args:
        doing: What the block does, for the message: "logging the dataset".

    """
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        yield
    except MlflowException as error:
        status = error.get_http_status_code()
        message = f"{doing}: {one_line(error)}"
        if status in {401, 403}:
            raise Failure(PodReason.CONNECTION_REFUSED, message) from error
        if 400 <= status < 500 and status not in {408, 429}:
            raise Failure(PodReason.REQUEST_REFUSED, message) from error
        raise Failure(PodReason.MLFLOW_UNAVAILABLE, message) from error
