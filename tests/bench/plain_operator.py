"""`python -m tests.bench.plain_operator`: the operator's own engine, watches and writes, with an Experiment that is nothing but a status.

It does what the controller-runtime operator beside it does: one status write an object, nothing outside, no finalizer.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from modelyard.api.conditions import ready
from modelyard.api.conditions import trouble as trouble_conditions
from modelyard.api.experiment import Experiment, ExperimentReason, ExperimentStatus
from modelyard.compose import operate
from modelyard.controller import Controller
from modelyard.engine import logs
from modelyard.errors import ModelyardError
from modelyard.experiment.decide import settled
from modelyard.plan import Plan
from modelyard.ports import Ports
from modelyard.settings import Settings

__all__ = ["controller"]


async def observe(_experiment: Experiment, _ports: Ports, _now: datetime) -> None:
    """Look at nothing."""


def decide(experiment: Experiment, _seen: None, _now: datetime) -> Plan[ExperimentStatus]:
    conditions = ready(ExperimentReason.SYNCED, "MLflow and the bucket agree with the spec.")
    return Plan(experiment.status.model_copy(update={"conditions": conditions}))


def release(experiment: Experiment, _seen: None, _now: datetime) -> Plan[ExperimentStatus]:
    return Plan(experiment.status, released=True)


def trouble(experiment: Experiment, error: ModelyardError, _now: datetime) -> Plan[ExperimentStatus]:
    return Plan(experiment.status.model_copy(update={"conditions": trouble_conditions(error)}))


def controller() -> Controller:
    """The kind without anything outside."""
    return Controller(Experiment, observe, decide, release, trouble, settled)


if __name__ == "__main__":
    settings = Settings()
    logs.configure(settings.log_format, settings.log_level)
    asyncio.run(operate(settings, [controller()]))
