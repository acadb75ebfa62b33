"""V2 and V1 on running servers: metadata, valid requests and refusals."""

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from tests.runtime.programs import Server
from tests.runtime.test_invocations import MIXED, PEOPLE, ROWS, WIDE, columns, records, split

Serve = Callable[[str], Server]


def tensor(
    name: str, data: list[Any], datatype: str = "FP64", shape: list[int] | None = None
) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape or [len(data)], "data": data}


def wide(rows: list[list[Any]], name: str = "rows") -> dict[str, Any]:
    return tensor(name, [value for row in rows for value in row], shape=[len(rows), len(rows[0])])


def people() -> list[dict[str, Any]]:
    """A tensor for every column, each of the signature's type."""
    types = ["FP64", "INT64", "INT32", "BOOL", "FP32"]
    return [
        tensor(name, values, kind)
        for (name, values), kind in zip(columns(MIXED, PEOPLE).items(), types, strict=True)
    ]


def test_health_and_metadata(served: Serve):
    server = served("regressor")
    assert server.get("/v2/health/live").json == {"live": True}
    assert server.get("/v2/health/ready").json == {"ready": True}
    assert [server.get(path).status for path in ("/ping", "/health", "/ready")] == [200, 200, 200]
    assert server.get("/v2").json["name"] == "modelyard"
    assert server.get("/v2/models").json == server.get("/v1/models").json == {"models": ["fraud"]}
    assert server.get("/v1/models/fraud").json == {"name": "fraud", "ready": True}
    assert (
        server.get("/v2/models/fraud/ready").json
        == server.get("/v2/models/fraud/versions/v3/ready").json
        == {"name": "fraud", "ready": True}
    )
    metadata = server.get("/v2/models/fraud")
    assert metadata.json == server.get("/v2/models/fraud/versions/v3").json
    assert metadata.json["platform"] == "xgboost"
    assert metadata.json["versions"] == ["v3"]
    assert metadata.json["inputs"] == [
        {"name": "amount", "datatype": "FP64", "shape": [-1]},
        {"name": "age", "datatype": "INT64", "shape": [-1]},
        {"name": "visits", "datatype": "INT32", "shape": [-1]},
        {"name": "member", "datatype": "BOOL", "shape": [-1]},
        {"name": "rate", "datatype": "FP32", "shape": [-1]},
    ]
    assert metadata.json["outputs"] == [{"name": "output-0", "datatype": "FP32", "shape": [-1]}]


def test_metadata_of_a_model_without_a_signature_has_the_features_of_its_training(
    served: Serve,
):
    assert [
        each["name"] for each in served("booster").get("/v2/models/fraud").json["inputs"]
    ] == WIDE


@pytest.mark.parametrize("model", ["classifier", "multiclass", "matrix", "booster", "linear"])
def test_all_protocols_predict_the_same(served: Serve, model: str):
    server = served(model)
    expected = server.invoke({"inputs": ROWS} if model == "matrix" else split(WIDE, ROWS)).json[
        "predictions"
    ]
    one = server.infer(wide(ROWS), id="7")
    assert one.json["model_name"] == "fraud"
    assert one.json["model_version"] == "v3"
    assert one.json["id"] == "7"
    (output,) = one.json["outputs"]
    assert output["shape"] == [3]
    assert output["data"] == expected
    assert server.predict(ROWS).json == {"predictions": expected}
    if model != "matrix":
        assert server.predict(records(WIDE, ROWS)).json == {"predictions": expected}
        each = server.infer(*(tensor(name, values) for name, values in columns(WIDE, ROWS).items()))
        assert each.json["outputs"] == one.json["outputs"]


def test_a_tensor_for_every_column(served: Serve):
    server = served("regressor")
    expected = server.invoke(split(MIXED, PEOPLE)).json["predictions"]
    answer = server.infer(*people())
    assert answer.json["outputs"] == [
        {"name": "output-0", "datatype": "FP32", "shape": [2], "data": expected}
    ]
    shuffled = server.infer(*people()[::-1], outputs=[{"name": "output-0"}])
    assert shuffled.json["outputs"] == answer.json["outputs"]
    upright = [{**column, "shape": [2, 1]} for column in people()]
    assert server.infer(*upright).json["outputs"] == answer.json["outputs"]
    numbers = [[float(value) for value in row] for row in PEOPLE]
    nested = server.ask(
        "POST",
        "/v2/models/fraud/versions/v3/infer",
        {"inputs": [{**tensor("rows", numbers), "shape": [2, 5]}]},
    )
    assert nested.json["outputs"] == answer.json["outputs"]


