"""A version that `spec.versions` of a RegisteredModel declares."""

from typing import Annotated

from pydantic import Field

from modelyard.api.artifacts import KEPT
from modelyard.api.base import Name, Schema, Tags, UserName
from modelyard.api.rules import exactly_one, rule, rules
from modelyard.api.version_status import VersionStatus

__all__ = ["ModelVersionSpec"]


class ModelVersionSpec(Schema):
    """The source of a version: exactly one of the fields `trainingRun`, `runId` and `uri`."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            exactly_one(
                ("trainingRun", "runId", "uri"),
                "name exactly one source: trainingRun, runId or uri",
            ),
            rule(
                "!has(self.path) || has(self.runId)",
                "path needs runId: it is the model's artifact path in that run",
            ),
        )
    }

    training_run: Annotated[Name | None, Field(description="A TrainingRun in this namespace.")] = (
        None
    )
    run_id: Annotated[
        str | None,
        Field(
            min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_-]+$", description="An MLflow run."
        ),
    ] = None
    path: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=256,
            pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$",
            description="The model's name or path in that run; model if absent.",
        ),
    ] = None
    uri: Annotated[
        str | None,
        Field(
            min_length=6,
            max_length=500,
            pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^%?#]+$",
            description="An artifact tree in S3, with an MLmodel file.",
            json_schema_extra=rules(
                rule(
                    f"!self.contains('/{KEPT}/')",
                    f"{KEPT}/ is reserved for what the operator stores, such as histories: name"
                    " another folder",
                )
            ),
        ),
    ] = None
    tags: Annotated[Tags, Field(description="Tags of the version in MLflow.")] = Field(
        default_factory=dict
    )
    registered_by: Annotated[
        UserName | None,
        Field(
            description="The user who declares the version, which must be the user who sends the"
            " request. Their own approval of it does not count. Accounts in the chart's"
            " policies.requesterAccounts may name another user."
        ),
    ] = None

    def contradicts(self, recorded: VersionStatus) -> bool:
        """Tell whether a recorded version came from another source than this one.

        Two artifact paths of one run are not distinguished: the record has no path.
        """
        if self.training_run is not None:
            return self.training_run != recorded.training_run
        if self.run_id is not None:
            return self.run_id != recorded.run_id
        return (self.uri or "").rstrip("/") != (recorded.uri or "").rstrip("/")
