"""Estimate how long a build takes, before it begins."""

from __future__ import annotations

from dataclasses import dataclass

from tests.cluster.steps import HEAVY_AT_ONCE, Step

__all__ = ["SECONDS", "Forecast"]

# How long the slow steps take on two cores, with another step at the same time: their shares of a
# build without a cache, which takes a quarter of an hour there.
SECONDS: dict[str, float] = {
    "coredns": 125,
    "debian": 65,
    "engine": 20,
    "etcd": 50,
    "helm": 120,
    "image-kube": 15,
    "image-operator": 65,
    "image-runtime": 130,
    "kube": 500,
    "kubeadm": 75,
    "kubectl": 125,
    "local-path-provisioner": 230,
    "minio": 250,
    "node": 15,
    "node-bare": 30,
    "python": 20,
}
OTHERS = 3.0
NAMED = 3


@dataclass(frozen=True)
class Forecast:
    """The steps to run, each after its dependencies."""

    steps: tuple[Step, ...]

    @property
    def seconds(self) -> float:
        """The time on two cores: all work in parallel, but at least the longest chain of steps."""
        chains: dict[str, float] = {}
        for step in self.steps:
            before = max((chains.get(name, 0.0) for name in step.after), default=0.0)
            chains[step.name] = before + expected(step)
        work = sum(expected(step) for step in self.steps)
        return max([work / HEAVY_AT_ONCE, *chains.values()])

    def words(self, seconds: float) -> str:
        """Return the estimate as one line.

        Args:
            seconds: How long everything takes, including work that is not a step.

        """
        slowest = sorted(self.steps, key=expected, reverse=True)[:NAMED]
        named = ", ".join(f"{step.name} ({duration(expected(step))})" for step in slowest)
        return (
            f"{len(self.steps)} steps to build first: about {duration(seconds)} on two cores. "
            f"The slowest: {named}. They are cached for the next time."
        )


def expected(step: Step) -> float:
    """Return how many seconds a step takes."""
    return SECONDS.get(step.name, OTHERS)


def duration(seconds: float) -> str:
    """Return a rough time: in minutes, or in seconds below 90 s."""
    return f"{round(seconds / 60)} min" if seconds >= 90 else f"{round(seconds)} s"
