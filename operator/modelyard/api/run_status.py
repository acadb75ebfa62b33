"""The status of an MLflow run. Standard library only.

    RUNNING, SCHEDULED    open: a process trains, or is expected to
    FINISHED              trained
    FAILED, KILLED        ended without a result: by an error, or by an interrupt

MLflow does not check that an open run has a process; the operator closes a run that has none.
"""

from enum import StrEnum

__all__ = ["OPEN", "UNSUCCESSFUL", "RunStatus"]


class RunStatus(StrEnum):
    """The five statuses of MLflow's API."""

    RUNNING = "RUNNING"
    SCHEDULED = "SCHEDULED"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


OPEN = frozenset({RunStatus.RUNNING, RunStatus.SCHEDULED})
UNSUCCESSFUL = frozenset({RunStatus.FAILED, RunStatus.KILLED})
