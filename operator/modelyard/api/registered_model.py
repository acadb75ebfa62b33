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
    """What happens when somebody moves a stage or an alias in MLflow itself."""

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
                "path belongs to runId: the artifact path of the model in that run",
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
                    f"below {KEPT}/ lies what the operator keeps, such as histories: no model",
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
            description="Who declares the version: the user who sends the request. Their approval"
            " of it is not counted. Accounts that the chart names (policies.requesterAccounts)"
            " may write another user."
        ),
    ] = None

    def contradicts(self, recorded: VersionStatus) -> bool:
        """Tell whether a recorded version came from another source than this one.

        Two artifact paths of one run are not told apart: the record has no path.
        """
        if self.training_run is not None:
            return self.training_run != recorded.training_run
        if self.run_id is not None:
            return self.run_id != recorded.run_id
        return (self.uri or "").rstrip("/") != (recorded.uri or "").rstrip("/")


OVERRIDE_LASTS = timedelta(days=1)
"""How long an override is in force at most, from when it was first seen."""


class Override(Schema):
    """Break-glass: a version takes the stage at once, without gates."""

    version: Annotated[Name, Field(description="A registered version.")]
    reason: Annotated[
        str,
        Field(
            min_length=1,
            max_length=256,
            description="Why, such as incident 4711; into the history.",
        ),
    ]
    until: Annotated[
        datetime,
        Field(
            description="When it ends; a day after it was set at the latest. Then the version"
            " stays, until a person decides.",
            # By its format alone the API server takes moments that there are not: of the year 0, or
            # 99 hours from UTC.
            json_schema_extra=rules(
                rule(
                    "self > timestamp('2000-01-01T00:00:00Z')",
                    'write a moment, such as "2030-12-01T18:00:00Z"',
                )
            ),
        ),
    ]


