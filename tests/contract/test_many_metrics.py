"""Runs with very many metrics, all of which MLflow returns: real servers, and a bound that a few
runs exceed.
"""

from __future__ import annotations

import json
import time
import urllib.request
from datetime import UTC, datetime

import pytest

from modelyard.adapters.instrument import CallTimer
from modelyard.adapters.mlflow import Credentials, Mlflow
from modelyard.errors import Invalid
from tests.contract.conftest import Mlflows
from tests.local import limits

pytestmark = pytest.mark.contract

RUNS, METRICS = 5, 300
RUN = 30_000
"""The largest size in bytes of a run with this many metrics in an answer."""


def log(url: str, run: str, score: float) -> None:
    """Log metrics, one of which is the objective, in one request, as MLflow allows."""
    now = time.time_ns() // 1_000_000
    values = {f"metric-{number:04}": 0.5 for number in range(METRICS - 1)} | {"score": score}
    metrics = [
        {"key": key, "value": value, "timestamp": now, "step": 0} for key, value in values.items()
    ]
    body = json.dumps({"run_id": run, "metrics": metrics}).encode()
    request = urllib.request.Request(
        f"{url}/api/2.0/mlflow/runs/log-batch", body, {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request).close()


async def test_pages_get_smaller_and_unread_runs_are_reported(mlflows: Mlflows, name: str):
    answers: list[str] = []
    timer = CallTimer(
        "MLflow",
        lambda _, operation, outcome, __: (
            answers.append(outcome) if operation == "search runs of" else None
        ),
    )
    bounds = {"answer": 2 * RUN, "parsed": 100 * RUN}
    plain = Mlflow(mlflows.sqlite, Credentials(), timer, limits=limits(**bounds))
    brief = Mlflow(mlflows.sqlite, Credentials(), timer, limits=limits(**bounds, search=2 * RUN))
    tight = Mlflow(mlflows.sqlite, Credentials(), timer, limits=limits(answer=RUN // 10))
    experiment = await plain.create_experiment(name, f"s3://mlflow-artifacts/risk/{name}", {})
    made = [
        await plain.create_run(experiment, f"r{number}", {"modelyard.io/name": f"r{number}"})
        for number in range(RUNS)
    ]
    for number, run in enumerate(made):
        log(mlflows.sqlite, run, number / 10)
        await plain.finish_run(run, "FINISHED")

    whole = await plain.newest_runs(experiment, deleted=None, limit=1000, metric="score")
    assert (whole.complete, {run.id for run in whole.runs}) == (True, set(made))
    assert {run.tags["modelyard.io/name"]: run.metrics["score"] for run in whole.runs} == {
        f"r{n}": n / 10 for n in range(RUNS)
    }
    assert "invalid" in answers, "the first page was too large"
    answers.clear()
    await plain.newest_runs(experiment, deleted=None, limit=1000, metric="score")
    assert answers.count("invalid") <= 1, "how many fit is remembered"

    some = await brief.newest_runs(experiment, deleted=None, limit=1000, metric="score")
    assert not some.complete
    assert 0 < len(some.runs) < RUNS
    best = await brief.best_runs(experiment, "score", greatest=True, limit=2)
    assert [run.id for run in best.runs] == [made[4], made[3]]
    ended = await brief.ended_runs(
        experiment, datetime(2999, 1, 1, tzinfo=UTC), limit=1000, metric="score"
    )
    assert ended.runs[0].id == made[0]

    with pytest.raises(Invalid, match="larger than"):
        await tight.newest_runs(experiment, deleted=None, limit=1000, metric="score")
    full = await plain.run(made[0])
    assert full is not None
    assert len(full.metrics) == METRICS
    for client in (plain, brief, tight):
        await client.close()
