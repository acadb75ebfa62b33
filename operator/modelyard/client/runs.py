"""TrainingRuns: started here, submitted to the cluster, listed, deleted, brought back.

What a run that trains here logs does not belong here (`local`).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from modelyard.api.training_run import TrainingRun
from modelyard.client.handles import Handle, Listing
from modelyard.client.kube import Kube
from modelyard.client.local import LocalRun

__all__ = ["RunHandle", "Runs"]


class RunHandle(Handle[TrainingRun]):
    """A TrainingRun as it was read."""

    RESOURCE = TrainingRun

    @property
    def ended(self) -> bool:
        """It trains no more, well or not."""
        return self.object.status.completion_time is not None

    @property
    def metrics(self) -> dict[str, float]:
        """The newest values of its metrics."""
        return {each.name: float(each.value) for each in self.object.status.metrics}

    def logs(self, *, follow: bool = False, tail: int | None = None) -> Iterator[str]:
        """Go through what its newest pod wrote.

        Args:
            follow: Go on until the run has ended, over the pods of all attempts to come; wait for the first pod.
            tail: Only so many of the last lines.

        Raises:
            NotFound: It has no pod: not yet, or no more (ttlSecondsAfterFinished); `status.failure.log` keeps the last lines of a failure.

        """
        raise NotImplementedError


class Runs:
    """The TrainingRuns of a namespace."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube

    @contextmanager
    def start(
        self,
        experiment: str,
        name: str | None = None,
        *,
        parameters: Mapping[str, Any] | None = None,
        register: tuple[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        deletion_policy: str = "Retain",
        seconds: float = 60,
    ) -> Iterator[LocalRun]:
        """Record a training that happens here, for the length of a block. It is closed on any exit; `local` says how.

            with client.runs.start("fraud", parameters={"max_depth": 6}) as run:
                model = fit(...)
                run.log_metrics({"accuracy": 0.94})
                run.log_model(model, input_example=X.head())

        Makes a TrainingRun of the trainer `external`; the operator makes its MLflow run, to which plain `mlflow.log_...` calls go too
        inside of the block.

        Args:
            experiment: The Experiment that it belongs to.
            name: The run's name; `<experiment>-<5 random characters>` if absent.
            parameters: Hyper-parameters: in the spec, and in MLflow.
            register: (model, version) that the model is registered as, when the block ends well.
            labels: Labels of the TrainingRun.
            deletion_policy: Retain, or Delete: the MLflow run goes with the object.
            seconds: How long to wait for the operator to make the MLflow run.

        Raises:
            Missing: MLflow is not installed.
            Failed: The operator cannot make the run: its reason.
            TimedOut: The operator does not make it.

        """
        raise NotImplementedError
        yield

    def submit(
        self,
        experiment: str,
        name: str | None = None,
        *,
        task: str | None = None,
        script: str | Path | None = None,
        image: str | None = None,
        command: tuple[str, ...] = (),
        args: tuple[str, ...] = (),
        parameters: Mapping[str, Any] | None = None,
        dataset: Mapping[str, Any] | None = None,
        register: tuple[str, str] | None = None,
        requests: Mapping[str, str] | None = None,
        limits: Mapping[str, str] | None = None,
        spec: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> RunHandle:
        """Train in the cluster. Returns at once; `.wait()` waits, `.logs(follow=True)` reads along.

        Args:
            experiment: The Experiment that it belongs to.
            name: The run's name; `<experiment>-<5 random characters>` if absent.
            task: classification or regression: the tabular trainer. The default, if neither script nor image is given: classification.
            script: A Python file of this machine: it goes into a ConfigMap, which goes with the run. Or `<ConfigMap>/<key>` of one that
                is there already.
            image: An image that trains.
            command: The image's entry point.
            args: The image's arguments.
            parameters: Hyper-parameters.
            dataset: `{"name": ..., "uri": ..., "digest": ..., "target": ...}`.
            register: (model, version) that the model is registered as.
            requests: Resources that it is given at least: `{"cpu": "2", "memory": "4Gi"}`.
            limits: Resources that it gets at most.
            spec: Further fields of the TrainingRun's spec, as the API has them: `{"backoffLimit": 2}`.
            labels: Labels of the TrainingRun, such as Kueue's queue name.

        Raises:
            Refused: It breaks a rule, or the name is taken.

        """
        raise NotImplementedError

    def get(self, name: str) -> RunHandle:
        """Return one.

        Raises:
            NotFound: There is none of that name.

        """
        return RunHandle(self._kube, self._kube.get("TrainingRun", name))

    def list(
        self, max_results: int = 100, filter: str = "", *, experiment: str = "", all_namespaces: bool = False, labels: str = ""
    ) -> Listing[RunHandle]:
        """Return the newest runs first.

        Args:
            max_results: At most so many.
            filter: Comparisons, all of which hold: `metrics.accuracy > 0.9 and parameters.max_depth = 6 and reason != Failed`. On
                the left: name, namespace, experiment, reason, attempt, ready, running, failed, flavor, metrics.<name>,
                parameters.<name>, labels.<key>. Between: = != > >= < <= ~ (contains). Text with spaces in quotes.
            experiment: Only of this Experiment.
            all_namespaces: Of every namespace.
            labels: A label selector.

        Raises:
            ValueError: The filter cannot be read; the message shows where.

        """
        raise NotImplementedError

    def delete(self, name: str, *, wait: float = 0) -> None:
        """Delete one; with deletionPolicy Delete its MLflow run is soft-deleted, unless a model version came from it."""
        self._kube.delete("TrainingRun", name, wait=wait)

    def restore(self, name: str) -> str:
        """Bring back the MLflow run of a TrainingRun, which was soft-deleted with it, by retention or by hand; return its run id.

        The record in MLflow is restored, not the TrainingRun: what was deleted from the cluster stays so. An object that is still there
        says so again by itself.

        Raises:
            NotFound: MLflow has no such run, or has purged it.

        """
        raise NotImplementedError

    def suspend(self, name: str) -> RunHandle:
        """End its pod; nothing runs until `resume`."""
        return RunHandle(self._kube, self._kube.patch("TrainingRun", name, {"spec": {"suspend": True}}))

    def resume(self, name: str) -> RunHandle:
        """Let it run again, from the start of its attempt."""
        return RunHandle(self._kube, self._kube.patch("TrainingRun", name, {"spec": {"suspend": False}}))

    def watch(self, name: str = "", *, all_namespaces: bool = False, seconds: float | None = None) -> Iterator[tuple[str, RunHandle]]:
        """Go through what is there and then what happens: (`Added` | `Modified` | `Deleted`, the object). Ends after `seconds`."""
        raise NotImplementedError
