"""MLflow accepts what the CRDs admit: objects drawn from our own schemas, a real API server that
validates them, and a real MLflow.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelyard.adapters.instrument import CallTimer
from modelyard.adapters.mlflow import Credentials, Mlflow
from modelyard.api.kinds import KINDS
from modelyard.api.schema import crd
from tests.api.objects import Manifest, experiment, model, training_run
from tests.api.specs import specs
from tests.contract.conftest import Mlflows
from tests.harness import Cluster
from tests.local import limits

pytestmark = [pytest.mark.contract, pytest.mark.api]

SETTINGS = settings(
    max_examples=80,
    deadline=None,  # other processes do the work
    derandomize=True,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
    ],
)
ENOUGH = 8
"""The number of objects that must be admitted: a rule that refuses all proves nothing."""


def fields(kind: str) -> Manifest:
    (found,) = [each for each in KINDS if kind == each.resource.KIND]
    properties: Manifest = crd(found)["spec"]["versions"][0]["schema"]["openAPIV3Schema"][
        "properties"
    ]["spec"]["properties"]
    return properties


TAGS = specs(fields("Experiment")["tags"])
PARAMETERS = specs(fields("TrainingRun")["parameters"])
NOTES = specs(fields("Experiment")["description"])
METRICS = specs(fields("Experiment")["objective"]["properties"]["metric"]) | st.text(
    "a.@/:_", min_size=1, max_size=6
)
VERSION_TAGS = specs(
    fields("RegisteredModel")["versions"]["additionalProperties"]["properties"]["tags"]
)


class Taker:
    """MLflow on PostgreSQL, the strictest of its databases, with one of each object that has
    tags.
    """

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self._client = self._runner.run(self._open(url))
        name = uuid.uuid4().hex
        self.admitted = 0
        self.experiment = self.do(
            self._client.create_experiment(name, "s3://mlflow-artifacts/a", {})
        )
        self.model = f"risk.{name}"
        self.do(self._client.create_model(self.model, "", {}))
        self.version = self.do(
            self._client.create_version(self.model, "s3://mlflow-artifacts/a", None, {}, None)
        )

    async def _open(self, url: str) -> Mlflow:
        return Mlflow(
            url, Credentials(), CallTimer("MLflow", lambda *_: None), limits=limits(), deadline=60.0
        )

    def do(self, call: Any) -> Any:
        return self._runner.run(call)

    @property
    def client(self) -> Mlflow:
        return self._client

    def close(self) -> None:
        self.do(self._client.close())
        self._runner.close()


@pytest.fixture
def mlflow(mlflows: Mlflows) -> Iterator[Taker]:
    with closing(Taker(mlflows.postgresql)) as taker:
        yield taker
        assert taker.admitted >= ENOUGH


def test_parameters(cluster: Cluster, mlflow: Taker):
    @SETTINGS
    @given(parameters=PARAMETERS)
    def check(parameters: dict[str, str]) -> None:
        if cluster.check(training_run(parameters=parameters)).ok:
            run = mlflow.do(mlflow.client.create_run(mlflow.experiment, "r", {}))
            mlflow.do(mlflow.client.log_parameters(run, parameters))
            assert mlflow.do(mlflow.client.run(run)).parameters == parameters
            mlflow.admitted += bool(parameters)

    check()


def test_tags_and_notes_of_an_experiment(cluster: Cluster, mlflow: Taker):
    @SETTINGS
    @given(tags=TAGS, note=NOTES)
    def check(tags: dict[str, str], note: str) -> None:
        if cluster.check(experiment(tags=tags, description=note)).ok:
            wanted = tags | {"mlflow.note.content": note}
            mlflow.do(mlflow.client.set_experiment_tags(mlflow.experiment, wanted))
            found = mlflow.do(mlflow.client.experiment_by_id(mlflow.experiment))
            assert wanted.items() <= found.tags.items()
            mlflow.admitted += bool(tags)

    check()


def test_tags_and_descriptions_of_a_model_and_its_versions(cluster: Cluster, mlflow: Taker):
    @SETTINGS
    @given(tags=TAGS, more=VERSION_TAGS, note=NOTES)
    def check(tags: dict[str, str], more: dict[str, str], note: str) -> None:
        versions = {"v1": {"uri": "s3://models/v1", "tags": more}}
        if cluster.check(model(tags=tags, description=note, versions=versions)).ok:
            mlflow.do(mlflow.client.set_model_tags(mlflow.model, tags, note))
            mlflow.do(mlflow.client.set_version_tags(mlflow.model, mlflow.version, more))
            mlflow.admitted += bool(tags or more)

    check()


def test_metrics_of_an_objective(cluster: Cluster, mlflow: Taker):
    """A metric of this name can be logged, and is found."""

    @SETTINGS
    @given(name=METRICS)
    def check(name: str) -> None:
        if cluster.check(experiment(objective={"metric": name})).ok:
            mlflow.do(mlflow.client.best_runs(mlflow.experiment, name, greatest=True, limit=1))
            run = mlflow.do(mlflow.client.create_run(mlflow.experiment, "r", {}))
            mlflow.do(
                mlflow.client.log_parameters(
                    run, {name: "MLflow judges names of metrics as it does those of parameters"}
                )
            )
            mlflow.admitted += 1

    check()
