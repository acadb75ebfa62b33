"""RegisteredModel: versions, stages, and how each stage is served."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from modelyard.api.artifacts import KEPT
from modelyard.api.auto_promote import AutoPromote
from modelyard.api.base import DeletionPolicy, Name, Resource, Schema, Tags, UserName
from modelyard.api.freeze import FREEZES, Freeze
from modelyard.api.gates import GATES, Gate, Verdict
from modelyard.api.history import WHY
from modelyard.api.model_reason import ModelReason
from modelyard.api.model_status import (
    STAGES,
    Draining,
    GateStatus,
    HeldStage,
    HistoryEntry,
    JudgedVersion,
    KnownVersion,
    ModelRuntime,
    OperatorRuntime,
    Outcome,
    OverrideStatus,
    PlannedStep,
    PreviousVersion,
    RecordStatus,
    RegisteredModelStatus,
    Rejection,
    ServedVersion,
    StageStatus,
    StepState,
    StepStatus,
    VersionStatus,
)
from modelyard.api.rollback import Automatic, Rollback, Watch
from modelyard.api.rollout import Rollout, Strategy
from modelyard.api.rules import exactly_one, listed, mlflow_text, rule, rules
from modelyard.api.serving import Autoscaling, RuntimeUpdate, Serving, ServingRuntime
from modelyard.api.verification import Reverify, Verification

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


class ModelVersionSpec(Schema):
    """The source of a version: exactly one of the fields `trainingRun`, `runId` and `uri`."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            exactly_one(
                ("trainingRun", "runId", "uri"),
                "name exactly one source: trainingRun, runId or uri",
            ),
            rule(
                "!has(self.path) || has(self.runId)",
                "path needs runId: it is the model's artifact path in that run",
            ),
        )
    }

    training_run: Annotated[Name | None, Field(description="A TrainingRun in this namespace.")] = (
        None
    )
    run_id: Annotated[
        str | None,
        Field(
            min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_-]+$", description="An MLflow run."
        ),
    ] = None
    path: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=256,
            pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$",
            description="The model's name or path in that run; model if absent.",
        ),
    ] = None
    uri: Annotated[
        str | None,
        Field(
            min_length=6,
            max_length=500,
            pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^%?#]+$",
            description="An artifact tree in S3, with an MLmodel file.",
            json_schema_extra=rules(
                rule(
                    f"!self.contains('/{KEPT}/')",
                    f"{KEPT}/ is reserved for what the operator stores, such as histories: name"
                    " another folder",
                )
            ),
        ),
    ] = None
    tags: Annotated[Tags, Field(description="Tags of the version in MLflow.")] = Field(
        default_factory=dict
    )
    registered_by: Annotated[
        UserName | None,
        Field(
            description="The user who declares the version, which must be the user who sends the"
            " request. Their own approval of it does not count. Accounts in the chart's"
            " policies.requesterAccounts may name another user."
        ),
    ] = None

    def contradicts(self, recorded: VersionStatus) -> bool:
        """Tell whether a recorded version came from another source than this one.

        Two artifact paths of one run are not distinguished: the record has no path.
        """
        if self.training_run is not None:
            return self.training_run != recorded.training_run
        if self.run_id is not None:
            return self.run_id != recorded.run_id
        return (self.uri or "").rstrip("/") != (recorded.uri or "").rstrip("/")


OVERRIDE_LASTS = timedelta(days=1)
"""Longest time that an override is in force, from when the operator first observed it."""


class Override(Schema):
    """Break-glass: promote a version at once, without gates."""

    version: Annotated[Name, Field(description="A registered version.")]
    reason: Annotated[
        str,
        Field(
            min_length=1,
            max_length=256,
            description="Why, such as incident 4711; recorded in the history.",
        ),
    ]
    until: Annotated[
        datetime,
        Field(
            description="When the override ends, at most a day after it was set. Its version"
            " keeps serving until a user changes the stage.",
            # By format alone the API server accepts impossible timestamps: in the year 0, or 99
            # hours from UTC.
            json_schema_extra=rules(
                rule(
                    "self > timestamp('2000-01-01T00:00:00Z')",
                    'write a timestamp, such as "2030-12-01T18:00:00Z"',
                )
            ),
        ),
    ]


