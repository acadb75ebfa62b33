"""Names that MLflow takes, and those that it does not."""

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
def test_a_metric_s_name_is_made_fit(name: str):
    assert fitting(name) == FITTED[name]


@PROPERTY
@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300) | st.text("./@a", max_size=8)
)
def test_what_is_made_fit_is_taken_and_what_is_taken_stays(name: str):
    assert bad_key([fitting(name)]) is None
    assert bad_key([name]) is not None or fitting(name) == name


def test_the_first_key_that_is_refused_is_named():
    assert bad_key(["depth", "a.b/c: d-e_f"]) is None
    assert (bad_key(["depth", "layers[0].units"]) or "").startswith(
        "'layers[0].units': MLflow takes keys of 1 to 250 letters"
    )
    assert (bad_key(["a//b"]) or "").startswith(
        "'a//b': MLflow takes keys that could be a file's relative path"
    )


def test_a_name_that_is_cut_is_no_path_that_mlflow_refuses():
    for end in ("/.a", "/..a", "//.@", "/"):
        assert bad_key([fitting("x" * length + end) for length in range(244, 252)]) is None, end
