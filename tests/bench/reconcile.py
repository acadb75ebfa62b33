"""Bars B1 to B5: start, change, restart and memory of operators that reconcile the same Experiments
on the same API server.

etcd and kube-apiserver run as processes, one pair for the whole measurement; one subject runs at a
time, and the subjects take turns.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.bench.build import Programs
from tests.bench.crowd import Api, Crowd, Watcher, api
from tests.bench.figures import Samples, percentile
from tests.bench.subjects import Running, Subject, run, subjects
from tests.cluster.apiserver import ApiServer, running
from tests.cluster.console import Console
from tests.servers import free_port

__all__ = ["CHANGES", "Options", "measure"]

Requests = Counter[tuple[str, str]]

CHANGES = 300
READS = ("GET", "LIST", "WATCH")
# Requests of a subject that do not depend on the objects.
HOUSEKEEPING = ("leases", "events", "endpoints")  # the last is the API server's own


@dataclass(frozen=True)
class Options:
    """The size of a measurement.

    Attributes:
        objects: Experiments.
        rounds: Runs of each subject.
        profile: Where profiles of our operators go; None for none. The times of a
            profiled run are invalid.

    """

    objects: int
    rounds: int
    profile: Path | None = None

    @property
    def patience(self) -> float:
        """Return the seconds after which a run has failed."""
        return 60 + self.objects / 20


class Outside:
    """The stand-in for MLflow and S3, with its requests."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url, self._session = url, session

    async def asked(self) -> Counter[str]:
        """Return its requests since the last call."""
        async with self._session.get(f"{self.url}/-/asked") as answer:
            return Counter(json.loads(await answer.read()))

    async def forget(self) -> None:
        """Drop its experiments: the next objects with their names are new ones."""
        async with self._session.post(f"{self.url}/-/forget") as answer:
            assert answer.status == 200


