"""MLflow's own client, connected to a namespace's MLflow and S3 for the length of a block.

It reads its credentials from environment variables, so the whole process has them during the block.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from modelyard.api.proxies import without_proxy
from modelyard.client.errors import Unreachable
from modelyard.client.kube import Kube
from modelyard.client.kube.reach import Reach
from modelyard.client.packages import need
from modelyard.client.rest import mlflow_error

__all__ = ["connected", "mlflow_errors"]

_CREDENTIALS = (
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
)
"""Variables that are set, and unset if the connection does not have them."""
_OPTIONAL = ("AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION")
"""Variables that are set only if the connection has them."""


@contextmanager
def connected(kube: Kube, reach: Reach, what: str) -> Iterator[Any]:
    """Point the module `mlflow` at a namespace's MLflow and S3 for the length of a block.

    Args:
        kube: The client, with its namespace.
        reach: Makes the addresses reachable from this machine.
        what: What needs MLflow, for the error: "A run that trains here".

    Yields:
        The module `mlflow`.

    """
    mlflow = need("mlflow", what)
    connection = reach.connection(kube.namespace)
    address = reach.url(connection["MLFLOW_TRACKING_URI"])
    environment = {key: connection.get(key) for key in _CREDENTIALS} | {
        key: connection[key] for key in _OPTIONAL if connection.get(key)
    }
    # MLflow prints the URL of a run; a port-forward's is not valid after the block.
    environment |= (
        {"MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}
        if address != connection["MLFLOW_TRACKING_URI"]
        else {}
    )
    environment |= {
        "MLFLOW_TRACKING_URI": address,
        "MLFLOW_S3_ENDPOINT_URL": reach.url(connection["MLFLOW_S3_ENDPOINT_URL"]),
    }
    environment |= without_proxy(os.environ, (address, str(environment["MLFLOW_S3_ENDPOINT_URL"])))
    with _environment(environment), _tracking(mlflow, address):
        yield mlflow


@contextmanager
def _environment(values: Mapping[str, str | None]) -> Iterator[None]:
    """Set environment variables for the length of a block; None unsets one."""
    before = {key: os.environ.get(key) for key in values}
    _set(values)
    try:
        yield
    finally:
        _set(before)


def _set(values: Mapping[str, str | None]) -> None:
    for key, value in values.items():
        if value is None:
            os.environ.pop(key, None)
        else:
            os.environ[key] = value


@contextmanager
def _tracking(mlflow: Any, address: str) -> Iterator[None]:
    """Set MLflow's tracking URI for the length of a block."""
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(address)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)


@contextmanager
def mlflow_errors(doing: str) -> Iterator[None]:
    """Raise MLflow's errors as ClientErrors.

    Args:
        doing: What is done, for the message: "log metrics".

    """
    exceptions = need("mlflow.exceptions", "A run that trains here")
    try:
        yield
    except exceptions.MlflowException as error:
        code, said = error.get_http_status_code(), " ".join(str(error).split())[:600]
        raise mlflow_error(code, said, doing) or Unreachable(
            f"MLflow cannot {doing}: {said}"
        ) from error
