"""MLflow's runs and the models that they logged, by REST."""

import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from heapq import nsmallest
from itertools import takewhile

from modelyard.adapters.bounds import Bounds, Room, TooLarge
from modelyard.adapters.instrument import Missing
from modelyard.adapters.mlflow_rest import Answer, Ask, Json, Oversized, Rest
from modelyard.adapters.mlflow_search import Pace, Page, endless, search
from modelyard.adapters.mlflow_shapes import (
    Part,
    id_of,
    moment,
    nothing,
    pairs,
    quoted,
    tags_of,
    text,
)
from modelyard.api.keys import bad_key
from modelyard.api.run_status import RunStatus
from modelyard.errors import Invalid
from modelyard.kube.names import NAME_TAG
from modelyard.ports import LoggedModel, RunList, TrackedRun

__all__ = ["Runs"]

_PAGE, _FIRST = 200, 25
"""Runs of a page at most, and of an experiment's first one: MLflow itself takes long for many
large runs.
"""
_PACES = 1000
"""Experiments whose pages are remembered."""
_BATCH = 100
_NAME_LIMIT = 256
_OURS = "modelyard."
_PARAMETER_LIMIT = 6000
_TAG_LIMIT = 8000
_MODELS = 50


class Runs(Part):
    """The part of `ports.Tracking` that speaks of runs and of what they logged."""

    def __init__(self, rest: Rest) -> None:
        """Speak through this."""
        super().__init__(rest)
        self._paces: dict[str, Pace] = {}

    async def run(self, id_: str) -> TrackedRun | None:
        """Return a run, soft-deleted ones too. One request."""
        try:
            return await self._rest.read(
                Ask("read run", id_),
                "runs/get",
                query={"run_id": id_},
                parse=lambda a: self._run(a["run"]),
            )
        except Missing:
            return None

    async def runs(
        self,
        experiment: str,
        *,
        tags: Mapping[str, str] | None = None,
        deleted: bool | None = False,
        limit: int = 1000,
    ) -> tuple[TrackedRun, ...]:
        """Return the newest runs of an experiment that have these tags, newest first; with
        `deleted`, the soft-deleted ones instead, with None both.

        One request for each 200 runs at most. An experiment that is not there has none.

        Raises:
            Unavailable: They do not end within the bounds.

        """
        wanted = dict(tags or {})
        room = Room(self._rest.bounds)

        def keep(run: TrackedRun) -> bool:
            # Once more here: not every tag can be written into a filter, and some databases compare
            # without case.
            if not wanted.items() <= run.tags.items():
                return False
            room.take(*_texts(run))
            return True

        try:
            found = await self._search_runs(
                experiment,
                _filter(wanted),
                "attributes.start_time DESC",
                limit,
                view=_view(deleted),
                keep=keep,
            )
        except TooLarge as large:
            raise Oversized("MLflow", "search runs of", experiment, str(large)) from None
        if not found.complete:
            raise endless(_search(experiment), self._rest.bounds)
        return found.runs

    async def newest_runs(
        self, experiment: str, *, deleted: bool | None, limit: int, metric: str | None
    ) -> RunList:
        """Return the newest runs, newest first, as far as the bounds go; of their metrics only
        one.
        """
        return await self._search_runs(
            experiment,
            "",
            "attributes.start_time DESC",
            limit,
            view=_view(deleted),
            metric=metric or "",
        )

    async def ended_runs(
        self, experiment: str, before: datetime, *, limit: int, metric: str | None
    ) -> RunList:
        """Return the runs that ended before a moment, those that did so first first, as far as
        the bounds go; of their metrics only one.
        """
        moment_ = int(before.timestamp() * 1000)
        return await self._search_runs(
            experiment,
            f"attributes.end_time < {moment_}",
            "attributes.end_time ASC",
            limit,
            metric=metric or "",
        )

    async def best_runs(
        self, experiment: str, metric: str, *, greatest: bool, limit: int
    ) -> RunList:
        """Return the finished runs with the greatest or least values of a metric, best first, as
        far as the bounds go.

        None when the name has a backtick. MLflow puts those without the metric last: they are the
        end.
        """
        if "`" in metric:
            return RunList((), complete=True)
        order = f"metrics.`{metric}` {'DESC' if greatest else 'ASC'}"
        finished = f"attributes.status = '{RunStatus.FINISHED}'"
        found = await self._search_runs(
            experiment,
            finished,
            order,
            limit,
            metric=metric,
            until=lambda run: metric not in run.metrics,
        )
        ranked = tuple(takewhile(lambda run: metric in run.metrics, found.runs))
        return RunList(ranked, complete=found.complete)

    def _run(self, run: Json) -> TrackedRun:
        return _run(run, self._rest.bounds)

    async def _search_runs(
        self,
        experiment: str,
        filter_: str,
        order: str,
        limit: int,
        *,
        view: str = "ACTIVE_ONLY",
        metric: str | None = None,
        keep: Callable[[TrackedRun], bool] = lambda _: True,
        until: Callable[[TrackedRun], bool] = lambda _: False,
    ) -> RunList:
        body: Json = {
            "experiment_ids": [experiment],
            "filter": filter_,
            "run_view_type": view,
            "order_by": [order],
        }

        def parse(answer: Json) -> Page[TrackedRun]:
            runs = [
                self._run(run) if metric is None else _brief(run, metric)
                for run in answer.get("runs", ())
            ]
            return runs, "" if any(map(until, runs)) else text(answer.get("next_page_token", ""))

        def page(rows: int, token: str) -> Awaitable[Answer[Page[TrackedRun]]]:
            more: Json = {"max_results": rows} | ({"page_token": token} if token else {})
            return self._rest.page(
                _search(experiment), "runs/search", body=body | more, parse=parse
            )

        found = await search(
            page, self._rest.bounds, self._pace(experiment), wanted=limit, keep=keep
        )
        return RunList(tuple(found.rows), complete=found.complete)

    def _pace(self, experiment: str) -> Pace:
        """Return how many runs of an experiment go into a page; forgotten when many others were
        asked for since.
        """
        pace = self._paces.pop(experiment, None) or Pace(_PAGE, _FIRST)
        self._paces[experiment] = pace
        if len(self._paces) > _PACES:
            del self._paces[next(iter(self._paces))]
        return pace

    async def create_run(self, experiment: str, name: str, tags: Mapping[str, str]) -> str:
        """Create a run, in state RUNNING and started now, and return its id. One request."""
        _check_tags("create run", name, tags)
        body = {
            "experiment_id": experiment,
            "run_name": name,
            "start_time": _now(),
            "tags": pairs(tags),
        }
        ask = Ask(
            "create run",
            name,
            "MLflow refuses the run: its experiment is deleted, or a tag is too long",
        )
        return await self._rest.write(
            ask, "runs/create", body, parse=lambda a: id_of(a["run"]["info"]["run_id"])
        )

    async def log_parameters(self, run: str, parameters: Mapping[str, str]) -> None:
        """Log parameters; one that is there with the same value stays. One request for each 100.

        Raises:
            Invalid: A parameter has another value already, or is longer than 6000 characters
                (MLflow would cut it off silently).

        """
        hint = (
            "MLflow refuses the parameters: one was logged before with another value, a name is not"
            " allowed, or the run is deleted"
        )
        _check_keys("log parameters", run, parameters)
        for key, value in parameters.items():
            if len(value) > _PARAMETER_LIMIT:
                raise Invalid(
                    "MLflow",
                    "log parameters",
                    run,
                    f"the value of {key} is longer than {_PARAMETER_LIMIT} characters",
                )
        for chunk in _chunks(parameters):
            body = {"run_id": run, "params": pairs(chunk)}
            await self._rest.write(
                Ask("log parameters", run, hint), "runs/log-batch", body, parse=nothing
            )

    async def set_run_tags(self, run: str, tags: Mapping[str, str]) -> None:
        """Set tags. One request for each 100.

        Raises:
            Invalid: The run is deleted, or a tag is longer than 8000 characters (MLflow would cut
                it off silently).

        """
        _check_tags("tag run", run, tags)
        for chunk in _chunks(tags):
            ask = Ask(
                "tag run",
                run,
                "MLflow refuses the tags: a name is not allowed, or the run is deleted",
            )
            await self._rest.write(
                ask, "runs/log-batch", {"run_id": run, "tags": pairs(chunk)}, parse=nothing
            )

    async def finish_run(self, run: str, status: RunStatus) -> None:
        """Close a run now. One request."""
        ask = Ask("finish run", run, "MLflow refuses it: the run is deleted")
        await self._rest.write(
            ask, "runs/update", {"run_id": run, "status": status, "end_time": _now()}, parse=nothing
        )

    async def reopen_run(self, run: str) -> None:
        """Have a run that was closed go on. MLflow keeps when it ended last. One request."""
        ask = Ask("reopen run", run, "MLflow refuses it: the run is deleted")
        await self._rest.write(
            ask, "runs/update", {"run_id": run, "status": RunStatus.RUNNING}, parse=nothing
        )

    async def delete_run(self, run: str) -> None:
        """Soft-delete; deleting twice, or one that is gone, is no error. One request."""
        try:
            await self._rest.write(
                Ask("delete run", run), "runs/delete", {"run_id": run}, parse=nothing
            )
        except Missing:
            return

    async def restore_run(self, run: str) -> None:
        """Undo the soft deletion; restoring one that is active is no error. One request."""
        await self._rest.write(
            Ask("restore run", run), "runs/restore", {"run_id": run}, parse=nothing
        )

    async def logged_models(
        self, experiment: str, run: str, name: str | None = None
    ) -> tuple[LoggedModel, ...]:
        """Return the newest 50 models that a run logged whole, of this name if one is given, newest
        first. One request.

        MLflow before version 3 does not know the question: ask it only of a run that names its
        models.
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
        found = await self._rest.read(
            Ask("search models of", run), "logged-models/search", body=body, parse=_logged_models
        )
        # Once more here: some databases compare without case.
        return tuple(each for each in found if each.run == run and name in (None, each.name))


def _now() -> int:
    return time.time_ns() // 1_000_000


def _chunks(values: Mapping[str, str]) -> Iterator[dict[str, str]]:
    items = list(values.items())
    return (dict(items[start : start + _BATCH]) for start in range(0, len(items), _BATCH))


def _check_keys(operation: str, subject: str, values: Mapping[str, str]) -> None:
    """Name the key that MLflow would refuse: of a hundred in a request it names none that
    reaches anybody.
    """
    if (complaint := bad_key(values)) is not None:
        raise Invalid("MLflow", operation, subject, complaint)


def _check_tags(operation: str, subject: str, tags: Mapping[str, str]) -> None:
    _check_keys(operation, subject, tags)
    for key, value in tags.items():
        if len(value) > _TAG_LIMIT:
            raise Invalid(
                "MLflow",
                operation,
                subject,
                f"the value of tag {key} is longer than {_TAG_LIMIT} characters",
            )


def _filter(tags: Mapping[str, str]) -> str:
    """Write what can be written; the caller checks every run once more."""
    terms = (
        (key, quoted(value))
        for key, value in tags.items()
        if "`" not in key and quoted(key) is not None
    )
    return " AND ".join(f"tags.`{key}` = {value}" for key, value in terms if value is not None)


def _view(deleted: bool | None) -> str:
    return "ALL" if deleted is None else "DELETED_ONLY" if deleted else "ACTIVE_ONLY"


def _texts(run: TrackedRun) -> Iterator[str]:
    """Go through the texts of a run, whose number and length its logger chooses."""
    yield from (run.name, *run.tags, *run.tags.values(), *run.parameters, *run.parameters.values())


def _search(experiment: str) -> Ask:
    return Ask("search runs of", experiment)


def _run(run: Json, bounds: Bounds) -> TrackedRun:
    """Read a whole run."""
    info, data = run["info"], run.get("data", {})
    outputs = run.get("outputs", {}).get("model_outputs", ())
    found = replace(
        _brief(run, None),
        name=text(info.get("run_name", "")),
        tags=tags_of(data.get("tags")),
        parameters=tags_of(data.get("params")),
        metrics=_metrics(data.get("metrics", ()), bounds.metrics),
        artifact_uri=text(info.get("artifact_uri", "")),
        models=tuple(
            id_of(output["model_id"])
            for output in sorted(outputs, key=lambda output: int(output.get("step", 0)))
        ),
    )
    Room(bounds).take(*_texts(found))
    return found


def _brief(run: Json, metric: str | None) -> TrackedRun:
    """Read what a list of runs shows: no parameters, no tags but our name, and of ten thousand
    metrics one.
    """
    info, data = run["info"], run.get("data", {})
    name = next(
        (
            text(tag["value"])[:_NAME_LIMIT]
            for tag in data.get("tags", ())
            if tag["key"] == NAME_TAG
        ),
        None,
    )
    return TrackedRun(
        id=id_of(info["run_id"]),
        experiment=id_of(info["experiment_id"]),
        name=text(info.get("run_name", ""))[:_NAME_LIMIT],
        status=RunStatus(info["status"]),
        deleted=info["lifecycle_stage"] == "deleted",
        start=moment(info.get("start_time")),
        end=moment(info.get("end_time")),
        tags={} if name is None else {NAME_TAG: name},
        metrics={
            each["key"]: float(each["value"])
            for each in data.get("metrics", ())
            if metric and each["key"] == metric
        },
    )


def _metrics(listed: Iterable[Json], most: int) -> dict[str, float]:
    """Read metrics; of very many ours, and those that sort first. System metrics come last."""
    found = ((text(each["key"]), float(each["value"])) for each in listed)
    return dict(
        nsmallest(
            most,
            found,
            key=lambda each: (
                not each[0].startswith(_OURS),
                each[0].startswith("system/"),
                each[0],
            ),
        )
    )


def _terms(wanted: Mapping[str, str]) -> str | None:
    """Write a filter over attributes; None when a value cannot be written."""
    terms = {key: quoted(value) for key, value in wanted.items()}
    return (
        None
        if None in terms.values()
        else " AND ".join(f"{key} = {value}" for key, value in terms.items())
    )


def _logged_models(answer: Json) -> list[LoggedModel]:
    found = [model["info"] for model in answer.get("models", ())]
    # MLflow 3 cannot filter by status.
    return [_logged_model(info) for info in found if info.get("status") == "LOGGED_MODEL_READY"]


def _logged_model(info: Json) -> LoggedModel:
    return LoggedModel(
        id=id_of(info["model_id"]),
        uri=text(info["artifact_uri"]),
        name=text(info["name"]),
        run=id_of(info.get("source_run_id") or "") or None,
        created=moment(info.get("creation_timestamp_ms")),
    )
