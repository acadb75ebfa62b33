"""How a version takes a stage: at once, or in steps, each with a share of the requests; and how
far that is.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from modelyard.api.analysis import Analysis, AnalysisVerdict
from modelyard.api.base import Duration, Schema, parse_duration
from modelyard.api.rules import exactly_one, listed, rule, rules

__all__ = [
    "COUNTED",
    "SAID",
    "STEPS",
    "ArmStatus",
    "Invite",
    "Rollout",
    "RolloutStatus",
    "RolloutStep",
    "Sticky",
    "Strategy",
]

STEPS = 16
"""Steps of a rollout."""
SAID = 250
"""Characters of what the analysis says."""
COUNTED = 999_999_999_999
"""Requests that are counted at most."""
_HEADER = r"^[A-Za-z0-9_-]+$"


class Strategy(StrEnum):
    """How a version takes a stage."""

    REPLACE = "Replace"
    CANARY = "Canary"


class RolloutStep(Schema):
    """One step: exactly one of its fields."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            exactly_one(
                ("weight", "hold", "pause", "replicas"),
                "a step has exactly one of weight, hold, pause and replicas",
            )
        )
    }

    weight: Annotated[
        int | None,
        Field(
            ge=0,
            le=100,
            description="Percent of the requests that the candidate gets. It has the pods for them"
            " before.",
        ),
    ] = None
    hold: Annotated[
        Duration | None,
        Field(
            description="Wait, such as 10m, counted from when all stable pods apply the weight."
            " With an analysis the verdict decides at its end.",
            json_schema_extra=rules(
                rule("!self.matches('^0+[smhd]$')", "write a duration above zero, such as 10m"),
                rule(
                    "self.matches('^([0-9]{1,6}[smh]|[0-9]{1,2}d)$')",
                    "write at most 99d, or six digits and s, m or h, such as 10m",
                ),
            ),
        ),
    ] = None
    pause: Annotated[
        dict[str, Annotated[str, Field(max_length=64)]] | None,
        Field(
            max_length=4,
            description="Wait until a person has it continue: write {}. `resumed` is raised, or"
            " modelyard resume.",
            json_schema_extra=rules(
                rule(
                    "self.size() == 0",
                    "a pause has no fields: write pause: {}, or for a time hold: 5m",
                )
            ),
        ),
    ] = None
    replicas: Annotated[
        int | None,
        Field(
            ge=1,
            le=1000,
            description="Pods that the candidate has from here on, instead of its share of the"
            " stage's by the weight; the stage's at most.",
        ),
    ] = None

    @property
    def lasts(self) -> timedelta | None:
        """How long a hold takes; None: the step is no hold."""
        return parse_duration(self.hold) if self.hold is not None else None

    def __str__(self) -> str:
        """As people read it."""
        if self.weight is not None:
            return f"weight {self.weight}"
        if self.hold is not None:
            return f"hold {self.hold}"
        return "pause" if self.pause is not None else f"replicas {self.replicas}"


