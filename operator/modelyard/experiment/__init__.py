"""Experiment, the kind. It imports no other kind.

In reading order: `observation` (what is known of S3 and MLflow), `decide` (what to do next),
`retention` (which runs are past their retention), `observe` (the only module that does I/O).
"""

from collections.abc import Iterable

from modelyard.api.experiment import Experiment, ExperimentStatus
from modelyard.controller import Controller, Relation
from modelyard.experiment.decide import decide, finalize, in_sync, on_error
from modelyard.experiment.observation import Observation
from modelyard.experiment.observe import observe
from modelyard.plan import Manifest
from modelyard.ports import Cluster

__all__ = ["controller"]


def _experiment_of_finished_run(run: Manifest, _cluster: Cluster) -> Iterable[str]:
    """A run that has ended changes the counts, and perhaps the best run."""
    if (run.get("status") or {}).get("completionTime"):
        yield run["spec"]["experiment"]


def controller() -> Controller[Experiment, Observation, ExperimentStatus]:
    """Return the kind as the engine runs it."""
    return Controller(
        resource=Experiment,
        observe=observe,
        decide=decide,
        finalize=finalize,
        on_error=on_error,
        in_sync=in_sync,
        relations=(Relation("trainingruns", _experiment_of_finished_run),),
    )
