"""/invocations answers like MLflow's own scoring code, for every form of input, on real models."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xgboost as xgb

from tests.runtime.programs import Server

JSON = "application/json"
WIDE = [f"feature_{index:02d}" for index in range(20)]
ROWS = np.random.default_rng(1).normal(size=(3, 20)).round(3).tolist()
MIXED = ["amount", "age", "visits", "member", "rate"]
PEOPLE = [[120.5, 44, 3, True, 0.25], [80.0, 19, 0, False, -1.5]]


def records(names: list[str], rows: list[list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(names, row, strict=True)) for row in rows]


def columns(names: list[str], rows: list[list[Any]]) -> dict[str, list[Any]]:
    return {name: [row[index] for row in rows] for index, name in enumerate(names)}


def split(names: list[Any], rows: list[list[Any]]) -> dict[str, Any]:
    return {"dataframe_split": {"columns": names, "data": rows}}


def csv(names: list[str], rows: list[list[Any]]) -> str:
    return "\n".join(
        ",".join("" if value is None else str(value) for value in row) for row in [names, *rows]
    )


UNNAMED = [row[:3] for row in ROWS]
BACKWARDS = split(WIDE[::-1], [row[::-1] for row in ROWS])
HOLED = [[None if index % 7 == 0 else value for index, value in enumerate(row)] for row in ROWS]

# (model, body): MLflow answers each of these with predictions
TAKEN: list[tuple[str, str, Any, str]] = [
    *(
        (model, form, body, JSON)
        for model in ("classifier", "multiclass", "linear", "booster")
        for form, body in (
            ("split", split(WIDE, ROWS)),
            ("records", {"dataframe_records": records(WIDE, ROWS)}),
        )
    ),
    (
        "classifier",
        "split with an index",
        {"dataframe_split": {"columns": WIDE, "data": ROWS, "index": [7, 8, 9]}},
        JSON,
    ),
    ("classifier", "split in another order", BACKWARDS, JSON),
    (
        "classifier",
        "more columns than it takes",
        split([*WIDE, "note"], [[*row, "x"] for row in ROWS]),
        JSON,
    ),
    ("classifier", "instances as objects", {"instances": records(WIDE, ROWS)}, JSON),
    ("classifier", "inputs as objects", {"inputs": records(WIDE, ROWS)}, JSON),
    ("classifier", "inputs by column", {"inputs": columns(WIDE, ROWS)}, JSON),
    ("classifier", "inputs of one row", {"inputs": dict(zip(WIDE, ROWS[0], strict=True))}, JSON),
    ("classifier", "missing values", split(WIDE, HOLED), JSON),
    (
        "classifier",
        "missing values as NaN",
        json.dumps(split(WIDE, HOLED)).replace("null", "NaN"),
        JSON,
    ),
    (
        "classifier",
        "numbers as text",
        split(WIDE, [[str(value) for value in row] for row in ROWS]),
        JSON,
    ),
    (
        "classifier",
        "whole numbers",
        split(WIDE, [[round(value) for value in row] for row in ROWS]),
        JSON,
    ),
    ("classifier", "CSV", csv(WIDE, ROWS), "text/csv"),
    ("classifier", "CSV with gaps", csv(WIDE, HOLED), "text/csv; charset=utf-8"),
    (
        "classifier",
        "CSV with a column twice",
        csv([*WIDE, *WIDE], [[*row, *ROWS[0]] for row in ROWS]),
        "text/csv",
    ),
    (
        "classifier",
        "CSV with its index",
        csv(["", *WIDE], [[at, *row] for at, row in enumerate(ROWS)]),
        "text/csv",
    ),
    (
        "classifier",
        "CSV with truths",
        csv(WIDE, [["True", *ROWS[0][1:]], ["FALSE", *ROWS[1][1:]]]),
        "text/csv",
    ),
    (
        "classifier",
        "parameters that nobody takes",
        {**split(WIDE, ROWS), "params": {"depth": 3}},
        JSON,
    ),
    ("regressor", "split", split(MIXED, PEOPLE), JSON),
    ("regressor", "records", {"dataframe_records": records(MIXED, PEOPLE)}, JSON),
    ("regressor", "inputs by column", {"inputs": columns(MIXED, PEOPLE)}, JSON),
    ("regressor", "CSV", csv(MIXED, PEOPLE), "text/csv"),
    ("matrix", "instances", {"instances": ROWS}, JSON),
    ("matrix", "inputs", {"inputs": ROWS}, JSON),
    ("matrix", "split", split(WIDE, ROWS), JSON),
    ("matrix", "split without columns", {"dataframe_split": {"data": ROWS}}, JSON),
    ("unnamed", "split", split([0, 1, 2], UNNAMED), JSON),
    ("unnamed", "split in another order", split([2, 1, 0], [row[::-1] for row in UNNAMED]), JSON),
    ("unnamed", "split without columns", {"dataframe_split": {"data": UNNAMED}}, JSON),
    ("unnamed", "instances", {"instances": UNNAMED}, JSON),
    ("unnamed", "inputs", {"inputs": UNNAMED}, JSON),
    ("holed", "split", split(["amount", "age", "member"], [[1.5, 44, True]]), JSON),
    ("holed", "CSV with a byte order mark", "\ufeffamount,age,member\n1.5,44,True", "text/csv"),
    ("scaled", "CSV with a byte order mark", "\ufeffamount,city\n1.5,bonn", "text/csv"),
    ("scaled", "split", split(["amount", "city"], [[1.5, "bonn"]]), JSON),
    (
        "scaled",
        "parameters",
        {**split(["amount", "city"], [[1.5, "bonn"]]), "params": {"factor": 3.0}},
        JSON,
    ),
    ("scaled", "CSV", "amount,city\n1.5,bonn", "text/csv"),
]

# MLflow refuses these, and so does the server, with the same status and a message that names what
# is wrong
REFUSED: list[tuple[str, str, Any, str, str]] = [
    ("classifier", "no JSON", "{", JSON, "JSON"),
    ("classifier", "a list", [1], JSON, "list"),
    ("classifier", "no form", {"rows": ROWS}, JSON, "dataframe_split"),
    ("classifier", "two forms", {"instances": ROWS, **split(WIDE, ROWS)}, JSON, "exactly one"),
    ("classifier", "rows without names", {"instances": ROWS}, JSON, "feature_00"),
    (
        "classifier",
        "a column too few",
        split(WIDE[1:], [row[1:] for row in ROWS]),
        JSON,
        "feature_00",
    ),
    (
        "classifier",
        "text in a column of numbers",
        split(WIDE, [["high", *ROWS[0][1:]]]),
        JSON,
        "feature_00",
    ),
    ("classifier", "split that is none", {"dataframe_split": ROWS}, JSON, "data"),
    ("classifier", "records that are none", {"dataframe_records": 3}, JSON, "records"),
    (
        "classifier",
        "columns of different length",
        {"inputs": {**columns(WIDE, ROWS), WIDE[3]: [1.0]}},
        JSON,
        "",
    ),
    ("classifier", "text in CSV", csv(WIDE, [["high", *ROWS[0][1:]]]), "text/csv", ""),
    (
        "classifier",
        "Python's thousands in CSV",
        csv(WIDE, [["1_000", *ROWS[0][1:]]]),
        "text/csv",
        "1_000",
    ),
    ("classifier", "a type that nobody speaks", "x", "application/xml", "application/xml"),
    ("classifier", "another character set", csv(WIDE, ROWS), "text/csv; charset=latin-1", "UTF-8"),
    ("regressor", "a missing whole number", split(MIXED, [[1.0, None, 1, True, 0.5]]), JSON, "age"),
    ("matrix", "a matrix too narrow", {"inputs": [[1.0, 2.0]]}, JSON, "20"),
    ("scaled", "a column too few", split(["amount"], [[1.5]]), JSON, "city"),
]


@pytest.fixture(scope="module")
def mlflow_says(
    models: Path, mlflow_asked: Callable[[str, Any], Any]
) -> Callable[[str, Any, str], tuple[int, str]]:
    """MLflow's answers, requested once for all requests."""
    asked = [(model, body, kind) for model, _, body, kind, *_ in [*TAKEN, *REFUSED]]
    answers = mlflow_asked(
        "answers", [[str(models / model), kind, text(body)] for model, body, kind in asked]
    )
    known = {
        (model, text(body), kind): answer
        for (model, body, kind), answer in zip(asked, answers, strict=True)
    }
    return lambda model, body, kind: known[model, text(body), kind]


