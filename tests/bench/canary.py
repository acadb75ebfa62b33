"""A rollout in steps on kind, compared with Argo Rollouts on the same pods: from the patch to the
candidate's first answer, from one pause to the next, and from the abort to the candidate's last
answer; and lost requests.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from itertools import pairwise
from typing import Any, Protocol

from tests.bench import argo
from tests.bench.figures import Samples
from tests.bench.rollout import (
    MODEL,
    RATE,
    SECONDS,
    STAGE,
    Bench,
    Probe,
    namespace,
    prepared,
    probing,
    promotion,
)
from tests.cluster.console import Console
from tests.cluster.settings import Settings
from tests.demo import install
from tests.demo.load import steady_load
from tests.e2e.tenant import TABLE

__all__ = ["ARGO", "OURS", "measure"]

ARGO = argo.ARGO
OURS = "modelyard, a canary"
_QUIET = 2.0
"""After this many seconds without an answer of the candidate, the previous one was its last."""
_POLL = 0.02
_RESOURCE = f"apis/modelyard.io/v1alpha1/namespaces/{{}}/registeredmodels/{MODEL}"


class Subject(Protocol):
    """One controller's rollout, from one pod of v1 to an additional one of v2."""

    name: str
    service: str

    def begin(self) -> None: ...
    def is_paused(self, index: int) -> bool: ...
    def resume(self, number: int) -> None: ...
    def abort(self) -> None: ...
    def settled(self) -> None: ...


class Ours:
    """A stage of a RegisteredModel with steps."""

    name = OURS
    service = f"{MODEL}-{STAGE}"

    def __init__(self, bench: Bench, steps: list[dict[str, Any]]) -> None:
        self._bench = bench
        rollout = {"strategy": "Canary", "steps": steps}
        bench.patch(_RESOURCE, {"spec": {"stages": {STAGE: {"rollout": rollout}}}})

    def begin(self) -> None:
        self._bench.patch(_RESOURCE, promotion("v2"))

    def is_paused(self, index: int) -> bool:
        status = self._bench.read(_RESOURCE).get("status") or {}
        stage = (status.get("stages") or {}).get(STAGE) or {}
        reason = (stage.get("blocked") or {}).get("reason")
        return (stage.get("rollout") or {}).get("index") == index and reason == "RolloutPaused"

    def resume(self, number: int) -> None:
        patch = {"spec": {"stages": {STAGE: {"rollout": {"resumed": number + 1}}}}}
        self._bench.patch(_RESOURCE, patch)

    def abort(self) -> None:
        self._bench.patch(_RESOURCE, promotion("v1"))

    def settled(self) -> None:
        self._bench.there.serves("v1", model=MODEL)


def measure(rounds: int, console: Console, settings: Settings) -> Samples:
    """Measure rollouts that are aborted at their second pause, in turns.

    Raises:
        Failed: The cluster, the chart or a training did not become ready, or Argo Rollouts cannot
            be built.

    """
    kube = install.cluster(console)
    console.say("canary: installing the chart")
    install.install(kube)
    install.wait_ready(kube)
    samples = Samples()
    with ExitStack() as stack:
        stack.enter_context(argo.controlling(kube, settings, console))
        bench = prepared(kube, stack.enter_context(namespace(kube)), console)
        ours = Ours(bench, _steps("weight"))
        theirs = argo.Rollout(bench, _steps("setWeight"))
        theirs.create()
        subjects: list[Subject] = [ours, theirs]
        probes = {
            each.name: stack.enter_context(
                probing(kube, bench.there.name, _url(bench, each), f"probe-{each.service}")
            )
            for each in subjects
        }
        for number in range(rounds):
            for each in subjects[:: 1 if number % 2 == 0 else -1]:
                samples.add(each.name, _loaded(bench, each, probes[each.name], number, console))
    return samples


def _steps(weight: str) -> list[dict[str, Any]]:
    return [{weight: 50}, {"pause": {}}, {weight: 80}, {"pause": {}}]


def _url(bench: Bench, subject: Subject) -> str:
    return f"http://{subject.service}.{bench.there.name}/v1/models/{MODEL}:predict"


def _loaded(
    bench: Bench, subject: Subject, probe: Probe, number: int, console: Console
) -> dict[str, float]:
    """One round under a steady load."""
    url = _url(bench, subject)
    with steady_load(
        bench.kube, install.RUNTIME, bench.there.name, url, {"instances": TABLE}, RATE
    ) as load:
        sample = _round(subject, probe, number)
        result = load.end()
    console.say(
        f"canary {number + 1}: {subject.name}: first answer {sample['first']:.2f} s after the"
        f" patch, a step {sample['step']:.2f} s, given up in {sample['abort']:.2f} s;"
        f" {result.lost} of {result.sent} requests lost"
    )
    return sample | {"lost": float(result.lost), "sent": float(result.sent)}


def _round(subject: Subject, probe: Probe, number: int) -> dict[str, float]:
    """Begin a rollout, pass a pause, abort it."""
    begun = time.time()
    subject.begin()
    first = probe.first("v2", begun) - begun
    _paused(subject, 1)
    begun = time.time()
    subject.resume(number)
    step = _paused(subject, 3) - begun
    begun = time.time()
    subject.abort()
    abort = _last(probe, begun) - begun
    subject.settled()
    return {"first": first, "step": step, "abort": abort}


def _paused(subject: Subject, index: int) -> float:
    """Return when the rollout was seen at the pause of that index, a time of day in seconds."""
    end = time.monotonic() + SECONDS
    while not subject.is_paused(index):
        if time.monotonic() > end:
            raise RuntimeError(f"{subject.name} has not reached step {index} in {SECONDS} s")
        time.sleep(_POLL)
    return time.time()


def _last(probe: Probe, after: float) -> float:
    """Return when the candidate's last answer was complete; `after` if there was none since."""

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

    return probe.wait(look, 30)
