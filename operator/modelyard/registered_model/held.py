"""The stages in which each version is or was effective, and whether it is verified there. Pure.

`from` and `soak` read this record, never the history.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from modelyard.api.registered_model import (
    HeldStage,
    ModelReason,
    StageStatus,
    Verdict,
    VersionStatus,
)

__all__ = ["with_held"]

_HELD = 4
"""How many stages are recorded of one version."""


def with_held(
    versions: Iterable[VersionStatus], stages: Mapping[str, StageStatus], now: datetime
) -> tuple[VersionStatus, ...]:
    """Return the versions with an up-to-date record of the stages that they hold or have held."""
    return tuple(_with_held(version, stages, now) for version in versions)


def _with_held(
    version: VersionStatus, stages: Mapping[str, StageStatus], now: datetime
) -> VersionStatus:
    held = {each.stage: each for each in version.held}
    for name, entry in held.items():
        if entry.until_time is None and (
            name not in stages or stages[name].version != version.name
        ):
            held[name] = entry.model_copy(
                update={"until_time": now}
                | ({"verified": False} if _was_rolled_back(version, entry, stages) else {})
            )
    for name, stage in stages.items():
        if stage.version != version.name:
            continue
        before = held.get(name)
        if before is None or before.until_time is not None:
            # When the version becomes effective again, its Fail stays until it is verified again,
            # which happens at once.
            failed = (
                False
                if before is not None and before.digest == stage.digest and before.verified is False
                else None
            )
            held[name] = HeldStage(
                stage=name, digest=stage.digest, since_time=stage.since_time or now, verified=failed
            )
        held[name] = _verified(held[name], stage, now)
    newest = sorted(
        held.values(),
        key=lambda each: (each.until_time is None, each.until_time or each.since_time),
    )[-_HELD:]
    return version.model_copy(update={"held": tuple(sorted(newest, key=lambda each: each.stage))})


def _was_rolled_back(
    version: VersionStatus, held: HeldStage, stages: Mapping[str, StageStatus]
) -> bool:
    """Tell whether a stage rolled a version back automatically; its time there is void then."""
    rejected = stages[held.stage].rejected if held.stage in stages else ()
    return any(
        (each.version, each.digest, each.reason)
        == (version.name, held.digest, ModelReason.ROLLED_BACK)
        for each in rejected
    )


def _verified(held: HeldStage, stage: StageStatus, now: datetime) -> HeldStage:
    """Return the record of an effective version, with the last verdict of its verification.

    A Pass after a Fail restarts the time in the stage.
    """
    if stage.verification is None:
        return held.model_copy(update={"verified": None})
    if stage.verification.verdict is None:
        return held
    passes = stage.verification.verdict is Verdict.PASS
    since = (
        (stage.verification.time or now) if passes and held.verified is False else held.since_time
    )
    return held.model_copy(update={"verified": passes, "since_time": since})
