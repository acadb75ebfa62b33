"""The Experiment kind. It imports no other kind.

The modules in reading order: `observation` (what was read from S3 and MLflow), `decide` (the next
step), `retention` (which runs are past their retention), `observe` (the only module that does I/O).
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
    """Yield the Experiment of a finished run: its counts and perhaps its best run change."""
    if (run.get("status") or {}).get("completionTime"):
        yield run["spec"]["experiment"]


def controller() -> Controller[Experiment, Observation, ExperimentStatus]:
    """Return the controller that the engine runs."""
    return Controller(
        resource=Experiment,
        observe=observe,
        decide=decide,
        finalize=finalize,
        on_error=on_error,
        in_sync=in_sync,
        relations=(Relation("trainingruns", _experiment_of_finished_run),),
    )
