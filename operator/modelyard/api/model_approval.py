"""ModelApproval: one user's or system's decision on a version for a stage.

`api.approvals` decides which ones count.
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
    """Why a ModelApproval is or is not Ready. It is Ready when it counts for its gate, or counted
    when the version became effective.
    """

    COUNTS = "Counts"
    """It counts for its gate. A Reject counts until the version becomes effective."""
    EXPIRES_SOON = "ExpiresSoon"
    """It counts, and expires within the hour, or within a tenth of the gate's expireAfter if
    that is less.
    """
    EXPIRED = "Expired"
    """It is older than the gate's expireAfter."""
    NOT_ASKED_FOR = "NotAskedFor"
    """The stage does not ask for this version now; the approval counts when it does."""
    EFFECTIVE = "Effective"
    """The version is effective in the stage; the approval is kept as a record."""
    NO_SUCH_GATE = "NoSuchGate"
    """The model, stage or gate does not exist, or the stage has several gates of kind approvals and
    this names none.
    """
    OTHER_DIGEST = "OtherDigest"
    """The version has another digest than the approved one."""
    OWN_WORK = "OwnWork"
    """The approver asked for the version (requestedBy) or registered it (registeredBy)."""
    DUPLICATE = "Duplicate"
    """An older approval of the same approver counts already."""
    REQUEST_REFUSED = "RequestRefused"
    """It is no longer needed, and Kubernetes refuses its deletion; the message says why."""


class Decision(StrEnum):
    """The decision on the version."""

    APPROVE = "Approve"
    REJECT = "Reject"


class ModelApprovalSpec(Schema):
    """A decision by one user on one version for one stage. It is immutable."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            rule(
                "self == oldSelf",
                "an approval is immutable: delete it to withdraw it, and create another one",
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
            description="Digest of the version's artifact tree, from status.versions of the model."
        ),
    ]
    gate: Annotated[
        str | None,
        Field(
            max_length=30,
            pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
            description="The gate that the decision is for; requires the verb attest on"
            " registeredmodels/<stage>/<gate>. Absent: the stage's gate approvals; requires the"
            " verb approve on registeredmodels/<stage>.",
        ),
    ] = None
    decision: Annotated[
        Decision, Field(description="Approve, or Reject: the version is not promoted to the stage.")
    ]
    approver: Annotated[
        UserName,
        Field(description="The user who decides, which must be the user who creates the object."),
    ]
    evidence: Annotated[
        str | None,
        Field(max_length=1024, description="Where the reasons can be found, such as a URL."),
    ] = None
    comment: Annotated[str | None, Field(max_length=1024, description="Why, as free text.")] = None


class ModelApprovalStatus(Status):
    """Whether the approval counts."""

    expire_time: Annotated[
        datetime | None,
        Field(description="When it stops counting; absent if the gate has no expireAfter."),
    ] = None


class ModelApproval(Resource[ModelApprovalSpec, ModelApprovalStatus]):
    """An approval or a rejection of a version for a stage, by one user or one system."""

    KIND: ClassVar[str] = "ModelApproval"
    PLURAL: ClassVar[str] = "modelapprovals"
