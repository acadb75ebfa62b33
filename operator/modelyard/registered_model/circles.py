"""Stages that wait for one another: each takes only what has held the next one. Pure.

Two that name each other are refused at admission; longer circles are found when a version waits in
one.
"""

from collections.abc import Mapping

from modelyard.api.registered_model import Stage, VersionStatus

__all__ = ["circle", "trapped"]


def circle(stages: Mapping[str, Stage], name: str) -> tuple[str, ...]:
    """Return the shortest circle that leads from a stage back to it, each stage followed by one
    that it waits for; empty: none.
    """
    ways: list[tuple[str, ...]] = [(name,)]
    seen: set[str] = set()
    for way in ways:  # it grows meanwhile: the shortest ways come first
        for needed in _waits_for(stages.get(way[-1])):
            if needed == name:
                return way
            if needed not in seen:
                seen.add(needed)
                ways.append((*way, needed))
    return ()


def trapped(stages: Mapping[str, Stage], name: str, version: VersionStatus) -> str | None:
    """Say why a version can never reach a stage; None: it can.

    Args:
        stages: The stages of the model's spec.
        name: The stage that the version is to take.
        version: The version. If it has held a stage of the circle, with its present digest, it goes
            on from there.

    """
    found = circle(stages, name)
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
    """Return the stages that a version must have held before it takes a stage."""
    if stage is None:
        return ()
    named = (stage.from_, *(gate.soak.stage for gate in stage.gates if gate.soak is not None))
    return tuple(dict.fromkeys(each for each in named if each is not None))
