"""MLflow's own store, on its database: the only module that knows its internals.

MLflow has no REST call that deletes permanently. This module calls what `mlflow gc` calls
(`_hard_delete_run`, `_hard_delete_logged_model`, `_hard_delete_experiment`) and reads the tables as
`mlflow gc` does. None of this is a public interface, so MLflow is pinned, and
`tests/contract/test_purge.py` checks it on SQLite and PostgreSQL.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from mlflow.entities import LifecycleStage
from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as RegistryStore
from mlflow.store.tracking.dbmodels.models import (
    SqlExperiment,
    SqlExperimentTag,
    SqlInput,
    SqlLoggedModel,
    SqlRun,
    SqlTag,
)
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from modelyard.api.pod_end import PodReason
from modelyard_runtime.outcome import Failure, one_line
from modelyard_runtime.purge.things import Experiment, LoggedModel, Owner, Run, Ties, Version
from modelyard_runtime.purge.work import DatabaseError

__all__ = ["MlflowDatabase", "open_database"]

_UID, _NAMESPACE = "modelyard.io/uid", "modelyard.io/namespace"


def open_database(uri: str, registry: str | None = None) -> "MlflowDatabase":
    """Open a database that an MLflow server has created; never create one, as MLflow would.

    Args:
        uri: SQLAlchemy's URI of the tracking store.
        registry: The URI of the model registry, if it is another database.

    Raises:
        Failure: InvalidConfiguration if it is not a database of this version of MLflow;
            DatabaseUnavailable if it does not answer.

    """
    for each in {uri, registry or uri}:
        _check(each)
    try:
        # The artifact root is for new experiments, and none is created.
        return MlflowDatabase(SqlAlchemyStore(uri, "s3://none"), RegistryStore(registry or uri))
    except MlflowException as error:
        raise Failure(
            PodReason.INVALID_CONFIGURATION, f"MLflow rejects the database: {one_line(error)}"
        ) from error


def _check(uri: str) -> None:
    """Check that MLflow's tables and its default experiment exist, which MLflow would create."""
    try:
        url = sa.make_url(uri)
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
            raise Failure(
                PodReason.INVALID_CONFIGURATION,
                f"MLFLOW_BACKEND_STORE_URI or MLFLOW_REGISTRY_STORE_URI names the file"
                f" {url.database}, which does not exist",
            )
        engine = sa.create_engine(url)
    # Its message is not repeated: the URI in it contains a password.
    except (sa.exc.ArgumentError, ImportError) as error:
        raise Failure(
            PodReason.INVALID_CONFIGURATION,
            "MLFLOW_BACKEND_STORE_URI or MLFLOW_REGISTRY_STORE_URI is not the URI of a database"
            f" ({type(error).__name__})",
        ) from None
    try:
        with engine.connect() as connection:
            there = sa.inspect(connection).has_table("experiments")
            known = (
                there
                and connection.execute(
                    sa.text("SELECT count(*) FROM experiments WHERE experiment_id = 0")
                ).scalar()
            )
    except sa.exc.SQLAlchemyError as error:
        raise Failure(
            PodReason.DATABASE_UNAVAILABLE, f"{url.host or url.database}: {one_line(error)}"
        ) from error
    finally:
        engine.dispose()
    if not known:
        raise Failure(
            PodReason.INVALID_CONFIGURATION,
            f"{url.render_as_string()} is not the database of an MLflow server that has started",
        )


