"""The status of an MLflow run, and what each means to the operator and the client. Standard library only.

    RUNNING, SCHEDULED    open: a process trains, or is expected to
    FINISHED              trained
    FAILED, KILLED        ended without a result: by an error, or by an interrupt

MLflow does not check that an open run has a process; who closes one that has none is the operator.
"""

from enum import StrEnum

__all__ = ["RunStanding", "RunStatus"]


class RunStatus(StrEnum):
    """The five of MLflow's API."""

    RUNNING = "RUNNING"
    SCHEDULED = "SCHEDULED"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


_OPEN = frozenset({RunStatus.RUNNING, RunStatus.SCHEDULED})
_UNSUCCESSFUL = frozenset({RunStatus.FAILED, RunStatus.KILLED})


class RunStanding:
    """Base of a value that has the status of a run: what it means."""

    status: RunStatus

    @property
    def is_open(self) -> bool:
        """Whether nothing has closed the run."""
        return self.status in _OPEN

    @property
    def has_finished(self) -> bool:
        """Whether it was closed as trained."""
        return self.status == RunStatus.FINISHED

    @property
    def has_failed(self) -> bool:
        """Whether it was closed without a result."""
        return self.status in _UNSUCCESSFUL
