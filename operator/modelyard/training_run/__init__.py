"""TrainingRun, the kind. It imports no other kind."""

from collections.abc import Iterable

from modelyard.api.training_run import TrainingRun
from modelyard.controller import Controller, Relation
from modelyard.kube.pods import Runtime
from modelyard.plan import Manifest
from modelyard.ports import Cluster
from modelyard.training_run.decide import decider, release, settled, trouble
from modelyard.training_run.observe import observe

__all__ = ["controller"]


def _runs_that_wait(experiment: Manifest, cluster: Cluster) -> Iterable[str]:
    """Runs of this experiment that have no MLflow run yet."""
    meta = experiment["metadata"]
    for run in cluster.select("trainingruns", meta["namespace"]):
        if run["spec"].get("experiment") == meta["name"] and not (run.get("status") or {}).get("mlflow"):
            yield run["metadata"]["name"]


def _runs_to_register(model: Manifest, cluster: Cluster) -> Iterable[str]:
    """Runs that register with this model and are not through with it."""
    meta = model["metadata"]
    for run in cluster.select("trainingruns", meta["namespace"]):
        status = run.get("status") or {}
        ours = (run["spec"].get("register") or {}).get("model") == meta["name"]
        if ours and status.get("completionTime") and not status.get("registered"):
            yield run["metadata"]["name"]


def controller(runtime: Runtime) -> Controller:
    """Return the kind as the engine runs it."""
    return Controller(
        resource=TrainingRun,
        observe=observe,
        decide=decider(runtime),
        release=release,
        trouble=trouble,
        settled=settled,
        relations=(Relation("experiments", _runs_that_wait), Relation("registeredmodels", _runs_to_register)),
    )
