"""Durations, conditions, conditions for errors, and the digest of a tree."""

import itertools
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.api.base import condition, parse_duration
from modelyard.api.conditions import progressing, ready, stalled, trouble
from modelyard.api.digest import FileDigest, tree_digest
from modelyard.errors import Ambiguous, Conflict, Forbidden, Invalid, ModelyardError, Unavailable
from tests.unit.builders import NOW, PROPERTY, body, experiment, said


# --- durations ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("45s", 45), ("30m", 1800), ("24h", 86400), ("90d", 90 * 86400), ("0007s", 7)],
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: int):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "s", "1.5h", "-1h", "1h30m", "1w", " 1h", "1h\n", "\u0661h"]
)
def test_an_invalid_duration_is_an_error_with_advice(text: str):
    with pytest.raises(ValueError, match="such as 30m"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["9" * 15 + "d", "9999999d", "9" * 15 + "s"])
def test_a_very_long_duration_can_be_subtracted(text: str):
    """Sixteen characters are allowed; a calendar has fewer years."""
    assert (NOW - parse_duration(text)).year < 1100


# --- conditions -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        (
            ready("Synced", "All is well."),
            {"Ready": "True", "Reconciling": "False", "Stalled": "False"},
        ),
        (
            progressing("Creating", "It comes."),
            {"Ready": "False", "Reconciling": "True", "Stalled": "False"},
        ),
        (
            stalled("NameTaken", "Rename it."),
            {"Ready": "False", "Reconciling": "False", "Stalled": "True"},
        ),
    ],
)
def test_one_of_three_is_true(conditions, words):
    assert {each.type: each.status for each in conditions} == words
    assert len({each.reason for each in conditions}) == 1


def test_a_condition_can_be_unknown():
    assert condition("Synced", None, "MLflowUnavailable").status == "Unknown"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            Invalid(
                "Kubernetes",
                "read connection",
                "risk/modelyard-connection",
                "the Secret lacks MODELYARD_BUCKET",
            ),
            "Stalled ConnectionMissing",
        ),
        (Unavailable("MLflow", "read experiment", "risk/fraud"), "Reconciling MLflowUnavailable"),
        (Ambiguous("MLflow", "create run", "fraud-1"), "Reconciling MLflowUnavailable"),
        (Unavailable("S3", "list", "s3://b/risk/"), "Reconciling StoreUnavailable"),
        (Unavailable("Kubernetes", "apply Job", "risk/fraud-1-1"), "Reconciling RequestRefused"),
        (Forbidden("MLflow", "read experiment", "risk/fraud"), "Stalled ConnectionRefused"),
        (Forbidden("S3", "list", "s3://b/risk/"), "Stalled ConnectionRefused"),
        (
            Forbidden("Kubernetes", "apply Job", "risk/fraud-1-1", "exceeded quota"),
            "Stalled RequestRefused",
        ),
        (
            Invalid("MLflow", "log parameters", "r1", "a name is not allowed"),
            "Stalled RequestRefused",
        ),
        (Conflict("MLflow", "create model", "risk.fraud"), "Reconciling RequestRefused"),
    ],
)
def test_an_error_gives_conditions_and_a_message(error: ModelyardError, words: str):
    status = experiment().status.model_copy(update={"conditions": trouble(error)})
    assert said(status) == words
    found = status.condition("Ready")
    assert found
    assert error.detail in found.message
    assert error.dependency in found.message or error.operation == "read connection"


def test_an_error_names_the_dependency_the_operation_and_the_object():
    assert (
        str(Unavailable("MLflow", "create run", "fraud-1", "503"))
        == "MLflow: create run fraud-1: 503"
    )


def test_parsing_an_object_ignores_unknown_fields():
    there = experiment(description="cards", retention={"runs": "90d"})
    text = body(there)
    text["spec"]["added_by_a_later_release"] = 1
    assert type(there).parse(text) == there
    assert there.key == "risk/fraud"


# --- the digest of a tree -------------------------------------------------------------------------
files = st.builds(
    FileDigest,
    st.text(min_size=1, max_size=8),
    st.integers(0, 9),
    st.sampled_from(["a" * 64, "b" * 64]),
)
trees = st.lists(files, max_size=4, unique_by=lambda file: file.path)


def test_a_trees_digest_follows_the_contract_with_pods():
    """The expected digest was computed independently: pods of other releases check it."""
    found = tree_digest(
        [FileDigest("b/model.ubj", 12, "b" * 64), FileDigest("MLmodel", 3, "a" * 64)]
    )
    assert found == "sha256:976851c814a15d57c71fd2b78e85a4b1731d922f34179591605646258c6bc252"


@PROPERTY
@given(trees)
def test_the_order_of_a_listing_does_not_change_the_digest(tree):
    assert len({tree_digest(order) for order in itertools.permutations(tree)}) == 1


@PROPERTY
@given(trees, trees)
def test_every_path_size_and_content_changes_the_digest(one, other):
    assert (tree_digest(one) == tree_digest(other)) == (set(one) == set(other))
