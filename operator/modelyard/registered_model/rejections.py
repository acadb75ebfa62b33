"""Rejections of versions: which one is in force, and the hash of the spec it depends on. Pure."""

import hashlib
import json

from modelyard.api.registered_model import Rejection, Stage, StageStatus

__all__ = ["is_in_force", "rejection_of", "spec_hash"]


def rejection_of(
    stage: Stage, status: StageStatus, version: str, digest: str, runtime: str | None = None
) -> Rejection | None:
    """Return the rejection of a version in force, for every runtime or for this one."""
    for rejection in status.rejected:
        same = (rejection.version, rejection.digest) == (version, digest)
        if same and is_in_force(stage, rejection) and rejection.runtime in {None, runtime}:
            return rejection
    return None


def is_in_force(stage: Stage, rejection: Rejection) -> bool:
    """Tell whether a rejection applies to the stage's present spec, for any runtime."""
    return rejection.spec_hash == spec_hash(stage) and rejection.attempt >= stage.attempt


_FREE = frozenset({"replicas", "autoscaling", "resources", "nodeSelector", "tolerations"})
"""Fields of a stage's serving that the policies leave free
(charts/modelyard/templates/policies/_promote.tpl).
"""
_OF_THE_CHANGE = frozenset(
    {
        "version",
        "requestedBy",
        "reason",
        "attempt",
        "override",
        "reverify",
        "rollback",
        "autoPromote",
    }
)
"""Fields of a stage that name a change or what follows it; the others decide how it is judged."""
_ALWAYS: dict[str, object] = {"nodeSelector": {}, "tolerations": []}
"""The first releases hashed these: a stage without them keeps its hash."""


def spec_hash(stage: Stage) -> str:
    """Return the hash of the fields that a rejection depends on.

    These are the stage's without `_OF_THE_CHANGE`, and without the fields of `serving` that need no
    `promote`: a user without that verb cannot lift a rejection.
    """
    spec = stage.model_dump(mode="json", by_alias=True, exclude_none=True)
    serving = {
        key: value for key, value in spec.pop("serving", {}).items() if key not in _FREE
    } | _ALWAYS
    rest = {key: value for key, value in spec.items() if key not in _OF_THE_CHANGE}
    if "rollout" in rest:  # resuming changes nothing of how the version is judged
        rest["rollout"] = {key: value for key, value in rest["rollout"].items() if key != "resumed"}
    return hashlib.sha256(
        json.dumps(rest | {"serving": serving}, sort_keys=True).encode()
    ).hexdigest()[:16]
