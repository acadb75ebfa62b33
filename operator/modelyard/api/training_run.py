"""TrainingRun: one training, as a Job, and the MLflow run that records it."""

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from modelyard.api.base import DeletionPolicy, Digest, Name, Resource, S3Uri, Schema, UserName
from modelyard.api.pods import Container, Labels, Resources, Toleration
from modelyard.api.rules import exactly_one, immutable, listed, mlflow_pairs, rule, rules
from modelyard.api.trainers import TRAINERS, TrainerKind
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

SIGNING_SECRETS = "modelyard-signing"
"""How the names of Secrets begin that a training pod may mount. The chart's policies name it
too.
"""


class TrainingReason(StrEnum):
    """Why a TrainingRun is or is not Ready. It is Ready when it has succeeded and nothing is
    left to do for it.
    """

    WAITING_FOR_EXPERIMENT = "WaitingForExperiment"
    """The Experiment does not exist, or is not in MLflow yet; the run starts automatically when
    it is.
    """
    SUSPENDED = "Suspended"
    """spec.suspend is true."""
    QUEUED = "Queued"
    """A queue, such as Kueue's, holds the Job."""
    SCHEDULING = "Scheduling"
    """The pod is being scheduled and started."""
    UNSCHEDULABLE = "Unschedulable"
    """No node fits the pod; the message says why."""
    IMAGE_PULL_FAILED = "ImagePullFailed"
    """The image cannot be pulled."""
    CONFIGURATION_MISSING = "ConfigurationMissing"
    """The pod waits for a ConfigMap, Secret or key that is not there."""
    QUOTA_EXCEEDED = "QuotaExceeded"
    """The namespace's quota refuses the pod."""
    POD_REFUSED = "PodRefused"
    """Pod Security, a LimitRange or another admission rule refuses the pod."""
    NO_POD = "NoPod"
    """The Job has had no pod for 30 s, and Kubernetes does not say why."""
    TRAINING = "Training"
    """The pod runs; with the trainer external, the MLflow run is open."""
    INTERRUPTED = "Interrupted"
    """The pod was ended from outside, as when its node is drained, and its container exited with
    0; the attempt trains again.
    """
    RETRYING = "Retrying"
    """The last attempt failed; another follows, with an MLflow run of its own."""
    SUCCEEDED = "Succeeded"
    """Trained, recorded, and registered if spec.register says so."""
    REGISTERING = "Registering"
    """Trained; the RegisteredModel has not registered the version yet."""
    WAITING_FOR_MODEL = "WaitingForModel"
    """Trained; the RegisteredModel that spec.register names does not exist."""
    VERSION_TAKEN = "VersionTaken"
    """Trained; the RegisteredModel has another run under the version that spec.register names."""
    VERSION_HELD = "VersionHeld"
    """Trained; an earlier declaration holds the name of the version that spec.register names. If
    it fails, the model is registered.
    """
    NO_MODEL = "NoModel"
    """spec.register is set, but the run logged no model, or several at once of which none is
    named model.
    """
    FAILED = "Failed"
    """The trainer failed in every attempt that spec.backoffLimit allows."""
    OUT_OF_MEMORY = "OutOfMemory"
    """The trainer was killed for using more memory than its limit."""
    VOLUME_FULL = "VolumeFull"
    """A volume of the pod is full, or the pod wrote more than its limit of ephemeral storage."""
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    """spec.activeDeadlineSeconds passed."""
    HEARTBEAT_LOST = "HeartbeatLost"
    """A run that trains outside of the cluster had no heartbeat for 90 s; its MLflow run was
    closed as failed.
    """
    SCRIPT_INVALID = "ScriptInvalid"
    """The script cannot be run as Python; nothing was trained."""
    INVALID_PARAMETERS = "InvalidParameters"
    """The trainer refuses a parameter, or together they are more than a pod can be given;
    nothing was trained.
    """
    INVALID_RESOURCES = "InvalidResources"
    """Kubernetes refuses the Job for its resources, node selector or tolerations, as the message
    says; nothing was trained.
    """
    SIGNING_KEY_UNUSABLE = "SigningKeyUnusable"
    """The Secret of trainer.sign, or its key, does not exist, or holds no private EC key in PEM;
    nothing was trained.
    """
    DATASET_DIGEST_MISMATCH = "DatasetDigestMismatch"
    """The dataset's bytes are not those of spec.dataset.digest; nothing was trained."""
    DATASET_UNAVAILABLE = "DatasetUnavailable"
    """The dataset cannot be read."""
    DATASET_INVALID = "DatasetInvalid"
    """The dataset is not what the spec says; nothing was trained."""
    EXPERIMENT_GONE = "ExperimentGone"
    """The MLflow run was deleted while it trained. As long as MLflow can restore it, the run
    continues when it is restored.
    """
    CONNECTION_MISSING = "ConnectionMissing"
    """The namespace has no usable Secret modelyard-connection."""
    CONNECTION_REFUSED = "ConnectionRefused"
    """MLflow or S3 refuses the credentials."""
    MLFLOW_UNAVAILABLE = "MLflowUnavailable"
    """MLflow does not answer."""
    STORE_UNAVAILABLE = "StoreUnavailable"
    """S3 does not answer."""
    REQUEST_REFUSED = "RequestRefused"
    """MLflow, S3 or Kubernetes understood a request and refused it; the message says which."""


