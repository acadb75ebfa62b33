"""Find out where the artifacts of a version lie, before it is registered. Registering does not belong here."""

from dataclasses import dataclass

from modelyard.api.mlmodel import MLMODEL_LIMIT, MLModel, read_mlmodel
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.api.training_run import TrainingRun
from modelyard.errors import Invalid
from modelyard.kube.names import NAMESPACE_TAG
from modelyard.ports import ArtifactTree, LoggedModel, Tenant, TrackedRun
from modelyard.registered_model.claims import Claim

__all__ = ["Problem", "Source", "resolve"]


@dataclass(frozen=True)
class Source:
    """Where a version lies, and what its bytes are."""

    uri: str
    tree: ArtifactTree
    mlmodel: MLModel
    run: str | None = None
    training_run: str | None = None
    logged_model: str | None = None


@dataclass(frozen=True)
class Problem:
    """Why a version cannot be registered; `waiting`: it may yet be, by itself."""

    reason: Reason
    message: str
    waiting: bool = False


async def resolve(claim: Claim, runs: dict[str, TrainingRun], tenant: Tenant, namespace: str) -> Source | Problem:
    """Return where the artifacts lie, or why they cannot be had.

    Raises:
        Unavailable: MLflow or S3 did not answer.

    """
    try:
        if claim.source.training_run is not None:
            return await _training_run(claim.source.training_run, runs, tenant)
        if claim.source.run_id is not None:
            return await _run(claim.source.run_id, claim.source.path or "model", tenant, namespace)
        return await _tree(str(claim.source.uri), tenant)
    except Invalid as error:
        return Problem(Reason.VERSION_INVALID, str(error))


async def _training_run(name: str, runs: dict[str, TrainingRun], tenant: Tenant) -> Source | Problem:
    run = runs.get(name)
    if run is None:
        return Problem(
            Reason.WAITING_FOR_VERSION, f"There is no TrainingRun {name} in this namespace. Create it; it goes on by itself.", waiting=True
        )
    succeeded = run.status.condition("Succeeded")
    if succeeded is None or succeeded.status == "Unknown":
        return Problem(Reason.WAITING_FOR_VERSION, f"The TrainingRun {name} has not ended yet.", waiting=True)
    if succeeded.status == "False":
        return Problem(Reason.VERSION_INVALID, f"The TrainingRun {name} failed: name another one under another version.")
    if run.status.model is None or run.status.mlflow is None:
        return Problem(Reason.VERSION_INVALID, f"The TrainingRun {name} logged no model: name another one under another version.")
    source = await _tree(run.status.model.uri, tenant)
    if isinstance(source, Problem):
        return source
    if source.tree.digest != run.status.model.digest:
        message = f"The model of the TrainingRun {name} is not the one that it logged: its bytes have changed since. Train again."
        return Problem(Reason.ARTIFACT_DIGEST_MISMATCH, message)
    tracked = await tenant.tracking.run(run.status.mlflow.run_id)
    logged = await _logged(tracked, tenant) if tracked else []
    model_id = next((model.id for model in logged if model.uri.rstrip("/") == source.uri.rstrip("/")), None)
    return Source(source.uri, source.tree, source.mlmodel, run.status.mlflow.run_id, name, model_id)


async def _run(run_id: str, path: str, tenant: Tenant, namespace: str) -> Source | Problem:
    tracked = await tenant.tracking.run(run_id)
    if tracked is None or tracked.tags.get(NAMESPACE_TAG, namespace) != namespace:
        return Problem(
            Reason.VERSION_INVALID, f"MLflow has no run {run_id} of this namespace. Declare another version with a run that exists."
        )
    logged = next((model for model in reversed(await _logged(tracked, tenant)) if model.name == path), None)
    uri = logged.uri if logged else f"{tracked.artifact_uri.rstrip('/')}/{path}"
    source = await _tree(uri, tenant)
    if isinstance(source, Problem):
        return source
    return Source(source.uri, source.tree, source.mlmodel, run_id, None, logged.id if logged else None)


async def _logged(run: TrackedRun, tenant: Tenant) -> list[LoggedModel]:
    return [model for id_ in run.models if (model := await tenant.tracking.logged_model(id_)) is not None]


async def _tree(uri: str, tenant: Tenant) -> Source | Problem:
    text = await tenant.store.read(f"{uri.rstrip('/')}/MLmodel", MLMODEL_LIMIT)
    tree = await tenant.store.digest(uri) if text is not None else None
    if text is None or tree is None:
        return Problem(Reason.ARTIFACT_MISSING, f"There is no MLmodel file below {uri}. Put the model there, or declare another version.")
    return Source(uri, tree, read_mlmodel(text))
