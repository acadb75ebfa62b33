"""What is known of each version, and which one is registered next. Pure."""

from modelyard.api.registered_model import ModelReason as Reason
from modelyard.api.registered_model import RegisteredModel, VersionStatus
from modelyard.kube.names import DIGEST_TAG, NAME_TAG, UID_TAG, VERSION_TAG, mlflow_model_name, owner_tags
from modelyard.plan import CreateVersion, SetVersionTags
from modelyard.ports import TrackedVersion
from modelyard.registered_model.observe import Seen
from modelyard.registered_model.sources import Problem, Source

__all__ = ["known", "next_registration", "tracked_by_name"]

FLAVOR_TAG = "modelyard.io/flavor"
SIGNATURE_TAG = "modelyard.io/signature"
URI_TAG = "modelyard.io/uri"
BYTES_TAG = "modelyard.io/bytes"
TRAINING_RUN_TAG = "modelyard.io/training-run"
_SHOWN = 512


def tracked_by_name(model: RegisteredModel, seen: Seen) -> dict[str, TrackedVersion]:
    """Return our versions in MLflow by their name in the spec; of two with one name (a create that was repeated) the older one counts."""
    found: dict[str, TrackedVersion] = {}
    for version in seen.versions:  # oldest first
        name = version.tags.get(VERSION_TAG)
        if name and version.tags.get(UID_TAG) == model.metadata.uid:
            found.setdefault(name, version)
    return found


def known(model: RegisteredModel, seen: Seen) -> tuple[VersionStatus, ...]:
    """Return what to say of each version: what MLflow has (our tags there are the record), or why it is not there.

    While MLflow is not to be seen, what was said before stands.
    """
    old = {version.name: version for version in model.status.versions}
    if seen.trouble is not None:
        return model.status.versions
    tracked = tracked_by_name(model, seen)
    statuses = [_registered(name, version, seen, old.get(name)) for name, version in tracked.items()]
    for name, claim in seen.claims.items():
        if name not in tracked:
            source = seen.sources.get(name)
            problem = source.message if isinstance(source, Problem) else None
            run = claim.source.training_run
            statuses.append(VersionStatus(name=name, training_run=run, run_id=claim.source.run_id, uri=claim.source.uri, problem=problem))
    return tuple(statuses[-_SHOWN:])


def _registered(name: str, tracked: TrackedVersion, seen: Seen, old: VersionStatus | None) -> VersionStatus:
    tags = tracked.tags
    digest, seal = tags.get(DIGEST_TAG), old.seal if old else None
    problem = old.problem if old and name not in seen.bytes else None
    if name in seen.bytes:
        lies, where = seen.bytes[name], f"below {tags.get(URI_TAG)}"
        if lies is None:
            problem = f"{Reason.ARTIFACT_MISSING}: nothing lies {where} any more. Restore it; it is looked at again by itself."
        elif lies.digest != digest:
            problem = (
                f"{Reason.ARTIFACT_DIGEST_MISMATCH}: what lies {where} is not what was registered. Restore it, or declare another version."
            )
        else:
            seal = lies.seal
    return VersionStatus(
        name=name,
        mlflow_version=tracked.version,
        run_id=tracked.run or None,
        training_run=tags.get(TRAINING_RUN_TAG) or None,
        uri=tags.get(URI_TAG),
        digest=digest,
        seal=seal,
        bytes=int(tags[BYTES_TAG]) if tags.get(BYTES_TAG, "").isdecimal() else None,
        flavor=tags.get(FLAVOR_TAG) or None,
        signature=tags.get(SIGNATURE_TAG) or None,
        created_at=tracked.created,
        served_until=old.served_until if old else None,
        problem=problem,
    )


def next_registration(model: RegisteredModel, seen: Seen) -> CreateVersion | SetVersionTags | None:
    """Return the next version to register, or tags of a registered one to set; None when MLflow has them all."""
    meta, name = model.metadata, mlflow_model_name(model.metadata.namespace, model.metadata.name)
    for version, source in seen.sources.items():
        if isinstance(source, Source):
            tags = dict(seen.claims[version].source.tags) | _record(version, source) | owner_tags(meta.namespace, meta.name, meta.uid)
            return CreateVersion(name, source.uri, source.run, tags, source.logged_model)
    for version, tracked in tracked_by_name(model, seen).items():
        wanted = dict(model.spec.versions[version].tags) if version in model.spec.versions else {}
        if missing := {
            key: value for key, value in wanted.items() if key not in {UID_TAG, VERSION_TAG, NAME_TAG} and tracked.tags.get(key) != value
        }:
            return SetVersionTags(name, tracked.version, missing)
    return None


def _record(version: str, source: Source) -> dict[str, str]:
    """What we must know of a version for good stands in its tags: a status can be lost, MLflow is backed up."""
    record = {
        VERSION_TAG: version,
        URI_TAG: source.uri,
        DIGEST_TAG: source.tree.digest,
        BYTES_TAG: str(source.tree.bytes),
        FLAVOR_TAG: source.mlmodel.flavor,
        SIGNATURE_TAG: source.mlmodel.signature,
        TRAINING_RUN_TAG: source.training_run or "",
    }
    return {key: value for key, value in record.items() if value}
