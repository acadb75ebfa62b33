"""How a stage switches to a version: at once, or in steps with a share of the requests."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from modelyard.api.analysis import Analysis, AnalysisVerdict
from modelyard.api.base import Duration, Schema, parse_duration
from modelyard.api.rules import exactly_one, list_type, rule, rules

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
"""Greatest number of steps of a rollout."""
SAID = 250
"""Greatest length of the analysis' message, in characters."""
COUNTED = 999_999_999_999
"""Greatest number of requests that is counted."""
_HEADER = r"^[A-Za-z0-9_-]+$"


class Strategy(StrEnum):
    """How a stage switches to a version."""

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
            description="Percentage of the requests that the candidate gets. Its pods for them"
            " are started first.",
        ),
    ] = None
    hold: Annotated[
        Duration | None,
        Field(
            description="Wait this long, such as 10m, counted from when all stable pods apply the"
            " weight. With an analysis, its verdict decides at the end.",
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
            description="Wait until a user resumes the rollout, by modelyard resume or by raising"
            " `resumed`: write {}.",
            json_schema_extra=rules(
                rule(
                    "self.size() == 0",
                    "a pause has no fields: write pause: {}, or to wait for a time hold: 5m",
                )
            ),
        ),
    ] = None
    replicas: Annotated[
        int | None,
        Field(
            ge=1,
            le=1000,
            description="Number of the candidate's pods from this step on, instead of the"
            " weight's share of the stage's pods; at most as many as the stage has.",
        ),
    ] = None

    @property
    def lasts(self) -> timedelta | None:
        """Duration of a hold; None if the step is not a hold."""
        return parse_duration(self.hold) if self.hold is not None else None

    def __str__(self) -> str:
        """Return the step as messages show it."""
        if self.weight is not None:
            return f"weight {self.weight}"
        if self.hold is not None:
            return f"hold {self.hold}"
        return "pause" if self.pause is not None else f"replicas {self.replicas}"


class Sticky(Schema):
    """What identifies a user, so that they stay on one version."""

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
    """How a caller can choose the version."""

    header: Annotated[
        str,
        Field(
            min_length=1,
            max_length=64,
            pattern=_HEADER,
            description="A header whose value is a version's name, candidate or stable, such as"
            " x-modelyard-version.",
        ),
    ]


class Rollout(Schema):
    """How the stage switches to a version."""

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
                "with an analysis write weights below 100: at 100 the stable version has no"
                " requests to compare with; the stage switches after the last step",
            ),
        )
    }

    strategy: Annotated[
        Strategy,
        Field(
            description="Replace: the stage switches when the candidate's pods are ready. Canary:"
            " the stable version's pods forward a share of the requests to the candidate, in"
            " steps; they answer a request themselves if the candidate fails it."
        ),
    ] = Strategy.REPLACE
    steps: Annotated[
        tuple[RolloutStep, ...],
        Field(
            max_length=STEPS,
            description="Steps of a canary, in order. After the last one the weight becomes 100,"
            " and then the stage switches.",
            json_schema_extra=list_type(),
        ),
    ] = ()
    sticky: Annotated[
        Sticky | None,
        Field(
            description="Keep a user on one version while the weight grows. Absent: each request"
            " is assigned at random."
        ),
    ] = None
    invite: Annotated[
        Invite | None,
        Field(description="A header with which a caller chooses the version, whatever the weight."),
    ] = None
    analysis: Annotated[
        Analysis | None,
        Field(
            description="Judge the candidate by comparing its answers with the stable version's."
            " Absent: only holds and pauses decide."
        ),
    ] = None
    resumed: Annotated[
        int,
        Field(
            ge=0,
            le=1_000_000,
            description="Raise it to pass the next pause of the current rollout (modelyard"
            " resume). Lowering it does not restore a pause.",
        ),
    ] = 0

    @property
    def whole(self) -> tuple[RolloutStep, ...]:
        """The steps, followed by weight 100 with all pods, from which the stage switches."""
        return (*self.steps, RolloutStep(weight=100))


class ArmStatus(Schema):
    """Requests assigned to a version at the rollout's current weight; updated occasionally."""

    requests: Annotated[int, Field(ge=0, le=COUNTED, description="All requests.")] = 0
    failures: Annotated[int, Field(ge=0, le=COUNTED, description="Requests that it failed.")] = 0


class RolloutStatus(Schema):
    """Progress of a rollout in steps."""

    steps_hash: Annotated[
        str,
        Field(
            max_length=8,
            description="Hash of its steps: if they change, the rollout starts again.",
        ),
    ]
    index: Annotated[int, Field(ge=0, le=STEPS + 1, description="The current step, from 0.")] = 0
    since_time: Annotated[
        datetime,
        Field(
            description="When the step began; for a hold, when all stable pods applied the weight."
        ),
    ]
    weight: Annotated[
        int,
        Field(
            ge=0,
            le=100,
            description="Percentage of the requests that the stable pods should forward.",
        ),
    ] = 0
    applied_by: Annotated[
        int,
        Field(
            ge=0, le=9999, description="Number of stable pods that apply the current traffic rule."
        ),
    ] = 0
    of: Annotated[
        int, Field(ge=0, le=9999, description="Number of stable pods that are ready.")
    ] = 0
    replicas: Annotated[
        int,
        Field(
            ge=0,
            le=9999,
            description="Number of stable pods when the rollout began; the"
            " autoscaler keeps at least as many.",
        ),
    ] = 0
    resumed: Annotated[
        int, Field(ge=0, le=1_000_000, description="Value of `resumed` when the rollout began.")
    ] = 0
    falls: Annotated[
        int, Field(ge=0, le=9, description="How often the candidate lost its last ready pod.")
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
        ArmStatus, Field(description="Requests that were assigned to the stable version.")
    ] = Field(default_factory=ArmStatus)
    candidate: Annotated[
        ArmStatus, Field(description="Requests that were assigned to the candidate.")
    ] = Field(default_factory=ArmStatus)
    said: Annotated[str, Field(max_length=SAID, description="Message of the analysis.")] = ""
    verdict: Annotated[
        AnalysisVerdict | None,
        Field(
            description="Verdict of the analysis: Continue during a hold, then Pass, Inconclusive"
            " or NoData; Fail rejects the version."
        ),
    ] = None

    def resumes(self, rollout: Rollout) -> int:
        """Return the smallest `resumed` that passes the current pause: one more than the last."""
        return (
            self.resumed + sum(step.pause is not None for step in rollout.steps[: self.index]) + 1
        )
