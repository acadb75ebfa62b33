"""Types that all kinds share: objects with metadata, spec and status, durations, conditions.

All models are immutable: a status is built, never edited.
"""

import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from modelyard.api.rules import mlflow_pairs, rule, rules

__all__ = [
    "GROUP",
    "MESSAGE",
    "VERSION",
    "Condition",
    "ConditionStatus",
    "DeletionPolicy",
    "Digest",
    "Duration",
    "Latency",
    "Meta",
    "Name",
    "Number",
    "Resource",
    "S3Uri",
    "Schema",
    "StageName",
    "Status",
    "Tags",
    "UserName",
    "as_name",
    "condition",
    "cut",
    "parse_duration",
]

GROUP = "modelyard.io"
VERSION = "v1alpha1"

_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
Name = Annotated[str, Field(min_length=1, max_length=63, pattern=_NAME)]
StageName = Annotated[str, Field(max_length=30, pattern=_NAME)]
Digest = Annotated[str, Field(max_length=71, pattern=r"^sha256:[0-9a-f]{64}$")]
Duration = Annotated[str, Field(max_length=16, pattern=r"^[0-9]+(s|m|h|d)$")]
S3Uri = Annotated[
    str,
    Field(
        min_length=6, max_length=1024, pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^%?#]+$"
    ),
]
Latency = Annotated[str, Field(max_length=16, pattern=r"^[0-9]+(ms|s)$")]
UserName = Annotated[str, Field(min_length=1, max_length=253)]
"""A user as the API server names it: bob@example.com, system:serviceaccount:ci:release."""
Number = Annotated[
    str, Field(max_length=32, pattern=r"^-?[0-9]+([.][0-9]+)?([eE][-+]?[0-9]{1,3})?$")
]
"""A decimal number in a spec. The exponent is bounded, because 1e999999999 as a fraction would take
all memory.
"""
TagValue = Annotated[str, Field(max_length=500)]
Tags = Annotated[
    dict[str, TagValue],
    Field(
        max_length=64,
        json_schema_extra=rules(
            rule(
                "self.all(key, !key.startsWith('mlflow.') && !key.startsWith('modelyard.io/'))",
                "keys that begin with mlflow. or modelyard.io/ are reserved: write another key,"
                " such as team.owner",
            ),
            *mlflow_pairs(),
        ),
    ),
]
ConditionStatus = Literal["True", "False", "Unknown"]
MESSAGE = 2048
"""Greatest length of a condition's message in characters: it may have to name sixteen stages."""


def cut(size: int) -> BeforeValidator:
    """Cut a text on reading, because a status by an earlier release may hold a longer one."""
    return BeforeValidator(lambda text: text[:size] if isinstance(text, str) else text)


class Schema(BaseModel):
    """A part of a kind: camelCase in JSON, snake_case in Python.

    Unknown fields are dropped, as the API server does.
    """

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        protected_namespaces=(),
    )


class DeletionPolicy(StrEnum):
    """What happens in MLflow when the object is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


class Condition(Schema):
    """One condition, as `metav1.Condition`."""

    type: Annotated[str, Field(max_length=63, description="Type of the condition, in CamelCase.")]
    status: Annotated[ConditionStatus, Field(description="True, False or Unknown.")]
    reason: Annotated[
        str,
        Field(
            max_length=63, description="Why, as one CamelCase word; docs/conditions.md lists them."
        ),
    ]
    message: Annotated[
        str,
        cut(MESSAGE),
        Field(max_length=MESSAGE, description="What is the case, and what to do."),
    ] = ""
    observed_generation: Annotated[
        int, Field(ge=0, description="The metadata.generation that this condition is about.")
    ] = 0
    last_transition_time: Annotated[
        datetime | None, Field(description="When the status last changed.")
    ] = None


class Status(Schema):
    """The fields that the status of every kind has."""

    observed_generation: Annotated[
        int, Field(ge=0, description="The metadata.generation that this status is about.")
    ] = 0
    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            max_length=6,
            description="Ready, Reconciling, Stalled and those of the kind.",
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            },
        ),
    ] = ()

    def condition(self, type_: str) -> Condition | None:
        """Return the condition of this type, or None."""
        return next((c for c in self.conditions if c.type == type_), None)

    def is_true(self, type_: str) -> bool:
        """Tell whether the condition of this type exists and is True."""
        found = self.condition(type_)
        return found is not None and found.status == "True"


class Meta(Schema):
    """The part of an object's metadata that the controllers need."""

    name: str
    namespace: str
    uid: str
    generation: int = 1
    resource_version: str = ""
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    finalizers: tuple[str, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


SpecT = TypeVar("SpecT", bound=Schema)
StatusT = TypeVar("StatusT", bound=Status)


class Resource(Schema, Generic[SpecT, StatusT]):
    """An object of one of modelyard's kinds, as the controllers read it."""

    KIND: ClassVar[str]
    PLURAL: ClassVar[str]

    metadata: Meta
    spec: SpecT
    status: StatusT

    @classmethod
    def parse(cls, body: dict[str, Any]) -> Self:
        """Read an object from the API server; a missing status is read as an empty one.

        Raises:
            pydantic.ValidationError: The object does not match the model, such as when the
                installed CRD is of another release.

        """
        return cls.model_validate(
            {
                "metadata": body["metadata"],
                "spec": body.get("spec") or {},
                "status": body.get("status") or {},
            }
        )

    @property
    def key(self) -> str:
        """The object's name as `namespace/name`."""
        return f"{self.metadata.namespace}/{self.metadata.name}"


def condition(type_: str, status: bool | None, reason: str, message: str = "") -> Condition:
    """Build a condition, with its message cut to `MESSAGE` characters.

    `engine.report` adds generation and transition time.
    """
    state: ConditionStatus = "Unknown" if status is None else "True" if status else "False"
    return Condition(type=type_, status=state, reason=reason, message=message[:MESSAGE])


def as_name(text: str | None) -> str | None:
    """Return a text if it is a valid `Name`, else None: anyone can write tags in MLflow."""
    return text if text and len(text) <= 63 and re.fullmatch(_NAME, text) else None


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_FOR_EVER = 1000 * 365 * 86400


def parse_duration(text: str) -> timedelta:
    """Read a duration such as `30m`, `24h` or `90d`.

    More than 1000 years become 1000 years, which a `datetime` can still subtract.

    Raises:
        ValueError: The text is not a duration; the CRD's pattern rejects such a text earlier.

    """
    match = re.fullmatch(r"([0-9]+)([smhd])", text)
    if match is None:
        raise ValueError(
            f"{text!r} is not a duration: write a whole number and s, m, h or d, such as 30m"
        )
    return timedelta(seconds=min(int(match[1]) * _UNITS[match[2]], _FOR_EVER))
