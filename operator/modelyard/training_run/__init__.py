"""The TrainingRun kind. It imports no other kind.

The modules in reading order: `observation` (what was read), `view` (the newest attempt and its
observation), `decide` (dispatches to the modules below), `start` (before an attempt), `attempt`
(while it runs), `failed` (after it failed), `external` (an attempt that trains outside of the
cluster), `finished` (after the last attempt), `interrupted` (a pod that was terminated from
outside), `pods` (the state of a Job and its pods), `report` (the status), `build` (the Job and its
ConfigMap), `jobs` (which owned Jobs count), `observe` (the only module that does I/O).

State lives in MLflow: the current attempt is the newest MLflow run with the TrainingRun's uid, and
an attempt is over when its run is closed. Everything else is read from the Job until the
TrainingRun finishes.
"""

from collections.abc import Iterable

from modelyard.api.training_run import TrainingRun, TrainingRunStatus
from modelyard.controller import Controller, Relation
from modelyard.kube.pods import Runtime
from modelyard.plan import Manifest
from modelyard.ports import Cluster
from modelyard.training_run.decide import decider, finalize, in_sync, on_error
from modelyard.training_run.observation import Observation
from modelyard.training_run.observe import observe

__all__ = ["controller"]


def _waiting_runs(experiment: Manifest, cluster: Cluster) -> Iterable[str]:
    """Yield the runs of an Experiment that have no MLflow run yet."""
    meta = experiment["metadata"]
    for run in cluster.select(TrainingRun.PLURAL, meta["namespace"]):
        started = (run.get("status") or {}).get("mlflow")
        if run["spec"].get("experiment") == meta["name"] and not started:
            yield run["metadata"]["name"]


def _runs_to_register(model: Manifest, cluster: Cluster) -> Iterable[str]:
    """Yield the finished runs that are not registered with this RegisteredModel yet."""
    meta = model["metadata"]
    for run in cluster.select(TrainingRun.PLURAL, meta["namespace"]):
        status = run.get("status") or {}
        ours = (run["spec"].get("register") or {}).get("model") == meta["name"]
        if ours and status.get("completionTime") and not status.get("registered"):
            yield run["metadata"]["name"]


def controller(runtime: Runtime) -> Controller[TrainingRun, Observation, TrainingRunStatus]:
    """Return the controller that the engine runs.

    It caches no reads between reconciles (`reads_valid_for`): the end of a run is recorded only
    once, so it has to be read after the Job has ended.
    """
    return Controller(
        resource=TrainingRun,
        observe=observe,
        decide=decider(runtime),
        finalize=finalize,
        on_error=on_error,
        in_sync=in_sync,
        relations=(
            Relation("experiments", _waiting_runs),
            Relation("registeredmodels", _runs_to_register),
        ),
    )
