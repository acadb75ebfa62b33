"""The input of decisions about the newest attempt, as one frozen value. Pure."""

from dataclasses import dataclass
from datetime import datetime

from modelyard.api.training_run import TrainingRun
from modelyard.kube.pods import Runtime
from modelyard.ports import TrackedRun
from modelyard.training_run.observation import Observation

__all__ = ["AttemptView"]


@dataclass(frozen=True)
class AttemptView:
    """The newest attempt of a TrainingRun.

    Attributes:
        run: The TrainingRun.
        observation: What was observed.
        tracked: The attempt's MLflow run.
        runtime: The runtime of this operator.
        now: The time of the round.

    """

    run: TrainingRun
    observation: Observation
    tracked: TrackedRun
    runtime: Runtime
    now: datetime

    @property
    def attempt(self) -> int:
        """The number of the attempt, from 1."""
        return self.observation.attempt
