"""What a user may ask of a pod, the same for training and serving: resources, the labels of its node, taints that it tolerates."""

from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema

from modelyard.api.base import Schema

__all__ = ["Labels", "Quantity", "Resources", "Toleration"]

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
        Field(max_length=16, description="What it is given at least. Absent: 250m of a processor and 512Mi of memory."),
    ] = Field(default_factory=dict)
    limits: Annotated[
        dict[str, Quantity],
        Field(
            max_length=16,
            description="What it gets at most. Absent: 2Gi of memory, or as much as it requests. ephemeral-storage is also"
            " the size of each folder that the pod may write to.",
        ),
    ] = Field(default_factory=dict)


class Toleration(Schema):
    """A taint that the pod tolerates, as in a pod."""

    key: Annotated[str | None, Field(max_length=317, description="The taint's key; all if absent.")] = None
    operator: Annotated[Literal["Exists", "Equal"], Field(description="Equal: the value is the taint's. Exists: whatever it is.")] = "Equal"
    value: Annotated[str | None, Field(max_length=63, description="The taint's value.")] = None
    effect: Annotated[
        Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None,
        Field(description="The effect: NoSchedule, PreferNoSchedule or NoExecute; all if absent."),
    ] = None
