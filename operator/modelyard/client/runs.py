"""TrainingRuns: started here, submitted to the cluster, listed, deleted, brought back.

What a run that trains here logs does not belong here (`local`).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelyard.api.training_run import (
    ModelArtifact,
    TrainingReason,
    TrainingRun,
    TrainingRunSpec,
    TrainingRunStatus,
)
from modelyard.client import filters, text
from modelyard.client.errors import NotFound
from modelyard.client.handles import Handle, Listing, changes
from modelyard.client.kube import Kube, Manifest
from modelyard.client.kube.reach import Reach
from modelyard.client.rest import Mlflow
from modelyard.client.restoring import restored
from modelyard.client.training import TrainingOptions, created, training_run
from modelyard.kube.names import UID_LABEL

if TYPE_CHECKING:
    from modelyard.client.local import LocalRun

__all__ = ["RunHandle", "Runs"]

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_FEW = 3
"""Metrics that a table shows of each run."""
_TRAINER = "trainer"
"""The container of a training pod that trains."""


class RunHandle(Handle[TrainingRun]):
    """A TrainingRun as it was read."""

    RESOURCE = TrainingRun

    @property
    def spec(self) -> TrainingRunSpec:
        """What is asked for."""
        return self.object.spec

    @property
    def status(self) -> TrainingRunStatus:
        """What is so."""
        return self.object.status

    @property
    def ended(self) -> bool:
        """It trains no more, well or not."""
        return self.object.status.completion_time is not None

    @property
    def metrics(self) -> dict[str, float]:
        """The newest values of its metrics."""
        return {each.name: float(each.value) for each in self.object.status.metrics}

    def progress(self) -> float | None:
        """Return how far it is, 0 to 1; None: nobody knows."""
        if self.ended:
            return 1.0
        return self.object.status.progress.percent / 100 if self.object.status.progress else None

    def row(self) -> dict[str, Any]:
        """Return its line in a table."""
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
        """Return what is to be known of it."""
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
        """Go through what its newest pod wrote.

        Args:
            follow: Go on until the run has ended, over the pods of all attempts to come; wait for
                the first pod.
            tail: Only so many of the last lines.

        Raises:
            NotFound: It has no pod: not yet, or no more (ttlSecondsAfterFinished);
                `status.failure.log` keeps the last lines of a failure.

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
        # The object's changes say when to look: it changes when its pod starts, and when it has
        # ended.
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
        """The pods of all attempts that are still there, oldest first."""
        pods = self._kube.list("Pod", self.namespace, labels=f"{UID_LABEL}={self.metadata.uid}")
        return sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")))


def _model(model: ModelArtifact | None) -> str | None:
    return (
        f"{model.flavor} {text.size(model.bytes)} {text.short_digest(model.digest)}"
        if model
        else None
    )


