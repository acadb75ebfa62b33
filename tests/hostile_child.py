"""A process that is attacked by `tests.hostile` at the address that it is given; it says what that cost.

    python -m tests.hostile_child http://127.0.0.1:1234

Prints JSON: `outcomes` by attack, `grew` (MiB of the peak above what the process needs when it has done nothing but be attacked by
nobody), `answered` (calls of a healthy tenant that ended while an attack was under way).
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from collections.abc import Awaitable, Callable

from modelyard.adapters.instrument import Probe
from modelyard.adapters.mlflow import Credentials, Mlflow
from modelyard.adapters.offload import Pool
from modelyard.adapters.s3 import S3, Deadlines
from modelyard.adapters.s3_client import Clients, Keys
from modelyard.api.artifacts import Reach
from modelyard.errors import ModelyardError
from tests.local import limits

TREE = "s3://bucket/risk/m/"


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def _attacked(url: str) -> dict[str, object]:
    shared = limits()
    clients = Clients(limits=shared)
    opened: list[Mlflow | S3] = []

    def mlflow(how: str) -> Mlflow:
        made = Mlflow(f"{url}/{how}", Credentials(), Probe("MLflow", lambda *_: None), limits=shared)
        opened.append(made)
        return made

    def s3(how: str) -> S3:
        keys, reach, probe = (
            Keys(f"{url}/{how}", "a", "b"),
            Reach("bucket", "risk"),
            Probe("S3", lambda *_: None),
        )
        made = S3(
            keys,
            reach,
            probe,
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
        "attributes": lambda: s3("attributes").objects(TREE),
        "endless-object": lambda: s3("endless-object").digest(TREE),
    }
    healthy, store = mlflow("start-nan"), s3("no-length")
    await asyncio.gather(healthy.run("r"), store.read("s3://bucket/risk/m/a", 3))
    before, outcomes, answered = _peak(), {}, 0
    for name, attack in attacks.items():
        attacking = asyncio.ensure_future(attack())
        while True:
            await healthy.run("r")
            if attacking.done():
                break
            answered += 1
        try:
            await attacking
        except ModelyardError as error:
            outcomes[name] = type(error).__name__
        else:
            outcomes[name] = "nothing was wrong"
    await asyncio.gather(*(each.close() for each in opened))
    return {"outcomes": outcomes, "grew": round(_peak() - before), "answered": answered}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_attacked(sys.argv[1]))))
