"""A model with code is loaded only with `allow_code`.

The tests use a real program, API server and MinIO.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import xgboost
import yaml

from modelyard.api.digest import FileDigest, tree_digest
from tests import servers
from tests.client.side import Side

PROGRAM = """
import sys
from modelyard import Client
from modelyard.client.errors import Refused
with Client({namespace!r}, kubeconfig={kubeconfig!r}) as client:
    for which in {which!r}:
        for flavor in ("auto", "pyfunc"):
            try:
                loaded = client.models.load("fraud", which, flavor=flavor)
                print(which, "loaded", type(loaded).__name__, flush=True)
            except Refused as error:
                print(which, "refused", error, flush=True)
"""


def booster() -> bytes:
    matrix = xgboost.DMatrix([[0.0, 1.0], [1.0, 0.0]], label=[0, 1])
    return bytes(xgboost.train({}, matrix, 1).save_raw("ubj"))


def described(**changes: Any) -> bytes:
    pyfunc = {"loader_module": "mlflow.xgboost", "data": changes.pop("pyfunc", "model.ubj")}
    own = {"data": "model.ubj", "model_class": "xgboost.core.Booster"} | changes
    return yaml.safe_dump({"flavors": {"python_function": pyfunc, "xgboost": own}}).encode()


ABORT = yaml.safe_dump(
    {"flavors": {"xgboost": {"data": "model.ubj", "model_class": "os.abort"}}}
).encode()
SKLEARN = (
    b"flavors: {python_function: {loader_module: mlflow.sklearn, model_path: model.pkl}, sklearn:"
    b" {pickled_model: model.pkl}}"
)
PICKLE = b"cos\nabort\n(tR."
"""A pickle that ends the process that loads it."""

TREES: dict[str, dict[str, bytes]] = {
    "data": {"MLmodel": described(), "model.ubj": b""},
    "pickle": {"MLmodel": SKLEARN, "model.pkl": PICKLE},
    "class": {"MLmodel": described(model_class="os.abort"), "model.ubj": b""},
    "second": {"MLmodel": described(pyfunc="inner"), "model.ubj": b"", "inner/MLmodel": ABORT},
}


@pytest.fixture
def fraud(side: Side, minio: servers.Minio) -> Side:
    """Return a model whose versions are these trees."""
    side.secret(
        "modelyard-connection",
        {
            **minio.environment,
            "MLFLOW_TRACKING_URI": "http://127.0.0.1:1",
            "MODELYARD_BUCKET": "artifacts",
        },
    )
    side.ours("RegisteredModel", "fraud", {})
    versions, s3 = [], minio.s3()
    for name, tree in TREES.items():
        files = tree | ({"model.ubj": booster()} if "model.ubj" in tree else {})
        for path, content in files.items():
            s3.put_object(Bucket="artifacts", Key=f"{side.namespace}/{name}/{path}", Body=content)
        digest = tree_digest(
            FileDigest(path, len(body), hashlib.sha256(body).hexdigest())
            for path, body in files.items()
        )
        flavor = "sklearn" if name == "pickle" else "xgboost"
        uri = f"s3://artifacts/{side.namespace}/{name}"
        versions.append(
            {"name": name, "uri": uri, "digest": digest, "mlflowVersion": "1", "flavor": flavor}
        )
    side.status("RegisteredModel", "fraud", "Serving", ready=True, versions=versions)
    return side


NAMED = {
    "data": "loaded Booster",
    "pickle": "mlflow.sklearn",
    "class": "os.abort",
    "second": "inner/MLmodel",
}


def test_a_model_with_code_is_not_loaded_by_default(fraud: Side, tmp_path: Path):
    """One process for all, because importing MLflow takes seconds; a loaded model would end the
    process.
    """
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "AWS_"))
    }
    environment = kept | {
        "PYTHONPATH": "operator",
        "MODELYARD_CACHE": str(tmp_path),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    program = PROGRAM.format(
        namespace=fraud.namespace, kubeconfig=str(fraud.server.kubeconfig), which=[*NAMED]
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = iter(done.stdout.splitlines())
    for (which, first), auto, pyfunc in zip(NAMED.items(), said, said, strict=True):
        assert auto.startswith(f"{which} "), done.stdout
        assert first in auto
        if which == "data":
            assert pyfunc == "data loaded PyFuncModel"
        else:
            assert auto == pyfunc
            assert f"client.models.load('fraud', '{which}', allow_code=True)" in auto


def test_allow_code_loads_a_model_with_code(fraud: Side, tmp_path: Path):
    """The pickle is loaded: it ends the process."""
    environment = os.environ | {
        "PYTHONPATH": "operator",
        "MODELYARD_CACHE": str(tmp_path),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    environment |= {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "true"}
    program = PROGRAM.format(
        namespace=fraud.namespace, kubeconfig=str(fraud.server.kubeconfig), which=["pickle"]
    )
    program = program.replace("flavor=flavor", "flavor=flavor, allow_code=True")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -6, (done.stdout, done.stderr[-2000:])
