"""Why a RegisteredModel is as it is: the reasons of its conditions."""

from enum import StrEnum

__all__ = ["ModelReason"]


class ModelReason(StrEnum):
    """Why a RegisteredModel is or is not Ready. It is Ready when every stage serves the version
    that its spec asks for.
    """

    SERVING = "Serving"
    """Every stage serves what the spec asks for, and MLflow agrees."""
    SCALED_TO_ZERO = "ScaledToZero"
    """A stage has a version and, as its spec asks, no pods: nobody answers for it."""
    REGISTERED = "Registered"
    """The model is in MLflow; no stage has a version, so nothing is served."""
    REGISTERING = "Registering"
    """The registered model or a version is being created in MLflow."""
    WAITING_FOR_VERSION = "WaitingForVersion"
    """A stage asks for a version that is not registered yet; the promotion continues
    automatically when it is.
    """
    VERSION_UNKNOWN = "VersionUnknown"
    """A stage asks for a version that nothing declares."""
    VERSION_INVALID = "VersionInvalid"
    """A version cannot be registered from its source; the message says why."""
    VERSION_HELD = "VersionHeld"
    """The declaration that holds the name of a version is gone, and a stage asks for the name;
    the message says how to free it.
    """
    VERSION_TAKEN = "VersionTaken"
    """spec.versions declares a version that was registered from another source; the registered
    one stays as it is.
    """
    ARTIFACT_MISSING = "ArtifactMissing"
    """The artifacts of a version are no longer in S3."""
    ARTIFACT_DIGEST_MISMATCH = "ArtifactDigestMismatch"
    """The artifacts of a version are not those that were registered; no new pod serves them."""
    PROMOTING = "Promoting"
    """A candidate is starting next to the stable version, or is about to receive all traffic."""
    ROLLING_OUT = "RollingOut"
    """A candidate gets a share of the requests, in steps; the message has the weight, and what
    the step waits for.
    """
    ROLLOUT_PAUSED = "RolloutPaused"
    """The rollout is at a pause; the message says how a person has it continue."""
    ROLLOUT_FAILED = "RolloutFailed"
    """The analysis of the rollout rejected the version; the stable version is still serving. The
    message has the figures.
    """
    WAITING_FOR_STAGE = "WaitingForStage"
    """A stage takes only versions that have held another stage (`from`), and this one has not
    yet.
    """
    GATES_PENDING = "GatesPending"
    """A gate cannot be judged yet; the message names what it waits for. The stable version is
    still serving.
    """
    APPROVAL_WANTED = "ApprovalWanted"
    """A version has passed every gate but those that people or another system decide; the
    message says what is missing.
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
    """An override has ended or was removed; what it put there is still serving, and the message
    has the patch for either way on.
    """
    ROLLED_BACK = "RolledBack"
    """The version was worse after the switch than `rollback.automatic` allows, so the one before it
    serves again. The message has the figures, and the patch that makes the spec agree."""
    WATCH_FAILED = "WatchFailed"
    """The version is worse after the switch than `rollback.automatic` allows, and nothing can
    come back in its place; it keeps serving.
    """
    RECORD_PENDING = "RecordPending"
    """Entries of the history are not in S3 yet, and the message says why; with 40 of them no
    promotion starts. What serves stays.
    """
    RECORD_CONFLICT = "RecordConflict"
    """Something else lies in S3 where an entry of the history belongs; the message says what to
    do. What serves stays.
    """
    VERIFIED = "Verified"
    """The gates were asked again about what is effective, and it passes them."""
    VERIFICATION_FAILED = "VerificationFailed"
    """A gate fails what is effective, which is still serving: it does not count for `soak` and
    `from`. The message has the figures.
    """
    NOT_VERIFIED_YET = "NotVerifiedYet"
    """A stage has `reverify`, and its gates have not answered yet about what is effective, or
    not for longer than `every`.
    """
    NOTHING_TO_VERIFY = "NothingToVerify"
    """A stage has `reverify`, and no gate that can be asked about what is effective."""
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
    """The namespace's quota refuses a pod."""
    POD_REFUSED = "PodRefused"
    """Pod Security, a LimitRange or another admission rule refuses a pod; the message says
    which.
    """
    NOT_SERVING = "NotServing"
    """A stage has too few ready pods."""
    NAME_TAKEN = "NameTaken"
    """MLflow has a model of this name that belongs to another object; the annotation
    modelyard.io/adopt takes it over.
    """
    DRIFTED = "Drifted"
    """A stage, an alias or a tag was changed in MLflow itself."""
    SYNCED = "Synced"
    """MLflow agrees with the status."""
    CONNECTION_MISSING = "ConnectionMissing"
    """The namespace has no usable Secret modelyard-connection."""
    CONNECTION_REFUSED = "ConnectionRefused"
    """MLflow or S3 refuses the credentials."""
    MLFLOW_UNAVAILABLE = "MLflowUnavailable"
    """MLflow does not answer; what is served is still serving."""
    STORE_UNAVAILABLE = "StoreUnavailable"
    """S3 does not answer; what is served is still serving."""
    REQUEST_REFUSED = "RequestRefused"
    """MLflow, S3 or Kubernetes refused a request; the message says which."""
    DELETING = "Deleting"
    """The object is being deleted."""
