"""Bar B9: the operator's MLflow adapter compared with a bare loop that makes the same calls.

A life has the calls of one Experiment with one run: search, create, search again; create a run, log
its parameters, close it, and list the runs. Many lives run in parallel against one real MLflow on
PostgreSQL. The bare loop handles no errors and only parses JSON.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from modelyard.adapters.instrument import CallTimer
from modelyard.adapters.mlflow import Credentials, Mlflow
from tests.bench.figures import Samples
from tests.cluster.console import Console
from tests.local import limits
from tests.servers import minio, mlflow, postgres

__all__ = ["BARE", "OURS", "measure"]

OURS, BARE = "modelyard's adapter", "a bare loop on aiohttp"
LIVES, SIDE_BY_SIDE, CALLS = 200, 10, 7
TAGS = {"modelyard.io/uid": "5e1f8c1e-0d0a-4a39-9a1c-3f0f0c5b6e7d", "team": "risk"}
PARAMETERS = {f"parameter-{number}": str(number) for number in range(10)}

Life = Callable[[str], Awaitable[None]]


def measure(rounds: int, console: Console) -> Samples:
    """Live both in every round, in turns.

    Raises:
        RuntimeError: A life does not make the calls that it should.

    """
    samples = Samples()
    with (
        tempfile.TemporaryDirectory(prefix="modelyard-bench-") as name,
        postgres() as database,
        minio(Path(name) / "minio") as store,
    ):
        store.s3().create_bucket(Bucket="artifacts")
        with mlflow(Path(name), database, "s3://artifacts", store) as url:
            asyncio.run(_measured(url, rounds, samples, console))
    return samples


async def _measured(url: str, rounds: int, samples: Samples, console: Console) -> None:
    ways = {OURS: adapter, BARE: bare}
    for number in range(-1, rounds):  # the first is not counted: MLflow and its database warm up
        for subject in (OURS, BARE)[:: 1 if number % 2 == 0 else -1]:
            calls: list[object] = []
            async with ways[subject](url, calls) as live:
                wall, cpu = time.monotonic(), time.process_time()
                await _all(live, f"{subject} {number}")
                wall, cpu = time.monotonic() - wall, time.process_time() - cpu
            if len(calls) != LIVES * CALLS:
                raise RuntimeError(
                    f"{subject}: {len(calls)} calls for {LIVES} lives, not {CALLS} each"
                )
            if number >= 0:
                samples.add(subject, {"rate": len(calls) / wall, "cpu": 1000 * cpu / len(calls)})
                console.say(
                    f"tracking {number + 1}/{rounds}: {subject}: {len(calls) / wall:.0f} calls a"
                    " second"
                )


async def _all(live: Life, prefix: str) -> None:
    names = iter([f"{prefix} {number}" for number in range(LIVES)])

    async def worker() -> None:
        for name in names:
            await live(name)

    async with asyncio.TaskGroup() as group:
        for _ in range(SIDE_BY_SIDE):
            group.create_task(worker())


@asynccontextmanager
async def adapter(url: str, calls: list[object]) -> AsyncIterator[Life]:
    """Live by what the operator has."""
    tracking = Mlflow(
        url,
        Credentials(),
        CallTimer("MLflow", lambda *measured: calls.append(measured)),
        limits=limits(),
    )

    async def live(name: str) -> None:
        assert await tracking.experiment(name) is None
        id_ = await tracking.create_experiment(name, f"s3://artifacts/{name}", TAGS)
        found = await tracking.experiment(name)
        assert found is not None
        assert found.tags.items() >= TAGS.items()
        run = await tracking.create_run(id_, "run-1", TAGS)
        await tracking.log_parameters(run, PARAMETERS)
        await tracking.finish_run(run, "FINISHED")
        assert [each.id for each in await tracking.runs(id_, deleted=None)] == [run]

    try:
        yield live
    finally:
        await tracking.close()


@asynccontextmanager
async def bare(url: str, calls: list[object]) -> AsyncIterator[Life]:
    """Live by a session and seven requests."""
    tags = [{"key": key, "value": value} for key, value in TAGS.items()]
    parameters = [{"key": key, "value": value} for key, value in PARAMETERS.items()]
    async with aiohttp.ClientSession(f"{url}/api/2.0/mlflow/") as session:

        async def ask(method: str, path: str, **more: Any) -> Any:
            async with session.request(method, path, **more) as answer:
                calls.append(answer.status)
                return await answer.json()

        async def live(name: str) -> None:
            await ask("GET", "experiments/get-by-name", params={"experiment_name": name})
            made = await ask(
                "POST",
                "experiments/create",
                json={"name": name, "artifact_location": f"s3://artifacts/{name}", "tags": tags},
            )
            id_ = made["experiment_id"]
            await ask("GET", "experiments/get-by-name", params={"experiment_name": name})
            now = int(time.time() * 1000)
            body = {"experiment_id": id_, "run_name": "run-1", "start_time": now, "tags": tags}
            run = (await ask("POST", "runs/create", json=body))["run"]["info"]["run_id"]
            await ask("POST", "runs/log-batch", json={"run_id": run, "params": parameters})
            await ask(
                "POST", "runs/update", json={"run_id": run, "status": "FINISHED", "end_time": now}
            )
            order = ["attributes.start_time DESC"]
            search = {
                "experiment_ids": [id_],
                "filter": "",
                "run_view_type": "ALL",
                "max_results": 200,
                "order_by": order,
            }
            found = (await ask("POST", "runs/search", json=search))["runs"]
            assert [each["info"]["run_id"] for each in found] == [run]

        yield live