class Sticky(Schema):
    """By what one user stays on one version."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            rule("has(self.header) != has(self.cookie)", "write either header or cookie")
        )
    }

    header: Annotated[
        str | None,
        Field(
            min_length=1, max_length=64, pattern=_HEADER, description="A header, such as x-user."
        ),
    ] = None
    cookie: Annotated[
        str | None,
        Field(min_length=1, max_length=64, pattern=_HEADER, description="A cookie, such as uid."),
    ] = None


class Invite(Schema):
    """By what a caller asks for a version."""

    header: Annotated[
        str,
        Field(
            min_length=1,
            max_length=64,
            pattern=_HEADER,
            description="A header with a version's name, candidate or stable as its value, such as"
            " x-modelyard-version.",
        ),
    ]


class Rollout(Schema):
    """How a version takes the stage."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            rule(
                "has(self.strategy) && self.strategy == 'Canary' || !has(self.steps) &&"
                " !has(self.sticky) && !has(self.invite) && !has(self.analysis)",
                "steps, sticky, invite and analysis belong to strategy: Canary",
            ),
            rule(
                "!has(self.strategy) || self.strategy != 'Canary' || has(self.steps) &&"
                " self.steps.size() > 0",
                "a canary has steps, such as [{weight: 5}, {hold: 10m}, {weight: 50}, {hold: 30m}]",
            ),
            rule(
                "!has(self.analysis) || !has(self.steps) || self.steps.all(s, !has(s.weight) ||"
                " s.weight < 100)",
                "with an analysis write weights below 100: at 100 nothing is left to compare with;"
                " the stage switches after the last step",
            ),
        )
    }

    strategy: Annotated[
        Strategy,
        Field(
            description="Replace: the stage switches when the new pods are ready. Canary: the pods"
            " of the stable version pass a share of the requests on to the new one, in steps;"
            " a request that the new version fails is answered by the stable one."
        ),
    ] = Strategy.REPLACE
    steps: Annotated[
        tuple[RolloutStep, ...],
        Field(
            max_length=STEPS,
            description="Of a canary, in order. After the last one the weight is 100, and then the"
            " stage switches.",
            json_schema_extra=listed(),
        ),
    ] = ()
    sticky: Annotated[
        Sticky | None,
        Field(
            description="Keep a user on one version while the weight grows. Absent: each request is"
            " drawn."
        ),
    ] = None
    invite: Annotated[
        Invite | None,
        Field(description="A header by which a caller asks for a version, whatever the weight."),
    ] = None
    analysis: Annotated[
        Analysis | None,
        Field(
            description="Judge the candidate by what it answers beside the stable version. Absent:"
            " time and people decide."
        ),
    ] = None
    resumed: Annotated[
        int,
        Field(
            ge=0,
            le=1_000_000,
            description="Raising it passes the next pause of a rollout that is under way; a pause"
            " that was passed is not taken back.",
        ),
    ] = 0

    @property
    def whole(self) -> tuple[RolloutStep, ...]:
        """The steps, with the last one that each rollout has: weight 100 with all pods. The
        stage switches from there.
        """
        return (*self.steps, RolloutStep(weight=100))


class ArmStatus(Schema):
    """Requests that were drawn for a version in this rollout, under its present weight; written
    now and then.
    """

    requests: Annotated[int, Field(ge=0, le=COUNTED, description="All of them.")] = 0
    failures: Annotated[int, Field(ge=0, le=COUNTED, description="Those that it failed.")] = 0


class RolloutStatus(Schema):
    """How far a rollout in steps is."""

    steps_hash: Annotated[
        str,
        Field(
            max_length=8,
            description="Hash of its steps: with other steps the rollout starts again.",
        ),
    ]
    index: Annotated[
        int, Field(ge=0, le=STEPS + 1, description="The step that it is at, from 0.")
    ] = 0
    since_time: Annotated[
        datetime,
        Field(description="Since when; of a hold, since all stable pods apply the weight."),
    ]
    weight: Annotated[
        int,
        Field(
            ge=0,
            le=100,
            description="Percent of the requests that the stable pods are told to pass on.",
        ),
    ] = 0
    applied_by: Annotated[
        int, Field(ge=0, le=9999, description="Stable pods that apply what they were told.")
    ] = 0
    of: Annotated[int, Field(ge=0, le=9999, description="Stable pods that are ready.")] = 0
    replicas: Annotated[
        int,
        Field(
            ge=0, le=9999, description="Stable pods when it began: an autoscaler leaves as many."
        ),
    ] = 0
    resumed: Annotated[int, Field(ge=0, le=1_000_000, description="`resumed` when it began.")] = 0
    falls: Annotated[
        int, Field(ge=0, le=9, description="How often the candidate has lost its last ready pod.")
    ] = 0
    intervals: Annotated[
        int,
        Field(
            ge=0,
            le=999_999,
            description="Intervals that the analysis had judged when the step began.",
        ),
    ] = 0
    stable: Annotated[
        ArmStatus, Field(description="Requests that were drawn for the stable version.")
    ] = Field(default_factory=ArmStatus)
    candidate: Annotated[
        ArmStatus, Field(description="Requests that were drawn for the candidate.")
    ] = Field(default_factory=ArmStatus)
    said: Annotated[str, Field(max_length=SAID, description="What the analysis says.")] = ""
    verdict: Annotated[
        AnalysisVerdict | None,
        Field(
            description="The same in a word: Continue while a hold lasts, then Pass, Inconclusive"
            " or NoData; Fail rejects the version."
        ),
    ] = None

    def resumes(self, rollout: Rollout) -> int:
        """Return the least `resumed` that passes the pause it is at: one more than what the
        pauses before it took.
        """
        return (
            self.resumed + sum(step.pause is not None for step in rollout.steps[: self.index]) + 1
        )