class MlflowDatabase:
    """Implements `work.Database`."""

    def __init__(self, tracking: SqlAlchemyStore, registry: RegistryStore) -> None:
        """Keep both stores."""
        self._tracking = tracking
        self._registry = registry

    def deleted_runs(self, before: int) -> list[str]:
        """Return the ids of runs that were soft-deleted by then, oldest first."""
        return self._ids(
            sa.select(SqlRun.run_uuid)
            .where(*_deleted(SqlRun, SqlRun.deleted_time, before))
            .order_by(SqlRun.deleted_time)
        )

    def deleted_models(self, before: int) -> list[str]:
        """Return the ids of logged models that were soft-deleted by then, oldest first."""
        time = SqlLoggedModel.last_updated_timestamp_ms
        return self._ids(
            sa.select(SqlLoggedModel.model_id)
            .where(*_deleted(SqlLoggedModel, time, before))
            .order_by(time)
        )

    def deleted_experiments(self, before: int) -> list[str]:
        """Return the ids of experiments that were soft-deleted by then, oldest first."""
        time = SqlExperiment.last_update_time
        return self._ids(
            sa.select(SqlExperiment.experiment_id)
            .where(*_deleted(SqlExperiment, time, before))
            .order_by(time)
        )

    def run(self, id_: str) -> Run | None:
        """Return a run with its logged models."""
        with _session(self._tracking) as session:
            if (found := session.get(SqlRun, id_)) is None:
                return None
            tags = _tags(session, SqlTag, SqlTag.run_uuid == id_)
            query = (
                sa.select(SqlLoggedModel)
                .where(SqlLoggedModel.source_run_id == id_)
                .order_by(SqlLoggedModel.model_id)
            )
            models = tuple(_model(each) for each in session.scalars(query))
            deleted = (
                found.deleted_time if found.lifecycle_stage == LifecycleStage.DELETED else None
            )
            return Run(
                found.run_uuid,
                found.artifact_uri or "",
                str(found.experiment_id),
                _owner(tags),
                deleted,
                models,
            )

    def model(self, id_: str) -> LoggedModel | None:
        """Return a logged model."""
        with _session(self._tracking) as session:
            found = session.get(SqlLoggedModel, id_)
            return None if found is None else _model(found)

    def experiment(self, id_: str) -> Experiment | None:
        """Return an experiment with the ids of its runs and models, deleted or not."""
        with _session(self._tracking) as session:
            if (found := session.get(SqlExperiment, int(id_))) is None:
                return None
            owner = _owner(
                _tags(session, SqlExperimentTag, SqlExperimentTag.experiment_id == int(id_))
            )
            runs = tuple(
                session.scalars(sa.select(SqlRun.run_uuid).where(SqlRun.experiment_id == int(id_)))
            )
            models = tuple(
                session.scalars(
                    sa.select(SqlLoggedModel.model_id).where(
                        SqlLoggedModel.experiment_id == int(id_)
                    )
                )
            )
            deleted = (
                found.last_update_time if found.lifecycle_stage == LifecycleStage.DELETED else None
            )
            return Experiment(id_, found.name, owner, deleted, runs, models)

    def ties(self, thing: Run | LoggedModel, apart: Collection[str]) -> Ties:
        """Return what may need a thing, except the ids in `apart`.

        Anything stored under its artifacts has the thing's id in its location, because
        `things.place` accepts no other location.
        """
        names = {thing.id, thing.run} - {""} if isinstance(thing, LoggedModel) else {thing.id}
        with _session(self._tracking) as session:
            users = sa.select(SqlRun.run_uuid).join(SqlInput, SqlInput.source_id == SqlRun.run_uuid)
            users = users.where(
                SqlInput.destination_id == thing.id, SqlRun.lifecycle_stage == LifecycleStage.ACTIVE
            )
            used = tuple(id_ for id_ in session.scalars(users) if id_ not in apart)
            lodgers = tuple(self._lodgers(session, thing.id, apart))
        return Ties(self._versions(names, thing.location), used, lodgers)

    def _lodgers(self, session: Any, id_: str, apart: Collection[str]) -> Iterator[str]:
        for kind, key, location in (
            ("run", SqlRun.run_uuid, SqlRun.artifact_uri),
            ("logged model", SqlLoggedModel.model_id, SqlLoggedModel.artifact_location),
            ("experiment", SqlExperiment.experiment_id, SqlExperiment.artifact_location),
        ):
            for found in session.scalars(
                sa.select(key).where(location.contains(id_, autoescape=True))
            ):
                if str(found) not in apart:
                    yield f"{kind} {found}"

    def _versions(self, names: Collection[str], location: str) -> tuple[Version, ...]:
        """Return the versions that name one of these, or a place that the location begins with."""
        columns = (SqlModelVersion.source, SqlModelVersion.storage_location)
        means = [SqlModelVersion.run_id.in_(names)]
        for column in columns:
            means += [column.contains(name, autoescape=True) for name in names]
            means.append(
                sa.and_(column != "", sa.func.substr(location, 1, sa.func.length(column)) == column)
            )
        query = sa.select(SqlModelVersion).where(
            SqlModelVersion.current_stage != STAGE_DELETED_INTERNAL, sa.or_(*means)
        )
        with _session(self._registry) as session:
            return tuple(
                Version(
                    each.name,
                    each.version,
                    each.run_id or "",
                    (each.source or "", each.storage_location or ""),
                )
                for each in session.scalars(query)
            )

    def delete_run(self, id_: str) -> None:
        """Delete a run's record permanently."""
        _translated(self._tracking._hard_delete_run, id_)  # noqa: SLF001 - see the module's docstring

    def delete_model(self, id_: str) -> None:
        """Delete a logged model's record permanently."""
        _translated(self._tracking._hard_delete_logged_model, id_)  # noqa: SLF001 - see the module's docstring

    def delete_experiment(self, id_: str) -> None:
        """Delete an experiment's record permanently."""
        _translated(self._tracking._hard_delete_experiment, id_)  # noqa: SLF001 - see the module's docstring

    def _ids(self, query: Any) -> list[str]:
        with _session(self._tracking) as session:
            return [str(each) for each in session.scalars(query)]


@contextmanager
def _session(store: Any) -> Iterator[Any]:
    """Open a session to read; translate its errors to DatabaseError."""
    try:
        with store.ManagedSessionMaker() as session:
            yield session
    except MlflowException as error:
        raise DatabaseError(one_line(error)) from error


def _translated(delete: Callable[[str], None], id_: str) -> None:
    try:
        delete(id_)
    except MlflowException as error:
        raise DatabaseError(one_line(error)) from error


def _deleted(table: Any, time: Any, before: int) -> tuple[Any, Any]:
    return table.lifecycle_stage == LifecycleStage.DELETED, time <= before


def _tags(session: Any, table: Any, of: Any) -> dict[str, str]:
    found = session.execute(
        sa.select(table.key, table.value).where(of, table.key.in_((_UID, _NAMESPACE)))
    )
    return {key: value for key, value in found if value}


def _owner(tags: dict[str, str]) -> Owner:
    return Owner(tags.get(_UID, ""), tags.get(_NAMESPACE, ""))


def _model(found: SqlLoggedModel) -> LoggedModel:
    deleted = (
        found.last_updated_timestamp_ms if found.lifecycle_stage == LifecycleStage.DELETED else None
    )
    return LoggedModel(
        found.model_id,
        found.artifact_location or "",
        str(found.experiment_id),
        found.source_run_id or "",
        deleted,
    )
