"""The arithmetic of a rollout's steps: weight, pods and hash by the step that it is at. Pure, and of the spec alone.

After the steps of the spec comes one more, of weight 100 with all pods: the stage switches from there.
"""

import hashlib
import json
from collections.abc import Sequence
from math import ceil

from modelyard.api.rollout import Rollout, RolloutStep

__all__ = ["pauses", "pods", "steps", "steps_hash", "weight"]

_WHOLE = 100


def steps(rollout: Rollout) -> tuple[RolloutStep, ...]:
    """Return the steps, with the last one that each rollout has."""
    return (*rollout.steps, RolloutStep(weight=_WHOLE))


def steps_hash(rollout: Rollout) -> str:
    """Return the hash by which other steps are noticed, and another way to draw."""
    asked = rollout.model_dump(mode="json", by_alias=True, exclude_none=True, include={"steps", "sticky", "invite"})
    text = json.dumps(asked, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def weight(asked: Sequence[RolloutStep], index: int) -> int:
    """Return the weight at a step, in percent: that of the newest weight up to it."""
    return next((step.weight for step in reversed(asked[: index + 1]) if step.weight is not None), 0)


def pods(asked: Sequence[RolloutStep], index: int, whole: int) -> int:
    """Return how many pods the candidate has at a step.

    As large a share of the stage's as its weight, rounded up and at least one; from a step `replicas`
    on what that says. At the last step all.

    Args:
        asked: The steps.
        index: The step.
        whole: Pods of the stage.

    """
    if index >= len(asked) - 1:
        return whole
    fixed = next((step.replicas for step in reversed(asked[: index + 1]) if step.replicas is not None), None)
    wanted = fixed if fixed is not None else ceil(whole * weight(asked, index) / _WHOLE)
    return min(max(wanted, 1), whole)


def pauses(asked: Sequence[RolloutStep], index: int) -> int:
    """Return how many pauses come before a step."""
    return sum(step.pause is not None for step in asked[:index])
