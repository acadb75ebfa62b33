"""Experiments: made, listed, looked at, deleted."""

from collections.abc import Iterator, Mapping
from typing import Any

from modelyard.api.experiment import Experiment, ExperimentSpec, ExperimentStatus
from modelyard.client import text
from modelyard.client.handles import API_VERSION, Handle, Listing, changes, listed
from modelyard.client.kube import Kube

__all__ = ["ExperimentHandle", "Experiments"]


class ExperimentHandle(Handle[Experiment]):
    """An Experiment as it was read."""

    RESOURCE = Experiment

    @property
    def spec(self) -> ExperimentSpec:
        """What is asked for."""
        return self.object.spec

    @property
    def status(self) -> ExperimentStatus:
        """What is so."""
        return self.object.status

    def row(self) -> dict[str, Any]:
        """Return its line in a table."""
        status = self.object.status
        runs, best = status.runs, status.best_run
        return {
            "namespace": self.namespace,
            "name": self.name,
            "status": self.badge,
            "running": runs.running if runs else None,
            "finished": runs.finished if runs else None,
            "failed": runs.failed if runs else None,
            "best": f"{best.metric} {text.number(best.value)} ({best.training_run or best.run_id})"
            if best
            else None,
            "size": text.size(status.artifacts.bytes if status.artifacts else None),
            "age": self.age,
        }

    def fields(self) -> dict[str, Any]:
        """Return what is to be known of it."""
        status = self.object.status
        more = {
            "mlflow": status.mlflow.url if status.mlflow else None,
            "artifacts": status.artifacts.uri if status.artifacts else None,
        }
        return {
            **{
                key: value
                for key, value in self.row().items()
                if key not in {"namespace", "name", "status"}
            },
            **more,
        }


class Experiments:
    """The Experiments of a namespace."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube

    def create(
        self,
        name: str,
        *,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        objective: str | None = None,
        goal: str = "Maximize",
        keep_runs: str | None = None,
        keep_best: int = 0,
        deletion_policy: str = "Retain",
        seconds: float = 120,
    ) -> ExperimentHandle:
        """Create an Experiment, and wait until MLflow has it.

        Args:
            name: Lower case letters, digits and dashes.
            description: Shown in MLflow.
            tags: Tags of the MLflow experiment.
            objective: The metric that names the best run.
            goal: Maximize or Minimize.
            keep_runs: The age at which a run is soft-deleted, such as `90d`; never if absent.
            keep_best: How many of the best runs are kept whatever their age.
            deletion_policy: Retain, or Delete: the MLflow experiment goes with the object.
            seconds: How long to wait; 0: not at all.

        Raises:
            Refused: It exists already, or breaks a rule.
            Failed: It is stalled: no connection, or the name is somebody else's in MLflow.

        """
        spec: dict[str, Any] = {
            "description": description,
            "tags": dict(tags or {}),
            "deletionPolicy": deletion_policy,
        }
        if objective is not None:
            spec["objective"] = {"metric": objective, "goal": goal}
        if keep_runs is not None:
            spec["retention"] = {"runs": keep_runs, "keepBest": keep_best}
        body = {
            "apiVersion": API_VERSION,
            "kind": "Experiment",
            "metadata": {"name": name},
            "spec": spec,
        }
        made = ExperimentHandle(self._kube, self._kube.create(body))
        return made.wait(seconds) if seconds else made

    def get(self, name: str) -> ExperimentHandle:
        """Return one.

        Raises:
            NotFound: There is none of that name.

        """
        return ExperimentHandle(self._kube, self._kube.get("Experiment", name))

    def list(self, *, all_namespaces: bool = False, labels: str = "") -> Listing[ExperimentHandle]:
        """Return all, by namespace and name.

        Args:
            all_namespaces: Of every namespace.
            labels: A label selector.

        """
        return listed(ExperimentHandle, self._kube, all_namespaces=all_namespaces, labels=labels)

    def delete(self, name: str, *, wait: float = 0) -> None:
        """Delete one; see `Handle.delete`."""
        self._kube.delete("Experiment", name, wait=wait)

    def watch(
        self, name: str = "", *, all_namespaces: bool = False, seconds: float | None = None
    ) -> Iterator[tuple[str, ExperimentHandle]]:
        """Go through what is there and then what happens: (`Added` | `Modified` | `Deleted`, the
        object). Ends after `seconds`.
        """
        return changes(
            ExperimentHandle, self._kube, name, all_namespaces=all_namespaces, seconds=seconds
        )
