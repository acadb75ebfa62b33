"""What is known of each version, and which one is registered next. Pure."""

from modelyard.api.base import as_name
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.api.registered_model import ModelVersionSpec, RegisteredModel, VersionStatus
from modelyard.kube.names import DIGEST_TAG, OUR_TAGS, UID_TAG, VERSION_TAG, mlflow_model_name, owner_tags
from modelyard.plan import CreateVersion, SetVersionTags
from modelyard.ports import TrackedVersion
from modelyard.registered_model.claims import Claim
from modelyard.registered_model.observe import Seen
from modelyard.registered_model.sources import Problem, Source

__all__ = ["known", "next_registration", "tracked_by_name"]

FLAVOR_TAG = "modelyard.io/flavor"
SIGNATURE_TAG = "modelyard.io/signature"
URI_TAG = "modelyard.io/uri"
BYTES_TAG = "modelyard.io/bytes"
TRAINING_RUN_TAG = "modelyard.io/training-run"
_SHOWN = 512
_WORDS = 1024


def tracked_by_name(model: RegisteredModel, seen: Seen) -> dict[str, TrackedVersion]:
    """Return our versions in MLflow by their name in the spec; of two with one name (a create that was repeated) the older one counts."""
    found: dict[str, TrackedVersion] = {}
    for version in seen.versions:  # oldest first
        name = as_name(version.tags.get(VERSION_TAG))
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
    statuses += [_unregistered(claim, seen, old.get(name)) for name, claim in seen.claims.items() if name not in tracked]
    if len(statuses) <= _SHOWN:
        return tuple(statuses)
    used = {stage.version for stage in model.spec.stages.values()} | {stage.version for stage in model.status.stages.values()}
    idle = [version.name for version in statuses if version.name not in used]
    left_out = set(idle[: len(statuses) - _SHOWN])
    return tuple(version for version in statuses if version.name not in left_out)


def _unregistered(claim: Claim, seen: Seen, old: VersionStatus | None) -> VersionStatus:
    """Of one that MLflow had and has lost, what was recorded stays: it is the same version when it is registered again."""
    source = seen.sources.get(claim.version)
    problem = _worded(source) if isinstance(source, Problem) else None
    if old is not None and old.digest is not None:
        return old.model_copy(update={"mlflow_version": None, "created_at": None, "problem": problem})
    wanted = claim.source
    return VersionStatus(name=claim.version, training_run=wanted.training_run, run_id=wanted.run_id, uri=wanted.uri, problem=problem)


def _worded(problem: Problem) -> str:
    """What will not pass by itself begins with its reason, by which a stage that wants the version knows it."""
    return (problem.message if problem.waiting else f"{problem.reason}: {problem.message}")[:_WORDS]


def _registered(name: str, tracked: TrackedVersion, seen: Seen, old: VersionStatus | None) -> VersionStatus:
    tags = tracked.tags
    digest, seal = tags.get(DIGEST_TAG), old.seal if old else None
    problem = None  # one that is not in use is not looked at: what was wrong with it once says nothing
    if name in seen.bytes:
        lies, where = seen.bytes[name], f"below {tags.get(URI_TAG)}"
        if isinstance(lies, Problem):
            problem = _worded(lies)
        elif lies is None:
            problem = f"{Reason.ARTIFACT_MISSING}: nothing lies {where} any more. Restore it; it is looked at again by itself."
        elif lies.digest != digest:
            problem = (
                f"{Reason.ARTIFACT_DIGEST_MISMATCH}: what lies {where} is not what was registered. Restore it, or declare another version."
            )
        else:
            seal = lies.seal
    if not tracked.ready:
        problem = "MLflow has registered it, and has not made it ready yet."
    size = tags.get(BYTES_TAG, "")
    return VersionStatus(
        name=name,
        mlflow_version=tracked.version,
        run_id=_cut(tracked.run, 64),
        training_run=as_name(tags.get(TRAINING_RUN_TAG)),
        uri=_cut(tags.get(URI_TAG), 1024),
        digest=_cut(digest, 71),
        seal=seal,
        bytes=int(size) if size.isdecimal() and len(size) < 19 else None,
        flavor=_cut(tags.get(FLAVOR_TAG), 64),
        signature=_cut(tags.get(SIGNATURE_TAG), 1024),
        created_at=tracked.created,
        stages=old.stages if old else (),
        served_until=old.served_until if old else None,
        problem=_cut(problem, _WORDS),
    )


def _cut(text: str | None, limit: int) -> str | None:
    """Tags are written by us, and can be written by others: the status has room for so much."""
    return text[:limit] if text else None


def next_registration(model: RegisteredModel, seen: Seen) -> CreateVersion | SetVersionTags | None:
    """Return the next version to register, or tags of a registered one to set; None when MLflow has them all."""
    meta, name = model.metadata, mlflow_model_name(model.metadata.namespace, model.metadata.name)
    for version, source in seen.sources.items():
        if isinstance(source, Source):
            tags = _users(seen.claims[version].source) | _record(version, source) | owner_tags(meta.namespace, meta.name, meta.uid)
            return CreateVersion(name, source.uri, source.run, tags, source.logged_model)
    for version, tracked in tracked_by_name(model, seen).items():
        wanted = _users(model.spec.versions[version]) if version in model.spec.versions else {}
        if missing := {key: value for key, value in wanted.items() if tracked.tags.get(key) != value}:
            return SetVersionTags(name, tracked.version, missing)
    return None


def _users(source: ModelVersionSpec) -> dict[str, str]:
    """The user's tags. Ours are the record of what was registered: nobody writes them but us."""
    return {key: value for key, value in source.tags.items() if not key.startswith(OUR_TAGS)}


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
