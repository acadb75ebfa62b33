"""Answers of real servers to a pod's program: its termination message does not contain the
namespace's credentials.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.contract.conftest import Mlflows
from tests.runtime.programs import Ended, program
from tests.servers import Minio

pytestmark = [pytest.mark.contract, pytest.mark.timeout(600)]

SECRET = "the-secret-of-risk"
DATASET = {"name": "cards", "rows": 50}


def data(folder: Path, run: str, **environment: str) -> Ended:
    """Run the init container's program for a run that MLflow does not have: the answer repeats the
    run's id.
    """
    (folder / "run.json").write_text(
        json.dumps({"trainer": {"xgboost": {"task": "classification"}}, "dataset": DATASET})
    )
    (folder / "parameters.json").write_text("{}")
    given = {
        "MODELYARD_CONFIG": str(folder),
        "MODELYARD_DATASET_PATH": str(folder / "data"),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_RUN_ID": run,
        **environment,
    }
    return program(folder, "data", env=given)


@pytest.mark.parametrize("key", ["MLFLOW_TRACKING_TOKEN", "AWS_SECRET_ACCESS_KEY"])
def test_answers_of_mlflow_are_reported_without_credentials(
    mlflows: Mlflows, tmp_path: Path, key: str
):
    ended = data(tmp_path, SECRET, MLFLOW_TRACKING_URI=mlflows.sqlite, **{key: SECRET})
    assert ended.said["reason"] == "RequestRefused"
    assert "***" in ended.said["message"]
    assert "not found" in ended.said["message"]
    assert SECRET not in ended.log + json.dumps(ended.said)


def test_other_texts_stay(mlflows: Mlflows, tmp_path: Path):
    ended = data(tmp_path, SECRET, MLFLOW_TRACKING_URI=mlflows.sqlite)
    assert SECRET in ended.said["message"]


def test_answers_of_s3_are_reported_without_credentials(minio: Minio, tmp_path: Path):
    """MinIO's answer repeats the key id, and botocore's message the address."""
    environment = minio.environment | {
        "AWS_ACCESS_KEY_ID": "the-key-of-risk",
        "AWS_SECRET_ACCESS_KEY": SECRET,
    }
    arguments = (
        "--uri",
        f"s3://mlflow-artifacts/{SECRET}",
        "--digest",
        f"sha256:{'0' * 64}",
        "--to",
        str(tmp_path / "m"),
    )
    ended = program(tmp_path, "fetch", *arguments, env=environment)
    assert ended.said["reason"] == "ConnectionRefused"
    assert SECRET not in ended.log + json.dumps(ended.said)
    assert "the-key-of-risk" not in ended.log + json.dumps(ended.said)