def text(body: Any) -> str:
    return body if isinstance(body, str) else json.dumps(body)


@pytest.mark.parametrize(
    ("model", "form", "body", "kind"), TAKEN, ids=[f"{case[0]}: {case[1]}" for case in TAKEN]
)
def test_the_predictions_equal_mlflow_s(served, mlflow_says, model, form, body, kind):
    status, theirs = mlflow_says(model, body, kind)
    assert status == 200, theirs
    ours = served(model).invoke(text(body), kind)
    assert (ours.status, ours.json) == (200, json.loads(theirs))


@pytest.mark.parametrize(
    ("model", "form", "body", "kind", "named"),
    REFUSED,
    ids=[f"{case[0]}: {case[1]}" for case in REFUSED],
)
def test_requests_that_mlflow_refuses_are_refused_the_same_way(
    served, mlflow_says, model, form, body, kind, named
):
    status, theirs = mlflow_says(model, body, kind)
    ours = served(model).invoke(text(body), kind)
    assert ours.status == status >= 400, theirs
    assert named in ours.text
    if status == 400:
        assert ours.json.keys() >= {"error_code", "message"} <= json.loads(theirs).keys()


def test_a_fraction_is_never_truncated_to_a_whole_number(served: Callable[[str], Server]):
    """MLflow reads 44.7 as 44; a model that was trained on whole years must not get another value
    than was sent.
    """
    answer = served("regressor").invoke(split(MIXED, [[120.5, 44.7, 3, True, 0.25]]))
    assert answer.status == 400
    assert "age expects long; row 0 has 44.7" in answer.json["message"]


