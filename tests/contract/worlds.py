"""A port and its other side: the actions of a training script or a user, on the fake and on the
real server.
"""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any, Protocol

from modelyard.adapters.mlflow import Mlflow
from modelyard.ports import LoggedModel, Store, Tracking
from tests.fakes.mlflow import FakeTracking
from tests.fakes.s3 import FakeStore

__all__ = ["FakeStoreWorld", "FakeWorld", "RealStoreWorld", "RealWorld", "StoreWorld", "World"]


class World(Protocol):
    """MLflow, and the actions of a training script."""

    tracking: Tracking

    def log_metric(self, run: str, key: str, value: float) -> None: ...

    def log_model(self, run: str, name: str, *, ready: bool = True) -> LoggedModel: ...


class FakeWorld:
    def __init__(self, tracking: FakeTracking) -> None:
        self.tracking: Tracking = tracking
        self._fake = tracking

    def log_metric(self, run: str, key: str, value: float) -> None:
        self._fake.log_metric(run, key, value)

    def log_model(self, run: str, name: str, *, ready: bool = True) -> LoggedModel:
        return self._fake.log_model(run, name, ready=ready)


class RealWorld:
    def __init__(self, tracking: Mlflow, url: str) -> None:
        self.tracking: Tracking = tracking
        self.url = url

    def log_metric(self, run: str, key: str, value: float) -> None:
        text = "NaN" if value != value else value
        self._send(
            "runs/log-metric",
            {
                "run_id": run,
                "key": key,
                "value": text,
                "timestamp": time.time_ns() // 1_000_000,
                "step": 0,
            },
        )

    def log_model(self, run: str, name: str, *, ready: bool = True) -> LoggedModel:
        experiment = self._send(f"runs/get?run_id={run}")["run"]["info"]["experiment_id"]
        made = self._send(
            "logged-models", {"experiment_id": experiment, "name": name, "source_run_id": run}
        )["model"]["info"]
        status = "LOGGED_MODEL_READY" if ready else "LOGGED_MODEL_UPLOAD_FAILED"
        self._send(
            f"logged-models/{made['model_id']}",
            {"model_id": made["model_id"], "status": status},
            "PATCH",
        )
        self._send(
            "runs/outputs", {"run_id": run, "models": [{"model_id": made["model_id"], "step": 0}]}
        )
        return LoggedModel(made["model_id"], made["artifact_uri"], name, run)

    def _send(self, path: str, body: Any = None, method: str | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}/api/2.0/mlflow/{path}",
            data,
            {"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)


class StoreWorld(Protocol):
    """S3, and the actions of a pod. `own` is the tenant's bucket, `other` one that it may only
    read.
    """

    store: Store
    own: str
    other: str

    def put(self, bucket: str, key: str, data: bytes) -> None: ...

    def keys(self, bucket: str) -> set[str]: ...

    def drop_bucket(self, bucket: str) -> None: ...


class FakeStoreWorld:
    def __init__(self, store: FakeStore, own: str, other: str) -> None:
        self.store: Store = store
        self.own, self.other = own, other
        self._fake = store

    def put(self, bucket: str, key: str, data: bytes) -> None:
        self._fake.put(f"s3://{bucket}/{key}", data)

    def keys(self, bucket: str) -> set[str]:
        return set(self._fake.world[bucket])

    def drop_bucket(self, bucket: str) -> None:
        del self._fake.world[bucket]


class RealStoreWorld:
    def __init__(self, store: Store, own: str, other: str, hand: Any) -> None:
        self.store = store
        self.own, self.other = own, other
        self._hand = hand

    def put(self, bucket: str, key: str, data: bytes) -> None:
        self._hand.put_object(Bucket=bucket, Key=key, Body=data)

    def keys(self, bucket: str) -> set[str]:
        pages = self._hand.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {found["Key"] for page in pages for found in page.get("Contents", ())}

    def drop_bucket(self, bucket: str) -> None:
        for key in self.keys(bucket):
            self._hand.delete_object(Bucket=bucket, Key=key)
        self._hand.delete_bucket(Bucket=bucket)
