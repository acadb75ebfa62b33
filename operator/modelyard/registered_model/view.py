"""`StageView`: the facts about one stage, and properties derived from them. Pure.

The decision about a stage reads nothing else. A view is a frozen value, built once a round.

    spec_version   the version that the spec names, or that `autoPromote` chooses
    desired        the version that the stage should have: `spec_version`, unless an override or an
                   automatic rollback replaces it
    target         what is to be promoted: the desired version with its digest and runtime
    effective      what the stage has
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
    """One stage: its facts, the version that it should have, and how that is promoted."""

    # --- the desired version and what is to be promoted ----------------------------------------
    @cached_property
    def spec_version(self) -> str | None:
        """The version that the spec names, or with `autoPromote` the newest admissible one."""
        spec = self.spec
        if spec is None or spec.auto_promote is None:
            return spec.version if spec is not None else None
        rejections = [each for each in self.status.rejected if is_in_force(spec, each)]
        return newest.Choice(
            spec, self.status, self.versions, self.routed, rejections, self._identity
        ).version()

    def _identity(self, version: VersionStatus) -> str:
        """Return the identity of the runtime that a version would get if it were promoted now."""
        begun = self.status.candidate
        if begun is not None and (begun.version, begun.digest) == (version.name, version.digest):
            return begun.runtime.identity
        return build.served(version.name, version.digest or "", self.runtime).runtime.identity

    @property
    def _spec_or_override(self) -> str | None:
        """The desired version according to the spec, overrides included."""
        return overrides.desired(self.spec, self.status, self.now, self.spec_version)

    @property
    def desired(self) -> str | None:
        """The desired version: of an automatic rollback, else of an override, else of the spec."""
        return (
            self.rollback_target.version
            if self.rollback_target is not None
            else self._spec_or_override
        )

    @property
    def is_cleared(self) -> bool:
        """Whether the stage is to have no version; `dryRun` delays that."""
        return self._spec_or_override is None and not self.model.spec.dry_run

    @cached_property
    def target(self) -> ServedVersion | None:
        """What is to be promoted.

        None: nothing is, or the desired version's digest is not recorded yet.
        """
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
        """The version displaced last with its earlier runtime, if it may return with that runtime.

        It may not if the stage has rejected that runtime. A stage that follows the operator's
        runtime allows it only inside the window.
        """
        previous = self.status.previous
        if previous is None or previous.runtime.identity in {
            rejection.runtime for rejection in self.status.rejected
        }:
            return None
        is_inside = self.window_end is not None and self.now < self.window_end
        return None if self.follows_operator and not is_inside else previous.served

    def _refreshed(self) -> ServedVersion | None:
        """Return the effective version with the operator's runtime, if a refresh is requested."""
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
        return self.target if self.round is None else self.effective

    # --- the kind of the promotion -------------------------------------------------------------
    @property
    def is_changing(self) -> bool:
        """Whether a promotion is wanted or in progress."""
        return self.desired is not None and (
            self.desired != self.status.version or self.target is not None
        )

    @property
    def is_refresh(self) -> bool:
        """Whether the effective version gets another runtime and nothing else changes."""
        return self.desired is not None and self.desired == self.status.version

    @property
    def target_name(self) -> str:
        """The target as messages name it."""
        if self.rollback_target is not None:
            return f"{self.rollback_target.version}, which served before,"
        return (
            f"{self.desired} with the operator's runtime" if self.is_refresh else str(self.desired)
        )

    @property
    def is_routed(self) -> bool:
        """Whether the Service routes to the target."""
        return self.target is not None and self.routed == self.target.runtime.identity

    @property
    def is_live(self) -> bool:
        """Whether requests may have reached the target, through the Service or a rollout."""
        return self.is_routed or (
            self.status.rollout is not None and self.target == self.status.candidate
        )

    # --- the version displaced last (`window`), and rejections -----------------------------------
    @property
    def is_return(self) -> bool:
        """Whether the target is the version displaced last and may return without gates."""
        if self.rollback_target is not None:
            return True
        previous, target = self.status.previous, self.target
        if (
            previous is None
            or target is None
            or (previous.version, previous.digest) != (target.version, target.digest)
        ):
            return False
        return window.is_open(
            self.spec, self.status, self.window_end, self.now, is_routed=self.is_routed
        )

    @cached_property
    def window_end(self) -> datetime | None:
        """When the window of the version displaced last ends or ended.

        None: there is no such version, it has no window, or the stage has rejected it.
        """
        previous = self.status.previous
        if previous is None or self.has_rejected(previous):
            return None
        return window.end(self.spec, self.name, self.status, self.versions.get(previous.version))

    @cached_property
    def rejection(self) -> Rejection | None:
        """The rejection of the target, if one is in force."""
        found = self.rejection_for(self.target) if self.target is not None else None
        # An override ignores a rejection by a gate, but not one by the version's own pods.
        if found is not None and found.runtime is None and self.override is not None:
            return None
        return found

    # --- the watch after a switch (`watch`) -------------------------------------------------------
    @property
    def watched_until(self) -> datetime | None:
        """When the watch of the effective version ends or ended, according to the present spec.

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
        """What the effective version displaced: another version, or in a refresh itself before."""
        watch, previous = self.status.watch, self.status.previous
        identity = watch.displaced if watch is not None else None
        if identity is None:
            return None
        if previous is not None and previous.runtime.identity == identity:
            return previous.served
        templates = self.of_kind("ControllerRevision")
        return next((kept_in(each) for each in templates if identity_of(each) == identity), None)

    @cached_property
    def eligible_rollback(self) -> ServedVersion | None:
        """What a rollback of the effective version would return to: `displaced`, if it may return.

        It may not if the stage has rejected it, or if its bytes have changed.
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
        found, candidate = self.eligible_rollback, self.status.candidate
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
        """The spec's rollout, if the target needs one; None: the stage switches at once."""
        spec = self.spec
        if spec is None or not spec.is_canary or self.is_return or self.override is not None:
            return None
        return spec.rollout if self.no_rollout_reason is None else None

    @cached_property
    def no_rollout_reason(self) -> str | None:
        """Why the target skips the spec's rollout; None: it does not skip it."""
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
