"""Values and signatures without a server: conversions that the protocols' tests do not reach."""

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from modelyard_runtime.serve.signature import Column, Signature, Tensor, parse, v2_datatype
from modelyard_runtime.serve.v1 import dumps, plain
from modelyard_runtime.serve.values import (
    Columns,
    Matrix,
    Records,
    Refused,
    cast,
    columns_of,
    tensor_of,
)


def columns(*specs: dict) -> dict:
    return {"inputs": json.dumps(list(specs)), "outputs": None, "params": None}


def test_a_signature_is_read_as_mlflow_writes_it():
    raw = columns(
        {"type": "double", "name": "a", "required": False},
        {"type": "array", "items": {"type": "long"}, "name": "b"},
    )
    assert parse(raw) == Signature((Column("a", "double", required=False), Column("b", "any")), ())
    tensor = {"type": "tensor", "tensor-spec": {"dtype": "uint8", "shape": [-1, 28, 28]}}
    assert parse(columns(tensor)) == Signature((Tensor(None, "uint8", (-1, 28, 28)),), ())
    assert parse(None) is parse({"inputs": None, "outputs": "[]"}) is None
    assert parse(
        {
            **columns(tensor),
            "params": '[{"name": "k", "default": 1, "type": "long", "shape": null}]',
        }
    ).has_params


@pytest.mark.parametrize(
    "raw", [{"inputs": "{"}, {"inputs": "[1]"}, {"inputs": '[{"type": "tensor"}]'}, {"inputs": 3}]
)
def test_a_signature_of_another_form_is_refused(raw):
    with pytest.raises(ValueError, match=r"signature|Expecting"):
        parse(raw)


def test_columns_of_several_levels_are_refused_with_advice():
    """MLflow logs such a model but cannot predict with it, neither in its server nor without."""
    with pytest.raises(
        ValueError, match=r"\['a', 'x'\] names a column by several levels.*flat column names"
    ):
        parse(columns({"type": "double", "name": ["a", "x"]}))


def test_v2_has_a_name_for_every_type():
    types = ["boolean", "integer", "long", "float", "double", "string", "binary", "datetime", "any"]
    assert [v2_datatype(Column(None, each)) for each in types] == [
        "BOOL",
        "INT32",
        "INT64",
        "FP32",
        "FP64",
        *["BYTES"] * 4,
    ]
    assert [v2_datatype(Tensor(None, each, ())) for each in ("uint8", "float16", "str")] == [
        "UINT8",
        "FP16",
        "BYTES",
    ]


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("double", [1, 2.5, None], [1.0, 2.5, np.nan]),
        ("double", [True, 2], [1.0, 2.0]),
        ("double", [10**400, -(10**400), None], [np.inf, -np.inf, np.nan]),
        ("long", [2**62, -1], [2**62, -1]),
        ("long", [3.0], [3]),
        ("integer", np.array([7], np.uint8), [7]),
        ("boolean", [True, 0, 1.0], [True, False, True]),
        ("string", ["a", None], ["a", None]),
        ("binary", ["aGk="], [b"hi"]),
        ("any", [[1, 2], {"a": 1}], [[1, 2], {"a": 1}]),
        ("double", np.array([[1.0], [2.0]]), [1.0, 2.0]),
    ],
)
def test_values_that_fit(kind, given, expected):
    found = cast(Column("x", kind), given, "x")
    assert len(found) == len(expected)
    for one, other in zip(found.tolist(), expected, strict=True):
        assert one == other or (one != one and other != other)


def test_times_lose_their_zone_and_keep_their_moment():
    given = ["2026-01-01T12:00:00Z", "2026-01-01T12:00:00+02:00", "2026-01-01"]
    found = cast(Column("x", "datetime"), given, "x").astype("datetime64[s]").tolist()
    plain = [
        datetime(2026, 1, 1, 12, tzinfo=UTC),
        datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2))),
        datetime(2026, 1, 1, tzinfo=UTC),
    ]
    assert found == [each.astimezone(UTC).replace(tzinfo=None) for each in plain]


@pytest.mark.parametrize(
    ("kind", "given", "row"),
    [
        ("double", [1.0, "2"], 1),
        ("double", [[1.0], [2.0, 3.0]], 0),
        ("long", [1, 1.5], 1),
        ("long", [2**63], 0),
        ("long", [1, 10**400], 1),
        ("datetime", ["2026-01-01", "0001-01-01T00:00:00+23:59"], 1),
        ("datetime", ["2026-01-01", "1001-01-01"], 1),
        ("long", [1, None], 1),
        ("integer", [2**31], 0),
        ("boolean", [2], 0),
        ("boolean", ["true"], 0),
        ("string", ["a", 1], 1),
        ("binary", ["%"], 0),
        ("datetime", ["yesterday"], 0),
        ("datetime", [0], 0),
    ],
)
def test_values_that_do_not_fit_are_named(kind, given, row):
    with pytest.raises(Refused, match=rf"column x expects {kind}; row {row} has"):
        cast(Column("x", kind), given, "x")


