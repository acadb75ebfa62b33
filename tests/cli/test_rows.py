"""Rows that `predict` reads, from JSON and CSV."""

from __future__ import annotations

import json
from typing import Any

import pytest
import typer

from modelyard.cli.commands.predict import rows
from modelyard.client.predict import Table


# --- predict, download ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[1, 2], [3, 4]]", [[1, 2], [3, 4]]),
        ("[1, 2]", [[1, 2]]),
        ('{"instances": [[1, 2]]}', [[1, 2]]),
        ('{"inputs": [[1, 2]]}', [[1, 2]]),
        ('{"dataframe_records": [{"a": 1}, {"a": 2}]}', {"a": [1, 2]}),
        (
            '{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3, 4]]}}',
            {"a": [1, 3], "b": [2, 4]},
        ),
        ('[{"a": 1, "b": 2}, {"b": 3}]', {"a": [1, None], "b": [2, 3]}),
        ('{"a": 1, "b": 2}', {"a": [1], "b": [2]}),
        ('{"a": [1, 2]}', {"a": [1, 2]}),
        ('{"dataframe_split": {"data": [[1, 2], [3, 4]]}}', [[1, 2], [3, 4]]),
    ],
)
def test_rows_of_json(text: str, expected: Any):
    assert rows(text) == expected


def test_rows_of_csv_are_texts():
    text = '\ufeffa,b\n01,"x\r\ny"\n\n2,\n'
    assert rows(text, as_csv=True) == Table(("a", "b"), (("01", "x\r\ny"), ("2", "")), written=True)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            'a,b\n"1\n2",3\n4\n',
            "The row that ends in line 4 of the CSV has 1 fields, but the header has 2",
        ),
        ('a\n"1', "Line 2 of the CSV: unexpected end of data"),
    ],
)
def test_invalid_csv_is_reported_with_its_place(text: str, why: str):
    with pytest.raises(typer.BadParameter, match=why):
        rows(text, as_csv=True)


def test_a_byte_order_mark_is_not_part_of_the_first_name():
    """Excel writes it at the beginning of a CSV in UTF-8."""
    found = rows("\ufeffa,b\n1,2\n", as_csv=True)
    assert isinstance(found, Table)
    assert found.names == ("a", "b")
    assert rows('\ufeff[{"a": 1}]') == {"a": [1]}


def test_csv_has_the_names_that_the_trainer_gives_its_columns():
    """As `DataFrame.to_csv` writes its index, and a table that was joined."""
    found = rows(",a,a\n0,1,2\n", as_csv=True)
    assert isinstance(found, Table)
    assert found.names == ("Unnamed: 0", "a", "a.1")


@pytest.mark.parametrize(
    ("split", "why"),
    [
        ({"columns": ["a"]}, "has no rows"),
        ({"columns": ["a"], "data": [1]}, "has no rows"),
        ({"columns": ["a", "b"], "data": [[1, 2], [1]]}, "one value per column in each row"),
        ({"columns": ["a", "a"], "data": [[1, 2]]}, "twice"),
    ],
)
def test_an_invalid_dataframe_split_is_reported(split: dict[str, Any], why: str):
    with pytest.raises(typer.BadParameter, match=why):
        rows(json.dumps({"dataframe_split": split}))


@pytest.mark.parametrize(
    ("text", "csv"),
    [("a,b", False), ("[]", False), ("3", False), ("a,b\n", True), ("a,b\n1\n", True)],
)
def test_input_without_rows_is_reported(text: str, csv: bool):
    with pytest.raises(typer.BadParameter):
        rows(text, as_csv=csv)


def test_a_v2_body_is_reported_with_the_accepted_forms():
    with pytest.raises(typer.BadParameter, match="V2"):
        rows('{"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1]}]}')
