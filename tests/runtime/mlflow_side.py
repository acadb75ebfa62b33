"""MLflow's part in these tests, in processes of its own: it takes seconds to import, and warns. Run
as a program:

python -m tests.runtime.mlflow_side models <folder>     logs the models that the tests serve
python -m tests.runtime.mlflow_side                     answers lines of JSON, `["shown",
    uri]` and the like, by one each
"""

import json
import sys
import threading
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import xgboost as xgb
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from mlflow.pyfunc import scoring_server

ROWS = 300
RUNS = 3
PINNED = ["mlflow"]  # inferring requirements takes 8 s a model


class Scaled(mlflow.pyfunc.PythonModel):
    """Gives a table of two columns, and heeds a parameter."""

    def predict(self, context, model_input, params=None):
        factor = (params or {}).get("factor", 1.0)
        return pd.DataFrame(
            {"score": model_input["amount"] * factor, "label": model_input["city"].str.upper()}
        )


class Shy(mlflow.pyfunc.PythonModel):
    """Loads, and fails at the first prediction."""

    def predict(self, context, model_input, params=None):
        raise RuntimeError("the lookup table is empty")


class Patient(mlflow.pyfunc.PythonModel):
    """Predicts when there is a file at the path that it is given."""

    def predict(self, context, model_input, params=None):
        for path in model_input["path"]:
            while not Path(path).exists():
                threading.Event().wait(0.05)
        return model_input["path"]


class Slow(mlflow.pyfunc.PythonModel):
    """Takes as many seconds for each row as that says."""

    def predict(self, context, model_input, params=None):
        for seconds in model_input["seconds"]:
            threading.Event().wait(seconds)
        return model_input["seconds"]


def features(columns: int) -> pd.DataFrame:
    values = np.random.default_rng(7).normal(size=(ROWS, columns))
    return pd.DataFrame(values, columns=[f"feature_{index:02d}" for index in range(columns)])


def mixed() -> pd.DataFrame:
    """Columns of several types, as a signature may have them."""
    random = np.random.default_rng(8)
    return pd.DataFrame(
        {
            "amount": random.normal(100, 50, ROWS),
            "age": random.integers(18, 90, ROWS),
            "visits": random.integers(0, 9, ROWS).astype("int32"),
            "member": random.integers(0, 2, ROWS).astype(bool),
            "rate": random.normal(size=ROWS).astype("float32"),
        }
    )


def save(folder: Path, name: str, model: Any, **more: Any) -> None:
    mlflow.xgboost.save_model(model, str(folder / name), pip_requirements=PINNED, **more)


def save_code(folder: Path, name: str, model: mlflow.pyfunc.PythonModel, **more: Any) -> None:
    mlflow.pyfunc.save_model(
        str(folder / name), python_model=model, pip_requirements=PINNED, **more
    )


