"""TrainingRun: one training, as a Job, and the MLflow run that records it."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from modelyard.api.base import DeletionPolicy, Digest, Name, Resource, S3Uri, Schema, UserName
from modelyard.api.pods import Container, Labels, Resources, Toleration
from modelyard.api.rules import immutable, list_type, mlflow_pairs, rule, rules
from modelyard.api.trainer_settings import External, Script, Sign, Trainer, Xgboost
from modelyard.api.training_reason import TrainingReason
from modelyard.api.training_status import (
    PARAMETERS,
    DatasetStatus,
    Failure,
    Metric,
    MlflowRun,
    ModelArtifact,
    ObjectiveStatus,
    Progress,
    Registered,
    TrainingRunStatus,
    shortened,
)

__all__ = [
    "Container",
    "Dataset",
    "DatasetStatus",
    "External",
    "Failure",
    "Metric",
    "MlflowRun",
    "ModelArtifact",
    "ObjectiveStatus",
    "Progress",
    "Register",
    "Registered",
    "Script",
    "Sign",
    "Trainer",
    "TrainingReason",
    "TrainingRun",
    "TrainingRunSpec",
    "TrainingRunStatus",
    "Xgboost",
]


class Dataset(Schema):
    """The training data. Without `uri` it is synthetic: 20 features, 15 of them informative, and
    the same data for the same name.
    """

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            rule(
                "!has(self.digest) || has(self.uri)",
                "digest needs uri: a synthetic dataset has none, so remove digest",
            ),
            rule(
                "!has(self.rows) || !has(self.uri)",
                "rows only applies to a synthetic dataset: remove rows, or remove uri",
            ),
        )
    }

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=128,
            pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$",
            description="Its name in MLflow.",
        ),
    ]
    uri: Annotated[
        S3Uri | None,
        Field(
            description="One Parquet or CSV file, not a folder of parts: s3://bucket/key.parquet."
        ),
    ] = None
    digest: Annotated[
        Digest | None,
        Field(
            description="sha256:<hex> of the file's bytes. If given, it is checked before training."
        ),
    ] = None
    target: Annotated[
        str, Field(min_length=1, max_length=128, description="The column to predict.")
    ] = "target"
    rows: Annotated[
        int | None,
        Field(
            ge=10,
            le=10_000_000,
            description="Number of rows of a synthetic dataset. Absent: 2000.",
        ),
    ] = None


class Register(Schema):
    """The model and version under which a successful run is registered."""

    model: Annotated[Name, Field(description="A RegisteredModel in this namespace.")]
    version: Annotated[Name, Field(description="The version's name there, such as v3.")]
    registered_by: Annotated[
        UserName | None,
        Field(
            description="The user who registers the version, which must be the user who creates"
            " the TrainingRun. Their own approval of it does not count. Accounts in the chart's"
            " policies.requesterAccounts may name another user."
        ),
    ] = None


_PARAMETERS = (
    "parameters are larger than 120 KiB in total: put large values into the dataset, or into a"
    " ConfigMap that a script reads"
)
_FOLDER = (
    "dataset.uri must name one file, and this is a folder: combine its parts into one file, such"
    " as with pandas' read_parquet and to_parquet, and name that file"
)
_ELSEWHERE = "!has(self.trainer.external) || "
_SPEC = (
    "a TrainingRun is immutable except for suspend, ttlSecondsAfterFinished and deletionPolicy:"
    " create another one to train again"
)


class TrainingRunSpec(Schema):
    """What to train, on which data and with which trainer."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            rule(
                _ELSEWHERE + "[has(self.resources), has(self.nodeSelector), has(self.tolerations),"
                " has(self.imagePullSecrets)].all(x, !x)",
                "an external run has no pod: remove resources, nodeSelector, tolerations and"
                " imagePullSecrets",
            ),
            rule(
                _ELSEWHERE + "self.backoffLimit == 0",
                "an external run is not repeated automatically: remove backoffLimit",
            ),
            rule(
                _ELSEWHERE + "!self.suspend",
                "an external run cannot be suspended, because it trains elsewhere: remove suspend",
            ),
            rule(
                "has(self.trainer.external) || !has(self.dataset) || !has(self.dataset.uri) ||"
                " !self.dataset.uri.endsWith('/')",
                _FOLDER,
            ),
            rule("self.experiment == oldSelf.experiment", _SPEC),
            rule("self.trainer == oldSelf.trainer", _SPEC),
            rule(
                "self.workers == oldSelf.workers && self.backoffLimit == oldSelf.backoffLimit",
                _SPEC,
            ),
            *(
                immutable(field, _SPEC)
                for field in (
                    "parameters",
                    "dataset",
                    "resources",
                    "nodeSelector",
                    "tolerations",
                    "imagePullSecrets",
                    "activeDeadlineSeconds",
                    "register",
                )
            ),
        )
    }

    experiment: Annotated[
        Name, Field(description="The Experiment, in this namespace, that the run belongs to.")
    ]
    parameters: Annotated[
        dict[str, Annotated[str, Field(max_length=6000)]],
        Field(
            max_length=PARAMETERS,
            description="Hyper-parameters, as strings: logged to MLflow, and passed to the"
            " trainer in MODELYARD_PARAMETERS and in a file.",
            # In JSON each takes eight characters more. The operator counts what JSON escapes
            # (`training_run.build`).
            json_schema_extra=rules(
                rule(
                    "self.map(k, k.size() + self[k].size() + 8).sum() <= 120 * 1024 - 21",
                    _PARAMETERS,
                ),
                *mlflow_pairs(),
            ),
        ),
    ] = Field(default_factory=dict)
    dataset: Annotated[
        Dataset | None,
        Field(
            description="The training data; with the trainer external it is only recorded, not"
            " read."
        ),
    ] = None
    trainer: Annotated[
        Trainer,
        Field(description="The trainer: exactly one of xgboost, script, container and external."),
    ]
    resources: Annotated[
        Resources,
        Field(
            description="Resources of the trainer, and of the init container that reads the"
            " dataset."
        ),
    ] = Field(default_factory=Resources)
    node_selector: Annotated[Labels, Field(description="Labels that the node must have.")] = Field(
        default_factory=dict
    )
    tolerations: Annotated[
        tuple[Toleration, ...],
        Field(
            max_length=16,
            description="Taints that the pod tolerates.",
            json_schema_extra=list_type(),
        ),
    ] = ()
    image_pull_secrets: Annotated[
        tuple[Annotated[str, Field(max_length=253)], ...],
        Field(
            max_length=8,
            description="Names of Secrets for pulling the image.",
            json_schema_extra=list_type(),
        ),
    ] = ()
    workers: Annotated[
        int,
        Field(
            ge=1,
            description="Number of pods that train together.",
            json_schema_extra=rules(
                rule(
                    "self == 1", "this release trains in one pod: set workers to 1, or leave it out"
                )
            ),
        ),
    ] = 1
    suspend: Annotated[
        bool,
        Field(description="True: the pod is deleted, and nothing runs until this is false again."),
    ] = False
    backoff_limit: Annotated[
        int,
        Field(
            ge=0,
            le=20,
            description="How often a failed attempt is repeated. Each attempt has its own MLflow"
            " run.",
        ),
    ] = 0
    active_deadline_seconds: Annotated[
        int | None,
        Field(
            ge=1,
            le=31_536_000,
            description="Time limit in seconds for one attempt, or for an external run to stay"
            " open.",
            json_schema_extra={"format": "int64"},
        ),
    ] = None
    ttl_seconds_after_finished: Annotated[
        int | None,
        Field(
            ge=0,
            le=31_536_000,
            description="Seconds after the end until the Job and its pods are deleted; the"
            " TrainingRun is kept as the record.",
        ),
    ] = 86400
    deletion_policy: Annotated[
        DeletionPolicy,
        Field(
            description="Delete: soft-delete the MLflow run with this object, unless a model"
            " version came from it (requires the verb purge). Retain: leave it."
        ),
    ] = DeletionPolicy.RETAIN
    register_: Annotated[
        Register | None, Field(alias="register", description="Registers the model on success.")
    ] = None


class TrainingRun(Resource[TrainingRunSpec, TrainingRunStatus]):
    """One training, as a Job, and the MLflow run that records it."""

    KIND: ClassVar[str] = "TrainingRun"
    PLURAL: ClassVar[str] = "trainingruns"

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters as logged in MLflow.

        Until the run has ended, the spec's for those not logged yet.

        A value that the status shortened is complete if it is the spec's.
        """
        ours, logged = self.spec.parameters, self.status.parameters
        shown = {
            name: ours[name] if name in ours and shortened(ours[name]) == value else value
            for name, value in logged.items()
        }
        whole = bool(logged) and self.status.completion_time is not None
        return shown if whole else dict(sorted((ours | shown).items()))

    def trainer_settings(self) -> dict[str, Any]:
        """Return the trainer as its pod reads it: an object whose one key is the trainer's name."""
        return self.spec.trainer.model_dump(by_alias=True, exclude_none=True, exclude={"sign"})
