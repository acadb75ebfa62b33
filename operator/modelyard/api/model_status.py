"""The status of a RegisteredModel: the record of registrations and promotions (decision 0012)."""

from typing import Annotated

from pydantic import Field

from modelyard.api.base import Schema, Status
from modelyard.api.history import HistoryEntry, RecordStatus
from modelyard.api.rules import list_type
from modelyard.api.stage_status import StageStatus
from modelyard.api.version_status import KnownVersion, OperatorRuntime, VersionStatus

__all__ = ["DOES", "PLANNED", "STAGES", "PlannedStep", "RegisteredModelStatus"]

STAGES = 16
"""Greatest number of stages of a model, in its spec and in its status."""
PLANNED = 22
"""Greatest number of rows of a plan."""
DOES = 112
"""Characters of the text in a row of a plan."""


class PlannedStep(Schema):
    """One step of a change that `dryRun` holds back."""

    stage: Annotated[
        str,
        Field(
            max_length=30,
            description="The stage; empty in a last row that summarizes the rows that do not fit.",
        ),
    ]
    step: Annotated[
        str,
        Field(
            max_length=10,
            description="The step of the promotion, or of the update of MLflow that follows it.",
        ),
    ]
    does: Annotated[str, Field(max_length=DOES, description="What it would do, or waits for.")]


class RegisteredModelStatus(Status):
    """What is registered and served, and how it changed: the record of what was promoted."""

    mlflow_name: Annotated[
        str | None, Field(max_length=256, description="Its name in MLflow: namespace.name.")
    ] = None
    url: Annotated[str | None, Field(max_length=1024, description="Its page in MLflow.")] = None
    versions: Annotated[
        tuple[VersionStatus, ...],
        Field(
            max_length=64,
            description="Versions, oldest first: those in use and the newest.",
            json_schema_extra=list_type("name"),
        ),
    ] = ()
    older_versions: Annotated[
        tuple[KnownVersion, ...],
        Field(
            max_length=448,
            description="The other versions, oldest first.",
            json_schema_extra=list_type("name"),
        ),
    ] = ()
    stages: Annotated[
        dict[str, StageStatus], Field(max_length=STAGES, description="Stages by name.")
    ] = Field(default_factory=dict)
    operator_runtime: Annotated[
        OperatorRuntime | None,
        Field(
            description="The operator's current runtime. A stage that serves with another one can"
            " be refreshed (modelyard refresh)."
        ),
    ] = None
    plan: Annotated[
        tuple[PlannedStep, ...],
        Field(
            max_length=PLANNED,
            description="With `dryRun`: what the changes that it holds back would do, by stage"
            " and in order.",
            json_schema_extra=list_type(),
        ),
    ] = ()
    history: Annotated[
        tuple[HistoryEntry, ...],
        Field(
            max_length=50,
            description="The last 50 changes, oldest first.",
            json_schema_extra=list_type(),
        ),
    ] = ()
    record: Annotated[
        RecordStatus | None, Field(description="How much of the history is stored in S3.")
    ] = None
    summary: Annotated[
        str, Field(max_length=512, description="Stages and their versions in one line.")
    ] = ""

    @property
    def in_use(self) -> dict[str, str]:
        """Versions that are effective, candidate or kept for a rollback, each with one stage."""
        found: dict[str, str] = {}
        for name, stage in self.stages.items():
            versions = (
                stage.version,
                *(each.version for each in (stage.candidate, stage.kept) if each is not None),
            )
            found |= {version: name for version in versions if version is not None}
        return found
