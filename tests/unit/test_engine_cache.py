"""The cache of watched objects."""

from __future__ import annotations

from typing import Any

from modelyard.cache import Cache, Change
from modelyard.kube.names import TRAFFIC_ANNOTATION

SCOPE = "v1/ConfigMap"


def body(
    name: str = "x", uid: str = "u1", version: int = 1, namespace: str = "a", **more: Any
) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": uid,
            "resourceVersion": str(version),
        }
    } | more


def cache() -> tuple[Cache, list[Change]]:
    made, told = Cache(["toys"]), []
    made.subscribe(told.append)
    return made, told


def test_an_older_version_never_replaces_a_newer_one() -> None:
    known, told = cache()
    assert known.put("toys", body(version=10, spec=1))
    assert not known.put("toys", body(version=9, spec=2))
    assert not known.put("toys", body(version=10, spec=3))
    assert known.get("toys", "a", "x") == body(version=10, spec=1)
    assert len(told) == 1


def test_a_change_has_the_old_and_the_new_object() -> None:
    known, told = cache()
    known.put("toys", body(version=1))
    known.put("toys", body(version=2))
    known.remove("toys", "a", "x", "u1")
    versions = [tuple(b and b["metadata"]["resourceVersion"] for b in (c.old, c.new)) for c in told]
    assert versions == [(None, "1"), ("1", "2"), ("2", None)]
    assert all(change.own for change in told)


def test_removing_an_earlier_object_keeps_its_successor() -> None:
    known, _ = cache()
    known.put("toys", body(uid="u1", version=1))
    known.put("toys", body(uid="u2", version=5))
    assert not known.remove("toys", "a", "x", "u1")
    for uid in ("u1", "u2"):
        reference = {
            "apiVersion": "modelyard.io/v1alpha1",
            "kind": "Toy",
            "name": "x",
            "uid": uid,
            "controller": True,
        }
        owned = body(name=f"of-{uid}", uid=f"of-{uid}", apiVersion="v1", kind="ConfigMap")
        owned["metadata"]["ownerReferences"] = [reference]
        known.put(SCOPE, owned)
    assert known.owned("u1") == ()
    assert [each["metadata"]["name"] for each in known.owned("u2")] == ["of-u2"]


def test_a_late_answer_does_not_restore_a_deleted_object() -> None:
    known, _ = cache()
    known.remove("toys", "a", "x", "u1")
    assert not known.put("toys", body(uid="u1", version=99))
    assert known.get("toys", "a", "x") is None


def test_an_object_that_left_the_selector_may_return_with_a_later_version() -> None:
    known, _ = cache()
    known.put("toys", body(version=5))
    assert known.remove("toys", "a", "x", "u1", 6)
    assert not known.put("toys", body(version=6))
    assert known.put("toys", body(version=7))


def test_a_late_event_that_it_left_does_not_remove_a_returned_object() -> None:
    known, _ = cache()
    known.put("toys", body(version=7))
    assert not known.remove("toys", "a", "x", "u1", 6)
    assert known.get("toys", "a", "x") is not None
    assert known.put("toys", body(version=8))
    assert known.remove_missing("toys", known.uids("toys"), [], 7) == 0
    assert known.remove_missing("toys", known.uids("toys"), [], 9) == 1


def test_a_list_removes_missing_objects_but_not_ones_created_after_it_began() -> None:
    known, _ = cache()
    known.put("toys", body("gone", "u1"))
    known.put("toys", body("stays", "u2"))
    before = known.uids("toys")
    known.put("toys", body("young", "u3"))
    assert known.remove_missing("toys", before, ["u2"]) == 1
    assert {each["metadata"]["name"] for each in known.every("toys")} == {"stays", "young"}


def test_a_list_of_one_namespace_leaves_the_others_alone() -> None:
    known, _ = cache()
    known.put("toys", body("x", "u1", namespace="a"))
    known.put("toys", body("x", "u2", namespace="b"))
    assert known.remove_missing("toys", known.uids("toys", "a"), []) == 1
    assert known.uids("toys") == {"u2": ("b", "x")}
    assert known.uids("toys", "nowhere") == {}


def test_fields_that_are_never_read_are_dropped() -> None:
    known, _ = cache()
    made = body()
    made["metadata"] |= {
        "managedFields": [1],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "1"},
    }
    known.put("toys", made)
    kept = known.get("toys", "a", "x")
    assert kept is not None
    assert "managedFields" not in kept["metadata"]
    assert kept["metadata"]["annotations"] == {"mine": "1"}


def test_objects_are_found_by_namespace() -> None:
    known, _ = cache()
    known.put("toys", body("x", "u1", namespace="a"))
    known.put("toys", body("y", "u2", namespace="b"))
    assert [each["metadata"]["name"] for each in known.select("toys", "b")] == ["y"]
    assert known.select("toys", "c") == ()


def test_only_metadata_and_our_annotations_of_a_config_map_are_kept() -> None:
    known, _ = cache()
    known.put("toys", body("fraud", "u1"))
    owner = {
        "apiVersion": "modelyard.io/v1alpha1",
        "kind": "Toy",
        "name": "fraud",
        "uid": "u1",
        "controller": True,
    }
    said = {
        "modelyard.io/content": "c" * 5000,
        "modelyard.io/applied": "a",
        "theirs": "x" * 200_000,
    }
    made = body("x", "u2") | {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "data": {"k": "x" * 1_000_000},
    }
    made["metadata"] |= {"ownerReferences": [owner], "annotations": said, "labels": {"l": "y"}}
    known.put(SCOPE, made)
    (kept,) = known.owned("u1")
    assert len(str(kept)) < 500
    assert kept["metadata"]["annotations"] == {
        "modelyard.io/content": "c" * 80,
        "modelyard.io/applied": "a",
    }


def test_only_metadata_of_unowned_objects_is_kept() -> None:
    """Labels select what is watched, and anybody writes them: 700 Jobs of a megabyte are not
    kept.
    """
    known, told = cache()
    job = {"apiVersion": "batch/v1", "kind": "Job", "spec": {"env": "x" * 1_000_000}}
    theirs = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "d",
        "uid": "u9",
        "controller": True,
    }
    for name, references in (("a", []), ("b", [theirs]), ("c", [theirs | {"controller": False}])):
        made = body(name, f"uid-{name}") | job
        made["metadata"]["ownerReferences"] = references
        known.put("batch/v1/Job", made)
        kept = known.get("batch/v1/Job", "a", name)
        assert kept is not None
        assert len(str(kept)) < 400
    assert all(change.owners == () for change in told)


def test_the_traffic_annotation_of_our_pods_is_kept_whole() -> None:
    known, told = cache()
    set_ = body("set", "s1", kind="ReplicaSet", apiVersion="apps/v1")
    pod = body("pod", "p1", kind="Pod", apiVersion="v1", spec={"containers": []})
    pod["metadata"]["ownerReferences"] = [
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "name": "set",
            "uid": "s1",
            "controller": True,
        }
    ]
    rule = '{"revision":7,"candidate":"' + "c" * 200 + '"}'
    pod["metadata"]["annotations"] = {TRAFFIC_ANNOTATION: rule}
    known.put("apps/v1/ReplicaSet", set_)
    known.put("v1/Pod", pod)
    (kept,) = [change.new for change in told if change.scope == "v1/Pod"]
    assert kept is not None
    assert kept["metadata"]["annotations"] == {TRAFFIC_ANNOTATION: rule}
