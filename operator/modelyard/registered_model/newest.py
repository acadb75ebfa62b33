"""Which version a stage takes by itself (`autoPromote`): the newest that it has not rejected. Pure.

It chooses what a person would have written as `version`; all that stands between a written version
and the stage (`from`, freezes, gates, people) stands before this one too. Versions are ordered by
when they were first registered, as MLflow tells the time, so that the operator's clock does not
matter.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from modelyard.api.registered_model import Rejection, Stage, StageStatus, StepState, VersionStatus

__all__ = ["REJECTIONS", "Choice", "held_until", "remembered"]

REJECTIONS = 3
"""How many rejections a stage remembers."""
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_WAITS_FOR_TIME = frozenset({"freeze", "plan"})
"""Steps that come before people are asked, and that may begin to wait again afterwards."""

Age = tuple[datetime, int]


@dataclass(frozen=True)
class Choice:
    """What is looked at to choose.

    Attributes:
        spec: The stage, with `autoPromote`.
        status: What is recorded of it.
        versions: The model's versions, by name.
        routed: The identity that the stage's Service selects.
        rejections: The stage's rejections that are in force.
        identity: Returns the runtime's identity with which a version would be promoted.

    """

    spec: Stage
    status: StageStatus
    versions: Mapping[str, VersionStatus]
    routed: str | None
    rejections: Collection[Rejection]
    identity: Callable[[VersionStatus], str]

    def version(self) -> str | None:
        """Return the version that the stage is to have: the effective one if none is to replace
        it.
        """
        status = self.status
        if status.version is not None and status.version not in self.versions:
            return status.version  # its record is lost: nothing says what is newer
        found = {each.name: each for each in self.versions.values() if self._may_take(each)}
        # People who were asked about one version are not asked about another in the middle; what
        # has requests is not taken back. Anything else that is on its way makes room for a newer
        # version at once.
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
        # What is chosen stays so though its artifacts are missing, and says so. Of what is not
        # chosen they are not read: to choose another one would forget them, and come back to this
        # one.
        if version.blocked is not None and version.name != self.status.desired:
            return False
        effective = self.versions.get(self.status.version or "")
        if effective is not None and _age(version) <= _age(effective):
            return False
        if self.status.hold_time is not None and _age(version)[0] <= self.status.hold_time:
            return False
        return self._has_held_from(version) and not self._is_rejected(version)

    def _has_held_from(self, version: VersionStatus) -> bool:
        """Tell whether `from` lets it through: what has not been there may be rejected there,
        and must not keep the others waiting.
        """
        asked = self.spec.from_
        held = (
            each for each in version.held if (each.stage, each.digest) == (asked, version.digest)
        )
        return asked is None or any(each.verified is not False for each in held)

    def _is_rejected(self, version: VersionStatus) -> bool:
        """Tell whether a rejection is in force, or was and has been forgotten: those that are
        remembered are of the newest versions.
        """
        # That of the effective version is remembered whatever its age (`remembered`).
        others = (each for each in self.rejections if each.version != self.status.version)
        ages = [
            _age(known) for each in others if (known := self.versions.get(each.version)) is not None
        ]
        if len(self.rejections) >= REJECTIONS and ages and _age(version) < min(ages):
            return True
        about = [
            each for each in self.rejections if each.digest == version.digest
        ]  # the same bytes under another name too
        return any(each.runtime is None for each in about) or self.identity(version) in {
            each.runtime for each in about
        }

    def _is_live(self) -> bool:
        candidate = self.status.candidate
        return candidate is not None and (
            self.status.rollout is not None or self.routed == candidate.runtime.identity
        )


def _people_were_asked(status: StageStatus) -> bool:
    """Tell whether the promotion has come to the step in which people decide, or past it."""
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
    """Return the rejections that such a stage remembers, oldest first: those in force of the newest
    versions.

    By time alone the newest version would be forgotten once older ones are tried and fail as well,
    and be tried again for ever. The newest one of the effective version stays too, by which the
    stage goes back from it.

    Args:
        rejections: All, oldest first.
        versions: The model's versions, by name.
        in_force: Whether one is.
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
    """Return when the newest version was registered: after a rollback only later ones are taken.
    None: there is none.
    """
    return max(
        (_age(each)[0] for each in versions if each.registered_time is not None), default=None
    )


def _age(version: VersionStatus) -> Age:
    """Return what versions are ordered by: when it was registered, in the seconds that a status
    has, and MLflow's number.
    """
    number = version.mlflow_version or ""
    return (version.registered_time or _FIRST).replace(microsecond=0), int(
        number
    ) if number.isdecimal() else 0
