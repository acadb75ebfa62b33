"""`StageView`: the facts about one stage, and what follows from them. Pure.

The decision reads nothing else. It is a frozen value, built once a round.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from modelyard.api.registered_model import (
    ModelReason,
    Rejection,
    ServedVersion,
    VersionStatus,
)
from modelyard.api.rollout import Rollout
from modelyard.registered_model import build, newest, overrides, window
from modelyard.registered_model.facts import StageFacts, identity_of
from modelyard.registered_model.kept import kept_in
from modelyard.registered_model.rejections import is_in_force

__all__ = ["StageView"]


@dataclass(frozen=True)
class StageView(StageFacts):
    """One stage, with the version that it should have and how it gets there."""

    # --- the desired version and what is to be promoted ----------------------------------------
    @cached_property
    def asked(self) -> str | None:
        """The version that the spec names, or with `autoPromote` the newest admissible one."""
        spec = self.spec
        if spec is None or spec.auto_promote is None:
            return spec.version if spec is not None else None
        rejections = [each for each in self.status.rejected if is_in_force(spec, each)]
        return newest.Choice(
            spec, self.status, self.versions, self.routed, rejections, self._identity
        ).version()

    def _identity(self, version: VersionStatus) -> str:
        """Return the identity of the runtime with which a version would be promoted now."""
        begun = self.status.candidate
        if begun is not None and (begun.version, begun.digest) == (version.name, version.digest):
            return begun.runtime.identity
        return build.served(version.name, version.digest or "", self.runtime).runtime.identity

    @property
    def _in_spec(self) -> str | None:
        """The desired version according to the spec, overrides included."""
        return overrides.desired(self.spec, self.status, self.now, self.asked)

    @property
    def desired(self) -> str | None:
        """The desired version: of an automatic rollback, of an override, or of the spec."""
        return self.rollback_target.version if self.rollback_target is not None else self._in_spec

    @property
    def is_cleared(self) -> bool:
        """Whether the stage is to have no version; `dryRun` delays that."""
        return self._in_spec is None and not self.model.spec.dry_run

    @cached_property
    def wanted(self) -> ServedVersion | None:
        """What is to be promoted; None if nothing is, or if its digest is not recorded yet."""
        if self.rollback_target is not None:
            return self.rollback_target
        version = self.versions.get(self.desired) if self.desired else None
        if self.desired is not None and self.desired == self.status.version:
            return self._refreshed()
        if version is None or version.digest is None:
            return None
        for recorded in (self.status.candidate, self._restorable):
            if recorded is not None and (recorded.version, recorded.digest) == (
                version.name,
                version.digest,
            ):
                return recorded
        return build.served(version.name, version.digest, self.runtime)

    @property
    def _restorable(self) -> ServedVersion | None:
        """The version displaced last, with its runtime, if it may return with that.

        Not if the stage has rejected that runtime. If the stage follows the operator's runtime,
        only inside the window.
        """
        previous = self.status.previous
        if previous is None or previous.runtime.identity in {
            rejection.runtime for rejection in self.status.rejected
        }:
            return None
        is_inside = self.window_end is not None and self.now < self.window_end
        return None if self.follows_operator and not is_inside else previous.served

    def _refreshed(self) -> ServedVersion | None:
        """Return the effective version with the operator's runtime, if the spec wants that."""
        stable = self.effective
        if stable is None or not (self.follows_operator or self.attempt > self.status.attempt):
            return None
        begun = self.status.candidate
        if begun is not None and (begun.version, begun.digest) == (stable.version, stable.digest):
            return begun
        current = build.served(stable.version, stable.digest, self.runtime)
        return current if current.runtime.identity != stable.runtime.identity else None

    @property
    def subject(self) -> ServedVersion | None:
        """What gates judge: the version to promote, or in a verification the effective one."""
        return self.wanted if self.round is None else self.effective

    # --- what kind of change that is -----------------------------------------------------------
    @property
    def is_changing(self) -> bool:
        """Whether a promotion is wanted or in progress."""
        return self.desired is not None and (
            self.desired != self.status.version or self.wanted is not None
        )

    @property
    def is_refresh(self) -> bool:
        """Whether the effective version gets another runtime and nothing else changes."""
        return self.desired is not None and self.desired == self.status.version

    @property
    def called(self) -> str:
        """What is to be promoted, as messages name it."""
        if self.rollback_target is not None:
            return f"{self.rollback_target.version}, which served before,"
        return (
            f"{self.desired} with the operator's runtime" if self.is_refresh else str(self.desired)
        )

    @property
    def is_routed(self) -> bool:
        """Whether the Service routes to what is to be promoted."""
        return self.wanted is not None and self.routed == self.wanted.runtime.identity

    @property
    def is_live(self) -> bool:
        """Whether requests may have reached what is wanted, by the Service or a rollout."""
        return self.is_routed or (
            self.status.rollout is not None and self.wanted == self.status.candidate
        )

    # --- the version displaced last (`window`), and rejections -----------------------------------
    @property
    def returns(self) -> bool:
        """Whether the version displaced last returns, without gates."""
        if self.rollback_target is not None:
            return True
        previous, wanted = self.status.previous, self.wanted
        if (
            previous is None
            or wanted is None
            or (previous.version, previous.digest) != (wanted.version, wanted.digest)
        ):
            return False
        return window.is_open(
            self.spec, self.status, self.window_end, self.now, is_routed=self.is_routed
        )

    @cached_property
    def window_end(self) -> datetime | None:
        """When the window of the version displaced last ends or ended.

        None: it has no window, or the stage has rejected it.
        """
        previous = self.status.previous
        if previous is None or self.has_rejected(previous):
            return None
        return window.end(self.spec, self.name, self.status, self.versions.get(previous.version))

    @cached_property
    def rejection(self) -> Rejection | None:
        """The rejection in force of what is to be promoted."""
        found = self.rejection_for(self.wanted) if self.wanted is not None else None
        # An override ignores a rejection by a gate, but not one by the version's own pods.
        if found is not None and found.runtime is None and self.override is not None:
            return None
        return found

    # --- the watch after a switch (`watch`) -------------------------------------------------------
    @property
    def watched_until(self) -> datetime | None:
        """When the watch of the effective version ends or ended, by the present spec.

        None: it is not watched.
        """
        watch, rollback = self.status.watch, self.spec.rollback if self.spec is not None else None
        if watch is None or rollback is None or rollback.automatic is None:
            return None
        return watch.since_time + rollback.automatic.lasts

    @cached_property
    def rolled_back(self) -> Rejection | None:
        """The rejection of the effective version by its watch, while it is in force."""
        found = self.rejection_for(self.effective) if self.effective is not None else None
        return found if found is not None and found.reason == ModelReason.ROLLED_BACK else None

    @cached_property
    def displaced(self) -> ServedVersion | None:
        """What the effective version displaced: the version before, or its runtime before."""
        watch, previous = self.status.watch, self.status.previous
        identity = watch.displaced if watch is not None else None
        if identity is None:
            return None
        if previous is not None and previous.runtime.identity == identity:
            return previous.served
        templates = self.of_kind("ControllerRevision")
        return next((kept_in(each) for each in templates if identity_of(each) == identity), None)

    @cached_property
    def can_return(self) -> ServedVersion | None:
        """What the effective version displaced, if it may return.

        Not if the stage has rejected it, or if its bytes have changed.
        """
        found = self.displaced
        recorded = self.versions.get(found.version) if found is not None else None
        if (
            found is None
            or self.spec is None
            or recorded is None
            or recorded.digest != found.digest
        ):
            return None
        return None if self.has_rejected(found) else found

    @cached_property
    def rollback_target(self) -> ServedVersion | None:
        """The target of an automatic rollback, which overrules the spec; None: there is none."""
        found, candidate = self.can_return, self.status.candidate
        if (
            self.rolled_back is None
            or found is None
            or self.override is not None
            or self.is_cleared
        ):
            return None
        runs = (
            candidate is not None
            and candidate != found
            and self.routed == candidate.runtime.identity
        )
        return None if runs else found

    # --- the rollout ------------------------------------------------------------------------------
    @cached_property
    def canary(self) -> Rollout | None:
        """The rollout of the candidate; None: the stage switches at once."""
        spec = self.spec
        if spec is None or not spec.is_canary or self.returns or self.override is not None:
            return None
        return spec.rollout if self.straight is None else None

    @cached_property
    def straight(self) -> str | None:
        """Why the candidate skips the rollout that the spec has; None: it does not skip it."""
        stable = self.effective
        if self.is_routed:
            return "passed: requests reach it already"
        if stable is None:
            return "passed: no version serves that could split its requests"
        if not self.is_served and self.status.rollout is None:
            return "passed: the stage has no pods"
        if not build.splits(stable):
            return (
                f"passed: the runtime of {stable.version} is too old to split (modelyard refresh)"
            )
        return None
