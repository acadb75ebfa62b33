"""MLflow's runs and the models that they logged, by REST."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from modelyard.adapters.instrument import Missing
from modelyard.adapters.mlflow_rest import Ask, Json
from modelyard.adapters.mlflow_shapes import Part, moment, nothing, pairs, quoted, tags_of
from modelyard.api.keys import bad_key
from modelyard.api.run_status import RunStatus
from modelyard.errors import Invalid
from modelyard.ports import LoggedModel, TrackedRun

__all__ = ["Runs"]

# Runs with many parameters and metrics stay below the limit of one answer.
_PAGE = 200
_BATCH = 100
_PARAMETER_LIMIT = 6000
_TAG_LIMIT = 8000
_MODELS = 50


class Runs(Part):
    """The part of `ports.Tracking` that speaks of runs and of what they logged."""

    async def run(self, id_: str) -> TrackedRun | None:
        """Return a run, soft-deleted ones too. One request."""
        try:
            return await self._rest.read(Ask("read run", id_), "runs/get", query={"run_id": id_}, parse=lambda a: _run(a["run"]))
        except Missing:
            return None

    async def runs(
        self, experiment: str, *, tags: Mapping[str, str] | None = None, deleted: bool | None = False, limit: int = 1000
    ) -> tuple[TrackedRun, ...]:
        """Return the newest runs of an experiment that have these tags, newest first; with `deleted`, the soft-deleted ones instead, with
        None both.

        One request for each 200 runs. An experiment that is not there has none.
        """
        wanted = dict(tags or {})
        view = "ALL" if deleted is None else "DELETED_ONLY" if deleted else "ACTIVE_ONLY"
        # Once more here: not every tag can be written into a filter, and some databases compare without case.
        return await self._search_runs(
            experiment, _filter(wanted), "attributes.start_time DESC", limit, view=view, keep=lambda run: wanted.items() <= run.tags.items()
        )

    async def ended_runs(self, experiment: str, before: datetime, limit: int = 1000) -> tuple[TrackedRun, ...]:
        """Return the runs that ended before a moment, those that did so first first. One request for each 200 runs."""
        moment_ = int(before.timestamp() * 1000)
        return await self._search_runs(experiment, f"attributes.end_time < {moment_}", "attributes.end_time ASC", limit)

    async def best_runs(self, experiment: str, metric: str, *, greatest: bool, limit: int) -> tuple[TrackedRun, ...]:
        """Return the finished runs with the greatest or least values of a metric, best first; none when the name has a backtick.

        One request for each 200 runs.
        """
        if "`" in metric:
            return ()
        order = f"metrics.`{metric}` {'DESC' if greatest else 'ASC'}"
        return await self._search_runs(
            experiment, f"attributes.status = '{RunStatus.FINISHED}'", order, limit, keep=lambda run: metric in run.metrics
        )

    async def _search_runs(
        self,
        experiment: str,
        filter_: str,
        order: str,
        limit: int,
        *,
        view: str = "ACTIVE_ONLY",
        keep: Callable[[TrackedRun], bool] = lambda _: True,
    ) -> tuple[TrackedRun, ...]:
        body: Json = {
            "experiment_ids": [experiment],
            "filter": filter_,
            "run_view_type": view,
            "max_results": min(_PAGE, limit),
            "order_by": [order],
        }
        found: list[TrackedRun] = []
        while len(found) < limit:
            page, token = await self._rest.read(Ask("search runs of", experiment), "runs/search", body=body, parse=_page)
            found += filter(keep, page)
            if not token:
                break
            body["page_token"] = token
        return tuple(found[:limit])

    async def create_run(self, experiment: str, name: str, tags: Mapping[str, str]) -> str:
        """Create a run, in state RUNNING and started now, and return its id. One request."""
        _check_tags("create run", name, tags)
        body = {"experiment_id": experiment, "run_name": name, "start_time": _now(), "tags": pairs(tags)}
        ask = Ask("create run", name, "MLflow refuses the run: its experiment is deleted, or a tag is too long")
        return await self._rest.write(ask, "runs/create", body, parse=lambda a: str(a["run"]["info"]["run_id"]))

    async def log_parameters(self, run: str, parameters: Mapping[str, str]) -> None:
        """Log parameters; one that is there with the same value stays. One request for each 100.

        Raises:
            Invalid: A parameter has another value already, or is longer than 6000 characters (MLflow would cut it off silently).

        """
        hint = "MLflow refuses the parameters: one was logged before with another value, a name is not allowed, or the run is deleted"
        _check_keys("log parameters", run, parameters)
        for key, value in parameters.items():
            if len(value) > _PARAMETER_LIMIT:
                raise Invalid("MLflow", "log parameters", run, f"the value of {key} is longer than {_PARAMETER_LIMIT} characters")
        for chunk in _chunks(parameters):
            body = {"run_id": run, "params": pairs(chunk)}
            await self._rest.write(Ask("log parameters", run, hint), "runs/log-batch", body, parse=nothing)

    async def set_run_tags(self, run: str, tags: Mapping[str, str]) -> None:
        """Set tags. One request for each 100.

        Raises:
            Invalid: The run is deleted, or a tag is longer than 8000 characters (MLflow would cut it off silently).

        """
        _check_tags("tag run", run, tags)
        for chunk in _chunks(tags):
            ask = Ask("tag run", run, "MLflow refuses the tags: a name is not allowed, or the run is deleted")
            await self._rest.write(ask, "runs/log-batch", {"run_id": run, "tags": pairs(chunk)}, parse=nothing)

    async def finish_run(self, run: str, status: RunStatus) -> None:
        """Close a run now. One request."""
        ask = Ask("finish run", run, "MLflow refuses it: the run is deleted")
        await self._rest.write(ask, "runs/update", {"run_id": run, "status": status, "end_time": _now()}, parse=nothing)

    async def reopen_run(self, run: str) -> None:
        """Have a run that was closed go on. MLflow keeps when it ended last. One request."""
        ask = Ask("reopen run", run, "MLflow refuses it: the run is deleted")
        await self._rest.write(ask, "runs/update", {"run_id": run, "status": RunStatus.RUNNING}, parse=nothing)

    async def delete_run(self, run: str) -> None:
        """Soft-delete; deleting twice, or one that is gone, is no error. One request."""
        try:
            await self._rest.write(Ask("delete run", run), "runs/delete", {"run_id": run}, parse=nothing)
        except Missing:
            return

    async def restore_run(self, run: str) -> None:
        """Undo the soft deletion; restoring one that is active is no error. One request."""
        await self._rest.write(Ask("restore run", run), "runs/restore", {"run_id": run}, parse=nothing)

    async def logged_models(self, experiment: str, run: str, name: str | None = None) -> tuple[LoggedModel, ...]:
        """Return the newest 50 models that a run logged whole, of this name if one is given, newest first. One request.

        MLflow before version 3 does not know the question: ask it only of a run that names its models.
        """
        wanted = {"source_run_id": run} | ({} if name is None else {"name": name})
        filter_ = _terms(wanted)
        if filter_ is None:
            return ()
        body: Json = {
            "experiment_ids": [experiment],
            "filter": filter_,
            "max_results": _MODELS,
            "order_by": [{"field_name": "creation_timestamp", "ascending": False}],
        }
        found = await self._rest.read(Ask("search models of", run), "logged-models/search", body=body, parse=_logged_models)
        # Once more here: some databases compare without case.
        return tuple(each for each in found if each.run == run and name in (None, each.name))


def _now() -> int:
    return time.time_ns() // 1_000_000


def _chunks(values: Mapping[str, str]) -> Iterator[dict[str, str]]:
    items = list(values.items())
    return (dict(items[start : start + _BATCH]) for start in range(0, len(items), _BATCH))


def _check_keys(operation: str, subject: str, values: Mapping[str, str]) -> None:
    """Name the key that MLflow would refuse: of a hundred in a request it names none that reaches anybody."""
    if (complaint := bad_key(values)) is not None:
        raise Invalid("MLflow", operation, subject, complaint)


def _check_tags(operation: str, subject: str, tags: Mapping[str, str]) -> None:
    _check_keys(operation, subject, tags)
    for key, value in tags.items():
        if len(value) > _TAG_LIMIT:
            raise Invalid("MLflow", operation, subject, f"the value of tag {key} is longer than {_TAG_LIMIT} characters")


def _filter(tags: Mapping[str, str]) -> str:
    """Write what can be written; the caller checks every run once more."""
    terms = ((key, quoted(value)) for key, value in tags.items() if "`" not in key and quoted(key) is not None)
    return " AND ".join(f"tags.`{key}` = {value}" for key, value in terms if value is not None)


def _page(answer: Json) -> tuple[list[TrackedRun], str]:
    return [_run(run) for run in answer.get("runs", ())], answer.get("next_page_token", "")


def _run(run: Json) -> TrackedRun:
    info, data = run["info"], run.get("data", {})
    outputs = run.get("outputs", {}).get("model_outputs", ())
    return TrackedRun(
        id=info["run_id"],
        experiment=str(info["experiment_id"]),
        name=info.get("run_name", ""),
        status=RunStatus(info["status"]),
        deleted=info["lifecycle_stage"] == "deleted",
        start=moment(info.get("start_time")),
        end=moment(info.get("end_time")),
        tags=tags_of(data.get("tags")),
        parameters=tags_of(data.get("params")),
        metrics={metric["key"]: float(metric["value"]) for metric in data.get("metrics", ())},
        artifact_uri=info.get("artifact_uri", ""),
        models=tuple(output["model_id"] for output in sorted(outputs, key=lambda output: int(output.get("step", 0)))),
    )


def _terms(wanted: Mapping[str, str]) -> str | None:
    """Write a filter over attributes; None when a value cannot be written."""
    terms = {key: quoted(value) for key, value in wanted.items()}
    return None if None in terms.values() else " AND ".join(f"{key} = {value}" for key, value in terms.items())


def _logged_models(answer: Json) -> list[LoggedModel]:
    found = [model["info"] for model in answer.get("models", ())]
    # MLflow 3 cannot filter by status.
    return [_logged_model(info) for info in found if info.get("status") == "LOGGED_MODEL_READY"]


def _logged_model(info: Json) -> LoggedModel:
    return LoggedModel(
        id=info["model_id"],
        uri=info["artifact_uri"],
        name=info["name"],
        run=info.get("source_run_id") or None,
        created=moment(info.get("creation_timestamp_ms")),
    )
