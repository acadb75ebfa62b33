"""With HTTP_PROXY set: no request into the cluster uses the proxy, and all others do."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from modelyard.api.digest import FileDigest, tree_digest
from modelyard.api.proxies import direct, without_proxy
from tests.client.side import Side
from tests.harness import ROOT
from tests.recorder import Recorder, recorder
from tests.servers import Minio

PASSWORD = "the-tenant-s-password"


@pytest.fixture
def proxy() -> Iterator[Recorder]:
    with recorder() as there:
        yield there


def python(code: str, *words: str, environment: Mapping[str, str]) -> str:
    """Return the output of a user's program in a separate process, because proxies come from its
    environment.
    """
    kept = {
        name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")
    }
    ours = {
        "PYTHONPATH": str(ROOT / "operator"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    }
    command = [sys.executable, "-W", "ignore", "-c", code, *words]
    done = subprocess.run(
        command,
        env=kept | ours | dict(environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("url", "outside", "inside"),
    [
        ("http://127.0.0.1:5000", True, True),
        ("http://[::1]:5000", True, True),
        ("http://localhost:5000", True, True),
        ("http://mlflow.risk.svc:5000", True, True),
        ("https://mlflow.risk.svc.cluster.local./x", True, True),
        ("http://minio-0.minio.risk.svc.cluster.local:9000", True, True),
        ("http://mlflow.risk:5000", False, True),
        ("http://mlflow:5000", False, True),
        ("https://acme.ai", False, False),
        ("https://mlflow.example.com", False, False),
        ("http://svc.example.com", False, False),
        ("http://10.0.0.7:5000", False, False),
    ],
)
def test_addresses_of_this_machine_and_of_the_cluster_are_direct(
    url: str, outside: bool, inside: bool
):
    assert (direct(url, inside=False), direct(url, inside=True)) == (outside, inside)


def test_the_user_s_no_proxy_is_kept():
    exempted = "one.example.com,two.example.com,127.0.0.1"
    said = {"NO_PROXY": "two.example.com", "no_proxy": "one.example.com, 127.0.0.1"}
    there = ["http://127.0.0.1:5", "http://127.0.0.1:6", "https://mlflow.example.com", ""]
    assert without_proxy(said, there) == dict.fromkeys(
        ("no_proxy", "NO_PROXY"), "one.example.com,127.0.0.1,two.example.com"
    )
    assert set(exempted.split(",")) == set(without_proxy(said, there)["NO_PROXY"].split(","))
    assert without_proxy({}, ["https://mlflow.example.com"]) == {}
    for everything in ({"NO_PROXY": "*"}, {"no_proxy": "*", "NO_PROXY": "one.example.com"}):
        assert without_proxy(everything, there) == {"no_proxy": "*", "NO_PROXY": "*"}


NOTEBOOK = """
import os, sys
from modelyard import Client
with Client(namespace=sys.argv[1], kubeconfig=sys.argv[2]) as client:
    with client.mlflow() as mlflow:
        mlflow.set_experiment(experiment_id=mlflow.create_experiment(sys.argv[1], "s3://artifacts/proxied"))
        with mlflow.start_run():
            mlflow.log_text("x", "x.txt")
        import requests
        print(requests.get("http://elsewhere.example.com/x").status_code)
    print(repr(os.environ["NO_PROXY"]))
"""


@pytest.mark.contract
def test_a_local_run_and_its_artifacts_do_not_use_the_proxy(
    side: Side, proxy: Recorder, mlflow: str, minio: Minio, s3
):
    connection = {
        "MLFLOW_TRACKING_URI": mlflow,
        "MLFLOW_TRACKING_USERNAME": "risk",
        "MLFLOW_TRACKING_PASSWORD": PASSWORD,
    }
    side.secret(
        "modelyard-connection", connection | {"MODELYARD_BUCKET": "artifacts", **minio.environment}
    )
    out = python(
        NOTEBOOK, side.namespace, str(side.server.kubeconfig), environment=proxy.environment
    )
    assert out.splitlines()[-2:] == ["502", "''"]
    assert proxy.asked == ["http://elsewhere.example.com/x"]
    assert PASSWORD not in str(proxy.heads)
    listed = s3.list_objects_v2(Bucket="artifacts", Prefix="proxied/")["Contents"]
    assert [each["Key"].rpartition("/")[2] for each in listed] == ["x.txt"]


DOWNLOAD = """
import os, sys
from pathlib import Path
from modelyard.client import artifacts, errors
connection = {key: os.environ[key] for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
connection["MLFLOW_S3_ENDPOINT_URL"] = sys.argv[1]
try:
    print(artifacts.fetch(connection, "s3://artifacts/behind", sys.argv[2], Path(sys.argv[3])))
except errors.Unreachable as error:
    print(type(error).__name__)
"""


@pytest.mark.contract
def test_a_download_uses_the_proxy_only_for_an_external_s3(
    proxy: Recorder, minio: Minio, s3, tmp_path: Path
):
    s3.put_object(Bucket="artifacts", Key="behind/MLmodel", Body=b"flavors: {}")
    digest = tree_digest([FileDigest("MLmodel", 11, hashlib.sha256(b"flavors: {}").hexdigest())])
    environment = minio.environment | proxy.environment
    python(DOWNLOAD, minio.url, digest, str(tmp_path / "model"), environment=environment)
    assert (tmp_path / "model" / "MLmodel").read_bytes() == b"flavors: {}"
    assert proxy.asked == []
    out = python(
        DOWNLOAD, "http://s3.example.com", digest, str(tmp_path / "other"), environment=environment
    )
    assert out == "Unreachable\n"
    assert {each.partition("?")[0] for each in proxy.asked} == {"http://s3.example.com/artifacts"}


ASK = """
import sys
from modelyard.client import rest
from modelyard.client.errors import Unreachable
from modelyard.client.kube.reach import Reach
try:
    url = Reach(None).url(sys.argv[1]) if ".svc" not in sys.argv[1] else sys.argv[1]
    print(rest.ask(url, who="The model", seconds=120).code)
except Unreachable as error:
    print("Unreachable")
"""


def test_a_prediction_uses_the_proxy_only_for_an_external_model(proxy: Recorder):
    inside = proxy.environment | {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    assert python(ASK, f"{proxy.url}/here", environment=proxy.environment) == "502\n"
    assert proxy.asked == ["/here"], "asked as a server, not as a proxy"
    proxy.heads.clear()
    for address in (
        "http://fraud-production.risk.svc.invalid/x",
        "http://fraud-production.risk.svc",
    ):
        assert python(ASK, address, environment=inside) == "Unreachable\n"
    assert proxy.asked == []
    url = "http://model.example.com/v2/models/fraud"
    assert python(ASK, url, environment=proxy.environment) == "502\n"
    assert proxy.asked == [url]
    exempted = proxy.environment | {
        "NO_PROXY": "model.example.com",
        "no_proxy": "model.example.com",
    }
    assert python(ASK, url, environment=exempted) == "Unreachable\n"
    assert proxy.asked == [url]
