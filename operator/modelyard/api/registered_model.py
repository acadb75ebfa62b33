"""RegisteredModel: versions, stages, and how each stage is served."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from modelyard.api.auto_promote import AutoPromote
from modelyard.api.base import DeletionPolicy, Resource, Schema, Tags
from modelyard.api.freeze import FREEZES, Freeze
from modelyard.api.gates import Gate, Verdict
from modelyard.api.history import HistoryEntry, ModelRuntime, Outcome, RecordStatus
from modelyard.api.model_reason import ModelReason
from modelyard.api.model_status import STAGES, PlannedStep, RegisteredModelStatus
from modelyard.api.model_version import ModelVersionSpec
from modelyard.api.rollback import Automatic, Rollback, Watch
from modelyard.api.rules import list_type, mlflow_text, rule, rules
from modelyard.api.serving import Autoscaling, RuntimeUpdate, Serving, ServingRuntime
from modelyard.api.stage import OVERRIDE_LASTS, Override, Stage
from modelyard.api.stage_status import (
    Draining,
    GateStatus,
    JudgedVersion,
    OverrideStatus,
    Rejection,
    StageStatus,
    StepState,
    StepStatus,
)
from modelyard.api.verification import Reverify, Verification
from modelyard.api.version_status import (
    HeldStage,
    KnownVersion,
    OperatorRuntime,
    PreviousVersion,
    ServedVersion,
    VersionStatus,
)

__all__ = [
    "OVERRIDE_LASTS",
    "AutoPromote",
    "Automatic",
    "Autoscaling",
    "Draining",
    "Drift",
    "Freeze",
    "Gate",
    "GateStatus",
    "HeldStage",
    "HistoryEntry",
    "JudgedVersion",
    "KnownVersion",
    "ModelReason",
    "ModelRuntime",
    "ModelVersionSpec",
    "OperatorRuntime",
    "Outcome",
    "Override",
    "OverrideStatus",
    "PlannedStep",
    "PreviousVersion",
    "RecordStatus",
    "RegisteredModel",
    "RegisteredModelSpec",
    "RegisteredModelStatus",
    "Rejection",
    "Reverify",
    "Rollback",
    "RuntimeUpdate",
    "ServedVersion",
    "Serving",
    "ServingRuntime",
    "Stage",
    "StageStatus",
    "StepState",
    "StepStatus",
    "Verdict",
    "Verification",
    "VersionStatus",
    "Watch",
]


class Drift(StrEnum):
    """What the operator does when a stage or an alias is changed directly in MLflow."""

    REVERT = "Revert"
    WARN = "Warn"


def _waits(stage: str, other: str) -> str:
    """Return a CEL expression: a stage accepts only versions that were effective in another one."""
    by_soak = (
        f"has(self[{stage}].gates) && self[{stage}].gates.exists(g, has(g.soak) && g.soak.stage =="
        f" {other})"
    )
    return f"((has(self[{stage}].from) && self[{stage}].from == {other}) || ({by_soak}))"


class RegisteredModelSpec(Schema):
    """Desired versions and stages of a model."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            rule(
                "!has(self.freeze) || self.freeze.all(f, !has(f.stages) || f.stages.all(s,"
                " has(self.stages) && s in self.stages))",
                "a freeze can only name stages of this model; without stages it applies to all of"
                " them",
            )
        )
    }

    description: Annotated[
        str,
        Field(
            max_length=5000,
            description="Shown as the model's description in MLflow.",
            json_schema_extra=rules(mlflow_text()),
        ),
    ] = ""
    tags: Annotated[
        Tags,
        Field(
            description="Tags of the registered model in MLflow. Tags that others set there are"
            " kept."
        ),
    ] = Field(default_factory=dict)
    versions: Annotated[
        dict[str, ModelVersionSpec],
        Field(
            max_length=64,
            description="Declared versions, by name. Versions that TrainingRuns register need no"
            " entry here; they appear in the status.",
            json_schema_extra=rules(
                rule(
                    "self.all(k, k.size() <= 63 && k.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))",
                    "a version's name is lower case letters, digits and dashes, such as v3",
                ),
                rule(
                    "oldSelf.all(k, !(k in self) || self[k] == oldSelf[k])",
                    "a version is immutable: declare another one, or, if it was never registered,"
                    " remove it and declare it again",
                ),
            ),
        ),
    ] = Field(default_factory=dict)
    stages: Annotated[
        dict[str, Stage],
        Field(
            max_length=STAGES,
            description="Stages by name. Changing a stage's version promotes; changing it back"
            " rolls back.",
            json_schema_extra=rules(
                rule(
                    "self.all(k, k.size() <= 30 && k.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))",
                    "a stage's name is at most 30 lower case letters, digits and dashes, such as"
                    " production",
                ),
                rule(
                    "self.all(k, k != 'latest' && !k.matches('^v[0-9]+$'))",
                    "MLflow reserves the aliases latest and v<number>: choose another name for"
                    " the stage",
                ),
                rule(
                    "self.all(k, !has(self[k].from)"
                    " || (self[k].from in self && self[k].from != k))",
                    "from must name another stage of this model",
                ),
                rule(
                    f"!self.exists(k, self.exists(o, k < o && {_waits('k', 'o')} &&"
                    f" {_waits('o', 'k')}))",
                    "two stages wait for each other through from or the gate soak, so no version"
                    " could be promoted to either: remove one of the two",
                ),
                rule(
                    "self.all(k, !has(self[k].gates) || self[k].gates.all(g, (!has(g.soak) ||"
                    " (g.soak.stage in self && g.soak.stage != k)) && (!has(g.incumbent) ||"
                    " !has(g.incumbent.stage) || g.incumbent.stage in self) && (!has(g.signature)"
                    " || !has(g.signature.stage) || g.signature.stage in self)))",
                    "a gate's stage must be a stage of this model, and soak must name another"
                    " stage than its own",
                ),
            ),
        ),
    ] = Field(default_factory=dict)
    freeze: Annotated[
        tuple[Freeze, ...],
        Field(
            max_length=FREEZES,
            description="Freeze windows, in which no version is promoted. Effective versions are"
            " still served, healed and scaled. Clearing a stage, restoring the previous version"
            " and an override remain possible. Requires the verb promote on every stage that a"
            " window applies to.",
            json_schema_extra=list_type(),
        ),
    ] = ()
    dry_run: Annotated[
        bool,
        Field(
            description="Do not carry out changes of versions; show in status.plan what they"
            " would do. Effective versions are still served, healed and scaled, and an override"
            " and an automatic rollback are still carried out. Setting it to false carries out"
            " exactly what was planned. Requires the verb promote on every stage."
        ),
    ] = False
    drift: Annotated[
        Drift,
        Field(
            description="What to do when a stage is changed directly in MLflow. Revert: undo the"
            " change and report it. Warn: only report it."
        ),
    ] = Drift.REVERT
    deletion_policy: Annotated[
        DeletionPolicy,
        Field(
            description="Delete: also delete the model in MLflow (requires the verb purge)."
            " Retain: leave it there. Serving stops in both cases."
        ),
    ] = DeletionPolicy.RETAIN


class RegisteredModel(Resource[RegisteredModelSpec, RegisteredModelStatus]):
    """A model: its versions, its stages, and how each stage is served."""

    KIND: ClassVar[str] = "RegisteredModel"
    PLURAL: ClassVar[str] = "registeredmodels"

    def requested_version(self, stage: str) -> str | None:
        """Return the version that a stage asks for: the spec's, or `autoPromote`'s recorded one."""
        spec, status = self.spec.stages.get(stage), self.status.stages.get(stage)
        if spec is None or spec.auto_promote is None:
            return spec.version if spec is not None else None
        return status.desired if status is not None else None

    @property
    def asks_for(self) -> frozenset[str]:
        """The versions that stages ask for, directly or through an override."""
        overridden = (
            stage.override.version
            for stage in self.spec.stages.values()
            if stage.override is not None
        )
        return frozenset(
            filter(None, (*map(self.requested_version, self.spec.stages), *overridden))
        )
