"""The owner of an object: by controller references in one namespace, never by labels."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.adapters.kubernetes_api import KINDS
from modelyard.adapters.kubernetes_watch import WATCHED
from modelyard.cache import Cache, Change, Key
from modelyard.kube.names import MANAGED_BY, UID_LABEL
from modelyard.kube.owned import BY_SCOPE, OWNED, parent_of
from modelyard.rbac import Scope, allowed
from tests.unit.builders import PROPERTY

Json = dict[str, Any]
OURS, OTHER = Key("registeredmodels", "risk", "fraud"), Key("registeredmodels", "risk", "other")
LABELS = {MANAGED_BY: "modelyard", UID_LABEL: "uid-fraud"}


def obj(
    scope: str, name: str, parent: Json | None = None, namespace: str = "risk", **more: Any
) -> Json:
    """Return an object that its parent controls; all of them carry our labels."""
    api_version, _, kind = scope.rpartition("/")
    meta: Json = {
        "name": name,
        "namespace": namespace,
        "uid": f"uid-{name}",
        "resourceVersion": "1",
    }
    meta |= {"labels": LABELS, "ownerReferences": [reference(parent)] if parent else []} | more
    return {"apiVersion": api_version, "kind": kind, "metadata": meta}


def reference(owner: Json, **more: Any) -> Json:
    meta = owner["metadata"]
    about = {"name": meta["name"], "uid": meta["uid"], "controller": True}
    return {"apiVersion": owner["apiVersion"], "kind": owner["kind"]} | about | more


MODEL = obj("modelyard.io/v1alpha1/RegisteredModel", "fraud")
ANOTHER = obj("modelyard.io/v1alpha1/RegisteredModel", "other")
DEPLOYMENT = obj("apps/v1/Deployment", "fraud-v1", MODEL)
REPLICA_SET = obj("apps/v1/ReplicaSet", "fraud-v1-abc", DEPLOYMENT)
POD = obj("v1/Pod", "fraud-v1-abc-x", REPLICA_SET)
JOB = obj("batch/v1/Job", "fraud-1", MODEL)
JOB_POD = obj("v1/Pod", "fraud-1-x", JOB)
FAMILY = (MODEL, DEPLOYMENT, REPLICA_SET, POD)


def scope_of(body: Json) -> str:
    own = body["apiVersion"].startswith("modelyard.io/")
    return "registeredmodels" if own else f"{body['apiVersion']}/{body['kind']}"


def known(*bodies: Json) -> tuple[Cache, list[Change]]:
    made, told = Cache(["registeredmodels"]), []
    made.subscribe(told.append)
    for body in bodies:
        made.put(scope_of(body), body)
    return made, told


def owned(cache: Cache, uid: str = "uid-fraud") -> set[str]:
    return {body["metadata"]["name"] for body in cache.owned(uid)}


# --- the table ------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", OWNED, ids=lambda kind: kind.kind)
def test_one_line_of_the_table_defines_watch_path_and_rights(kind: Any) -> None:
    found = KINDS[kind.api_version, kind.kind]
    assert (found in WATCHED) == kind.watched
    assert (found.metadata_only, found.optional) == (kind.metadata_only, kind.optional)
    assert found.path("risk", "x").endswith(f"{kind.api_version}/namespaces/risk/{kind.plural}/x")
    for verb in ("get", "list", "watch", "create", "update", "patch", "delete"):
        assert allowed(Scope.SERVED, verb, kind.group, kind.plural) == (verb in kind.verbs)


def test_objects_of_kubernetes_controllers_are_never_written() -> None:
    for kind in OWNED:
        if kind.through:
            # The operator writes one annotation of a pod, its traffic rule; the policy
            # operator-fence allows no other.
            assert set(kind.verbs) == {"list", "watch"} | (
                {"patch"} if kind.kind == "Pod" else set()
            )
        assert all(scope in BY_SCOPE for scope in kind.through)


# --- one object -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "body",
    [
        obj("v1/ConfigMap", "x"),
        obj("v1/ConfigMap", "x", ownerReferences=[reference(MODEL, controller=False)]),
        obj(
            "v1/ConfigMap",
            "x",
            ownerReferences=[{k: v for k, v in reference(MODEL).items() if k != "controller"}],
        ),
        obj("v1/ConfigMap", "x", DEPLOYMENT),
        obj(
            "v1/ConfigMap",
            "x",
            ownerReferences=[reference(MODEL, apiVersion="modelyard.io.example/v1")],
        ),
        obj("v1/Pod", "x", MODEL),
        obj("v1/Pod", "x", DEPLOYMENT),
        obj("v1/Pod", "x", obj("apps/v1/StatefulSet", "theirs")),
        obj("apps/v1/ReplicaSet", "x", MODEL),
        obj("apps/v1/ReplicaSet", "x", JOB),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "x", "namespace": "risk", "uid": "x", "labels": LABELS},
        },
    ],
)
def test_an_object_without_a_valid_controller_has_no_owner(
    body: Json,
) -> None:
    assert parent_of(body) is None
    cache, told = known(MODEL, DEPLOYMENT, REPLICA_SET, JOB, body)
    assert "x" not in owned(cache)
    assert told[-1].owners == ()


def test_only_the_controller_reference_counts() -> None:
    body = obj(
        "v1/ConfigMap",
        "x",
        ownerReferences=[reference(ANOTHER, controller=False), reference(MODEL)],
    )
    cache, _ = known(MODEL, ANOTHER, body)
    assert (owned(cache), owned(cache, "uid-other")) == ({"x"}, set())


# --- a family -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "order", list(permutations(FAMILY)), ids=lambda order: " ".join(each["kind"] for each in order)
)
def test_a_pod_is_owned_through_its_replica_set_in_whatever_order_they_come(
    order: tuple[Json, ...],
) -> None:
    cache, told = known(*order)
    assert owned(cache) == {"fraud-v1", "fraud-v1-abc-x"}
    # The last object completed the chain, and our object reconciles because of it.
    assert told[-1].own or told[-1].owners == (OURS,)


@pytest.mark.parametrize(
    "order",
    list(permutations(FAMILY[1:])),
    ids=lambda order: " ".join(each["kind"] for each in order),
)
def test_after_deletions_in_any_order_the_index_is_empty(order: tuple[Json, ...]) -> None:
    cache, told = known(*FAMILY)
    for body in order:
        meta = body["metadata"]
        cache.remove(scope_of(body), "risk", meta["name"], meta["uid"])
        assert body["metadata"]["name"] not in owned(cache)
    assert cache._controlled == {}
    assert (told[4].new, told[4].owners) == (None, (OURS,))


def test_a_pod_belongs_to_a_job_too() -> None:
    cache, told = known(MODEL, JOB, JOB_POD)
    assert owned(cache) == {"fraud-1", "fraud-1-x"}
    assert told[-1].owners == (OURS,)


def test_a_pod_s_change_reconciles_our_object_and_a_replica_set_s_status_does_not() -> None:
    cache, told = known(*FAMILY)
    told.clear()
    assert cache.put("v1/Pod", POD | {"metadata": POD["metadata"] | {"resourceVersion": "2"}})
    assert [change.owners for change in told] == [(OURS,)]
    assert cache.put(
        "apps/v1/ReplicaSet",
        REPLICA_SET | {"metadata": REPLICA_SET["metadata"] | {"resourceVersion": "3"}},
    )
    assert len(told) == 1
    assert not cache.put(
        "apps/v1/ReplicaSet",
        REPLICA_SET | {"metadata": REPLICA_SET["metadata"] | {"resourceVersion": "3"}},
    )


def test_of_a_replica_set_only_its_identity_and_owner_are_kept() -> None:
    more = {"labels": LABELS, "annotations": {"a": "b"}, "managedFields": [1]}
    cache, _ = known(
        MODEL,
        DEPLOYMENT,
        REPLICA_SET | {"metadata": REPLICA_SET["metadata"] | more, "spec": {"replicas": 1}},
    )
    kept = cache.get("apps/v1/ReplicaSet", "risk", "fraud-v1-abc")
    assert kept is not None
    assert kept.keys() == {"apiVersion", "kind", "metadata"}
    assert kept["metadata"].keys() == {
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "ownerReferences",
    }


# --- forged and foreign ---------------------------------------------------------------------------
FOREIGN = {
    "in another namespace": (obj("v1/ConfigMap", "x", MODEL, namespace="theirs"),),
    "a family in another namespace": tuple(
        obj(scope, f"x{number}", parent, namespace="theirs")
        for number, (scope, parent) in enumerate(
            [
                ("apps/v1/Deployment", MODEL),
                ("apps/v1/ReplicaSet", DEPLOYMENT),
                ("v1/Pod", REPLICA_SET),
            ]
        )
    ),
    "a pod of somebody's Deployment": (
        theirs := obj("apps/v1/Deployment", "x"),
        below := obj("apps/v1/ReplicaSet", "x-abc", theirs),
        obj("v1/Pod", "x-abc-y", below),
    ),
    "a pod of another model's Deployment": (
        theirs := obj("apps/v1/Deployment", "x", ANOTHER),
        below := obj("apps/v1/ReplicaSet", "x-abc", theirs),
        obj("v1/Pod", "x-abc-y", below),
    ),
    "our uid under another name": (
        obj("v1/ConfigMap", "x", ownerReferences=[reference(MODEL, name="other")]),
    ),
    "our name with another uid": (
        obj("v1/ConfigMap", "x", ownerReferences=[reference(MODEL, uid="forged")]),
    ),
    "our uid as a ReplicaSet's": (
        obj("v1/Pod", "x", ownerReferences=[reference(REPLICA_SET, uid="uid-fraud")]),
    ),
    "a ReplicaSet of the name before": (
        obj("v1/Pod", "x", ownerReferences=[reference(REPLICA_SET, uid="before")]),
    ),
}


@pytest.mark.parametrize("bodies", FOREIGN.values(), ids=FOREIGN)
def test_an_object_with_only_our_labels_is_not_owned(bodies: tuple[Json, ...]) -> None:
    cache, told = known(ANOTHER, *FAMILY)
    told.clear()
    for body in bodies:
        cache.put(scope_of(body), body)
    assert owned(cache) == {"fraud-v1", "fraud-v1-abc-x"}
    assert OURS not in {owner for change in told for owner in change.owners}


def test_an_object_that_changes_its_owner_reconciles_both() -> None:
    body = obj("v1/ConfigMap", "x", MODEL)
    cache, told = known(MODEL, ANOTHER, body)
    assert owned(cache) == {"x"}
    cache.put("v1/ConfigMap", obj("v1/ConfigMap", "x", ANOTHER, resourceVersion="2"))
    assert (owned(cache), owned(cache, "uid-other")) == (set(), {"x"})
    assert told[-1].owners == (OURS, OTHER)
    cache.put("v1/ConfigMap", obj("v1/ConfigMap", "x", resourceVersion="3"))
    assert owned(cache, "uid-other") == set()
    assert told[-1].owners == (OTHER,)


def test_another_object_of_our_name_owns_nothing_of_ours() -> None:
    cache, _ = known(*FAMILY)
    successor = MODEL | {"metadata": MODEL["metadata"] | {"uid": "uid-new", "resourceVersion": "9"}}
    cache.put("registeredmodels", successor)
    assert (owned(cache), owned(cache, "uid-new")) == (set(), set())


# --- any history ----------------------------------------------------------------------------------
BODIES = (
    MODEL,
    ANOTHER,
    DEPLOYMENT,
    REPLICA_SET,
    POD,
    JOB,
    JOB_POD,
    obj("v1/Service", "s", ANOTHER),
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(range(len(BODIES))), st.sampled_from(["put", "orphan", "adopt", "remove"])
    ),
    max_size=25,
)


@PROPERTY
@given(STEPS)
def test_after_any_history_the_index_equals_a_walk_over_all_objects(
    steps: list[tuple[int, str]],
) -> None:
    cache, _ = known()
    now: dict[str, Json] = {}
    for version, (number, step) in enumerate(steps, start=1):
        body = BODIES[number]
        meta = body["metadata"]
        if step == "remove":
            cache.remove(scope_of(body), "risk", meta["name"], meta["uid"], version)
            now.pop(meta["uid"], None)
            continue
        references = {"put": meta["ownerReferences"], "orphan": [], "adopt": [reference(ANOTHER)]}[
            step
        ]
        made = body | {
            "metadata": meta | {"resourceVersion": str(version), "ownerReferences": references}
        }
        cache.put(scope_of(body), made)
        now[meta["uid"]] = made
    for own in ("uid-fraud", "uid-other"):
        assert owned(cache, own) == {
            body["metadata"]["name"] for body in now.values() if _walk(body, now, own)
        }


def _walk(body: Json, now: dict[str, Json], own: str) -> bool:
    """Return whether an object is owned by one of ours, not counting ReplicaSets in between; by
    uids alone.
    """
    if body["kind"] in {"RegisteredModel", "ReplicaSet"}:
        return False
    while body["kind"] != "RegisteredModel":
        parent = parent_of(body)
        if parent is None or parent.uid not in now:
            return False
        body = now[parent.uid]
    return bool(body["metadata"]["uid"] == own)
