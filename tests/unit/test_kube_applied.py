"""When an owned object is in sync with our manifest: the fields that we set match, and the fields
that we dropped are gone.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.kube.applied import MERGE_KEYS, in_sync, stamped
from modelyard.kube.names import APPLIED_ANNOTATION
from tests.unit.builders import PROPERTY
from tests.unit.models import A, deployment_in, pods_of, stage_of

Json = dict[str, Any]


def manifest(**fields: Any) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Thing",
        "metadata": {"name": "x", "namespace": "risk"},
    } | fields


def holds(ours: Json, theirs: Json) -> bool:
    """Return whether an object applied as `ours` is in sync, now that its fields are `theirs`."""
    live = manifest(**theirs) | {"metadata": stamped(manifest(**ours))["metadata"]}
    return in_sync(manifest(**ours), live)


def says(said: Json, now: Json) -> bool:
    """Return whether an object applied as `said` is in sync with the manifest `now`."""
    return in_sync(manifest(**now), stamped(manifest(**said)))


def container(**resources: object) -> Json:
    return {"spec": {"containers": [{"name": "model", "resources": {"limits": resources}}]}}


# --- the stamp ------------------------------------------------------------------------------------
def test_an_applied_object_is_in_sync() -> None:
    assert in_sync(manifest(data={"a": "1"}), stamped(manifest(data={"a": "1"})))


def test_the_stamp_keeps_other_annotations_and_does_not_change_the_manifest() -> None:
    made = manifest()
    made["metadata"]["annotations"] = {"a": "1"}
    before = deepcopy(made)
    applied = stamped(made)
    assert made == before
    assert applied["metadata"]["annotations"].keys() == {"a", APPLIED_ANNOTATION}
    assert applied["metadata"]["name"] == "x"
    assert len(applied["metadata"]["annotations"][APPLIED_ANNOTATION]) == 16


def test_stamping_is_idempotent() -> None:
    assert stamped(stamped(manifest(data={}))) == stamped(manifest(data={}))


@pytest.mark.parametrize(
    "annotations", [None, {}, {"a": "1"}, {APPLIED_ANNOTATION: "of another release"}]
)
def test_an_object_without_our_stamp_is_not_in_sync(annotations: Json | None) -> None:
    live = manifest()
    live["metadata"]["annotations"] = annotations
    assert not in_sync(manifest(), live)


# --- dropped fields -------------------------------------------------------------------------------
FULL: Json = {
    "spec": {
        "nodeSelector": {"pool": "a"},
        "paused": False,
        "containers": [
            {
                "name": "one",
                "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                "ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 81}],
                "volumeMounts": [
                    {"mountPath": "/a", "name": "v"},
                    {"mountPath": "/b", "name": "v"},
                ],
            },
            {"name": "two"},
        ],
        "volumes": [
            {"name": "v", "emptyDir": {}},
            {"name": "w", "configMap": {"name": "c", "optional": True}},
        ],
    }
}
DROPPED: dict[str, Any] = {
    "a map": lambda spec: spec.pop("nodeSelector"),
    "a field": lambda spec: spec.pop("paused"),
    "a container": lambda spec: spec["containers"].pop(),
    "a variable": lambda spec: spec["containers"][0]["env"].pop(0),
    "all variables": lambda spec: spec["containers"][0].pop("env"),
    "a value": lambda spec: spec["containers"][0]["env"][0].pop("value"),
    "a port": lambda spec: spec["containers"][0]["ports"].pop(),
    "a mount": lambda spec: spec["containers"][0]["volumeMounts"].pop(),
    "a volume": lambda spec: spec["volumes"].pop(),
    "a field of a volume": lambda spec: spec["volumes"][1]["configMap"].pop("optional"),
}


@pytest.mark.parametrize("change", DROPPED.values(), ids=DROPPED)
def test_a_dropped_field_is_a_difference_both_ways(change: Any) -> None:
    less = deepcopy(FULL)
    change(less["spec"])
    assert not says(FULL, less)
    assert not says(less, FULL)
    assert says(less, less)


def test_the_order_of_keys_and_of_merged_items_does_not_matter() -> None:
    turned = {"spec": dict(reversed(FULL["spec"].items()))}
    turned["spec"]["containers"] = [
        dict(reversed(each.items())) for each in reversed(FULL["spec"]["containers"])
    ]
    assert says(FULL, turned)


def test_a_value_is_compared_with_the_live_object_not_with_the_last_apply() -> None:
    """An autoscaler changed the number of replicas and the manifest follows it: nothing to
    apply.
    """
    assert in_sync(
        manifest(spec={"replicas": 3}),
        stamped(manifest(spec={"replicas": 2})) | {"spec": {"replicas": 3}},
    )
    assert not says({"spec": {"replicas": 2}}, {"spec": {"replicas": 3}})


# --- what others said -----------------------------------------------------------------------------
ITEM: dict[str, Json] = {
    field: dict.fromkeys(keys[0], "ours") for field, keys in MERGE_KEYS.items()
}


@pytest.mark.parametrize("field", ITEM)
def test_lists_that_kubernetes_merges_compare_by_key_and_may_hold_more(field: str) -> None:
    ours = ITEM[field] | {"more": 1}
    theirs = dict.fromkeys(ITEM[field], "theirs")
    assert holds({field: [ours]}, {field: [theirs, ours | {"added": True}]})
    assert not holds({field: [ours]}, {field: [theirs]})
    assert not holds({field: [ours]}, {field: [theirs, ours | {"more": 2}]})
    assert not holds({field: [ours]}, {})


@pytest.mark.parametrize(
    "field", ["command", "args", "tolerations", "metrics", "envFrom", "rules", "drop"]
)
def test_other_lists_are_equal(field: str) -> None:
    ours = (
        [{"name": "a"}, {"name": "b"}]
        if field in {"tolerations", "metrics", "envFrom", "rules"}
        else ["a", "b"]
    )
    assert holds({field: ours}, {field: [*ours]})
    assert not holds({field: ours}, {field: [*reversed(ours)]})
    assert not holds({field: ours}, {field: [*ours, ours[0]]})
    assert not holds({field: ours}, {field: ours[:1]})


@pytest.mark.parametrize("field", ["selector", "matchLabels", "nodeSelector"])
def test_atomic_maps_must_be_equal(field: str) -> None:
    """With one more label in its selector a Service selects nothing."""
    assert holds({"spec": {field: {"a": "1"}}}, {"spec": {field: {"a": "1"}}})
    assert not holds({"spec": {field: {"a": "1"}}}, {"spec": {field: {"a": "1", "theirs": "2"}}})
    assert not holds({"spec": {field: {}}}, {"spec": {field: {"theirs": "2"}}})


@pytest.mark.parametrize("field", ["data", "limits", "securityContext"])
def test_other_maps_may_hold_more(field: str) -> None:
    assert holds({field: {"a": "1"}}, {field: {"a": "1", "theirs": "2"}})
    assert not holds({field: {"a": "1"}}, {field: {"a": "2", "theirs": "2"}})
    assert not holds({field: {"a": "1"}}, {field: {"theirs": "2"}})


def test_ports_of_containers_and_services_have_keys_of_their_own() -> None:
    of_service = {"port": 80, "targetPort": 8080}
    assert holds(
        {"ports": [of_service]},
        {
            "ports": [
                of_service | {"protocol": "TCP", "nodePort": 1},
                {"port": 90, "protocol": "TCP"},
            ]
        },
    )
    assert not holds({"ports": [of_service]}, {"ports": [of_service | {"protocol": "UDP"}]})
    assert not holds({"ports": [of_service]}, {"ports": [{"containerPort": 80}]})


def test_additions_to_a_deployment_are_no_difference_and_each_change_of_ours_is_one() -> None:
    """A sidecar, a variable, a label: `kubectl set env` once made us apply a Deployment
    endlessly.
    """
    ours = deployment_in(pods_of(stage_of("va"), A))
    ours = {key: value for key, value in ours.items() if key != "status"}
    del ours["metadata"]["annotations"]
    live = deepcopy(stamped(ours))
    pod = live["spec"]["template"]["spec"]
    pod["containers"][0]["env"].append({"name": "THEIRS", "value": "1"})
    pod["containers"].append({"name": "sidecar", "image": "proxy"})
    pod["initContainers"].insert(0, {"name": "init", "image": "proxy"})
    pod["volumes"].append({"name": "theirs", "emptyDir": {}})
    pod["containers"][0]["volumeMounts"].append({"name": "theirs", "mountPath": "/theirs"})
    live["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = "now"
    live["metadata"]["labels"]["theirs"] = "1"
    live["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "2"
    assert in_sync(ours, live)
    pod["containers"][0]["command"].append("--theirs")
    assert not in_sync(ours, live)


# --- values ---------------------------------------------------------------------------------------
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
        ("100E", "9223372036854775807"),  # and its maximum is 2^63 - 1
        ("1e999999999", "9223372036854775807"),
        ("1e99999999999999999999999999", "9223372036854775807"),
    ],
)
def test_quantities_compare_by_value(ours: object, theirs: object) -> None:
    assert holds(container(memory=ours), container(memory=theirs))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("1", "1001m"), ("1Gi", "1G"), ("1", None), ("1Gi", "a lot"), ("a lot", "plenty")],
)
def test_different_quantities_are_a_difference(ours: object, theirs: object) -> None:
    assert not holds(container(memory=ours), container(memory=theirs))


def test_only_resources_hold_quantities() -> None:
    assert not holds({"data": {"cpu": "1000m"}}, {"data": {"cpu": "1"}})


def test_defaults_that_the_api_server_adds_are_no_difference() -> None:
    assert holds(
        {"spec": {"ports": [{"name": "http", "port": 80}]}},
        {
            "spec": {
                "clusterIP": "10.0.0.1",
                "ports": [{"name": "http", "port": 80, "nodePort": 1}],
            },
            "status": {},
        },
    )


@pytest.mark.parametrize("ours", [{}, [], ""])
def test_empty_values_may_be_absent(ours: object) -> None:
    assert holds({"spec": {"field": ours}}, {"spec": {}})


@pytest.mark.parametrize("ours", [False, 0])
def test_false_and_zero_may_not_be_absent(ours: object) -> None:
    """For a field such as automountServiceAccountToken, absence means true."""
    assert not holds({"spec": {"field": ours}}, {"spec": {}})


def test_a_value_of_another_type_is_a_difference() -> None:
    assert not holds({"spec": {"a": 1}}, {"spec": []})
    assert not holds({"spec": ["a"]}, {"spec": {"a": 1}})
    assert not holds({"spec": {"a": 1}}, {"spec": None})
    assert not holds({"env": [{"name": "a"}]}, {"env": None})
    assert not holds({"env": [{"name": "a"}]}, {"env": ["a"]})


# --- anything -------------------------------------------------------------------------------------
leaves = (
    st.none() | st.booleans() | st.integers(0, 5) | st.sampled_from(["", "a", "1", "1000m", "1Gi"])
)
keys = st.sampled_from(["a", "b", "limits", "requests", "env", "selector", "volumeMounts"])


def _grown(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    named = st.dictionaries(st.sampled_from(["x", "y", "z"]), inner, max_size=3)
    return (
        st.lists(inner, max_size=3)
        | st.dictionaries(keys, inner, max_size=4)
        | named.map(lambda items: [{"name": name, "value": value} for name, value in items.items()])
    )


values = st.recursive(leaves, _grown, max_leaves=12)
manifests = st.dictionaries(keys, values, max_size=4).map(lambda fields: manifest(**fields))


@PROPERTY
@given(manifests)
def test_every_manifest_is_in_sync_right_after_its_apply(made: Json) -> None:
    assert in_sync(made, stamped(made))
    assert in_sync(stamped(made), stamped(made))


@PROPERTY
@given(manifests, manifests)
def test_any_two_values_can_be_compared(one: Json, other: Json) -> None:
    assert in_sync(one, stamped(other)) in (True, False)


@PROPERTY
@given(manifests, keys)
def test_a_dropped_field_is_always_noticed(made: Json, field: str) -> None:
    less = {key: value for key, value in made.items() if key != field}
    assert in_sync(less, stamped(made)) == (less == made)
