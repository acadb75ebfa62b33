"""Commands that connect to other servers: curves of a real MLflow, a tree in a real MinIO, a
serving model.
"""

import hashlib
import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from modelyard import Client
from modelyard.api.digest import FileDigest, tree_digest
from modelyard.cli.commands.mlflow_reader import thinned
from tests.cli.conftest import Person
from tests.client.side import Side
from tests.runtime.programs import Server
from tests.servers import Minio

TIME = "2026-01-01T00:00:00Z"
TREE = {"MLmodel": b"flavors: {}", "model.ubj": bytes(range(256)) * 40}


def registered(side: Side, *versions: dict[str, Any], url: str | None = None) -> None:
    """Create the model fraud with these versions; the last one is in production."""
    last = versions[-1]["name"]
    side.ours("RegisteredModel", "fraud", {"stages": {"production": {"version": last}}})
    stages = {
        "production": {
            "version": last,
            "desired": last,
            "sinceTime": TIME,
            "readyReplicas": 1,
            "desiredReplicas": 1,
            **({"url": url} if url else {}),
        }
    }
    side.status(
        "RegisteredModel",
        "fraud",
        "Serving",
        "",
        ready=True,
        versions=list(versions),
        stages=stages,
    )


@pytest.fixture
def connected(side: Side, minio: Minio, mlflow: str) -> str:
    """Create the namespace's connection to real servers; return MLflow's address."""
    side.secret(
        "modelyard-connection",
        {"MLFLOW_TRACKING_URI": mlflow, "MODELYARD_BUCKET": "artifacts", **minio.environment},
    )
    return mlflow


def tracked(mlflow: str, parameters: dict[str, str], losses: list[float]) -> str:
    """Create a run in MLflow with a curve; return its id."""

    def post(path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"{mlflow}/api/2.0/mlflow/{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    run_id = str(
        post("runs/create", {"experiment_id": "0", "start_time": 1})["run"]["info"]["run_id"]
    )
    metrics = [
        {"key": "logloss", "value": value, "step": step, "timestamp": step}
        for step, value in enumerate(losses)
    ]
    params = [{"key": key, "value": value} for key, value in parameters.items()]
    post("runs/log-batch", {"run_id": run_id, "metrics": metrics, "params": params})
    return run_id


def version(name: str, run_id: str) -> dict[str, Any]:
    return {
        "name": name,
        "mlflowVersion": name[1:],
        "runId": run_id,
        "flavor": "xgboost",
        "bytes": 1000,
        "digest": f"sha256:{name[1:] * 64}",
    }


@pytest.mark.contract
def test_versions_are_compared_with_their_curves(
    side: Side, person: Person, connected: str, tmp_path: Path
):
    runs = [
        tracked(connected, {"max_depth": depth}, losses)
        for depth, losses in (("4", [0.7, 0.4, 0.3]), ("6", [0.7, 0.3, 0.2]))
    ]
    registered(side, version("v1", runs[0]), version("v2", runs[1]))
    png, html = tmp_path / "curves.png", tmp_path / "page.html"
    seen = person.sees("compare", "fraud@v1", "v2", "--png", str(png), "--html", str(html))
    lines = [line.split() for line in seen.splitlines()]
    assert ["max_depth", "4", "6", "differs"] in lines
    assert ["logloss", "0.3", "0.2", "-0.1"] in lines
    assert "logloss  ● v1  ○ v2" in seen
    assert png.read_bytes().startswith(b"\x89PNG")
    assert html.read_text().count("<polyline") == 2
    document = json.loads(person.sees("compare", "fraud@v1", "fraud@production", "-o", "json"))
    assert document["compared"] == ["v1", "v2"]
    assert document["versions"]["v2"]["curves"] == {"logloss": [[0, 0.7], [1, 0.3], [2, 0.2]]}


def test_without_the_secret_versions_are_compared_without_curves(side: Side, person: Person):
    registered(side, version("v1", "1" * 32), version("v2", "2" * 32))
    seen = person.sees("compare", "fraud@v1", "v2")
    assert "No curves: " in seen
    assert "modelyard-connection" in seen
    assert ["flavour", "xgboost", "xgboost"] in [line.split() for line in seen.splitlines()]


@pytest.mark.contract
def test_a_tree_is_fetched_and_its_digest_is_checked(
    side: Side, person: Person, connected: str, s3: Any, tmp_path: Path
):
    prefix = f"risk/{side.namespace}"
    for path, body in TREE.items():
        s3.put_object(Bucket="artifacts", Key=f"{prefix}/{path}", Body=body)
    digest = tree_digest(
        FileDigest(path, len(body), hashlib.sha256(body).hexdigest()) for path, body in TREE.items()
    )
    registered(
        side,
        version("v1", "1" * 32)
        | {
            "uri": f"s3://artifacts/{prefix}",
            "digest": digest,
            "bytes": sum(map(len, TREE.values())),
        },
    )
    seen = person.sees("download", "fraud", str(tmp_path / "model"))
    assert seen.splitlines()[-1].startswith("fraud@v1 is in ")
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == TREE
    document = json.loads(
        person.sees("download", "fraud@v1", str(tmp_path / "model"), "-o", "json")
    )
    assert document["digest"] == digest
    side.status(
        "RegisteredModel",
        "fraud",
        versions=[version("v1", "1" * 32) | {"uri": f"s3://artifacts/{prefix}"}],
    )
    done = person.says("download", "fraud@v1", str(tmp_path / "other"))
    assert done.returncode == 1
    assert "ArtifactDigestMismatch" in done.stderr


