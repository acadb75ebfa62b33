"""The reasons of a TrainingRun's conditions."""

from enum import StrEnum

__all__ = ["TrainingReason"]


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
    """The last attempt failed; another follows, with its own MLflow run."""
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
