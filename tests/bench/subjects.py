"""The operators that are measured, as processes."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.bench.build import Programs
from tests.bench.machine import Usage, usage
from tests.cluster.settings import Settings
from tests.servers import free_port

__all__ = ["CONTROLLER_RUNTIME", "ENGINE", "EXPERIMENT", "Running", "Subject", "run", "subjects"]

CONTROLLER_RUNTIME = "controller-runtime, 10 workers (Go)"
ENGINE = "modelyard's engine, one status write"
EXPERIMENT = "modelyard's Experiment, MLflow and S3"

PATIENCE = 120.0
CALM = 0.05
UNREST = 12.0
IDLE = 30.0
STOP = 60.0


@dataclass(frozen=True)
class Subject:
    """One operator.

    Attributes:
        name: As the tables call it.
        command: `{metrics}` stands for the port of its figures.
        environment: Besides the bench's own.
        passes: The counter of its passes, without labels.
        leads: The figure that is 1 while it holds its lease: before that it is calm, and not at
            work.

    """

    name: str
    command: tuple[str, ...]
    passes: str
    leads: str
    environment: Mapping[str, str] = field(default_factory=dict)


def subjects(programs: Programs) -> tuple[Subject, ...]:
    """Return all subjects, the one to compare with first."""
    root = Settings.read().root
    ours = {
        "PYTHONPATH": f"{root / 'operator'}{os.pathsep}{root}",
        "MODELYARD_LOG_FORMAT": "text",
        "MODELYARD_LISTEN_HOST": "127.0.0.1",
        "MODELYARD_LISTEN_HEALTH": "{metrics}",
        "MODELYARD_LISTEN_METRICS": "{metrics}",
        "MODELYARD_CONNECTIONS_ALLOW": "127.0.0.1",
    }
    count = "modelyard_reconciles_total"
    python = (sys.executable, "-m")
    return (
        Subject(
            CONTROLLER_RUNTIME,
            (str(programs.controller), "-metrics", "127.0.0.1:{metrics}"),
            "controller_runtime_reconcile_total",
            "leader_election_master_status",
        ),
        Subject(ENGINE, (*python, "tests.bench.plain_operator"), count, "modelyard_leader", ours),
        Subject(EXPERIMENT, (*python, "modelyard", "run"), count, "modelyard_leader", ours),
    )


@dataclass
class Running:
    """A running subject.

    Attributes:
        begun: When it was started, on the monotonic clock.

    """

    subject: Subject
    process: subprocess.Popen[bytes]
    port: int
    log: Path
    begun: float
    session: aiohttp.ClientSession

    @property
    def usage(self) -> Usage:
        return usage(self.process.pid)

    def check(self) -> None:
        """Raise if it has ended, with its output."""
        if self.process.poll() is not None:
            raise RuntimeError(
                f"{self.subject.name} ended with {self.process.returncode}:\n"
                f"{self.log.read_text()[-3000:]}"
            )

    async def passes(self) -> int:
        """How many objects it has looked at, those included that needed nothing; 0 while it does
        not answer.
        """
        self.check()
        try:
            async with self.session.get(f"http://127.0.0.1:{self.port}/metrics") as answer:
                text = await answer.text()
        except aiohttp.ClientError:
            return 0
        found = re.findall(rf"^{self.subject.passes}{{[^}}]*}} (\S+)$", text, re.MULTILINE)
        return int(sum(map(float, found)))

    async def until_passes(self, count: int) -> float:
        """Wait until it has made this many passes; return when, in seconds since its start. Polling
        takes at most a fifth of the time.
        """
        while True:
            asked = time.monotonic()
            found = await self.passes()
            now = time.monotonic()
            if found >= count:
                return now - self.begun
            if now - self.begun > PATIENCE + count / 50:
                raise RuntimeError(
                    f"{self.subject.name} looked at {found} of {count} objects:\n"
                    f"{self.log.read_text()[-3000:]}"
                )
            await asyncio.sleep(max(0.02, 4 * (now - asked)))

    async def idle(self) -> float:
        """Return what it uses when nothing happens, in parts of a core: over seconds, for the
        system counts CPU in hundredths.
        """
        begun, before = time.monotonic(), self.usage.cpu
        await asyncio.sleep(IDLE)  # not for a condition: this is the time of the measurement
        self.check()
        return (self.usage.cpu - before) / (time.monotonic() - begun)

    async def until_calm(self) -> None:
        """Wait until it is working and uses almost no CPU, or a constant amount.

        Resyncs of many objects are work that never ends, so this does not wait for its end.
        """
        while not await self._at_work():
            self.check()
            if time.monotonic() - self.begun > PATIENCE:
                raise RuntimeError(
                    f"{self.subject.name} does not begin to work:\n{self.log.read_text()[-3000:]}"
                )
            await asyncio.sleep(0.05)
        begun, used = time.monotonic(), 1.0
        while used >= CALM and time.monotonic() - begun < UNREST:
            before = self.usage.cpu
            await asyncio.sleep(1)
            self.check()
            used = self.usage.cpu - before

    async def _at_work(self) -> bool:
        try:
            async with self.session.get(f"http://127.0.0.1:{self.port}/metrics") as answer:
                page = await answer.text()
                return (
                    re.search(
                        rf"^{self.subject.leads}(?:{{[^}}]*}})? 1(?:\.0)?$", page, re.MULTILINE
                    )
                    is not None
                )
        except aiohttp.ClientError:
            return False

    async def stop(self) -> None:
        """End it as Kubernetes does; it must end well."""
        self.check()
        self.process.send_signal(signal.SIGTERM)
        end = time.monotonic() + STOP
        while self.process.poll() is None:
            if time.monotonic() > end:
                raise RuntimeError(
                    f"{self.subject.name} does not end:\n{self.log.read_text()[-3000:]}"
                )
            await asyncio.sleep(0.05)
        if self.process.returncode:
            raise RuntimeError(
                f"{self.subject.name} ended with {self.process.returncode}:\n"
                f"{self.log.read_text()[-3000:]}"
            )


@asynccontextmanager
async def run(
    subject: Subject, kubeconfig: Path, folder: Path, profile: Path | None = None
) -> AsyncIterator[Running]:
    """Run a subject for the length of a block; what is left of it is killed."""
    port = free_port()
    environment = {key: value.format(metrics=port) for key, value in subject.environment.items()}
    words = [word.format(metrics=port) for word in subject.command]
    if profile is not None and words[1] == "-m":
        words[1:1] = [
            "-m",
            "cProfile",
            "-o",
            str(profile / f"{words[2].removeprefix('tests.bench.')}.prof"),
        ]
    log = folder / f"{port}.log"
    with log.open("wb") as output:
        begun = time.monotonic()
        process = subprocess.Popen(  # noqa: ASYNC220 - its usage is asked by its id, and its end by polling
            words,
            stdout=output,
            stderr=output,
            cwd=Settings.read().root,
            env=os.environ | {"KUBECONFIG": str(kubeconfig), **environment},
        )
    async with aiohttp.ClientSession() as session:
        try:
            yield Running(subject, process, port, log, begun, session)
        finally:
            process.kill()
            process.wait()
