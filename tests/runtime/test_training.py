"""Training pods on a real tracking store and MinIO: dataset, trainer, script, and what they log."""

import hashlib
import io
import json
import math
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelyard_runtime.dataset import make_synthetic
from tests.harness import until
from tests.runtime.odd_store import refusing_twins
from tests.runtime.programs import PATIENCE, Ended, mlflow_side, program, serving, start
from tests.servers import Minio

XGBOOST = {"xgboost": {"task": "classification"}}
PARAMETERS = {"max_depth": "3", "n_estimators": "12", "learning_rate": "0.3"}


class Pod:
    """One attempt's folder, configuration and environment."""

    def __init__(
        self,
        folder: Path,
        trainer: Any,
        dataset: Any = None,
        parameters: dict[str, str] | None = None,
        **env: str,
    ) -> None:
        self.folder = folder
        self.data = folder / "data"
        config = folder / "config"
        config.mkdir(exist_ok=True)
        (config / "run.json").write_text(
            json.dumps({"trainer": trainer, **({"dataset": dataset} if dataset else {})})
        )
        (config / "parameters.json").write_text(json.dumps(parameters or {}))
        self.env = {
            "MODELYARD_CONFIG": str(config),
            "MODELYARD_DATASET_PATH": str(self.data),
            **env,
        }

    def prepare(self) -> Ended:
        return program(self.folder, "data", env=self.env)

    def train(self) -> Ended:
        return program(self.folder, "train", env=self.env)


def cards(rows: int = 400) -> pd.DataFrame:
    random = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "amount": random.normal(size=rows),
            "hour": random.integers(0, 24, rows),
            "abroad": random.random(rows) < 0.3,
        }
    )
    frame["is_fraud"] = ((frame["amount"] > 0.8) | frame["abroad"]).astype(int)
    return frame


def put(store: Minio, key: str, content: bytes) -> str:
    store.s3().put_object(Bucket="datasets", Key=key, Body=content)
    return "sha256:" + hashlib.sha256(content).hexdigest()


def parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def test_a_synthetic_run_from_data_to_serving(tracking, tmp_path):
    """Data, training, and a server of the logged model."""
    wanted = {**PARAMETERS, "early_stopping_rounds": "9", "eval_metric": "error@0.7,logloss"}
    pod = Pod(tmp_path, XGBOOST, {"name": "synthetic", "rows": "500"}, wanted, **tracking.run())
    prepared = pod.prepare()
    assert prepared.code == 0, prepared.log
    digest = "sha256:" + hashlib.sha256((pod.data / "dataset.parquet").read_bytes()).hexdigest()
    assert prepared.said == {"dataset": {"digest": digest, "rows": 500}}
    frame = pd.read_parquet(pod.data / "dataset.parquet")
    assert list(frame) == [*(f"feature_{index:02d}" for index in range(20)), "target"]

    trained = pod.train()
    assert trained.code == 0, trained.log
    assert "View run" not in trained.log, "an address that only pods know"
    assert "pip version" not in trained.log
    run = tracking.shown()[pod.env["MLFLOW_RUN_ID"]]
    assert run["status"] == "FINISHED"
    assert run["rounds"] == list(range(12))
    assert run["metrics"].keys() >= {
        "accuracy",
        "f1",
        "precision",
        "recall",
        "roc_auc",
        "log_loss",
        "train.logloss",
        "validation.logloss",
    }
    assert run["metrics"].keys() >= {"train.error_at_0.7", "validation.error_at_0.7"}
    assert run["metrics"]["modelyard.progress"] == 100
    assert run["metrics"]["accuracy"] > 0.6
    assert trained.said["metrics"]["accuracy"] == run["metrics"]["accuracy"]
    ((dataset, tags),) = run["inputs"]
    assert (dataset["name"], dataset["source_type"]) == ("synthetic", "code")
    assert dataset["digest"] == digest.removeprefix("sha256:")[: len(dataset["digest"])]
    assert tags == {"mlflow.data.context": "training"}
    balance = {str(label): int(count) for label, count in frame["target"].value_counts().items()}
    figures = json.loads(dataset["profile"])
    assert (figures["rows"], figures["digest"], figures["classes"]) == (500, digest, balance)
    assert (figures["missing"], figures["duplicates"], figures["duplicates_of"]) == ({}, 0, 500)
    told = {
        key.removeprefix("modelyard.io/dataset."): value
        for key, value in run["tags"].items()
        if key.startswith("modelyard.io/dataset.")
    }
    assert json.loads(told.pop("classes")) == balance
    assert told == {
        "name": "synthetic",
        "digest": digest,
        "uri": "synthetic",
        "rows": "500",
        "missing": "0",
        "duplicates": "0",
    }

    (model,) = run["models"]
    with serving(tmp_path / "served", Path(model)) as server:
        assert server.get("/v2/models/fraud").json["platform"] == "xgboost"
        truth = frame["target"].head(50).tolist()
        found = server.predict(frame.drop(columns="target").head(50).to_numpy().tolist()).json[
            "predictions"
        ]
        assert sum(one == other for one, other in zip(truth, found, strict=True)) > 30


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_same_name_generates_the_same_data(tmp_path, task):
    names = ("same", "same", "other")
    for index, name in enumerate(names):
        make_synthetic(name, task, 30, tmp_path / str(index))
    first, second, other = [(tmp_path / str(index)).read_bytes() for index in range(len(names))]
    assert first == second != other


