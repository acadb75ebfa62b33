"""MLflow's REST endpoints for experiments. Names and tags are the caller's."""

from collections.abc import Iterable, Mapping

from modelyard.adapters.instrument import Missing
from modelyard.adapters.mlflow_rest import Ask, Json
from modelyard.adapters.mlflow_shapes import Part, id_of, nothing, pairs, tags_of, text
from modelyard.ports import TrackedExperiment

__all__ = ["Experiments"]


class Experiments(Part):
    """The experiments of `ports.Tracking`."""

    async def experiment(self, name: str) -> TrackedExperiment | None:
        """Find an experiment by name, including soft-deleted ones. One request.

        MLflow prefers one that is not deleted.
        """
        try:
            return await self._rest.read(
                Ask("read experiment", name),
                "experiments/get-by-name",
                query={"experiment_name": name},
                parse=_experiment,
            )
        except Missing:
            return None

    async def experiment_by_id(self, id_: str) -> TrackedExperiment | None:
        """Return an experiment, also if it is soft-deleted. One request."""
        try:
            return await self._rest.read(
                Ask("read experiment", id_),
                "experiments/get",
                query={"experiment_id": id_},
                parse=_experiment,
            )
        except Missing:
            return None

    async def create_experiment(self, name: str, location: str, tags: Mapping[str, str]) -> str:
        """Create an experiment and return its id. One request.

        Raises:
            Conflict: The name is taken, possibly by a soft-deleted experiment.

        """
        body = {"name": name, "artifact_location": location, "tags": pairs(tags)}
        return await self._rest.write(
            Ask("create experiment", name),
            "experiments/create",
            body,
            parse=lambda a: id_of(a["experiment_id"]),
        )

    async def restore_experiment(self, id_: str) -> None:
        """Undo the soft deletion; restoring an active experiment is no error.

        MLflow restores all of its runs with it. One request; two if it was not deleted.
        """
        ask = Ask("restore experiment", id_)
        try:
            await self._rest.write(
                ask, "experiments/restore", {"experiment_id": id_}, parse=nothing
            )
        except Missing:
            # MLflow gives the same answer for an active experiment and for one that does not exist.
            await self._rest.read(
                ask, "experiments/get", query={"experiment_id": id_}, parse=_experiment
            )

    async def delete_experiment(self, id_: str) -> None:
        """Soft-delete an experiment with its runs; deleting twice is no error. One request."""
        try:
            await self._rest.write(
                Ask("delete experiment", id_),
                "experiments/delete",
                {"experiment_id": id_},
                parse=nothing,
            )
        except Missing:
            return

    async def set_experiment_tags(self, id_: str, tags: Mapping[str, str]) -> None:
        """Set tags. One request per tag: MLflow has no call for several."""
        ask = Ask(
            "tag experiment",
            id_,
            "MLflow refuses the tag: its key or value is too long, or the experiment is deleted",
        )
        for key, value in tags.items():
            body = {"experiment_id": id_, "key": key, "value": value}
            await self._rest.write(ask, "experiments/set-experiment-tag", body, parse=nothing)

    async def delete_experiment_tags(self, id_: str, keys: Iterable[str]) -> None:
        """Delete tags; a missing one is no error. One request per tag."""
        ask = Ask("untag experiment", id_, "MLflow refuses to: the experiment is deleted")
        for key in keys:
            try:
                await self._rest.write(
                    ask,
                    "experiments/delete-experiment-tag",
                    {"experiment_id": id_, "key": key},
                    parse=nothing,
                )
            except Missing:
                continue


def _experiment(answer: Json) -> TrackedExperiment:
    found = answer["experiment"]
    return TrackedExperiment(
        id=id_of(found["experiment_id"]),
        name=text(found["name"]),
        location=text(found.get("artifact_location", "")),
        deleted=found["lifecycle_stage"] == "deleted",
        tags=tags_of(found.get("tags")),
    )
