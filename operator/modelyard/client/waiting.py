"""Follow a model until what was asked of it is through. What "through" means is in `progress`."""

from collections.abc import Callable, Mapping, Sequence

from modelyard.client import progress
from modelyard.client.versions import ModelHandle

__all__ = ["Look", "Watching", "changed", "followed"]

Watching = Callable[[ModelHandle], None]
"""Called with every state of a model."""
Look = Callable[[ModelHandle], progress.Progress]


def changed(model: ModelHandle, changes: Sequence[progress.Change], what: str, seconds: float, seen: Watching | None) -> ModelHandle:
    """Return the model when all these changes are through; as it is, if nothing is waited for."""
    if not seconds:
        return model

    def looking(change: progress.Change) -> Look:
        return lambda now: progress.stage_change(now.object, change)

    looks = {f"{change.stage} of {model.namespace}/{model.name}": looking(change) for change in changes}
    return followed(model, looks, what, seconds, seen)


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
