"""MLflow in memory: `modelyard.ports.Tracking` with MLflow's own rules, and actions of pods and
users.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from modelyard.api.run_status import RunStatus
from modelyard.errors import Ambiguous, Conflict, Invalid
from modelyard.kube.names import NAME_TAG
from modelyard.ports import (
    LoggedModel,
    ModelStage,
    RunList,
    TrackedExperiment,
    TrackedModel,
    TrackedRun,
    TrackedVersion,
)
from tests.fakes.calls import Call, Calls, Hook

__all__ = ["FakeTracking"]

_RESERVED_ALIAS = re.compile(r"latest|v[0-9]+", re.IGNORECASE)
_STAGES = {"None", "Staging", "Production", "Archived"}


def _ticking() -> Callable[[], datetime]:
    """Return a clock that advances by a second at each reading."""
    begin, ticks = datetime(2026, 1, 1, tzinfo=UTC), iter(range(10**9))
    return lambda: begin + timedelta(seconds=next(ticks))


@dataclass
class _Model:
    tracked: TrackedModel
    versions: dict[str, TrackedVersion] = field(default_factory=dict)
    last: int = 0


class FakeTracking:
    """One MLflow server. Namespaces may share it.

    Attributes:
        calls: The log of calls, `Call(operation, arguments)`.
        experiments: By id.
        runs: By id, soft-deleted ones included.
        most: Runs that a search reads before their metrics become too many; None: all.
        logged: Logged models by id.

    """

    def __init__(
        self, *, clock: Callable[[], datetime] | None = None, calls: Calls | None = None
    ) -> None:
        self._clock = clock or _ticking()
        self._call = calls or Calls()
        self.experiments: dict[str, TrackedExperiment] = {}
        self.runs_by_id: dict[str, TrackedRun] = {}
        self.logged: dict[str, LoggedModel] = {}
        self.most: int | None = None
        self._models: dict[str, _Model] = {}
        self._made = 0

    @property
    def calls(self) -> list[Call]:
        return self._call.log

    @property
    def on_call(self) -> Hook:
        return self._call.on_call

    @on_call.setter
    def on_call(self, hook: Hook) -> None:
        self._call.on_call = hook

    # --- experiments ------------------------------------------------------------------------------
    async def experiment(self, name: str) -> TrackedExperiment | None:
        async with self._call("experiment", name):
            return next((found for found in self.experiments.values() if found.name == name), None)

    async def experiment_by_id(self, id_: str) -> TrackedExperiment | None:
        async with self._call("experiment_by_id", id_):
            return self.experiments.get(id_)

    async def create_experiment(self, name: str, location: str, tags: Mapping[str, str]) -> str:
        async with self._call("create_experiment", name, location, dict(tags)):
            if any(found.name == name for found in self.experiments.values()):
                raise Conflict("MLflow", "create experiment", name)
            id_ = str(len(self.experiments) + 1)
            self.experiments[id_] = TrackedExperiment(
                id_, name, location, deleted=False, tags=dict(tags)
            )
        return id_

    async def restore_experiment(self, id_: str) -> None:
        async with self._call("restore_experiment", id_):
            found = self._experiment("restore experiment", id_)
            if found.deleted:
                self._set_deleted(found, deleted=False)

    async def delete_experiment(self, id_: str) -> None:
        async with self._call("delete_experiment", id_):
            if id_ in self.experiments:
                self._set_deleted(self.experiments[id_], deleted=True)

    async def set_experiment_tags(self, id_: str, tags: Mapping[str, str]) -> None:
        async with self._call("set_experiment_tags", id_, dict(tags)):
            found = self._experiment("tag experiment", id_)
            if found.deleted:
                raise Invalid("MLflow", "tag experiment", id_)
            self.experiments[id_] = replace(found, tags={**found.tags, **tags})

    async def delete_experiment_tags(self, id_: str, keys: Iterable[str]) -> None:
        async with self._call("delete_experiment_tags", id_, tuple(keys)):
            found = self._experiment("untag experiment", id_)
            if found.deleted:
                raise Invalid("MLflow", "untag experiment", id_)
            self.experiments[id_] = replace(
                found,
                tags={key: value for key, value in found.tags.items() if key not in set(keys)},
            )

    # --- runs -------------------------------------------------------------------------------------
    async def run(self, id_: str) -> TrackedRun | None:
        async with self._call("run", id_):
            return self.runs_by_id.get(id_)

    async def runs(
        self,
        experiment: str,
        *,
        tags: Mapping[str, str] | None = None,
        deleted: bool | None = False,
        limit: int = 1000,
    ) -> tuple[TrackedRun, ...]:
        wanted = dict(tags or {})
        async with self._call("runs", experiment, wanted, deleted, limit):
            here = [
                run
                for run in self.runs_by_id.values()
                if run.experiment == experiment and deleted in (None, run.deleted)
            ]
            found = [run for run in here if wanted.items() <= run.tags.items()]
            return tuple(
                sorted(
                    found,
                    key=lambda run: run.start or datetime.min.replace(tzinfo=UTC),
                    reverse=True,
                )[:limit]
            )

    async def newest_runs(
        self, experiment: str, *, deleted: bool | None, limit: int, metric: str | None
    ) -> RunList:
        return self._list(await self.runs(experiment, deleted=deleted, limit=limit), metric)

    async def ended_runs(
        self, experiment: str, before: datetime, *, limit: int, metric: str | None
    ) -> RunList:
        async with self._call("ended_runs", experiment, before, limit):
            here = [
                run
                for run in self.runs_by_id.values()
                if run.experiment == experiment and not run.deleted
            ]
            ended = [(run.end, run) for run in here if run.end is not None and run.end < before]
            return self._list(
                [run for _, run in sorted(ended, key=lambda item: item[0])][:limit], metric
            )

    async def best_runs(
        self, experiment: str, metric: str, *, greatest: bool, limit: int
    ) -> RunList:
        async with self._call("best_runs", experiment, metric, greatest, limit):
            here = [
                run
                for run in self.runs_by_id.values()
                if run.experiment == experiment and not run.deleted
            ]
            ranked = [run for run in here if run.status == "FINISHED" and metric in run.metrics]
            return self._list(
                sorted(ranked, key=lambda run: run.metrics[metric], reverse=greatest)[:limit],
                metric,
            )

    def _list(self, runs: Sequence[TrackedRun], metric: str | None) -> RunList:
        """Return a run as a list shows it: no parameters, our name as the only tag, one metric."""
        names = [{key: value for key, value in run.tags.items() if key == NAME_TAG} for run in runs]
        values = [
            {key: value for key, value in run.metrics.items() if key == metric} for run in runs
        ]
        brief = [
            replace(run, tags=name, parameters={}, metrics=value, artifact_uri="", models=())
            for run, name, value in zip(runs, names, values, strict=True)
        ]
        return RunList(
            tuple(brief[: self.most]), complete=self.most is None or len(brief) <= self.most
        )

    async def create_run(self, experiment: str, name: str, tags: Mapping[str, str]) -> str:
        async with self._call("create_run", experiment, name, dict(tags)):
            found = self._experiment("create run", experiment)
            _check_length("create run", name, tags, 8000)
            if found.deleted:
                raise Invalid("MLflow", "create run", name)
            id_ = self._id()
            self.runs_by_id[id_] = TrackedRun(
                id=id_,
                experiment=experiment,
                name=name,
                status="RUNNING",
                deleted=False,
                start=self._clock(),
                end=None,
                tags={**tags, "mlflow.runName": name},
                artifact_uri=f"{found.location.rstrip('/')}/{id_}/artifacts",
            )
        return id_

    async def log_parameters(self, run: str, parameters: Mapping[str, str]) -> None:
        async with self._call("log_parameters", run, dict(parameters)):
            _check_length("log parameters", run, parameters, 6000)
            if not parameters:
                return
            found = self._active_run("log parameters", run)
            if any(found.parameters.get(key, value) != value for key, value in parameters.items()):
                raise Invalid("MLflow", "log parameters", run)
            self.runs_by_id[run] = replace(found, parameters={**found.parameters, **parameters})

    async def set_run_tags(self, run: str, tags: Mapping[str, str]) -> None:
        async with self._call("set_run_tags", run, dict(tags)):
            _check_length("tag run", run, tags, 8000)
            if not tags:
                return
            found = self._active_run("tag run", run)
            self.runs_by_id[run] = replace(
                found, tags={**found.tags, **tags}, name=tags.get("mlflow.runName", found.name)
            )

    async def finish_run(self, run: str, status: RunStatus) -> None:
        async with self._call("finish_run", run, status):
            found = self._active_run("finish run", run)
            self.runs_by_id[run] = replace(found, status=status, end=self._clock())

    async def reopen_run(self, run: str) -> None:
        async with self._call("reopen_run", run):
            self.runs_by_id[run] = replace(self._active_run("reopen run", run), status="RUNNING")

    async def delete_run(self, run: str) -> None:
        async with self._call("delete_run", run):
            if run in self.runs_by_id:
                self.runs_by_id[run] = replace(self.runs_by_id[run], deleted=True)

    async def restore_run(self, run: str) -> None:
        async with self._call("restore_run", run):
            self.runs_by_id[run] = replace(self._run("restore run", run), deleted=False)

    async def logged_models(
        self, experiment: str, run: str, name: str | None = None
    ) -> tuple[LoggedModel, ...]:
        async with self._call("logged_models", experiment, run, name):
            found = [
                each
                for each in self.logged.values()
                if each.run == run and name in (None, each.name)
            ]
            newest_first = sorted(
                found,
                key=lambda each: each.created or datetime.min.replace(tzinfo=UTC),
                reverse=True,
            )
            return tuple(newest_first[:50])

    # --- registry ---------------------------------------------------------------------------------
    async def model(self, name: str) -> TrackedModel | None:
        async with self._call("model", name):
            return self._models[name].tracked if name in self._models else None

    async def create_model(self, name: str, description: str, tags: Mapping[str, str]) -> None:
        async with self._call("create_model", name, description, dict(tags)):
            if not name or "/" in name or ":" in name:
                raise Invalid("MLflow", "create model", name)
            if name in self._models:
                raise Conflict("MLflow", "create model", name)
            self._models[name] = _Model(TrackedModel(name, description, dict(tags), {}))

    async def set_model_tags(
        self, name: str, tags: Mapping[str, str], description: str | None
    ) -> None:
        async with self._call("set_model_tags", name, dict(tags), description):
            if not tags and description is None:
                return
            model = self._model("tag model", name)
            new = model.tracked.description if description is None else description
            model.tracked = replace(
                model.tracked, tags={**model.tracked.tags, **tags}, description=new
            )

    async def delete_model_tags(self, name: str, keys: Iterable[str]) -> None:
        async with self._call("delete_model_tags", name, tuple(keys)):
            if name in self._models:
                model = self._models[name]
                model.tracked = replace(
                    model.tracked,
                    tags={
                        key: value
                        for key, value in model.tracked.tags.items()
                        if key not in set(keys)
                    },
                )

    async def delete_model(self, name: str) -> None:
        async with self._call("delete_model", name):
            self._models.pop(name, None)

    async def versions(self, model: str) -> tuple[TrackedVersion, ...]:
        async with self._call("versions", model):
            return tuple(self._models[model].versions.values()) if model in self._models else ()

    async def versions_of_run(self, run: str) -> tuple[TrackedVersion, ...]:
        async with self._call("versions_of_run", run):
            every = (
                version
                for _, model in sorted(self._models.items())
                for version in model.versions.values()
            )
            return tuple(version for version in every if version.run == run)

    async def create_version(
        self,
        model: str,
        source: str,
        run: str | None,
        tags: Mapping[str, str],
        logged_model: str | None,
    ) -> str:
        async with self._call("create_version", model, source, run, dict(tags), logged_model):
            operation = "register version of"
            named = source.removeprefix("models:/") if source.startswith("models:/m-") else None
            if (
                (named and named != logged_model)
                or not source.startswith(("s3://", "models:/m-"))
                or ".." in source
            ):
                raise Invalid("MLflow", operation, model)
            if logged_model is not None and logged_model not in self.logged:
                raise Ambiguous("MLflow", operation, model)
            found = self._model(operation, model)
            found.last += 1
            version = str(found.last)
            came_from = run or (self.logged[logged_model].run if logged_model else None)
            found.versions[version] = TrackedVersion(
                model,
                version,
                source,
                came_from,
                "None",
                ready=True,
                tags=dict(tags),
                created=self._clock(),
            )
        return version

    async def set_version_tags(self, model: str, version: str, tags: Mapping[str, str]) -> None:
        async with self._call("set_version_tags", model, version, dict(tags)):
            if tags:
                found = self._version("tag version", model, version)
                self._models[model].versions[version] = replace(found, tags={**found.tags, **tags})

    async def transition(
        self, model: str, version: str, stage: ModelStage, *, displacing: bool = False
    ) -> None:
        async with self._call("transition", model, version, stage):
            found = self._version("move version", model, version)
            if stage not in _STAGES:
                raise Invalid("MLflow", "move version", f"{model}/{version} to {stage}")
            versions = self._models[model].versions
            if displacing:
                versions |= {
                    number: replace(each, stage="Archived")
                    for number, each in versions.items()
                    if each.stage == stage
                }
            versions[version] = replace(found, stage=stage)

    async def set_alias(self, model: str, alias: str, version: str) -> None:
        async with self._call("set_alias", model, alias, version):
            if _RESERVED_ALIAS.fullmatch(alias):
                raise Invalid("MLflow", "set alias", alias)
            self._version("set alias", model, version)
            found = self._models[model]
            found.tracked = replace(
                found.tracked, aliases={**found.tracked.aliases, alias: version}
            )

    async def delete_alias(self, model: str, alias: str) -> None:
        async with self._call("delete_alias", model, alias):
            if model in self._models:
                self._drop_aliases(self._models[model], lambda name, _: name == alias)

    async def delete_version(self, model: str, version: str) -> None:
        async with self._call("delete_version", model, version):
            if model in self._models and version in self._models[model].versions:
                del self._models[model].versions[version]
                self._drop_aliases(self._models[model], lambda _, target: target == version)

    # --- pods and users ---------------------------------------------------------------------------
    def log_metric(self, run: str, key: str, value: float) -> None:
        """Log a metric's newest value, as a training script does."""
        found = self.runs_by_id[run]
        self.runs_by_id[run] = replace(found, metrics={**found.metrics, key: value})

    def end_run(self, run: str, status: RunStatus, tags: Mapping[str, str] | None = None) -> None:
        """Close a run, as a training script does."""
        found = self.runs_by_id[run]
        self.runs_by_id[run] = replace(
            found, status=status, end=self._clock(), tags={**found.tags, **(tags or {})}
        )

    def log_model(self, run: str, name: str = "model", *, ready: bool = True) -> LoggedModel:
        """Log a model, as `mlflow.xgboost.log_model` does; its files are stored with `FakeStore`.
        Not ready: logging broke off.
        """
        found = self.runs_by_id[run]
        id_ = f"m-{self._id()}"
        location = self.experiments[found.experiment].location.rstrip("/")
        logged = LoggedModel(id_, f"{location}/models/{id_}/artifacts", name, run, self._clock())
        if ready:
            self.logged[id_] = logged
        self.runs_by_id[run] = replace(found, models=(*found.models, id_))
        return logged

    # --- internals
    # ---------------------------------------------------------------------------------------
    def _id(self) -> str:
        self._made += 1
        return f"{self._made:032x}"

    def _experiment(self, operation: str, id_: str) -> TrackedExperiment:
        if id_ not in self.experiments:
            raise Invalid("MLflow", operation, id_)
        return self.experiments[id_]

    def _set_deleted(self, found: TrackedExperiment, *, deleted: bool) -> None:
        """Delete or restore an experiment with all of its runs, as MLflow does."""
        self.experiments[found.id] = replace(found, deleted=deleted)
        for run in [run for run in self.runs_by_id.values() if run.experiment == found.id]:
            self.runs_by_id[run.id] = replace(run, deleted=deleted)

    def _run(self, operation: str, id_: str) -> TrackedRun:
        if id_ not in self.runs_by_id:
            raise Invalid("MLflow", operation, id_)
        return self.runs_by_id[id_]

    def _active_run(self, operation: str, id_: str) -> TrackedRun:
        found = self._run(operation, id_)
        if found.deleted:
            raise Invalid("MLflow", operation, id_)
        return found

    def _model(self, operation: str, name: str) -> _Model:
        if name not in self._models:
            raise Invalid("MLflow", operation, name)
        return self._models[name]

    def _version(self, operation: str, model: str, version: str) -> TrackedVersion:
        versions = self._model(operation, model).versions
        if version not in versions:
            raise Invalid("MLflow", operation, f"{model}/{version}")
        return versions[version]

    @staticmethod
    def _drop_aliases(model: _Model, goes: Callable[[str, str], bool]) -> None:
        kept = {
            alias: target
            for alias, target in model.tracked.aliases.items()
            if not goes(alias, target)
        }
        model.tracked = replace(model.tracked, aliases=kept)


def _check_length(operation: str, subject: str, values: Mapping[str, str], limit: int) -> None:
    if any(len(value) > limit for value in values.values()):
        raise Invalid("MLflow", operation, subject)
