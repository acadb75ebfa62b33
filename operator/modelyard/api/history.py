"""The history of a model's stages, and the chain of its copies in S3 (decision 0034)."""

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
"""Greatest length of an image's name in characters: a status holds up to 99 (decision 0014)."""
_Names = Annotated[str, cut(NAMES), Field(max_length=NAMES)]
_User = Annotated[str, cut(USER), Field(max_length=USER)]
CHAIN_DIGEST = 71
"""Characters of the digest of an entry's object: sha256: and 64 hex digits."""


class ModelRuntime(Schema):
    """The image and pod template that serve a version."""

    image: Annotated[str, Field(max_length=RUNTIME_IMAGE, description="Image of the model server.")]
    revision: Annotated[
        int,
        Field(
            ge=0,
            description="Revision of the pod template; a release of the operator that changes the"
            " template raises it.",
        ),
    ]
    identity: Annotated[
        str,
        Field(
            max_length=8,
            description="Eight hex digits of a hash of version, digest, image and revision; a"
            " label of the serving objects.",
        ),
    ]


class Outcome(StrEnum):
    """How a change of a stage ended."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    """The version had been effective in the stage before."""
    REFRESHED = "Refreshed"
    """The same version, with another runtime."""
    CLEARED = "Cleared"
    """No version is effective now."""
    OVERRIDDEN = "Overridden"
    """An override promoted the version, without gates."""
    AUTO_PROMOTED = "AutoPromoted"
    """`autoPromote` promoted the version."""
    OVERRIDE_ENDED = "OverrideEnded"
    """An override ended or was removed; the version that it promoted is still serving."""
    REJECTED = "Rejected"
    """The stage rejected the version."""
    ABORTED = "Aborted"
    """The promotion was cancelled because the spec changed."""

    @property
    def took_effect(self) -> bool:
        """Whether the stage changed: another version, another runtime, or none is effective."""
        return self not in {Outcome.OVERRIDE_ENDED, Outcome.REJECTED, Outcome.ABORTED}


class HistoryEntry(Schema):
    """One change of a stage, or an attempt that was rejected or aborted.

    Its JSON is what is stored in S3: a field that a release adds is absent if it has no value, so
    that older entries keep their bytes.
    """

    time: Annotated[
        datetime,
        Field(
            description="When the change ended; for a version that became effective, when it did."
        ),
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
            description="The version that became effective; absent if the stage was cleared. For"
            " Rejected and Aborted: the version that did not become effective. For OverrideEnded:"
            " the version that is still serving."
        ),
    ] = None
    digest: Annotated[
        str | None, Field(max_length=71, description="Digest of the artifact tree of `to`.")
    ] = None
    runtime: Annotated[ModelRuntime | None, Field(description="The runtime that serves `to`.")] = (
        None
    )
    outcome: Annotated[
        Outcome,
        Field(
            description="Promoted. RolledBack: to a version that had been effective before."
            " Refreshed: the same version with another runtime. Cleared: no version is effective."
            " Overridden: promoted by an override, without gates. OverrideEnded: the override"
            " ended. AutoPromoted: promoted by autoPromote. Rejected: the stage rejected the"
            " version. Aborted: cancelled because the spec changed."
        ),
    ]
    duration_seconds: Annotated[
        int | None,
        Field(ge=0, le=999_999_999, description="Seconds from the change of the spec to `time`."),
    ] = None
    reason: Annotated[
        str | None,
        Field(
            max_length=WHY,
            description="Why, as the user who changed the stage wrote it: `reason` of the stage,"
            " or of its override. For Rejected: why the stage rejected the version.",
        ),
    ] = None
    requested_by: Annotated[
        _User | None,
        Field(
            description="The user who asked for it: the first 64 characters of the stage's"
            " `requestedBy`."
        ),
    ] = None
    approved_by: Annotated[_Names | None, Field(description="Users whose approvals counted.")] = (
        None
    )
    gates: Annotated[
        _Names | None, Field(description="Verdicts of the gates, such as quality Pass.")
    ] = None
    record: Annotated[
        int | None,
        Field(
            ge=1,
            le=999_999_999_999,
            description="Its number in the record in S3; absent in entries from earlier releases.",
        ),
    ] = None


class RecordedEntry(Schema):
    """An entry of the record in S3."""

    number: Annotated[int, Field(ge=0, description="Its number; 0 if there is none.")]
    digest: Annotated[
        str | None, Field(max_length=CHAIN_DIGEST, description="SHA-256 of its object.")
    ] = None


class RecordStatus(Schema):
    """State of the history's record in S3: the newest entry, and the newest one that is stored."""

    number: Annotated[
        int, Field(ge=0, description="Number of the newest entry; 0 if there is none.")
    ]
    digest: Annotated[
        str | None,
        Field(
            max_length=CHAIN_DIGEST,
            description="SHA-256 of its object, which contains the digest of the one before.",
        ),
    ] = None
    stored: Annotated[
        RecordedEntry | None,
        Field(description="The newest entry that is stored in S3; absent if none is."),
    ] = None

    @property
    def pending(self) -> int:
        """Number of entries that are not stored yet."""
        return max(0, self.number - (self.stored.number if self.stored is not None else 0))
