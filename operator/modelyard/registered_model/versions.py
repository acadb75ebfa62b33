"""The status of each version, and which one is registered next. Pure.

A version is declared, then recorded (with its digest and uri), then registered in MLflow. The
record is written before MLflow is changed, and never replaced: a version in MLflow counts as ours
only if its source is the recorded uri; its tags do not matter.
"""

from collections.abc import Iterable, Mapping

from modelyard.api.approvals import registrar_of
from modelyard.api.blocker import Blocker, VersionBlocker
from modelyard.api.registered_model import KnownVersion, RegisteredModel, StageStatus, VersionStatus
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.kube.names import UID_TAG, VERSION_TAG, mlflow_model_name
from modelyard.plan import CreateVersion
from modelyard.ports import TrackedVersion
from modelyard.registered_model.declarations import Declaration, contradicted
from modelyard.registered_model.observation import Artifacts, Observation, Source
from modelyard.registered_model.version_tags import copied_tags, from_tags, users_tags

__all__ = [
    "KEPT",
    "OLDER",
    "may_start",
    "next_registration",
    "observed_versions",
    "split",
    "tracked_by_name",
]

KEPT = 64
"""How many versions the status keeps in full."""
_WAITING = 16
"""How many versions that wait to be recorded the status shows."""
OLDER = 448
"""How many older versions the status keeps in short form."""


def tracked_by_name(
    model: RegisteredModel, versions: Iterable[TrackedVersion]
) -> dict[str, TrackedVersion]:
    """Return the recorded versions that MLflow has, by name.

    A version is found by its recorded MLflow number, else by the operator's tags, and only if its
    source is the recorded uri. If two have the same name (a repeated create), the older counts.
    """
    there = sorted(versions, key=lambda each: int(each.version) if each.version.isdecimal() else 0)
    numbers = {each.version: each for each in there}
    tagged: dict[tuple[str, str], TrackedVersion] = {}
    for each in there:
        if each.tags.get(UID_TAG) == model.metadata.uid:
            tagged.setdefault((each.tags.get(VERSION_TAG, ""), each.source), each)
    found: dict[str, TrackedVersion] = {}
    for recorded in model.status.versions:
        if recorded.digest is None or recorded.uri is None:
            continue
        numbered = numbers.get(recorded.mlflow_version or "")
        is_ours = numbered is not None and numbered.source == recorded.uri
        match = numbered if is_ours else tagged.get((recorded.name, recorded.uri))
        if match is not None:
            found[recorded.name] = match
    for older in model.status.older_versions:
        if older.mlflow_version in numbers:
            found.setdefault(older.name, numbers[older.mlflow_version])
    return found


def observed_versions(
    model: RegisteredModel, observation: Observation
) -> tuple[VersionStatus, ...]:
    """Return the present status of each version; while MLflow or S3 is down, the recorded one.

    A new declaration gets a status in either case, so that the holder of its name is recorded.
    """
    if observation.dependency_error is not None:
        there = {version.name for version in model.status.versions} | {
            version.name for version in model.status.older_versions
        }
        new = [each for each in observation.declarations.values() if each.version not in there]
        return (
            *model.status.versions,
            *(_declared(each, observation, full=False) for each in new[:_WAITING]),
        )
    tracked = tracked_by_name(model, observation.versions)
    used = _used(model)
    older = [_revived(each, tracked) for each in model.status.older_versions if each.name in used]
    recorded = [
        version for version in (*model.status.versions, *older) if version.digest is not None
    ]
    found = [_observed(version, tracked.get(version.name), observation) for version in recorded]
    found = [contradicted(version, model.spec.versions.get(version.name)) for version in found]
    names = {version.name for version in found} | {
        version.name for version in model.status.older_versions
    }
    full = len(names) >= KEPT + OLDER
    found += [
        _declared(each, observation, full=full)
        for each in observation.declarations.values()
        if each.version not in names
    ]
    return tuple(found)


def _used(model: RegisteredModel) -> set[str | None]:
    """Return the versions that are desired, effective, candidate or previous in a stage."""
    used: set[str | None] = {*model.asks_for}
    for stage in model.status.stages.values():
        used |= {
            stage.version,
            *(each.version for each in (stage.candidate, stage.previous) if each is not None),
        }
    return used


def _revived(older: KnownVersion, tracked: Mapping[str, TrackedVersion]) -> VersionStatus:
    """Return the full status of an older version: its source from MLflow, its digest recorded."""
    there = tracked.get(older.name)
    if there is None:
        return VersionStatus(
            name=older.name, mlflow_version=older.mlflow_version, digest=older.digest
        )
    version = from_tags(older.name, older.digest, there)
    return version.model_copy(update={"mlflow_version": older.mlflow_version})


