"""`python -m tests.bench.model <folder> [deep]`: trains and saves the model that every server of
the bench serves.

A process of its own: MLflow takes seconds to import.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mlflow
import pandas as pd
import xgboost as xgb
from sklearn.datasets import make_classification

__all__ = ["COLUMNS", "train"]

COLUMNS = [f"feature_{number:02}" for number in range(20)]


def train(folder: Path, *, deep: bool = False) -> None:
    """200 trees of depth 6 on 2,000 rows of 20 features, as the samples have them; deep: 1,000
    of depth 8.
    """
    trees, depth = (1000, 8) if deep else (200, 6)
    values, labels = make_classification(2000, len(COLUMNS), n_informative=15, random_state=7)
    table = pd.DataFrame(values, columns=COLUMNS)
    model = xgb.XGBClassifier(n_estimators=trees, max_depth=depth, learning_rate=0.1, n_jobs=1).fit(
        table, labels
    )
    mlflow.xgboost.save_model(
        model, str(folder), input_example=table.head(5), pip_requirements=["mlflow"]
    )


if __name__ == "__main__":
    train(Path(sys.argv[1]), deep="deep" in sys.argv[2:])
