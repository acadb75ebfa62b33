"""A process that `tests.hostile` attacks at the given address; it reports what the attacks cost.

    python -m tests.hostile_child http://127.0.0.1:1234

Prints JSON: `outcomes` by attack, `grew` (MiB of the peak above that of the process without an
attack), `answered` (calls of a healthy tenant that ended while an attack was under way), `costs` by
attack, see `Meter`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Self

from modelyard.adapters.instrument import CallTimer
from modelyard.adapters.mlflow import Credentials, Mlflow
from modelyard.adapters.offload import Pool
from modelyard.adapters.s3 import S3, Deadlines
from modelyard.adapters.s3_client import Clients, Keys
from modelyard.api.artifacts import Reach
from modelyard.errors import ModelyardError
from tests.local import limits

TREE = "s3://bucket/risk/m/"


class Meter:
    """Measurements of this process during a block: `grown` (MiB), `seconds`, `lag` (seconds for
    which the event loop was blocked).
    """

    def __init__(self) -> None:
        self.lag = 0.0
        self.peak = 0.0

    async def __aenter__(self) -> Self:
        self._before, self._begun = _peak(anew=True), time.monotonic()
        self._watch = asyncio.create_task(self._watched())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._begun
        self._watch.cancel()
        self.peak = _peak()
        self.grown = self.peak - self._before

    async def _watched(self) -> None:
        while True:
            begun = time.monotonic()
            await asyncio.sleep(0.005)
            self.lag = max(self.lag, time.monotonic() - begun - 0.005)


def _peak(*, anew: bool = False) -> float:
    """Return the peak of memory so far, in MiB; `anew`: reset it first, so that it is the present
    use.
    """
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


async def _attacked(url: str) -> dict[str, object]:
    shared = limits()
    clients = Clients(limits=shared)
    opened: list[Mlflow | S3] = []

    def mlflow(how: str) -> Mlflow:
        made = Mlflow(
            f"{url}/{how}", Credentials(), CallTimer("MLflow", lambda *_: None), limits=shared
        )
        opened.append(made)
        return made

    def s3(how: str) -> S3:
        keys, reach, timer = (
            Keys(f"{url}/{how}", "a", "b"),
            Reach("bucket", "risk"),
            CallTimer("S3", lambda *_: None),
        )
        made = S3(
            keys,
            reach,
            timer,
            clients=clients,
            pool=Pool("S3", 4),
            bulk=Pool("S3", 4),
            deadlines=Deadlines(10, 10, 10),
        )
        opened.append(made)
        return made

    attacks: dict[str, Callable[[], Awaitable[object]]] = {
        "braces": lambda: mlflow("braces").runs("1"),
        "lists": lambda: mlflow("lists").runs("1"),
        "most": lambda: mlflow("most").runs("1"),
        "endless": lambda: mlflow("endless").run("r"),
        "bomb": lambda: mlflow("bomb").run("r"),
        "headers": lambda: mlflow("headers").run("r"),
        "nested": lambda: mlflow("nested").run("r"),
        "big-listing": lambda: s3("big-listing").objects(TREE),
        "tags-listing": lambda: s3("tags-listing").objects(TREE),
        "tiny-chunks": lambda: mlflow("tiny-chunks").run("r"),
        "attributes": lambda: s3("attributes").objects(TREE),
        "endless-object": lambda: s3("endless-object").digest(TREE),
    }
    healthy, store = mlflow("start-nan"), s3("no-length")
    await asyncio.gather(healthy.run("r"), store.read("s3://bucket/risk/m/a", 3))
    before, answered = _peak(), 0
    peak, outcomes, costs = before, dict[str, str](), dict[str, dict[str, float]]()
    for name, attack in attacks.items():
        slowest = 0.0
        async with Meter() as meter:
            attacking = asyncio.ensure_future(attack())
            while True:
                begun = time.monotonic()
                await healthy.run("r")
                slowest = max(slowest, time.monotonic() - begun)
                if attacking.done():
                    break
                answered += 1
        try:
            await attacking
        except ModelyardError as error:
            outcomes[name] = type(error).__name__
        else:
            outcomes[name] = "nothing was wrong"
        peak = max(peak, meter.peak)
        costs[name] = {
            "grown": meter.grown,
            "seconds": meter.seconds,
            "lag": meter.lag,
            "healthy": slowest,
        }
    await asyncio.gather(*(each.close() for each in opened))
    return {
        "outcomes": outcomes,
        "grew": round(peak - before),
        "answered": answered,
        "costs": costs,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_attacked(sys.argv[1]))))
