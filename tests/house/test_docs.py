"""The generated pages of docs/: reasons are explained where they are defined, and no field of a
kind is left out.
"""

from enum import StrEnum

import pytest

from modelyard.api.conditions import EngineReason
from modelyard.api.kinds import KINDS, Kind
from modelyard.api.schema import crd
from modelyard.docs import Explained, explained, files, kinds
from tests.house.api_lint import fields


class Sample(StrEnum):
    """Why."""

    FIRST = "First"
    """It is the first
    of two.

    Make another.
    """
    SECOND = "Second"
    """It is the second."""


class Silent(StrEnum):
    """Why."""

    FIRST = "First"
    """It is the first."""
    SECOND = "Second"


def test_meaning_and_remedy_are_the_paragraphs_of_the_docstring():
    assert explained(Sample) == [
        Explained("First", "It is the first of two.", "Make another."),
        Explained("Second", "It is the second."),
    ]


def test_a_reason_without_a_docstring_stops_the_generator():
    with pytest.raises(ValueError, match="Silent: SECOND has no docstring"):
        explained(Silent)


@pytest.mark.parametrize(
    "reasons",
    [EngineReason, *(kind.reasons for kind in KINDS)],
    ids=lambda reasons: reasons.__name__,
)
def test_every_reason_is_one_camel_case_word_and_is_on_the_page(reasons: type[StrEnum]):
    page = files()["docs/conditions.md"]
    for row in explained(reasons):
        assert row.reason.isalnum()
        assert row.reason[0].isupper()
        assert row.meaning.endswith(".")
        assert f"| `{row.reason}` | {row.meaning} |" in page


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.resource.KIND)
def test_no_field_of_a_kind_is_left_out(kind: Kind):
    (version,) = crd(kind)["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    named = [
        each.path.replace(".*", ".<name>")
        for each in fields(schema)
        if each.name not in ("*", "[]") and "." in each.path
    ]
    page = files()[f"docs/reference/{kinds.name(kind)}.md"]
    sections = {part.partition("`")[0]: part for part in page.split("\n### `")[1:]}
    assert len(named) > 12
    for path in named:
        if path.startswith(("spec.", "status.")):
            where, _, field = path.rpartition(".")
            assert f"\n| `{field}` |" in sections[where], path


def test_messages_of_rules_are_shown_with_their_fields():
    node = {
        "properties": {
            "names": {
                "description": "Names.",
                "type": "array",
                "items": {
                    "type": "string",
                    "x-kubernetes-validations": [
                        {"rule": "self", "message": "write <small> letters"}
                    ],
                },
            },
            "parts": {
                "type": "object",
                "additionalProperties": {
                    "description": "A part.",
                    "type": "object",
                    "required": ["size"],
                    "properties": {"size": {"type": "integer", "minimum": 1, "maximum": 3}},
                    "x-kubernetes-validations": [{"rule": "self", "message": "name one | two"}],
                },
            },
        }
    }
    whole, part = kinds.objects(node, "spec")
    assert (whole.path, part.path) == ("spec", "spec.parts.<name>")
    assert [(field.name, field.type, field.refused) for field in whole.fields] == [
        ("names", "list of string", ("write <small> letters",)),
        ("parts", "map of object", ()),
    ]
    assert part.refused == ("name one | two",)
    assert [(field.type, field.required) for field in part.fields] == [("integer, 1 to 3", True)]
