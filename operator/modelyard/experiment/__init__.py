"""Experiment, the kind. It imports no other kind."""

from collections.abc import Iterable

from modelyard.api.experiment import Experiment
from modelyard.controller import Controller, Relation
from modelyard.experiment.decide import decide, release, settled, trouble
from modelyard.experiment.observe import observe
from modelyard.plan import Manifest
from modelyard.ports import Cluster

__all__ = ["controller"]


def _experiment_of_finished_run(run: Manifest, _cluster: Cluster) -> Iterable[str]:
    """A run that ended changes the counts and perhaps the best run."""
    if (run.get("status") or {}).get("completionTime"):
        yield run["spec"]["experiment"]


def controller() -> Controller:
    """Return the kind as the engine runs it."""
    return Controller(
        resource=Experiment,
        observe=observe,
        decide=decide,
        release=release,
        trouble=trouble,
        settled=settled,
        relations=(Relation("trainingruns", _experiment_of_finished_run),),
    )
