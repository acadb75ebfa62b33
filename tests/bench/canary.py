"""A rollout in steps on kind: from the patch to the candidate's first answer, from one pause to the
next, and from the abort to the last answer of the candidate; and what is lost on the way.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

from tests.bench.figures import Samples
from tests.bench.rollout import MODEL, RATE, SECONDS, STAGE, VERSIONS, Probe, namespace, probing
from tests.cluster.console import Console
from tests.demo import install
from tests.demo.load import steady_load
from tests.e2e.tenant import SERVING, TABLE, Tenant

__all__ = ["OURS", "measure"]

OURS = "modelyard, a canary"
_STEPS: list[dict[str, Any]] = [{"weight": 50}, {"pause": {}}, {"weight": 80}, {"pause": {}}]
_QUIET = 2.0
"""Seconds without an answer of the candidate after which the one before was the last."""


def measure(rounds: int, console: Console) -> Samples:
    """Measure rollouts that are given up at their second pause.

    Raises:
        Failed: The cluster, the chart or a training did not become ready.

    """
    kube = install.cluster(console)
    console.say("canary: installing the chart")
    install.install(kube)
    install.wait_ready(kube)
    samples = Samples()
    with ExitStack() as stack:
        there = stack.enter_context(namespace(kube))
        console.say("canary: training two versions")
        there.experiment()
        rollout = {"strategy": "Canary", "steps": _STEPS}
        there.apply(
            "RegisteredModel",
            MODEL,
            {"stages": {STAGE: {"version": "v1", "serving": SERVING, "rollout": rollout}}},
        )
        for version, spec in VERSIONS.items():
            there.run(version, register={"model": MODEL, "version": version}, **spec)
        for version in VERSIONS:
            there.ready("TrainingRun", version, seconds=300)
        there.serves("v1", model=MODEL, seconds=SECONDS)
        url = f"http://{MODEL}-{STAGE}.{there.name}/v1/models/{MODEL}:predict"
        probe = stack.enter_context(probing(kube, there.name, url, "probe-canary"))
        for number in range(rounds):
            with steady_load(
                kube, install.RUNTIME, there.name, url, {"instances": TABLE}, RATE
            ) as load:
                sample = _round(there, probe, number)
                result = load.end()
            samples.add(OURS, sample | {"lost": float(result.lost), "sent": float(result.sent)})
            console.say(
                f"canary {number + 1}/{rounds}: first answer {sample['first']:.2f} s after the"
                f" patch, a step {sample['step']:.2f} s, given up in {sample['abort']:.2f} s;"
                f" {result.lost} of {result.sent} requests lost"
            )
    return samples


def _round(there: Tenant, probe: Probe, number: int) -> dict[str, float]:
    """Begin a rollout, pass a pause, give it up."""
    begun = time.time()
    there.promote("v2", model=MODEL)
    first = probe.first("v2", begun) - begun
    _paused(there, 1)
    begun = time.time()
    there.patch(
        "mlmodel", MODEL, {"spec": {"stages": {STAGE: {"rollout": {"resumed": number + 1}}}}}
    )
    step = _paused(there, 3) - begun
    begun = time.time()
    there.promote("v1", model=MODEL)
    abort = _last(probe, begun) - begun
    there.serves("v1", model=MODEL)
    return {"first": first, "step": step, "abort": abort}


def _paused(there: Tenant, index: int) -> float:
    """Return when the rollout was seen at a pause."""

    def look() -> float | None:
        stage = there.stage(MODEL)
        is_there = (stage.get("rollout") or {}).get("index") == index and (
            stage.get("blocked") or {}
        ).get("reason") == "RolloutPaused"
        return time.time() if is_there else None

    found: float = there.kube.wait(
        f"the rollout is at step {index}", look, SECONDS, there.explain_all
    )
    return found


def _last(probe: Probe, after: float) -> float:
    """Return when the candidate's last answer was over; `after` if it has given none since."""

    def look() -> float | None:
        seen = probe.seen()
        ends = [
            later["at"]
            for each, later in pairwise(seen)
            if each["version"] == "v2" and later["at"] > after
        ]
        last = max(ends, default=after)
        is_over = bool(seen) and seen[-1]["version"] == "v1" and time.time() - last > _QUIET
        return last if is_over else None

    found: float = probe.wait(look, 30)
    return found