def test_numbers_as_text_fit_where_mlflow_accepts_them():
    assert cast(Column("x", "double"), ["1.5", None], "x", lenient=True).tolist()[0] == 1.5
    assert cast(Column("x", "boolean"), ["true", "False"], "x", lenient=True).tolist() == [
        True,
        False,
    ]
    with pytest.raises(Refused, match="row 1 has 'high'"):
        cast(Column("x", "double"), ["1.5", "high"], "x", lenient=True)


def test_objects_for_columns_without_names_keep_their_order():
    names = [str(number) for number in range(30, 0, -1)]
    rows = [dict.fromkeys(names[:20], 1.0), {name: float(name) for name in names}]
    assert [values[1] for values in columns_of(Records(rows), [Column(None, "double")] * 30)] == [
        *range(30, 0, -1)
    ]


def test_columns_come_in_the_order_of_the_signature():
    specs = [Column("a", "double"), Column("b", "double", required=False), Column("c", "double")]
    assert columns_of(Records([{"c": 3, "a": 1}, {"a": 4}]), specs) == [[1, 4], None, [3, None]]
    assert columns_of(Columns({"c": [3], "d": [0], "a": [1]}), specs) == [[1], None, [3]]
    assert [column.tolist() for column in columns_of(Matrix([[1, 2, 3]]), specs)] == [[1], [2], [3]]
    assert columns_of(Matrix(np.array([1, 2])), specs[:1])[0].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("table", "named"),
    [
        (Records([{"a": 1}]), r"lacks the column\(s\) c"),
        (Columns({"a": [1], "c": [1, 2]}), "a has 1 values, c has 2"),
        (Matrix(np.zeros((2, 2))), r"\[2, 2\]"),
        (Matrix(np.zeros(3)), r"\[3\]"),
    ],
)
def test_tables_that_do_not_fit(table, named):
    with pytest.raises(Refused, match=named):
        columns_of(
            table,
            [Column("a", "double"), Column("b", "double", required=False), Column("c", "double")],
        )


def test_one_text_among_numbers_leaves_the_others_numbers():
    assert Matrix([[1.5, "x"]]).array.tolist() == [[1.5, "x"]]


@pytest.mark.parametrize(
    "row",
    [
        [1.5, -0.0],
        [1, 2.5],
        [3, 4],
        [2**53 + 1, 0.1],
        [2**70, 1],
        [math.nan, math.inf],
        [1e300, -1e300],
    ],
    ids=repr,
)
def test_plain_numbers_are_packed_like_numpy_s(row: list[float]):
    packed = Matrix([row, row]).numbers(2)
    assert packed is not None
    with np.errstate(over="ignore"):
        assert packed.tobytes() == np.array([row, row], np.float64).astype(np.float32).tobytes()


@pytest.mark.parametrize("row", [[1.5, None], ["1", 2.0], [1.5], [[1.5], [2.5]]], ids=repr)
def test_other_values_than_plain_numbers_are_not_packed(row: list[Any]):
    assert Matrix([row, row]).numbers(2) is None


def test_tensors_have_a_shape():
    spec = Tensor("image", "float32", (-1, 2))
    assert tensor_of(spec, [[1, 2]], "image").dtype == np.float32
    for wrong in ([[1, 2, 3]], [1, 2], [["a", "b"]], [[1], [2, 3]]):
        with pytest.raises(Refused, match="image expects"):
            tensor_of(spec, wrong, "image")


def test_predictions_of_any_kind_become_json():
    given = {
        "a": np.array([[1, 2]]),
        "b": (np.float32(0.5), {"c": b"hi"}),
        "d": float("nan"),
        "e": datetime(2026, 1, 1, tzinfo=UTC),
        "f": {2, 1},
    }
    expected = {
        "a": [[1, 2]],
        "b": [0.5, {"c": "aGk="}],
        "d": None,
        "e": "2026-01-01T00:00:00+00:00",
        "f": [1, 2],
    }
    assert json.loads(dumps(plain(given))) == expected
    with pytest.raises(TypeError, match="object"):
        dumps(object())
