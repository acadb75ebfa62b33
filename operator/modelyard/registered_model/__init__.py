"""RegisteredModel, the kind. It imports no other kind."""

from collections.abc import Iterable

from modelyard.api.registered_model import RegisteredModel
from modelyard.controller import Controller, Relation
from modelyard.kube.pods import Runtime
from modelyard.plan import Manifest
from modelyard.ports import Cluster
from modelyard.registered_model.decide import decider, release, settled, trouble
from modelyard.registered_model.observe import observe

__all__ = ["controller"]


def _models_of_run(run: Manifest, cluster: Cluster) -> Iterable[str]:
    """The model that a run registers with, and those that name it: when the run is new, and when it has ended."""
    meta, status = run["metadata"], run.get("status") or {}
    if status.get("attempt") and not status.get("completionTime"):
        return
    registers = (run["spec"].get("register") or {}).get("model")
    if registers:
        yield registers
    for model in cluster.select("registeredmodels", meta["namespace"]):
        versions = (model["spec"].get("versions") or {}).values()
        if any(version.get("trainingRun") == meta["name"] for version in versions):
            yield model["metadata"]["name"]


def controller(runtime: Runtime) -> Controller:
    """Return the kind as the engine runs it."""
    return Controller(
        resource=RegisteredModel,
        observe=observe,
        decide=decider(runtime),
        release=release,
        trouble=trouble,
        settled=settled,
        relations=(Relation("trainingruns", _models_of_run),),
    )
