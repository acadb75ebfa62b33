"""`client.runs`: start, submit, list, suspend, delete and restore TrainingRuns."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelyard.api.training_run import TrainingReason
from modelyard.client import filters
from modelyard.client.handles import Listing, changes
from modelyard.client.kube import Kube
from modelyard.client.kube.reach import Reach
from modelyard.client.rest import Mlflow
from modelyard.client.restoring import restored
from modelyard.client.run_handle import RunHandle
from modelyard.client.training import TrainingOptions, created, training_run

if TYPE_CHECKING:
    from modelyard.client.local import LocalRun

__all__ = ["RunHandle", "Runs"]

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Runs:
    """The TrainingRuns of a namespace."""

    def __init__(self, kube: Kube, reach: Reach) -> None:
        self._kube = kube
        self._reach = reach

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
    ) -> "Iterator[LocalRun]":
        """Record a training in this process for the length of a block.

            with client.runs.start("fraud", parameters={"max_depth": 6}) as run:
                model = fit(...)
                run.log_metrics({"accuracy": 0.94})
                run.log_model(model, input_example=X.head())

        This creates a TrainingRun of the trainer `external`, for which the operator creates an
        MLflow run. Plain `mlflow.log_...` calls inside the block log to that run too. The MLflow
        run is closed on every exit: FINISHED at the block's end, FAILED on an exception, KILLED
        on an interrupt or when the process ends. If the process is killed, the operator closes
        the run after 90 s.

        Args:
            experiment: The Experiment of the run.
            name: The run's name; `<experiment>-<5 random characters>` if absent.
            parameters: Hyper-parameters, for the spec and for MLflow.
            register: (model, version) to register the model as, if the block ends without an
                exception.
            labels: Labels of the TrainingRun.
            deletion_policy: `Retain`, or `Delete` to delete the MLflow run with the object.
            seconds: How long to wait for the operator to create the MLflow run.

        Yields:
            The run, with methods that log parameters, metrics, data and models.

        Raises:
            Missing: MLflow is not installed.
            Refused: Another MLflow run is active in this process; or the name is taken, or a value
                is invalid.
            Failed: The operator cannot create the MLflow run; or, at the block's end, the
                TrainingRun was deleted or has failed meanwhile. `reason` and `message` say why.
            TimedOut: The operator has not created the MLflow run.

        """
        from modelyard.client import local  # noqa: PLC0415 - imported on first use (decision 0010)

        local.check()
        options = TrainingOptions(
            experiment=experiment,
            name=name,
            external=True,
            parameters=parameters or {},
            register=register,
            spec={"deletionPolicy": deletion_policy},
            labels=labels or {},
        )
        made = RunHandle(self._kube, created(self._kube, training_run(options)))
        there = made._until(_recorded, "to get its MLflow run", seconds, None)  # noqa: SLF001 - both are this package's
        assert there.object.status.mlflow is not None
        with local.recording(
            self._kube, self._reach, there.name, there.object.status.mlflow.run_id
        ) as run:
            yield run

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
        """Train in the cluster. Returns at once: call `.wait()` or `.logs(follow=True)` on the run.

        Args:
            experiment: The Experiment of the run.
            name: The run's name; `<experiment>-<5 random characters>` if absent.
            task: `classification` or `regression`, for the tabular trainer. Without a task, script
                and image: `classification`.
            script: A Python file of this machine, which is copied to a ConfigMap that is deleted
                with the run; or `<ConfigMap>[/<key>]`, a ConfigMap that exists.
            image: A container image that trains.
            command: Entry point of the image.
            args: Arguments of the image.
            parameters: Hyper-parameters.
            dataset: `{"name": ..., "uri": ..., "digest": ..., "target": ...}`.
            register: (model, version) to register the model as.
            requests: Resource requests of the pod: `{"cpu": "2", "memory": "4Gi"}`.
            limits: Resource limits of the pod.
            spec: Further fields of the TrainingRun's spec: `{"backoffLimit": 2}`.
            labels: Labels of the TrainingRun, such as Kueue's queue name.

        Raises:
            Refused: A value is invalid, or the name is taken.
            ValueError: Several of task, script and image are given, or the script is no file.

        """
        options = TrainingOptions(
            experiment=experiment,
            name=name,
            task=task,
            script=script,
            image=image,
            command=command,
            args=args,
            parameters=parameters or {},
            dataset=dataset or {},
            register=register,
            requests=requests or {},
            limits=limits or {},
            spec=spec or {},
            labels=labels or {},
        )
        return RunHandle(self._kube, created(self._kube, training_run(options)))

    def get(self, name: str) -> RunHandle:
        """Return a run.

        Raises:
            NotFound: There is no such run.

        """
        return RunHandle(self._kube, self._kube.get("TrainingRun", name))

    def list(
        self,
        max_results: int | None = 100,
        filter: str = "",  # noqa: A002 - as MLflow calls it
        *,
        experiment: str = "",
        all_namespaces: bool = False,
        labels: str = "",
    ) -> Listing[RunHandle]:
        """Return runs, newest first.

        Args:
            max_results: The number of runs to return at most; None for all.
            filter: Comparisons that must all hold, joined by `and`: `metrics.accuracy > 0.9 and
                parameters.max_depth = 6 and reason != Failed`. Left side: name, namespace,
                experiment, reason, attempt, ready, running, failed, flavor, metrics.<name>,
                parameters.<name>, labels.<key>. Operators: = != > >= < <= ~ (contains). Write text
                with spaces in quotes.
            experiment: Only runs of this Experiment.
            all_namespaces: In every namespace.
            labels: A label selector.

        Raises:
            ValueError: The filter has a syntax error; the message shows where.

        """
        comparisons = filters.parse(filter)
        found = [
            RunHandle(self._kube, body)
            for body in self._kube.list("TrainingRun", all_namespaces=all_namespaces, labels=labels)
        ]
        kept = [
            run
            for run in found
            if (not experiment or run.object.spec.experiment == experiment)
            and filters.matches(comparisons, partial(_value_of, run))
        ]
        kept.sort(
            key=lambda run: (run.metadata.creation_timestamp or _LONG_AGO, run.name), reverse=True
        )
        return Listing(kept[:max_results])

    def delete(self, name: str, *, wait: float = 0) -> None:
        """Delete a run.

        With deletionPolicy Delete its MLflow run is soft-deleted too, unless a model version was
        registered from it; `restore` undoes that.

        Args:
            name: The run.
            wait: Seconds to wait until it is deleted; 0 returns at once.

        Raises:
            NotFound: There is no such run.
            NotAllowed: With deletionPolicy Delete the user needs the verb `purge`.
            TimedOut: It still exists.

        """
        self._kube.delete("TrainingRun", name, wait=wait)

    def restore(self, name: str) -> str:
        """Restore the soft-deleted MLflow runs of a TrainingRun, and return the newest one's id.

        This restores the record in MLflow: metrics, parameters, artifacts. It does not create the
        TrainingRun again. If several TrainingRuns had the name, the last one's runs are restored.

        If the Experiment's retention deleted the run, make `spec.retention` longer first, or the
        next check deletes it again. If the Experiment was deleted in MLflow, its runs are restored
        with it: apply the Experiment again.

        Raises:
            NotFound: MLflow has no deleted run of that name, or has purged it.
            NotAllowed: The user may not read the Secret modelyard-connection.
            Failed: The namespace has no connection (reason `ConnectionMissing`).
            Unreachable: MLflow does not answer.

        """
        namespace = self._kube.namespace
        connection = self._reach.connection(namespace)
        return restored(
            Mlflow(self._reach.url(connection["MLFLOW_TRACKING_URI"]), connection), namespace, name
        )

    def suspend(self, name: str) -> RunHandle:
        """Stop a run: its pod is deleted, and none is started until `resume`."""
        return RunHandle(
            self._kube, self._kube.patch("TrainingRun", name, {"spec": {"suspend": True}})
        )

    def resume(self, name: str) -> RunHandle:
        """Continue a suspended run. Its attempt starts from the beginning."""
        return RunHandle(
            self._kube, self._kube.patch("TrainingRun", name, {"spec": {"suspend": False}})
        )

    def watch(
        self, name: str = "", *, all_namespaces: bool = False, seconds: float | None = None
    ) -> Iterator[tuple[str, RunHandle]]:
        """Yield the runs that exist, then each change, as (type, run).

        Args:
            name: One run; all if absent.
            all_namespaces: In every namespace.
            seconds: When to stop; absent: never.

        Yields:
            The type, `Added`, `Modified` or `Deleted`, and the run.

        """
        return changes(RunHandle, self._kube, name, all_namespaces=all_namespaces, seconds=seconds)


def _recorded(run: RunHandle) -> RunHandle | None:
    """Return the run if it has its MLflow run."""
    return run if run.object.status.mlflow is not None else None


def _value_of(run: RunHandle, name: str) -> Any:
    """Return the value of a name in a filter."""
    status = run.object.status
    head, _, rest = name.partition(".")
    if rest and head in {"metrics", "parameters", "params", "labels"}:
        parameters = {**run.object.spec.parameters, **run.object.parameters}
        known: dict[str, Mapping[str, Any]] = {
            "metrics": run.metrics,
            "labels": run.metadata.labels,
        }
        return known.get(head, parameters).get(rest)
    simple: dict[str, Any] = {
        "name": run.name,
        "namespace": run.namespace,
        "experiment": run.object.spec.experiment,
        "reason": run.reason,
        "attempt": status.attempt,
        "ready": run.ready,
        "running": not run.ended and run.reason == TrainingReason.TRAINING,
        "failed": run.ended and not status.is_true("Succeeded"),
        "flavor": status.model.flavor if status.model else None,
    }
    if name not in simple:
        raise ValueError(
            f"a filter has no name {name}. Names: {', '.join(simple)}, metrics.<name>,"
            " parameters.<name>, labels.<key>"
        )
    return simple[name]
