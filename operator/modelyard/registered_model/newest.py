"""The version that `autoPromote` chooses: the newest that the stage has not rejected. Pure.

The choice replaces only the `version` of the spec: `from`, freezes, gates and approvals apply as
usual. Versions are ordered by the time of their first registration, on MLflow's clock.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from modelyard.api.registered_model import Rejection, Stage, StageStatus, StepState, VersionStatus

__all__ = ["REJECTIONS", "Choice", "held_until", "remembered"]

REJECTIONS = 3
"""How many rejections a stage records."""
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_WAITS_FOR_TIME = frozenset({"freeze", "plan"})
"""Steps before `approval` that may have to wait again after people were asked to approve."""

Age = tuple[datetime, int]


@dataclass(frozen=True)
class Choice:
    """The input of the choice.

    Attributes:
        spec: The stage, with `autoPromote`.
        status: What is recorded of it.
        versions: The model's versions, by name.
        routed: The identity that the stage's Service selects.
        rejections: The stage's rejections that are in force.
        identity: Returns the identity of the runtime with which a version would be promoted.

    """

    spec: Stage
    status: StageStatus
    versions: Mapping[str, VersionStatus]
    routed: str | None
    rejections: Collection[Rejection]
    identity: Callable[[VersionStatus], str]

    def version(self) -> str | None:
        """Return the version to promote; the effective one if none is to replace it."""
        status = self.status
        if status.version is not None and status.version not in self.versions:
            return status.version  # without its record, no version is known to be newer
        found = {each.name: each for each in self.versions.values() if self._may_take(each)}
        # A candidate is not replaced if people were asked to approve it, or if it receives
        # requests. Any other candidate is replaced as soon as there is a newer version.
        if (
            status.candidate is not None
            and status.candidate.version in found
            and (self._is_live() or _people_were_asked(status))
        ):
            return status.candidate.version
        return max(found.values(), key=_age).name if found else status.version

    def _may_take(self, version: VersionStatus) -> bool:
        if version.digest is None or version.mlflow_version is None:
            return False
        # A chosen version whose artifacts are missing stays chosen, and reports that. If it were
        # dropped, its artifacts would no longer be read, and it would be chosen again.
        if version.blocked is not None and version.name != self.status.desired:
            return False
        effective = self.versions.get(self.status.version or "")
        if effective is not None and _age(version) <= _age(effective):
            return False
        if self.status.hold_time is not None and _age(version)[0] <= self.status.hold_time:
            return False
        return self._has_held_from(version) and not self._is_rejected(version)

    def _has_held_from(self, version: VersionStatus) -> bool:
        """Tell whether the version passes `from`.

        A version that has not been effective there may yet be rejected there, so it is not chosen.
        """
        from_stage = self.spec.from_
        held = (
            each
            for each in version.held
            if (each.stage, each.digest) == (from_stage, version.digest)
        )
        return from_stage is None or any(each.verified is not False for each in held)

    def _is_rejected(self, version: VersionStatus) -> bool:
        """Tell whether the stage rejects the version, even if that rejection is no longer recorded.

        Only rejections of the newest versions are recorded, so an older version than those may have
        been rejected.
        """
        # The rejection of the effective version is kept whatever its age (`remembered`).
        others = (each for each in self.rejections if each.version != self.status.version)
        ages = [
            _age(known) for each in others if (known := self.versions.get(each.version)) is not None
        ]
        if len(self.rejections) >= REJECTIONS and ages and _age(version) < min(ages):
            return True
        # Compare digests, so that the same bytes are rejected under another name too.
        about = [each for each in self.rejections if each.digest == version.digest]
        return any(each.runtime is None for each in about) or self.identity(version) in {
            each.runtime for each in about
        }

    def _is_live(self) -> bool:
        candidate = self.status.candidate
        return candidate is not None and (
            self.status.rollout is not None or self.routed == candidate.runtime.identity
        )


def _people_were_asked(status: StageStatus) -> bool:
    """Tell whether the promotion has reached the step in which people decide."""
    names = [step.name for step in status.steps]
    if "approval" not in names:
        return False
    before = status.steps[: names.index("approval")]
    return all(step.state is StepState.DONE for step in before if step.name not in _WAITS_FOR_TIME)


def remembered(
    rejections: Collection[Rejection],
    versions: Mapping[str, VersionStatus],
    in_force: Callable[[Rejection], bool],
    effective: str | None = None,
) -> tuple[Rejection, ...]:
    """Return the rejections to keep, oldest first: those in force, of the newest versions.

    If the latest rejections were kept instead, that of the newest version would be lost when older
    versions fail later, and that version would be tried again and again. The latest rejection of
    the effective version is kept too, because an automatic rollback depends on it.

    Args:
        rejections: All rejections, oldest first.
        versions: The model's versions, by name.
        in_force: Tells whether a rejection is in force.
        effective: The effective version.

    """
    own = max(
        (each for each in rejections if each.version == effective),
        key=lambda each: each.time,
        default=None,
    )

    def worth(each: Rejection) -> tuple[bool, bool, Age, datetime]:
        known = versions.get(each.version)
        return (
            in_force(each),
            each is own,
            _age(known) if known is not None else (_FIRST, 0),
            each.time,
        )

    return tuple(sorted(sorted(rejections, key=worth)[-REJECTIONS:], key=lambda each: each.time))


def held_until(versions: Iterable[VersionStatus]) -> datetime | None:
    """Return when the newest version was registered; a rollback excludes versions until then."""
    return max(
        (_age(each)[0] for each in versions if each.registered_time is not None), default=None
    )


def _age(version: VersionStatus) -> Age:
    """Return the sort key of versions: the time of registration in seconds, and MLflow's number."""
    number = version.mlflow_version or ""
    return (version.registered_time or _FIRST).replace(microsecond=0), int(
        number
    ) if number.isdecimal() else 0
