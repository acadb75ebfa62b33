"""MLflow's REST endpoints for runs and the models that they logged."""

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import datetime
from itertools import takewhile

from modelyard.adapters.bounds import Room, TooLarge
from modelyard.adapters.instrument import Missing
from modelyard.adapters.mlflow_rest import Answer, Ask, Json, Oversized, Rest
from modelyard.adapters.mlflow_run_shapes import (
    attribute_filter,
    brief_run,
    logged_models,
    tag_filter,
    texts_of,
    view_of,
    whole_run,
)
from modelyard.adapters.mlflow_search import Pace, Page, endless, search
from modelyard.adapters.mlflow_shapes import Part, id_of, nothing, pairs, text
from modelyard.api.keys import bad_key
from modelyard.api.run_status import RunStatus
from modelyard.errors import Invalid
from modelyard.ports import LoggedModel, RunList, TrackedRun

__all__ = ["Runs"]

_PAGE, _FIRST = 200, 25
"""Maximum runs per page, and runs of an experiment's first page: MLflow is slow with many large
runs.
"""
_PACES = 1000
"""Experiments whose page sizes are remembered."""
_BATCH = 100
_PARAMETER_LIMIT = 6000
_TAG_LIMIT = 8000
_MODELS = 50


class Runs(Part):
    """The runs of `ports.Tracking`, and the models that they logged."""

    def __init__(self, rest: Rest) -> None:
        """Use this session."""
        super().__init__(rest)
        self._paces: dict[str, Pace] = {}

    async def run(self, id_: str) -> TrackedRun | None:
        """Return a run, also if it is soft-deleted. One request."""
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
        """Return the newest runs of an experiment that have these tags, newest first.

        One request per 200 runs. An experiment that does not exist has none.

        Args:
            experiment: Its id.
            tags: Tags that the runs must have.
            deleted: Whether soft-deleted runs are returned instead of active ones; None: both.
            limit: Maximum number of runs.

        Raises:
            Unavailable: The search did not end within the limits.

        """
        wanted = dict(tags or {})
        room = Room(self._rest.bounds)

        def keep(run: TrackedRun) -> bool:
            # Checked again here: not every tag can be part of a filter, and some databases ignore
            # case.
            if not wanted.items() <= run.tags.items():
                return False
            room.take(*texts_of(run))
            return True

        try:
            found = await self._search_runs(
                experiment,
                tag_filter(wanted),
                "attributes.start_time DESC",
                limit,
                view=view_of(deleted),
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
        """Return the newest runs within the limits, newest first, with one metric only."""
        return await self._search_runs(
            experiment,
            "",
            "attributes.start_time DESC",
            limit,
            view=view_of(deleted),
            metric=metric or "",
        )

    async def ended_runs(
        self, experiment: str, before: datetime, *, limit: int, metric: str | None
    ) -> RunList:
        """Return the runs that ended before a moment, within the limits, with one metric only.

        The run that ended first comes first.
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
        """Return the finished runs with the best values of a metric, best first, within the limits.

        Empty if the metric's name has a backtick. MLflow sorts runs without the metric last, so the
        search stops there.
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
        return whole_run(run, self._rest.bounds)

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
                self._run(run) if metric is None else brief_run(run, metric)
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
        """Return an experiment's runs per page, kept for the `_PACES` last searched experiments."""
        pace = self._paces.pop(experiment, None) or Pace(_PAGE, _FIRST)
        self._paces[experiment] = pace
        if len(self._paces) > _PACES:
            del self._paces[next(iter(self._paces))]
        return pace

    async def create_run(self, experiment: str, name: str, tags: Mapping[str, str]) -> str:
        """Create a run in state RUNNING, started now, and return its id. One request."""
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
        """Log parameters; logging the same value again is no error. One request per 100.

        Raises:
            Invalid: A parameter has another value already, or is longer than 6000 characters
                (MLflow would truncate it silently).

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
        """Set tags. One request per 100.

        Raises:
            Invalid: The run is deleted, or a tag is longer than 8000 characters (MLflow would
                truncate it silently).

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
        """Set a closed run to RUNNING. MLflow keeps its last end time. One request."""
        ask = Ask("reopen run", run, "MLflow refuses it: the run is deleted")
        await self._rest.write(
            ask, "runs/update", {"run_id": run, "status": RunStatus.RUNNING}, parse=nothing
        )

    async def delete_run(self, run: str) -> None:
        """Soft-delete a run; a deleted or missing one is no error. One request."""
        try:
            await self._rest.write(
                Ask("delete run", run), "runs/delete", {"run_id": run}, parse=nothing
            )
        except Missing:
            return

    async def restore_run(self, run: str) -> None:
        """Undo the soft deletion; restoring an active run is no error. One request."""
        await self._rest.write(
            Ask("restore run", run), "runs/restore", {"run_id": run}, parse=nothing
        )

    async def logged_models(
        self, experiment: str, run: str, name: str | None = None
    ) -> tuple[LoggedModel, ...]:
        """Return the newest 50 complete models of a run, newest first. One request.

        MLflow before version 3 lacks this endpoint: call it only for a run that names its models.
        With a name, only models of that name.
        """
        wanted = {"source_run_id": run} | ({} if name is None else {"name": name})
        filter_ = attribute_filter(wanted)
        if filter_ is None:
            return ()
        body: Json = {
            "experiment_ids": [experiment],
            "filter": filter_,
            "max_results": _MODELS,
            "order_by": [{"field_name": "creation_timestamp", "ascending": False}],
        }
        found = await self._rest.read(
            Ask("search models of", run), "logged-models/search", body=body, parse=logged_models
        )
        # Checked again here: some databases ignore case.
        return tuple(each for each in found if each.run == run and name in (None, each.name))


def _now() -> int:
    return time.time_ns() // 1_000_000


def _chunks(values: Mapping[str, str]) -> Iterator[dict[str, str]]:
    items = list(values.items())
    return (dict(items[start : start + _BATCH]) for start in range(0, len(items), _BATCH))


def _check_keys(operation: str, subject: str, values: Mapping[str, str]) -> None:
    """Refuse a key that MLflow would refuse, and name it: MLflow's answer is not passed on."""
    if (problem := bad_key(values)) is not None:
        raise Invalid("MLflow", operation, subject, problem)


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


def _search(experiment: str) -> Ask:
    return Ask("search runs of", experiment)
