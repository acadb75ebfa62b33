"""How long a build takes, said before it begins. Building does not belong here."""

from __future__ import annotations

from dataclasses import dataclass

from tests.cluster.steps import HEAVY_AT_ONCE, Step

__all__ = ["SECONDS", "Forecast"]

# How long the slow steps take on two cores with another one beside them: their shares of a build
# from nothing, which takes a quarter of an hour there.
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
    """The steps that have to be done, each after those that it needs."""

    steps: tuple[Step, ...]

    @property
    def seconds(self) -> float:
        """The time on two cores: all work side by side, but never less than its longest chain."""
        chains: dict[str, float] = {}
        for step in self.steps:
            before = max((chains.get(name, 0.0) for name in step.after), default=0.0)
            chains[step.name] = before + expected(step)
        work = sum(expected(step) for step in self.steps)
        return max([work / HEAVY_AT_ONCE, *chains.values()])

    def words(self, seconds: float) -> str:
        """One line for people.

        Args:
            seconds: how long everything takes, with what is no step.
        """
        slowest = sorted(self.steps, key=expected, reverse=True)[:NAMED]
        named = ", ".join(f"{step.name} ({duration(expected(step))})" for step in slowest)
        return (
            f"{len(self.steps)} steps to build first: about {duration(seconds)} on two cores. "
            f"The slowest: {named}. What is built is kept and not built again."
        )


def expected(step: Step) -> float:
    """The seconds that a step takes."""
    return SECONDS.get(step.name, OTHERS)


def duration(seconds: float) -> str:
    """A time to go by: minutes, or seconds below one and a half of them."""
    return f"{round(seconds / 60)} min" if seconds >= 90 else f"{round(seconds)} s"