class Stage(Schema):
    """A slot: which version, and how it is served."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            rule(
                "!has(self.version) || has(self.requestedBy) || !has(self.gates) ||"
                " !self.gates.exists(g, has(g.approvals))",
                "a stage with the gate approvals says who asks for its version: write your user"
                " name as requestedBy beside version",
            ),
            rule(
                "!has(self.autoPromote) || !has(self.version)",
                "a stage has version or autoPromote: remove one of the two (a patch sets the other"
                " to null)",
            ),
            rule(
                "!has(self.autoPromote) || !has(self.requestedBy)",
                "nobody asks for the versions of autoPromote: remove requestedBy (a patch sets it"
                " to null)",
            ),
        )
    }

    version: Annotated[
        Name | None,
        # A server-side apply that says null is refused without this.
        Field(
            description="The version that holds the stage. Null: none, and nothing is served.",
            json_schema_extra={"nullable": True},
        ),
    ] = None
    auto_promote: Annotated[
        AutoPromote | None,
        Field(
            description="Instead of `version`: the stage takes each new version that passes what a"
            " written one has to pass. Not one that it has rejected, nor an older one, nor,"
            " after a rollback, one that was registered before it. Setting `version` ends it."
        ),
    ] = None
    requested_by: Annotated[
        UserName | None,
        Field(
            description="Who asks for the version: the user who changes it. Their approval is not"
            " counted. Needed with the gate approvals. Accounts that the chart names"
            " (policies.requesterAccounts), such as a GitOps controller's, may write another"
            " user."
        ),
    ] = None
    reason: Annotated[
        str | None,
        Field(
            max_length=WHY,
            description="Why the stage changes, for the history. It is told of one change: left"
            " standing, it is not repeated for the next.",
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
            description="A stage that the version, with its present digest, must hold or have held"
            " before it takes this one.",
        ),
    ] = None
    gates: Annotated[
        tuple[Gate, ...],
        Field(
            max_length=GATES,
            description="What a version must show before it takes the stage. A version that a gate"
            " fails is rejected, and the stable one keeps serving. The version displaced last"
            " may come back without them.",
            json_schema_extra=listed("name"),
        ),
    ] = ()
    reverify: Annotated[
        Reverify | None,
        Field(
            description="Ask the gates metric, dataset, job, smoke and signed again about the"
            " effective version. One that fails keeps serving; it does not count for `soak`"
            " and `from` until it passes."
        ),
    ] = None
    rollback: Annotated[
        Rollback | None,
        Field(
            description="What can be undone at once after a switch, and what goes back by itself."
            " Absent: pods of the old version go."
        ),
    ] = None
    rollout: Annotated[
        Rollout | None,
        Field(
            description="How a version takes the stage: at once, or as a canary in steps. Absent:"
            " at once, by Replace."
        ),
    ] = None
    override: Annotated[
        Override | None,
        Field(
            description="Break-glass: a version takes the stage at once, without `from` and gates;"
            " its digest and readiness still count. Needs the verb override on"
            " registeredmodels/<stage>."
        ),
    ] = None
    serving: Annotated[Serving, Field(description="How it is served.")] = Field(
        default_factory=Serving
    )

    @property
    def is_canary(self) -> bool:
        """Whether a version takes the stage in steps."""
        return self.rollout is not None and self.rollout.strategy is Strategy.CANARY

    @property
    def by_whom(self) -> str:
        """What a merge patch of its version has to say besides, as JSON: who asks. Empty where
        nobody has to be named.
        """
        names = self.requested_by is not None or any(
            gate.approvals is not None for gate in self.gates
        )
        return ',"requestedBy":"<your user name>"' if names else ""


def _waits(stage: str, other: str) -> str:
    """Return a CEL expression: a stage takes only what has held another one."""
    by_soak = (
        f"has(self[{stage}].gates) && self[{stage}].gates.exists(g, has(g.soak) && g.soak.stage =="
        f" {other})"
    )
    return f"((has(self[{stage}].from) && self[{stage}].from == {other}) || ({by_soak}))"


class RegisteredModelSpec(Schema):
    """What a team wants of a model."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            rule(
                "!has(self.freeze) || self.freeze.all(f, !has(f.stages) || f.stages.all(s,"
                " has(self.stages) && s in self.stages))",
                "a freeze names stages of this model; without stages it is for all of them",
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
        Field(description="Tags of the registered model in MLflow. Tags set there by others stay."),
    ] = Field(default_factory=dict)
    versions: Annotated[
        dict[str, ModelVersionSpec],
        Field(
            max_length=64,
            description="Declared versions. Those that TrainingRuns register appear in the status"
            " by themselves.",
            json_schema_extra=rules(
                rule(
                    "self.all(k, k.size() <= 63 && k.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))",
                    "a version's name is lower case letters, digits and dashes, such as v3",
                ),
                rule(
                    "oldSelf.all(k, !(k in self) || self[k] == oldSelf[k])",
                    "a version is immutable: declare another one; one that was never registered can"
                    " be removed and declared again",
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
                    "MLflow reserves the aliases latest and v<number>: name the stage otherwise",
                ),
                rule(
                    "self.all(k, !has(self[k].from) || (self[k].from in self && self[k].from != k))",
                    "from names another stage of this model",
                ),
                rule(
                    f"!self.exists(k, self.exists(o, k < o && {_waits('k', 'o')} &&"
                    f" {_waits('o', 'k')}))",
                    "two stages wait for each other, by from or the gate soak, so no version could"
                    " ever take one: remove one of the two",
                ),
                rule(
                    "self.all(k, !has(self[k].gates) || self[k].gates.all(g, (!has(g.soak) ||"
                    " (g.soak.stage in self && g.soak.stage != k)) && (!has(g.incumbent) ||"
                    " !has(g.incumbent.stage) || g.incumbent.stage in self) && (!has(g.signature)"
                    " || !has(g.signature.stage) || g.signature.stage in self)))",
                    "a gate's stage is a stage of this model; that of soak is another one",
                ),
            ),
        ),
    ] = Field(default_factory=dict)
    freeze: Annotated[
        tuple[Freeze, ...],
        Field(
            max_length=FREEZES,
            description="When no version takes a stage. What serves is kept, healed and scaled;"
            " clearing a stage, the return of the version displaced last and an override go"
            " on. Needs the verb promote on every stage that it is for.",
            json_schema_extra=listed(),
        ),
    ] = ()
    dry_run: Annotated[
        bool,
        Field(
            description="Hold every change of a version, and say in status.plan what it would do."
            " What serves is kept, healed and scaled; an override and an automatic rollback"
            " are not held. False carries out exactly what was planned. Needs the verb promote"
            " on every stage."
        ),
    ] = False
    drift: Annotated[
        Drift,
        Field(
            description="When somebody moves a stage in MLflow itself. Revert: put it back and say"
            " so. Warn: only say so."
        ),
    ] = Drift.REVERT
    deletion_policy: Annotated[
        DeletionPolicy,
        Field(
            description="Delete: delete the model in MLflow too (needs the verb purge). Retain:"
            " leave it. Serving goes either way."
        ),
    ] = DeletionPolicy.RETAIN


class RegisteredModel(Resource[RegisteredModelSpec, RegisteredModelStatus]):
    """A model: its versions, its stages, and how each stage is served."""

    KIND: ClassVar[str] = "RegisteredModel"
    PLURAL: ClassVar[str] = "registeredmodels"

    def asked(self, stage: str) -> str | None:
        """Return the version that a stage asks for: the one that the spec names, or that
        `autoPromote` has chosen, as recorded.
        """
        spec, status = self.spec.stages.get(stage), self.status.stages.get(stage)
        if spec is None or spec.auto_promote is None:
            return spec.version if spec is not None else None
        return status.desired if status is not None else None

    @property
    def asks_for(self) -> frozenset[str]:
        """The versions that stages ask for, by themselves and by overrides."""
        overridden = (
            stage.override.version
            for stage in self.spec.stages.values()
            if stage.override is not None
        )
        return frozenset(filter(None, (*map(self.asked, self.spec.stages), *overridden)))
