"""Promotion gates: checks that a version must pass before its stage switches to it."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from modelyard.api.base import Schema
from modelyard.api.gate_kinds import (
    ApprovalsGate,
    DatasetGate,
    ExternalGate,
    IncumbentGate,
    MetricGate,
    Samples,
    SignatureGate,
    SignedGate,
    SoakGate,
)
from modelyard.api.gate_pods import JobGate, Requests, SmokeGate
from modelyard.api.rules import exactly_one, rules

__all__ = [
    "GATES",
    "ApprovalsGate",
    "DatasetGate",
    "ExternalGate",
    "Gate",
    "IncumbentGate",
    "JobGate",
    "MetricGate",
    "Requests",
    "Samples",
    "SignatureGate",
    "SignedGate",
    "SmokeGate",
    "SoakGate",
    "Verdict",
]

GATES = 8
"""Greatest number of gates of a stage."""


class Verdict(StrEnum):
    """The verdict of a gate on a version."""

    PASS = "Pass"  # noqa: S105 - a verdict, no password
    FAIL = "Fail"
    """The version is rejected; the stable one keeps serving."""
    PENDING = "Pending"
    """There is no verdict yet; the message names what the gate waits for."""
    ERROR = "Error"
    """The gate could not be evaluated; it is retried automatically."""


_KINDS = (
    "metric",
    "incumbent",
    "signature",
    "soak",
    "dataset",
    "job",
    "smoke",
    "signed",
    "approvals",
    "external",
)


class Gate(Schema):
    """One promotion gate: a name, and exactly one kind."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            exactly_one(
                _KINDS,
                f"a gate has exactly one of {', '.join(_KINDS[:-1])} and {_KINDS[-1]}",
            )
        )
    }

    name: Annotated[
        str,
        Field(
            max_length=30,
            pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
            description="Name of the gate, as shown in status and events.",
        ),
    ]
    metric: Annotated[MetricGate | None, Field(description="A metric of the version's run.")] = None
    incumbent: Annotated[
        IncumbentGate | None,
        Field(description="A metric, compared with that of the effective version."),
    ] = None
    signature: Annotated[
        SignatureGate | None,
        Field(description="Inputs and outputs, compared with those of the effective version."),
    ] = None
    soak: Annotated[
        SoakGate | None,
        Field(description="Time that the version must be effective in another stage."),
    ] = None
    dataset: Annotated[
        DatasetGate | None, Field(description="The dataset that it was trained on.")
    ] = None
    job: Annotated[JobGate | None, Field(description="A pod that tests it, by its exit code.")] = (
        None
    )
    smoke: Annotated[
        SmokeGate | None, Field(description="Requests that a pod of it must answer.")
    ] = None
    signed: Annotated[
        SignedGate | None,
        Field(description="A signature over its files, verified with public keys."),
    ] = None
    approvals: Annotated[ApprovalsGate | None, Field(description="Approvals by people.")] = None
    external: Annotated[
        ExternalGate | None,
        Field(
            description="A verdict by another controller or a pipeline, as a ModelApproval that"
            " names this gate."
        ),
    ] = None

    @property
    def compared(self) -> IncumbentGate | SignatureGate | None:
        """The gate's settings, if it compares with a stage's effective version."""
        return self.incumbent or self.signature

    @property
    def kind(self) -> str:
        """The kind, as the name of its field in the spec."""
        return next(kind for kind in _KINDS if getattr(self, kind) is not None)

    @property
    def asks_candidate(self) -> bool:
        """Whether a pod must serve the version while the gate is evaluated."""
        return self.smoke is not None or (self.job is not None and self.job.candidate == "Served")
