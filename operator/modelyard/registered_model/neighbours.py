"""Stages of other models with the same Service name. Pure.

For example, stage `eu-canary` of `fraud` and stage `canary` of `fraud-eu`: only one can have the
Service. The second stage is blocked before any of its pods starts. If both start at the same
moment, the apply of one is refused (`kube.owned.taken`).
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from modelyard.api.registered_model import RegisteredModel
from modelyard.kube.names import serving_name
from modelyard.plan import Manifest

__all__ = ["neighbours"]


def neighbours(model: RegisteredModel, others: Iterable[Manifest]) -> dict[str, str]:
    """Return the stages whose Service name another model has or will get, with that model's name.

    Args:
        model: The model.
        others: The RegisteredModels of its namespace; the model itself is skipped.

    """
    meta, found = model.metadata, dict[str, str]()
    addresses = {serving_name(meta.name, stage): stage for stage in model.spec.stages}
    for body in others:
        name: str = body["metadata"]["name"]
        if not (meta.name.startswith(f"{name}-") or name.startswith(f"{meta.name}-")):
            continue
        for stage, wanted in (body["spec"].get("stages") or {}).items():
            ours = addresses.get(serving_name(name, stage))
            if ours is None or not _is_served(wanted):
                continue
            theirs = ((body.get("status") or {}).get("stages") or {}).get(stage) or {}
            own = model.status.stages.get(ours)
            begun = theirs.get("version") or theirs.get("candidate")
            created = body["metadata"].get("creationTimestamp")
            if begun and _rank(theirs.get("version"), created, name) < _rank(
                own and own.version, meta.creation_timestamp, meta.name
            ):
                found[ours] = name
    return found


def _is_served(stage: Manifest) -> bool:
    serving = stage.get("serving") or {}
    return serving.get("replicas") != 0 or bool(serving.get("autoscaling"))


def _rank(version: Any, created: datetime | str | None, name: str) -> tuple[bool, float, str]:
    """Return the precedence of a stage: an effective version comes first, then the older model."""
    time = datetime.fromisoformat(created) if isinstance(created, str) else created
    return (version is None, time.timestamp() if time else 0, name)
