"""All that the decision about one stage reads: a frozen value, built once a round. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from modelyard.api.freeze import Calendar
from modelyard.api.registered_model import (
    ModelReason,
    OverrideStatus,
    RegisteredModel,
    Rejection,
    RuntimeUpdate,
    ServedVersion,
    Serving,
    Stage,
    StageStatus,
    VersionStatus,
)
from modelyard.api.rollout import Rollout
from modelyard.errors import ModelyardError
from modelyard.kube.names import IDENTITY_LABEL, serving_name
from modelyard.kube.pods import Runtime
from modelyard.plan import Manifest
from modelyard.registered_model import build, newest, overrides, window
from modelyard.registered_model.build import Surroundings
from modelyard.registered_model.kept import kept_in
from modelyard.registered_model.observation import Evidence
from modelyard.registered_model.rejections import is_in_force, rejection_of, spec_hash

__all__ = ["Holder", "StageView", "holder_of", "identity_of"]


@dataclass(frozen=True)
class Holder:
    """The effective version of a stage, as gates compare with it."""

    version: str
    digest: str

    @property
    def short(self) -> str:
        """The first eight hex digits of its digest."""
        return self.digest.removeprefix("sha256:")[:8]


@dataclass(frozen=True)
class StageView:
    """One stage.

    Attributes:
        name: The stage.
        model: The object.
        status: What is recorded of the stage.
        versions: The model's versions as they are now, by name.
        owned: The stage's own serving objects and pods.
        runtime: The runtime of this operator.
        around: What its pods get from the namespace and the operator's settings.
        now: The current time.
        refusals: Applies, and updates of pods, that the API server refused in this reconcile, by
            kind and name.
        dependencies_down: MLflow or S3 is unreachable, so no stage switches.
        calendar: The freezes of the whole cluster, or why they cannot be read.
        evidence: What gates judge by.
        neighbour: The model that has the stage's address; None: no other model has it.
        record_is_full: Too many entries of the history wait for S3, so no promotion starts.
        record_has_room: The history has a place for another entry; without one, nothing starts
            that ends with an entry.
        round: When the open verification of the effective version began; None: gates judge the
            version that is to be promoted.

    """

    name: str
    model: RegisteredModel
    status: StageStatus
    versions: Mapping[str, VersionStatus]
    owned: tuple[Manifest, ...]
    runtime: Runtime
    around: Surroundings
    now: datetime
    refusals: Mapping[tuple[str, str], ModelyardError] = field(default_factory=dict)
    dependencies_down: bool = False
    evidence: Evidence = field(default_factory=Evidence)
    neighbour: str | None = None
    calendar: Calendar | str = field(default_factory=Calendar)
    record_is_full: bool = False
    record_has_room: bool = True
    round: datetime | None = None

    @property
    def spec(self) -> Stage | None:
        """The stage in the spec; None when the spec no longer has it."""
        return self.model.spec.stages.get(self.name)

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
    def is_automatic(self) -> bool:
        """Whether the operator chooses the version (`autoPromote`)."""
        return self.spec is not None and self.spec.auto_promote is not None

    @property
    def desired(self) -> str | None:
        """The desired version: of an automatic rollback, of an override, or of the spec."""
        return self.back.version if self.back is not None else self._in_spec

    @property
    def _in_spec(self) -> str | None:
        """The desired version according to the spec, overrides included."""
        return overrides.desired(self.spec, self.status, self.now, self.asked)

    @property
    def is_cleared(self) -> bool:
        """Whether the stage is to have no version; `dryRun` delays that."""
        return self._in_spec is None and not self.model.spec.dry_run

    @property
    def override(self) -> OverrideStatus | None:
        """The override that is in force."""
        return overrides.in_force(self.spec, self.status, self.now)

    @property
    def attempt(self) -> int:
        """The spec's `attempt`."""
        return self.spec.attempt if self.spec else 0

    @property
    def serving(self) -> Serving:
        """The serving fields of the spec."""
        return self.spec.serving if self.spec else Serving(replicas=0)

    @property
    def is_served(self) -> bool:
        """Whether the stage should have pods at all."""
        return self.serving.replicas > 0 or self.serving.autoscaling is not None

    @property
    def effective(self) -> ServedVersion | None:
        """The stable version, if its digest and runtime are recorded."""
        return self.status.effective

    @property
    def follows_operator(self) -> bool:
        """Whether the stage gets a new operator's runtime at once."""
        return self.serving.runtime.update is RuntimeUpdate.ALWAYS

    @cached_property
    def wanted(self) -> ServedVersion | None:
        """What is to be promoted; None if nothing is, or if its digest is not recorded yet."""
        if self.back is not None:
            return self.back
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

    @property
    def subject(self) -> ServedVersion | None:
        """What gates judge: the version to promote, or in a verification the effective one."""
        return self.wanted if self.round is None else self.effective

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
    def is_changing(self) -> bool:
        """Whether a promotion is wanted or in progress."""
        return self.desired is not None and (
            self.desired != self.status.version or self.wanted is not None
        )

    @cached_property
    def spec_hash(self) -> str:
        """Hash of what a rejection depends on (`spec_hash`)."""
        return spec_hash(self.spec or Stage())

    # --- what gates compare with, and rejections -------------------------------------------------
    def holder(self, stage: str) -> Holder | None:
        """Return the recorded effective version of any stage of the model."""
        return holder_of(self.model, stage)

    @property
    def is_refresh(self) -> bool:
        """Whether the effective version gets another runtime and nothing else changes."""
        return self.desired is not None and self.desired == self.status.version

    @property
    def called(self) -> str:
        """What is to be promoted, as messages name it."""
        if self.back is not None:
            return f"{self.back.version}, which served before,"
        return (
            f"{self.desired} with the operator's runtime" if self.is_refresh else str(self.desired)
        )

    @property
    def returns(self) -> bool:
        """Whether the version displaced last returns, without gates."""
        if self.back is not None:
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

    def has_rejected(self, what: ServedVersion) -> bool:
        """Tell whether a rejection of this version and runtime is in force."""
        if self.spec is None:
            return False
        return (
            rejection_of(self.spec, self.status, what.version, what.digest, what.runtime.identity)
            is not None
        )

    @cached_property
    def rejection(self) -> Rejection | None:
        """The rejection in force of what is to be promoted."""
        wanted = self.wanted
        if wanted is None or self.spec is None:
            return None
        found = rejection_of(
            self.spec, self.status, wanted.version, wanted.digest, wanted.runtime.identity
        )
        # An override ignores a rejection by a gate, but not one by the version's own pods.
        return (
            None
            if found is not None and found.runtime is None and self.override is not None
            else found
        )

    # --- the watch after a switch (`watch`) -------------------------------------------------------
    @property
    def watched_until(self) -> datetime | None:
        """When the watch of the effective version ends or ended, by the present spec.

        None: it is not watched.
        """
        automatic = (
            self.spec.rollback.automatic
            if self.spec is not None and self.spec.rollback is not None
            else None
        )
        watch = self.status.watch
        return (
            watch.since_time + automatic.lasts
            if watch is not None and automatic is not None
            else None
        )

    @cached_property
    def rolled_back(self) -> Rejection | None:
        """The rejection of the effective version by its watch, while it is in force."""
        stable = self.effective
        if stable is None or self.spec is None:
            return None
        found = rejection_of(
            self.spec, self.status, stable.version, stable.digest, stable.runtime.identity
        )
        return found if found is not None and found.reason == ModelReason.ROLLED_BACK else None

    @cached_property
    def displaced(self) -> ServedVersion | None:
        """What the effective version displaced: the version before, or its runtime before."""
        identity, previous = (
            self.status.watch.displaced if self.status.watch is not None else None,
            self.status.previous,
        )
        if identity is None:
            return None
        if previous is not None and previous.runtime.identity == identity:
            return previous.served
        return next(
            (
                kept_in(each)
                for each in self.of_kind("ControllerRevision")
                if identity_of(each) == identity
            ),
            None,
        )

    @cached_property
    def can_return(self) -> ServedVersion | None:
        """What the effective version displaced, if it may return.

        Not if the stage has rejected it, or if its bytes have changed.
        """
        found = self.displaced
        known = self.versions.get(found.version) if found is not None else None
        if found is None or self.spec is None or known is None or known.digest != found.digest:
            return None
        return (
            found
            if rejection_of(
                self.spec, self.status, found.version, found.digest, found.runtime.identity
            )
            is None
            else None
        )

    @cached_property
    def back(self) -> ServedVersion | None:
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

    # --- the serving objects --------------------------------------------------------------------
    def live(self, kind: str, name: str) -> Manifest | None:
        """Return an owned object by kind and name."""
        return self._live.get((kind, name))

    @cached_property
    def _live(self) -> dict[tuple[str, str], Manifest]:
        return {(each["kind"], each["metadata"]["name"]): each for each in self.owned}

    def of_kind(self, kind: str, what: ServedVersion | None = None) -> list[Manifest]:
        """Return the owned objects of a kind, optionally only those of one identity."""
        found = [each for each in self.owned if each["kind"] == kind]
        return (
            found
            if what is None
            else [each for each in found if identity_of(each) == what.runtime.identity]
        )

    @property
    def routed(self) -> str | None:
        """The identity that the stage's Service selects."""
        service = self.live("Service", serving_name(self.model.metadata.name, self.name))
        selector: Mapping[str, str] = ((service or {}).get("spec") or {}).get("selector") or {}
        return selector.get(IDENTITY_LABEL)

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

    @property
    def is_live(self) -> bool:
        """Whether requests may have reached what is wanted, by the Service or a rollout."""
        return self.is_routed or (
            self.status.rollout is not None and self.wanted == self.status.candidate
        )

    @property
    def is_routed(self) -> bool:
        """Whether the Service routes to what is to be promoted."""
        return self.wanted is not None and self.routed == self.wanted.runtime.identity


def holder_of(model: RegisteredModel, stage: str) -> Holder | None:
    """Return the recorded effective version of a stage of a model."""
    status = model.status.stages.get(stage)
    if status is None or status.version is None or status.digest is None:
        return None
    return Holder(status.version, status.digest)


def identity_of(owned: Manifest) -> str | None:
    """Return the identity of a serving object."""
    found: str | None = (owned["metadata"].get("labels") or {}).get(IDENTITY_LABEL)
    return found
