"""Column names and booleans of a CSV file are read as in pandas."""

import csv
import io
import random

import pandas as pd
import pytest

from modelyard.api.csv_texts import booleans, column_names

NAMES = ["a", "a.1", "a.2", "b", "", "Unnamed: 0", "Unnamed: 1", "a.1.1", "Unnamed: 0.1"]


def read(*rows: list[str]) -> pd.DataFrame:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return pd.read_csv(io.StringIO(text.getvalue()))


@pytest.mark.parametrize("seed", range(50))
def test_columns_have_the_names_that_pandas_gives_them(seed: int):
    chance = random.Random(seed)
    for _ in range(10):
        head = [chance.choice(NAMES) for _ in range(chance.randint(2, 7))]
        assert column_names(head) == list(read(head, ["1"] * len(head)).columns), head


def test_many_repetitions_of_a_name_take_linear_time():
    many = ["a"] * 100_000 + [f"a.{number}" for number in range(100_000)]
    assert len(set(column_names(many))) == len(many)


TRUTHS = [["True", "FALSE", "true", "tRue"], ["True", "1"], ["true", "yes"], ["0", "1"]]


@pytest.mark.parametrize("texts", TRUTHS)
def test_a_column_is_one_of_booleans_where_pandas_says_so(texts: list[str]):
    theirs = read(["a"], *([text] for text in texts))["a"]
    assert booleans(texts) == (theirs.tolist() if theirs.dtype == bool else None)
    assert booleans([None, "True"]) == [None, True]
    assert booleans([None]) is None
