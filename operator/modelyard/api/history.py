"""What happened to a model's stages: the entries of `status.history`, and the chain of their
copies in S3 (decision 0034).
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from modelyard.api.base import Name, Schema, cut

__all__ = [
    "CHAIN_DIGEST",
    "NAMES",
    "RUNTIME_IMAGE",
    "USER",
    "WHY",
    "HistoryEntry",
    "ModelRuntime",
    "Outcome",
    "RecordStatus",
    "RecordedEntry",
]

WHY = 256
"""Characters of an entry's reason."""
NAMES = 94
"""Characters of `approvedBy` and of `gates`."""
USER = 64
"""Characters of `requestedBy`."""
RUNTIME_IMAGE = 256
"""Characters of an image of the model server: up to 99 of them are in a status (decision 0014)."""
_Names = Annotated[str, cut(NAMES), Field(max_length=NAMES)]
_User = Annotated[str, cut(USER), Field(max_length=USER)]
CHAIN_DIGEST = 71
"""Characters of the digest of an entry's object: sha256: and 64 hex digits."""


class ModelRuntime(Schema):
    """What a version is served with."""

    image: Annotated[str, Field(max_length=RUNTIME_IMAGE, description="Image of the model server.")]
    revision: Annotated[
        int,
        Field(
            ge=0,
            description="Number of the pod's shape; the operator raises it when its meaning"
            " changes.",
        ),
    ]
    identity: Annotated[
        str,
        Field(
            max_length=8,
            description="Eight hex digits of version, digest, image and revision; a label of the"
            " serving objects.",
        ),
    ]


class Outcome(StrEnum):
    """How a change of a stage ended."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    """The version had held the stage before."""
    REFRESHED = "Refreshed"
    """The same version, with another runtime."""
    CLEARED = "Cleared"
    """No version is effective now."""
    OVERRIDDEN = "Overridden"
    """An override put the version there, without gates."""
    AUTO_PROMOTED = "AutoPromoted"
    """The stage took the version because it is the newest that passes its gates."""
    OVERRIDE_ENDED = "OverrideEnded"
    """An override has ended, or was removed; the version that it put there is still serving."""
    REJECTED = "Rejected"
    """The stage did not take the version."""
    ABORTED = "Aborted"
    """The version was given up before it was effective: the spec asks for something else."""

    @property
    def took_effect(self) -> bool:
        """Whether another version, another runtime, or none became effective."""
        return self not in {Outcome.OVERRIDE_ENDED, Outcome.REJECTED, Outcome.ABORTED}


class HistoryEntry(Schema):
    """One change of a stage, or one that did not come about.

    Its JSON is what is stored in S3: a field that is added is absent where it has no value, so that
    an older entry keeps its bytes.
    """

    time: Annotated[
        datetime,
        Field(description="When it ended; of a version that became effective: since when it was."),
    ]
    stage: Annotated[str, Field(max_length=30, description="The stage.")]
    from_: Annotated[
        Name | None,
        Field(
            alias="from",
            description="The version that was effective before; absent if there was none.",
        ),
    ] = None
    to: Annotated[
        Name | None,
        Field(
            description="The version that became effective; absent if the stage was cleared. Of"
            " Rejected and Aborted: the version that did not. Of OverrideEnded: the version"
            " that is still serving."
        ),
    ] = None
    digest: Annotated[
        str | None, Field(max_length=71, description="Digest of the artifact tree of `to`.")
    ] = None
    runtime: Annotated[ModelRuntime | None, Field(description="What serves `to`.")] = None
    outcome: Annotated[
        Outcome,
        Field(
            description="Promoted; RolledBack: the version had held the stage before; Refreshed:"
            " the same version with another runtime; Cleared: no version is effective."
            " Overridden: an override put the version there, without gates; OverrideEnded: it"
            " has ended. AutoPromoted: the stage took the newest version. Rejected: the stage"
            " did not take the version. Aborted: it was given up because the spec asks for"
            " something else."
        ),
    ]
    duration_seconds: Annotated[
        int | None,
        Field(ge=0, le=999_999_999, description="Seconds from the change of the spec until then."),
    ] = None
    reason: Annotated[
        str | None,
        Field(
            max_length=WHY,
            description="Why, as the user who changed the stage wrote it: `reason` of the stage,"
            " or of its override. Of Rejected: why the stage did not take the version.",
        ),
    ] = None
    requested_by: Annotated[
        _User | None,
        Field(description="Who asked for it: `requestedBy` of the stage, its first 64 characters."),
    ] = None
    approved_by: Annotated[_Names | None, Field(description="Whose approvals counted.")] = None
    gates: Annotated[
        _Names | None, Field(description="What the gates said, such as quality Pass.")
    ] = None
    record: Annotated[
        int | None,
        Field(
            ge=1,
            le=999_999_999_999,
            description="Its number in the record in S3; absent in entries of earlier releases.",
        ),
    ] = None


class RecordedEntry(Schema):
    """An entry of the record in S3."""

    number: Annotated[int, Field(ge=0, description="Its number; 0: there is none.")]
    digest: Annotated[
        str | None, Field(max_length=CHAIN_DIGEST, description="SHA-256 of its object.")
    ] = None


class RecordStatus(Schema):
    """The record of a model's history in S3: which entries it has, and which are still to be
    stored.
    """

    number: Annotated[int, Field(ge=0, description="Number of the newest entry; 0: there is none.")]
    digest: Annotated[
        str | None,
        Field(
            max_length=CHAIN_DIGEST,
            description="SHA-256 of its object, which holds the digest of the one before.",
        ),
    ] = None
    stored: Annotated[
        RecordedEntry | None, Field(description="The newest entry that S3 has; absent: none.")
    ] = None

    @property
    def pending(self) -> int:
        """How many entries are still to be stored."""
        return max(0, self.number - (self.stored.number if self.stored is not None else 0))
