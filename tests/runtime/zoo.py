"""Small boosters of every kind that XGBoost trains, the same each time."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xgboost as xgb

__all__ = ["COLUMNS", "KINDS", "rows", "trained"]

COLUMNS = 8
ROUNDS = 6
NAMES = [f"feature_{index}" for index in range(COLUMNS)]
PARAMETERS = {"nthread": 1, "seed": 3}
TREE = PARAMETERS | {"max_depth": 4}


def rows(count: int, seed: int = 5) -> Any:
    """Return rows with one value in ten missing; the first column has categories."""
    random = np.random.default_rng(seed)
    found = random.normal(size=(count, COLUMNS)).astype(np.float32)
    found[:, 0] = random.integers(0, 5, count)
    found[random.random(found.shape) < 0.1] = np.nan
    return found


TABLE = rows(400, 1)
SIGNAL = np.nan_to_num(TABLE) @ np.linspace(-1, 1, COLUMNS)
BINARY, POSITIVE = (SIGNAL > 0).astype(int), np.exp(SIGNAL / 4)
THREE = np.digitize(SIGNAL, [-0.5, 0.5])


def plain(label: Any, **parameters: Any) -> Callable[[], xgb.Booster]:
    """Return the training of a booster with this number of rounds."""
    return lambda: xgb.train(
        TREE | parameters, xgb.DMatrix(TABLE, label, feature_names=NAMES, nthread=1), ROUNDS
    )


def stopped() -> xgb.Booster:
    seen, other = (
        xgb.DMatrix(TABLE[part], BINARY[part], nthread=1) for part in (slice(300), slice(300, None))
    )
    told = TREE | {"objective": "binary:logistic", "eta": 1.0, "eval_metric": "logloss"}
    return xgb.train(
        told, seen, 200, evals=[(other, "other")], early_stopping_rounds=3, verbose_eval=False
    )


def categorical(**parameters: Any) -> xgb.Booster:
    data = xgb.DMatrix(
        TABLE,
        SIGNAL,
        feature_types=["c", *["q"] * (COLUMNS - 1)],
        enable_categorical=True,
        nthread=1,
    )
    return xgb.train(TREE | parameters, data, ROUNDS)


def ranker() -> xgb.Booster:
    data = xgb.DMatrix(TABLE, THREE, qid=np.arange(len(TABLE)) // 20, nthread=1)
    return xgb.train(TREE | {"objective": "rank:ndcg"}, data, ROUNDS)


def survival() -> xgb.Booster:
    data = xgb.DMatrix(TABLE, nthread=1)
    data.set_float_info("label_lower_bound", POSITIVE)
    data.set_float_info("label_upper_bound", np.where(BINARY, POSITIVE, np.inf))
    return xgb.train(TREE | {"objective": "survival:aft"}, data, ROUNDS)


def linear() -> xgb.Booster:
    return xgb.train(
        PARAMETERS | {"booster": "gblinear"}, xgb.DMatrix(TABLE, SIGNAL, nthread=1), ROUNDS
    )


TWO = np.column_stack([SIGNAL, POSITIVE])
KINDS: Mapping[str, Callable[[], xgb.Booster]] = {
    "binary": plain(BINARY, objective="binary:logistic"),
    "base score": plain(BINARY, objective="binary:logistic", base_score=0.1),
    "early stopping": stopped,
    "softprob": plain(THREE, objective="multi:softprob", num_class=3),
    "softmax": plain(THREE, objective="multi:softmax", num_class=3),
    "squared error": plain(SIGNAL),
    "poisson": plain(np.round(POSITIVE), objective="count:poisson"),
    "gamma": plain(POSITIVE, objective="reg:gamma"),
    "quantiles": plain(SIGNAL, objective="reg:quantileerror", quantile_alpha=[0.1, 0.5, 0.9]),
    "two targets": plain(TWO),
    "trees of two targets": plain(TWO, multi_strategy="multi_output_tree"),
    "partitions": lambda: categorical(max_cat_to_onehot=1),
    "one-hot": lambda: categorical(max_cat_to_onehot=10),
    "dart": plain(BINARY, booster="dart", rate_drop=0.5, objective="binary:logistic"),
    "forest": plain(
        BINARY, num_parallel_tree=4, subsample=0.7, eta=1.0, objective="binary:logistic"
    ),
    "ranker": ranker,
    "survival": survival,
    "cox": plain(np.where(BINARY, POSITIVE, -POSITIVE), objective="survival:cox"),
    "hinge": plain(BINARY, objective="binary:hinge"),
    "deep": plain(SIGNAL, max_depth=0, max_leaves=60, grow_policy="lossguide"),
    "linear": linear,
}


def trained(kind: str) -> xgb.Booster:
    """Train one; it predicts in one thread."""
    found = KINDS[kind]()
    found.set_param({"nthread": 1})
    return found
