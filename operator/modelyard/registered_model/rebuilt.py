"""The versions of a lost status, rebuilt from MLflow's tags. Pure."""

from modelyard.api.base import as_name
from modelyard.api.registered_model import ModelVersionSpec, RegisteredModel, VersionStatus
from modelyard.controller import FINALIZER
from modelyard.kube.names import (
    ADOPT_ANNOTATION,
    DIGEST_TAG,
    NAME_TAG,
    NAMESPACE_TAG,
    UID_TAG,
    VERSION_TAG,
)
from modelyard.ports import TrackedVersion
from modelyard.registered_model.kept import served_by
from modelyard.registered_model.observation import Observation, is_empty
from modelyard.registered_model.version_tags import URI_TAG, from_tags
from modelyard.registered_model.versions import KEPT, OLDER

__all__ = ["rebuilt"]


def rebuilt(model: RegisteredModel, observation: Observation) -> tuple[VersionStatus, ...]:
    """Return the versions that MLflow's tags record, for a status that is entirely empty.

    After an object was restored from a backup, the tags are the only record left. They are used
    only then, because a user who trains may be able to write tags. Other sources for a version's
    bytes overrule them: its declared source, the status of its TrainingRun, the Deployment that
    serves it.
    """
    if not is_empty(model) or not _may_rebuild(model, observation):
        return ()
    served = {
        each.version: each.digest for each in map(served_by, observation.owned) if each is not None
    }
    found: dict[str, VersionStatus] = {}
    for there in observation.versions:
        name, digest = as_name(there.tags.get(VERSION_TAG)), there.tags.get(DIGEST_TAG, "")
        if not name or len(digest) != len("sha256:") + 64 or not _is_about(model, there):
            continue
        version = from_tags(name, served.get(name, digest), there)
        if not _is_contradicted(version, observation, is_served=name in served):
            found.setdefault(name, version)
    used = model.asks_for
    idle = [name for name in found if name not in used]
    dropped = set(idle[: max(0, len(found) - KEPT - OLDER)])
    return tuple(version for name, version in found.items() if name not in dropped)


def _may_rebuild(model: RegisteredModel, observation: Observation) -> bool:
    """Tell whether the object had a status: its annotation says so, or the operator worked on it.

    The operator sets the finalizer before its first write to MLflow. So if the object has no
    finalizer, another client created the model with its uid in MLflow.
    """
    meta = model.metadata
    if meta.annotations.get(ADOPT_ANNOTATION) == "true":
        return True
    return (
        FINALIZER in meta.finalizers
        and observation.model is not None
        and observation.model.tags.get(UID_TAG) == meta.uid
    )


def _is_about(model: RegisteredModel, there: TrackedVersion) -> bool:
    """Tell whether the tags of a version in MLflow are about this model and this version."""
    meta, tags = model.metadata, there.tags
    if (tags.get(NAMESPACE_TAG), tags.get(NAME_TAG), tags.get(URI_TAG)) != (
        meta.namespace,
        meta.name,
        there.source,
    ):
        return False
    return tags.get(UID_TAG) == meta.uid or meta.annotations.get(ADOPT_ANNOTATION) == "true"


def _is_contradicted(version: VersionStatus, observation: Observation, *, is_served: bool) -> bool:
    """Tell whether the declaration or the TrainingRun contradicts a version from tags.

    A TrainingRun that was created after the version in MLflow is another run of the same name.
    """
    declaration = observation.declarations.get(version.name)
    source = (
        declaration.source
        if declaration is not None
        else ModelVersionSpec(training_run=version.training_run)
    )
    run = observation.runs.get(source.training_run or "")
    created = run.metadata.creation_timestamp if run is not None else None
    if (
        created is not None
        and version.registered_time is not None
        and created > version.registered_time
    ):
        return False
    if declaration is not None and source.contradicts(version):
        return True
    logged = run.status.model if run is not None else None
    return logged is not None and logged.digest != version.digest and not is_served
