"""Purge what was soft-deleted and nothing needs, through the protocols Database and Artifacts.

Artifacts are deleted first, then the record: if the program is killed in between, the record is
still soft-deleted, and the next purge deletes it.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from modelyard.api.artifacts import Location
from modelyard_runtime.outcome import one_line
from modelyard_runtime.purge.things import (
    Experiment,
    LoggedModel,
    Owner,
    Run,
    Ties,
    needed_by,
    place,
)
from modelyard_runtime.s3 import StoreError

__all__ = ["Artifacts", "Database", "DatabaseError", "Options", "Summary", "purge"]

_DEFAULT_EXPERIMENT = "0"


class DatabaseError(Exception):
    """MLflow's database does not answer, or refuses a request."""


class Database(Protocol):
    """MLflow's store. Every answer is fresh; every method may raise DatabaseError."""

    def deleted_runs(self, before: int) -> list[str]: ...
    def deleted_models(self, before: int) -> list[str]: ...
    def deleted_experiments(self, before: int) -> list[str]: ...
    def run(self, id_: str) -> Run | None: ...
    def model(self, id_: str) -> LoggedModel | None: ...
    def experiment(self, id_: str) -> Experiment | None: ...
    def ties(self, thing: Run | LoggedModel, apart: Collection[str]) -> Ties:
        """Return what may need a thing, except the ids in `apart`, such as those purged with it."""

    def delete_run(self, id_: str) -> None: ...
    def delete_model(self, id_: str) -> None: ...
    def delete_experiment(self, id_: str) -> None: ...


class Artifacts(Protocol):
    """S3: count or delete the objects under a prefix; both return their number and total bytes."""

    def size(self, prefix: Location) -> tuple[int, int]: ...
    def remove(self, prefix: Location) -> tuple[int, int]: ...


@dataclass(frozen=True)
class Options:
    """What to purge."""

    before: int
    """Purge what was deleted at this time or earlier, in milliseconds since 1970."""
    run_ids: tuple[str, ...] | None = None
    """Purge only these runs and their logged models, whenever they were deleted."""
    everybody: bool = False
    """Also purge what has no tag of modelyard."""
    dry_run: bool = False
    """Print what would be purged; change nothing."""