class Dataset(Schema):
    """What is trained on. Without `uri` it is synthetic: 20 features, 15 of them informative,
    the same for the same name.
    """

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            rule(
                "!has(self.digest) || has(self.uri)",
                "a digest belongs to a uri; leave it out for a synthetic dataset",
            ),
            rule(
                "!has(self.rows) || !has(self.uri)",
                "rows is for a synthetic dataset; a dataset with a uri has the rows that it has",
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
        Field(description="One Parquet or CSV file, no folder of parts: s3://bucket/key.parquet."),
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
            description="How many rows a synthetic dataset has; 2000 if absent.",
        ),
    ] = None


class Xgboost(Schema):
    """The tabular trainer that ships with modelyard."""

    task: Annotated[
        Literal["classification", "regression"],
        Field(description="What is learnt: classification (a class) or regression (a number)."),
    ] = "classification"


class Script(Schema):
    """Any Python file, on the runtime image; it needs no SDK."""

    config_map: Annotated[
        str, Field(min_length=1, max_length=253, description="The ConfigMap that holds the file.")
    ]
    key: Annotated[
        str,
        Field(
            min_length=1,
            max_length=253,
            pattern=r"^[-._a-zA-Z0-9]+[.]py$",
            description="Its key, which ends in .py.",
        ),
    ] = "train.py"


class External(Schema):
    """Training happens elsewhere, such as in a notebook; the run is only kept and closed."""


class Sign(Schema):
    """A private key that the model is signed with when it was logged: an OpenSSF model signature,
    `model.sig` beside its files.

    The operator never reads it: the pod mounts it. So that who may create TrainingRuns does not
    come by other Secrets of the namespace (a script can read what its pod mounts), only Secrets
    that are named for it can be mounted.
    """

    secret: Annotated[
        str,
        Field(
            max_length=253,
            pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
            description="Name of the Secret, in this namespace. It begins with modelyard-signing.",
            json_schema_extra=rules(
                rule(
                    f"self.startsWith('{SIGNING_SECRETS}')",
                    f"name a Secret that begins with {SIGNING_SECRETS}: no other Secret is mounted"
                    " into a training pod",
                )
            ),
        ),
    ]
    key: Annotated[
        str,
        Field(
            max_length=253,
            pattern=r"^[-._a-zA-Z0-9]+$",
            description="Its key: a private EC key (P-256, P-384 or P-521) in PEM, not encrypted.",
        ),
    ]


_SIGNING = tuple(name for name, kind in TRAINERS.items() if kind.program)
"""Trainers whose program is ours: it signs what they logged."""


