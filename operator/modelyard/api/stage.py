"""A stage of a RegisteredModel: `spec.stages`."""

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from modelyard.api.auto_promote import AutoPromote
from modelyard.api.base import Name, Schema, UserName
from modelyard.api.gates import GATES, Gate
from modelyard.api.history import WHY
from modelyard.api.rollback import Rollback
from modelyard.api.rollout import Rollout, Strategy
from modelyard.api.rules import list_type, rule, rules
from modelyard.api.serving import Serving
from modelyard.api.verification import Reverify

__all__ = ["OVERRIDE_LASTS", "Override", "Stage"]


OVERRIDE_LASTS = timedelta(days=1)
"""Longest time that an override is in force, from when the operator first observed it."""


class Override(Schema):
    """Break-glass: promote a version at once, without gates."""

    version: Annotated[Name, Field(description="A registered version.")]
    reason: Annotated[
        str,
        Field(
            min_length=1,
            max_length=256,
            description="Why, such as incident 4711; recorded in the history.",
        ),
    ]
    until: Annotated[
        datetime,
        Field(
            description="When the override ends, at most a day after it was set. Its version"
            " keeps serving until a user changes the stage.",
            # By format alone the API server accepts impossible timestamps: in the year 0, or 99
            # hours from UTC.
            json_schema_extra=rules(
                rule(
                    "self > timestamp('2000-01-01T00:00:00Z')",
                    'write a timestamp, such as "2030-12-01T18:00:00Z"',
                )
            ),
        ),
    ]


class Stage(Schema):
    """A stage: the version that it should serve, how it switches to it, and how it serves it."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            rule(
                "!has(self.version) || has(self.requestedBy) || !has(self.gates) ||"
                " !self.gates.exists(g, has(g.approvals))",
                "a stage with the gate approvals needs requestedBy beside version: write your"
                " user name there",
            ),
            rule(
                "!has(self.autoPromote) || !has(self.version)",
                "version and autoPromote exclude each other: remove one of them (in a patch, set"
                " it to null)",
            ),
            rule(
                "!has(self.autoPromote) || !has(self.requestedBy)",
                "requestedBy does not apply to autoPromote: remove it (in a patch, set it to null)",
            ),
        )
    }

    version: Annotated[
        Name | None,
        # Without this, the API server refuses a server-side apply that sets null.
        Field(
            description="The version that the stage should serve. Null: none, and nothing is"
            " served.",
            json_schema_extra={"nullable": True},
        ),
    ] = None
    auto_promote: Annotated[
        AutoPromote | None,
        Field(
            description="Instead of `version`: promote each new version automatically. It passes"
            " the same checks as a version that a user sets. Rejected versions and older ones are"
            " skipped, and after a rollback also those registered before it. Setting `version`"
            " instead ends this."
        ),
    ] = None
    requested_by: Annotated[
        UserName | None,
        Field(
            description="The user who asks for the version, which must be the user who changes"
            " it. Their own approval does not count. Required with the gate approvals. Accounts"
            " in the chart's policies.requesterAccounts, such as a GitOps controller's, may name"
            " another user."
        ),
    ] = None
    reason: Annotated[
        str | None,
        Field(
            max_length=WHY,
            description="Why the stage changes, recorded in the history. It applies to one"
            " change: if it stays in the spec, it is not recorded again for the next one.",
        ),
    ] = None
    attempt: Annotated[
        int,
        Field(
            ge=0,
            le=1_000_000,
            description="Raise it to try a rejected version again, or, while the version is"
            " effective, to serve it with the operator's current runtime image (modelyard"
            " refresh).",
        ),
    ] = 0
    from_: Annotated[
        str | None,
        Field(
            alias="from",
            max_length=30,
            description="Another stage in which the version, with its current digest, must be or"
            " have been effective before it is promoted to this one.",
        ),
    ] = None
    gates: Annotated[
        tuple[Gate, ...],
        Field(
            max_length=GATES,
            description="Promotion gates: checks that a version must pass before the stage"
            " switches to it. A version that fails one is rejected, and the stable version keeps"
            " serving. The previous version can be restored without them.",
            json_schema_extra=list_type("name"),
        ),
    ] = ()
    reverify: Annotated[
        Reverify | None,
        Field(
            description="Evaluate the gates metric, dataset, job, smoke and signed again for the"
            " effective version. A version that fails keeps serving, but does not count for"
            " `soak` and `from` until it passes."
        ),
    ] = None
    rollback: Annotated[
        Rollback | None,
        Field(
            description="How long a switch can be undone at once, and when it is undone"
            " automatically. Absent: the pods of the previous version are deleted after the"
            " switch."
        ),
    ] = None
    rollout: Annotated[
        Rollout | None,
        Field(
            description="How the stage switches to a version: at once (Replace) or in steps"
            " (Canary). Absent: Replace."
        ),
    ] = None
    override: Annotated[
        Override | None,
        Field(
            description="Break-glass: promote a version at once, without `from` and gates; its"
            " digest and the readiness of its pods are still checked. Requires the verb override"
            " on registeredmodels/<stage>."
        ),
    ] = None
    serving: Annotated[Serving, Field(description="How the version is served.")] = Field(
        default_factory=Serving
    )

    @property
    def is_canary(self) -> bool:
        """Whether the stage switches in steps."""
        return self.rollout is not None and self.rollout.strategy is Strategy.CANARY

    @property
    def requester_patch(self) -> str:
        """JSON that a merge patch of `version` must add to name the requester, or empty."""
        names = self.requested_by is not None or any(
            gate.approvals is not None for gate in self.gates
        )
        return ',"requestedBy":"<your user name>"' if names else ""
