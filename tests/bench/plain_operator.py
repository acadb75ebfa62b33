"""`python -m tests.bench.plain_operator`: the operator's own engine, watches and writes, with an
Experiment that only has a status.

It does the same as the controller-runtime operator: one status write per object, nothing external,
no finalizer.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from modelyard.api.conditions import ready, trouble
from modelyard.api.experiment import Experiment, ExperimentReason, ExperimentStatus
from modelyard.compose import operate
from modelyard.controller import Controller
from modelyard.engine import logs
from modelyard.errors import ModelyardError
from modelyard.experiment.decide import in_sync
from modelyard.plan import Finalize, Plan, Rest
from modelyard.ports import Ports
from modelyard.settings import Settings

__all__ = ["controller"]


async def observe(_experiment: Experiment, _ports: Ports, _now: datetime) -> None:
    """Read nothing."""


def decide(experiment: Experiment, _observation: None, _now: datetime) -> Plan[ExperimentStatus]:
    conditions = ready(ExperimentReason.SYNCED, "MLflow and the bucket agree with the spec.")
    return Rest(experiment.status.model_copy(update={"conditions": conditions}))


def finalize(_experiment: Experiment, _observation: None, _now: datetime) -> Plan[ExperimentStatus]:
    return Finalize()


def on_error(
    experiment: Experiment, error: ModelyardError, _now: datetime
) -> Rest[ExperimentStatus]:
    return Rest(experiment.status.model_copy(update={"conditions": trouble(error)}))


def controller() -> Controller[Experiment, None, ExperimentStatus]:
    """Return the kind without anything external."""
    return Controller(Experiment, observe, decide, finalize, on_error, in_sync)


if __name__ == "__main__":
    settings = Settings()
    logs.configure(settings.log_format, settings.log_level)
    asyncio.run(operate(settings, [controller()]))
