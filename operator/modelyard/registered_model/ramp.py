"""The arithmetic of a rollout's steps: weight and pods by step, and the hash of the steps. Pure.

The steps are those of the spec and the final one (`Rollout.whole`).
"""

import hashlib
import json
from collections.abc import Sequence
from math import ceil

from modelyard.api.rollout import Rollout, RolloutStep

__all__ = ["pods", "steps_hash", "weight"]

_WHOLE = 100


def steps_hash(rollout: Rollout) -> str:
    """Return the hash of the steps and of the way to draw; a change restarts the rollout."""
    fields = rollout.model_dump(
        mode="json", by_alias=True, exclude_none=True, include={"steps", "sticky", "invite"}
    )
    text = json.dumps(fields, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def weight(steps: Sequence[RolloutStep], index: int) -> int:
    """Return the weight at a step, in percent: that of the last `weight` up to it."""
    return next(
        (step.weight for step in reversed(steps[: index + 1]) if step.weight is not None), 0
    )


def pods(steps: Sequence[RolloutStep], index: int, whole: int) -> int:
    """Return the number of the candidate's pods at a step.

    The weight's share of the stage's pods, rounded up and at least one; after a `replicas` step
    its number; at the last step all.

    Args:
        steps: The steps.
        index: The step.
        whole: The stage's pods.

    """
    if index >= len(steps) - 1:
        return whole
    fixed = next(
        (step.replicas for step in reversed(steps[: index + 1]) if step.replicas is not None), None
    )
    wanted = fixed if fixed is not None else ceil(whole * weight(steps, index) / _WHOLE)
    return min(max(wanted, 1), whole)
