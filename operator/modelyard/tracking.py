"""The port to a tenant's MLflow."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Protocol

from modelyard.api.run_status import RunStatus
from modelyard.tracked import (
    LoggedModel,
    ModelStage,
    RunList,
    TrackedExperiment,
    TrackedModel,
    TrackedRun,
    TrackedVersion,
)

__all__ = ["Tracking"]


class Tracking(Protocol):
    """One tenant's MLflow."""

    async def experiment(self, name: str) -> TrackedExperiment | None:
        """Find an experiment by name, preferring one that is not soft-deleted."""
        ...

    async def experiment_by_id(self, id_: str) -> TrackedExperiment | None:
        """Return an experiment, including soft-deleted ones."""
        ...

    async def create_experiment(self, name: str, location: str, tags: Mapping[str, str]) -> str:
        """Create an experiment and return its id."""
        ...

    async def restore_experiment(self, id_: str) -> None:
        """Undo the soft deletion."""
        ...

    async def delete_experiment(self, id_: str) -> None:
        """Soft-delete; a second call is no error."""
        ...

    async def set_experiment_tags(self, id_: str, tags: Mapping[str, str]) -> None:
        """Set tags."""
        ...

    async def delete_experiment_tags(self, id_: str, keys: Iterable[str]) -> None:
        """Delete tags; a missing one is no error."""
        ...

    async def run(self, id_: str) -> TrackedRun | None:
        """Return a run, including soft-deleted ones."""
        ...

    async def runs(
        self,
        experiment: str,
        *,
        tags: Mapping[str, str] | None = None,
        deleted: bool | None = False,
        limit: int = 1000,
    ) -> tuple[TrackedRun, ...]:
        """Return the newest runs of an experiment with these tags.

        `deleted`: only the soft-deleted ones; None: both.
        """
        ...

    async def newest_runs(
        self, experiment: str, *, deleted: bool | None, limit: int, metric: str | None
    ) -> RunList:
        """Return the newest runs, as many as can be read.

        Only the named metric is read; `deleted` is as in `runs`.
        """
        ...

    async def ended_runs(
        self, experiment: str, before: datetime, *, limit: int, metric: str | None
    ) -> RunList:
        """Return the runs that ended before a time, earliest first, with only the named metric."""
        ...

    async def best_runs(
        self, experiment: str, metric: str, *, greatest: bool, limit: int
    ) -> RunList:
        """Return the finished runs with the best values of a metric, best first.

        Only this metric is read.
        """
        ...

    async def create_run(self, experiment: str, name: str, tags: Mapping[str, str]) -> str:
        """Create a run, in state RUNNING, and return its id."""
        ...

    async def log_parameters(self, run: str, parameters: Mapping[str, str]) -> None:
        """Log parameters; `Invalid` if one already has another value."""
        ...

    async def set_run_tags(self, run: str, tags: Mapping[str, str]) -> None:
        """Set tags."""
        ...

    async def finish_run(self, run: str, status: RunStatus) -> None:
        """Close a run now."""
        ...

    async def reopen_run(self, run: str) -> None:
        """Reopen a closed run; an open one is left as it is."""
        ...

    async def delete_run(self, run: str) -> None:
        """Soft-delete; a second call is no error."""
        ...

    async def restore_run(self, run: str) -> None:
        """Undo the soft deletion."""
        ...

    async def logged_models(
        self, experiment: str, run: str, name: str | None = None
    ) -> tuple[LoggedModel, ...]:
        """Return a run's newest 50 completely logged models, newest first; optionally by name."""
        ...

    async def model(self, name: str) -> TrackedModel | None:
        """Return a registered model."""
        ...

    async def create_model(self, name: str, description: str, tags: Mapping[str, str]) -> None:
        """Create a registered model; `Conflict` if the name exists."""
        ...

    async def set_model_tags(
        self, name: str, tags: Mapping[str, str], description: str | None
    ) -> None:
        """Set tags, and the description unless it is None."""
        ...

    async def delete_model_tags(self, name: str, keys: Iterable[str]) -> None:
        """Delete tags; a missing one is no error."""
        ...

    async def delete_model(self, name: str) -> None:
        """Delete the model and its versions; a missing one is no error."""
        ...

    async def versions(self, model: str) -> tuple[TrackedVersion, ...]:
        """Return all versions of a model, oldest first."""
        ...

    async def versions_of_run(self, run: str) -> tuple[TrackedVersion, ...]:
        """Return the versions of any model that came from a run."""
        ...

    async def create_version(
        self,
        model: str,
        source: str,
        run: str | None,
        tags: Mapping[str, str],
        logged_model: str | None,
    ) -> str:
        """Register a version and return MLflow's number for it."""
        ...

    async def set_version_tags(self, model: str, version: str, tags: Mapping[str, str]) -> None:
        """Set tags."""
        ...

    async def transition(
        self, model: str, version: str, stage: ModelStage, *, displacing: bool = False
    ) -> None:
        """Move one version to an MLflow stage; with `displacing`, archive those in it at once."""
        ...

    async def set_alias(self, model: str, alias: str, version: str) -> None:
        """Point an alias at a version."""
        ...

    async def delete_alias(self, model: str, alias: str) -> None:
        """Remove an alias; a missing one is no error."""
        ...

    async def delete_version(self, model: str, version: str) -> None:
        """Delete a version; a missing one is no error."""
        ...
