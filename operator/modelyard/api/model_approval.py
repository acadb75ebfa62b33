"""ModelApproval: what one user, or one system, says of a version for a stage. Which of them
count is `api.approvals`'.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from modelyard.api.base import Digest, Name, Resource, Schema, Status, UserName
from modelyard.api.rules import rule, rules

__all__ = [
    "ApprovalReason",
    "Decision",
    "ModelApproval",
    "ModelApprovalSpec",
    "ModelApprovalStatus",
]


class ApprovalReason(StrEnum):
    """Why a ModelApproval is or is not Ready. It is Ready when it counts for its gate, or did
    when the version took the stage.
    """

    COUNTS = "Counts"
    """It counts for its gate. A Reject counts until the version takes the stage."""
    EXPIRES_SOON = "ExpiresSoon"
    """It counts, and expires within the hour, or within a tenth of the gate's expireAfter if
    that is less.
    """
    EXPIRED = "Expired"
    """It was created longer ago than the gate's expireAfter."""
    NOT_ASKED_FOR = "NotAskedFor"
    """The stage does not ask for this version now; it counts when the stage does."""
    EFFECTIVE = "Effective"
    """The version holds the stage: the approval is the record of it."""
    NO_SUCH_GATE = "NoSuchGate"
    """The model, the stage or the gate does not exist, or the stage has several gates approvals
    and none is named.
    """
    OTHER_DIGEST = "OtherDigest"
    """The version has another digest than the one that was approved."""
    OWN_WORK = "OwnWork"
    """The approver asked for the version (requestedBy) or registered it (registeredBy)."""
    DUPLICATE = "Duplicate"
    """An older approval of the same approver counts already."""
    REQUEST_REFUSED = "RequestRefused"
    """It is of no use, and Kubernetes refuses its deletion; the message says why."""


class Decision(StrEnum):
    """What is said of the version."""

    APPROVE = "Approve"
    REJECT = "Reject"


class ModelApprovalSpec(Schema):
    """Who says what of which version. It is immutable."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            rule(
                "self == oldSelf",
                "an approval is immutable: withdraw it (delete it), and create another one",
            )
        )
    }

    model: Annotated[Name, Field(description="The RegisteredModel, in this namespace.")]
    stage: Annotated[
        str,
        Field(
            min_length=1,
            max_length=30,
            pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
            description="The stage of the model.",
        ),
    ]
    version: Annotated[Name, Field(description="The version that is approved or rejected.")]
    digest: Annotated[
        Digest,
        Field(
            description="Digest of the version's artifact tree, as status.versions of the model"
            " says."
        ),
    ]
    gate: Annotated[
        str | None,
        Field(
            max_length=30,
            pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
            description="The gate that it is for, which takes the verb attest on"
            " registeredmodels/<stage>/<gate>. Absent: the stage's gate approvals, which takes"
            " the verb approve on registeredmodels/<stage>.",
        ),
    ] = None
    decision: Annotated[
        Decision, Field(description="Approve, or Reject: the version does not take the stage.")
    ]
    approver: Annotated[
        UserName, Field(description="Who says so: the user who creates the object.")
    ]
    evidence: Annotated[
        str | None, Field(max_length=1024, description="Where it can be read why, such as a URL.")
    ] = None
    comment: Annotated[str | None, Field(max_length=1024, description="Why, in words.")] = None


class ModelApprovalStatus(Status):
    """Whether it counts."""

    expire_time: Annotated[
        datetime | None,
        Field(description="When it stops counting; absent if the gate has no expireAfter."),
    ] = None


class ModelApproval(Resource[ModelApprovalSpec, ModelApprovalStatus]):
    """An approval or a rejection of a version for a stage, by one user or one system."""

    KIND: ClassVar[str] = "ModelApproval"
    PLURAL: ClassVar[str] = "modelapprovals"
