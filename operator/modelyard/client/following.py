"""Where a version comes from, and when what was asked of a model has come about. Pure: each looks at one state of the object.

Asking, and waiting for the next state, do not belong here (`models`).
"""

import re
from collections.abc import Mapping
from typing import Any

from modelyard.api.registered_model import ModelReason
from modelyard.client.errors import Failed
from modelyard.client.versions import ModelHandle

__all__ = ["registered", "source", "staged"]

_RUNS = re.compile(r"runs:/(?P<run>[A-Za-z0-9_-]+)(?:/(?P<path>.+))?")
_TRAINING_RUN = re.compile(r"trainingruns/(?P<name>[a-z0-9.-]+)")
_WHOLE = {ModelReason.NAME_TAKEN, ModelReason.CONNECTION_MISSING, ModelReason.CONNECTION_REFUSED, ModelReason.REQUEST_REFUSED}
"""Reasons that stall the model as a whole, not one stage of it."""


def source(text: str) -> dict[str, Any]:
    """Read where a version comes from."""
    if found := _TRAINING_RUN.fullmatch(text):
        return {"trainingRun": found["name"]}
    if found := _RUNS.fullmatch(text):
        return {"runId": found["run"], **({"path": found["path"]} if found["path"] else {})}
    if text.startswith("s3://"):
        return {"uri": text}
    raise ValueError(f"{text} is no source: write trainingruns/<name>, runs:/<run id>[/<path>] or s3://<bucket>/<key>")


def registered(version: str, declared: Mapping[str, Any], model: ModelHandle) -> ModelHandle | None:
    """The model, when MLflow has the version. What else is wrong with the model is not its business.

    Raises:
        Failed: The version cannot be registered, or another source holds its name.

    """
    subject = f"{version} of {model.namespace}/{model.name}"
    status = next((each for each in model.object.status.versions if each.name == version), None)
    if not model.fresh:
        return None
    if status is None:
        if model.stalled and model.reason in _WHOLE:
            raise Failed(subject, model.reason, model.message)
        return None
    if status.mlflow_version is not None:
        given = {"trainingRun": status.training_run, "runId": status.run_id, "uri": (status.uri or "").rstrip("/")}
        if any(given[key] != str(value).rstrip("/") for key, value in declared.items() if key in given):
            raise Failed(subject, "VersionTaken", "another source was registered under this name before: declare this one under another.")
        return model
    reason, _, words = (status.problem or "").partition(": ")
    if words and reason in set(ModelReason):
        raise Failed(subject, reason, words)
    return None


def staged(stage: str, version: str | None, model: ModelHandle) -> ModelHandle | None:
    """Return the model, when a version holds a stage and MLflow agrees; None while it is on its way. Pure.

    Raises:
        Failed: It will not, until somebody changes something. Trouble of other stages is not this one's.

    """
    if not model.fresh:
        return None
    status = model.object.status.stages.get(stage)
    if (status.version if status else None) == version:
        synced = model.object.status.condition("Synced")
        if model.ready or (synced is not None and synced.status == "True" and (status is None or status.desired == version)):
            return model
    subject = f"{stage} of {model.namespace}/{model.name}"
    if status is not None and status.refused and status.refused_generation == model.metadata.generation:
        raise Failed(subject, ModelReason.SERVING_FAILED, status.refused)
    known = next((each for each in model.object.status.versions if each.name == version), None)
    reason, _, words = ((known.problem if known else None) or "").partition(": ")
    if words and reason in set(ModelReason):
        raise Failed(subject, reason, words)
    if model.stalled and (model.reason in _WHOLE or model.message.startswith(f"{stage}: ")):
        raise Failed(subject, model.reason, model.message.removeprefix(f"{stage}: "))
    return None
