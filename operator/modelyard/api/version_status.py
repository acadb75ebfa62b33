"""Versions in the status of a RegisteredModel."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from modelyard.api.base import Name, Schema
from modelyard.api.blocker import VersionBlocker
from modelyard.api.history import RUNTIME_IMAGE, ModelRuntime
from modelyard.api.rules import list_type

__all__ = [
    "HeldStage",
    "KnownVersion",
    "OperatorRuntime",
    "PreviousVersion",
    "ServedVersion",
    "VersionStatus",
]


class OperatorRuntime(Schema):
    """The runtime that the operator gives a version that is promoted or refreshed now."""

    image: Annotated[str, Field(max_length=RUNTIME_IMAGE, description="Image of the model server.")]
    revision: Annotated[int, Field(ge=0, le=9999, description="Revision of the pod template.")]

    def serves(self, runtime: ModelRuntime) -> bool:
        """Tell whether a stage's runtime is this one."""
        return (self.image, self.revision) == (runtime.image, runtime.revision)


class ServedVersion(Schema):
    """The subject of a promotion: a version, its artifacts' digest, and its runtime."""

    version: Annotated[Name, Field(description="The version.")]
    digest: Annotated[str, Field(max_length=71, description="Digest of its artifact tree.")]
    runtime: Annotated[ModelRuntime, Field(description="The runtime that serves it.")]


class PreviousVersion(ServedVersion):
    """The version that the last switch of a stage replaced."""

    until_time: Annotated[
        datetime | None,
        Field(
            description="Until when its pods are kept, so that it can be restored at once"
            " (`rollback.window`); absent without a window, and after it."
        ),
    ] = None

    @property
    def served(self) -> ServedVersion:
        """The same version without its `until_time`."""
        return ServedVersion(version=self.version, digest=self.digest, runtime=self.runtime)

    @classmethod
    def of(cls, what: ServedVersion, until_time: datetime | None = None) -> Self:
        """Return the previous version that a switch of the effective one leaves."""
        return cls(
            version=what.version, digest=what.digest, runtime=what.runtime, until_time=until_time
        )


class HeldStage(Schema):
    """A stage in which a version is or was effective; only the latest period of each stage."""

    stage: Annotated[str, Field(max_length=30, description="The stage.")]
    digest: Annotated[
        str | None, Field(max_length=71, description="Digest of the version's tree then.")
    ] = None
    since_time: Annotated[
        datetime,
        Field(
            description="When the version became effective, or passed its verification again after"
            " that had failed."
        ),
    ]
    until_time: Annotated[
        datetime | None,
        Field(description="When it stopped being effective; absent while it is."),
    ] = None
    verified: Annotated[
        bool | None,
        Field(
            description="Result of its latest verification in the stage (`reverify`). False: it"
            " does not count for the `from` and `soak` of other stages."
        ),
    ] = None


class VersionStatus(Schema):
    """A version: what the operator recorded before it registered it, and its state.

    This record, not MLflow's tags, decides which bytes a version has.
    """

    name: Annotated[Name, Field(description="Its name in the spec.")]
    mlflow_version: Annotated[
        str | None,
        Field(
            max_length=16,
            description="Its version number in MLflow; absent until it is registered.",
        ),
    ] = None
    run_id: Annotated[
        str | None, Field(max_length=64, description="The MLflow run that it came from.")
    ] = None
    training_run: Annotated[
        Name | None, Field(description="The TrainingRun that it came from.")
    ] = None
    logged_model: Annotated[
        str | None, Field(max_length=64, description="Id of its logged model in MLflow.")
    ] = None
    uri: Annotated[
        str | None, Field(max_length=500, description="Where its artifact tree is stored.")
    ] = None
    digest: Annotated[
        str | None,
        Field(max_length=71, description="Digest of the tree, recorded before registration."),
    ] = None
    listing_digest: Annotated[
        str | None,
        Field(
            max_length=71,
            description="SHA-256 over paths, sizes and ETags of the listing; changes when any"
            " object changes.",
        ),
    ] = None
    bytes: Annotated[
        int | None,
        Field(ge=0, description="Size of the tree.", json_schema_extra={"format": "int64"}),
    ] = None
    flavor: Annotated[
        str | None, Field(max_length=64, description="Its MLflow flavour, such as xgboost.")
    ] = None
    signature: Annotated[
        str | None, Field(max_length=184, description="Its inputs and outputs, in short.")
    ] = None
    registered_time: Annotated[datetime | None, Field(description="When it was registered.")] = None
    registrar: Annotated[
        str | None,
        Field(
            max_length=8,
            description="First eight hex digits of the SHA-256 of registeredBy, as it was"
            " declared.",
        ),
    ] = None
    held: Annotated[
        tuple[HeldStage, ...],
        Field(
            max_length=4,
            description="Stages in which it is effective, and those in which it was effective"
            " last.",
            json_schema_extra=list_type("stage"),
        ),
    ] = ()
    held_by: Annotated[
        str | None,
        Field(
            max_length=76,
            description="The declaration that reserves the name until the version is recorded:"
            " the uid of a TrainingRun, trainingruns/<name> of one that does not exist yet, or a"
            " hash of the source in spec.versions.",
        ),
    ] = None
    blocked: Annotated[
        VersionBlocker | None, Field(description="Why it is not registered or must not be served.")
    ] = None

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages in which it is effective now."""
        return tuple(held.stage for held in self.held if held.until_time is None)


class KnownVersion(Schema):
    """An older version, of which only name, digest and number are kept."""

    name: Annotated[Name, Field(description="Its name.")]
    digest: Annotated[str, Field(max_length=71, description="Digest of its artifact tree.")]
    mlflow_version: Annotated[
        str | None, Field(max_length=16, description="Its version number in MLflow.")
    ] = None
