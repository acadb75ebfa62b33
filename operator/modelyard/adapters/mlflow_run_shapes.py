"""Read runs and logged models from MLflow's JSON, and write filters over them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from heapq import nsmallest

from modelyard.adapters.bounds import Bounds, Room
from modelyard.adapters.mlflow_rest import Json
from modelyard.adapters.mlflow_shapes import id_of, moment, quoted, tags_of, text
from modelyard.api.run_status import RunStatus
from modelyard.kube.names import NAME_TAG
from modelyard.ports import LoggedModel, TrackedRun

__all__ = [
    "attribute_filter",
    "brief_run",
    "logged_models",
    "tag_filter",
    "texts_of",
    "view_of",
    "whole_run",
]

_NAME_LIMIT = 256
_OURS = "modelyard."


def whole_run(run: Json, bounds: Bounds) -> TrackedRun:
    """Read a whole run."""
    info, data = run["info"], run.get("data", {})
    outputs = run.get("outputs", {}).get("model_outputs", ())
    found = replace(
        brief_run(run, None),
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
    Room(bounds).take(*texts_of(found))
    return found


def brief_run(run: Json, metric: str | None) -> TrackedRun:
    """Read a run without parameters, with our name as the only tag, and with one metric."""
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
    """Read at most `most` metrics: ours first, system metrics last, otherwise by name."""
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


def texts_of(run: TrackedRun) -> Iterator[str]:
    """Yield the texts of a run; their number and length are the logging client's choice."""
    yield from (run.name, *run.tags, *run.tags.values(), *run.parameters, *run.parameters.values())


def logged_models(answer: Json) -> list[LoggedModel]:
    """Read the complete models of an answer."""
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


def tag_filter(tags: Mapping[str, str]) -> str:
    """Return a filter over the tags that can be quoted; the caller checks every run again."""
    terms = (
        (key, quoted(value))
        for key, value in tags.items()
        if "`" not in key and quoted(key) is not None
    )
    return " AND ".join(f"tags.`{key}` = {value}" for key, value in terms if value is not None)


def attribute_filter(wanted: Mapping[str, str]) -> str | None:
    """Return a filter over attributes; None if a value cannot be quoted."""
    terms = {key: quoted(value) for key, value in wanted.items()}
    if None in terms.values():
        return None
    return " AND ".join(f"{key} = {value}" for key, value in terms.items())


def view_of(deleted: bool | None) -> str:
    """Return MLflow's name for active runs, deleted ones, or both (None)."""
    return "ALL" if deleted is None else "DELETED_ONLY" if deleted else "ACTIVE_ONLY"
