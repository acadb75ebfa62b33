"""The generator fails on keywords that a CRD does not support, instead of dropping them."""

from typing import Annotated, Literal

import pytest
from pydantic import Field

from modelyard.api.base import Schema
from modelyard.api.rules import rule, rules
from modelyard.api.structural import structural


class Part(Schema):
    """A part."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(rule("has(self.some_name)", "say its name, for it has none"))
    }

    some_name: Annotated[str, Field(max_length=10, description="Its name.")] = ""


class Whole(Schema):
    """A whole."""

    part: Annotated[
        Part | None,
        Field(
            description="One of it.",
            json_schema_extra=rules(rule("true", "this is never said at all")),
        ),
    ] = None
    kind: Annotated[Literal["One"], Field(description="One.")] = "One"
    count: Annotated[int, Field(ge=0, le=5, description="How many.")] = 0
    size: Annotated[int | None, Field(ge=0, description="How large.")] = None
    names: Annotated[
        dict[str, Annotated[str, Field(max_length=3)]], Field(max_length=2, description="By name.")
    ] = Field(default_factory=dict)


class Float(Schema):
    value: float


class Either(Schema):
    value: int | str


class Unknown(Schema):
    value: Annotated[int, Field(multiple_of=3)]


class Pattern(Schema):
    value: Annotated[str, Field(pattern="^nobody has explained this$")]


def test_references_are_inlined_and_null_is_removed():
    schema = structural(Whole, written=True)
    assert schema["properties"]["part"] == {
        "description": "One of it.",
        "type": "object",
        "properties": {"someName": {"description": "Its name.", "type": "string", "maxLength": 10}},
        "x-kubernetes-validations": [
            {"rule": "has(self.some_name)", "message": "say its name, for it has none"},
            {"rule": "true", "message": "this is never said at all"},
        ],
    }
    assert schema["properties"]["kind"] == {
        "description": "One.",
        "type": "string",
        "enum": ["One"],
        "default": "One",
    }
    assert schema["properties"]["count"] == {
        "description": "How many.",
        "type": "integer",
        "format": "int32",
        "default": 0,
        "maximum": 5,
        "minimum": 0,
    }
    assert schema["properties"]["size"] == {
        "description": "How large.",
        "type": "integer",
        "format": "int64",
        "minimum": 0,
    }
    assert schema["properties"]["names"]["additionalProperties"] == {
        "type": "string",
        "maxLength": 3,
    }
    assert "default" not in schema["properties"]["names"]


def test_a_status_has_no_defaults():
    schema = structural(Whole, written=False)
    assert not [name for name, field in schema["properties"].items() if "default" in field]


@pytest.mark.parametrize(
    ("model", "error", "words"),
    [
        (Float, TypeError, "Float.value: is a float"),
        (Either, TypeError, "Either.value: is one of 2 types"),
        (Unknown, TypeError, "Unknown.value: a CRD cannot say multipleOf"),
        (Pattern, KeyError, "nobody has explained this"),
    ],
)
def test_an_unsupported_keyword_stops_the_generator(
    model: type[Schema], error: type[Exception], words: str
):
    with pytest.raises(error, match=words):
        structural(model, written=True)
