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
"""Prefix of the names of Secrets that a training pod may mount; also in the chart's policies."""


class TrainingReason(StrEnum):
    """Why a TrainingRun is or is not Ready. It is Ready when it has succeeded and nothing is left
    to do.
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
    """The pod waits for a ConfigMap, Secret or key that does not exist."""
    QUOTA_EXCEEDED = "QuotaExceeded"
    """The namespace's quota does not allow the pod."""
    POD_REFUSED = "PodRefused"
    """Pod Security, a LimitRange or another admission rule refuses the pod."""
    NO_POD = "NoPod"
    """The Job has had no pod for 30 s, and Kubernetes gives no reason."""
    TRAINING = "Training"
    """The pod runs; with the trainer external, the MLflow run is open."""
    INTERRUPTED = "Interrupted"
    """The pod was terminated, as when its node is drained, and its container exited with 0; the
    attempt is repeated.
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
    """Trained; the RegisteredModel already has another run's model as the version that
    spec.register names.
    """
    VERSION_HELD = "VersionHeld"
    """Trained; an earlier declaration reserves the version that spec.register names. If it fails,
    this model is registered.
    """
    NO_MODEL = "NoModel"
    """spec.register is set, but the run logged no model, or several at the same moment and none
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
    """A run that trains outside the cluster sent no heartbeat for 90 s; its MLflow run was closed
    as failed.
    """
    SCRIPT_INVALID = "ScriptInvalid"
    """The script cannot be run as Python; nothing was trained."""
    INVALID_PARAMETERS = "InvalidParameters"
    """The trainer does not accept a parameter, or they are too large for a pod; nothing was
    trained.
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
    """The dataset does not have the digest spec.dataset.digest; nothing was trained."""
    DATASET_UNAVAILABLE = "DatasetUnavailable"
    """The dataset cannot be read."""
    DATASET_INVALID = "DatasetInvalid"
    """The dataset does not match the spec; nothing was trained."""
    EXPERIMENT_GONE = "ExperimentGone"
    """The MLflow run was deleted during training. The run continues if the MLflow run is restored.
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


class Xgboost(Schema):
    """The tabular trainer that ships with modelyard."""

    task: Annotated[
        Literal["classification", "regression"],
        Field(description="What is predicted: classification (a class) or regression (a number)."),
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
            description="The file's key in it, which ends in .py.",
        ),
    ] = "train.py"


class External(Schema):
    """Training happens elsewhere, such as in a notebook; the operator only opens and closes the
    MLflow run.
    """


class Sign(Schema):
    """A private key with which the logged model is signed: an OpenSSF model signature, `model.sig`
    next to its files.

    The pod mounts the key; the operator never reads it. Only Secrets with the reserved prefix can
    be mounted, because a script can read what its pod mounts: otherwise a user who may create
    TrainingRuns could read any Secret of the namespace.
    """

    secret: Annotated[
        str,
        Field(
            max_length=253,
            pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
            description="Name of the Secret, in this namespace; it must begin with"
            " modelyard-signing.",
            json_schema_extra=rules(
                rule(
                    f"self.startsWith('{SIGNING_SECRETS}')",
                    f"name a Secret whose name begins with {SIGNING_SECRETS}: training pods mount"
                    " no other Secret",
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
"""Trainers that run a program of the runtime image, which signs the model that they logged."""


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
                f"sign is for {' and '.join(_SIGNING)}. With container or external remove it, and"
                " sign the model's folder yourself before you log it: model_signing sign key"
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
            description="The operator runs nothing: your own program trains elsewhere, logs to"
            " the MLflow run and closes it."
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
        """Name of the trainer that is set.

        Raises:
            ValueError: None or several are set: the installed CRDs are of another release.

        """
        named = [name for name in TRAINERS if getattr(self, name) is not None]
        if len(named) != 1:
            raise ValueError(f"exactly one of {', '.join(TRAINERS)} must be set, not {named}")
        return named[0]

    @property
    def kind(self) -> TrainerKind:
        """The entry of the trainer in `TRAINERS`."""
        return TRAINERS[self.name]


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
        """The parameters: as logged in MLflow, and until the run has ended, the spec's for those
        not logged yet.

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
