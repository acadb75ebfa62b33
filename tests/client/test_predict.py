"""Tables as requests to a model's server, and its responses as tables."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from modelyard.client import predict
from modelyard_runtime.serve import invocations, v1, v2
from modelyard_runtime.serve.predictor import Request, answered

GIVEN = [
    [[1.5, 2.0], [3.0, 4.0]],
    {"a": [1.5, 3.0], "b": [2.0, 4.0]},
    [{"a": 1.5, "b": 2.0}, {"a": 3.0, "b": 4.0}],
    np.array([[1.5, 2.0], [3.0, 4.0]]),
    pd.DataFrame({"a": [1.5, 3.0], "b": [2.0, 4.0]}),
]


class Sums:
    """A model that adds its two columns."""

    def __init__(self, signature) -> None:
        self.signature = signature

    def given(self, table):
        from modelyard_runtime.serve.values import columns_of  # noqa: PLC0415

        return columns_of(table, self.signature.inputs)

    def predict(self, given):
        return np.array([a + b for a, b in zip(*given, strict=True)])

    def invocations(self, body: bytes, _kind: str):
        table = invocations.table(body, "application/json", self.signature.inputs)
        return json.dumps({"predictions": self.predict(self.given(table)).tolist()}).encode()


@pytest.fixture
def sums():
    from modelyard_runtime.serve.signature import parse  # noqa: PLC0415

    inputs = json.dumps([{"name": "a", "type": "double"}, {"name": "b", "type": "double"}])
    return Sums(parse({"inputs": inputs, "outputs": json.dumps([{"type": "double"}])}))


@pytest.mark.parametrize("data", GIVEN, ids=["rows", "columns", "records", "array", "frame"])
@pytest.mark.parametrize("protocol", ["v2", "v1", "invocations"])
def test_the_cluster_s_own_server_reads_what_is_sent_and_its_answer_is_read(data, protocol, sums):
    """The request goes through the server's own parser."""
    given = predict.table(data)
    body = json.dumps(predict.request(protocol, given)).encode()
    if (
        protocol == "invocations" and not given.names
    ):  # MLflow's rule: a model with named columns gets them by name
        with pytest.raises(Exception, match="the rows have no column names"):
            sums.invocations(body, "")
        return
    reply = {
        "v2": lambda: answered(v2.infer(sums, "m", "v1", Request(body)), sums).body,
        "v1": lambda: answered(v1.predict(sums, body), sums).body,
        "invocations": lambda: sums.invocations(body, ""),
    }[protocol]()
    found = predict.answer(protocol, reply, given)
    assert isinstance(found, np.ndarray) is isinstance(data, np.ndarray | pd.DataFrame)
    assert list(found) == [3.5, 7.0]


def test_one_row_may_come_without_its_list_and_missing_values_are_null():
    assert predict.table([1.0, 2.0]).rows == ((1.0, 2.0),)
    assert predict.table(np.array([1.0, 2.0])).rows == ((1.0, 2.0),)
    assert predict.table(pd.Series({"a": 1.0, "b": 2.0})).names == ("a", "b")
    assert predict.table(pd.DataFrame({"a": [np.nan], "t": [pd.Timestamp("2026-01-01")]})).rows == (
        (None, "2026-01-01T00:00:00"),
    )


def test_a_tensor_has_the_narrowest_type_that_holds_it():
    def types(data) -> list[str]:
        return [each["datatype"] for each in predict.request("v2", predict.table(data))["inputs"]]

    assert types(
        {"i": [1, 2], "f": [1, 2.5], "b": [True, False], "s": ["x", None], "m": [1, None]}
    ) == [
        "INT64",
        "FP64",
        "BOOL",
        "BYTES",
        "FP64",
    ]


def test_several_outputs_come_by_name_and_in_shape():
    outputs = [
        {"name": "odds", "datatype": "FP64", "shape": [2, 2], "data": [0.1, 0.9, 0.8, 0.2]},
        {"name": "label", "datatype": "INT64", "shape": [2], "data": [1, 0]},
    ]
    found = predict.answer("v2", json.dumps({"outputs": outputs}).encode(), predict.table([[1.0]]))
    assert found == {"odds": [[0.1, 0.9], [0.8, 0.2]], "label": [1, 0]}


@pytest.mark.parametrize(
    "data",
    [
        "text",
        3,
        [],
        [[1], [1, 2]],
        {"a": [1], "b": [1, 2]},
        np.float64(3),
        pd.DataFrame({"a": []}),
        {"a": []},
    ],
)
def test_data_that_is_not_a_table_is_a_value_error(data: object):
    with pytest.raises(ValueError, match=r"not a table|differ in length|no rows"):
        predict.table(data)
