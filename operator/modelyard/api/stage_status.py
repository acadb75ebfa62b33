"""Stages in the status of a RegisteredModel."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from modelyard.api.base import Name, Schema, cut
from modelyard.api.blocker import Blocker
from modelyard.api.gates import GATES, Verdict
from modelyard.api.history import ModelRuntime
from modelyard.api.rollback import Watch
from modelyard.api.rollout import RolloutStatus
from modelyard.api.rules import list_type
from modelyard.api.verification import Verification
from modelyard.api.version_status import PreviousVersion, ServedVersion

__all__ = [
    "ATTEMPTS",
    "DETAIL",
    "REMEMBERED",
    "Draining",
    "GateStatus",
    "JudgedVersion",
    "OverrideStatus",
    "Rejection",
    "StageStatus",
    "StepState",
    "StepStatus",
]


ATTEMPTS = 1_000_000
"""Greatest value of `attempt`."""
DETAIL = 72
"""Characters of a step's detail."""
REMEMBERED = 248
"""Characters of a rejection's message."""


class StepState(StrEnum):
    """State of a step of a promotion."""

    DONE = "Done"
    ACTIVE = "Active"
    WAITING = "Waiting"
    """It waits for an earlier step, or for what its detail names."""
    FAILED = "Failed"


class StepStatus(Schema):
    """One step of a promotion."""

    name: Annotated[
        str,
        Field(
            max_length=16,
            description="The step: admit, from, freeze, gates, plan, trial, approval, start,"
            " rollout, switch or record.",
        ),
    ]
    state: Annotated[StepState, Field(description="Done, Active, Waiting or Failed.")]
    since_time: Annotated[datetime | None, Field(description="When it entered that state.")] = None
    detail: Annotated[
        str,
        cut(DETAIL),
        Field(max_length=DETAIL, description="What it does, or waits for."),
    ] = ""


class JudgedVersion(Schema):
    """The version that a stage's gates judge."""

    version: Annotated[Name, Field(description="The version.")]
    digest: Annotated[str, Field(max_length=71, description="Digest of its artifact tree.")]
    runtime: Annotated[
        str | None,
        Field(
            max_length=8,
            description="Identity of the runtime with which the gates that run pods were"
            " evaluated.",
        ),
    ] = None


class GateStatus(Schema):
    """The verdict of a gate on the judged version."""

    name: Annotated[str, Field(max_length=30, description="Name of the gate.")]
    verdict: Annotated[Verdict, Field(description="Pass, Fail, Pending or Error.")]
    message: Annotated[str, Field(max_length=140, description="Why, with the figures.")]
    time: Annotated[datetime, Field(description="When the gate gave the verdict.")]
    gate_hash: Annotated[
        str,
        Field(
            max_length=8, description="Hash of the gate's spec: a changed gate is evaluated again."
        ),
    ]
    incumbent: Annotated[
        str | None,
        Field(
            max_length=8,
            description="First digits of the digest of the version it was compared with.",
        ),
    ] = None


class Rejection(Schema):
    """A rejected version; retried when the stage's spec changes or its `attempt` is raised."""

    version: Annotated[Name, Field(description="The version.")]
    digest: Annotated[str, Field(max_length=71, description="Digest of its artifact tree.")]
    runtime: Annotated[
        str | None, Field(max_length=8, description="Identity of the runtime whose pods failed.")
    ] = None
    spec_hash: Annotated[
        str,
        Field(
            max_length=16,
            description="Hash of the stage's spec, without the fields that can be"
            " changed without the right to promote.",
        ),
    ]
    attempt: Annotated[
        int, Field(ge=0, le=ATTEMPTS, description="The stage's `attempt` at that time.")
    ] = 0
    reason: Annotated[str, Field(max_length=32, description="Why, as one CamelCase word.")]
    message: Annotated[
        str, cut(REMEMBERED), Field(max_length=REMEMBERED, description="Why, and what to do.")
    ]
    time: Annotated[datetime, Field(description="When it was rejected.")]


class OverrideStatus(Schema):
    """An override of a stage, as the operator first observed it."""

    version: Annotated[Name, Field(description="The version.")]
    digest: Annotated[
        str | None,
        Field(
            max_length=71,
            description="Digest of its artifact tree at that time; absent if it was not"
            " registered, and then the override never takes effect.",
        ),
    ] = None
    attempt: Annotated[
        int,
        Field(
            ge=0,
            le=ATTEMPTS,
            description="The spec's `attempt` at that time; raising it further returns the stage"
            " to the spec's version.",
        ),
    ] = 0
    before: Annotated[
        str | None,
        Field(
            max_length=71,
            description="Digest of the version that an earlier override promoted, while that"
            " version is still effective.",
        ),
    ] = None
    since_time: Annotated[datetime, Field(description="When the operator first observed it.")]
    until_time: Annotated[
        datetime,
        Field(
            description="When it ends: as the spec says, but at most a day after it was first"
            " observed."
        ),
    ]
    ends_soon: Annotated[
        bool | None,
        Field(
            description="It ends within the hour, or within a tenth of its duration if that is"
            " less; an event reported it."
        ),
    ] = None
    ended: Annotated[
        bool | None,
        Field(
            description="It ended or was removed while its version was serving; recorded in the"
            " history."
        ),
    ] = None


