"""Cycles of stages in which each accepts only versions that were effective in the next. Pure.

The API server refuses two stages that name each other. A longer cycle is found when a version waits
in it.
"""

from collections.abc import Mapping

from modelyard.api.registered_model import Stage, VersionStatus

__all__ = ["cycle", "unreachable"]


def cycle(stages: Mapping[str, Stage], name: str) -> tuple[str, ...]:
    """Return the shortest cycle through a stage: each stage is followed by one that it waits for.

    Empty: there is no cycle.
    """
    paths: list[tuple[str, ...]] = [(name,)]
    visited: set[str] = set()
    for path in paths:  # the list grows in the loop; the shortest paths come first
        for needed in _waits_for(stages.get(path[-1])):
            if needed == name:
                return path
            if needed not in visited:
                visited.add(needed)
                paths.append((*path, needed))
    return ()


def unreachable(stages: Mapping[str, Stage], name: str, version: VersionStatus) -> str | None:
    """Return why a version can never reach a stage; None: it can.

    Args:
        stages: The stages of the model's spec.
        name: The desired stage.
        version: The version. If it has held a stage of the cycle, with its present digest, it can
            continue from there.

    """
    found = cycle(stages, name)
    held = {each.stage for each in version.held if each.digest == version.digest}
    if not found or held & set(found):
        return None
    ring = (*found, name)
    return (
        f"The stages {' -> '.join(ring)} wait for one another: each takes only what has held the"
        f" next one (by from or the gate soak), and {version.name} has held none of them. Remove"
        " from, or the gate soak, of the stage that versions are to begin in."
    )


def _waits_for(stage: Stage | None) -> tuple[str, ...]:
    """Return the stages in which a version must have been effective before this one."""
    if stage is None:
        return ()
    named = (stage.from_, *(gate.soak.stage for gate in stage.gates if gate.soak is not None))
    return tuple(dict.fromkeys(each for each in named if each is not None))