def _observed(
    version: VersionStatus, tracked: TrackedVersion | None, observation: Observation
) -> VersionStatus:
    artifacts = observation.artifacts.get(version.name)
    unread = version.name not in observation.artifacts
    blocked: Blocker | None = None
    listing = version.listing_digest
    where = f"below {(version.uri or '')[:160]}"
    if version.uri is None:
        message = (
            f"MLflow has lost {version.name}, and where it is stored was not kept. Declare it as"
            " another version."
        )
        blocked = VersionBlocker.of(Reason.VERSION_INVALID, message, needs_action=True)
    elif unread:
        pass  # artifacts of unused versions are not read, so nothing is reported about them
    elif isinstance(artifacts, Blocker):
        blocked = artifacts
    elif artifacts is None:
        message = (
            f"Nothing is stored {where} any longer. Restore it; it is checked again automatically."
        )
        blocked = VersionBlocker.of(Reason.ARTIFACT_MISSING, message, needs_action=True)
    elif artifacts.digest != version.digest:
        message = (
            f"What is stored {where} is not what was registered. Restore it, or declare another"
            " version."
        )
        blocked = VersionBlocker.of(Reason.ARTIFACT_DIGEST_MISMATCH, message, needs_action=True)
    else:
        listing = artifacts.listing_digest
    if tracked is not None and not tracked.ready and blocked is None:
        blocked = VersionBlocker.of(
            Reason.WAITING_FOR_VERSION, "MLflow has not finished registering it."
        )
    registered = version.registered_time or (tracked.created if tracked else None)
    return version.model_copy(
        update={
            "mlflow_version": tracked.version if tracked else None,
            # The first registration counts. A version that MLflow has lost does not become newer
            # when it is registered again.
            "registered_time": registered,
            "listing_digest": listing,
            "registrar": version.registrar or _registrar(version, observation),
            "blocked": blocked,
        }
    )


def _registrar(version: VersionStatus, observation: Observation) -> str | None:
    """Return the declared registrar, for a version whose record has none."""
    declared = observation.declarations.get(version.name)
    if declared is None or declared.source.contradicts(version):
        return None
    return registrar_of(declared.source.registered_by)


def may_start(version: VersionStatus) -> bool:
    """Tell whether new pods of a recorded version may start, because its bytes are as recorded."""
    return version.blocked is None or version.blocked.reason == Reason.VERSION_TAKEN


def _declared(declaration: Declaration, observation: Observation, *, full: bool) -> VersionStatus:
    """Return the first status of a declared version, with its digest if its source was found."""
    source, wanted = observation.sources.get(declaration.version), declaration.source
    status = VersionStatus(
        name=declaration.version,
        training_run=wanted.training_run,
        run_id=wanted.run_id,
        uri=wanted.uri,
        held_by=declaration.held_by,
        registrar=registrar_of(wanted.registered_by),
    )
    if declaration.blocker is not None:
        return status.model_copy(update={"blocked": declaration.blocker})
    if full:
        message = (
            f"This model has {KEPT + OLDER} versions, and no more are recorded. Register it in"
            " another RegisteredModel."
        )
        blocked = VersionBlocker.of(Reason.VERSION_INVALID, message, needs_action=True)
        return status.model_copy(update={"blocked": blocked})
    if not isinstance(source, Source):
        return status.model_copy(update={"blocked": source})
    return status.model_copy(
        update={
            "training_run": source.training_run,
            "run_id": source.run,
            "logged_model": source.logged_model,
            "uri": source.uri,
            "digest": source.tree.digest,
            "listing_digest": source.tree.listing_digest or None,
            "bytes": source.tree.bytes,
            "flavor": source.mlmodel.flavor or None,
            "signature": source.mlmodel.signature or None,
        }
    )


def split(
    model: RegisteredModel, versions: tuple[VersionStatus, ...], stages: Mapping[str, StageStatus]
) -> tuple[tuple[VersionStatus, ...], tuple[KnownVersion, ...]]:
    """Return the versions kept in full (in use, or among the newest), and the others in short form.

    Only some of the versions that wait to be recorded are kept. The others are not lost, because
    they are declared.
    """
    used = _used(
        model.model_copy(
            update={"status": model.status.model_copy(update={"stages": dict(stages)})}
        )
    )
    in_use = {version.name for version in versions if version.name in used}
    recorded = [
        version.name
        for version in versions
        if version.digest is not None and version.name not in used
    ]
    waiting = [
        version.name for version in versions if version.digest is None and version.name not in used
    ]
    waiting = waiting[: max(0, min(_WAITING, KEPT - len(in_use)))]
    room = max(0, KEPT - len(in_use) - len(waiting))
    kept = in_use | set(waiting) | set(recorded[len(recorded) - min(room, len(recorded)) :])
    older = {
        each.name: each
        for each in model.status.older_versions
        if each.name not in {version.name for version in versions}
    }
    for version in versions:
        if version.name not in kept and version.digest is not None:
            older[version.name] = KnownVersion(
                name=version.name, digest=version.digest, mlflow_version=version.mlflow_version
            )
    return tuple(version for version in versions if version.name in kept), tuple(older.values())[
        -OLDER:
    ]


def next_registration(model: RegisteredModel, observation: Observation) -> CreateVersion | None:
    """Return the next recorded version to register; None: MLflow has them all.

    A version that MLflow has lost is registered again only if its bytes are the recorded ones.
    """
    name = mlflow_model_name(model.metadata.namespace, model.metadata.name)
    tracked = tracked_by_name(model, observation.versions)
    for version in model.status.versions:
        if version.digest is None or version.uri is None or version.name in tracked:
            continue
        artifacts = observation.artifacts.get(version.name)
        if isinstance(artifacts, Artifacts) and artifacts.digest == version.digest:
            tags = users_tags(model, observation, version.name) | copied_tags(model, version)
            return CreateVersion(name, version.uri, version.run_id, tags, version.logged_model)
    return None
