"""A TrainingRun as it was read."""

from collections.abc import Iterator
from typing import Any

from modelyard.api.training_run import (
    ModelArtifact,
    TrainingRun,
    TrainingRunSpec,
    TrainingRunStatus,
)
from modelyard.client import text
from modelyard.client.errors import NotFound
from modelyard.client.handles import Handle
from modelyard.client.kube import Manifest
from modelyard.kube.names import UID_LABEL

__all__ = ["RunHandle"]

_FEW = 3
"""Metrics of each run that a table shows."""
_TRAINER = "trainer"
"""Name of the container that trains, in a training pod."""


class RunHandle(Handle[TrainingRun]):
    """A TrainingRun as it was read. See `Handle` for what all kinds of objects have."""

    RESOURCE = TrainingRun

    @property
    def spec(self) -> TrainingRunSpec:
        """The spec: what is asked for."""
        return self.object.spec

    @property
    def status(self) -> TrainingRunStatus:
        """The status: what the operator has observed."""
        return self.object.status

    @property
    def ended(self) -> bool:
        """Whether the training has ended, successfully or not."""
        return self.object.status.completion_time is not None

    @property
    def metrics(self) -> dict[str, float]:
        """The latest value of each metric, by name."""
        return {each.name: float(each.value) for each in self.object.status.metrics}

    def progress(self) -> float | None:
        """Return how much of the training is done, 0 to 1; None if that is unknown."""
        if self.ended:
            return 1.0
        return self.object.status.progress.percent / 100 if self.object.status.progress else None

    def row(self) -> dict[str, Any]:
        """Return the row of this run in a table."""
        status = self.object.status
        done = status.progress.percent if status.progress and not self.ended else None
        return {
            "namespace": self.namespace,
            "name": self.name,
            "experiment": self.object.spec.experiment,
            "status": self.badge,
            "done": f"{done}%" if done is not None else None,
            "metrics": text.metrics(self.metrics.items(), _FEW),
            "model": f"{status.registered.model} {status.registered.version}"
            if status.registered
            else None,
            "age": self.age,
        }

    def _omitted(self) -> list[str]:
        omitted = self.object.status.omitted_parameters
        return [f"and {omitted} more in MLflow"] if omitted else []

    def fields(self) -> dict[str, Any]:
        """Return the fields that a notebook shows, by title."""
        status, spec = self.object.status, self.object.spec
        return {
            "experiment": spec.experiment,
            "trainer": next(iter(self.object.trainer_settings()), None),
            "parameters": [
                *(f"{key}={value}" for key, value in self.object.parameters.items()),
                *self._omitted(),
            ],
            "metrics": text.metrics(self.metrics.items()),
            "model": _model(status.model),
            "registered": f"{status.registered.model} {status.registered.version}"
            if status.registered
            else None,
            "mlflow": status.mlflow.url if status.mlflow else None,
            "failure": f"{status.failure.reason}: {status.failure.message}"
            if status.failure
            else None,
            "age": self.age,
        }

    def logs(self, *, follow: bool = False, tail: int | None = None) -> Iterator[str]:
        """Yield the log lines of the run's newest pod.

        Args:
            follow: Wait for the first pod, and follow the pods of all attempts until the run ends.
            tail: Only the last `tail` lines of each pod.

        Raises:
            NotFound: The run has no pod: none has started yet, or all are deleted
                (ttlSecondsAfterFinished). `status.failure.log` keeps the last lines of a failure.

        """
        if not follow:
            pods = self._pods()
            if not pods:
                when = "any more" if self.ended else "yet"
                raise NotFound(
                    f"The TrainingRun {self.namespace}/{self.name} has no pod {when}.",
                    kind="Pod",
                    namespace=self.namespace,
                )
            yield from self._kube.logs(
                pods[-1]["metadata"]["name"], self.namespace, container=_TRAINER, tail=tail
            )
            return
        read = set[str]()
        # The TrainingRun changes when a pod starts and when the run ends: look for pods then.
        for body in self._kube.states("TrainingRun", self.name, self.namespace):
            for pod in self._pods():
                if (name := pod["metadata"]["name"]) not in read and _started(pod):
                    read.add(name)
                    yield from self._kube.logs(
                        name, self.namespace, container=_TRAINER, follow=True, tail=tail
                    )
            if body is None or RunHandle(self._kube, body).ended:
                return

    def _pods(self) -> "list[Manifest]":
        """Return the pods of all attempts that still exist, oldest first."""
        pods = self._kube.list("Pod", self.namespace, labels=f"{UID_LABEL}={self.metadata.uid}")
        return sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")))


def _model(model: ModelArtifact | None) -> str | None:
    return (
        f"{model.flavor} {text.size(model.bytes)} {text.short_digest(model.digest)}"
        if model
        else None
    )


def _started(pod: Manifest) -> bool:
    """Tell whether the pod's trainer has started. Before that it has no log."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    return any(
        each["name"] == _TRAINER and not (each.get("state") or {}).get("waiting")
        for each in statuses
    )
