"""The cost of oversized requests for a model server that may map 1 GiB: memory, time, and its
health meanwhile.
"""

from __future__ import annotations

import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from tests.bench.figures import Samples
from tests.cluster.console import Console
from tests.runtime.hostile import HOSTILE, Hostile
from tests.runtime.programs import Server, mlflow_side, serving

__all__ = ["measure"]

GIB = 1 << 30


def measure(rounds: int, console: Console) -> Samples:
    """Send every request to a server of its model.

    Raises:
        RuntimeError: One of them gets an unexpected answer.

    """
    samples = Samples()
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as name:
        folder = Path(name)
        console.say("hostile: training the models")
        mlflow_side(folder, "models", name)
        for number in range(rounds):
            with ExitStack() as stack:
                up: dict[str, Server] = {}
                for title, hostile in HOSTILE.items():
                    if hostile.model not in up:
                        most = {"as": GIB if hostile.model == "classifier" else 2 * GIB}
                        allowed = {"MODELYARD_ALLOW_CODE_MODELS": "true"}
                        run = serving(
                            folder / f"{hostile.model}-run-{number}",
                            folder / hostile.model,
                            allowed,
                            limits=most,
                        )
                        up[hostile.model] = stack.enter_context(run)
                    samples.add(title, cost(title, hostile, up[hostile.model]))
            console.say(f"hostile {number + 1}/{rounds}: done")
    return samples


def cost(title: str, hostile: Hostile, server: Server) -> dict[str, float]:
    """Send one request; meanwhile the server is asked whether it is live."""
    slowest, answered = 0.0, threading.Event()

    def probe() -> None:
        nonlocal slowest
        while not answered.wait(0.01):
            begun = time.monotonic()
            server.get("/v2/health/live")
            slowest = max(slowest, time.monotonic() - begun)

    thread = threading.Thread(target=probe)
    with server.growth() as grown:
        thread.start()
        begun = time.monotonic()
        try:
            answer = hostile.ask(server)
            seconds = time.monotonic() - begun
        finally:
            answered.set()
            thread.join()
    if answer.status != hostile.status:
        raise RuntimeError(f"{title}: {answer.status} {answer.text[:300]}")
    return {"grown": grown[0] / (1 << 20), "seconds": seconds, "live": slowest}
