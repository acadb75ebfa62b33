"""What is known of S3 and MLflow when an Experiment is decided on."""

from dataclasses import dataclass

from modelyard.ports import TrackedExperiment, TrackedRun, Usage

__all__ = ["Observation"]


@dataclass(frozen=True)
class Observation:
    """S3 and MLflow at one moment, as far as an Experiment depends on them.

    Attributes:
        bucket: The tenant's bucket.
        tracked: The MLflow experiment of our name, soft-deleted or not, ours or not.
        tracking_url: The address of MLflow.
        runs: Its newest runs (`observe.RUNS` at most) that are not soft-deleted.
        all_runs: Whether these are all of them.
        older: If there are more: the runs past their retention, and the best by the objective.
        deleted_runs: The number of its soft-deleted runs.
        all_deleted: Whether there are no more of them.
        usage: What is stored below its prefix; None if the bucket does not exist.
        in_use: Versions of models that have files below its prefix and that stages hold, are
            taking, or keep for a rollback, in words; read when it is being deleted.
        unreferenced: Runs past their retention that were checked: no model version came from them.

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
