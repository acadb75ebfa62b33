"""The tags that a version has in MLflow, and the status that can be read from them. Pure."""

from modelyard.api.base import as_name
from modelyard.api.registered_model import ModelVersionSpec, RegisteredModel, VersionStatus
from modelyard.api.text import printable
from modelyard.kube.names import DIGEST_TAG, OUR_TAGS, STAGES_TAG, VERSION_TAG, owner_tags
from modelyard.ports import TrackedVersion
from modelyard.registered_model.observation import Observation

__all__ = ["URI_TAG", "copied_tags", "from_tags", "stages_in_tag", "users_tags"]

FLAVOR_TAG = "modelyard.io/flavor"
SIGNATURE_TAG = "modelyard.io/signature"
URI_TAG = "modelyard.io/uri"
BYTES_TAG = "modelyard.io/bytes"
TRAINING_RUN_TAG = "modelyard.io/training-run"


def from_tags(name: str, digest: str, there: TrackedVersion) -> VersionStatus:
    """Return the status of a version with this digest, all else from MLflow and its tags."""
    tags = there.tags
    size = tags.get(BYTES_TAG, "")
    return VersionStatus(
        name=name,
        mlflow_version=there.version,
        run_id=(there.run or "")[:64] or None,
        training_run=as_name(tags.get(TRAINING_RUN_TAG)),
        uri=there.source[:500],
        digest=digest,
        bytes=int(size) if size.isdecimal() and len(size) < 19 else None,
        flavor=printable(tags.get(FLAVOR_TAG, ""))[:64] or None,
        signature=printable(tags.get(SIGNATURE_TAG, ""))[:184] or None,
        registered_time=there.created,
    )


def users_tags(model: RegisteredModel, observation: Observation, version: str) -> dict[str, str]:
    """Return the tags of the version's declaration, without the operator's own keys."""
    declared = observation.declarations.get(version)
    source = declared.source if declared else model.spec.versions.get(version, ModelVersionSpec())
    return {key: value for key, value in source.tags.items() if not key.startswith(OUR_TAGS)}


def copied_tags(model: RegisteredModel, version: VersionStatus) -> dict[str, str]:
    """Return the tags that copy the record into MLflow, whose backup may outlive the status."""
    meta = model.metadata
    record = {
        VERSION_TAG: version.name,
        URI_TAG: version.uri or "",
        DIGEST_TAG: version.digest or "",
        BYTES_TAG: "" if version.bytes is None else str(version.bytes),
        FLAVOR_TAG: version.flavor or "",
        SIGNATURE_TAG: version.signature or "",
        TRAINING_RUN_TAG: version.training_run or "",
    }
    return {key: value for key, value in record.items() if value} | owner_tags(
        meta.namespace, meta.name, meta.uid
    )


def stages_in_tag(there: TrackedVersion) -> frozenset[str]:
    """Return the stages that a version's tag in MLflow names: what the operator wrote last."""
    return frozenset(stage for stage in there.tags.get(STAGES_TAG, "").split(",") if as_name(stage))
