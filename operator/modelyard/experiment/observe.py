"""Read what an Experiment is about: the bucket, the MLflow experiment, its runs. Deciding does not belong here."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from modelyard.api.base import parse_duration
from modelyard.api.experiment import Experiment, RunCounts
from modelyard.experiment.retention import expired
from modelyard.kube.names import experiment_name, experiment_prefix
from modelyard.ports import Ports, TrackedExperiment, TrackedRun, Tracking, Usage

__all__ = ["RUNS", "Seen", "observe"]

RUNS = 1000
"""How many runs are read whole at each look; of an experiment with more, what matters of the others is asked for."""


@dataclass(frozen=True)
class Seen:
    """The world at one moment, as far as an Experiment is concerned.

    Attributes:
        bucket: The tenant's bucket.
        tracked: The MLflow experiment of our name, soft-deleted or not, ours or not.
        runs: Its newest runs (`RUNS`) that are not deleted.
        older: Of an experiment with more runs than those: the ones past their retention, and the best by the objective.
        deleted_runs: How many soft-deleted runs it has.
        usage: What lies below its prefix; None when the bucket is not there.
        unreferenced: Those of the runs past their retention that were looked at, and that no model version came from.
        tracking_url: Where MLflow answers.

    """

    bucket: str
    tracked: TrackedExperiment | None
    tracking_url: str
    runs: tuple[TrackedRun, ...] = ()
    older: tuple[TrackedRun, ...] = ()
    deleted_runs: int = 0
    usage: Usage | None = None
    unreferenced: frozenset[str] = frozenset()

    @property
    def bucket_exists(self) -> bool:
        """Whether the tenant's bucket is there."""
        return self.usage is not None


async def observe(experiment: Experiment, ports: Ports, now: datetime) -> Seen:
    """Look at S3 and MLflow.

    Raises:
        ModelyardError: One of them did not answer, or refused.

    """
    meta = experiment.metadata
    tenant = await ports.tenant(meta.namespace)
    usage = await tenant.store.usage(experiment_prefix(tenant.bucket, meta.namespace, meta.name))
    tracked = await tenant.tracking.experiment(experiment_name(meta.namespace, meta.name))
    seen = Seen(tenant.bucket, tracked, tenant.tracking_url, usage=usage)
    if tracked is None or tracked.deleted or usage is None:
        return seen
    runs, deleted = await _runs(experiment.status.runs, tracked.id, tenant.tracking)
    older = await _older(experiment, tracked.id, runs, now, tenant.tracking)
    unreferenced = await _unreferenced(expired(experiment.spec, (*runs, *older), now), tenant.tracking)
    return replace(seen, runs=runs, older=older, deleted_runs=deleted, unreferenced=unreferenced)


async def _runs(known: RunCounts | None, id_: str, tracking: Tracking) -> tuple[tuple[TrackedRun, ...], int]:
    """Return the newest runs that are not deleted, and how many are: from one answer, unless there are too many for it."""
    if known is None or known.running + known.finished + known.failed + known.deleted < RUNS:
        both = await tracking.runs(id_, deleted=None, limit=RUNS)
        if len(both) < RUNS:
            there = tuple(run for run in both if not run.deleted)
            return there, len(both) - len(there)
    return await tracking.runs(id_, limit=RUNS), len(await tracking.runs(id_, deleted=True))


async def _older(
    experiment: Experiment, id_: str, newest: tuple[TrackedRun, ...], now: datetime, tracking: Tracking
) -> tuple[TrackedRun, ...]:
    """Look past the newest runs, where there are more: what retention gives up lies there, and the best of all may."""
    if len(newest) < RUNS:
        return ()
    retention, objective = experiment.spec.retention, experiment.spec.objective
    found: dict[str, TrackedRun] = {}
    if retention is not None:
        found |= {run.id: run for run in await tracking.ended_runs(id_, now - parse_duration(retention.runs), RUNS)}
    if objective is not None:
        kept = max(1, retention.keep_best if retention else 1)
        found |= {run.id: run for run in await tracking.best_runs(id_, objective.metric, greatest=objective.goal == "Maximize", limit=kept)}
    return tuple(run for key, run in found.items() if key not in {run.id for run in newest})


async def _unreferenced(runs: Iterable[TrackedRun], tracking: Tracking) -> frozenset[str]:
    """Look for the first run that may go: a pass takes one, and asks about no more than it must."""
    for run in runs:
        if not await tracking.versions_of_run(run.id):
            return frozenset({run.id})
    return frozenset()
