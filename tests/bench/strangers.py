"""What a tenant's hostile MLflow and S3 cost the operator, and what runs with ten thousand metrics
each do.

The attacks are those of `tests.hostile`, in a process of their own (`tests.hostile_child`), beside
a healthy tenant.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from sqlalchemy import create_engine, text

from modelyard.adapters.instrument import CallTimer
from modelyard.adapters.mlflow import Credentials, Mlflow
from modelyard.api.run_status import RunStatus
from modelyard.errors import Unavailable
from modelyard.tracked import RunList
from tests.bench.figures import Sample, Samples
from tests.cluster.console import Console
from tests.hostile import hostile
from tests.hostile_child import Meter
from tests.local import limits
from tests.servers import minio, mlflow, postgres

__all__ = ["AGAIN", "ATTACKS", "FIRST", "measure"]

ATTACKS = {
    "braces": "30 MiB of `{}`, from MLflow",
    "most": "as many objects as are parsed, from MLflow",
    "lists": "16 MiB of `[]`, from MLflow",
    "tiny-chunks": "chunks of one byte, from MLflow",
    "big-listing": "a listing of 300 MiB, from S3",
    "attributes": "100,000 attributes, from S3",
}
RUNS, METRICS = 100, 10_000
TRIES = 8
INSERT = """
INSERT INTO latest_metrics (run_uuid, key, value, timestamp, step, is_nan)
SELECT run_uuid, 'metric-' || lpad(number::text, 5, '0'), 0.5, 0, 0, false
FROM runs, generate_series(0, :last) AS number WHERE experiment_id = :experiment
"""
FIRST, AGAIN = f"list {RUNS} runs of {METRICS:,} metrics", "the same again"


def measure(rounds: int, console: Console) -> Samples:
    """Attack, and list the runs, in every round.

    Raises:
        RuntimeError: The attacked process failed.

    """
    samples = Samples()
    for number in range(rounds):
        for name, cost in asyncio.run(_attacked()).items():
            if name in ATTACKS:
                samples.add(ATTACKS[name], cost)
        console.say(f"strangers {number + 1}/{rounds}: attacked")
    with (
        tempfile.TemporaryDirectory(prefix="modelyard-bench-") as name,
        postgres() as database,
        minio(Path(name) / "minio") as store,
    ):
        store.s3().create_bucket(Bucket="artifacts")
        with mlflow(Path(name), database, "s3://artifacts", store) as url:
            experiment = asyncio.run(_logged(url, database))
            for number in range(rounds):
                asyncio.run(_listed(url, experiment, samples))
                console.say(f"strangers {number + 1}/{rounds}: listed")
    return samples


async def _attacked() -> dict[str, dict[str, float]]:
    async with hostile() as server:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.hostile_child",
            server.url,
            stdout=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        output, _ = await child.communicate()
    if child.returncode:
        raise RuntimeError(f"the attacked process ended with {child.returncode}")
    costs: dict[str, dict[str, float]] = json.loads(output)["costs"]
    return costs


def _client(url: str) -> Mlflow:
    return Mlflow(url, Credentials(), CallTimer("MLflow", lambda *_: None), limits=limits())


async def _logged(url: str, database: str) -> str:
    """Make the runs; return their experiment. The metrics go into MLflow's table: its API would
    take minutes for so many metrics.
    """
    client = _client(url)
    experiment = await client.create_experiment("many metrics", "s3://artifacts/many", {})
    for number in range(RUNS):
        await client.finish_run(
            await client.create_run(experiment, f"r{number}", {}), RunStatus.FINISHED
        )
    await client.close()
    with create_engine(database).begin() as connection:
        connection.execute(text(INSERT), {"experiment": int(experiment), "last": METRICS - 1})
    return experiment


async def _asked(client: Mlflow, experiment: str) -> RunList:
    """Ask until MLflow answers in time, as reconciles do: each one that it does not answer asks
    for half as many runs a page.
    """
    for _ in range(TRIES):
        with suppress(Unavailable):
            return await client.newest_runs(
                experiment, deleted=None, limit=1000, metric="metric-00000"
            )
    return await client.newest_runs(experiment, deleted=None, limit=1000, metric="metric-00000")


async def _listed(url: str, experiment: str, samples: Samples) -> None:
    """List them as a reconcile does, twice: the second time knows how many go into a page."""
    client = _client(url)
    for title in (FIRST, AGAIN):
        async with Meter() as meter:
            found = await _asked(client, experiment)
        cost: Sample = {
            "grown": meter.grown,
            "seconds": meter.seconds,
            "lag": meter.lag,
            "runs": len(found.runs),
        }
        samples.add(title, cost)
    await client.close()
