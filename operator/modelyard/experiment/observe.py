"""Read what an Experiment depends on: the bucket, the MLflow experiment and its runs."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from modelyard.api.base import parse_duration
from modelyard.api.experiment import Experiment
from modelyard.api.registered_model import RegisteredModel
from modelyard.experiment.observation import Observation
from modelyard.experiment.retention import expired
from modelyard.kube.names import experiment_name, experiment_prefix
from modelyard.ports import Ports, TrackedRun, Tracking

__all__ = ["RUNS", "observe"]

RUNS = 1000
"""How many runs a reconcile reads. Of a larger experiment it then asks only for the runs that are
past their retention and for the best."""


async def observe(experiment: Experiment, ports: Ports, now: datetime) -> Observation:
    """Read S3 and MLflow.

    Raises:
        ModelyardError: One of them did not answer, or refused a request.

    """
    meta = experiment.metadata
    tenant = await ports.tenant(meta.namespace)
    prefix = experiment_prefix(tenant.reach.bucket, meta.namespace, meta.name)
    usage = await tenant.store.usage(prefix)
    tracked = await tenant.tracking.experiment(experiment_name(meta.namespace, meta.name))
    observation = Observation(tenant.reach.bucket, tracked, tenant.tracking_url, usage=usage)
    if meta.deletion_timestamp is not None:
        models = map(
            RegisteredModel.parse, ports.cluster.select("registeredmodels", meta.namespace)
        )
        return replace(observation, in_use=tuple(_in_use(models, prefix)))
    if tracked is None or tracked.deleted or usage is None:
        return observation
    observation = await _with_runs(experiment, observation, tracked.id, tenant.tracking)
    if not observation.all_runs:
        observation = await _with_older(experiment, observation, tracked.id, now, tenant.tracking)
    candidates = expired(experiment.spec, (*observation.runs, *observation.older), now)
    return replace(observation, unreferenced=await _unreferenced(candidates, tenant.tracking))


def _in_use(models: Iterable[RegisteredModel], prefix: str) -> Iterator[str]:
    """Yield the versions with files below a prefix that stages need."""
    for model in models:
        stages = model.status.in_use
        for version in model.status.versions:
            if version.name in stages and (version.uri or "").startswith(prefix):
                yield f"{version.name} in {stages[version.name]} of {model.metadata.name}"


async def _with_runs(
    experiment: Experiment, found: Observation, id_: str, tracking: Tracking
) -> Observation:
    """Read the newest runs, and count the soft-deleted ones.

    One search answers both, unless the experiment has more than `RUNS` runs.
    """
    known, metric = experiment.status.runs, _metric(experiment)
    if known is None or known.running + known.finished + known.failed + known.deleted < RUNS:
        both = await tracking.newest_runs(id_, deleted=None, limit=RUNS, metric=metric)
        # Fewer than RUNS but incomplete: the answers were too large, and would be so again.
        if len(both.runs) < RUNS:
            kept = tuple(run for run in both.runs if not run.deleted)
            deleted = len(both.runs) - len(kept)
            return replace(
                found,
                runs=kept,
                all_runs=both.complete,
                deleted_runs=deleted,
                all_deleted=both.complete,
            )
    newest = await tracking.newest_runs(id_, deleted=False, limit=RUNS, metric=metric)
    deleted_runs = await tracking.newest_runs(id_, deleted=True, limit=RUNS, metric=None)
    return replace(
        found,
        runs=newest.runs,
        all_runs=newest.complete and len(newest.runs) < RUNS,
        deleted_runs=len(deleted_runs.runs),
        all_deleted=deleted_runs.complete and len(deleted_runs.runs) < RUNS,
    )


async def _with_older(
    experiment: Experiment, found: Observation, id_: str, now: datetime, tracking: Tracking
) -> Observation:
    """Add runs beyond the newest: those past their retention, and the best by the objective.

    An expired run that is not among the best of these is not among the best of all. So it may be
    deleted although some runs were not read.
    """
    retention, objective = experiment.spec.retention, experiment.spec.objective
    older: dict[str, TrackedRun] = {}
    if retention is not None:
        limit = now - parse_duration(retention.runs)
        ended = await tracking.ended_runs(id_, limit, limit=RUNS, metric=_metric(experiment))
        older |= {run.id: run for run in ended.runs}
    if objective is not None:
        kept = max(1, retention.keep_best if retention else 1)
        greatest = objective.goal == "Maximize"
        best = await tracking.best_runs(id_, objective.metric, greatest=greatest, limit=kept)
        older |= {run.id: run for run in best.runs}
    newest = {run.id for run in found.runs}
    return replace(found, older=tuple(run for key, run in older.items() if key not in newest))


def _metric(experiment: Experiment) -> str | None:
    return experiment.spec.objective.metric if experiment.spec.objective else None


async def _unreferenced(runs: Iterable[TrackedRun], tracking: Tracking) -> frozenset[str]:
    """Return the first run that no model version was created from: a round deletes only one."""
    for run in runs:
        if not await tracking.versions_of_run(run.id):
            return frozenset({run.id})
    return frozenset()
