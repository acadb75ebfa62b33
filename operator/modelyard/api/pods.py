"""Pod settings of training, serving and gates: image, resources, node labels, tolerations."""

from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema

from modelyard.api.base import Schema
from modelyard.api.rules import list_type, rule, rules

__all__ = ["Argument", "Container", "Labels", "Quantity", "Resources", "Toleration", "Variable"]

Argument = Annotated[str, Field(max_length=4096)]

Quantity = Annotated[
    int | str,
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "maxLength": 32,
            "pattern": r"^[0-9]+([.][0-9]+)?([eE][-+]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?$",
        }
    ),
]
Label = Annotated[str, Field(max_length=63)]
Labels = Annotated[dict[str, Label], Field(max_length=32)]


class Resources(Schema):
    """Resources of a container, as in a pod."""

    requests: Annotated[
        dict[str, Quantity],
        Field(
            max_length=16,
            description="Guaranteed resources. Absent: 250m of a CPU and 512Mi of memory.",
        ),
    ] = Field(default_factory=dict)
    limits: Annotated[
        dict[str, Quantity],
        Field(
            max_length=16,
            description="Greatest resources. Absent: 2Gi of memory, or what is requested if that"
            " is more. ephemeral-storage is also the size of each folder that the pod may write"
            " to.",
        ),
    ] = Field(default_factory=dict)


class Toleration(Schema):
    """A taint that the pod tolerates, as in a pod."""

    key: Annotated[
        str | None, Field(max_length=317, description="The taint's key. Absent: all keys.")
    ] = None
    operator: Annotated[
        Literal["Exists", "Equal"],
        Field(description="Equal: the taint has this value. Exists: any value."),
    ] = "Equal"
    value: Annotated[str | None, Field(max_length=63, description="The taint's value.")] = None
    effect: Annotated[
        Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None,
        Field(
            description="The effect: NoSchedule, PreferNoSchedule or NoExecute. Absent: all"
            " effects."
        ),
    ] = None


class Container(Schema):
    """A container from any image."""

    image: Annotated[
        str,
        Field(
            min_length=1,
            max_length=512,
            description="The image. Name it by digest to always get the same one.",
        ),
    ]
    command: Annotated[
        tuple[Argument, ...],
        Field(max_length=64, description="Its entry point.", json_schema_extra=list_type()),
    ] = ()
    args: Annotated[
        tuple[Argument, ...],
        Field(max_length=256, description="Its arguments.", json_schema_extra=list_type()),
    ] = ()


class Variable(Schema):
    """An environment variable of a container."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=128,
            pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
            description="Its name.",
            json_schema_extra=rules(
                rule(
                    "!self.startsWith('MODELYARD_')",
                    "names that begin with MODELYARD_ are reserved: write another name",
                )
            ),
        ),
    ]
    value: Annotated[
        str,
        Field(
            max_length=1024,
            description="Its literal value: references to other variables are not expanded.",
        ),
    ] = ""
