"""The model's input types for CSV texts, columns without values and rows without names."""

import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from modelyard.client import predict, typed

DECLARED = json.dumps(
    {
        "inputs": [
            {"name": "zip", "datatype": "BYTES", "shape": [-1]},
            {"name": "size", "datatype": "FP64", "shape": [-1]},
            {"name": "age", "datatype": "INT64", "shape": [-1]},
            {"name": "member", "datatype": "BOOL", "shape": [-1]},
        ]
    }
).encode()
NAMES = ("zip", "size", "age", "member")


def test_texts_get_the_declared_types_or_else_lossless_ones():
    given = predict.Table(
        NAMES, (("01234", "7", "042", "True"), ("NA", "", "1.5", "0")), written=True
    )
    known = typed.typed(given, typed.inputs(DECLARED))
    assert known.rows == (("01234", 7.0, 42, True), (None, None, 1.5, False))
    assert [type(value) for value in known.rows[0]] == [str, float, int, bool]
    guessed = typed.typed(given, typed.inputs(b'{"inputs": []}'))
    assert guessed.rows == (("01234", 7, "042", "True"), (None, None, "1.5", "0"))
    truths = typed.typed(
        predict.Table(("size", "age"), (("True", " FALSE "), ("", "true")), written=True),
        typed.inputs(DECLARED),
    )
    assert truths.rows == ((True, False), (None, True))
    wrong = predict.Table(NAMES, (("x", "1_000", "1", "yes"),), written=True)
    with pytest.raises(ValueError, match=r"column size expects FP64; row 1 has '1_000'"):
        typed.typed(wrong, typed.inputs(DECLARED))


def test_the_server_is_asked_for_types_only_if_the_values_are_ambiguous():
    clear = [[[1, 2.5]], {"a": [1], "b": ["x"]}, {"a": [None, "x"]}]
    assert not any(typed.unclear(predict.table(data)) for data in clear)
    open_ = [[[1, "x"]], {"a": [1], "b": [None]}, predict.Table(("a",), (("1",),), written=True)]
    assert all(typed.unclear(predict.table(data)) for data in open_)


def test_a_column_without_a_value_and_mixed_rows_have_the_declared_types():
    declared = typed.inputs(DECLARED)
    given = typed.typed(predict.table({"zip": [None], "age": [None]}), declared)
    found = {each["name"]: each["datatype"] for each in predict.request("v2", given)["inputs"]}
    assert found == {"zip": "BYTES", "age": "FP64"}
    assert typed.typed(predict.table([["x", 1.5, 2, True]]), declared).names == NAMES


@pytest.mark.parametrize("body", [b"", b"[]", b'{"inputs": 3}', b'{"inputs": [{"name": "x"}]}'])
def test_invalid_metadata_declares_no_inputs(body: bytes):
    assert typed.inputs(body) == ()


def test_values_of_databases_and_arrays_are_converted_for_the_protocols():
    given = {
        "price": [Decimal("1.5"), None],
        "key": [b"hi", b""],
        "list": [np.array([1, 2]), [np.int64(3)]],
    }
    days = {"day": np.array(["2026-01-01", "NaT"], dtype="datetime64[ns]")}
    assert predict.table(pd.DataFrame(given)).rows == ((1.5, "aGk=", [1, 2]), (None, "", [3]))
    assert predict.table(days).rows == (("2026-01-01T00:00:00",), (None,))
    with pytest.raises(ValueError, match="JSON cannot represent a complex"):
        predict.table([[1j]])


@pytest.mark.parametrize("data", [pd.DataFrame([[1, 2]], columns=["a", "a"]), {1: [1], "1": [2]}])
def test_two_columns_of_one_name_are_a_value_error(data: object):
    with pytest.raises(ValueError, match=r"several columns [a1]; give each"):
        predict.table(data)
