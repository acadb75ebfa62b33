"""A training as anybody writes it: MLflow and XGBoost, nothing of modelyard's. It logs a few
figures, and the model.
"""

import json
import os

import mlflow
import mlflow.xgboost
import pandas as pd
import xgboost

parameters = json.loads(os.environ["MODELYARD_PARAMETERS"])
table = pd.DataFrame({"amount": [1.0, 2.0, 30.0, 40.0] * 25, "hour": [9.0, 10.0, 3.0, 4.0] * 25})
fraud = pd.Series([0, 0, 1, 1] * 25)

with mlflow.start_run():
    model = xgboost.XGBClassifier(n_estimators=int(parameters["n_estimators"]), max_depth=2)
    model.fit(table, fraud)
    mlflow.log_metric("accuracy", model.score(table, fraud))
    mlflow.log_param("seen_by", "the script")
    mlflow.log_param("note_as_it_arrived", parameters["note"])
    mlflow.xgboost.log_model(
        model,
        name="model",
        input_example=table.head(2),
        pip_requirements=["xgboost", "scikit-learn"],
    )
