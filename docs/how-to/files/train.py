"""A script for the trainer `script`: plain scikit-learn and MLflow, nothing of modelyard's."""

import json
import os
from pathlib import Path

import mlflow
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

parameters = json.loads(os.environ["MODELYARD_PARAMETERS"])
table = pd.read_parquet(Path(os.environ["MODELYARD_DATASET_PATH"]) / "dataset.parquet")
features, target = table.drop(columns="target"), table["target"]
train, test, train_target, test_target = train_test_split(
    features, target, test_size=0.2, random_state=7
)

with mlflow.start_run():
    model = LogisticRegression(C=float(parameters["C"]), max_iter=1000).fit(train, train_target)
    mlflow.log_metric("accuracy", model.score(test, test_target))
    mlflow.sklearn.log_model(
        model, name="model", input_example=test.head(3), pip_requirements=["scikit-learn"]
    )