def _started(pod: Manifest) -> bool:
    """Its trainer runs or ran: before that there is nothing to read."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    return any(
        each["name"] == _TRAINER and not (each.get("state") or {}).get("waiting")
        for each in statuses
    )


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
        """Record a training that happens here, for the length of a block. It is closed on any exit;
        `local` says how.

            with client.runs.start("fraud", parameters={"max_depth": 6}) as run:
                model = fit(...)
                run.log_metrics({"accuracy": 0.94})
                run.log_model(model, input_example=X.head())

        Makes a TrainingRun of the trainer `external`; the operator makes its MLflow run, to which
        plain `mlflow.log_...` calls go too inside of the block.

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
        from modelyard.client import local  # noqa: PLC0415 - not before it is asked for (decision 0010)

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
        """Train in the cluster. Returns at once; `.wait()` waits, `.logs(follow=True)` reads along.

        Args:
            experiment: The Experiment that it belongs to.
            name: The run's name; `<experiment>-<5 random characters>` if absent.
            task: classification or regression: the tabular trainer. The default, if neither script
                nor image is given: classification.
            script: A Python file of this machine, which goes into a ConfigMap that is deleted with
                the run; or `<ConfigMap>[/<key>]` of one that exists.
            image: An image that trains.
            command: The image's entry point.
            args: The image's arguments.
            parameters: Hyper-parameters.
            dataset: `{"name": ..., "uri": ..., "digest": ..., "target": ...}`.
            register: (model, version) that the model is registered as.
            requests: Resources that it is given at least: `{"cpu": "2", "memory": "4Gi"}`.
            limits: Resources that it gets at most.
            spec: Further fields of the TrainingRun's spec, as the API has them: `{"backoffLimit":
                2}`.
            labels: Labels of the TrainingRun, such as Kueue's queue name.

        Raises:
            Refused: It breaks a rule, or the name is taken.
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
        """Return one.

        Raises:
            NotFound: There is none of that name.

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
        """Return the newest runs first.

        Args:
            max_results: At most so many; None: all.
            filter: Comparisons, all of which hold: `metrics.accuracy > 0.9 and parameters.max_depth
                = 6 and reason != Failed`. On the left: name, namespace, experiment, reason,
                attempt, ready, running, failed, flavor, metrics.<name>, parameters.<name>,
                labels.<key>. Between: = != > >= < <= ~ (contains). Text with spaces in quotes.
            experiment: Only of this Experiment.
            all_namespaces: Of every namespace.
            labels: A label selector.

        Raises:
            ValueError: The filter cannot be read; the message shows where.

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
            and filters.matches(comparisons, partial(_looked_up, run))
        ]
        kept.sort(
            key=lambda run: (run.metadata.creation_timestamp or _LONG_AGO, run.name), reverse=True
        )
        return Listing(kept[:max_results])

    def delete(self, name: str, *, wait: float = 0) -> None:
        """Delete one; with deletionPolicy Delete its MLflow run is soft-deleted, unless a model
        version came from it.
        """
        self._kube.delete("TrainingRun", name, wait=wait)

    def restore(self, name: str) -> str:
        """Bring back the MLflow runs of a TrainingRun, which were soft-deleted with it, by
        retention or by hand; return the newest's id.

        What is restored is the record in MLflow: metrics, parameters, artifacts. The TrainingRun
        itself, once deleted, stays so; of several of that name the last one counts. Where the
        Experiment's retention took the run, it takes it again at its next look: make
        `spec.retention` longer first. A run whose Experiment was deleted from MLflow comes back
        with that: apply it again.

        Raises:
            NotFound: MLflow has no such run that is deleted, or has purged it.
            NotAllowed: The user may not read the Secret modelyard-connection.

        """
        namespace = self._kube.namespace
        connection = self._reach.connection(namespace)
        return restored(
            Mlflow(self._reach.url(connection["MLFLOW_TRACKING_URI"]), connection), namespace, name
        )

    def suspend(self, name: str) -> RunHandle:
        """End its pod; nothing runs until `resume`."""
        return RunHandle(
            self._kube, self._kube.patch("TrainingRun", name, {"spec": {"suspend": True}})
        )

    def resume(self, name: str) -> RunHandle:
        """Let it run again, from the start of its attempt."""
        return RunHandle(
            self._kube, self._kube.patch("TrainingRun", name, {"spec": {"suspend": False}})
        )

    def watch(
        self, name: str = "", *, all_namespaces: bool = False, seconds: float | None = None
    ) -> Iterator[tuple[str, RunHandle]]:
        """Go through what is there and then what happens: (`Added` | `Modified` | `Deleted`, the
        object). Ends after `seconds`.
        """
        return changes(RunHandle, self._kube, name, all_namespaces=all_namespaces, seconds=seconds)


def _recorded(run: RunHandle) -> RunHandle | None:
    """It has its MLflow run."""
    return run if run.object.status.mlflow is not None else None


def _looked_up(run: RunHandle, name: str) -> Any:
    """Return what a name of a filter stands for."""
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
            f"a filter knows no {name}: there are {', '.join(simple)}, metrics.<name>,"
            " parameters.<name>, labels.<key>"
        )
    return simple[name]
