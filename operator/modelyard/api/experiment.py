"""Experiment: an MLflow experiment, its prefix in S3, and the retention of its runs."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from modelyard.api.base import DeletionPolicy, Duration, Name, Resource, Schema, Status, Tags
from modelyard.api.rules import metric_name, mlflow_text, rules

__all__ = [
    "Artifacts",
    "BestRun",
    "Experiment",
    "ExperimentReason",
    "ExperimentSpec",
    "ExperimentStatus",
    "MlflowExperiment",
    "Objective",
    "Retention",
    "RunCounts",
]


class ExperimentReason(StrEnum):
    """Why an Experiment is or is not Ready."""

    SYNCED = "Synced"
    """MLflow and the bucket agree with the spec."""
    RETAINING = "Retaining"
    """Runs past their retention are being soft-deleted; the experiment can be used meanwhile."""
    NAME_TAKEN = "NameTaken"
    """MLflow has an experiment of this name that another client created."""
    CONNECTION_MISSING = "ConnectionMissing"
    """The namespace has no usable Secret modelyard-connection."""
    CONNECTION_REFUSED = "ConnectionRefused"
    """MLflow or S3 refuses the credentials."""
    MLFLOW_UNAVAILABLE = "MLflowUnavailable"
    """MLflow does not answer."""
    STORE_UNAVAILABLE = "StoreUnavailable"
    """S3 does not answer."""
    REQUEST_REFUSED = "RequestRefused"
    """MLflow or S3 understood a request and refused it; the message says which."""


class Objective(Schema):
    """The metric by which runs are compared."""

    metric: Annotated[
        str,
        Field(
            min_length=1,
            max_length=250,
            description="Name of the metric in MLflow, such as validation.error_at_0.7.",
            json_schema_extra=rules(*metric_name()),
        ),
    ]
    goal: Annotated[
        Literal["Maximize", "Minimize"],
        Field(description="Maximize: a larger value is better. Minimize: a smaller one."),
    ] = "Maximize"


class Retention(Schema):
    """Which runs are soft-deleted. Runs that a model version came from and runs that have not ended
    are always kept.
    """

    runs: Annotated[
        Duration,
        Field(description="Time after its end at which a run is soft-deleted, such as 90d."),
    ]
    keep_best: Annotated[
        int,
        Field(
            ge=0,
            le=1000,
            description="How many runs are kept whatever their age: the best ones by"
            " spec.objective, or without an objective the newest ones.",
        ),
    ] = 0


class ExperimentSpec(Schema):
    """Desired state of an experiment."""

    description: Annotated[
        str,
        Field(
            max_length=5000,
            description="Shown as the experiment's note in MLflow.",
            json_schema_extra=rules(mlflow_text()),
        ),
    ] = ""
    tags: Annotated[
        Tags,
        Field(description="Tags of the MLflow experiment. Tags that others set there are kept."),
    ] = Field(default_factory=dict)
    objective: Annotated[
        Objective | None,
        Field(description="How runs are compared; the status then names the best one."),
    ] = None
    retention: Annotated[
        Retention | None, Field(description="How long runs are kept. Absent: all runs are kept.")
    ] = None
    deletion_policy: Annotated[
        DeletionPolicy,
        Field(
            description="Delete: soft-delete the MLflow experiment with this object (requires the"
            " verb purge). Retain: leave it."
        ),
    ] = DeletionPolicy.RETAIN


class MlflowExperiment(Schema):
    """The experiment in MLflow."""

    id: Annotated[str, Field(max_length=64, description="MLflow's id.")]
    name: Annotated[str, Field(max_length=256, description="Its name in MLflow: namespace/name.")]
    url: Annotated[str, Field(max_length=2048, description="Its page in MLflow.")]


class Artifacts(Schema):
    """The objects in S3, counted at every resync."""

    uri: Annotated[str, Field(max_length=1024, description="The experiment's prefix.")]
    objects: Annotated[
        int,
        Field(
            ge=0,
            description="Number of objects below it.",
            json_schema_extra={"format": "int64"},
        ),
    ] = 0
    bytes: Annotated[
        int, Field(ge=0, description="Their size in bytes.", json_schema_extra={"format": "int64"})
    ] = 0
    at_least: Annotated[
        bool | None,
        Field(description="True: counting stopped after a million objects, and there are more."),
    ] = None


class RunCounts(Schema):
    """MLflow runs by state, among the newest 1000, or fewer if MLflow's answers are very large."""

    running: Annotated[int, Field(ge=0, description="Running or scheduled.")] = 0
    finished: Annotated[int, Field(ge=0, description="Finished successfully.")] = 0
    failed: Annotated[int, Field(ge=0, description="Failed or killed.")] = 0
    deleted: Annotated[
        int, Field(ge=0, description="Soft-deleted; they can be restored until they are purged.")
    ] = 0
    at_least: Annotated[
        bool | None, Field(description="True: there are more runs than were counted.")
    ] = None


class BestRun(Schema):
    """The best finished run by spec.objective."""

    training_run: Annotated[
        Name | None, Field(description="The TrainingRun that it came from, if it came from one.")
    ] = None
    run_id: Annotated[str, Field(max_length=64, description="MLflow's run id.")]
    metric: Annotated[str, Field(max_length=250, description="The objective's metric.")]
    value: Annotated[str, Field(max_length=32, description="Its value.")]


class ExperimentStatus(Status):
    """Observed state of an experiment."""

    mlflow: Annotated[MlflowExperiment | None, Field(description="The experiment in MLflow.")] = (
        None
    )
    artifacts: Annotated[Artifacts | None, Field(description="Its objects in S3.")] = None
    runs: Annotated[RunCounts | None, Field(description="MLflow runs by state.")] = None
    best_run: Annotated[BestRun | None, Field(description="The best run by spec.objective.")] = None


class Experiment(Resource[ExperimentSpec, ExperimentStatus]):
    """An experiment in MLflow, its prefix in S3, and the retention of its runs."""

    KIND: ClassVar[str] = "Experiment"
    PLURAL: ClassVar[str] = "experiments"
