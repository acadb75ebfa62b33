"""The kinds of the API: what each is called, listed and explained by, and how its objects are
named.
"""

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
        reasons: The reasons that its conditions give, besides the engine's (`api.conditions`).
        conditions: What each condition means that only this kind has, by type.
        short: Its short name.
        names: A regular expression (RE2) that the whole name of an object matches.
        longest: The longest name; derived names (`kube.names`) then fit without being shortened.
        advice: The message to a user whose object has another name.
        columns: The columns of `kubectl get`, in their order.
        selectable: Fields that `--field-selector` may name.

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
    "Ready", '.status.conditions[?(@.type=="Ready")].status', "Whether all is as the spec asks."
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
AGE = Column("Age", ".metadata.creationTimestamp", "Time since the object was made.", type="date")

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
                "Runs", ".status.runs.finished", "MLflow runs that finished well.", type="integer"
            ),
            Column("Best", ".status.bestRun.value", "The best value of the objective's metric."),
            Column(
                "Best Run",
                ".status.bestRun.trainingRun",
                "The TrainingRun that reached it.",
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
            "Succeeded": "Training itself ended well. False: it failed for good. Absent while"
            " neither is known.",
            "Interrupted": "The pod was ended from outside and exited with 0: the attempt trains"
            " again. Absent otherwise.",
            "Silent": "A run that trains outside of the cluster has had no heartbeat for a minute."
            " Absent otherwise.",
        },
        short="mlrun",
        names=_LABEL,
        longest=50,
        advice="a TrainingRun's name is at most 50 lower case letters, digits and dashes, such as"
        " fraud-003: its Jobs are named after it",
        columns=(
            Column("Experiment", ".spec.experiment", "The Experiment that it belongs to."),
            Column(
                "Attempt", ".status.attempt", "The attempt that runs or ran last.", type="integer"
            ),
            READY,
            REASON,
            Column(
                "Progress",
                ".status.progress.percent",
                "How much is done, in percent.",
                type="integer",
            ),
            Column("Model", ".status.registered.model", "The RegisteredModel that took its model."),
            Column(
                "Version",
                ".status.registered.version",
                "The version that its model became.",
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
            "Synced": "MLflow's stages, aliases and tags agree with what the status says.",
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
            Column("Stages", ".status.summary", "Stages and the versions that hold them."),
            Column(
                "Production",
                ".status.stages.production.version",
                "The version that holds production.",
            ),
            Column(
                "Pods",
                ".status.stages.production.readyReplicas",
                "Pods that answer for production.",
                type="integer",
            ),
            READY,
            REASON,
            Column(
                "Verified",
                '.status.conditions[?(@.type=="Verified")].status',
                "Whether what serves passed its gates when they were asked again.",
                wide=True,
            ),
            Column(
                "URL",
                ".status.stages.production.url",
                "Where production answers, in the cluster.",
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
            Column("Stage", ".spec.stage", "The stage that the version is to take."),
            Column("Version", ".spec.version", "The version."),
            Column("Decision", ".spec.decision", "Approve or Reject."),
            Column("Approver", ".spec.approver", "Who says so."),
            READY,
            REASON,
            Column("Gate", ".spec.gate", "The gate, if it names one.", wide=True),
            Column("Expires", ".status.expireTime", "When it stops counting.", wide=True),
            MESSAGE,
            AGE,
        ),
    ),
)
"""Every kind of the API. The CustomResourceDefinitions, the generated pages, the operator's rights
and paths, and the client's names come from here; a new kind is one entry, a package and a line in
`compose`."""
