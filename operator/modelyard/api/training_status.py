"""The status of a TrainingRun: its progress and its results."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from modelyard.api.base import Name, Schema, Status
from modelyard.api.rules import list_type

__all__ = [
    "CANDIDATES",
    "PARAMETERS",
    "PARAMETER_NAME",
    "PARAMETER_VALUE",
    "DatasetStatus",
    "Failure",
    "Metric",
    "MlflowRun",
    "ModelArtifact",
    "ObjectiveStatus",
    "Progress",
    "Registered",
    "TrainingRunStatus",
    "shortened",
]


class MlflowRun(Schema):
    """The run of the current attempt."""

    run_id: Annotated[str, Field(max_length=64, description="MLflow's run id.")]
    experiment_id: Annotated[str, Field(max_length=64, description="MLflow's experiment id.")]
    url: Annotated[str, Field(max_length=2048, description="Its page in MLflow.")]


class Metric(Schema):
    """The newest value of a metric."""

    name: Annotated[str, Field(max_length=250, description="Its name in MLflow.")]
    value: Annotated[str, Field(max_length=32, description="Its newest value.")]


class Progress(Schema):
    """Progress of the run, from the metric modelyard.progress (0 to 100). The built-in trainer logs
    it, and any script can.
    """

    percent: Annotated[int, Field(ge=0, le=100, description="Percentage that is done.")]
    eta_seconds: Annotated[
        int | None, Field(ge=0, description="Estimated seconds to the end, at the current pace.")
    ] = None
    message: Annotated[str, Field(max_length=256, description="The same in words.")] = ""


class DatasetStatus(Schema):
    """The dataset as it was read."""

    digest: Annotated[str, Field(max_length=71, description="sha256 of its bytes.")]
    rows: Annotated[
        int, Field(ge=0, description="Number of rows.", json_schema_extra={"format": "int64"})
    ]


class ObjectiveStatus(Schema):
    """The objective of the Experiment when the training began."""

    metric: Annotated[str, Field(max_length=250, description="Name of the metric in MLflow.")]
    goal: Annotated[
        Literal["Maximize", "Minimize"],
        Field(description="Maximize: a larger value is better. Minimize: a smaller one."),
    ]


class ModelArtifact(Schema):
    """The model that the run logged."""

    uri: Annotated[str, Field(max_length=1024, description="Where its artifact tree is stored.")]
    digest: Annotated[str, Field(max_length=71, description="Digest of the tree.")]
    bytes: Annotated[
        int, Field(ge=0, description="Size of the tree.", json_schema_extra={"format": "int64"})
    ]
    flavor: Annotated[
        str, Field(max_length=64, description="Its MLflow flavour, such as xgboost.")
    ] = ""
    listing_digest: Annotated[
        str | None,
        Field(
            max_length=71,
            description="SHA-256 over paths, sizes and ETags of the listing; changes when any"
            " object changes.",
        ),
    ] = None


class Registered(Schema):
    """The version that the model became."""

    model: Annotated[Name, Field(description="The RegisteredModel.")]
    version: Annotated[Name, Field(description="The version.")]


class Failure(Schema):
    """Why the last attempt failed."""

    attempt: Annotated[int, Field(ge=1, description="The attempt that failed.")] = 1
    reason: Annotated[str, Field(max_length=63, description="Why, as one CamelCase word.")]
    message: Annotated[str, Field(max_length=2048, description="What happened.")]
    exit_code: Annotated[int | None, Field(description="The container's exit code.")] = None
    log: Annotated[
        str, Field(max_length=4096, description="The last lines of the failing container.")
    ] = ""


CANDIDATES = 8
"""Greatest number of models in `candidates`."""
PARAMETERS = 256
"""Greatest number of parameters in a status."""
PARAMETER_NAME = 250
"""Greatest length of a parameter's name in characters, as in MLflow."""
PARAMETER_VALUE = 1024
"""Greatest length of a parameter's value in a status, in characters."""


def shortened(value: str) -> str:
    """Return a parameter's value as the status holds it.

    A long one is cut and ends with how much is missing.
    """
    if len(value) <= PARAMETER_VALUE:
        return value
    kept = PARAMETER_VALUE - 40
    return f"{value[:kept]}... and {len(value) - kept} more characters"


class TrainingRunStatus(Status):
    """Progress and results of the run."""

    mlflow: Annotated[
        MlflowRun | None, Field(description="The MLflow run of the current attempt.")
    ] = None
    attempt: Annotated[
        int, Field(ge=0, description="The current or latest attempt, counted from 1.")
    ] = 0
    job: Annotated[str | None, Field(max_length=63, description="Name of its Job.")] = None
    job_uid: Annotated[
        str | None,
        Field(
            alias="jobUID",
            max_length=64,
            description="The uid of its Job; another Job of the same name is ignored.",
        ),
    ] = None
    parameters: Annotated[
        dict[str, Annotated[str, Field(max_length=PARAMETER_VALUE)]],
        Field(
            max_length=PARAMETERS,
            description="Parameters as logged in MLflow; long values are shortened and marked as"
            " such.",
        ),
    ] = Field(default_factory=dict)
    omitted_parameters: Annotated[
        int | None,
        Field(ge=0, description="Number of parameters in MLflow that do not fit here."),
    ] = None
    metrics: Annotated[
        tuple[Metric, ...],
        Field(
            max_length=32,
            description="The newest values of its metrics.",
            json_schema_extra=list_type("name"),
        ),
    ] = ()
    progress: Annotated[Progress | None, Field(description="Progress of the run.")] = None
    dataset: Annotated[DatasetStatus | None, Field(description="The dataset as it was read.")] = (
        None
    )
    objective: Annotated[
        ObjectiveStatus | None,
        Field(
            description="The objective of its Experiment when the training began. A gate"
            " `incumbent` without a direction uses it, because the Experiment's objective may"
            " change later."
        ),
    ] = None
    model: Annotated[ModelArtifact | None, Field(description="The model that it logged.")] = None
    candidates: Annotated[
        tuple[Annotated[str, Field(max_length=320)], ...],
        Field(
            max_length=CANDIDATES,
            description="Models that it logged at the same moment, none of them named model, so"
            " the run's model is ambiguous.",
            json_schema_extra=list_type(),
        ),
    ] = ()
    registered: Annotated[
        Registered | None, Field(description="The version as which the model was registered.")
    ] = None
    start_time: Annotated[datetime | None, Field(description="When the first attempt started.")] = (
        None
    )
    completion_time: Annotated[
        datetime | None, Field(description="When it ended, with or without success.")
    ] = None
    failure: Annotated[Failure | None, Field(description="Why the last attempt failed.")] = None