@asynccontextmanager
async def outside(program: Path) -> AsyncIterator[Outside]:
    """Run the stand-in for the duration of a block."""
    address = f"127.0.0.1:{free_port()}"
    process = await asyncio.create_subprocess_exec(
        program, "-address", address, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        await asyncio.wait_for(process.stdout.readline(), 30)
        async with aiohttp.ClientSession() as session:
            yield Outside(f"http://{address}", session)
    finally:
        process.kill()
        await process.wait()


class Bench:
    """One API server, one stand-in, and the subjects' turns."""

    def __init__(
        self,
        options: Options,
        console: Console,
        server: ApiServer,
        client: Api,
        outside: Outside,
        folder: Path,
    ) -> None:
        self.options, self.console, self.server, self.client, self.outside, self.folder = (
            options,
            console,
            server,
            client,
            outside,
            folder,
        )
        self.empty: dict[str, tuple[float, int]] = {}

    async def start_empty(self, subject: Subject) -> None:
        """Return a subject's usage without objects: the least of a few starts."""
        for _ in range(2):
            async with run(subject, self.server.kubeconfig, self.folder) as process:
                await process.until_calm()
                used, (cpu, resident) = process.usage, self.empty.get(subject.name, (1e9, 1 << 60))
                self.empty[subject.name] = (min(cpu, used.cpu), min(resident, used.resident))
                await process.stop()

    async def turn(self, subject: Subject) -> dict[str, float]:
        """Run one subject over new objects, and restart it."""
        crowd = Crowd(self.client, self.options.objects)
        await self.outside.forget()
        await crowd.make()
        try:
            async with crowd.watched() as watcher:
                before = await self.client.requests()
                async with run(
                    subject, self.server.kubeconfig, self.folder, self.options.profile
                ) as process:
                    sample = await self.first_start(process, crowd, watcher, before)
                    sample |= await self.changes(process, crowd, watcher)
                    await process.until_calm()
                    sample |= self.memory(process)
                    await process.stop()
            changed = crowd.keys[0]
            generation = await crowd.change(changed)
            sample |= await self.restart(subject, crowd, changed, generation)
        finally:
            await crowd.remove()
        return sample

    async def first_start(
        self, process: Running, crowd: Crowd, watcher: Watcher, before: Requests
    ) -> dict[str, float]:
        """B1 and B3: from the start of the process to the last object's status."""
        count = len(crowd.keys)
        await watcher.until(
            lambda: len(watcher.done) >= count, "every object is reconciled", self.options.patience
        )
        process.check()
        cpu = process.usage.cpu - self.empty[process.subject.name][0]
        made = await self.client.requests() - before
        times = sorted(watcher.settled.values())
        return {
            "first": times[0] - process.begun,
            "all": times[-1] - process.begun,
            "work": times[-1] - times[0],
            "cpu": cpu / count * 1000,
            "requests": self.writes(made) / count,
            "asked": sum((await self.outside.asked()).values()) / count,
            **told("made", made),
        }

    async def changes(self, process: Running, crowd: Crowd, watcher: Watcher) -> dict[str, float]:
        """B2: one change at a time among objects that are idle."""
        await process.until_calm()
        await self.outside.asked()
        seen, reaction = [], []
        dice = random.Random(1)
        for _ in range(CHANGES):
            key = dice.choice(crowd.keys)
            begun = time.monotonic()
            what = key, await crowd.change(key)
            await watcher.until(
                lambda what=what: what in watcher.settled, "a change is answered", 30
            )
            seen.append((watcher.settled[what] - begun) * 1000)
            reaction.append((watcher.settled[what] - watcher.changed[what]) * 1000)
            pause = begun + 0.01 + 0.02 * dice.random()
            while time.monotonic() < pause:  # noqa: ASYNC110 - a pause, so that one change is over before the next
                await asyncio.sleep(0.005)
        asked = await self.outside.asked()
        return {
            "p50": percentile(seen, 0.5),
            "p99": percentile(seen, 0.99),
            "reaction p50": percentile(reaction, 0.5),
            "reaction p99": percentile(reaction, 0.99),
            "asked a change": sum(asked.values()) / CHANGES,
        }

    def memory(self, process: Running) -> dict[str, float]:
        """B5: resident memory when all objects are idle."""
        resident = process.usage.resident
        return {
            "resident": resident / 1e6,
            "bytes": (resident - self.empty[process.subject.name][1]) / self.options.objects / 1000,
        }

    async def restart(
        self, subject: Subject, crowd: Crowd, changed: tuple[str, str], generation: int
    ) -> dict[str, float]:
        """B4: one object was changed while no operator ran; all others are unchanged."""
        await self.outside.asked()
        async with crowd.watched() as watcher:
            before = await self.client.requests()
            async with run(subject, self.server.kubeconfig, self.folder) as process:
                # At least this often: the changed one is reconciled again when its own status
                # arrives.
                checked = await process.until_passes(len(crowd.keys))
                await watcher.until(
                    lambda: (changed, generation) in watcher.settled, "the change is seen", 60
                )
                await process.until_calm()
                made, asked = await self.client.requests() - before, await self.outside.asked()
                resident = process.usage.resident
                # Measured here, because a first start posts ten events a second: for a hundred
                # seconds after the work.
                idle = 100 * await process.idle()
                await process.stop()
            written = sum(count for key, count in watcher.events.items() if key != changed)
        return {
            "restart first": watcher.settled[changed, generation] - process.begun,
            "restart all": checked,
            "restart writes": written,
            "restart requests": self.writes(made),
            "restart asked": sum(asked.values()),
            "restart resident": resident / 1e6,
            "idle": idle,
            **told("restart made", made),
        }

    @staticmethod
    def writes(made: Requests) -> int:
        """Return writes of all kinds, without those that do not depend on the objects."""
        return sum(
            count
            for (verb, what), count in made.items()
            if verb not in READS and what not in HOUSEKEEPING
        )


def told(what: str, made: Requests) -> dict[str, float]:
    """Return the writes one by one, to explain their sum."""
    return {
        f"{what} {verb} {resource}": float(count)
        for (verb, resource), count in made.items()
        if verb not in READS
    }


def connection(url: str) -> dict[str, str]:
    """Return keys, which the stand-in does not check."""
    return {
        "MLFLOW_TRACKING_URI": url,
        "MLFLOW_S3_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "MODELYARD_BUCKET": "bench",
    }


def secret(url: str) -> dict[str, object]:
    """A tenant's connection, as a Secret."""
    data = {
        key: base64.b64encode(value.encode()).decode() for key, value in connection(url).items()
    }
    return {"metadata": {"name": "modelyard-connection"}, "data": data}


@asynccontextmanager
async def prepared(options: Options, programs: Programs, console: Console) -> AsyncIterator[Bench]:
    """Run an API server with our kinds and tenants, and the stand-in, for the duration of a block.

    Raises:
        Failed: The API server does not start.

    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modelyard-bench-")))
        server = stack.enter_context(running())
        client = await stack.enter_async_context(api(server))
        stand_in = await stack.enter_async_context(outside(programs.outside))
        await client.prepare(lambda _: secret(stand_in.url))
        yield Bench(options, console, server, client, stand_in, folder)


async def measure(options: Options, programs: Programs, console: Console) -> Samples:
    """Measure all subjects.

    Raises:
        Failed: The API server does not start.
        RuntimeError: A subject does not do what it should.

    """
    samples = Samples()
    async with prepared(options, programs, console) as bench:
        everyone = subjects(programs)
        for subject in everyone:
            await bench.start_empty(subject)
            cpu, resident = bench.empty[subject.name]
            console.say(
                f"reconcile: {subject.name}: {cpu:.1f} s of CPU and {resident / 1e6:.0f} MB with"
                " nothing to do"
            )
        for number in range(options.rounds):
            # Turns in changing order: after a heavy subject the API server is warmer or busier.
            for subject in everyone[number % len(everyone) :] + everyone[: number % len(everyone)]:
                sample = await bench.turn(subject)
                sample["empty"] = bench.empty[subject.name][1] / 1e6
                samples.add(subject.name, sample)
                console.say(
                    f"reconcile {number + 1}/{options.rounds}: {subject.name}: all"
                    f" {options.objects} in {sample['all']:.1f} s, a change in {sample['p50']:.1f}"
                    f" ms (p99 {sample['p99']:.0f}), after a restart the first in"
                    f" {sample['restart first']:.1f} s and all in {sample['restart all']:.1f} s,"
                    f" {sample['resident']:.0f} MB"
                )
    ordered = Samples()
    for subject in everyone:
        ordered.by_subject[subject.name] = samples.by_subject[subject.name]
    return ordered
