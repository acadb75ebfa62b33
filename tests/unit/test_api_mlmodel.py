"""MLmodel files are untrusted input: they are read correctly and cannot do harm."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from modelyard.api.mlmodel import MLModel, read_mlmodel
from tests.unit.builders import PROPERTY

NOTHING = MLModel("", "")
XGBOOST = b"""
artifact_path: s3://bucket/12/models/m-1/artifacts
flavors:
  python_function:
    loader_module: mlflow.xgboost
  xgboost:
    data: model.ubj
    model_class: xgboost.sklearn.XGBClassifier
mlflow_version: 3.17.2
signature:
  inputs: '[{"type": "double", "name": "amount", "required": true},
    {"type": "long", "name": "age", "required": true}]'
  outputs: '[{"type": "long", "required": true}]'
  params: null
utc_time_created: '2026-01-01 12:00:00.000000'
"""


def signed(inputs: object) -> bytes:
    return yaml.safe_dump(
        {"flavors": {"xgboost": {}}, "signature": {"inputs": json.dumps(inputs), "outputs": None}}
    ).encode()


def test_flavour_and_signature():
    assert read_mlmodel(XGBOOST) == MLModel("xgboost", "amount: double, age: long -> long")


def test_the_models_own_flavour_is_preferred():
    assert read_mlmodel(b"flavors: {python_function: {}}").flavor == "python_function"
    assert read_mlmodel(b"flavors: {python_function: {}, sklearn: {}}").flavor == "sklearn"
    assert read_mlmodel(b"flavors: {sklearn: {}, python_function: {}}").flavor == "sklearn"


def test_of_many_columns_some_are_shown_and_all_are_counted():
    columns = [{"type": "double", "name": f"feature_{number:02}"} for number in range(20)]
    shown = read_mlmodel(signed(columns)).signature
    assert shown.startswith("feature_00: double, feature_01: double")
    assert "feature_05" in shown
    assert "feature_06" not in shown
    assert shown.endswith(", ... (20) -> ")


def test_columns_without_names_are_shown_by_their_numbers():
    assert (
        read_mlmodel(signed([{"name": 0, "type": "double"}, {"name": 1, "type": "long"}])).signature
        == "0: double, 1: long -> "
    )


def test_tensors_are_shown_by_type_and_shape():
    tensor = {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 28, 28]}}
    assert read_mlmodel(signed([tensor])).signature == "tensor(float32, [-1, 28, 28]) -> "


def test_aliases_are_read():
    assert read_mlmodel(b"base: &b {xgboost: {}}\nflavors: *b\n").flavor == "xgboost"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\x00\xff\xfe",
        b"just words",
        b"- a\n- list",
        b"a: [unclosed",
        b"a: *nowhere",
        b"flavors: [xgboost]",
        b"flavors: null",
        b"!!python/object/apply:os.system ['true']",
        b"%YAML 9.9\n---\na: b",
    ],
)
def test_a_file_that_is_not_an_mlmodel_gives_an_empty_result(text: bytes):
    assert read_mlmodel(text) == NOTHING


@pytest.mark.parametrize(
    "value",
    [
        "!!int ''",
        "!!float ''",
        "!!bool maybe",
        "!!timestamp never",
        "2026-99-99",
        "1" * 5000,
        "!!binary '?'",
        "{? [a, b] : c}",
        "=",
        "<<",
    ],
)
def test_ambiguous_values_are_read_as_texts(value: str):
    assert (
        read_mlmodel(f"flavors: {{xgboost: {{data: {value}}}}}\nsignature: {value}".encode()).flavor
        == "xgboost"
    )


@pytest.mark.parametrize(
    "inputs",
    [
        '"[" * 100',
        "not json",
        "{}",
        '{"name": "x"}',
        "[1, null, []]",
        '[{"name": {"a": 1}, "type": ["b"]}]',
        '[{"tensor-spec": {}}]',
        "[" * 100_000,
        '[{"type": ' + "[" * 900 + "]" * 900 + "}]",
        f"[{'1' * 5000}]",
    ],
)
def test_a_malformed_signature_does_not_affect_the_flavour(inputs: str):
    text = yaml.safe_dump(
        {
            "flavors": {"xgboost": {}},
            "signature": {"inputs": inputs, "outputs": '[{"type": "long"}]'},
        }
    ).encode()
    found = read_mlmodel(text)
    assert found.flavor == "xgboost"
    assert found.signature.endswith(" -> long")


def test_control_and_null_characters_are_dropped():
    assert (
        read_mlmodel(signed([{"name": "a\x1b[31m\x00\ud800b", "type": "double"}])).signature
        == "ab: double -> "
    )
    assert read_mlmodel(b'flavors: {"xg\\e\\0boost": {}}').flavor == "xgboost"


def test_the_result_is_bounded():
    found = read_mlmodel(signed([{"name": "n" * 5000, "type": "t" * 5000}] * 20))
    assert len(found.signature) <= 1024
    assert len(read_mlmodel(b"flavors: {" + b"f" * 500 + b": {}}").flavor) == 64


FLAVOURED = b"flavors: {xgboost: {}}\n"


@pytest.mark.parametrize(
    "text",
    [
        b"a: " + b"[" * 1_000_000,
        b"a: " + b"{a: " * 250_000,
        b"".join(b" " * depth + b"a:\n" for depth in range(1400)),
        b"a: [" + b"1," * 500_000 + b"1]",
    ],
    ids=["deep lists", "deep maps", "deep blocks", "long"],
)
def test_a_file_that_is_slow_to_parse_is_abandoned(text: bytes):
    assert read_mlmodel(FLAVOURED + text) == NOTHING


def test_aliases_of_aliases_are_not_expanded():
    laughs = b"".join(b"a%d: &a%d [*a%d, *a%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 60))
    assert read_mlmodel(b"a0: &a0 [x, x]\n" + laughs + FLAVOURED).flavor == "xgboost"


@PROPERTY
@given(st.binary(max_size=300) | st.text("{}[]:,&*!|>-'\" \n\tab", max_size=300).map(str.encode))
def test_any_bytes_can_be_read(text: bytes):
    found = read_mlmodel(text)
    assert len(found.flavor) <= 64
    assert len(found.signature) <= 1024
