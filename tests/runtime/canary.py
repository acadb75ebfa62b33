"""A stable server that splits its requests, its rule, and clients that count which version
answered.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from scipy.stats import binom

from tests.harness import until
from tests.runtime.mixture import wire
from tests.runtime.programs import Server, serving
from tests.runtime.test_deadlines import V1
from tests.runtime.test_invocations import ROWS

__all__ = ["CANDIDATE", "PREDICT", "STABLE", "Stable", "ask", "band", "rule", "splitting", "who"]

STABLE, CANDIDATE = ("v3", "1f2e3d4c"), ("v4", "2e3d4c5b")
PREDICT = wire(V1, {"instances": ROWS[:1]})
CHANCE = 1e-6
"""The probability that a test fails by chance, for each binomial band."""


def rule(weight: int, revision: int = 1, **more: Any) -> dict[str, Any]:
    """Return a rule, as the operator writes it."""
    candidate = {
        "candidate": "fraud-production-v4-2e3d4c5b",
        "version": CANDIDATE[0],
        "runtime": CANDIDATE[1],
    }
    return {"revision": revision, **candidate, "weight": weight, "timeoutMs": 5000, **more}


@dataclass
class Stable:
    """A server with a file for its rule."""

    server: Server
    file: Path
    revision: int = 0

    def write(self, text: str) -> None:
        """Replace the file as a whole, as the kubelet does."""
        partial = self.file.with_suffix(".new")
        partial.write_text(text)
        partial.replace(self.file)

    def tell(self, weight: int, **more: Any) -> None:
        """Write a rule, and wait until all workers apply it."""
        self.revision += 1
        self.write(json.dumps(rule(weight, self.revision, **more)))
        until(
            lambda: self.traffic["revision"] == self.revision,
            f"revision {self.revision} is applied",
        )

    @property
    def traffic(self) -> dict[str, Any]:
        return self.server.traffic()

    def arm(self, name: str) -> tuple[int, int, int]:
        """Return requests, failures and refusals of an arm."""
        found = self.traffic
        arm = found[name] if name == "invited" else found["arms"][name]
        assert sum(arm["latency"].values()) == arm["requests"] - arm["failures"] - arm["refusals"]
        return arm["requests"], arm["failures"], arm["refusals"]


@contextmanager
def splitting(
    folder: Path,
    model: Path,
    candidate: int,
    env: dict[str, str] | None = None,
    *,
    first: int | None = None,
    host: str = "127.0.0.1",
    **more: Any,
) -> Iterator[Stable]:
    """Run a stable server whose candidate is on a port of this machine.

    `host`: may contain `{name}`, the candidate's name. `first`: the weight at the start.
    """
    folder.mkdir(parents=True)
    (told := folder / "told").mkdir()
    file = told / "rule.json"
    if first is not None:
        file.write_text(json.dumps(rule(first)))
    options = ("--rule", str(file), "--candidate-address", f"{host}:{candidate}")
    with serving(folder, model, env, more=options, **more) as server:
        yield Stable(server, file, 0 if first is None else 1)


class Told(NamedTuple):
    """One answer."""

    status: int
    version: str
    body: bytes


async def _asked(choose: Callable[[], int], wires: Iterator[bytes], found: list[Told]) -> None:
    """Send requests one after the other on a kept connection, and on a new one when the server
    closes it.
    """
    reader = writer = None
    for each in wires:
        if writer is None:
            reader, writer = await asyncio.open_connection("127.0.0.1", choose())
        assert reader is not None
        writer.write(each)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().strip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:])
        body = await reader.readexactly(int(headers["content-length"]))
        found.append(Told(int(head[0].split()[1]), headers["modelyard-version"], body))
        if headers.get("connection") == "close":
            writer.close()
            writer = None
    if writer is not None:
        writer.close()


def ask(ports: Sequence[int], wires: Sequence[bytes], connections: int = 8) -> list[Told]:
    """Send all requests over several connections, each to one of the ports. A broken connection
    fails the test. The answers have no order.
    """
    found: list[Told] = []

    async def all_of() -> None:
        rest = iter(wires)
        await asyncio.gather(
            *(_asked(lambda: random.choice(ports), rest, found) for _ in range(connections))
        )

    asyncio.run(asyncio.wait_for(all_of(), 240))
    assert len(found) == len(wires)
    return found


def who(found: Sequence[Told]) -> Counter[str]:
    """Return how many requests each version answered; all answers must be successful."""
    assert {each.status for each in found} <= {200}, Counter(found)
    return Counter(each.version for each in found)


def band(count: int, percent: float) -> range:
    """Return the expected range of draws of the candidate."""
    least, most = binom.interval(1 - CHANCE, count, percent / 100)
    return range(int(least), int(most) + 1)