def test_a_row_that_is_too_short_is_not_filled_up(served: Callable[[str], Server]):
    """MLflow fills the rest with missing values."""
    answer = served("classifier").invoke(split(WIDE, [ROWS[0], ROWS[1][1:]]))
    assert answer.status == 400
    assert "one value per column in every row" in answer.json["message"]


def test_columns_without_names_are_also_known_by_their_numbers_as_text(
    served: Callable[[str], Server],
):
    """JSON keys and CSV names are always text; MLflow refuses both."""
    server = served("unnamed")
    expected = server.invoke({"inputs": UNNAMED}).json
    names = ["0", "1", "2"]
    for body, kind in (
        ({"dataframe_records": records(names, UNNAMED)}, JSON),
        ({"inputs": columns(names, UNNAMED)}, JSON),
        (split(names, UNNAMED), JSON),
        (csv(names, UNNAMED), "text/csv"),
    ):
        assert server.invoke(body, kind).json == expected
    assert server.predict(UNNAMED).json == server.predict(records(names, UNNAMED)).json == expected
    metadata = server.get("/v2/models/fraud").json
    assert [each["name"] for each in metadata["inputs"]] == names


def test_a_missing_value_of_an_optional_column_is_missing_for_xgboost(
    served: Callable[[str], Server], models: Path
):
    """MLflow cannot convert it to whole numbers."""
    rows = [[1.5, None, True], [250.0, 44, None], [80.0, 19, False], [90.0, None, None]]
    names = ["amount", "age", "member"]
    booster = xgb.Booster(model_file=models / "holed" / "model.ubj")
    matrix = np.array(
        [[np.nan if value is None else float(value) for value in row] for row in rows]
    )
    expected = booster.inplace_predict(matrix).tolist()
    server = served("holed")
    full = records(names, rows)
    lacking = [{name: value for name, value in row.items() if value is not None} for row in full]
    for body, kind in (
        (split(names, rows), JSON),
        ({"dataframe_records": full}, JSON),
        ({"dataframe_records": lacking}, JSON),
        ({"inputs": columns(names, rows)}, JSON),
        (csv(names, rows), "text/csv"),
    ):
        assert server.invoke(body, kind).json["predictions"] == pytest.approx(expected)
    for instances in (rows, full, lacking):
        assert server.predict(instances).json["predictions"] == pytest.approx(expected)
    one_by_one = [
        {"name": name, "datatype": "FP64", "shape": [4], "data": [row[at] for row in rows]}
        for at, name in enumerate(names)
    ]
    assert server.infer(*one_by_one).json["outputs"][0]["data"] == pytest.approx(expected)
    wrong = server.predict([[1.5, 44.5, True], *rows])
    assert (wrong.status, "age expects long; row 0 has 44.5" in wrong.json["error"]) == (400, True)


def test_of_two_columns_of_one_name_none_is_chosen(served: Callable[[str], Server]):
    buffer = io.BytesIO()
    arrays = [pa.array([row[at] for row in ROWS]) for at in range(20)]
    pq.write_table(pa.Table.from_arrays([*arrays, arrays[1]], names=[*WIDE, WIDE[0]]), buffer)
    twice = split([*WIDE, WIDE[0]], [[*row, 9.0] for row in ROWS])
    for body, kind in ((buffer.getvalue(), "application/vnd.apache.parquet"), (twice, JSON)):
        answer = served("classifier").invoke(body, kind)
        assert (answer.status, "several columns named feature_00" in answer.text) == (400, True)


def test_parquet_is_accepted(served: Callable[[str], Server]):
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns(WIDE, ROWS)), buffer)
    server = served("classifier")
    parquet = server.invoke(buffer.getvalue(), "application/vnd.apache.parquet")
    assert parquet.status == 200
    assert parquet.json == server.invoke(split(WIDE, ROWS)).json
    assert server.invoke(b"PAR1", "application/vnd.apache.parquet").status == 400
