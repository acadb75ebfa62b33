"""Behind HTTP_PROXY, a pod's programs and their child processes reach MLflow and S3 directly."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.recorder import Recorder, recorder
from tests.runtime.programs import program
from tests.runtime.test_fetch import fetch, put
from tests.servers import Minio

SCRIPT = """
import os, requests
for url in (os.environ["MLFLOW_TRACKING_URI"], "http://elsewhere.example.com/x"):
    try:
        print(requests.get(url, auth=("risk", "password"), timeout=120).status_code)
    except requests.ConnectionError:
        print("not there")
"""


@pytest.fixture
def proxy() -> Iterator[Recorder]:
    with recorder() as there:
        yield there


@pytest.mark.parametrize(
    "address", ["http://mlflow.risk:5000", "http://mlflow.risk.svc:5000", "http://127.0.0.1:1"]
)
def test_a_script_s_calls_go_to_mlflow_in_the_cluster_directly(
    proxy: Recorder, tmp_path: Path, address: str
):
    (tmp_path / "train.py").write_text(SCRIPT)
    environment = {
        **proxy.environment,
        "MLFLOW_TRACKING_URI": address,
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
    }
    ended = program(tmp_path, "script", str(tmp_path / "train.py"), env=environment)
    assert (ended.code, ended.log.split("\n")[:2]) == (0, ["not there", "502"])
    assert proxy.asked == ["http://elsewhere.example.com/x"]


def test_an_exemption_of_all_addresses_applies_to_scripts_too(proxy: Recorder, tmp_path: Path):
    (tmp_path / "train.py").write_text(SCRIPT.replace("elsewhere.example.com", "127.0.0.2:1"))
    environment = {
        **proxy.environment,
        "MLFLOW_TRACKING_URI": "http://mlflow:1",
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
        "NO_PROXY": "*",
    }
    ended = program(tmp_path, "script", str(tmp_path / "train.py"), env=environment)
    assert (ended.code, ended.log.split("\n")[:2], proxy.asked) == (
        0,
        ["not there", "not there"],
        [],
    )


@pytest.mark.contract
def test_artifacts_are_fetched_without_the_proxy(proxy: Recorder, minio: Minio, tmp_path: Path):
    digest = put(minio, "models/behind", {"MLmodel": b"flavors: {}"})
    ended = fetch(tmp_path, minio, "models/behind", digest, **proxy.environment)
    assert (ended.code, proxy.asked) == (0, []), ended.log
