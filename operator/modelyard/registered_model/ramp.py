"""The arithmetic of a rollout's steps: weight, pods and hash by the step that it is at. Pure, and
of the spec alone.

The steps are those of the spec and the one after them (`Rollout.whole`).
"""

import hashlib
import json
from collections.abc import Sequence
from math import ceil

from modelyard.api.rollout import Rollout, RolloutStep

__all__ = ["pods", "steps_hash", "weight"]

_WHOLE = 100


def steps_hash(rollout: Rollout) -> str:
    """Return the hash by which other steps are noticed, and another way to draw."""
    asked = rollout.model_dump(
        mode="json", by_alias=True, exclude_none=True, include={"steps", "sticky", "invite"}
    )
    text = json.dumps(asked, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def weight(asked: Sequence[RolloutStep], index: int) -> int:
    """Return the weight at a step, in percent: that of the newest weight up to it."""
    return next(
        (step.weight for step in reversed(asked[: index + 1]) if step.weight is not None), 0
    )


def pods(asked: Sequence[RolloutStep], index: int, whole: int) -> int:
    """Return how many pods the candidate has at a step.

    As large a share of the stage's as its weight, rounded up and at least one; from a step
    `replicas` on what that says. At the last step all.

    Args:
        asked: The steps.
        index: The step.
        whole: Pods of the stage.

    """
    if index >= len(asked) - 1:
        return whole
    fixed = next(
        (step.replicas for step in reversed(asked[: index + 1]) if step.replicas is not None), None
    )
    wanted = fixed if fixed is not None else ceil(whole * weight(asked, index) / _WHOLE)
    return min(max(wanted, 1), whole)