def test_text_and_tables_reach_a_pyfunc_model(served: Serve):
    server = served("scaled")
    assert server.get("/v2/models/fraud").json["platform"] == "mlflow_pyfunc"
    answer = server.infer(tensor("amount", [1.5, 2.0]), tensor("city", ["bonn", "köln"], "BYTES"))
    assert answer.json["outputs"] == [
        {"name": "score", "datatype": "FP64", "shape": [2], "data": [1.5, 2.0]},
        {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["BONN", "KÖLN"]},
    ]
    chosen = server.infer(
        tensor("amount", [1.5]), tensor("city", ["bonn"], "BYTES"), outputs=[{"name": "label"}]
    )
    assert [output["name"] for output in chosen.json["outputs"]] == ["label"]
    rows = [{"amount": 1, "city": "bonn"}]
    assert server.predict(rows).json == {"predictions": [{"score": 1.0, "label": "BONN"}]}


def test_missing_values_reach_the_model(served: Serve):
    server = served("classifier")
    holed = [[None, *ROWS[0][1:]]]
    expected = server.invoke(split(WIDE, holed)).json["predictions"]
    assert server.predict(holed).json["predictions"] == expected
    assert server.infer(wide(holed)).json["outputs"][0]["data"] == expected
    assert (
        server.ask(
            "POST",
            "/v1/models/fraud:predict",
            json.dumps({"instances": holed}).replace("null", "NaN"),
        ).json["predictions"]
        == expected
    )


REFUSED_V2 = [
    ("nothing", {}, "inputs"),
    ("no tensors", {"inputs": []}, "inputs"),
    ("no name", {"inputs": [{"datatype": "FP32", "shape": [1], "data": [1]}]}, "name"),
    ("another datatype", {"inputs": [tensor("amount", [1.0], "FLOAT")]}, "FLOAT"),
    ("a shape that does not fit", {"inputs": [tensor("amount", [1.0], shape=[2])]}, "amount"),
    ("a shape that is none", {"inputs": [{**tensor("amount", [1.0]), "shape": [-1]}]}, "amount"),
    ("text for numbers", {"inputs": [tensor("amount", ["x"])]}, "FP64"),
    ("decimals for whole numbers", {"inputs": [tensor("age", [1.5], "INT64")]}, "INT64"),
    ("too large a number", {"inputs": [tensor("visits", [300], "INT8")]}, "INT8"),
    ("a column that is not there", {"inputs": [*people(), tensor("height", [1.0, 2.0])]}, "height"),
    ("a column twice", {"inputs": [*people(), people()[0]]}, "twice"),
    ("a column too few", {"inputs": people()[1:]}, "amount"),
    ("too narrow a matrix", {"inputs": [wide([[1.0, 2.0]])]}, "5"),
    (
        "bytes for a number",
        {"inputs": [*people()[1:], tensor("amount", ["a", "b"], "BYTES")]},
        "amount expects double; row 0 has 'a'",
    ),
    (
        "a fraction for a whole number",
        {"inputs": [people()[0], *people()[2:], tensor("age", [1.0, 2.5])]},
        "age expects long; row 1 has 2.5",
    ),
    ("columns of different length", {"inputs": [*people()[1:], tensor("amount", [1.0])]}, "amount"),
    ("an output that is not there", {"inputs": people(), "outputs": [{"name": "odds"}]}, "odds"),
]


@pytest.mark.parametrize(
    ("body", "named"), [case[1:] for case in REFUSED_V2], ids=[case[0] for case in REFUSED_V2]
)
def test_errors_of_v2_name_the_problem(served: Serve, body: Any, named: str):
    answer = served("regressor").ask("POST", "/v2/models/fraud/infer", body)
    assert answer.status == 400
    assert answer.json.keys() == {"error"}
    assert named in answer.json["error"]


REFUSED_V1 = [
    ("nothing", {}, "instances"),
    ("no rows", {"instances": []}, "instances"),
    ("no list", {"instances": 3}, "instances"),
    ("ragged rows", {"instances": [[1, 2], [3]]}, "length"),
    ("rows of two kinds", {"instances": [{"amount": 1}, [1]]}, "all objects or all lists"),
    ("a row too narrow", {"instances": [[1, 2]]}, "5 columns"),
    (
        "a column too few",
        {"instances": [dict(zip(MIXED[:-1], PEOPLE[0][:-1], strict=True))]},
        "rate",
    ),
    ("text", {"instances": [[1.0, 44, 1, True, "fast"]]}, "rate expects float; row 0 has 'fast'"),
    (
        "numbers as text",
        {"instances": [["1.0", 44, 1, True, 0.5]]},
        "amount expects double; row 0 has '1.0'",
    ),
    (
        "a missing whole number",
        {"instances": [[1.0, 44, 1, True, 0.5], [1.0, None, 1, True, 0.5]]},
        "age expects long; row 1",
    ),
    ("too large a number", {"instances": [[1.0, 44, 2**40, True, 0.5]]}, "visits expects integer"),
    ("neither true nor false", {"instances": [[1.0, 44, 1, 7, 0.5]]}, "member expects boolean"),
]


