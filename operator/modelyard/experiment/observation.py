"""What an Experiment depends on in S3 and MLflow, as a frozen value."""

from dataclasses import dataclass

from modelyard.ports import TrackedExperiment, TrackedRun, Usage

__all__ = ["Observation"]


@dataclass(frozen=True)
class Observation:
    """What one reconcile round read from S3 and MLflow for an Experiment.

    Attributes:
        bucket: The tenant's bucket.
        tracked: The MLflow experiment with our name, soft-deleted or not, ours or not.
        tracking_url: The address of MLflow.
        runs: Its newest runs that are not soft-deleted, at most `observe.RUNS`.
        all_runs: Whether `runs` is complete.
        older: If it is not: runs past their retention, and the best runs by the objective.
        deleted_runs: The number of soft-deleted runs that were counted.
        all_deleted: Whether that number is complete.
        usage: Objects and bytes below its prefix; None if the bucket does not exist.
        in_use: `VERSION in STAGE of MODEL` for each version with files below its prefix that is
            effective, a candidate or a rollback target; read for a deletion.
        unreferenced: Ids of expired runs that no model version was created from, as far as checked.

    """

    bucket: str
    tracked: TrackedExperiment | None
    tracking_url: str
    runs: tuple[TrackedRun, ...] = ()
    all_runs: bool = True
    older: tuple[TrackedRun, ...] = ()
    deleted_runs: int = 0
    all_deleted: bool = True
    usage: Usage | None = None
    unreferenced: frozenset[str] = frozenset()
    in_use: tuple[str, ...] = ()

    @property
    def bucket_exists(self) -> bool:
        """Whether the tenant's bucket exists."""
        return self.usage is not None
