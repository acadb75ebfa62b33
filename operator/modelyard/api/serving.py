"""How a stage of a RegisteredModel is served."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, WithJsonSchema

from modelyard.api.base import Schema
from modelyard.api.pods import Labels, Resources, Toleration
from modelyard.api.rules import list_type, rule, rules

__all__ = ["Autoscaling", "BodyBytes", "RuntimeUpdate", "Serving", "ServingRuntime"]


class Autoscaling(Schema):
    """A HorizontalPodAutoscaler on CPU."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            rule(
                "self.minReplicas <= self.maxReplicas",
                "minReplicas must not be greater than maxReplicas",
            )
        )
    }

    min_replicas: Annotated[int, Field(ge=1, le=1000, description="Minimum number of pods.")] = 1
    max_replicas: Annotated[int, Field(ge=1, le=1000, description="Maximum number of pods.")]
    target_cpu_utilization_percentage: Annotated[
        int,
        Field(
            alias="targetCPUUtilizationPercentage",
            ge=1,
            le=1000,
            description="Target CPU utilization, as a percentage of the CPU request.",
        ),
    ] = 80


class RuntimeUpdate(StrEnum):
    """When a stage gets the runtime image of a newer operator."""

    WITH_PROMOTION = "WithPromotion"
    ALWAYS = "Always"


BodyBytes = Annotated[
    int | str,
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "maxLength": 16,
            "pattern": r"^[1-9][0-9]*(k|M|G|Ki|Mi|Gi)?$",
        }
    ),
]


class ServingRuntime(Schema):
    """How the model server runs."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            rule(
                "!has(self.maxBodyBytes) || type(self.maxBodyBytes) != int"
                " || self.maxBodyBytes > 0",
                "write a number of bytes for maxBodyBytes, such as 8Mi",
            )
        )
    }

    workers: Annotated[
        int, Field(ge=1, le=64, description="Number of server processes in each pod.")
    ] = 1
    max_body_bytes: Annotated[
        BodyBytes | None,
        Field(
            description="Largest uncompressed body of a request, such as 8Mi; a larger one is"
            " answered with 413. Absent: a sixteenth of the memory of a process, but at most"
            " 64Mi. A quarter of that memory is the limit in any case."
        ),
    ] = None
    timeout: Annotated[
        str | None,
        Field(
            max_length=5,
            pattern=r"^[1-9][0-9]{0,3}(s|m)$",
            description="Time limit for receiving a request's body (else 408), for its prediction"
            " (else 503), and for sending the answer. Absent: 60s.",
        ),
    ] = None
    update: Annotated[
        RuntimeUpdate,
        Field(
            description="When the stage gets the runtime image of a newer operator."
            " WithPromotion: with the next version, or when `attempt` is raised (modelyard"
            " refresh). Always: at once, which replaces the stage's pods."
        ),
    ] = RuntimeUpdate.WITH_PROMOTION


class Serving(Schema):
    """How a stage is served."""

    replicas: Annotated[
        int,
        Field(
            ge=0,
            le=1000,
            description="Number of pods. 0: versions are promoted in MLflow, but"
            " nothing is served.",
        ),
    ] = 1
    autoscaling: Annotated[
        Autoscaling | None,
        Field(description="Scale between two numbers of pods, instead of `replicas`."),
    ] = None
    resources: Annotated[
        Resources,
        Field(
            description="Resources of the model server, and of the init container that fetches"
            " the model."
        ),
    ] = Field(default_factory=Resources)
    runtime: Annotated[ServingRuntime, Field(description="How the model server runs.")] = Field(
        default_factory=ServingRuntime
    )
    node_selector: Annotated[Labels, Field(description="Labels that the node must have.")] = Field(
        default_factory=dict
    )
    tolerations: Annotated[
        tuple[Toleration, ...],
        Field(
            max_length=16,
            description="Taints that the pods tolerate.",
            json_schema_extra=list_type(),
        ),
    ] = ()
