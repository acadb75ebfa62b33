"""Read the evidence for gates, analyses and watches, and the record in S3. I/O.

Gates judge by runs, signatures, TrainingRuns, objectives and approvals. They are read only for
gates without a lasting verdict.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from modelyard.api import record
from modelyard.api.gates import GATES, Gate
from modelyard.api.history import RecordedEntry
from modelyard.api.mlmodel import MLMODEL_LIMIT, Signature, read_signature
from modelyard.api.model_approval import ModelApproval
from modelyard.api.registered_model import RegisteredModel, VersionStatus
from modelyard.api.text import TextFilter
from modelyard.api.training_run import ObjectiveStatus, TrainingRun
from modelyard.controller import FINALIZER
from modelyard.errors import Forbidden, Invalid, ModelyardError
from modelyard.kube.jobs import POD_COMES, of_kind, podless_since
from modelyard.kube.names import CONNECTION_SECRET, UID_TAG
from modelyard.plan import Manifest
from modelyard.ports import Cluster, Tenant, TrackedModel, TrackedRun
from modelyard.registered_model import build, judged
from modelyard.registered_model.facts import identity_of
from modelyard.registered_model.gates.judging import asks_people, open_again, open_gates
from modelyard.registered_model.observation import Evidence, RecordObservation
from modelyard.registered_model.record import chain
from modelyard.registered_model.restored import stage_of
from modelyard.traffic import Answered, Split, SplitObservation, Traffic, Watched

__all__ = [
    "answered",
    "creation_errors",
    "gather",
    "kept_analyses",
    "recorded",
    "splits",
    "with_kubernetes",
]

_SHOWN = 100
_INTERVAL = timedelta(seconds=30)
"""The interval of counts of a rollout without analysis."""


async def gather(model: RegisteredModel, tenant: Tenant, now: datetime) -> Evidence:
    """Read the evidence in MLflow and S3 for gates without a lasting verdict.

    Raises:
        Unavailable: MLflow or S3 did not answer.

    """
    runs: dict[str, TrackedRun | str | None] = {}
    signatures: dict[str, Signature | str | None] = {}
    for gate, candidate, holder in _open(model, now):
        versions = [version for version in (candidate, holder) if version is not None]
        if gate.kind in {"metric", "incumbent"}:
            for version in versions:
                if version.run_id is not None and version.run_id not in runs:
                    runs[version.run_id] = await _run(version, tenant)
        if gate.kind == "signature" and holder is not None and holder.digest != candidate.digest:
            for version in versions:
                if str(version.digest) not in signatures:
                    signatures[str(version.digest)] = await _signature(version, tenant)
    return Evidence(runs, signatures)


async def creation_errors(
    owned: Iterable[Manifest], cluster: Cluster, text_filter: TextFilter, now: datetime
) -> dict[str, str]:
    """Return why Kubernetes creates no pod for overdue Jobs, by uid; read from Kubernetes' events.

    Raises:
        Unavailable: Kubernetes did not answer.

    """
    found: dict[str, str] = {}
    for job in of_kind(owned, "Job"):
        meta, since = job["metadata"], podless_since(job)
        if since is None or now - since < POD_COMES or len(found) >= GATES:
            continue
        if (error := await cluster.creation_error(meta["namespace"], meta["uid"])) is not None:
            found[meta["uid"]] = text_filter(error)
    return found


async def answered(
    model: RegisteredModel, owned: Iterable[Manifest], traffic: Traffic, now: datetime
) -> dict[str, Answered]:
    """Return requests and failures of the versions that are watched after a switch, by stage.

    Without a watch no pod is asked.
    """
    found: dict[str, Answered] = {}
    for name, stage in model.status.stages.items():
        spec, watch, stable = model.spec.stages.get(name), stage.watch, stage.effective
        if (
            watch is None
            or stable is None
            or spec is None
            or spec.rollback is None
            or spec.rollback.automatic is None
        ):
            continue
        if now >= watch.since_time + spec.rollback.automatic.lasts:
            continue
        identity = stable.runtime.identity
        recorded = Answered(watch.requests, watch.failures)
        watched = Watched(model.metadata.uid, name, identity, watch.since_time, recorded)
        # Two stages may serve the same version with the same runtime.
        pods = [
            each
            for each in of_kind(owned, "Pod")
            if (stage_of(each), identity_of(each)) == (name, identity)
        ]
        found[name] = await traffic.answered(watched, pods, now)
    return found


async def kept_analyses(
    model: RegisteredModel, owned: Iterable[Manifest], cluster: Cluster
) -> dict[str, str]:
    """Return the stored state of analyses, by stage.

    Only a ConfigMap that the model owns is read: other users may create one of that name.

    Raises:
        ModelyardError: Kubernetes did not answer.

    """
    found: dict[str, str] = {}
    ours = {
        each["metadata"]["name"] for each in of_kind(owned, "ConfigMap") if _controlled(each, model)
    }
    for name, stage in model.status.stages.items():
        spec, where = model.spec.stages.get(name), build.rollout_name(model, name)
        if (
            stage.rollout is None
            or spec is None
            or spec.rollout is None
            or spec.rollout.analysis is None
            or where not in ours
        ):
            continue
        data = await cluster.config_map(model.metadata.namespace, where)
        if data is not None and (text := data.get(judged.KEY)) is not None:
            found[name] = text
    return found


def _controlled(owned: Manifest, model: RegisteredModel) -> bool:
    """Tell whether the controller reference names our kind, as policy `serving-evidence` demands.

    An owned object in general needs only a reference to our API group.
    """
    references = owned["metadata"].get("ownerReferences") or ()
    return any(each.get("controller") and each["kind"] == model.KIND for each in references)


async def splits(
    model: RegisteredModel,
    owned: Iterable[Manifest],
    progress: dict[str, str],
    traffic: Traffic,
    now: datetime,
) -> dict[str, SplitObservation]:
    """Return what the stable pods report about rollouts, by stage."""
    found: dict[str, SplitObservation] = {}
    for name, stage in model.status.stages.items():
        spec, stable = model.spec.stages.get(name), stage.effective
        if stage.rollout is None or stable is None or spec is None or spec.rollout is None:
            continue
        analysis = spec.rollout.analysis
        asked = Split(
            uid=model.metadata.uid,
            stage=name,
            identity=stable.runtime.identity,
            revision=stage.traffic_revision,
            interval=analysis.every if analysis is not None else _INTERVAL,
            judged=judged.intervals(model, name, progress.get(name)),
        )
        pods = [
            each
            for each in of_kind(owned, "Pod")
            if (stage_of(each), identity_of(each)) == (name, asked.identity)
        ]
        found[name] = await traffic.split(asked, pods, now)
    return found


async def with_kubernetes(
    model: RegisteredModel, cluster: Cluster, found: Evidence, now: datetime
) -> Evidence:
    """Add the evidence from Kubernetes (TrainingRuns, approvals), without MLflow or S3.

    Raises:
        ModelyardError: Kubernetes did not answer.

    """
    found = _trained(model, cluster, found, now)
    if not any(asks_people(gate) for gate, _, _ in _open(model, now)):
        return found
    meta = model.metadata
    bodies = (
        body
        for body in cluster.select("modelapprovals", meta.namespace)
        if body["spec"]["model"] == meta.name
    )
    approvals = tuple(map(ModelApproval.parse, bodies))
    return replace(found, approvals=approvals, unguarded=await cluster.unguarded(meta.namespace))


def _trained(model: RegisteredModel, cluster: Cluster, found: Evidence, now: datetime) -> Evidence:
    """Add the TrainingRuns and objectives of versions, where a gate judges by them."""
    training_runs: dict[str, TrainingRun] = {}
    objectives: dict[str, ObjectiveStatus] = {}
    for gate, candidate, holder in _open(model, now):
        if gate.kind not in {"incumbent", "dataset"}:
            continue
        for version in (candidate, holder):
            if version is None or (run := _training_run(version, cluster, model)) is None:
                continue
            training_runs[run.metadata.name] = run
            # A TrainingRun that was deleted and created again is another run, perhaps of another
            # Experiment.
            is_its = run.status.mlflow is not None and run.status.mlflow.run_id == version.run_id
            if is_its and run.status.objective is not None:
                objectives[version.name] = run.status.objective
    return replace(found, training_runs=training_runs, objectives=objectives)


def _open(
    model: RegisteredModel, now: datetime
) -> Iterator[tuple[Gate, VersionStatus, VersionStatus | None]]:
    """Return the gates to ask, each with the version and the incumbent to compare it with."""
    versions: Mapping[str, VersionStatus] = {
        version.name: version for version in model.status.versions
    }
    for name, stage in model.spec.stages.items():
        status = model.status.stages.get(name)
        effective = versions.get(status.version or "") if status is not None else None
        if effective is not None and status is not None and effective.digest == status.digest:
            yield from ((gate, effective, None) for gate in open_again(model, name))
        candidate = versions.get(model.requested_version(name) or "")
        if not stage.gates or candidate is None or candidate.digest is None:
            continue
        for gate in open_gates(model, name, candidate, now):
            holder = model.status.stages.get(gate.compared.stage or name) if gate.compared else None
            held = versions.get(holder.version or "") if holder else None
            is_same = held is not None and holder is not None and held.digest == holder.digest
            yield gate, candidate, held if is_same else None


async def _run(version: VersionStatus, tenant: Tenant) -> TrackedRun | str | None:
    try:
        return await tenant.tracking.run(str(version.run_id))
    except Invalid as error:
        return f"the run of {version.name} cannot be read: {str(error)[:_SHOWN]}"


async def _signature(version: VersionStatus, tenant: Tenant) -> Signature | str | None:
    try:
        text = await tenant.store.read(f"{str(version.uri).rstrip('/')}/MLmodel", MLMODEL_LIMIT)
    except Forbidden:
        return (
            f"S3 refuses the MLmodel of {version.name}: correct the keys in the Secret"
            f" {CONNECTION_SECRET}"
        )
    except Invalid as error:
        return f"the MLmodel of {version.name} cannot be read: {str(error)[:_SHOWN]}"
    if text is None:
        return f"the MLmodel of {version.name} is no longer in S3"
    return read_signature(text)


def _training_run(
    version: VersionStatus, cluster: Cluster, model: RegisteredModel
) -> TrainingRun | None:
    if not version.training_run:
        return None
    body = cluster.get("trainingruns", model.metadata.namespace, version.training_run)
    return TrainingRun.parse(body) if body is not None else None


_FOREIGN = 10
"""How many objects that are not entries may be skipped in the search for the newest entry."""


# --- the record of the history --------------------------------------------------------------------
async def recorded(
    model: RegisteredModel, tracked: TrackedModel | None, tenant: Tenant
) -> RecordObservation:
    """Read what the record's next step needs: at most one object.

    If the status names no record (it was lost, or comes from an earlier release), S3 is listed.
    A new RegisteredModel causes no request: there is no entry before its model in MLflow exists.

    Raises:
        ModelyardError: The newest entry could not be read. An error about a pending entry is
            returned as a value.

    """
    place = f"s3://{tenant.reach.bucket}/{record.folder(tenant.reach.folder, model.metadata.uid)}"
    if model.status.record is None:
        if model.metadata.deletion_timestamp is not None:
            return RecordObservation(place)
        is_ours = tracked is not None and tracked.tags.get(UID_TAG) == model.metadata.uid
        # An object with the finalizer had a model in MLflow once, which may be lost as well.
        was_ours = is_ours or FINALIZER in model.metadata.finalizers
        return RecordObservation(
            place,
            head=await _head(place, model.metadata.uid, tenant)
            if was_ours
            else RecordedEntry(number=0),
        )
    links = chain(model)
    if not links:
        return RecordObservation(place)
    try:
        return RecordObservation(
            place,
            content=await tenant.store.read(place + record.name(links[0].number), record.LIMIT),
        )
    except ModelyardError as error:
        return RecordObservation(place, error=error)


async def _head(place: str, uid: str, tenant: Tenant) -> RecordedEntry:
    """Return the newest entry of a model; skip objects that are only named like an entry."""
    there = await tenant.store.usage(place)
    if there is None or not there.objects:
        return RecordedEntry(number=0)
    numbers = sorted(
        {record.number_in(each.path) or 0 for each in await tenant.store.objects(place)} - {0},
        reverse=True,
    )
    for number in numbers[:_FOREIGN]:
        content = await tenant.store.read(place + record.name(number), record.LIMIT)
        if content is None:
            raise Invalid(
                "S3", "read object", place + record.name(number), "it is listed and not there"
            )
        if record.is_entry(content, number, uid):
            return RecordedEntry(number=number, digest=record.digest_of(content))
    if len(numbers) > _FOREIGN:
        raise Invalid(
            "S3",
            "read object",
            place + record.name(numbers[0]),
            f"neither it nor the {_FOREIGN - 1} before it are entries",
        )
    return RecordedEntry(number=0)
