"""Reasons why a pod ended or does not run, for the programs in pods and for the operator.

Standard library only, because pods import it. `kube.pod_state` reads a pod's status,
`modelyard_runtime.outcome` writes the termination message.
"""

from enum import IntEnum, StrEnum
from typing import NamedTuple, Self

__all__ = ["Exit", "PodReason", "Resolution"]


class Exit(IntEnum):
    """Exit codes of modelyard's programs, for users and for Jobs' failure policies.

    The operator reads the reason instead.
    """

    MISMATCH = 65
    """An input does not have the given digest."""
    UNAVAILABLE = 66
    """An input is missing or cannot be read."""
    INVALID = 67
    """An input is invalid: another attempt would fail too."""
    UNREACHABLE = 69
    """A service does not answer: another attempt may succeed."""
    NO_SPACE = 73
    """The volume is full."""
    STOPPED = 143
    """SIGTERM ended the program."""


class Resolution(NamedTuple):
    """How a reason can be resolved.

    Attributes:
        retryable: Another attempt of the same version or run may succeed.
        needs_action: A user must act first.

    """

    retryable: bool
    needs_action: bool


_FINAL = Resolution(retryable=False, needs_action=True)
_BLOCKED = Resolution(retryable=True, needs_action=True)
_TRANSIENT = Resolution(retryable=True, needs_action=False)


