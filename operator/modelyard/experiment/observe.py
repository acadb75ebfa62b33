"""Read what an Experiment depends on: the bucket, the MLflow experiment, its runs."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from modelyard.api.base import parse_duration
from modelyard.api.experiment import Experiment, RunCounts
from modelyard.experiment.observation import Observation
from modelyard.experiment.retention import expired
from modelyard.kube.names import experiment_name, experiment_prefix
from modelyard.ports import Ports, TrackedRun, Tracking

__all__ = ["RUNS", "observe"]

RUNS = 1000
"""How many runs each reconcile reads; of an experiment with more, only what matters is asked for."""


async def observe(experiment: Experiment, ports: Ports, now: datetime) -> Observation:
    """Read S3 and MLflow.

    Raises:
        ModelyardError: One of them did not answer, or refused.

    """
    meta = experiment.metadata
    tenant = await ports.tenant(meta.namespace)
    prefix = experiment_prefix(tenant.reach.bucket, meta.namespace, meta.name)
    usage = await tenant.store.usage(prefix)
    tracked = await tenant.tracking.experiment(experiment_name(meta.namespace, meta.name))
    observation = Observation(tenant.reach.bucket, tracked, tenant.tracking_url, usage=usage)
    if tracked is None or tracked.deleted or usage is None:
        return observation
    runs, deleted = await _runs(experiment.status.runs, tracked.id, tenant.tracking)
    older = await _older(experiment, tracked.id, runs, now, tenant.tracking)
    candidates = expired(experiment.spec, (*runs, *older), now)
    unreferenced = await _unreferenced(candidates, tenant.tracking)
    return replace(observation, runs=runs, older=older, deleted_runs=deleted, unreferenced=unreferenced)


async def _runs(known: RunCounts | None, id_: str, tracking: Tracking) -> tuple[tuple[TrackedRun, ...], int]:
    """Return the newest runs that are not deleted, and the number of deleted ones.

    One request answers both, unless the experiment has too many runs for it.
    """
    if known is None or known.running + known.finished + known.failed + known.deleted < RUNS:
        both = await tracking.runs(id_, deleted=None, limit=RUNS)
        if len(both) < RUNS:
            kept = tuple(run for run in both if not run.deleted)
            return kept, len(both) - len(kept)
    return await tracking.runs(id_, limit=RUNS), len(await tracking.runs(id_, deleted=True))


async def _older(
    experiment: Experiment,
    id_: str,
    newest: tuple[TrackedRun, ...],
    now: datetime,
    tracking: Tracking,
) -> tuple[TrackedRun, ...]:
    """Look past the newest runs: those past their retention are there, and the best may be."""
    if len(newest) < RUNS:
        return ()
    retention, objective = experiment.spec.retention, experiment.spec.objective
    found: dict[str, TrackedRun] = {}
    if retention is not None:
        limit = now - parse_duration(retention.runs)
        found |= {run.id: run for run in await tracking.ended_runs(id_, limit, RUNS)}
    if objective is not None:
        kept = max(1, retention.keep_best if retention else 1)
        greatest = objective.goal == "Maximize"
        best = await tracking.best_runs(id_, objective.metric, greatest=greatest, limit=kept)
        found |= {run.id: run for run in best}
    return tuple(run for key, run in found.items() if key not in {run.id for run in newest})


async def _unreferenced(runs: Iterable[TrackedRun], tracking: Tracking) -> frozenset[str]:
    """Find the first run that may be deleted: a round deletes one, and asks about no more."""
    for run in runs:
        if not await tracking.versions_of_run(run.id):
            return frozenset({run.id})
    return frozenset()
