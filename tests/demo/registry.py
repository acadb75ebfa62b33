"""MLflow's own client on this machine, with a tenant's MLflow and S3 in the cluster, as in a
notebook.

`resolve` is the program that is run here.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

from tests.demo.install import ROOT
from tests.demo.kube import Failed, Kube

__all__ = ["FEATURES", "reached", "resolve", "rows"]

FEATURES = [f"feature_{number:02}" for number in range(20)]


def rows(count: int) -> list[list[float]]:
    """Return this many rows of the sample's 20 features, always the same, within the range of its
    training.
    """
    return [
        [round(((7 * row + 3 * column) % 11 - 5) / 2.5, 1) for column in range(20)]
        for row in range(count)
    ]


@contextmanager
def reached(kube: Kube, namespace: str) -> Iterator[dict[str, str]]:
    """Yield a tenant's connection as the environment of a local program, for the duration of a
    block.
    """
    environment = kube.connection(namespace)
    with ExitStack() as stack:
        for key in ("MLFLOW_TRACKING_URI", "MLFLOW_S3_ENDPOINT_URL"):
            url = urlsplit(environment[key])
            service, system = str(url.hostname).split(".")[:2]
            environment[key] = "http://" + stack.enter_context(
                kube.forwarded(system, f"service/{service}", int(url.port or 80))
            )
        yield environment


def resolve(
    kube: Kube, namespace: str, uris: Sequence[str], table: list[list[float]]
) -> dict[str, Any]:
    """Return what MLflow's client finds under `models:/...`, and the loaded model's predictions, by
    URI.
    """
    with reached(kube, namespace) as environment:
        done = subprocess.run(
            [sys.executable, "-m", "tests.demo.resolve", *uris],
            input=json.dumps({"names": FEATURES, "rows": table}),
            env=os.environ
            | environment
            | {"MLFLOW_DISABLE_TELEMETRY": "true", "AWS_DEFAULT_REGION": "us-east-1"},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    if done.returncode:
        raise Failed(f"MLflow's client cannot load {', '.join(uris)}:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout))
