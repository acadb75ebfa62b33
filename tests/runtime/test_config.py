"""Configuration, parameters and termination messages of pods, and the figures of datasets."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xgboost as xgb

from modelyard.api.dataset import Figures, described, tagged
from modelyard.api.trainers import TRAINERS
from modelyard_runtime.dataset import profile
from modelyard_runtime.learning import estimator, evaluate, fit, split, table
from modelyard_runtime.outcome import Failure
from modelyard_runtime.parameters import convert
from tests.runtime.programs import environment, program
from tests.servers import free_port

RUN = '{"trainer": {"xgboost": {}}, "dataset": %s}'
ALIASES = TRAINERS["xgboost"].aliases


@pytest.mark.parametrize(
    ("run", "parameters", "named"),
    [
        ("{", "{}", "run.json"),
        ("[]", "{}", "is not a JSON object"),
        ("{}", '{"depth": 3}', "depth is not a string"),
        ('{"trainer": {"xgboost": {"task": "ranking"}}}', "{}", "ranking"),
        (
            '{"trainer": []}',
            "{}",
            "trainer is empty, not one of xgboost, script, container, external",
        ),
        ('{"trainer": {"lightgbm": {}}}', "{}", "trainer is lightgbm, not one of"),
        (
            '{"trainer": {"script": {}, "xgboost": {}}}',
            "{}",
            "trainer is script, xgboost, not one of",
        ),
        ('{"trainer": {"script": {}}}', "{}", ""),
        ('{"trainer": "xgboost"}', "{}", "trainer"),
        (RUN % '{"uri": "s3://a/b"}', "{}", "dataset.name"),
        (RUN % '{"name": "a", "rows": "many"}', "{}", "dataset.rows"),
        (RUN % '{"name": "a", "rows": -1}', "{}", "dataset.rows"),
        (RUN % '{"name": "a", "target": 3}', "{}", "dataset.target"),
    ],
)
def test_an_invalid_configuration_is_named(tmp_path, run, parameters, named):
    (tmp_path / "run.json").write_text(run)
    (tmp_path / "parameters.json").write_text(parameters)
    ended = program(tmp_path, "data", env={"MODELYARD_CONFIG": str(tmp_path)})
    if named:
        assert (ended.code, ended.said["reason"]) == (67, "InvalidConfiguration")
        assert named in ended.said["message"]
    else:
        assert ended.code == 0


@pytest.mark.parametrize(
    ("uri", "connection", "ends"),
    [
        ("s3://user:pw@bucket/risk/k.csv", {}, (67, "DatasetInvalid")),
        ("s3://bucket/risk/../k.csv", {}, (67, "DatasetInvalid")),
        ("s3://bucket/risk//k.csv", {}, (67, "DatasetInvalid")),
        ("s3://bucket/risk/a\\u0007.csv", {}, (67, "DatasetInvalid")),
        ("s3://bucket/other/k.csv", {}, (66, "DatasetUnavailable")),
        (
            "s3://datasets/k.csv",
            {"MODELYARD_READ_BUCKETS": "raw,datasets/cards"},
            (66, "DatasetUnavailable"),
        ),
        ("s3://datasets/k.csv", {"MODELYARD_READ_BUCKETS": "../x"}, (67, "InvalidConfiguration")),
        ("s3://bucket/risk/k.csv", {}, (69, "StoreUnavailable")),
        (
            "s3://datasets/k.csv",
            {"MODELYARD_READ_BUCKETS": "raw,datasets"},
            (69, "StoreUnavailable"),
        ),
    ],
)
def test_a_pod_accepts_the_same_uris_as_the_operator(tmp_path, uri, connection, ends):
    """The last two are accepted, though no such store exists."""
    run = (
        '{"trainer": {"script": {}}, "run": {"namespace": "risk"}, "dataset": {"name": "cards",'
        ' "uri": "%s"}}'
    )
    (tmp_path / "run.json").write_text(run % uri)
    (tmp_path / "parameters.json").write_text("{}")
    nowhere = {
        "MLFLOW_S3_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }
    env = {
        "MODELYARD_CONFIG": str(tmp_path),
        "MODELYARD_BUCKET": "bucket",
        "MODELYARD_DATASET_PATH": str(tmp_path / "data"),
        "MLFLOW_RUN_ID": "r",
    }
    ended = program(tmp_path, "data", env=env | nowhere | connection)
    assert (ended.code, ended.said["reason"]) == ends
    assert "pw" not in ended.said["message"]


def test_a_message_fits_into_a_termination_message(tmp_path):
    (tmp_path / "run.json").write_text('{"trainer": {"xgboost": {"task": "%s"}}}' % ("ü" * 5000))
    (tmp_path / "parameters.json").write_text("{}")
    ended = program(tmp_path, "data", env={"MODELYARD_CONFIG": str(tmp_path)})
    assert ended.said["reason"] == "InvalidConfiguration"
    assert len(Path(environment(tmp_path)["MODELYARD_TERMINATION_LOG"]).read_bytes()) <= 4096


ENDS_SLOWLY = """
import atexit
from modelyard_runtime.outcome import run_until_stopped
atexit.register(lambda: [print(index, flush=True) for index in range(2000)])
run_until_stopped(lambda: None)
"""


def test_a_program_that_succeeds_does_not_count_as_stopped(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ENDS_SLOWLY],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "1999")


def test_parameters_get_the_estimators_types():
    given = {
        "max_depth": " 6",
        "learning_rate": "1e-1",
        "early_stopping_rounds": "5",
        "objective": "binary:logistic",
        "eval_metric": "auc, logloss",
        "validate_parameters": "True",
        "monotone_constraints": "(1,-1)",
        "base_score": "0.5",
        "random_state": "7",
        "device": "cuda",
    }
    assert convert(given, xgb.XGBClassifier, ALIASES) == {
        **given,
        "max_depth": 6,
        "learning_rate": 0.1,
        "early_stopping_rounds": 5,
        "eval_metric": ["auc", "logloss"],
        "validate_parameters": True,
        "base_score": 0.5,
        "random_state": 7,
    }


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("max_depht", "3", "there is no parameter max_depht; did you mean max_depth"),
        ("eta", "0.1", "did you mean learning_rate"),
        ("lambda", "1", "did you mean reg_lambda"),
        ("wings", "2", r"there is no parameter wings\."),
        ("missing", "0", "sets missing itself"),
        ("callbacks", "[]", "sets callbacks itself"),
        ("max_depth", "6.5", "max_depth is '6.5', not a whole number"),
        ("learning_rate", "fast", "learning_rate is 'fast', not a number"),
        ("gamma", "nan", "gamma is 'nan', not a number"),
        ("validate_parameters", "perhaps", "not true or false"),
        ("booster", "", "booster is empty"),
    ],
)
def test_invalid_parameters(name, value, message):
    with pytest.raises(Failure, match=message) as refused:
        convert({name: value}, xgb.XGBRegressor, ALIASES)
    assert (refused.value.reason, refused.value.code) == ("InvalidParameters", 67)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_statistics_of_a_dataset_cover_all_its_pieces(tmp_path, suffix):
    """Two pieces: whole numbers in the first; decimals, gaps and repeated rows in the second."""
    rows = 70_000
    frame = pd.DataFrame(
        {
            "n": [float(index) for index in range(rows)],
            "city": ["Bonn"] * rows,
            "y": [index % 2 for index in range(rows)],
        }
    )
    frame.loc[rows - 1, "n"] = 0.5
    frame.loc[rows - 3 : rows - 2, "city"] = None
    frame = pd.concat([frame, frame.head(3)], ignore_index=True)
    path = tmp_path / f"dataset.{suffix}"
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    found = profile(path, "y", "classification")
    assert (found.rows, found.missing, found.duplicates, found.duplicates_of) == (
        rows + 3,
        {"city": 2},
        3,
        rows + 3,
    )
    assert found.columns == {"n": "double", "city": "string", "y": "long"}
    assert found.classes == {"0": rows // 2 + 2, "1": rows // 2 + 1}
    assert profile(path, "y", "regression").classes is None
    assert profile(path, "n", None).classes is None


@pytest.mark.parametrize(
    ("columns", "label", "left_out"),
    [(100, "yes", False), (40_000, "yes", True), (100, "y" * 9000, True)],
)
def test_a_dataset_too_large_for_mlflow_is_described_in_less_detail(columns, label, left_out):
    """MLflow refuses a longer schema together with the run, and truncates a longer tag."""
    named = {f"column_{number:06}": "double" for number in range(columns)}
    found, digest = Figures(10, named, {}, 0, 10, {"no": 4, label: 6}), "sha256:" + "a" * 64
    entity, prefixed = (
        described("cards", digest, found, "code", {}),
        tagged("cards", digest, "synthetic", found),
    )
    tags = {key.removeprefix("modelyard.io/dataset."): value for key, value in prefixed.items()}
    assert len(entity["schema"] or "") <= 1_048_575
    assert all(len(value) <= 8000 for value in tags.values())
    assert (entity["schema"] is None or "classes" not in tags) == left_out
    assert json.loads(entity["profile"])["classes"] == {"no": 4, label: 6}
    assert (tags["rows"], tags["missing"], tags["duplicates"]) == ("10", "0", "0")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("dataset.parquet", b"PAR1 and no more"),
        ("dataset.csv", b""),
        ("dataset.csv", "name\nKöln\n".encode("latin-1")),
        ("dataset.csv", b"a,y\n"),
        ("dataset.csv", b"a,y\n1,2\n1,2,3\n"),
    ],
)
def test_files_that_are_no_dataset(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Failure) as refused:
        profile(tmp_path / name, "y", None)
    assert (refused.value.reason, refused.value.code) == ("DatasetInvalid", 67)


BAD = [
    ({"x": ["a"] * 20}, "takes only numbers; encode or drop x"),
    ({"x": [float("inf"), *[1.0] * 19]}, "column x has infinite values"),
    ({"x[0]": [1.0] * 20}, r"\[, \] or <"),
    ({"y": ["yes", "no"] * 10}, "target y has"),
    ({"y": [1, 2] * 10}, "classes of y are 1, 2"),
    ({"y": [0] * 20}, "classes of y are 0;"),
    ({"y": [0.5, 1] * 10}, "classes of y are 0.5, 1"),
    ({"y": [0] * 19 + [1]}, "class 1 of y has 1 rows"),
    ({"y": [0.0, 1.0] * 9 + [0.0, None]}, "missing in 1 rows"),
    ({"z": [0, 1] * 10}, "no column y"),
]


@pytest.mark.parametrize(("columns", "message"), BAD, ids=[case[1] for case in BAD])
def test_tables_that_cannot_be_trained_on(tmp_path, columns, message):
    frame = pd.DataFrame({"a": range(20), "y": [0, 1] * 10} | columns)
    if "z" in columns:
        frame = frame.drop(columns="y")
    path = tmp_path / "dataset.parquet"
    frame.to_parquet(path)
    with pytest.raises(Failure, match=message) as refused:
        table(path, "y", "classification")
    assert refused.value.reason == "DatasetInvalid"


def test_a_target_may_be_a_column_that_has_a_number_for_a_name(tmp_path):
    """As in a DataFrame that was created from an array."""
    path = tmp_path / "dataset.parquet"
    pd.DataFrame([[index * 0.5, 1.0, index % 2] for index in range(20)]).to_parquet(path)
    features, target = table(path, "2", "classification")
    assert (list(features.columns), target.sum(), profile(path, "2", "classification").classes) == (
        ["0", "1"],
        10,
        {"0": 10, "1": 10},
    )


def test_of_two_columns_of_one_name_none_is_chosen(tmp_path):
    column = pa.array([0.0, 1.0] * 10)
    pq.write_table(
        pa.Table.from_arrays([column, column, column], names=["a", "a", "y"]),
        path := tmp_path / "dataset.parquet",
    )
    with pytest.raises(Failure, match="several columns named a; give each column its own name"):
        profile(path, "y", "classification")


def test_text_in_another_encoding_is_refused_with_the_expected_encoding(tmp_path):
    path = tmp_path / "dataset.csv"
    path.write_bytes("a,y\n1,2\n".encode("utf-16"))
    with pytest.raises(Failure, match="is not CSV in UTF-8, or it is compressed"):
        profile(path, "y", None)


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"objective": "binary:guess"}, "binary:guess"),
        ({"max_depth": "-3"}, "max_depth"),
        ({"booster": "x"}, "x"),
    ],
)
def test_values_that_xgboost_refuses_are_refused_parameters(parameters, named):
    features, target = (
        pd.DataFrame({"a": [float(index) for index in range(50)]}),
        pd.Series([index % 2 for index in range(50)]),
    )
    rows = split(features, target, "classification", 1)
    with pytest.raises(Failure, match=named) as refused:
        fit(estimator("xgboost", "classification", parameters), rows, lambda *_: None)
    assert refused.value.reason == "InvalidParameters"


def test_a_split_keeps_the_balance_of_classes_and_metrics_are_of_the_validation_part(tmp_path):
    path = tmp_path / "dataset.csv"
    pd.DataFrame(
        {
            "a": [index % 3 for index in range(300)],
            "flag": [True, False] * 150,
            "y": [index % 3 for index in range(300)],
        }
    ).to_csv(path)
    features, target = table(path, "y", "classification")
    assert {str(kind) for kind in features.dtypes} == {"float64"}
    rows = split(features, target, "classification", 1)
    assert rows.validation_target.value_counts().to_dict() == {0: 20, 1: 20, 2: 20}
    assert split(features, target, "classification", 1).validation.index.equals(
        rows.validation.index
    )
    model = xgb.XGBClassifier(n_estimators=3).fit(rows.train, rows.train_target)
    found = evaluate(model, rows, "classification")
    assert found["accuracy"] == found["f1"] == found["roc_auc"] == 1
    assert json.dumps(found)