class Draining(Schema):
    """A replaced version whose pods still answer requests that were sent before the switch."""

    identity: Annotated[str, Field(max_length=8, description="Identity of its serving objects.")]
    until_time: Annotated[datetime, Field(description="When they are deleted.")]


class StageStatus(Schema):
    """The effective version of a stage, and the progress of a change."""

    version: Annotated[Name | None, Field(description="The effective version.")] = None
    digest: Annotated[
        str | None, Field(max_length=71, description="Digest of its artifact tree.")
    ] = None
    runtime: Annotated[ModelRuntime | None, Field(description="The runtime that serves it.")] = None
    desired: Annotated[Name | None, Field(description="The version that the spec asks for.")] = None
    candidate: Annotated[
        ServedVersion | None,
        Field(description="What is being promoted; recorded when the promotion begins."),
    ] = None
    previous: Annotated[
        PreviousVersion | None,
        Field(
            description="The version that the last switch replaced; a rollback restores it with"
            " its digest and runtime."
        ),
    ] = None
    attempt: Annotated[
        int, Field(ge=0, le=ATTEMPTS, description="The `attempt` that was carried out last.")
    ] = 0
    hold_time: Annotated[
        datetime | None,
        Field(
            description="`autoPromote` considers only versions registered after this time: that"
            " of the newest version at the last rollback."
        ),
    ] = None
    since_time: Annotated[
        datetime | None, Field(description="When the version became effective.")
    ] = None
    start_time: Annotated[datetime | None, Field(description="When the current change began.")] = (
        None
    )
    url: Annotated[str | None, Field(max_length=140, description="Its URL inside the cluster.")] = (
        None
    )
    ready_replicas: Annotated[int, Field(ge=0, le=999_999, description="Number of ready pods.")] = 0
    desired_replicas: Annotated[
        int, Field(ge=0, le=999_999, description="Desired number of pods.")
    ] = 0
    steps: Annotated[
        tuple[StepStatus, ...],
        Field(
            max_length=11,
            description="Steps of the promotion, in order.",
            json_schema_extra=list_type("name"),
        ),
    ] = ()
    judged: Annotated[
        JudgedVersion | None, Field(description="The version that `gates` is about.")
    ] = None
    gates: Annotated[
        tuple[GateStatus, ...],
        Field(
            max_length=GATES,
            description="Verdicts of the gates on that version.",
            json_schema_extra=list_type("name"),
        ),
    ] = ()
    verification: Annotated[
        Verification | None,
        Field(
            description="Verdict of the gates on the effective version since its promotion;"
            " absent without `reverify`."
        ),
    ] = None
    watch: Annotated[
        Watch | None,
        Field(
            description="The watch of the effective version (`rollback.automatic`); absent while"
            " it is not watched."
        ),
    ] = None
    rollout: Annotated[
        RolloutStatus | None,
        Field(description="Progress of the candidate's rollout in steps; absent without one."),
    ] = None
    traffic_revision: Annotated[
        int,
        Field(
            ge=0,
            le=999_999_999,
            description="Revision of the latest traffic rule of its pods; it only increases.",
        ),
    ] = 0
    override: Annotated[
        OverrideStatus | None,
        Field(
            description="The override that promoted the effective version, or is about to promote"
            " one."
        ),
    ] = None
    blocked: Annotated[
        Blocker | None,
        Field(description="Why the stage is not as its spec asks; absent when it is."),
    ] = None
    rejected: Annotated[
        tuple[Rejection, ...],
        Field(
            max_length=3,
            description="Versions that the stage rejected, oldest first.",
            json_schema_extra=list_type(),
        ),
    ] = ()
    draining: Annotated[
        tuple[Draining, ...],
        Field(
            max_length=4,
            description="Replaced versions whose pods are about to be deleted.",
            json_schema_extra=list_type(),
        ),
    ] = ()

    @property
    def kept(self) -> PreviousVersion | None:
        """The previous version while its pods are kept.

        They are kept during its window, and while its successor is watched.
        """
        is_watched = self.watch is not None and self.watch.displaced is not None
        return (
            self.previous
            if is_watched or (self.previous is not None and self.previous.until_time is not None)
            else None
        )

    @property
    def effective(self) -> ServedVersion | None:
        """The effective version, or None unless its digest and runtime are recorded too."""
        if self.version is None or self.digest is None or self.runtime is None:
            return None
        return ServedVersion(version=self.version, digest=self.digest, runtime=self.runtime)
