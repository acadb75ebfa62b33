"""TrainingRun, the kind. It imports no other kind.

In reading order: `observation` (what is known), `view` (the newest
attempt with it), `decide` (which of the modules below decides),
`start` (before an attempt), `attempt` (while it runs), `failed` (after it failed), `external`
(an attempt that runs outside of the cluster), `ended` (after the last attempt), `interrupted` (a
pod that was ended from outside), `outcome` (what a Job and its pods say), `report` (the status),
`build` (the Job), `observe` (the only module that does I/O).

Memory: the attempt that counts is the newest MLflow run, and an attempt is over when its run is
closed. Until the TrainingRun ends, everything else is read off the Job.
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


def _runs_that_wait(experiment: Manifest, cluster: Cluster) -> Iterable[str]:
    """Runs of this Experiment that have no MLflow run yet."""
    meta = experiment["metadata"]
    for run in cluster.select(TrainingRun.PLURAL, meta["namespace"]):
        started = (run.get("status") or {}).get("mlflow")
        if run["spec"].get("experiment") == meta["name"] and not started:
            yield run["metadata"]["name"]


def _runs_to_register(model: Manifest, cluster: Cluster) -> Iterable[str]:
    """Runs that have ended and are not registered with this RegisteredModel yet."""
    meta = model["metadata"]
    for run in cluster.select(TrainingRun.PLURAL, meta["namespace"]):
        status = run.get("status") or {}
        ours = (run["spec"].get("register") or {}).get("model") == meta["name"]
        if ours and status.get("completionTime") and not status.get("registered"):
            yield run["metadata"]["name"]


def controller(runtime: Runtime) -> Controller[TrainingRun, Observation, TrainingRunStatus]:
    """Return the kind as the engine runs it.

    It keeps no reads between reconciles (`reads_last`): how a run ended is recorded once, so it
    is read after its Job has ended.
    """
    return Controller(
        resource=TrainingRun,
        observe=observe,
        decide=decider(runtime),
        finalize=finalize,
        on_error=on_error,
        in_sync=in_sync,
        relations=(
            Relation("experiments", _runs_that_wait),
            Relation("registeredmodels", _runs_to_register),
        ),
    )