@pytest.mark.parametrize(
    ("body", "named"), [case[1:] for case in REFUSED_V1], ids=[case[0] for case in REFUSED_V1]
)
def test_errors_of_v1_name_the_problem(served: Serve, body: Any, named: str):
    answer = served("regressor").ask("POST", "/v1/models/fraud:predict", body)
    assert answer.status == 400
    assert named in answer.json["error"]


def test_a_lone_surrogate_is_refused_everywhere(served: Serve):
    """Python's parser accepts it, but no answer can contain it."""
    given = {"name": "x", "datatype": "FP64", "shape": [1, 20], "data": [1.0] * 20}
    for path, body in (
        ("/v1/models/fraud:predict", {"@": 1}),
        ("/v2/models/fraud/infer", {"id": "@", "inputs": [given]}),
        ("/v2/models/fraud/infer", {"inputs": [given | {"name": "@", "shape": "x"}]}),
        ("/invocations", {"@": 1}),
    ):
        for half in ("\\ud800", "\\uDC00", "\\ud800\\ud800"):
            answer = served("classifier").ask("POST", path, json.dumps(body).replace("@", half))
            assert (answer.status, "surrogate" in answer.text) == (400, True), answer.text
    whole = json.dumps({"id": "@", "inputs": [given | {"data": [float("nan")] * 20}]}).replace(
        "@", "\\ud83d\\ude00 \\\\ud800"
    )
    assert (
        served("classifier").ask("POST", "/v2/models/fraud/infer", whole).json["id"]
        == "\U0001f600 \\ud800"
    )


def test_pyfunc_models_are_checked_the_same_way(served: Serve):
    server = served("scaled")
    assert "city" in server.predict([{"amount": 1.5}]).json["error"]
    wrong = server.infer(tensor("amount", [1.5]), tensor("city", [3], "INT64"))
    assert (wrong.status, wrong.json["error"]) == (400, "column city expects string; row 0 has 3")


def test_unknown_paths_and_models_are_not_found(served: Serve):
    server = served("classifier")
    for method, path, named in (
        ("GET", "/v2/models/spam", "no model spam"),
        ("POST", "/v2/models/spam/infer", "no model spam"),
        ("POST", "/v1/models/spam:predict", "no model spam"),
        ("GET", "/v2/models/fraud/versions/v9", "no version v9"),
        ("POST", "/v2/models/fraud/versions/v9/infer", "no version v9"),
        ("GET", "/v3", "/v3"),
    ):
        answer = server.ask(method, path)
        assert (answer.status, named in answer.json["error"]) == (404, True), path
    for method, path, allowed in (
        ("GET", "/invocations", "POST"),
        ("POST", "/ping", "GET, HEAD"),
        ("DELETE", "/v2/models/fraud", "GET, HEAD"),
    ):
        answer = server.ask(method, path)
        assert (answer.status, answer.headers["allow"]) == (405, allowed)


def test_every_answer_names_its_model(served: Serve):
    server = served("classifier")
    answers = [
        server.get("/ping"),
        server.get("/nowhere"),
        server.invoke("{"),
        server.predict(ROWS),
        server.get("/metrics"),
    ]
    assert [answer.status for answer in answers] == [200, 404, 400, 200, 404]
    names = ("modelyard-version", "modelyard-model", "modelyard-runtime")
    assert {tuple(answer.headers[name] for name in names) for answer in answers} == {
        ("v3", "risk.fraud", "1f2e3d4c")
    }


def test_even_invalid_http_is_answered_by_the_version_that_got_it(served: Serve):
    with socket.create_connection(
        ("127.0.0.1", served("classifier").port), timeout=120
    ) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"modelyard-version: v3\r\n" in answer


def test_metrics_count_requests_by_protocol_and_code(served: Serve):
    server = served("linear")

    def figures() -> dict[str, float]:
        lines = [
            line.rsplit(" ", 1)
            for line in server.metrics().splitlines()
            if not line.startswith("#")
        ]
        return {name: float(value) for name, value in lines}

    def requests(protocol: str, code: int) -> float:
        return figures().get(
            f'modelyard_requests_total{{code="{code}",model="risk.fraud",protocol="{protocol}",version="v3"}}',
            0,
        )

    before = [requests("v1", 200), requests("v2", 200), requests("mlflow", 400)]
    rows = figures().get(
        'modelyard_predicted_rows_total{model="risk.fraud",protocol="v1",version="v3"}', 0
    )
    server.predict(ROWS)
    server.infer(wide(ROWS))
    server.invoke("{")
    assert [requests("v1", 200), requests("v2", 200), requests("mlflow", 400)] == [
        value + 1 for value in before
    ]
    now = figures()
    assert (
        now['modelyard_predicted_rows_total{model="risk.fraud",protocol="v1",version="v3"}']
        == rows + 3
    )
    assert now['modelyard_model_info{model="risk.fraud",platform="xgboost",version="v3"}'] == 1
    count = 'modelyard_request_seconds_count{model="risk.fraud",protocol="v1",version="v3"}'
    assert now[count] == now[count.replace("_count{", '_bucket{le="+Inf",')] >= 1