@pytest.mark.contract
def test_a_dataset_from_the_store_is_verified_counted_and_trained_on(minio, tracking, tmp_path):
    frame = cards()
    frame.loc[frame.index[:7], "amount"] = math.nan
    frame = pd.concat([frame, frame.tail(5)])
    copies = int(frame.duplicated().sum())
    assert copies >= 5
    digest = put(minio, "risk/cards.csv", frame.to_csv(index=False).encode())
    dataset = {
        "name": "cards",
        "uri": "s3://datasets/risk/cards.csv",
        "digest": digest,
        "target": "is_fraud",
    }
    pod = Pod(
        tmp_path,
        {"xgboost": {"task": "regression"}},
        dataset,
        {"n_estimators": "5"},
        **tracking.run(),
        **minio.environment,
    )
    prepared = pod.prepare()
    assert prepared.code == 0, prepared.log
    assert prepared.said == {"dataset": {"digest": digest, "rows": 405}}
    trained = pod.train()
    assert trained.code == 0, trained.log
    run = tracking.shown()[pod.env["MLFLOW_RUN_ID"]]
    profile = json.loads(run["inputs"][0][0]["profile"])
    assert (profile["missing"], profile["duplicates"], profile["classes"]) == (
        {"amount": 7},
        copies,
        None,
    )
    assert json.loads(run["inputs"][0][0]["source"]) == {"uri": "s3://datasets/risk/cards.csv"}
    assert (
        run["tags"]["modelyard.io/dataset.duplicates"],
        run["tags"]["modelyard.io/dataset.missing"],
    ) == (str(copies), "7")
    assert run["metrics"].keys() >= {"rmse", "mae", "r2", "validation.rmse"}


@pytest.mark.contract
def test_datasets_that_do_not_match_their_declaration(minio, tmp_path):
    """Each is reported with its reason, and leaves no file to train on."""
    wrong = "sha256:" + "0" * 64
    good = put(minio, "risk/good.parquet", parquet(cards(20)))

    def prepared(uri: str, **dataset: str) -> tuple[int, str, str]:
        pod = Pod(
            tmp_path,
            XGBOOST,
            {"name": "cards", "uri": uri, "target": "is_fraud", **dataset},
            MLFLOW_RUN_ID="x",
            **minio.environment,
        )
        ended = pod.prepare()
        return ended.code, ended.said["reason"], ended.said["message"]

    code, reason, message = prepared("s3://datasets/risk/good.parquet", digest=wrong)
    assert (code, reason, good in message, wrong in message) == (
        65,
        "DatasetDigestMismatch",
        True,
        True,
    )
    assert list((tmp_path / "data").iterdir()) == []
    assert prepared("s3://datasets/risk/none.parquet")[:2] == (66, "DatasetUnavailable")
    assert prepared("s3://datasets/risk/good.arrow")[:2] == (67, "DatasetInvalid")
    for part in (
        ".part-0.crc",
        "_committed_1",
        "part-00000-1f.snappy.parquet",
        "_SUCCESS",
        "",
    ):  # as Spark and a console leave them
        put(
            minio,
            f"risk/spark.parquet/{part}",
            b"" if part in {"_SUCCESS", ""} else parquet(cards(20)),
        )
    for uri in ("s3://datasets/risk/spark.parquet", "s3://datasets/risk/spark.parquet/"):
        code, reason, message = prepared(uri)
        assert (code, reason) == (67, "DatasetInvalid"), uri
        assert (
            "s3://datasets/risk/spark.parquet/ is a folder of parts such as"
            " part-00000-1f.snappy.parquet" in message
        )
    assert prepared("s3://datasets/risk/none.parquet/")[:2] == (66, "DatasetUnavailable")
    code, reason, message = prepared("s3://datasets/risk/good.parquet", target="is_fraudd")
    assert (code, reason) == (67, "DatasetInvalid")
    assert "did you mean is_fraud?" in message
    put(minio, "risk/excel.csv", cards(20).to_csv(index=False, sep=";").encode())
    code, reason, message = prepared("s3://datasets/risk/excel.csv")
    assert (code, reason, "must be separated by commas, not by ';'" in message) == (
        67,
        "DatasetInvalid",
        True,
    )


