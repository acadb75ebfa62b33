"""Follow a model until a change is complete. `progress` decides when it is."""

import time
from collections.abc import Callable, Mapping, Sequence

from modelyard.client import progress, rollouts
from modelyard.client.errors import Paused
from modelyard.client.versions import ModelHandle

__all__ = ["Check", "Watching", "changed", "followed"]

Watching = Callable[[ModelHandle], None]
"""Called with every state of a model."""
Check = Callable[[ModelHandle], progress.Progress]
"""Returns the progress of a change, from one state of a model."""


def changed(
    model: ModelHandle,
    changes: Sequence[progress.Change],
    what: str,
    seconds: float | None,
    seen: Watching | None,
) -> ModelHandle:
    """Wait until all of these changes are complete, and return the model.

    Args:
        model: The model, as the API server answered.
        changes: What was asked for.
        what: The same in words, for an error: `to refresh production`.
        seconds: How long to wait. 0 returns the model as it is. None waits for
            `rollouts.longest`, and a pause of a rollout raises Paused.
        seen: Called with every state of the model.

    Raises:
        Failed: A change will not complete without an action of a user.
        Paused: A rollout is at a pause, and `seconds` is None.
        TimedOut: A change is not complete yet. It continues.

    """
    if seconds == 0:
        return model
    begun = time.monotonic()

    def check_of(change: progress.Change) -> Check:
        def check(now: ModelHandle) -> progress.Progress:
            found = progress.stage_change(now.object, change)
            if seconds is None and found.is_paused:
                raise _paused(now, change.stage, found, time.monotonic() - begun)
            return found

        return check

    checks = {
        f"{change.stage} of {model.namespace}/{model.name}": check_of(change) for change in changes
    }
    limit = (
        rollouts.longest(model.object, (change.stage for change in changes))
        if seconds is None
        else seconds
    )
    return followed(model, checks, what, limit, seen)


def _paused(model: ModelHandle, stage: str, found: progress.Progress, waited: float) -> Paused:
    subject = f"{stage} of {model.namespace}/{model.name}"
    resumed = f"client.models.resume({model.name!r}, {stage!r})"
    return Paused(f"{subject}: {found.reason}: {found.message} In Python: {resumed}", waited)


def followed(
    model: ModelHandle,
    checks: Mapping[str, Check],
    what: str,
    seconds: float,
    seen: Watching | None,
) -> ModelHandle:
    """Wait until every check is done, and return the model. `checks` are named by their subject.

    Raises:
        Failed: A check has failed.
        TimedOut: One is not done after `seconds`.

    """

    def look(now: ModelHandle) -> ModelHandle | None:
        found = {subject: check(now) for subject, check in checks.items()}
        for subject, each in found.items():
            if (failed := each.failure(subject)) is not None:
                raise failed
        return now if all(each.is_done for each in found.values()) else None

    return model._until(look, what, seconds, seen, stalls=False)  # noqa: SLF001 - this package's own
