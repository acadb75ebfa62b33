"""The reasons of a RegisteredModel's conditions."""

from enum import StrEnum

__all__ = ["ModelReason"]


class ModelReason(StrEnum):
    """Why a RegisteredModel is or is not Ready. It is Ready when every stage serves the version
    that its spec asks for.
    """

    SERVING = "Serving"
    """Every stage serves the version that its spec asks for, and MLflow agrees."""
    SCALED_TO_ZERO = "ScaledToZero"
    """A stage has a version but, as its spec asks, no pods, so it answers no requests."""
    REGISTERED = "Registered"
    """The model is in MLflow; no stage has a version, so nothing is served."""
    REGISTERING = "Registering"
    """The registered model or a version is being created in MLflow."""
    WAITING_FOR_VERSION = "WaitingForVersion"
    """A stage asks for a version that is not registered yet; the promotion continues
    automatically when it is.
    """
    VERSION_UNKNOWN = "VersionUnknown"
    """A stage asks for a version that neither spec.versions nor a TrainingRun declares."""
    VERSION_INVALID = "VersionInvalid"
    """A version cannot be registered from its source; the message says why."""
    VERSION_HELD = "VersionHeld"
    """A stage asks for a version whose name is reserved by a declaration that no longer exists; the
    message says how to free the name.
    """
    VERSION_TAKEN = "VersionTaken"
    """spec.versions declares a version that was already registered from another source; the
    registered one is kept.
    """
    ARTIFACT_MISSING = "ArtifactMissing"
    """The artifacts of a version are no longer in S3."""
    ARTIFACT_DIGEST_MISMATCH = "ArtifactDigestMismatch"
    """The artifacts of a version differ from those that were registered; no new pod serves them."""
    PROMOTING = "Promoting"
    """A candidate is starting next to the stable version, or is about to receive all traffic."""
    ROLLING_OUT = "RollingOut"
    """A candidate gets a share of the requests, in steps; the message has the weight, and what
    the step waits for.
    """
    ROLLOUT_PAUSED = "RolloutPaused"
    """The rollout is at a pause; the message says how to resume it."""
    ROLLOUT_FAILED = "RolloutFailed"
    """The analysis of the rollout rejected the version; the stable version is still serving. The
    message has the figures.
    """
    WAITING_FOR_STAGE = "WaitingForStage"
    """A stage accepts only versions that were effective in another stage (`from`), and this one was
    not yet.
    """
    GATES_PENDING = "GatesPending"
    """A gate has no verdict yet; the message names what it waits for. The stable version is still
    serving.
    """
    APPROVAL_WANTED = "ApprovalWanted"
    """A version has passed all gates except those that people or another system decide; the message
    says what is missing.
    """
    GATE_FAILED = "GateFailed"
    """A gate rejected the version; the stable version is still serving. The message has the
    figures.
    """
    FROZEN = "Frozen"
    """A freeze holds the promotion until the time that the message names; the stable version is
    still serving.
    """
    PLANNED = "Planned"
    """`spec.dryRun` holds the change; status.plan says what it would do, and the stable version
    is still serving.
    """
    FREEZE_INVALID = "FreezeInvalid"
    """A freeze cannot be read, so nothing is promoted; the message says which one and why."""
    OVERRIDE_ENDED = "OverrideEnded"
    """An override ended or was removed, and its version is still serving. The message has the
    patches to keep it or to go back.
    """
    ROLLED_BACK = "RolledBack"
    """The version was worse after the switch than `rollback.automatic` allows, so the previous
    version was restored. The message has the figures, and the patch that makes the spec agree.
    """
    WATCH_FAILED = "WatchFailed"
    """The version is worse after the switch than `rollback.automatic` allows, but there is no
    version to restore; it keeps serving.
    """
    RECORD_PENDING = "RecordPending"
    """Entries of the history are not in S3 yet; the message says why. With 40 of them no promotion
    starts. Serving continues.
    """
    RECORD_CONFLICT = "RecordConflict"
    """Another object has the URI of an entry of the history in S3; the message says what to do.
    Serving continues.
    """
    VERIFIED = "Verified"
    """The effective version passed its gates when they were evaluated again."""
    VERIFICATION_FAILED = "VerificationFailed"
    """The effective version fails a gate. It is still serving, but does not count for `soak` and
    `from`. The message has the figures.
    """
    NOT_VERIFIED_YET = "NotVerifiedYet"
    """A stage has `reverify`, and its gates have no verdict on the effective version yet, or none
    within `every`.
    """
    NOTHING_TO_VERIFY = "NothingToVerify"
    """A stage has `reverify`, but no gate that can be evaluated again."""
    SERVING_FAILED = "ServingFailed"
    """The candidate cannot be served; the stable version is still serving. The message says why."""
    CODE_MODEL_FORBIDDEN = "CodeModelForbidden"
    """Loading the model runs code (a pickled flavour), which the namespace does not allow."""
    ARTIFACT_INVALID = "ArtifactInvalid"
    """The artifact tree of a version cannot be written to a pod's volume; the message names the
    path.
    """
    UNSCHEDULABLE = "Unschedulable"
    """No node fits a pod of a stage; the message says why."""
    IMAGE_PULL_FAILED = "ImagePullFailed"
    """The runtime image cannot be pulled."""
    CONFIGURATION_MISSING = "ConfigurationMissing"
    """A pod waits for a Secret or key that is missing."""
    OUT_OF_MEMORY = "OutOfMemory"
    """A container was killed for using more memory than its limit."""
    VOLUME_FULL = "VolumeFull"
    """The volume of a pod is full, or the pod wrote more than its limit of ephemeral storage."""
    QUOTA_EXCEEDED = "QuotaExceeded"
    """The namespace's quota does not allow a pod."""
    POD_REFUSED = "PodRefused"
    """Pod Security, a LimitRange or another admission rule refuses a pod; the message says
    which.
    """
    NOT_SERVING = "NotServing"
    """A stage has too few ready pods."""
    NAME_TAKEN = "NameTaken"
    """MLflow has a model of this name that belongs to another object; the annotation
    modelyard.io/adopt adopts it.
    """
    DRIFTED = "Drifted"
    """A stage, an alias or a tag was changed directly in MLflow."""
    SYNCED = "Synced"
    """MLflow agrees with the status."""
    CONNECTION_MISSING = "ConnectionMissing"
    """The namespace has no usable Secret modelyard-connection."""
    CONNECTION_REFUSED = "ConnectionRefused"
    """MLflow or S3 refuses the credentials."""
    MLFLOW_UNAVAILABLE = "MLflowUnavailable"
    """MLflow does not answer. Serving continues."""
    STORE_UNAVAILABLE = "StoreUnavailable"
    """S3 does not answer. Serving continues."""
    REQUEST_REFUSED = "RequestRefused"
    """MLflow, S3 or Kubernetes refused a request; the message says which."""
    DELETING = "Deleting"
    """The object is being deleted."""
