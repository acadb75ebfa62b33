"""`python -m tests.bench.kserve_server <folder of an MLflow model> <port>`: KServe's own server,
with a minimal model.

It predicts as ours does (`inplace_predict`, one thread), so that only the server differs. Run on
the loopback only.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb
import yaml
from kserve import Model, ModelServer
from kserve.utils.utils import get_predict_input, get_predict_response

__all__ = ["Boosted"]


class Boosted(Model):
    """An XGBoost classifier, as MLflow keeps it."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        self._folder = folder
        self._booster = xgb.Booster({"nthread": 1})

    def load(self) -> bool:
        flavor = yaml.safe_load((self._folder / "MLmodel").read_text())["flavors"]["xgboost"]
        self._booster.load_model(self._folder / flavor["data"])
        self._booster.set_param({"nthread": 1})
        self.ready = True
        return True

    async def predict(
        self,
        payload: Any,
        headers: dict[str, str] | None = None,
        response_headers: dict[str, str] | None = None,
    ) -> Any:
        found = self._booster.inplace_predict(
            np.asarray(get_predict_input(payload)), validate_features=False
        )
        return get_predict_response(payload, (found > 0.5).astype(np.int64), self.name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    options = parser.parse_args()
    model = Boosted("fraud", options.folder)
    model.load()
    ModelServer(http_port=options.port, enable_grpc=False, workers=1, access_log_format=None).start(
        [model]
    )
