"""Observe a RegisteredModel: MLflow's registry, the artifacts in S3, its owned objects. I/O.

An unreachable MLflow or S3 is recorded in the observation and is not raised, because the serving
objects are reconciled anyway.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from modelyard.api.blocker import Blocker, VersionBlocker
from modelyard.api.digest import listing_digest
from modelyard.api.pod_end import PodReason
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.api.registered_model import RegisteredModel, VersionStatus
from modelyard.api.training_run import TrainingRun
from modelyard.errors import Forbidden, Invalid, ModelyardError
from modelyard.kube.names import (
    ADOPT_ANNOTATION,
    ALLOW_CODE_LABEL,
    CONNECTION_SECRET,
    UID_TAG,
    mlflow_model_name,
)
from modelyard.kube.pod_state import pod_end
from modelyard.kube.pod_words import cleaned
from modelyard.plan import Manifest
from modelyard.ports import Ports, Tenant, TrackedModel, TrackedVersion
from modelyard.registered_model.declarations import declarations
from modelyard.registered_model.evidence import (
    answered,
    creation_errors,
    gather,
    kept_analyses,
    recorded,
    splits,
    with_kubernetes,
)
from modelyard.registered_model.neighbours import neighbours
from modelyard.registered_model.observation import Artifacts, Observation, Source
from modelyard.registered_model.sources import resolve
from modelyard.registered_model.versions import tracked_by_name

__all__ = ["observe"]


async def observe(model: RegisteredModel, ports: Ports, now: datetime) -> Observation:
    """Read Kubernetes, MLflow and S3.

    Raises:
        ModelyardError: Kubernetes did not answer.

    """
    meta = model.metadata
    concern = (
        body
        for body in ports.cluster.select("trainingruns", meta.namespace)
        if _concerns(model, body)
    )
    runs = {run.metadata.name: run for run in map(TrainingRun.parse, concern)}
    labels = await ports.cluster.namespace_labels(meta.namespace)
    found = Observation(
        declarations=declarations(model, runs.values()),
        runs=runs,
        refusals=ports.refusals,
        calendar=ports.cluster.calendar(),
        neighbours=neighbours(model, ports.cluster.select("registeredmodels", meta.namespace)),
        allow_code=labels.get(ALLOW_CODE_LABEL) == "true",
    )
    if any(map(_lacks_connection, ports.cluster.owned(meta.uid))):
        ports.reread_secrets(meta.namespace)
    try:
        tenant = await ports.tenant(meta.namespace)
        found = await _external(model, found, tenant, now)
    except ModelyardError as error:
        found = replace(found, dependency_error=error)
    if meta.deletion_timestamp is None:
        found = replace(
            found, evidence=await with_kubernetes(model, ports.cluster, found.evidence, now)
        )
    text_filter = ports.text_filter(
        meta.namespace
    )  # after the tenant was read, so with its present Secret
    owned = tuple(cleaned(each, text_filter) for each in ports.cluster.owned(meta.uid))
    errors = await creation_errors(owned, ports.cluster, text_filter, now)
    counted = await answered(model, owned, ports.traffic, now)
    progress = await kept_analyses(model, owned, ports.cluster)
    split = await splits(model, owned, progress, ports.traffic, now)
    evidence = replace(
        found.evidence, creation_errors=errors, answered=counted, progress=progress, split=split
    )
    return replace(found, owned=owned, evidence=evidence)


def _lacks_connection(owned: Manifest) -> bool:
    """Tell whether a pod cannot start because its connection Secret, or a key in it, is missing.

    Secrets are not watched, so the pod's status is the first to report it.
    """
    found = pod_end(owned) if owned.get("kind") == "Pod" else None
    return (
        found is not None
        and found.reason is PodReason.CONFIGURATION_MISSING
        and CONNECTION_SECRET in found.message
    )


def _concerns(model: RegisteredModel, run: Manifest) -> bool:
    """Tell whether a TrainingRun concerns the model, without parsing it: there may be thousands."""
    named = any(
        source.training_run == run["metadata"]["name"] for source in model.spec.versions.values()
    )
    return named or (run["spec"].get("register") or {}).get("model") == model.metadata.name


async def _external(
    model: RegisteredModel, found: Observation, tenant: Tenant, now: datetime
) -> Observation:
    name = mlflow_model_name(model.metadata.namespace, model.metadata.name)
    tracked = await tenant.tracking.model(name)
    found = replace(
        found, model=tracked, tracking_url=tenant.tracking_url, pods_secret=tenant.pods_secret
    )
    found = replace(found, record=await recorded(model, tracked, tenant))
    if (
        tracked is None
        or not _is_ours(model, tracked)
        or model.metadata.deletion_timestamp is not None
    ):
        return found
    versions = await tenant.tracking.versions(name)
    read = _to_read(model, versions)
    artifacts = {version.name: await _artifacts(version, tenant) for version in read}
    found = replace(
        found, versions=versions, artifacts=artifacts, evidence=await gather(model, tenant, now)
    )
    return replace(found, sources=await _sources(model, found, tenant))


def _is_ours(model: RegisteredModel, tracked: TrackedModel) -> bool:
    """Tell whether the model in MLflow belongs to this object, or is about to."""
    adopted = model.metadata.annotations.get(ADOPT_ANNOTATION) == "true"
    return adopted or tracked.tags.get(UID_TAG) == model.metadata.uid


async def _sources(
    model: RegisteredModel, found: Observation, tenant: Tenant
) -> dict[str, Source | Blocker]:
    recorded = {version.name for version in model.status.versions if version.digest}
    recorded |= {version.name for version in model.status.older_versions}
    sources: dict[str, Source | Blocker] = {}
    for name, declaration in found.declarations.items():
        if name in recorded or declaration.blocker is not None:
            continue
        sources[name] = await resolve(declaration, found.runs, tenant, model.metadata.namespace)
        if isinstance(sources[name], Source):
            break
    return sources


def _to_read(model: RegisteredModel, versions: Iterable[TrackedVersion]) -> list[VersionStatus]:
    """Return the recorded versions whose artifacts to read: in use, or about to be registered."""
    used: set[str | None] = {*model.asks_for}
    for stage in model.status.stages.values():
        used |= {stage.version, stage.candidate.version if stage.candidate else None}
    there = tracked_by_name(model, versions)
    recorded = [version for version in model.status.versions if version.digest and version.uri]
    return [version for version in recorded if version.name in used or version.name not in there]


async def _artifacts(version: VersionStatus, tenant: Tenant) -> Artifacts | Blocker | None:
    """Read the listing; read the bytes only if the listing is not the recorded one.

    A refusal by S3 blocks this version only: the others can still be read.
    """
    try:
        objects = await tenant.store.objects(str(version.uri))
        if not objects:
            return None
        listing = listing_digest((each.path, each.size, each.etag) for each in objects)
        if listing == version.listing_digest:
            return Artifacts(listing, version.digest)
        tree = await tenant.store.digest(str(version.uri))
    except Forbidden as error:
        message = f"{error}. Correct the keys in the Secret {CONNECTION_SECRET}."
        return VersionBlocker.of(Reason.CONNECTION_REFUSED, message, needs_action=True)
    except Invalid as error:
        return VersionBlocker.of(Reason.ARTIFACT_MISSING, f"{error}.", needs_action=True)
    return None if tree is None else Artifacts(listing, tree.digest)
