"""Read what a RegisteredModel is about: MLflow's registry, the artifacts in S3, its serving. Deciding does not belong here.

MLflow or S3 being away is a value here, not an error: what is served is looked after all the same.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from modelyard.api.registered_model import ModelReason as Reason
from modelyard.api.registered_model import RegisteredModel, VersionStatus
from modelyard.api.training_run import TrainingRun
from modelyard.errors import Forbidden, Invalid, ModelyardError
from modelyard.kube.names import ALLOW_CODE_LABEL, CONNECTION_SECRET, UID_TAG, VERSION_TAG, mlflow_model_name
from modelyard.plan import Manifest
from modelyard.ports import Ports, StoredObject, Tenant, TrackedModel, TrackedVersion
from modelyard.registered_model.claims import Claim, claims
from modelyard.registered_model.sources import Problem, Source, resolve

__all__ = ["Bytes", "Seen", "observe", "seal"]


@dataclass(frozen=True)
class Bytes:
    """The artifacts of a registered version as they lie in S3 now: the seal of their listing, and, if that changed, their digest."""

    seal: str
    digest: str | None


@dataclass(frozen=True)
class Seen:
    """The world at one moment, as far as a RegisteredModel is concerned.

    Attributes:
        claims: The versions that there should be.
        children: Its Deployments, Services, autoscalers, budgets and pods.
        model: The registered model of our name in MLflow, ours or not.
        versions: Its versions there, oldest first.
        sources: For versions that are not registered: where they lie, or why they cannot be. One that can be registered ends the
            search: a pass registers one.
        bytes: For registered versions that hold or want a stage: what lies in S3; None when nothing does, a Problem when it is refused.
        allow_code: Whether the namespace allows models whose loading runs code.
        tracking_url: Where MLflow answers.
        trouble: Why the registry or the store could not be looked at; everything outside is unknown then.

    """

    claims: dict[str, Claim]
    children: tuple[Manifest, ...]
    model: TrackedModel | None = None
    versions: tuple[TrackedVersion, ...] = ()
    sources: dict[str, Source | Problem] = field(default_factory=dict)
    bytes: dict[str, Bytes | Problem | None] = field(default_factory=dict)
    allow_code: bool = False
    tracking_url: str = ""
    trouble: ModelyardError | None = None


async def observe(model: RegisteredModel, ports: Ports, _now: datetime) -> Seen:
    """Look at Kubernetes, MLflow and S3.

    Raises:
        ModelyardError: Kubernetes did not answer, or the namespace has no connection and the model was never registered.

    """
    meta = model.metadata
    runs = [TrainingRun.parse(body) for body in ports.cluster.select("trainingruns", meta.namespace) if _concerns(model, body)]
    labels = await ports.cluster.namespace_labels(meta.namespace)
    seen = Seen(
        claims=claims(model, runs),
        children=ports.cluster.owned(meta.uid),
        allow_code=labels.get(ALLOW_CODE_LABEL) == "true",
    )
    try:
        return await _outside(model, seen, {run.metadata.name: run for run in runs}, await ports.tenant(meta.namespace))
    except ModelyardError as error:
        return replace(seen, trouble=error)


def _concerns(model: RegisteredModel, run: Manifest) -> bool:
    """Looked at before it is read whole: a namespace may hold thousands of runs."""
    named = any(source.training_run == run["metadata"]["name"] for source in model.spec.versions.values())
    return named or (run["spec"].get("register") or {}).get("model") == model.metadata.name


async def _outside(model: RegisteredModel, seen: Seen, runs: dict[str, TrainingRun], tenant: Tenant) -> Seen:
    name = mlflow_model_name(model.metadata.namespace, model.metadata.name)
    tracked = await tenant.tracking.model(name)
    seen = replace(seen, model=tracked, tracking_url=tenant.tracking_url)
    if tracked is None or tracked.tags.get(UID_TAG) != model.metadata.uid or model.metadata.deletion_timestamp is not None:
        return seen
    versions = await tenant.tracking.versions(name)
    registered = {version.tags.get(VERSION_TAG) for version in versions if version.tags.get(UID_TAG) == model.metadata.uid}
    sources: dict[str, Source | Problem] = {}
    for version, claim in seen.claims.items():
        if version not in registered:
            sources[version] = _same(model, version, await resolve(claim, runs, tenant, model.metadata.namespace))
            if isinstance(sources[version], Source):
                break
    found = {version.name: await _bytes(version, tenant) for version in _in_use(model) if version.uri}
    return replace(seen, versions=versions, sources=sources, bytes=found)


def _same(model: RegisteredModel, version: str, source: Source | Problem) -> Source | Problem:
    """A version that was registered before, and that MLflow has lost, is only registered again with the bytes that it had."""
    recorded = next((known.digest for known in model.status.versions if known.name == version), None)
    if isinstance(source, Problem) or recorded in {None, source.tree.digest}:
        return source
    message = f"what lies below {source.uri} is not what was registered. Restore it, or declare another version."
    return Problem(Reason.ARTIFACT_DIGEST_MISMATCH, message)


def _in_use(model: RegisteredModel) -> list[VersionStatus]:
    wanted = {stage.version for stage in model.spec.stages.values()} | {stage.version for stage in model.status.stages.values()}
    return [version for version in model.status.versions if version.name in wanted]


async def _bytes(version: VersionStatus, tenant: Tenant) -> Bytes | Problem | None:
    """The listing is cheap and read at every look; the bytes only when it is not as it was.

    What S3 refuses is this version's own problem: the others can still be seen.
    """
    try:
        objects = await tenant.store.objects(str(version.uri))
        if not objects:
            return None
        found = seal(objects)
        if found == version.seal:
            return Bytes(found, version.digest)
        tree = await tenant.store.digest(str(version.uri))
    except Forbidden as error:
        return Problem(Reason.CONNECTION_REFUSED, f"{error}. Correct the keys in the Secret {CONNECTION_SECRET}.")
    except Invalid as error:
        return Problem(Reason.ARTIFACT_MISSING, f"{error}.")
    return None if tree is None else Bytes(found, tree.digest)


def seal(objects: Iterable[StoredObject]) -> str:
    """Return `sha256:<hex>` of a store's own listing: paths, sizes and tags of content."""
    lines = "".join(f"{item.etag} {item.size} {item.path}\n" for item in sorted(objects))
    return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()
