"""Rejections of versions: which one is in force, and the hash of what it depends on. Pure."""

import hashlib
import json

from modelyard.api.registered_model import Rejection, Stage, StageStatus

__all__ = ["is_in_force", "rejection_of", "spec_hash"]


def rejection_of(
    stage: Stage, status: StageStatus, version: str, digest: str, runtime: str | None = None
) -> Rejection | None:
    """Return the rejection of a version that is in force, of all runtimes or of one."""
    for rejection in status.rejected:
        same = (rejection.version, rejection.digest) == (version, digest)
        if same and is_in_force(stage, rejection) and rejection.runtime in {None, runtime}:
            return rejection
    return None


def is_in_force(stage: Stage, rejection: Rejection) -> bool:
    """Tell whether a rejection holds for a stage as it is, whatever the runtime."""
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
"""Fields of a stage that say which change is asked for, or what comes after it, and not how it
is judged.
"""
_ALWAYS: dict[str, object] = {"nodeSelector": {}, "tolerations": []}
"""Of these the first releases hashed what the spec said: a stage that said nothing keeps its
hash.
"""


def spec_hash(stage: Stage) -> str:
    """Return the hash of what a rejection depends on.

    That is the stage without `_OF_THE_CHANGE`, and of its serving without what may be changed
    without `promote`: who may not promote lifts no rejection.
    """
    spec = stage.model_dump(mode="json", by_alias=True, exclude_none=True)
    serving = {
        key: value for key, value in spec.pop("serving", {}).items() if key not in _FREE
    } | _ALWAYS
    rest = {key: value for key, value in spec.items() if key not in _OF_THE_CHANGE}
    if "rollout" in rest:  # a person who has it continue changes nothing of how it is judged
        rest["rollout"] = {key: value for key, value in rest["rollout"].items() if key != "resumed"}
    return hashlib.sha256(
        json.dumps(rest | {"serving": serving}, sort_keys=True).encode()
    ).hexdigest()[:16]
