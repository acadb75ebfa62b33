"""What counts as a difference between what we would apply and what is there, and what the API server only wrote otherwise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.kube.diff import matches
from tests.unit.builders import PROPERTY

Json = dict[str, object]


def container(**resources: object) -> Json:
    return {"spec": {"containers": [{"name": "model", "resources": {"limits": resources}}]}}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("1000m", "1"),
        ("1", 1),
        ("0.5", "500m"),
        ("1024Mi", "1Gi"),
        ("1e3", "1k"),
        ("1E", "1000P"),
        ("1.5Gi", "1536Mi"),
        ("0.0000000001", "1n"),  # the API server rounds up to billionths
        ("100E", "9223372036854775807"),  # and ends at 2^63 - 1
        ("1e999999999", "9223372036854775807"),
        ("1e99999999999999999999999999", "9223372036854775807"),
    ],
)
def test_quantities_compare_by_value(ours: object, theirs: object):
    assert matches(container(memory=ours), container(memory=theirs))


@pytest.mark.parametrize(("ours", "theirs"), [("1", "1001m"), ("1Gi", "1G"), ("1", None), ("1Gi", "a lot"), ("a lot", "plenty")])
def test_quantities_that_differ_are_seen(ours: object, theirs: object):
    assert not matches(container(memory=ours), container(memory=theirs))


def test_only_resources_hold_quantities():
    assert not matches({"data": {"cpu": "1000m"}}, {"data": {"cpu": "1"}})


def test_defaults_that_the_api_server_adds_are_no_difference():
    assert matches(
        {"spec": {"ports": [{"name": "http", "port": 80}]}},
        {"spec": {"clusterIP": "10.0.0.1", "ports": [{"name": "http", "port": 80, "nodePort": 1}]}, "status": {}},
    )


@pytest.mark.parametrize("ours", [{}, [], ""])
def test_what_is_empty_may_be_absent(ours: object):
    assert matches({"spec": {"field": ours}}, {"spec": {}})


@pytest.mark.parametrize("ours", [False, 0])
def test_no_and_none_at_all_are_said_outright_and_stay(ours: object):
    """Of a field such as automountServiceAccountToken absence means true."""
    assert not matches({"spec": {"field": ours}}, {"spec": {}})


def test_named_items_pair_by_name_whatever_their_order():
    ours = [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]
    assert matches({"env": ours}, {"env": [*reversed(ours)]})
    assert not matches({"env": ours}, {"env": [{"name": "a", "value": "2"}, {"name": "b", "value": "1"}]})
    assert not matches({"env": ours}, {"env": [{"name": "a", "value": "1"}, {"name": "c", "value": "2"}]})


def test_items_without_names_pair_by_place():
    assert matches({"command": ["python", "-m"]}, {"command": ["python", "-m"]})
    assert not matches({"command": ["python", "-m"]}, {"command": ["-m", "python"]})


def test_an_item_more_or_less_is_a_difference():
    one = {"name": "a"}
    assert not matches({"containers": [one]}, {"containers": [one, {"name": "sidecar"}]})
    assert not matches({"containers": [one, {"name": "b"}]}, {"containers": [one]})
    assert not matches({"containers": [one]}, {"containers": None})


def test_another_type_in_its_place_is_a_difference():
    assert not matches({"spec": {"a": 1}}, {"spec": []})
    assert not matches({"spec": ["a"]}, {"spec": {"a": 1}})
    assert not matches({"spec": {"a": 1}}, {"spec": None})


leaves = st.none() | st.booleans() | st.integers(0, 5) | st.sampled_from(["", "a", "1", "1000m", "1Gi"])
keys = st.sampled_from(["a", "b", "limits", "requests", "env"])


def _grown(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    named = st.dictionaries(st.sampled_from(["x", "y", "z"]), inner, max_size=3)
    return (
        st.lists(inner, max_size=3)
        | st.dictionaries(keys, inner, max_size=4)
        | named.map(lambda items: [{"name": name, "value": value} for name, value in items.items()])
    )


manifests = st.recursive(leaves, _grown, max_leaves=12)


@PROPERTY
@given(manifests)
def test_everything_matches_itself(manifest: object):
    assert matches(manifest, manifest)


@PROPERTY
@given(manifests, manifests)
def test_any_two_things_can_be_compared(one: object, other: object):
    assert matches(one, other) in (True, False)
