"""The table of modelyard's kinds: names, printer columns, reasons, and rules for objects' names."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from modelyard.api.base import Resource
from modelyard.api.experiment import Experiment, ExperimentReason
from modelyard.api.model_approval import ApprovalReason, ModelApproval
from modelyard.api.registered_model import ModelReason, RegisteredModel
from modelyard.api.training_run import TrainingReason, TrainingRun

__all__ = ["KINDS", "Column", "Kind"]


@dataclass(frozen=True)
class Column:
    """One column of `kubectl get`. With `wide`, only `-o wide` shows it."""

    name: str
    path: str
    description: str
    type: str = "string"
    wide: bool = False


@dataclass(frozen=True)
class Kind:
    """One kind of the API.

    Attributes:
        resource: The model.
        reasons: The reasons of its conditions, in addition to the engine's (`api.conditions`).
        conditions: The meaning of each condition that only this kind has, by type.
        short: Its short name.
        names: A regular expression (RE2) that an object's whole name must match.
        longest: Greatest length of a name, for which derived names (`kube.names`) are not
            shortened.
        advice: The message for an object with an invalid name.
        columns: The columns of `kubectl get`, in order.
        selectable: Fields that `--field-selector` supports.

    """

    resource: type[Resource[Any, Any]]
    reasons: type[StrEnum]
    conditions: Mapping[str, str]
    short: str
    names: str
    longest: int
    advice: str
    columns: tuple[Column, ...]
    selectable: tuple[str, ...] = ()


_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SERVICE = "[a-z]([-a-z0-9]*[a-z0-9])?"

READY = Column(
    "Ready",
    '.status.conditions[?(@.type=="Ready")].status',
    "Whether the object is as its spec asks.",
)
REASON = Column(
    "Reason",
    '.status.conditions[?(@.type=="Ready")].reason',
    "Why, in one word; docs/conditions.md lists them.",
)
MESSAGE = Column(
    "Message",
    '.status.conditions[?(@.type=="Ready")].message',
    "Why, and what to do next.",
    wide=True,
)
AGE = Column(
    "Age", ".metadata.creationTimestamp", "Time since the object was created.", type="date"
)

KINDS = (
    Kind(
        Experiment,
        reasons=ExperimentReason,
        conditions={},
        short="mlexp",
        names=_LABEL,
        longest=63,
        advice="an Experiment's name is at most 63 lower case letters, digits and dashes, such as"
        " fraud: MLflow and S3 use it too",
        columns=(
            READY,
            REASON,
            Column(
                "Runs",
                ".status.runs.finished",
                "MLflow runs that finished successfully.",
                type="integer",
            ),
            Column("Best", ".status.bestRun.value", "Best value of the objective's metric."),
            Column(
                "Best Run",
                ".status.bestRun.trainingRun",
                "The TrainingRun that reached this value.",
                wide=True,
            ),
            Column("MLflow", ".status.mlflow.name", "Its name in MLflow.", wide=True),
            MESSAGE,
            AGE,
        ),
    ),
    Kind(
        TrainingRun,
        reasons=TrainingReason,
        conditions={
            "Succeeded": "Training succeeded. False: it failed and is not repeated. Absent while"
            " it is undecided.",
            "Interrupted": "The pod was terminated and exited with 0, so the attempt is repeated."
            " Absent otherwise.",
            "Silent": "A run that trains outside the cluster has sent no heartbeat for a minute."
            " Absent otherwise.",
        },
        short="mlrun",
        names=_LABEL,
        longest=50,
        advice="a TrainingRun's name is at most 50 lower case letters, digits and dashes, such as"
        " fraud-003: its Jobs are named after it",
        columns=(
            Column("Experiment", ".spec.experiment", "The Experiment that it belongs to."),
            Column("Attempt", ".status.attempt", "The current or latest attempt.", type="integer"),
            READY,
            REASON,
            Column(
                "Progress",
                ".status.progress.percent",
                "Percentage that is done.",
                type="integer",
            ),
            Column(
                "Model",
                ".status.registered.model",
                "The RegisteredModel in which its model is registered.",
            ),
            Column(
                "Version",
                ".status.registered.version",
                "The version as which its model is registered.",
                wide=True,
            ),
            Column("Run", ".status.mlflow.runId", "MLflow's run id.", wide=True),
            MESSAGE,
            AGE,
        ),
        selectable=(".spec.experiment",),
    ),
    Kind(
        RegisteredModel,
        reasons=ModelReason,
        conditions={
            "Synced": "MLflow's stages, aliases and tags agree with the status.",
            "Verified": "The effective versions of the stages with `reverify` pass their gates."
            " Absent where no stage has it.",
        },
        short="mlmodel",
        names=_SERVICE,
        longest=32,
        advice="a RegisteredModel's name begins with a letter and is at most 32 lower case"
        " letters, digits and dashes, such as fraud: the Service of each stage is named"
        " <model>-<stage>",
        columns=(
            Column("Stages", ".status.summary", "Stages and their effective versions."),
            Column(
                "Production",
                ".status.stages.production.version",
                "The effective version of the stage production.",
            ),
            Column(
                "Pods",
                ".status.stages.production.readyReplicas",
                "Ready pods of the stage production.",
                type="integer",
            ),
            READY,
            REASON,
            Column(
                "Verified",
                '.status.conditions[?(@.type=="Verified")].status',
                "Whether the effective versions passed their gates when these were evaluated"
                " again.",
                wide=True,
            ),
            Column(
                "URL",
                ".status.stages.production.url",
                "URL of the stage production inside the cluster.",
                wide=True,
            ),
            Column("MLflow", ".status.mlflowName", "Its name in MLflow.", wide=True),
            MESSAGE,
            AGE,
        ),
    ),
    Kind(
        ModelApproval,
        reasons=ApprovalReason,
        conditions={},
        short="mlapproval",
        names=_LABEL,
        longest=200,
        advice="a ModelApproval's name is at most 200 lower case letters, digits and dashes, such"
        " as fraud-production-v3-bob",
        columns=(
            Column("Model", ".spec.model", "The RegisteredModel."),
            Column("Stage", ".spec.stage", "The stage to which the version is to be promoted."),
            Column("Version", ".spec.version", "The version."),
            Column("Decision", ".spec.decision", "Approve or Reject."),
            Column("Approver", ".spec.approver", "The user who decides."),
            READY,
            REASON,
            Column("Gate", ".spec.gate", "The gate, if one is named.", wide=True),
            Column("Expires", ".status.expireTime", "When the approval stops counting.", wide=True),
            MESSAGE,
            AGE,
        ),
    ),
)
"""All kinds. CustomResourceDefinitions, generated pages, the operator's rights and paths, and the
client's names are derived from this table. A new kind is one entry here, a package and a line in
`compose`.
"""
