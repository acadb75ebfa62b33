"""TrainingRuns, their MLflow runs and what is observed of them, for tests of the decisions."""

from typing import Any

from modelyard.api.experiment import ExperimentStatus
from modelyard.api.training_run import TrainingRun
from modelyard.plan import (
    Manifest,
)
from modelyard.ports import TrackedRun
from modelyard.training_run import build
from modelyard.training_run.decide import decider
from modelyard.training_run.observation import Observation
from tests.unit.builders import (
    RUNTIME,
    URL,
    experiment,
    job,
    live,
    pod,
    tracked_run,
)

decide = decider(RUNTIME)
READY = experiment(
    status=ExperimentStatus.model_validate(
        {"mlflow": {"id": "12", "name": "risk/fraud", "url": URL}}
    )
)
OURS = {
    "modelyard.io/uid": "uid-fraud-1",
    "modelyard.io/namespace": "risk",
    "modelyard.io/name": "fraud-1",
}


def attempt(number: int = 1, status: Any = "RUNNING", **more: Any) -> TrackedRun:
    return tracked_run(
        f"r{number}", status, **({"tags": OURS | {"modelyard.io/attempt": str(number)}} | more)
    )


def observed(*children: Manifest, runs: tuple[TrackedRun, ...] = (), **more: Any) -> Observation:
    by_attempt = {int(run.tags["modelyard.io/attempt"]): run for run in runs}
    return Observation(
        **(
            {
                "experiment": READY,
                "registered_model": None,
                "owned": children,
                "runs": by_attempt,
                "tracking_url": URL,
            }
            | more
        )
    )


def training(run: TrainingRun, *pods: Manifest, number: int = 1, **more: Any) -> Observation:
    """Return the world while an attempt's Job is active."""
    there = job(build.job(run, number, f"r{number}", RUNTIME))
    return observed(live(build.config_map(run)), there, *pods, runs=(attempt(number, **more),))


def running(run: TrainingRun, number: int = 1, **status: Any) -> Manifest:
    return pod(build.job(run, number, f"r{number}", RUNTIME), **status)