@pytest.mark.parametrize(("times", "code"), [(2, 0), (99, 67)])
def test_a_dataset_that_another_run_logs_at_the_same_time_is_logged_all_the_same(
    tmp_path, times, code
):
    with refusing_twins(times) as (address, asked):
        pod = Pod(
            tmp_path,
            XGBOOST,
            {"name": "synthetic", "rows": 20},
            MLFLOW_TRACKING_URI=address,
            MLFLOW_RUN_ID="r1",
        )
        ended = pod.prepare()
    assert ended.code == code, ended.log
    if code:
        assert ended.said["reason"] == "RequestRefused"
        assert "log-batch" not in asked
    else:
        assert asked == ["log-inputs"] * 3 + ["log-batch"]


def test_a_missing_target_is_reported_with_the_columns(tmp_path):
    ended = Pod(
        tmp_path,
        XGBOOST,
        {"name": "synthetic", "rows": 20, "target": "is_fraud"},
        MLFLOW_RUN_ID="x",
    ).prepare()
    assert (ended.code, ended.said["reason"]) == (67, "DatasetInvalid"), ended.log
    columns = ", ".join(
        [
            *(f"feature_{index:02d}" for index in range(17)),
            "...",
            "feature_18",
            "feature_19",
            "target",
        ]
    )
    assert (
        ended.said["message"]
        == f"the dataset has no column is_fraud; it has {columns}. Set spec.dataset.target."
    )


def test_a_run_without_a_dataset_needs_none(tmp_path):
    ended = Pod(tmp_path, {"script": {}}).prepare()
    assert (ended.code, ended.said) == (0, {})
    trained = Pod(tmp_path, XGBOOST).train()
    assert (trained.code, trained.said["reason"]) == (67, "DatasetInvalid")
    assert "spec.dataset" in trained.said["message"]


def test_parameters_are_refused_before_anything_is_trained(tmp_path):
    pod = Pod(
        tmp_path,
        XGBOOST,
        {"name": "cards", "target": "is_fraud"},
        {"max_depht": "3"},
        MLFLOW_RUN_ID="x",
    )
    pod.data.mkdir()
    cards(50).to_parquet(pod.data / "dataset.parquet")
    ended = pod.train()
    assert (ended.code, ended.said["reason"]) == (67, "InvalidParameters"), ended.log
    assert "max_depht; did you mean max_depth?" in ended.said["message"]


def test_metrics_arrive_while_it_trains_and_a_signal_ends_it(tracking, tmp_path):
    pod = Pod(
        tmp_path,
        XGBOOST,
        {"name": "cards", "target": "is_fraud"},
        {"n_estimators": "1000000"},
        **tracking.run(),
    )
    pod.data.mkdir()
    cards(100).to_parquet(pod.data / "dataset.parquet")
    process = start(tmp_path, "train", env=pod.env)
    try:
        arrived = until(
            lambda: latest(tracking, pod) or process.poll() is not None,
            "the first metrics",
            PATIENCE,
        )
        assert arrived is not True, (tmp_path / "log").read_text()
        assert arrived.keys() == {"modelyard.progress", "train.logloss", "validation.logloss"}
        assert 0 <= arrived["modelyard.progress"] < 95
        process.terminate()
        assert process.wait(PATIENCE) == 143
    finally:
        process.kill()
        process.wait()


def test_a_metric_that_mlflow_refuses_does_not_affect_others(tracking, tmp_path):
    log = mlflow_side(tmp_path, tracking.uri, module="live_side").splitlines()
    assert json.loads(log[-1]) == [["loss", "modelyard.progress", "rate"], 500, 500]
    refused = [line.split(":")[0] for line in log if "left out" in line]
    assert refused == ["the metric no@name is left out", "the metric ../up is left out"]


def latest(tracking, pod: Pod) -> dict[str, float]:
    """Return a run's newest metrics, read directly from the database."""
    with closing(sqlite3.connect(tracking.folder / "mlflow.db", timeout=30)) as database:
        return dict(
            database.execute(
                "SELECT key, value FROM latest_metrics WHERE run_uuid = ?",
                (pod.env["MLFLOW_RUN_ID"],),
            )
        )