class PodReason(StrEnum):
    """Why a pod ended, does not start or cannot be created.

    Attributes:
        exit_code: Exit code of modelyard's programs for this reason; None: Kubernetes gives the
            reason.
        retryable: Another attempt of the same version or run may succeed.
        needs_action: A user must act first.
        fix: What to do, in sentences that fit both a TrainingRun and a RegisteredModel.

    """

    exit_code: Exit | None
    retryable: bool
    needs_action: bool
    fix: str

    def __new__(cls, value: str, exit_code: Exit | None, resolution: Resolution, fix: str) -> Self:
        """Create a member that equals its text."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.exit_code, member.fix = exit_code, fix
        member.retryable, member.needs_action = resolution
        return member

    # --- what programs say of a model's artifacts -------------------------------------------------
    DIGEST_MISMATCH = (
        "ArtifactDigestMismatch",
        Exit.MISMATCH,
        _FINAL,
        "Restore the files that were registered, or register the present ones as another version.",
    )
    """The artifacts differ from those that were registered."""
    ARTIFACT_INVALID = (
        "ArtifactInvalid",
        Exit.INVALID,
        _FINAL,
        "Rename or remove what the message names, and register the tree as another version.",
    )
    """The artifact tree cannot be written to a volume."""
    ARTIFACT_MISSING = (
        "ArtifactMissing",
        Exit.UNAVAILABLE,
        _BLOCKED,
        "Restore the files, or use another version.",
    )
    """There are no artifacts at the version's URI."""
    CODE_FORBIDDEN = (
        "CodeModelForbidden",
        Exit.INVALID,
        _BLOCKED,
        (
            "Allow such models for the namespace"
            " (kubectl label namespace <name> modelyard.io/allow-code-models=true),"
            " or log the model in a format without pickles."
        ),
    )
    """Loading the model runs code that it contains, which the namespace does not allow."""
    LOAD_FAILED = (
        "LoadFailed",
        Exit.INVALID,
        _FINAL,
        "Correct the model and register it as another version.",
    )
    """The model cannot be loaded."""
    SMOKE_FAILED = (
        "SmokeFailed",
        Exit.INVALID,
        _FINAL,
        "Correct the model, signature or input example, and register it as another version.",
    )
    """The model loads, but cannot predict its own input example."""

    # --- what the program of the gate `smoke` says ------------------------------------------------
    REQUESTS_MISSING = (
        "RequestsMissing",
        Exit.UNAVAILABLE,
        _BLOCKED,
        (
            "Create the ConfigMap with that key, or the object in S3 where the namespace may read"
            " it; the gate then continues."
        ),
    )
    """The ConfigMap of the requests, its key or their object in S3 does not exist, or may not be
    read.
    """
    REQUESTS_MISMATCH = (
        "RequestsDigestMismatch",
        Exit.MISMATCH,
        _FINAL,
        "Restore the file, or name the digest of the present one.",
    )
    """The requests do not have the gate's digest."""
    REQUESTS_FAILED = (
        "RequestsFailed",
        Exit.INVALID,
        _FINAL,
        "Correct the model and register it as another version, or correct the requests.",
    )
    """A request was not answered, not as expected, or not in time."""
    CANDIDATE_UNREACHABLE = (
        "CandidateUnreachable",
        Exit.UNREACHABLE,
        _TRANSIENT,
        "Another attempt succeeds when the candidate's Service answers.",
    )
    """The candidate's pod is ready, but its Service does not route to it."""

    # --- what the program of the gate `signed` says -----------------------------------------------
    SIGNATURE_MISSING = (
        "SignatureMissing",
        Exit.INVALID,
        _FINAL,
        (
            "Sign the model's files (trainer.sign of a TrainingRun, or model_signing sign key"
            " --signature model.sig), and register them as another version."
        ),
    )
    """The version's files hold no signature."""
    SIGNATURE_INVALID = (
        "SignatureInvalid",
        Exit.INVALID,
        _FINAL,
        (
            "Sign the current files with a key that the gate names, and register them as another"
            " version."
        ),
    )
    """The signature is malformed, is by another key, or is for other files."""

    # --- what programs say of a dataset -----------------------------------------------------------
    DATASET_DIGEST_MISMATCH = (
        "DatasetDigestMismatch",
        Exit.MISMATCH,
        _FINAL,
        "Restore the file, or name the digest of the present one.",
    )
    """The dataset does not have the digest `spec.dataset.digest`."""
    DATASET_UNAVAILABLE = (
        "DatasetUnavailable",
        Exit.UNAVAILABLE,
        _BLOCKED,
        "Correct spec.dataset.uri, or give the namespace's S3 keys the right to read it.",
    )
    """The dataset is missing, or the credentials may not read it."""
    DATASET_INVALID = "DatasetInvalid", Exit.INVALID, _FINAL, "Correct the dataset or spec.dataset."
    """The dataset does not match the spec."""

    # --- what programs say of themselves and of what they need ------------------------------------
    SCRIPT_INVALID = "ScriptInvalid", Exit.INVALID, _FINAL, "Correct the script."
    """The script is not valid Python."""
    INVALID_PARAMETERS = "InvalidParameters", Exit.INVALID, _FINAL, "Correct spec.parameters."
    """The trainer does not accept a parameter."""
    INVALID_CONFIGURATION = (
        "InvalidConfiguration",
        Exit.INVALID,
        _FINAL,
        "Check that the operator and the runtime image are of the same release.",
    )
    """The program's own files or environment are invalid."""
    SIGNING_KEY_UNUSABLE = (
        "SigningKeyUnusable",
        Exit.INVALID,
        _BLOCKED,
        "Write a private EC key on P-256, P-384 or P-521 into it, in PEM and not encrypted.",
    )
    """The Secret of `trainer.sign`, or its key, does not exist or holds no such key."""
    VOLUME_FULL = (
        "VolumeFull",
        Exit.NO_SPACE,
        _BLOCKED,
        "Free disk space on the node, or write a larger resources.limits.ephemeral-storage.",
    )
    """The pod's volume is full, or the pod wrote more than its limit of ephemeral storage."""
    STORE_UNAVAILABLE = (
        "StoreUnavailable",
        Exit.UNREACHABLE,
        _TRANSIENT,
        "Another attempt succeeds when S3 answers.",
    )
    """S3 does not answer."""
    MLFLOW_UNAVAILABLE = (
        "MLflowUnavailable",
        Exit.UNREACHABLE,
        _TRANSIENT,
        "Another attempt succeeds when MLflow answers.",
    )
    """MLflow does not answer."""
    DATABASE_UNAVAILABLE = (
        "DatabaseUnavailable",
        Exit.UNREACHABLE,
        _TRANSIENT,
        "Another attempt succeeds when it answers.",
    )
    """MLflow's database does not answer the purger."""
    CONNECTION_REFUSED = (
        "ConnectionRefused",
        Exit.INVALID,
        _BLOCKED,
        "Correct the keys or the address in the Secret modelyard-connection.",
    )
    """MLflow or S3 refuses the credentials."""
    REQUEST_REFUSED = "RequestRefused", Exit.INVALID, _BLOCKED, "Change what the message names."
    """MLflow understood a request and refused it."""

    # --- what Kubernetes says ---------------------------------------------------------------------
    CONTAINER_FAILED = "ContainerFailed", None, _BLOCKED, "Its log says why."
    """A container exited with another code than 0, without giving a reason."""
    POD_FAILED = (
        "PodFailed",
        None,
        _BLOCKED,
        "Try again; if it fails again, change what the message names.",
    )
    """Kubernetes ended the pod for another reason."""
    OUT_OF_MEMORY = "OutOfMemory", None, _BLOCKED, "Raise resources.limits.memory."
    """A container was killed for using more memory than its limit."""
    EVICTED = "Evicted", None, _TRANSIENT, "Kubernetes starts another pod."
    """The node ran out of a resource and evicted the pod."""
    DEADLINE_EXCEEDED = (
        "DeadlineExceeded",
        None,
        _FINAL,
        "Raise spec.activeDeadlineSeconds, or do less work.",
    )
    """The Job exceeded its time limit."""
    CRASH_LOOP = (
        "CrashLoop",
        None,
        _BLOCKED,
        "The container's log says why: kubectl logs --previous.",
    )
    """A container crashes repeatedly; the kubelet delays its next start."""
    IMAGE_PULL_FAILED = (
        "ImagePullFailed",
        None,
        _BLOCKED,
        (
            "Push the image, correct its name, or create the pull secret in this namespace"
            " (imagePullSecrets of chart or run). The kubelet retries automatically."
        ),
    )
    """The image cannot be pulled."""
    CONFIGURATION_MISSING = (
        "ConfigurationMissing",
        None,
        _BLOCKED,
        "Create or correct what the message names; the pod then starts automatically.",
    )
    """A container waits for a ConfigMap, a Secret or a key that is missing."""
    UNSCHEDULABLE = (
        "Unschedulable",
        None,
        _TRANSIENT,
        "Free a node, add one or ask for less; the pod starts as soon as a node fits.",
    )
    """No node fits the pod."""
    QUOTA_EXCEEDED = (
        "QuotaExceeded",
        None,
        _BLOCKED,
        "Raise the quota, free some of it or ask for less. Kubernetes retries automatically.",
    )
    """The namespace's quota does not allow the pod."""
    POD_REFUSED = (
        "PodRefused",
        None,
        _BLOCKED,
        "Change what the message names. Kubernetes retries automatically.",
    )
    """Pod Security, a LimitRange or another admission rule refuses the pod."""