@pytest.mark.contract
def test_doctor_checks_mlflow_and_the_store(side: Side, person: Person, connected: str):
    found = {
        each["subject"]: each for each in json.loads(person.says("doctor", "-o", "json").stdout)
    }
    assert found["mlflow"] == {
        "subject": "mlflow",
        "verdict": "ok",
        "words": f"{connected} answers",
        "cure": "",
    }
    assert found["s3"]["verdict"] == "ok"
    side.delete("Secret", "modelyard-connection")
    found = {
        each["subject"]: each for each in json.loads(person.says("doctor", "-o", "json").stdout)
    }
    assert (found["storage"]["verdict"], "docs/install.md" in found["storage"]["cure"]) == (
        "bad",
        True,
    )


@contextmanager
def model() -> Iterator[str]:
    """A server of the Open Inference Protocol: the sum of each row; no negative numbers."""

    class Sums(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """It has no metadata, like a model without a signature."""
            self.send_error(404)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            columns = [each["data"] for each in body["inputs"]]
            rows = (
                list(zip(*columns, strict=True))
                if len(columns) > 1
                else [columns[0][at : at + 2] for at in range(0, len(columns[0]), 2)]
            )
            sums = [sum(row) for row in rows]
            bad = any(value < 0 for column in columns for value in column)
            answer = (
                {"error": "column a: not below 0"}
                if bad
                else {
                    "outputs": [
                        {"name": "y", "shape": [len(sums)], "datatype": "FP64", "data": sums}
                    ]
                }
            )
            text = json.dumps(answer).encode()
            self.send_response(400 if bad else 200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Sums)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield "http://{}:{}".format(*server.server_address)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_predict_reads_standard_input_and_files(side: Side, person: Person, tmp_path: Path):
    with model() as url:
        registered(side, version("v1", "1" * 32), url=url)
        assert person.says("predict", "fraud", stdin="[[1, 2], [3, 4]]").stdout == "3\n7\n"
        (tmp_path / "rows.csv").write_text("a,b\n1,2\n0.5,4\n")
        assert (
            person.sees("predict", "fraud@production", str(tmp_path / "rows.csv")) == "3.0\n4.5\n"
        )
        (tmp_path / "rows.json").write_text('[{"a": 1, "b": 2}]')
        document = json.loads(
            person.sees("predict", "fraud", str(tmp_path / "rows.json"), "-o", "json")
        )
        assert document == {
            "model": "fraud",
            "stage": "production",
            "version": "v1",
            "predictions": [3],
        }
        assert person.sees("predict", "fraud", "[[1, 2], [3, 4]]") == "3\n7\n"
        assert person.sees("predict", "fraud@v1", '{"a": [1], "b": [2]}') == "3\n"
        done = person.says("predict", "fraud", stdin="[[-1, 2]]")
        assert (done.returncode, done.stdout) == (1, "")
        assert "refuses the input: column a: not below 0" in done.stderr
    assert person.says("predict", "fraud", stdin="[[1, 2]]").returncode == 5


ODD_CSV = b'amount,city\r\n01234,01234\r\n5e-1,"two\r\nlines"\r\n2,NA\r\n'


def test_texts_of_a_file_have_the_types_of_the_model_s_signature(
    side: Side, person: Person, served: Callable[[str], Server], tmp_path: Path
):
    """A real model server, whose model takes a number and a text: `amount` and `city`."""
    path = tmp_path / "odd.csv"
    path.write_bytes(ODD_CSV)
    registered(side, version("v1", "1" * 32), url=f"http://127.0.0.1:{served('scaled').port}")
    found = [json.loads(line) for line in person.sees("predict", "fraud", str(path)).splitlines()]
    assert found == [
        {"score": 1234.0, "label": "01234"},
        {"score": 0.5, "label": "TWO\r\nLINES"},
        {"score": 2.0, "label": None},
    ]
    unnamed = person.says("predict", "fraud", stdin='[[1.5, "bonn"]]')
    assert (unnamed.stdout, unnamed.stderr) == ('{"score": 1.5, "label": "BONN"}\n', "")
    wrong = person.says("predict", "fraud", "--csv", stdin="amount,city\n1,x\nmuch,y\n")
    assert wrong.returncode == 2
    said = "column amount expects FP64; row 2 has 'much', which is not a number"
    assert said in " ".join(wrong.stderr.split())


def test_a_column_without_a_value_has_the_type_of_the_model_s_signature(
    side: Side, person: Person, served: Callable[[str], Server]
):
    registered(side, version("v1", "1" * 32), url=f"http://127.0.0.1:{served('scaled').port}")
    frame = pd.DataFrame({"amount": [1.5, 2.5], "city": [None, None]})
    with Client(namespace=side.namespace, kubeconfig=str(person.kubeconfig)) as client:
        found = client.models.predict("fraud", frame)
    assert found["score"].tolist() == [1.5, 2.5]
    assert found["label"].tolist() == [None, None]
    empty = '{"amount": [1.5], "city": [null]}'
    assert person.says("predict", "fraud", stdin=empty).stdout == '{"score": 1.5, "label": null}\n'


def test_predict_needs_a_serving_version(side: Side, person: Person):
    registered(side, version("v1", "1" * 32))
    done = person.says("predict", "fraud", stdin="[[1, 2]]")
    assert done.returncode == 3
    assert "Nothing serves production" in done.stderr
    done = person.says("predict", "fraud@v1", "[[1, 2]]")
    assert done.returncode == 3
    assert (
        "v1 of risk/fraud is not served in any stage. Promote it, or use one of the stages"
        " production." in done.stderr.replace(side.namespace, "risk")
    )


def test_a_long_curve_is_thinned_and_keeps_its_ends():
    points = [(float(at), float(at)) for at in range(1000)]
    thin = thinned(points, 10)
    assert (len(thin), thin[0], thin[-1]) == (10, points[0], points[-1])
    assert thinned(points[:5], 10) == points[:5]
