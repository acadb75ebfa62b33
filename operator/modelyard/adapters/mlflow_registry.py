"""MLflow's REST endpoints for registered models, versions, stages and aliases."""

from collections.abc import Awaitable, Iterable, Mapping
from typing import get_args

from modelyard.adapters.bounds import Room, TooLarge
from modelyard.adapters.instrument import Missing
from modelyard.adapters.mlflow_rest import Answer, Ask, Json, Oversized
from modelyard.adapters.mlflow_search import Pace, Page, endless, search
from modelyard.adapters.mlflow_shapes import (
    Part,
    moment,
    nothing,
    number,
    pairs,
    quoted,
    tags_of,
    text,
)
from modelyard.errors import Ambiguous, Invalid
from modelyard.ports import ModelStage, TrackedModel, TrackedVersion

__all__ = ["Registry"]

_PAGE = 1000


class Registry(Part):
    """The model registry of `ports.Tracking`."""

    async def model(self, name: str) -> TrackedModel | None:
        """Return a registered model. One request."""
        try:
            return await self._rest.read(
                Ask("read model", name), "registered-models/get", query={"name": name}, parse=_model
            )
        except Missing:
            return None

    async def create_model(self, name: str, description: str, tags: Mapping[str, str]) -> None:
        """Create a registered model. One request.

        Raises:
            Conflict: The name is taken.

        """
        body = {"name": name, "description": description, "tags": pairs(tags)}
        await self._rest.write(
            Ask("create model", name), "registered-models/create", body, parse=nothing
        )

    async def set_model_tags(
        self, name: str, tags: Mapping[str, str], description: str | None
    ) -> None:
        """Set tags, and the description unless it is None. One request for each."""
        ask = Ask("tag model", name, "MLflow refuses the tag: its key or value is too long")
        for key, value in tags.items():
            await self._rest.write(
                ask,
                "registered-models/set-tag",
                {"name": name, "key": key, "value": value},
                parse=nothing,
            )
        if description is not None:
            body = {"name": name, "description": description}
            await self._rest.write(
                Ask("describe model", name),
                "registered-models/update",
                body,
                method="PATCH",
                parse=nothing,
            )

    async def delete_model_tags(self, name: str, keys: Iterable[str]) -> None:
        """Delete tags; a missing one is no error. One request per tag."""
        for key in keys:
            await self._delete(
                Ask("untag model", name), "registered-models/delete-tag", {"name": name, "key": key}
            )

    async def delete_model(self, name: str) -> None:
        """Delete a model and its versions; a missing one is no error. One request."""
        await self._delete(Ask("delete model", name), "registered-models/delete", {"name": name})

    async def versions(self, model: str) -> tuple[TrackedVersion, ...]:
        """Return all versions of a model, oldest first; none if the model does not exist.

        One request per 1000 versions.
        """
        found = await self._search("read versions of", model, "name", model)
        return tuple(
            sorted(
                (version for version in found if version.model == model),
                key=lambda version: int(version.version),
            )
        )

    async def versions_of_run(self, run: str) -> tuple[TrackedVersion, ...]:
        """Return the versions of any model that came from a run, by model and age.

        One request per 1000 versions.
        """
        found = await self._search("read versions from run", run, "run_id", run)
        return tuple(
            sorted(
                (version for version in found if version.run == run),
                key=lambda each: (each.model, int(each.version)),
            )
        )

    async def create_version(
        self,
        model: str,
        source: str,
        run: str | None,
        tags: Mapping[str, str],
        logged_model: str | None,
    ) -> str:
        """Register a version and return MLflow's number for it. One request.

        Args:
            model: The registered model.
            source: The URI of the artifacts. With `logged_model` also `models:/<its id>`, as
                MLflow's own client writes it; MLflow resolves it once, at registration.
            run: The run that it came from; with `logged_model` MLflow finds it itself.
            tags: The version's tags.
            logged_model: The id `m-...` that links the version to the logged model; a source
                `models:/m-...` requires it.

        Raises:
            Invalid: There is no such model, or the source is not allowed.
            Ambiguous: MLflow does not know the logged model; it links it after creating the
                version.

        """
        body: Json = {"name": model, "source": source, "tags": pairs(tags)}
        if run is not None:
            body["run_id"] = run
        if logged_model is not None:
            body["model_id"] = logged_model
        ask = Ask(
            "register version of",
            model,
            "MLflow refuses the version: its source is not allowed, or is not that of the logged"
            " model",
        )
        try:
            return await self._rest.write(
                ask,
                "model-versions/create",
                body,
                parse=lambda a: number(a["model_version"]["version"]),
            )
        except Missing:
            if logged_model is None:
                raise
            raise Ambiguous(
                "MLflow", ask.operation, model, "MLflow has no such model, or no such logged model"
            ) from None

    async def set_version_tags(self, model: str, version: str, tags: Mapping[str, str]) -> None:
        """Set tags. One request per tag."""
        ask = Ask(
            "tag version",
            f"{model}/{version}",
            "MLflow refuses the tag: its key or value is too long",
        )
        for key, value in tags.items():
            body = {"name": model, "version": version, "key": key, "value": value}
            await self._rest.write(ask, "model-versions/set-tag", body, parse=nothing)

    async def transition(
        self, model: str, version: str, stage: ModelStage, *, displacing: bool = False
    ) -> None:
        """Move one version to an MLflow stage. One request.

        With `displacing`, MLflow archives the versions that are in the stage.
        """
        body = {
            "name": model,
            "version": version,
            "stage": stage,
            "archive_existing_versions": displacing,
        }
        await self._rest.write(
            Ask("move version", f"{model}/{version} to {stage}"),
            "model-versions/transition-stage",
            body,
            parse=nothing,
        )

    async def set_alias(self, model: str, alias: str, version: str) -> None:
        """Set an alias to a version, and so remove it from any other. One request."""
        ask = Ask(
            "set alias",
            f"{model}@{alias}",
            "MLflow refuses the alias: latest, and v with a number, are reserved",
        )
        body = {"name": model, "alias": alias, "version": version}
        await self._rest.write(ask, "registered-models/alias", body, parse=nothing)

    async def delete_alias(self, model: str, alias: str) -> None:
        """Delete an alias; a missing alias or model is no error. One request."""
        await self._delete(
            Ask("delete alias", f"{model}@{alias}"),
            "registered-models/alias",
            {"name": model, "alias": alias},
        )

    async def delete_version(self, model: str, version: str) -> None:
        """Delete a version with its aliases; a missing one is no error. One request."""
        await self._delete(
            Ask("delete version", f"{model}/{version}"),
            "model-versions/delete",
            {"name": model, "version": version},
        )

    async def _delete(self, ask: Ask, path: str, body: Json) -> None:
        try:
            await self._rest.write(ask, path, body, method="DELETE", parse=nothing)
        except Missing:
            return

    async def _search(
        self, operation: str, subject: str, attribute: str, value: str
    ) -> list[TrackedVersion]:
        text_ = quoted(value)
        if text_ is None:
            raise Invalid(
                "MLflow",
                operation,
                subject,
                "this name cannot be searched for: it has quotes of both kinds or control"
                " characters",
            )
        ask = Ask(operation, subject)
        query = {"filter": f"{attribute} = {text_}", "order_by": "version_number ASC"}

        def page(rows: int, token: str) -> Awaitable[Answer[Page[TrackedVersion]]]:
            more = {"max_results": str(rows)} | ({"page_token": token} if token else {})
            return self._rest.page(ask, "model-versions/search", query=query | more, parse=_page)

        room = Room(self._rest.bounds)

        def fits(version: TrackedVersion) -> bool:
            room.take(version.model, version.source, *version.tags, *version.tags.values())
            return True

        try:
            found = await search(page, self._rest.bounds, Pace(_PAGE), keep=fits)
        except TooLarge as large:
            raise Oversized("MLflow", operation, subject, str(large)) from None
        if not found.complete:
            raise endless(ask, self._rest.bounds)
        return found.rows


def _model(answer: Json) -> TrackedModel:
    found = answer["registered_model"]
    return TrackedModel(
        name=text(found["name"]),
        description=text(found.get("description", "")),
        tags=tags_of(found.get("tags")),
        aliases={
            text(alias["alias"]): number(alias["version"]) for alias in found.get("aliases", ())
        },
    )


def _page(answer: Json) -> tuple[list[TrackedVersion], str]:
    return [_version(version) for version in answer.get("model_versions", ())], text(
        answer.get("next_page_token", "")
    )


def _version(found: Json) -> TrackedVersion:
    return TrackedVersion(
        model=text(found["name"]),
        version=number(found["version"]),
        source=text(found.get("source", "")),
        run=text(found.get("run_id") or "") or None,
        stage=_stage(found.get("current_stage", "None")),
        ready=found.get("status", "READY") == "READY",
        tags=tags_of(found.get("tags")),
        created=moment(found.get("creation_timestamp")),
    )


def _stage(value: object) -> ModelStage:
    stages: tuple[ModelStage, ...] = get_args(ModelStage)
    stage = next((each for each in stages if each == value), None)
    if stage is None:
        raise ValueError("not one of MLflow's four stages")
    return stage