def models(folder: Path) -> None:
    """Log every model that the tests serve."""
    wide, table = features(20), mixed()
    binary = (wide["feature_00"] + wide["feature_01"] > 0).astype(int)
    fast = {"n_estimators": 8, "max_depth": 3}

    classifier = xgb.XGBClassifier(**fast).fit(wide, binary)
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.set_experiment(
        experiment_id=mlflow.create_experiment(
            "served", artifact_location=str(folder / "artifacts")
        )
    )
    with mlflow.start_run():
        logged = mlflow.xgboost.log_model(
            classifier, name="model", input_example=wide.head(5), pip_requirements=PINNED
        )
    (folder / "classifier").symlink_to(mlflow.artifacts.download_artifacts(logged.model_uri))

    three = pd.cut(wide["feature_02"], [-9, -0.5, 0.5, 9], labels=False)
    stopped = xgb.XGBClassifier(n_estimators=400, max_depth=2, early_stopping_rounds=3)
    stopped.fit(wide[:200], three[:200], eval_set=[(wide[200:], three[200:])], verbose=False)
    save(folder, "multiclass", stopped, input_example=wide.head(2), model_format="json")

    target = table["amount"] * 2 + table["age"]
    regressor = xgb.XGBRegressor(**fast).fit(table, target)
    save(folder, "regressor", regressor, signature=infer_signature(table, regressor.predict(table)))

    save(folder, "booster", xgb.train({"max_depth": 3}, xgb.DMatrix(wide, binary), 8))
    save(
        folder,
        "matrix",
        xgb.XGBRegressor(**fast).fit(wide.to_numpy(), target),
        input_example=wide.to_numpy()[:2],
    )
    save(
        folder,
        "linear",
        xgb.XGBRegressor(booster="gblinear", n_estimators=8).fit(wide, target),
        input_example=wide.head(2),
    )

    unnamed = pd.DataFrame(wide.to_numpy()[:, :3])
    save(
        folder,
        "unnamed",
        xgb.XGBClassifier(**fast).fit(unnamed, binary),
        input_example=unnamed.head(2),
    )
    holed = pd.DataFrame(
        {
            "amount": table["amount"],
            "age": table["age"].astype("Int64"),
            "member": table["member"].astype("boolean"),
        }
    )
    holed.loc[::3, "age"] = holed.loc[::4, "member"] = pd.NA
    save(
        folder,
        "holed",
        gaps := xgb.XGBRegressor(**fast).fit(holed, target),
        signature=infer_signature(holed, gaps.predict(holed)),
    )

    people = pd.DataFrame({"amount": [1.5, 2.5], "city": ["bonn", "cologne"]})
    signature = infer_signature(
        people, pd.DataFrame({"score": [1.5], "label": ["BONN"]}), {"factor": 1.0}
    )
    save_code(
        folder, "scaled", Scaled(), signature=signature, input_example=(people, {"factor": 2.0})
    )
    there = pd.DataFrame({"path": ["/"]})
    save_code(
        folder,
        "patient",
        Patient(),
        signature=infer_signature(there, there["path"]),
        input_example=there,
    )
    taken = pd.DataFrame({"seconds": [0.0]})
    save_code(
        folder,
        "slow",
        Slow(),
        signature=infer_signature(taken, taken["seconds"]),
        input_example=taken,
    )
    save_code(folder, "shy", Shy(), signature=infer_signature(people))


def answers(given: list[list[str]]) -> list[list[Any]]:
    """Answer requests, `[[folder of a model, content type, body], ...]`, as `mlflow models
    serve` would: `[[status, body], ...]`.
    """
    found = []
    for folder, content_type, body in given:
        model = mlflow.pyfunc.load_model(folder)
        try:
            answer = scoring_server.invocations(
                body.encode(), content_type, model, model.metadata.get_input_schema()
            )
            found.append([answer.status, answer.response])
        except MlflowException as error:
            found.append([error.get_http_status_code(), error.serialize_as_json()])
    return found


def runs(uri: str) -> list[str]:
    """Make runs, as the operator does before it starts a pod."""
    client = mlflow.MlflowClient(uri)
    folder = Path(uri.removeprefix("sqlite:///")).parent
    experiment = client.create_experiment("trained", artifact_location=str(folder / "artifacts"))
    return [client.create_run(experiment).info.run_id for _ in range(RUNS)]


def shown(uri: str) -> dict[str, Any]:
    """Return, for every run: status, metrics, the steps of the live ones, tags, dataset inputs,
    and the folder of its model.
    """
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("trained").experiment_id
    found = {}
    for run in client.search_runs([experiment]):
        logged = [
            model
            for model in client.search_logged_models([experiment])
            if model.source_run_id == run.info.run_id
        ]
        found[run.info.run_id] = {
            "status": run.info.status,
            "metrics": run.data.metrics,
            "rounds": [
                metric.step
                for metric in client.get_metric_history(run.info.run_id, "validation.logloss")
            ],
            "tags": run.data.tags,
            "inputs": [
                (each.dataset.to_dictionary(), {tag.key: tag.value for tag in each.tags})
                for each in run.inputs.dataset_inputs
            ],
            "models": [model.artifact_location for model in logged],
        }
    return found


def talk() -> None:
    """Answer requests until the input ends."""
    out, sys.stdout = sys.stdout, sys.stderr  # MLflow prints
    for line in sys.stdin:
        command, argument = json.loads(line)
        print(
            json.dumps({"answers": answers, "runs": runs, "shown": shown}[command](argument)),
            file=out,
            flush=True,
        )


if __name__ == "__main__":
    if sys.argv[1:]:
        models(Path(sys.argv[2]))
    else:
        talk()
