"""Start and drain of the model server: invalid models, and no lost requests."""

import http.client
import json
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.harness import until
from tests.runtime.programs import Ended, Server, program, serving
from tests.runtime.test_invocations import ROWS, WIDE, split

ALLOWED = {"MODELYARD_ALLOW_CODE_MODELS": "true"}


def serve(folder: Path, model: Path, **env: str) -> Ended:
    """Run a server that exits without a signal."""
    return program(
        folder,
        "serve",
        "--model-dir",
        str(model),
        "--name",
        "fraud",
        "--version",
        "v3",
        "--port",
        "0",
        "--metrics-port",
        "0",
        env=env,
    )


def changed(models: Path, name: str, folder: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """Return a copy of a model with another MLmodel file."""
    copy = folder / name
    shutil.copytree((models / name).resolve(), copy)
    described = yaml.safe_load((copy / "MLmodel").read_text())
    change(described)
    (copy / "MLmodel").write_text(yaml.safe_dump(described))
    return copy


def backwards(described: dict[str, Any]) -> None:
    inputs = json.loads(described["signature"]["inputs"])
    described["signature"]["inputs"] = json.dumps(inputs[::-1])


def narrower(described: dict[str, Any]) -> None:
    inputs = json.loads(described["signature"]["inputs"])
    described["signature"]["inputs"] = json.dumps(inputs[1:])


def elsewhere(described: dict[str, Any]) -> None:
    described["flavors"]["xgboost"]["data"] = "../../../etc/passwd.json"
    described["flavors"]["python_function"]["loader_module"] = "os"


def with_code(described: dict[str, Any]) -> None:
    described["flavors"]["python_function"]["code"] = "code"
    described["flavors"]["xgboost"]["code"] = "code"


def another_class(described: dict[str, Any]) -> None:
    described["flavors"]["xgboost"]["model_class"] = "os.abort"


def a_class_that_is_none(described: dict[str, Any]) -> None:
    described["flavors"]["xgboost"]["model_class"] = ["os.abort"]


def another_place(described: dict[str, Any]) -> None:
    described["flavors"]["python_function"]["data"] = "inner"


def one_more_flavour(described: dict[str, Any]) -> None:
    described["flavors"]["onnx"] = {"data": "model.ubj"}


BROKEN = [
    ("columns in another order than the features", backwards, "LoadFailed", "features"),
    ("a column too few in the signature", narrower, "LoadFailed", "19 columns"),
    (
        "a booster outside of the folder, a loader of its own",
        elsewhere,
        "CodeModelForbidden",
        "this model runs code",
    ),
    ("a class that is no model", another_class, "CodeModelForbidden", "os.abort"),
    ("a list of classes", a_class_that_is_none, "CodeModelForbidden", "os.abort"),
    ("two places for the model", another_place, "CodeModelForbidden", "inner"),
    ("a flavour that is not in the table", one_more_flavour, "CodeModelForbidden", "onnx"),
    ("code beside the model", with_code, "CodeModelForbidden", "folder with code"),
    (
        "the server needs python_function or xgboost",
        lambda described: described.update(flavors={"spark": {}}),
        "LoadFailed",
        "spark",
    ),
    (
        "a signature that is none",
        lambda described: described.update(signature={"inputs": "3"}),
        "LoadFailed",
        "signature",
    ),
]


@pytest.mark.parametrize(
    ("change", "reason", "named"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN]
)
def test_a_model_that_contradicts_its_mlmodel_file_is_not_served(
    models, tmp_path, change, reason, named
):
    ended = serve(tmp_path, changed(models, "classifier", tmp_path, change))
    assert (ended.code, ended.said["reason"]) == (67, reason)
    assert named in ended.said["message"]


def test_a_folder_without_a_model_is_not_served(tmp_path):
    ended = serve(tmp_path, tmp_path / "nothing")
    assert (ended.code, ended.said["reason"]) == (67, "LoadFailed")
    assert "is not an MLflow model" in ended.said["message"]


def test_a_broken_booster_is_not_served(models, tmp_path):
    model = changed(models, "classifier", tmp_path, lambda _: None)
    whole = (model / "model.ubj").read_bytes()
    (model / "model.ubj").write_bytes(whole[: len(whole) // 2])
    ended = serve(tmp_path, model)
    assert (ended.code, ended.said["reason"]) == (67, "LoadFailed")
    assert "model.ubj" in ended.said["message"]


def test_a_model_that_fails_on_its_own_example_is_not_served(models, tmp_path):
    model = changed(models, "classifier", tmp_path, lambda _: None)
    (model / "serving_input_example.json").write_text(json.dumps(split(WIDE[1:], [ROWS[0][1:]])))
    ended = serve(tmp_path, model)
    assert (ended.code, ended.said["reason"]) == (67, "SmokeFailed")
    assert "feature_00" in ended.said["message"]


def test_pickled_code_runs_only_where_it_is_allowed(models, tmp_path):
    ended = serve(tmp_path, models / "shy")
    assert (ended.code, ended.said["reason"]) == (67, "CodeModelForbidden")
    assert "modelyard.io/allow-code-models=true" in ended.log
    allowed = serve(tmp_path, models / "shy", **ALLOWED)
    assert (allowed.code, allowed.said["reason"]) == (67, "SmokeFailed"), allowed.log
    assert "the lookup table is empty" in allowed.said["message"]


def test_a_flavour_that_is_not_installed_is_named(models, tmp_path):
    def lightgbm(described: dict[str, Any]) -> None:
        described["flavors"] = {
            "python_function": {"loader_module": "mlflow.lightgbm", "data": "model.lgb"},
            "lightgbm": {"data": "model.lgb"},
        }

    model = changed(models, "classifier", tmp_path, lightgbm)
    (model / "model.lgb").write_text("tree")
    for allowed, reason in ({}, "CodeModelForbidden"), (ALLOWED, "LoadFailed"):
        ended = serve(tmp_path, model, **allowed)
        assert (ended.code, ended.said["reason"]) == (67, reason)
        assert "lightgbm" in ended.said["message"]


def hostile(models: Path, folder: Path, name: str = "inner/MLmodel") -> Path:
    """A model with a second MLmodel file that MLflow's own loader reads, and whose class ends the
    process.
    """
    model = changed(models, "classifier", folder, another_place)
    second = model / name
    second.parent.mkdir(parents=True, exist_ok=True)
    second.write_text("flavors: {xgboost: {data: model.ubj, model_class: os.abort}}")
    return model


@pytest.mark.parametrize("name", ["inner/MLmodel", "inner/deep/mlmodel"])
def test_a_second_mlmodel_is_refused_and_named(models, tmp_path, name):
    ended = serve(tmp_path, hostile(models, tmp_path, name))
    assert (ended.code, ended.said["reason"]) == (67, "CodeModelForbidden")
    assert name in ended.said["message"]


@pytest.mark.parametrize("fits", [True, False])
def test_a_second_mlmodel_is_refused_though_the_first_is_plain(models, tmp_path, fits):
    """It makes no difference whether a booster alone can serve it (`fits`) or MLflow's schema is
    needed.
    """

    def texts(described: dict[str, Any]) -> None:
        described["signature"]["inputs"] = json.dumps([{"type": "string", "name": "a"}])

    model = changed(models, "classifier", tmp_path, (lambda _: None) if fits else texts)
    (model / "inner").mkdir()
    shutil.copy(model / "MLmodel", model / "inner")
    ended = serve(tmp_path, model)
    assert (ended.code, ended.said["reason"]) == (67, "CodeModelForbidden")
    assert "inner/MLmodel" in ended.said["message"]


def test_xgboost_is_loaded_by_our_code_also_where_mlflow_answers(models, tmp_path):
    """MLflow handles the parameters of a prediction, but not the model's class and file."""

    def parameters(described: dict[str, Any]) -> None:
        described["signature"]["params"] = json.dumps(
            [{"name": "output_margin", "type": "boolean", "default": True, "shape": None}]
        )
        del described["flavors"]["python_function"]["data"]

    model = changed(models, "classifier", tmp_path, parameters)
    with serving(tmp_path / "run", model) as server:
        assert "mlflow_pyfunc" in server.log
        margins = server.invoke(split(WIDE, ROWS)).json["predictions"]
    assert all(isinstance(margin, float) for margin in margins)


@pytest.mark.parametrize(
    "name",
    [
        "MODELYARD_WORKERS",
        "MODELYARD_DRAIN_SECONDS",
        "MODELYARD_MAX_REQUEST_BYTES",
        "MODELYARD_QUICK",
    ],
)
def test_invalid_configuration_is_named(models, tmp_path, name):
    ended = serve(tmp_path, models / "classifier", **{name: "many"})
    assert (ended.code, ended.said["reason"]) == (67, "InvalidConfiguration")
    assert name in ended.said["message"]


def test_workers_say_why_they_cannot_serve(models, tmp_path):
    ended = serve(tmp_path, models / "shy", MODELYARD_WORKERS="2")
    assert (ended.code, ended.said["reason"]) == (67, "CodeModelForbidden")


class Client(threading.Thread):
    """Sends requests one after the other on a kept connection, as long as the server allows."""

    def __init__(self, server: Server, may_ask: Callable[[], bool]) -> None:
        super().__init__()
        self.server, self.may_ask = server, may_ask
        self.answered, self.reopened, self.lost = 0, 0, list[str]()

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        body = json.dumps({"instances": ROWS})
        while self.may_ask():
            try:
                connection.request("POST", "/v1/models/fraud:predict", body)
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    self.lost.append(str(answer.status))
                self.answered += 1
                self.reopened += answer.getheader("connection") == "close"
            except (http.client.HTTPException, OSError) as error:
                self.lost.append(repr(error))
                connection.close()
        connection.close()


def test_no_request_is_lost_when_the_server_ends(models, tmp_path):
    """Requests come for 4 seconds after the signal, as a cluster may send them, and then stop."""
    with serving(tmp_path, models / "classifier") as server:
        stopped = threading.Event()
        signalled: list[float] = []
        clients = [Client(server, lambda: not stopped.is_set()) for _ in range(4)]
        for client in clients:
            client.start()
        try:
            until(
                lambda: all(client.answered > 10 for client in clients), "every client is answered"
            )
            signalled.append(time.monotonic())
            server.stop()
            until(lambda: server.get("/v2/health/ready").status == 503, "it is not ready any more")
            assert server.get("/v2/health/live").status == 200
            assert server.process.poll() is None
            until(lambda: time.monotonic() > signalled[0] + 4, "four seconds of load")
        finally:
            stopped.set()
            for client in clients:
                client.join()
        ended = server.end()
    assert [client.lost for client in clients] == [[]] * 4
    assert all(client.reopened for client in clients), (
        "kept connections are given back while it drains"
    )
    assert ended.code == 0, ended.log
    assert ended.said == {}


def test_a_request_that_is_under_way_is_finished(models, tmp_path):
    with serving(tmp_path, models / "classifier", {"MODELYARD_DRAIN_SECONDS": "1"}) as server:
        body = json.dumps({"instances": ROWS}).encode()
        with socket.create_connection(("127.0.0.1", server.port), timeout=120) as connection:
            head = (
                "POST /v1/models/fraud:predict HTTP/1.1\r\n"
                "host: x\r\n"
                f"content-length: {len(body)}\r\n"
                "\r\n"
            )
            connection.sendall(head.encode() + body[:10])
            server.stop()
            until(lambda: refuses(server.port), "it refuses connections")
            connection.sendall(body[10:])
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert (answer.status, len(json.loads(answer.read())["predictions"])) == (200, 3)
        assert server.end().code == 0


def refuses(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=60):
            return False
    except ConnectionRefusedError:
        return True


def test_a_server_that_was_never_ready_ends_at_once(models, tmp_path):
    with serving(tmp_path, models / "scaled", ALLOWED, ready=False) as server:
        assert server.get("/v2/health/live").status == 200
        assert server.get("/v2/health/ready").status == 503
        early = server.predict([{"amount": 1.5, "city": "bonn"}])
        assert (early.status, early.json) == (
            503,
            {"error": "the model is still loading; try again"},
        )
        found = server.traffic()
        assert (found["requests"], found["failures"], found["refusals"], found["latency"]) == (
            1,
            1,
            0,
            {},
        )
        server.stop()
        ended = server.end()
    assert ended.code == 0, ended.log
    assert "ready\n" not in ended.log.replace("not ready", "")


def test_a_body_that_is_too_large_is_refused_and_the_next_is_answered(models, tmp_path):
    with serving(
        tmp_path, models / "classifier", {"MODELYARD_MAX_REQUEST_BYTES": "5000"}
    ) as server:
        refused = server.predict(ROWS * 20)
        assert refused.status == 413
        assert "5000 are allowed" in refused.json["error"]
        assert server.predict(ROWS).status == 200


def workers(server: Server) -> list[int]:
    """Return the worker processes of a server."""
    return [
        int(pid)
        for pid in Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
        .read_text()
        .split()
    ]


def test_workers_share_a_port_and_metrics_and_end_together(models, tmp_path):
    with serving(
        tmp_path / "first",
        models / "classifier",
        {"MODELYARD_WORKERS": "2", "MODELYARD_DRAIN_SECONDS": "1"},
    ) as server:
        assert len(workers(server)) == 2
        before = server.traffic()
        assert [server.predict(ROWS).status for _ in range(10)] == [200] * 10
        page = server.metrics()
        # Each request has a new connection: the kernel distributes them over both workers.
        found = server.traffic()
        assert (found["requests"], sum(found["latency"].values()), found["started"]) == (
            10,
            10,
            before["started"],
        )
        assert (
            'modelyard_requests_total{code="200",model="risk.fraud",protocol="v1",version="v3"}'
            " 10.0" in page
        )
        assert (
            'modelyard_model_info{model="risk.fraud",platform="xgboost",version="v3"} 1.0' in page
        )
        server.stop()
        assert server.end().code == 0, server.log
    with serving(
        tmp_path / "second",
        models / "classifier",
        {"MODELYARD_WORKERS": "2", "MODELYARD_DRAIN_SECONDS": "1"},
    ) as server:
        os.kill(workers(server)[0], signal.SIGKILL)
        assert server.end().code == 137
