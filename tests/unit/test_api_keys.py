"""Names that MLflow accepts and refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.api.keys import bad_key, fitting
from tests.unit.builders import PROPERTY

FITTED = {
    "validation.logloss": "validation.logloss",
    "validation.error@0.7": "validation.error_at_0.7",
    "train.ndcg@5-": "train.ndcg_at_5-",
    "f1(macro)": "f1_macro_",
    "größe": "größe",
    "a//b/": "a/b",
    "/a/./b": "a/_/b",
    "../up": "_/up",
    "..": "_",
    "..a": "_a",
    "": "_",
}


@pytest.mark.parametrize("name", FITTED)
def test_a_metrics_name_is_adapted(name: str):
    assert fitting(name) == FITTED[name]


@PROPERTY
@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300) | st.text("./@a", max_size=8)
)
def test_an_adapted_name_is_accepted_and_an_accepted_one_unchanged(name: str):
    assert bad_key([fitting(name)]) is None
    assert bad_key([name]) is not None or fitting(name) == name


def test_the_first_bad_key_is_named():
    assert bad_key(["depth", "a.b/c: d-e_f"]) is None
    assert (bad_key(["depth", "layers[0].units"]) or "").startswith(
        "'layers[0].units': MLflow takes keys of 1 to 250 letters"
    )
    assert (bad_key(["a//b"]) or "").startswith(
        "'a//b': MLflow takes keys that could be a file's relative path"
    )


def test_a_shortened_name_is_a_path_that_mlflow_accepts():
    for end in ("/.a", "/..a", "//.@", "/"):
        assert bad_key([fitting("x" * length + end) for length in range(244, 252)]) is None, end
