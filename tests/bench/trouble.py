"""Bars B7 and B10: the cost of one tenant's failures for the others, and the recovery after an
outage of the API server.

An operator that exits while the API server is down is restarted like a pod. The same processes and
Experiments as in `reconcile`. A tenant fails because connections to its MLflow and S3 are refused,
or because they are never answered.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp

from tests.bench.build import Programs
from tests.bench.crowd import NAMESPACES, Api, Crowd
from tests.bench.figures import Sample, Samples
from tests.bench.reconcile import Bench, Options, prepared, secret
from tests.bench.subjects import EXPERIMENT, Running, Subject, run, subjects
from tests.cluster.apiserver import ApiServer, kill
from tests.cluster.console import Console
from tests.engine.rig import until
from tests.servers import free_port

__all__ = ["AWAY", "REFUSED", "SILENT", "measure"]

AWAY = 10.0
"""Seconds without an API server (B10)."""
REFUSED, SILENT = "bench-refused", "bench-silent"
"""The namespaces of the tenants that fail."""
OTHERS = tuple(NAMESPACES[:9])
CHANGED = 500
AT_WORK = 20
"""A tenant without answers counts as failing after the first failure of this many of its objects:
each takes seconds.
"""


async def measure(options: Options, programs: Programs, console: Console) -> Samples:
    """Measure both bars, in turns.

    Args:
        options: `objects` are the others that do well; five times as many fail, or are idle while
            the API server is away.
        programs: To compare with, and the stand-in.
        console: Told of every figure.

    Raises:
        Failed: The API server does not start.
        RuntimeError: A subject does not do what it should.

    """
    samples = Samples()
    async with AsyncExitStack() as stack:
        bench = await stack.enter_async_context(prepared(options, programs, console))
        stack.callback(kill, bench.server)  # the last one started has no parent that ends it
        nobody = await stack.enter_async_context(silent())
        for namespace, url in ((REFUSED, f"http://127.0.0.1:{free_port()}"), (SILENT, nobody)):
            await bench.client.ask("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
            await bench.client.ask("POST", f"/api/v1/namespaces/{namespace}/secrets", secret(url))
        for number in range(options.rounds):
            for subject in subjects(programs):
                if subject.name == EXPERIMENT:
                    for title, sample in (await beside_failures(bench, subject)).items():
                        samples.add(title, sample)
                        console.say(
                            f"trouble {number + 1}/{options.rounds}: {title or 'all work'}: p99"
                            f" {sample['p99']:.0f} ms"
                        )
                back = await after_absence(bench, subject)
                samples.add(subject.name, back)
                console.say(
                    f"trouble {number + 1}/{options.rounds}: {subject.name}: all right"
                    f" {back['back']:.1f} s after the API server is back"
                )
    return samples


async def beside_failures(bench: Bench, subject: Subject) -> dict[str, Sample]:
    """B7: one change at a time among idle objects of others: without failures, and with each kind
    of failure.
    """
    others = Crowd(bench.client, bench.options.objects, OTHERS)
    await bench.outside.forget()
    await others.make()
    found: dict[str, Sample] = {}
    try:
        async with (
            others.watched() as watcher,
            run(subject, bench.server.kubeconfig, bench.folder) as process,
        ):
            await watcher.until(
                lambda: len(watcher.done) >= len(others.keys),
                "every object is reconciled",
                bench.options.patience,
            )
            found[""] = await bench.changes(process, others, watcher)
            for namespace in (REFUSED, SILENT):
                failing = Crowd(bench.client, 5 * bench.options.objects, (namespace,))
                enough = len(failing.keys) if namespace == REFUSED else AT_WORK
                await failing.make()

                def failed(failing: Crowd = failing, enough: int = enough) -> bool:
                    return sum(watcher.events[key] > 1 for key in failing.keys) >= enough

                await watcher.until(
                    failed, f"{enough} objects of {namespace} have failed", bench.options.patience
                )
                found[namespace] = await bench.changes(process, others, watcher)
                await failing.remove()
            await process.stop()
    finally:
        await others.remove()
    return found


async def after_absence(bench: Bench, subject: Subject) -> Sample:
    """B10: the API server is killed while all is idle, restarts, and this many objects are changed
    at once.
    """
    crowd = Crowd(bench.client, 5 * bench.options.objects)
    await bench.outside.forget()
    await crowd.make()
    try:
        async with kept(bench, subject) as process:
            async with crowd.watched() as first:
                await first.until(
                    lambda: len(first.done) >= len(crowd.keys),
                    "every object is reconciled",
                    bench.options.patience,
                )
            await process.until_calm()
            begun = await absent(bench.server, bench.client)
            async with crowd.watched(again=True) as watcher:
                changed: set[tuple[tuple[str, str], int]] = set()

                async def change(key: tuple[str, str]) -> None:
                    changed.add((key, await crowd.change(key)))

                await bench.client.all(change(key) for key in crowd.keys[:CHANGED])
                await watcher.until(
                    lambda: changed <= watcher.settled.keys(),
                    "every change is answered",
                    bench.options.patience,
                )
                return {"back": max(watcher.settled[each] for each in changed) - begun}
    finally:
        await crowd.remove()


@asynccontextmanager
async def kept(bench: Bench, subject: Subject) -> AsyncIterator[Running]:
    """Run a subject for the duration of a block, and restart it when it ends, as the kubelet does:
    at once, then after 10 s, then after 20 s.
    """
    async with AsyncExitStack() as stack:

        async def start() -> Running:
            return await stack.enter_async_context(
                run(subject, bench.server.kubeconfig, bench.folder)
            )

        async def keep(process: Running) -> None:
            for pause in (0.0, 10.0, 20.0):
                await asyncio.to_thread(process.process.wait)
                await asyncio.sleep(pause)  # not for a condition: the kubelet waits so long
                process = await start()

        first = await start()
        keeper = asyncio.create_task(keep(first))
        try:
            yield first
        finally:
            keeper.cancel()


async def absent(server: ApiServer, client: Api) -> float:
    """Kill the API server and start it again after a while; return when it was ready, on the
    monotonic clock.
    """
    command = kill(server)
    await asyncio.sleep(AWAY)  # not for a condition: this is how long it is down
    with (server.folder / "again.log").open("ab") as log:
        subprocess.Popen(  # noqa: ASYNC220 - it outlives this call; `kill` finds it
            command, cwd=server.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )

    async def ready() -> bool:
        try:
            async with client.session.get("/readyz") as answer:
                return answer.status == 200
        except (OSError, aiohttp.ClientError):
            return False

    await until(ready, "the API server is back", 60)
    return time.monotonic()


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """Yield an address that accepts connections and never answers, for the duration of a block."""
    over = asyncio.Event()

    async def listen(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    try:
        yield "http://{}:{}".format(*server.sockets[0].getsockname())
    finally:
        over.set()
        server.close()
