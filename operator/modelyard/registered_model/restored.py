"""Rebuild a lost status from the serving objects and MLflow's tags. Pure.

Without a status, the operator would take an effective version for one that was never promoted, and
delete its pods. So the status is rebuilt before any stage is decided on.
"""

from collections.abc import Iterator
from datetime import datetime

from modelyard.api.registered_model import (
    RegisteredModel,
    RegisteredModelStatus,
    ServedVersion,
    StageStatus,
)
from modelyard.kube.names import IDENTITY_LABEL, STAGE_LABEL, mlflow_model_name, serving_name
from modelyard.plan import Manifest
from modelyard.registered_model import conditions
from modelyard.registered_model.held import with_held
from modelyard.registered_model.kept import served_by
from modelyard.registered_model.observation import Observation, is_empty
from modelyard.registered_model.rebuilt import rebuilt
from modelyard.registered_model.record import current
from modelyard.registered_model.version_tags import stages_in_tag
from modelyard.registered_model.versions import split, tracked_by_name

__all__ = ["restored", "stage_of"]


def restored(
    model: RegisteredModel, observation: Observation, now: datetime
) -> RegisteredModelStatus | None:
    """Return the rebuilt status; None if the status is not empty, or nothing to rebuild is found.

    The effective version of a stage is that of the Deployment to which the stage's Service routes.
    The versions, and the stages without pods, are read from MLflow's tags.
    """
    if not is_empty(model):
        return None
    versions, stages = rebuilt(model, observation), {}
    for stage, what in _serving(model, observation.owned):
        if stage in model.spec.stages:
            whole = {"version": what.version, "digest": what.digest, "runtime": what.runtime}
            stages[stage] = StageStatus(**whole, since_time=now)
    if not versions and not stages:
        return None
    with_versions = model.model_copy(
        update={"status": model.status.model_copy(update={"versions": versions})}
    )
    digests = {version.name: version.digest for version in versions}
    for name, there in tracked_by_name(with_versions, observation.versions).items():
        for stage in stages_in_tag(there):
            # A tag alone must not start a version that neither serves nor is in the spec.
            wanted = model.spec.stages.get(stage)
            if wanted is not None and wanted.version == name:
                stages.setdefault(
                    stage, StageStatus(version=name, digest=digests[name], since_time=now)
                )
    full, older = split(model, with_held(versions, stages, now), stages)
    reported = (*conditions.registering(), conditions.following())
    name = mlflow_model_name(model.metadata.namespace, model.metadata.name)
    update = {
        "mlflow_name": name,
        "versions": full,
        "older_versions": older,
        "stages": stages,
        "conditions": reported,
    }
    return model.status.model_copy(update=update | {"record": current(model, observation)})


def _serving(
    model: RegisteredModel, owned: tuple[Manifest, ...]
) -> Iterator[tuple[str, ServedVersion]]:
    """Yield the stages whose Service routes to a Deployment, with what that serves.

    A candidate's private Service does not count.
    """
    routed = set()
    for each in owned:
        stage = stage_of(each)
        if (
            each["kind"] == "Service"
            and stage is not None
            and each["metadata"]["name"] == serving_name(model.metadata.name, stage)
        ):
            routed.add((stage, (each["spec"].get("selector") or {}).get(IDENTITY_LABEL)))
    for each in owned:
        stage, what = stage_of(each), served_by(each) if each["kind"] == "Deployment" else None
        if stage is not None and what is not None and (stage, what.runtime.identity) in routed:
            yield stage, what


def stage_of(owned: Manifest) -> str | None:
    """Return the stage that an object serves."""
    found: str | None = (owned["metadata"].get("labels") or {}).get(STAGE_LABEL)
    return found
