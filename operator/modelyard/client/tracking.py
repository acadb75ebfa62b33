"""MLflow's own client, pointed at a namespace's MLflow and S3 for the length of a block.

It takes its credentials from the environment, so the whole process has them meanwhile. What is
logged does not belong here (`local`).
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from modelyard.api.proxies import without_proxy
from modelyard.client.kube import Kube
from modelyard.client.kube.reach import Reach
from modelyard.client.packages import need

__all__ = ["connected"]

_TOLD = (
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
)
_TOLD_IF_THERE = ("AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION")


@contextmanager
def connected(kube: Kube, reach: Reach, what: str) -> Iterator[Any]:
    """Point MLflow's own client at the namespace's MLflow and S3 for the length of a block, by the
    process's environment; yield it.

    Args:
        kube: The namespace.
        reach: Ways there.
        what: Who needs MLflow, for the error.

    """
    mlflow = need("mlflow", what)
    connection = reach.connection(kube.namespace)
    address = reach.url(connection["MLFLOW_TRACKING_URI"])
    environment = {key: connection.get(key) for key in _TOLD} | {
        key: connection[key] for key in _TOLD_IF_THERE if connection.get(key)
    }
    # MLflow would print where to look at a run: an address that is gone with this block.
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
    """Set variables of the process, and put them back: MLflow reads its credentials from there."""
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
    """Point MLflow at an address, and back."""
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(address)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)
