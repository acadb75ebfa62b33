"""Reasons are explained where they are defined."""

from enum import StrEnum

import pytest

from modelyard.docs import REASONS, Explained, explained, files


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


@pytest.mark.parametrize("reasons", [reasons for _, reasons, _ in REASONS], ids=lambda reasons: reasons.__name__)
def test_every_reason_is_one_camel_case_word_and_stands_on_the_page(reasons: type[StrEnum]):
    page = files()["docs/conditions.md"]
    for row in explained(reasons):
        assert row.reason.isalnum()
        assert row.reason[0].isupper()
        assert row.meaning.endswith(".")
        assert f"| `{row.reason}` | {row.meaning} |" in page