class Trainer(Schema):
    """Who trains: exactly one."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            exactly_one(
                TRAINERS,
                f"name exactly one trainer: {', '.join([*TRAINERS][:-1])} or {[*TRAINERS][-1]}",
            ),
            rule(
                f"!has(self.sign) || {' || '.join(f'has(self.{name})' for name in _SIGNING)}",
                f"sign is for {' and '.join(_SIGNING)}. With container and external leave it out,"
                " and sign the model's folder yourself before you log it: model_signing sign key"
                " --private_key KEY --signature FOLDER/model.sig FOLDER",
            ),
        )
    }

    xgboost: Annotated[
        Xgboost | None, Field(description="The tabular trainer that ships with modelyard.")
    ] = None
    script: Annotated[
        Script | None, Field(description="Any Python file, on the runtime image.")
    ] = None
    container: Annotated[Container | None, Field(description="Any image.")] = None
    external: Annotated[
        External | None,
        Field(
            description="Nothing is run: whoever trains elsewhere logs into the MLflow run and"
            " closes it."
        ),
    ] = None
    sign: Annotated[
        Sign | None,
        Field(
            description="Signs the model that xgboost or script logged; the gate signed verifies"
            " it."
        ),
    ] = None

    @property
    def name(self) -> str:
        """The one that is set.

        Raises:
            ValueError: None is, or several are: the CRDs are of another release.

        """
        named = [name for name in TRAINERS if getattr(self, name) is not None]
        if len(named) != 1:
            raise ValueError(f"one of {', '.join(TRAINERS)} is to be set, not {named}")
        return named[0]

    @property
    def kind(self) -> TrainerKind:
        """What it runs and learns with."""
        return TRAINERS[self.name]


class Register(Schema):
    """Under which name the model is registered when training succeeds."""

    model: Annotated[Name, Field(description="A RegisteredModel in this namespace.")]
    version: Annotated[Name, Field(description="The version's name there, such as v3.")]
    registered_by: Annotated[
        UserName | None,
        Field(
            description="Who registers the version: the user who creates the TrainingRun. Their"
            " approval of it is not counted. Accounts that the chart names"
            " (policies.requesterAccounts) may write another user."
        ),
    ] = None


_PARAMETERS = (
    "parameters take more than 120 KiB together: put large values into the dataset, or into a"
    " ConfigMap that a script reads"
)
_FOLDER = (
    "dataset.uri names one file, and this is a folder: write its parts as one file, such as by"
    " pandas' read_parquet and to_parquet, and name that"
)
_ELSEWHERE = "!has(self.trainer.external) || "
_SPEC = (
    "a TrainingRun is a record: only suspend, ttlSecondsAfterFinished and deletionPolicy change;"
    " create another one to train again"
)


class TrainingRunSpec(Schema):
    """What is trained, on what, with what."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            rule(
                _ELSEWHERE + "[has(self.resources), has(self.nodeSelector), has(self.tolerations),"
                " has(self.imagePullSecrets)].all(x, !x)",
                "an external run has no pod: leave out resources, nodeSelector, tolerations and"
                " imagePullSecrets",
            ),
            rule(
                _ELSEWHERE + "self.backoffLimit == 0",
                "an external run is not repeated by itself: leave backoffLimit out",
            ),
            rule(
                _ELSEWHERE + "!self.suspend",
                "an external run cannot be suspended, for it trains elsewhere: leave suspend out",
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
            description="Hyper-parameters, as strings: logged to MLflow, given to the trainer as"
            " MODELYARD_PARAMETERS and as a file.",
            # As JSON they take eight characters more each; what JSON escapes besides, the operator
            # counts (`training_run.build`).
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
        Field(description="What is trained on; with the trainer external it is said, not read."),
    ] = None
    trainer: Annotated[Trainer, Field(description="Who trains: exactly one.")]
    resources: Annotated[
        Resources,
        Field(
            description="Resources of the trainer, and of the step before it that reads the"
            " dataset."
        ),
    ] = Field(default_factory=Resources)
    node_selector: Annotated[Labels, Field(description="Labels that the node must have.")] = Field(
        default_factory=dict
    )
    tolerations: Annotated[
        tuple[Toleration, ...],
        Field(
            max_length=16, description="Taints that the pod tolerates.", json_schema_extra=listed()
        ),
    ] = ()
    image_pull_secrets: Annotated[
        tuple[Annotated[str, Field(max_length=253)], ...],
        Field(
            max_length=8,
            description="Names of Secrets for pulling the image.",
            json_schema_extra=listed(),
        ),
    ] = ()
    workers: Annotated[
        int,
        Field(
            ge=1,
            description="How many pods train together.",
            json_schema_extra=rules(
                rule(
                    "self == 1", "this release trains in one pod: set workers to 1, or leave it out"
                )
            ),
        ),
    ] = 1
    suspend: Annotated[
        bool, Field(description="True: the pod is ended and nothing runs until it is false again.")
    ] = False
    backoff_limit: Annotated[
        int,
        Field(
            ge=0,
            le=20,
            description="How often a failed attempt is repeated, each with an MLflow run of its"
            " own.",
        ),
    ] = 0
    active_deadline_seconds: Annotated[
        int | None,
        Field(
            ge=1,
            le=31_536_000,
            description="Seconds that one attempt may take, or an external run may stay open.",
            json_schema_extra={"format": "int64"},
        ),
    ] = None
    ttl_seconds_after_finished: Annotated[
        int | None,
        Field(
            ge=0,
            le=31_536_000,
            description="Seconds after which the Job and its pods go; the TrainingRun stays as the"
            " record.",
        ),
    ] = 86400
    deletion_policy: Annotated[
        DeletionPolicy,
        Field(
            description="Delete: soft-delete the MLflow run with this object, unless a model"
            " version came from it (needs the verb purge). Retain: leave it."
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
        """What it trains with: as MLflow has it; until it has ended, as the spec says what is not
        logged yet.

        A value that the status has cut is whole if it is the spec's.
        """
        ours, logged = self.spec.parameters, self.status.parameters
        shown = {
            name: ours[name] if name in ours and shortened(ours[name]) == value else value
            for name, value in logged.items()
        }
        whole = bool(logged) and self.status.completion_time is not None
        return shown if whole else dict(sorted((ours | shown).items()))

    def trainer_settings(self) -> dict[str, Any]:
        """Return the trainer as its pod reads it: one key, its settings below."""
        return self.spec.trainer.model_dump(by_alias=True, exclude_none=True, exclude={"sign"})
