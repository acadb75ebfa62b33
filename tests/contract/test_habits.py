"""Scripts as users write them, on a real MLflow and MinIO: the outcome of the TrainingRun."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.contract.attempts import Attempt
from tests.contract.conftest import Mlflows

pytestmark = pytest.mark.contract

Begin = Callable[..., Awaitable[Attempt]]

PLAIN = """
import json, os
import mlflow
mlflow.set_experiment("churn-of-a-laptop")
with mlflow.start_run():
    given = json.loads(os.environ["MODELYARD_PARAMETERS"])
    numbers = given.keys() - {"seed", "note"}
    mlflow.log_params({name: float(given[name]) for name in numbers})
    mlflow.log_metric("accuracy", 0.9)
    print("the note is", given["note"])
"""
CAUGHT = """
import mlflow
try:
    with mlflow.start_run():
        mlflow.log_metric("accuracy", 0.1)
        raise ValueError("the loss is NaN")
except ValueError:
    print("never mind")
"""
OTHER = """
import mlflow
mlflow.set_experiment("of-somebody-else")
with mlflow.start_run():
    pass
"""
LAPTOP = """
import mlflow
mlflow.set_tracking_uri("{address}")
with mlflow.start_run():
    pass
"""


@pytest.fixture
async def begin(
    mlflows: Mlflows, minio: servers.Minio, name: str, tmp_path: Path
) -> AsyncIterator[Begin]:
    """Create a TrainingRun in its own experiment, with a Job ready to train."""
    connection = {
        "MLFLOW_TRACKING_URI": mlflows.sqlite,
        "MODELYARD_BUCKET": "mlflow-artifacts",
        **minio.environment,
    }
    async with AsyncExitStack() as stack:

        async def made(script: str, **spec: Any) -> Attempt:
            attempt = Attempt(connection, tmp_path, script, **spec)
            stack.push_async_callback(attempt.close)
            await attempt.begin(name)
            await attempt.settle()
            return attempt

        yield made


async def test_a_plain_script_logs_into_its_run_with_plain_mlflow_calls(begin: Begin):
    note = "$$5 and $(AWS_SECRET_ACCESS_KEY)"
    attempt = await begin(
        PLAIN, parameters={"subsample": "1", "max_depth": "3", "seed": "7", "note": note}
    )
    log = attempt.train()
    await attempt.settle()
    assert attempt.run.status.is_true("Succeeded"), log
    (run,) = await attempt.tracking.runs(attempt.experiment)
    assert (run.status, run.metrics) == ("FINISHED", {"accuracy": 0.9})
    assert run.parameters == {"subsample": "1.0", "max_depth": "3.0", "seed": "7", "note": note}
    assert f"the note is {note}\n" in log
    assert await attempt.tracking.experiment("churn-of-a-laptop") is None, (
        "a stray experiment stays"
    )
    assert "the experiment churn-of-a-laptop is not created" in log


async def test_a_script_that_names_another_experiment_gets_the_line_in_the_message(begin: Begin):
    attempt = await begin(OTHER)
    await attempt.tracking.create_experiment("of-somebody-else", "s3://mlflow-artifacts/else", {})
    attempt.train()
    await attempt.settle()
    failure = attempt.run.status.failure
    assert failure
    assert "selected another experiment with mlflow.set_experiment" in failure.message
    assert 'train.py", line 4, in <module>' in failure.log


async def test_a_script_that_names_another_mlflow_gets_the_line_in_the_message(
    begin: Begin, mlflows: Mlflows
):
    attempt = await begin(LAPTOP.format(address=mlflows.postgresql))
    log = attempt.train()
    await attempt.settle()
    assert attempt.run.status.failure, log
    assert (
        "If the script selects another server with mlflow.set_tracking_uri, remove that line"
        in attempt.run.status.failure.message
    )


async def test_a_script_that_closes_its_run_as_failed_has_failed(begin: Begin):
    attempt = await begin(CAUGHT)
    log = attempt.train()
    assert "never mind" in log
    await attempt.settle()
    assert not attempt.run.status.is_true("Succeeded")
    assert attempt.run.status.failure
    assert (
        "exited with code 0, but its MLflow run was closed as FAILED"
        in attempt.run.status.failure.message
    )
    (run,) = await attempt.tracking.runs(attempt.experiment)
    assert run.status == "FAILED"
