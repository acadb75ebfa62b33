"""Follow a model until what was asked of it is through. What "through" means is in `progress`."""

import time
from collections.abc import Callable, Mapping, Sequence

from modelyard.client import progress, rollouts
from modelyard.client.errors import Paused
from modelyard.client.versions import ModelHandle

__all__ = ["Look", "Watching", "changed", "followed"]

Watching = Callable[[ModelHandle], None]
"""Called with every state of a model."""
Look = Callable[[ModelHandle], progress.Progress]


def changed(
    model: ModelHandle,
    changes: Sequence[progress.Change],
    what: str,
    seconds: float | None,
    seen: Watching | None,
) -> ModelHandle:
    """Return the model when all these changes are through.

    Args:
        model: The model, as the API server answered.
        changes: What was asked for.
        what: The same, for an error.
        seconds: How long. 0: not at all, and the model is returned as it is. None: as
            `rollouts.longest` says, and a pause of a rollout ends it.
        seen: Called with every state of the model.

    Raises:
        Failed: One of them will not come about.
        Paused: A rollout waits for a person, and `seconds` is None.
        TimedOut: They may still come about.

    """
    if seconds == 0:
        return model
    begun = time.monotonic()

    def looking(change: progress.Change) -> Look:
        def look(now: ModelHandle) -> progress.Progress:
            found = progress.stage_change(now.object, change)
            if seconds is None and found.is_paused:
                raise _paused(now, change.stage, found, time.monotonic() - begun)
            return found

        return look

    looks = {
        f"{change.stage} of {model.namespace}/{model.name}": looking(change) for change in changes
    }
    limit = (
        rollouts.longest(model.object, (change.stage for change in changes))
        if seconds is None
        else seconds
    )
    return followed(model, looks, what, limit, seen)


def _paused(model: ModelHandle, stage: str, found: progress.Progress, waited: float) -> Paused:
    subject = f"{stage} of {model.namespace}/{model.name}"
    resumed = f"client.models.resume({model.name!r}, {stage!r})"
    return Paused(f"{subject}: {found.reason}: {found.message} Here: {resumed}", waited)


def followed(
    model: ModelHandle,
    looks: Mapping[str, Look],
    what: str,
    seconds: float,
    seen: Watching | None,
) -> ModelHandle:
    """Follow a model until everything that is looked at, by its subject, is through."""

    def look(now: ModelHandle) -> ModelHandle | None:
        found = {subject: each(now) for subject, each in looks.items()}
        for subject, each in found.items():
            if (failed := each.failure(subject)) is not None:
                raise failed
        return now if all(each.is_done for each in found.values()) else None

    return model._until(look, what, seconds, seen, stalls=False)  # noqa: SLF001 - this package's