class Stage(Schema):
    """A stage: the version that it should serve, how it switches to it, and how it serves it."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            rule(
                "!has(self.version) || has(self.requestedBy) || !has(self.gates) ||"
                " !self.gates.exists(g, has(g.approvals))",
                "a stage with the gate approvals needs requestedBy beside version: write your"
                " user name there",
            ),
            rule(
                "!has(self.autoPromote) || !has(self.version)",
                "version and autoPromote exclude each other: remove one of them (in a patch, set"
                " it to null)",
            ),
            rule(
                "!has(self.autoPromote) || !has(self.requestedBy)",
                "requestedBy does not apply to autoPromote: remove it (in a patch, set it to null)",
            ),
        )
    }

    version: Annotated[
        Name | None,
        # Without this, the API server refuses a server-side apply that sets null.
        Field(
            description="The version that the stage should serve. Null: none, and nothing is"
            " served.",
            json_schema_extra={"nullable": True},
        ),
    ] = None
    auto_promote: Annotated[
        AutoPromote | None,
        Field(
            description="Instead of `version`: promote each new version automatically. It passes"
            " the same checks as a version that a user sets. Rejected versions and older ones are"
            " skipped, and after a rollback also those registered before it. Setting `version`"
            " instead ends this."
        ),
    ] = None
    requested_by: Annotated[
        UserName | None,
        Field(
            description="The user who asks for the version, which must be the user who changes"
            " it. Their own approval does not count. Required with the gate approvals. Accounts"
            " in the chart's policies.requesterAccounts, such as a GitOps controller's, may name"
            " another user."
        ),
    ] = None
    reason: Annotated[
        str | None,
        Field(
            max_length=WHY,
            description="Why the stage changes, recorded in the history. It applies to one"
            " change: if it stays in the spec, it is not recorded again for the next one.",
        ),
    ] = None
    attempt: Annotated[
        int,
        Field(
            ge=0,
            le=1_000_000,
            description="Raise it to try a rejected version again, or, while the version is"
            " effective, to serve it with the operator's current runtime image (modelyard"
            " refresh).",
        ),
    ] = 0
    from_: Annotated[
        str | None,
        Field(
            alias="from",
            max_length=30,
            description="Another stage in which the version, with its current digest, must be or"
            " have been effective before it is promoted to this one.",
        ),
    ] = None
    gates: Annotated[
        tuple[Gate, ...],
        Field(
            max_length=GATES,
            description="Promotion gates: checks that a version must pass before the stage"
            " switches to it. A version that fails one is rejected, and the stable version keeps"
            " serving. The previous version can be restored without them.",
            json_schema_extra=listed("name"),
        ),
    ] = ()
    reverify: Annotated[
        Reverify | None,
        Field(
            description="Evaluate the gates metric, dataset, job, smoke and signed again for the"
            " effective version. A version that fails keeps serving, but does not count for"
            " `soak` and `from` until it passes."
        ),
    ] = None
    rollback: Annotated[
        Rollback | None,
        Field(
            description="How long a switch can be undone at once, and when it is undone"
            " automatically. Absent: the pods of the previous version are deleted after the"
            " switch."
        ),
    ] = None
    rollout: Annotated[
        Rollout | None,
        Field(
            description="How the stage switches to a version: at once (Replace) or in steps"
            " (Canary). Absent: Replace."
        ),
    ] = None
    override: Annotated[
        Override | None,
        Field(
            description="Break-glass: promote a version at once, without `from` and gates; its"
            " digest and the readiness of its pods are still checked. Requires the verb override"
            " on registeredmodels/<stage>."
        ),
    ] = None
    serving: Annotated[Serving, Field(description="How the version is served.")] = Field(
        default_factory=Serving
    )

    @property
    def is_canary(self) -> bool:
        """Whether the stage switches in steps."""
        return self.rollout is not None and self.rollout.strategy is Strategy.CANARY

    @property
    def by_whom(self) -> str:
        """JSON that a merge patch of `version` must add to name the requester; empty if none is
        required.
        """
        names = self.requested_by is not None or any(
            gate.approvals is not None for gate in self.gates
        )
        return ',"requestedBy":"<your user name>"' if names else ""


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
                    "self.all(k, !has(self[k].from) || (self[k].from in self && self[k].from != k))",
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
            json_schema_extra=listed(),
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

    def asked(self, stage: str) -> str | None:
        """Return the version that a stage asks for: the spec's, or the recorded choice of
        `autoPromote`.
        """
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
        return frozenset(filter(None, (*map(self.asked, self.spec.stages), *overridden)))
