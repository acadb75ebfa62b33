"""Find where the artifacts of a declared version are stored, before it is recorded. I/O."""

from collections.abc import Mapping

from modelyard.api.blocker import Blocker, VersionBlocker
from modelyard.api.digest import listing_digest
from modelyard.api.mlmodel import MLMODEL_LIMIT, read_mlmodel
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.api.training_run import TrainingRun
from modelyard.errors import Invalid
from modelyard.kube.names import NAMESPACE_TAG
from modelyard.ports import ArtifactTree, LoggedModel, Tenant, TrackedRun
from modelyard.registered_model.declarations import Declaration
from modelyard.registered_model.observation import Source
from modelyard.tracked import logged_last

__all__ = ["resolve"]

_SHOWN = 4
"""How many models a message names."""


async def resolve(
    declaration: Declaration, runs: Mapping[str, TrainingRun], tenant: Tenant, namespace: str
) -> Source | Blocker:
    """Return where the artifacts are stored, or what blocks the version.

    Raises:
        Unavailable: MLflow or S3 did not answer.

    """
    source = declaration.source
    try:
        if source.training_run is not None:
            return await _training_run(source.training_run, runs, tenant)
        if source.run_id is not None:
            return await _run(source.run_id, source.path or "model", tenant, namespace)
        return await _tree(str(source.uri), tenant)
    except Invalid as error:
        return _invalid(str(error))


async def _training_run(
    name: str, runs: Mapping[str, TrainingRun], tenant: Tenant
) -> Source | Blocker:
    run = runs.get(name)
    if run is None:
        return _waiting(
            f"There is no TrainingRun {name} in this namespace. Create it, and the version is"
            " registered."
        )
    succeeded = run.status.condition("Succeeded")
    if succeeded is None or succeeded.status == "Unknown":
        return _waiting(f"The TrainingRun {name} has not finished yet.")
    if succeeded.status == "False":
        return _invalid(
            f"The TrainingRun {name} failed. Declare another version with another TrainingRun."
        )
    if run.status.candidates and run.status.mlflow is not None:
        return _invalid(
            f"The TrainingRun {name} logged several models at the same moment:"
            f" {', '.join(run.status.candidates)}. Declare another version with {{runId:"
            f" {run.status.mlflow.run_id}, path: <the model's name>}}."
        )
    if run.status.model is None or run.status.mlflow is None:
        return _invalid(
            f"The TrainingRun {name} logged no model. Declare another version with another"
            " TrainingRun."
        )
    model = run.status.model
    source = await _tree(
        model.uri, tenant, ArtifactTree(model.digest, model.bytes, 0), model.listing_digest
    )
    if isinstance(source, Blocker):
        return source
    if source.tree.digest != model.digest:
        message = (
            f"The model of the TrainingRun {name} has changed since it was logged. Train again."
        )
        return VersionBlocker.of(Reason.ARTIFACT_DIGEST_MISMATCH, message, needs_action=True)
    tracked = await tenant.tracking.run(run.status.mlflow.run_id)
    logged = await _logged(tenant, tracked) if tracked else ()
    model_id = next(
        (each.id for each in logged if each.uri.rstrip("/") == source.uri.rstrip("/")), None
    )
    return Source(source.uri, source.tree, source.mlmodel, run.status.mlflow.run_id, name, model_id)


async def _run(run_id: str, path: str, tenant: Tenant, namespace: str) -> Source | Blocker:
    tracked = await tenant.tracking.run(run_id)
    whose = await _namespace_of(tracked, tenant) if tracked else ""
    if tracked is None or whose not in {"", namespace}:
        return _invalid(
            f"MLflow has no run {run_id} of this namespace. Declare another version with a run that"
            " exists."
        )
    if not whose:
        return _invalid(
            f"The run {run_id} belongs to no namespace. In MLflow, set the tag {NAMESPACE_TAG} of"
            f" the run or of its experiment to {namespace}."
        )
    last = logged_last(await _logged(tenant, tracked, path))
    if len(last) > 1:
        return _invalid(
            f"The run {run_id} logged several models named {path} at the same moment. Declare"
            f" another version with one of uri: {', '.join(each.uri for each in last[:_SHOWN])}."
        )
    logged = last[0] if last else None
    uri = logged.uri if logged else f"{tracked.artifact_uri.rstrip('/')}/{path}"
    source = await _tree(uri, tenant)
    if isinstance(source, Blocker):
        return source
    return Source(
        source.uri, source.tree, source.mlmodel, run_id, None, logged.id if logged else None
    )


async def _namespace_of(run: TrackedRun, tenant: Tenant) -> str:
    """Return the namespace that a run belongs to; empty: none.

    The run's own tag counts, else its experiment's: a run that a notebook logs into an Experiment
    of ours has no tag of its own. A run with neither tag belongs to no namespace.
    """
    if own := run.tags.get(NAMESPACE_TAG):
        return own
    experiment = await tenant.tracking.experiment_by_id(run.experiment)
    return experiment.tags.get(NAMESPACE_TAG, "") if experiment else ""


async def _logged(
    tenant: Tenant, run: TrackedRun, name: str | None = None
) -> tuple[LoggedModel, ...]:
    return await tenant.tracking.logged_models(run.experiment, run.id, name) if run.models else ()


async def _tree(
    uri: str, tenant: Tenant, known: ArtifactTree | None = None, listing: str | None = None
) -> Source | Blocker:
    """Read a tree, unless its listing is still the one that `known` was read with."""
    text = await tenant.store.read(f"{uri.rstrip('/')}/MLmodel", MLMODEL_LIMIT)
    tree = None
    if text is not None and known is not None and listing is not None:
        objects = await tenant.store.objects(uri)
        if listing_digest((each.path, each.size, each.etag) for each in objects) == listing:
            tree = ArtifactTree(known.digest, known.bytes, len(objects), listing)
    if text is not None and tree is None:
        tree = await tenant.store.digest(uri)
    if text is None or tree is None:
        message = (
            f"There is no MLmodel file below {uri[:200]}. Put the model there, or declare another"
            " version."
        )
        return VersionBlocker.of(Reason.ARTIFACT_MISSING, message, needs_action=True)
    return Source(uri, tree, read_mlmodel(text))


def _waiting(message: str) -> Blocker:
    return VersionBlocker.of(Reason.WAITING_FOR_VERSION, message)


def _invalid(message: str) -> Blocker:
    return VersionBlocker.of(Reason.VERSION_INVALID, message, needs_action=True)
