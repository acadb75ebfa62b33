"""`client.experiments`: create, get, list, watch and delete Experiments."""

from collections.abc import Iterator, Mapping
from typing import Any

from modelyard.api.experiment import Experiment, ExperimentSpec, ExperimentStatus
from modelyard.client import text
from modelyard.client.handles import API_VERSION, Handle, Listing, changes, listed
from modelyard.client.kube import Kube

__all__ = ["ExperimentHandle", "Experiments"]


class ExperimentHandle(Handle[Experiment]):
    """An Experiment as it was read. See `Handle` for what all kinds of objects have."""

    RESOURCE = Experiment

    @property
    def spec(self) -> ExperimentSpec:
        """The spec: what is asked for."""
        return self.object.spec

    @property
    def status(self) -> ExperimentStatus:
        """The status: what the operator has observed."""
        return self.object.status

    def row(self) -> dict[str, Any]:
        """Return the row of this experiment in a table."""
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
        """Return the fields that a notebook shows, by title."""
        status = self.object.status
        more = {
            "mlflow": status.mlflow.url if status.mlflow else None,
            "artifacts": status.artifacts.uri if status.artifacts else None,
        }
        row = self.row()
        return {key: row[key] for key in row if key not in {"namespace", "name", "status"}} | more


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
        """Create an Experiment, and wait until the experiment exists in MLflow.

        Args:
            name: Lower case letters, digits and dashes.
            description: Shown in MLflow.
            tags: Tags of the MLflow experiment.
            objective: The metric that decides which run is the best.
            goal: `Maximize` or `Minimize` the objective.
            keep_runs: The age at which a run is soft-deleted, such as `90d`; absent: never.
            keep_best: Number of best runs that are never deleted.
            deletion_policy: `Retain`, or `Delete` to delete the MLflow experiment with the object.
            seconds: How long to wait; 0 returns at once.

        Raises:
            Refused: It exists already, or a value is invalid.
            Failed: The operator cannot continue until a user acts: the namespace has no
                connection, or MLflow has an experiment of this name that is not modelyard's.
            TimedOut: It is not Ready yet.

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
        """Return an experiment.

        Raises:
            NotFound: There is no such experiment.

        """
        return ExperimentHandle(self._kube, self._kube.get("Experiment", name))

    def list(self, *, all_namespaces: bool = False, labels: str = "") -> Listing[ExperimentHandle]:
        """Return all experiments, by namespace and name.

        Args:
            all_namespaces: In every namespace.
            labels: A label selector.

        """
        return listed(ExperimentHandle, self._kube, all_namespaces=all_namespaces, labels=labels)

    def delete(self, name: str, *, wait: float = 0) -> None:
        """Delete an experiment. Its deletionPolicy decides what stays in MLflow.

        Args:
            name: The experiment.
            wait: Seconds to wait until it is deleted; 0 returns at once.

        Raises:
            NotFound: There is no such experiment.
            NotAllowed: With deletionPolicy Delete the user needs the verb `purge`.
            TimedOut: It still exists.

        """
        self._kube.delete("Experiment", name, wait=wait)

    def watch(
        self, name: str = "", *, all_namespaces: bool = False, seconds: float | None = None
    ) -> Iterator[tuple[str, ExperimentHandle]]:
        """Yield the experiments that exist, then each change, as (type, experiment).

        Args:
            name: One experiment; all if absent.
            all_namespaces: In every namespace.
            seconds: When to stop; absent: never.

        Yields:
            The type, `Added`, `Modified` or `Deleted`, and the experiment.

        """
        return changes(
            ExperimentHandle, self._kube, name, all_namespaces=all_namespaces, seconds=seconds
        )