@dataclass
class Summary:
    """The result of a purge; the last line of the log."""

    runs: int = 0
    models: int = 0
    experiments: int = 0
    objects: int = 0
    bytes: int = 0
    kept: int = 0
    failed: int = 0
    dry_run: bool = False
    gone: set[str] = field(default_factory=set, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the counts, for JSON."""
        return {key: value for key, value in asdict(self).items() if key != "gone"}


class _Kept(Exception):
    """Something is kept; the text says why."""


class _NotDeleted(Exception):
    """`--run-ids` names a run that is not soft-deleted."""


def purge(
    database: Database, artifacts: Artifacts, options: Options, say: Callable[[str], None]
) -> Summary:
    """Purge one thing after the other; a failure is printed and counted, and the next one follows.

    Raises:
        DatabaseError: The list of what was soft-deleted cannot be read.

    """
    work = _Work(database, artifacts, options, say)
    if options.run_ids is not None:
        work.each("run", options.run_ids, work.purge_run)
        return work.summary
    old = database.deleted_experiments(options.before)
    work.each("run", database.deleted_runs(options.before), work.purge_run)
    inside = [
        id_
        for each in old
        if (found := database.experiment(each)) and work.ours(found.owner)
        for id_ in found.models
    ]
    models = [
        id_
        for id_ in dict.fromkeys([*database.deleted_models(options.before), *inside])
        if id_ not in work.summary.gone
    ]
    work.each("logged model", models, work.purge_model)
    work.each("experiment", old, work.purge_experiment)
    return work.summary


class _Work:
    """The state of one purge."""

    def __init__(
        self, database: Database, artifacts: Artifacts, options: Options, say: Callable[[str], None]
    ) -> None:
        self._database = database
        self._artifacts = artifacts
        self._options = options
        self._say = say
        self.summary = Summary(dry_run=options.dry_run)

    def each(self, kind: str, ids: Iterable[str], act: Callable[[str], str]) -> None:
        """Call `act` with each id, and print one line about the result."""
        for id_ in ids:
            try:
                self._say(
                    f"{'would purge' if self._options.dry_run else 'purged'} {kind} {id_}:"
                    f" {act(id_)}"
                )
            except _Kept as why:
                self.summary.kept += 1
                self._say(f"kept {kind} {id_}: {why}")
            except _NotDeleted as error:
                self.summary.failed += 1
                self._say(f"refused {kind} {id_}: {error}")
            except (DatabaseError, StoreError) as error:
                self.summary.failed += 1
                self._say(f"failed {kind} {id_}: {one_line(error)}")

    def ours(self, owner: Owner) -> bool:
        """Return whether the owner of something allows to purge it."""
        return bool(owner.uid) or self._options.everybody

    def purge_run(self, id_: str) -> str:
        """Purge a run with the models that it logged, all or nothing."""
        run = self._database.run(id_)
        if run is None:
            raise _Kept("this run does not exist (any longer)")
        if run.deleted is None or (
            self._options.run_ids is None and run.deleted > self._options.before
        ):
            raise self._not_deleted("run")
        owner = self._owner(run.owner, run.experiment)
        together = {run.id, *(model.id for model in run.models)}
        # Check the run and all its models before deleting any of them.
        things: list[Run | LoggedModel] = [run, *run.models]
        prefixes = [self._free(thing, owner, together, of=run.id) for thing in things]
        objects, size = self._take(prefixes)
        if not self._options.dry_run:
            for model in run.models:
                self._database.delete_model(model.id)
            self._database.delete_run(run.id)
        self.summary.runs += 1
        self.summary.models += len(run.models)
        self.summary.gone |= together
        more = f" with {len(run.models)} logged model(s)" if run.models else ""
        return f"{objects} object(s), {size} bytes{more} from {prefixes[0]}"

    def purge_model(self, id_: str) -> str:
        """Purge a logged model without its run: it was soft-deleted, or its experiment was."""
        model = self._database.model(id_)
        if model is None:
            raise _Kept("this logged model does not exist (any longer)")
        experiment = self._database.experiment(model.experiment)
        expired = [
            thing.deleted for thing in (model, experiment) if thing and thing.deleted is not None
        ]
        if not expired or min(expired) > self._options.before:
            raise self._not_deleted("logged model")
        run = self._database.run(model.run) if model.run else None
        if run is not None and model.deleted is None:
            raise _Kept(f"run {run.id}, which logged it, is kept")
        owner = self._owner(run.owner if run else Owner(), model.experiment, also_living=True)
        prefix = self._free(model, owner, {model.id, model.run})
        objects, size = self._take([prefix])
        if not self._options.dry_run:
            self._database.delete_model(model.id)
        self.summary.models += 1
        self.summary.gone.add(model.id)
        return f"{objects} object(s), {size} bytes from {prefix}"

    def purge_experiment(self, id_: str) -> str:
        """Purge an experiment that is empty: MLflow would delete the records of runs with it."""
        experiment = self._database.experiment(id_)
        if experiment is None:
            raise _Kept("this experiment does not exist (any longer)")
        if experiment.deleted is None or experiment.deleted > self._options.before:
            raise self._not_deleted("experiment")
        if id_ == _DEFAULT_EXPERIMENT:
            raise _Kept("it is MLflow's default experiment")
        if not self.ours(experiment.owner):
            raise _Kept("it has no tag modelyard.io/uid, so it does not belong to modelyard")
        # A dry run deletes nothing, so what it would have deleted is still listed.
        gone = self.summary.gone if self._options.dry_run else set()
        runs, models = set(experiment.runs) - gone, set(experiment.models) - gone
        if runs or models:
            raise _Kept(f"it still has {len(runs)} run(s) and {len(models)} logged model(s)")
        if not self._options.dry_run:
            self._database.delete_experiment(id_)
        self.summary.experiments += 1
        return experiment.name

    def _not_deleted(self, kind: str) -> Exception:
        """Return the exception for something that was restored, or never deleted."""
        if self._options.run_ids is not None:
            return _NotDeleted(f"the {kind} is not soft-deleted; delete it first")
        return _Kept("it was restored, or deleted again, in the meantime")

    def _owner(self, owner: Owner, experiment: str, *, also_living: bool = False) -> Owner:
        """Return the owner by a thing's own tags, or by its experiment's if that was deleted.

        Args:
            owner: The owner by its own tags.
            experiment: Its experiment.
            also_living: Use the experiment's tags even if it was not deleted.

        """
        if not owner.uid:
            around = self._database.experiment(experiment)
            if around is not None and (
                also_living
                or (around.deleted is not None and around.deleted <= self._options.before)
            ):
                owner = around.owner
        if not self.ours(owner):
            raise _Kept("it has no tag modelyard.io/uid, so it does not belong to modelyard")
        return owner

    def _free(
        self, thing: Run | LoggedModel, owner: Owner, apart: Collection[str], of: str = ""
    ) -> Location:
        """Return the prefix of a thing that nothing needs; `of` is the run it is purged with."""
        which = f"its logged model {thing.id}: " if of not in ("", thing.id) else ""
        prefix = place(thing.location, thing.id, owner.namespace)
        if isinstance(prefix, str):
            raise _Kept(which + prefix)
        if reason := needed_by(thing, prefix, self._database.ties(thing, apart)):
            raise _Kept(which + reason)
        return prefix

    def _take(self, prefixes: Iterable[Location]) -> tuple[int, int]:
        """Delete the artifacts; in a dry run, count them."""
        objects = total = 0
        for prefix in prefixes:
            count, size = (
                self._artifacts.size(prefix)
                if self._options.dry_run
                else self._artifacts.remove(prefix)
            )
            objects, total = objects + count, total + size
            self.summary.objects += count
            self.summary.bytes += size
        return objects, total
