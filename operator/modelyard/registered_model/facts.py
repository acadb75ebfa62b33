"""The facts about one stage: what was observed and what is recorded. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from modelyard.api.freeze import Calendar
from modelyard.api.registered_model import (
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
from modelyard.errors import ModelyardError
from modelyard.kube.names import IDENTITY_LABEL, serving_name
from modelyard.kube.pods import Runtime
from modelyard.plan import Manifest
from modelyard.registered_model import overrides
from modelyard.registered_model.build import PodSettings
from modelyard.registered_model.observation import Evidence
from modelyard.registered_model.rejections import rejection_of, spec_hash

__all__ = ["Incumbent", "StageFacts", "identity_of", "incumbent_in"]


@dataclass(frozen=True)
class Incumbent:
    """The effective version of a stage, with which gates compare a candidate."""

    version: str
    digest: str

    @property
    def short(self) -> str:
        """The first eight hex digits of its digest."""
        return self.digest.removeprefix("sha256:")[:8]


@dataclass(frozen=True)
class StageFacts:
    """One stage.

    Attributes:
        name: The stage.
        model: The object.
        status: What is recorded of the stage.
        versions: The model's versions as they are now, by name.
        owned: The stage's own serving objects and pods.
        runtime: The runtime of this operator.
        pod_settings: What its pods get from the namespace and the operator's settings.
        now: The current time.
        refusals: Applies, and updates of pods, that the API server refused in this reconcile, by
            kind and name.
        dependencies_down: Whether MLflow or S3 is unreachable; no stage switches then.
        calendar: The freezes of the whole cluster, or why they cannot be read.
        evidence: What gates judge by.
        neighbour: The other model that has the stage's Service name; None: no model has it.
        record_is_full: Whether so many entries of the history wait for S3 that no promotion starts.
        record_has_room: Whether the history has room for another entry. If not, no change starts
            that ends with an entry.
        round: When the open verification of the effective version began. None: gates judge the
            version that is to be promoted.

    """

    name: str
    model: RegisteredModel
    status: StageStatus
    versions: Mapping[str, VersionStatus]
    owned: tuple[Manifest, ...]
    runtime: Runtime
    pod_settings: PodSettings
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

    @property
    def is_automatic(self) -> bool:
        """Whether the operator chooses the version (`autoPromote`)."""
        return self.spec is not None and self.spec.auto_promote is not None

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
        """Whether the stage is refreshed when a new operator has another runtime."""
        return self.serving.runtime.update is RuntimeUpdate.ALWAYS

    @cached_property
    def spec_hash(self) -> str:
        """Hash of what a rejection depends on (`spec_hash`)."""
        return spec_hash(self.spec or Stage())

    def incumbent_in(self, stage: str) -> Incumbent | None:
        """Return the recorded effective version of any stage of the model."""
        return incumbent_in(self.model, stage)

    def has_rejected(self, what: ServedVersion) -> bool:
        """Tell whether a rejection of this version and runtime is in force."""
        return self.rejection_for(what) is not None

    def rejection_for(self, what: ServedVersion) -> Rejection | None:
        """Return the rejection in force of this version and runtime."""
        if self.spec is None:
            return None
        return rejection_of(
            self.spec, self.status, what.version, what.digest, what.runtime.identity
        )

    def live(self, kind: str, name: str) -> Manifest | None:
        """Return an owned object by kind and name."""
        return self._live.get((kind, name))

    @cached_property
    def _live(self) -> dict[tuple[str, str], Manifest]:
        return {(each["kind"], each["metadata"]["name"]): each for each in self.owned}

    def of_kind(self, kind: str, what: ServedVersion | None = None) -> list[Manifest]:
        """Return the owned objects of a kind, optionally only those of one identity."""
        found = [each for each in self.owned if each["kind"] == kind]
        if what is None:
            return found
        return [each for each in found if identity_of(each) == what.runtime.identity]

    @property
    def routed(self) -> str | None:
        """The identity that the stage's Service selects."""
        service = self.live("Service", serving_name(self.model.metadata.name, self.name))
        selector: Mapping[str, str] = ((service or {}).get("spec") or {}).get("selector") or {}
        return selector.get(IDENTITY_LABEL)


def incumbent_in(model: RegisteredModel, stage: str) -> Incumbent | None:
    """Return the recorded effective version of a stage of a model."""
    status = model.status.stages.get(stage)
    if status is None or status.version is None or status.digest is None:
        return None
    return Incumbent(status.version, status.digest)


def identity_of(owned: Manifest) -> str | None:
    """Return the identity of a serving object."""
    found: str | None = (owned["metadata"].get("labels") or {}).get(IDENTITY_LABEL)
    return found
