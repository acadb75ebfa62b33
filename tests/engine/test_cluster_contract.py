"""One suite against the fake cluster and against the adapter with a real API server, so that the
fake stays true.

Ownership and being in sync are in `test_owned_contract`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from modelyard.adapters.kubernetes_approvals import UNGUARDED
from modelyard.errors import Conflict, Invalid, Unavailable
from modelyard.kube.names import FIELD_MANAGER, MANAGED_BY, TRAFFIC_ANNOTATION, UID_LABEL
from modelyard.plan import Delete, Manifest, SetTrafficRule, Suspend
from tests.cluster.apiserver import ApiServer
from tests.engine.ground import (
    DEPLOYMENTS,
    JOBS,
    MAPS,
    PODS,
    TOYS,
    Ground,
    config_map,
    deployment,
    job,
    names,
    owned,
    pod,
    real,
    there,
)
from tests.engine.toy import manifest
from tests.fakes.cluster import controlled_by


# --- apply ----------------------------------------------------------------------------------------
async def test_apply_creates_and_the_cache_has_it_at_once(ground: Ground, name: str) -> None:
    await ground.port.apply(config_map(name, ground.owner, {"a": "1"}))
    seen = owned(ground)
    assert [(child["apiVersion"], child["kind"]) for child in seen] == [("v1", "ConfigMap")]
    assert seen[0]["metadata"]["uid"]
    assert "data" not in seen[0], "of a ConfigMap only the metadata is kept"
    assert (await there(ground, MAPS, name))["data"] == {"a": "1"}


async def test_applying_the_same_again_changes_nothing(ground: Ground, name: str) -> None:
    await ground.port.apply(config_map(name, ground.owner, {"a": "1"}))
    before = await ground.live(MAPS, name)
    await ground.port.apply(config_map(name, ground.owner, {"a": "1"}))
    after = await ground.live(MAPS, name)
    assert before is not None
    assert after is not None
    assert before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]


async def test_dropped_fields_are_removed_and_others_fields_stay(ground: Ground, name: str) -> None:
    await ground.port.apply(
        config_map(name, ground.owner, {"ours": "1", "dropped": "1"}, {"ours": "1"})
    )
    await ground.edit(
        MAPS,
        name,
        {"data": {"theirs": "1", "ours": "overwritten"}, "metadata": {"labels": {"theirs": "1"}}},
    )
    await ground.port.apply(config_map(name, ground.owner, {"ours": "2"}, {"ours": "2"}))
    live = await there(ground, MAPS, name)
    assert live["data"] == {"ours": "2", "theirs": "1"}
    ours = {UID_LABEL: ground.owner["metadata"]["uid"], MANAGED_BY: FIELD_MANAGER}
    assert live["metadata"]["labels"] == ours | {"ours": "2", "theirs": "1"}


async def test_containers_merge_by_name(ground: Ground, name: str) -> None:
    one, two = {"name": "one", "image": "a"}, {"name": "two", "image": "b"}
    await ground.port.apply(deployment(name, ground.owner, [one, two]))
    await ground.port.apply(deployment(name, ground.owner, [{"name": "one", "image": "new"}]))
    live = await there(ground, DEPLOYMENTS, name)
    assert [(c["name"], c["image"]) for c in live["spec"]["template"]["spec"]["containers"]] == [
        ("one", "new")
    ]
    assert live["metadata"]["generation"] == 2


async def test_a_change_of_an_immutable_field_is_refused(ground: Ground, name: str) -> None:
    await ground.port.apply(deployment(name, ground.owner, [{"name": "one", "image": "a"}]))
    with pytest.raises(Invalid, match="immutable"):
        await ground.port.apply(
            deployment(name, ground.owner, [{"name": "one", "image": "a"}], selector="b")
        )


@pytest.mark.parametrize("forged", [False, True], ids=["without our labels", "with our labels"])
async def test_an_object_without_a_controller_is_never_adopted(
    ground: Ground, name: str, forged: bool
) -> None:
    theirs = config_map(name, ground.owner, {"theirs": "1"})
    del theirs["metadata"]["ownerReferences"]
    if not forged:
        del theirs["metadata"]["labels"]
    await ground.create(theirs)
    with pytest.raises(Invalid, match="exists already, and has another owner"):
        await ground.port.apply(config_map(name, ground.owner, {"ours": "1"}))
    assert (await there(ground, MAPS, name))["data"] == {"theirs": "1"}
    assert names(ground) == set()


async def test_an_object_of_another_controller_is_never_adopted(ground: Ground, name: str) -> None:
    other = await ground.create(manifest(f"{name}-other"))
    forged = config_map(name, ground.owner, {"a": "1"})
    forged["metadata"]["ownerReferences"] = [controlled_by(other)]
    await ground.create(forged)
    with pytest.raises(
        Invalid, match=f"the Experiment {name}-other owns an object of this name already; rename"
    ):
        await ground.port.apply(config_map(name, ground.owner, {"a": "2"}))
    assert names(ground) == set()


async def test_a_status_is_not_applied(ground: Ground, name: str) -> None:
    await ground.port.apply(
        deployment(name, ground.owner, [{"name": "one", "image": "a"}])
        | {"status": {"replicas": 7}}
    )
    live = await there(ground, DEPLOYMENTS, name)
    assert live.get("status", {}).get("replicas") != 7


# --- suspend --------------------------------------------------------------------------------------
async def test_a_job_is_suspended_and_resumed_and_nothing_else_of_it_changes(
    ground: Ground, name: str
) -> None:
    await ground.port.apply(job(name, ground.owner))
    await ground.edit(
        JOBS, name, {"metadata": {"labels": {"theirs": "1"}}, "spec": {"backoffLimit": 3}}
    )
    before = await there(ground, JOBS, name)
    for suspend in (True, False):
        await ground.port.suspend("risk", Suspend(name, before["metadata"]["uid"], suspend))
        after = await there(ground, JOBS, name)
        assert after["spec"] == before["spec"] | {"suspend": suspend}
        assert after["metadata"]["labels"] == before["metadata"]["labels"]
        assert [child["spec"]["suspend"] for child in owned(ground)] == [suspend]


async def test_another_job_of_the_same_name_is_not_suspended(ground: Ground, name: str) -> None:
    await ground.port.apply(job(name, ground.owner))
    with pytest.raises(Conflict):
        await ground.port.suspend("risk", Suspend(name, "another-uid", suspend=True))
    assert (await there(ground, JOBS, name))["spec"]["suspend"] is False


async def test_a_deleted_job_is_not_suspended_and_leaves_the_cache(
    ground: Ground, name: str
) -> None:
    await ground.port.apply(job(name, ground.owner))
    (uid,) = [child["metadata"]["uid"] for child in owned(ground)]
    await ground.remove(JOBS, name)
    with pytest.raises(Conflict):
        await ground.port.suspend("risk", Suspend(name, uid, suspend=True))
    assert names(ground) == set()


# --- pod annotations
# ------------------------------------------------------------------------------------------
def told(ground: Ground, name: str) -> list[str | None]:
    """Return the annotation of a pod of ours, as the cache has it."""
    ours = (body for body in owned(ground) if body["metadata"]["name"] == name)
    return [(body["metadata"].get("annotations") or {}).get(TRAFFIC_ANNOTATION) for body in ours]


async def test_only_the_traffic_annotation_of_a_pod_is_set_and_removed(
    ground: Ground, name: str
) -> None:
    name_of = (made := await pod(ground, name))["metadata"]["name"]
    before = await ground.edit(
        PODS, name_of, {"metadata": {"annotations": {"cni.example/address": "10.0.0.7"}}}
    )
    for rule in ('{"revision":1}', '{"revision":2,"weight":50}', None, None):
        await ground.port.tell("risk", SetTrafficRule(name_of, made["metadata"]["uid"], rule))
        after = await there(ground, PODS, name_of)
        said = {"cni.example/address": "10.0.0.7"} | ({TRAFFIC_ANNOTATION: rule} if rule else {})
        assert after["metadata"]["annotations"] == said
        assert [after.get(key) for key in ("spec", "status")] == [
            before.get(key) for key in ("spec", "status")
        ]
        assert after["metadata"]["labels"] == before["metadata"]["labels"]
        assert told(ground, name_of) == [rule], "the answer is known at once"


async def test_removing_a_missing_annotation_changes_nothing(ground: Ground, name: str) -> None:
    made = await pod(ground, name)
    await ground.port.tell(
        "risk", SetTrafficRule(made["metadata"]["name"], made["metadata"]["uid"], None)
    )
    assert "annotations" not in (await there(ground, PODS, made["metadata"]["name"]))["metadata"]


async def test_another_pod_of_the_same_name_is_not_annotated(ground: Ground, name: str) -> None:
    made = await pod(ground, name)
    with pytest.raises(Conflict):
        await ground.port.tell(
            "risk", SetTrafficRule(made["metadata"]["name"], "another-uid", '{"revision":1}')
        )
    assert "annotations" not in (await there(ground, PODS, made["metadata"]["name"]))["metadata"]


async def test_annotating_a_deleted_pod_is_no_error_and_it_leaves_the_cache(
    ground: Ground, name: str
) -> None:
    made = await pod(ground, name)
    await ground.remove(PODS, made["metadata"]["name"])
    await ground.port.tell(
        "risk", SetTrafficRule(made["metadata"]["name"], made["metadata"]["uid"], '{"revision":1}')
    )
    assert await ground.live(PODS, made["metadata"]["name"]) is None
    assert names(ground) == {name}


# --- delete ---------------------------------------------------------------------------------------
async def test_a_deleted_owned_object_leaves_the_cache_at_once(ground: Ground, name: str) -> None:
    await ground.port.apply(config_map(name, ground.owner, {}))
    (uid,) = [child["metadata"]["uid"] for child in owned(ground)]
    await ground.port.delete("risk", Delete("v1", "ConfigMap", name, uid))
    assert await ground.live(MAPS, name) is None
    assert names(ground) == set()


async def test_another_object_of_the_same_name_is_not_deleted(ground: Ground, name: str) -> None:
    await ground.port.apply(config_map(name, ground.owner, {}))
    await ground.port.delete("risk", Delete("v1", "ConfigMap", name, "another-uid"))
    assert await ground.live(MAPS, name) is not None


async def test_deleting_a_missing_object_is_no_error(ground: Ground, name: str) -> None:
    await ground.port.delete("risk", Delete("v1", "ConfigMap", name, "uid"))


async def test_an_owned_object_with_a_finalizer_stays_in_the_cache_as_deleting(
    ground: Ground, name: str
) -> None:
    body = config_map(name, ground.owner, {})
    body["metadata"]["finalizers"] = ["test.example/holds"]
    made = await ground.create(body)
    await ground.port.delete("risk", Delete("v1", "ConfigMap", name, made["metadata"]["uid"]))
    assert ["deletionTimestamp" in child["metadata"] for child in owned(ground)] == [True]
    await ground.edit(MAPS, name, {"metadata": {"finalizers": []}})


# --- our own objects ------------------------------------------------------------------------------
async def test_a_status_is_replaced_as_a_whole_whether_or_not_it_existed(
    ground: Ground, name: str
) -> None:
    made = await ground.create(
        manifest(name, value="x") | {"status": {"dropped": "by the API server"}}
    )
    assert "status" not in made
    first = await ground.port.write_status(made, {"a": 1, "list": [1]})
    second = await ground.port.write_status(first, {"b": 2})
    assert (first["status"], second["status"]) == ({"a": 1, "list": [1]}, {"b": 2})
    assert second["metadata"]["generation"] == 1
    live = await there(ground, TOYS, name)
    assert live["status"] == {"b": 2}


async def test_a_status_does_not_reach_another_object_of_the_same_name(
    ground: Ground, name: str
) -> None:
    made = await ground.create(manifest(name))
    await ground.remove(TOYS, name)
    await ground.create(manifest(name))
    with pytest.raises(Conflict):
        await ground.port.write_status(made, {"a": 1})
    live = await there(ground, TOYS, name)
    assert "status" not in live


async def test_a_status_of_a_deleted_object_is_a_conflict_and_it_leaves_the_cache(
    ground: Ground, name: str
) -> None:
    made = await ground.create(manifest(name))
    await ground.remove(TOYS, name)
    with pytest.raises(Conflict):
        await ground.port.write_status(made, {"a": 1})
    assert ground.port.get(TOYS, "risk", name) is None


@pytest.mark.parametrize(
    "change",
    [{"spec": {"value": "y"}}, {"metadata": {"annotations": {"a": "1"}}}],
    ids=["spec", "annotation"],
)
async def test_a_status_for_an_older_resource_version_is_a_conflict(
    ground: Ground, name: str, change: Manifest
) -> None:
    made = await ground.create(manifest(name, value="x"))
    newer = await ground.edit(TOYS, name, change)
    with pytest.raises(Conflict):
        await ground.port.write_status(made, {"decided": "on what is no longer so"})
    assert "status" not in await there(ground, TOYS, name)
    # The cache has the version for the next decision, though no watch runs here.
    known = ground.port.get(TOYS, "risk", name)
    assert known is not None
    assert known["metadata"]["resourceVersion"] == newer["metadata"]["resourceVersion"]
    written = await ground.port.write_status(known, {"decided": "on what is so"})
    assert (
        (await there(ground, TOYS, name))["status"]
        == written["status"]
        == {"decided": "on what is so"}
    )


async def test_finalizers_need_the_newest_version(ground: Ground, name: str) -> None:
    made = await ground.create(manifest(name))
    newer = await ground.port.set_finalizers(made, ("modelyard.io/external-cleanup",))
    assert newer["metadata"]["finalizers"] == ["modelyard.io/external-cleanup"]
    with pytest.raises(Conflict):
        await ground.port.set_finalizers(made, ())
    await ground.port.set_finalizers(newer, ())
    live = await there(ground, TOYS, name)
    assert not live["metadata"].get("finalizers")


async def test_an_object_is_deleted_with_its_last_finalizer_and_accepts_no_new_one(
    ground: Ground, name: str
) -> None:
    made = await ground.port.set_finalizers(
        await ground.create(manifest(name)), ("modelyard.io/external-cleanup",)
    )
    await ground.remove(TOYS, name)
    leaving = await ground.live(TOYS, name)
    assert leaving is not None
    assert "deletionTimestamp" in leaving["metadata"]
    with pytest.raises(Invalid):
        await ground.port.set_finalizers(
            leaving, ("modelyard.io/external-cleanup", "another.example/one")
        )
    with pytest.raises(Conflict):
        await ground.port.set_finalizers(made, ())
    await ground.port.set_finalizers(leaving, ())
    assert await ground.live(TOYS, name) is None


async def test_all_pages_together_are_all_objects(ground: Ground, name: str) -> None:
    names = {f"{name}-{number}" for number in range(5)}
    for each in names:
        await ground.create(manifest(each))
    found, token = set(), ""
    while True:
        page, token = await ground.port.page(TOYS, token)
        found |= {body["metadata"]["name"] for body in page}
        if not token:
            break
    assert names <= found


async def test_only_changes_of_the_spec_raise_the_generation(ground: Ground, name: str) -> None:
    await ground.create(manifest(name))
    labelled = await ground.edit(TOYS, name, {"metadata": {"labels": {"a": "b"}}})
    changed = await ground.edit(TOYS, name, {"spec": {"value": "x"}})
    assert (labelled["metadata"]["generation"], changed["metadata"]["generation"]) == (1, 2)


# --- Secrets, events, policies
# --------------------------------------------------------------------------------------
async def test_a_secret_is_read_by_name(ground: Ground) -> None:
    assert await ground.port.secret("risk", "there") == {"KEY": "value"}
    assert await ground.port.secret("risk", "nowhere") is None


async def test_the_creation_error_of_a_job_is_that_of_its_newest_event(
    ground: Ground, name: str
) -> None:
    made = await ground.create(manifest(name))
    uid = made["metadata"]["uid"]
    assert await ground.port.creation_error("risk", uid) is None
    await ground.tell(made, "FailedCreate", "exceeded quota: old", 1)
    await ground.tell(made, "FailedCreate", "exceeded quota: new", 3)
    await ground.tell(made, "FailedCreate", "exceeded quota: between", 2)
    await ground.tell(made, "SuccessfulCreate", "created pod", 4)
    assert await ground.port.creation_error("risk", uid) == "exceeded quota: new"
    assert await ground.port.creation_error("risk", "another") is None


async def test_a_refused_event_is_dropped_without_an_error(ground: Ground, name: str) -> None:
    made = await ground.create(manifest(name))
    await ground.port.event(made, "Reason", "A message.", warning=False)
    await ground.port.event(made, "not a reason" * 50, "x" * 5000, warning=True)


async def test_approvals_are_trusted_while_the_policies_are_in_force(ground: Ground) -> None:
    await ground.guard(in_force=True)
    try:
        assert await ground.port.unguarded("risk") is None
    finally:
        await ground.guard(in_force=False)
    assert await ground.port.unguarded("risk") == UNGUARDED


async def test_the_adapter_reads_what_the_api_server_serves(server: ApiServer) -> None:
    async with real(server) as made:
        assert await made.port.unserved(["experiments", "trainingruns"]) == ("trainingruns",)
        assert "kubernetes.io/metadata.name" in await made.port.namespace_labels("risk")


async def test_nothing_is_written_while_the_fence_is_closed(server: ApiServer, name: str) -> None:
    async with real(server) as made:

        def closed() -> None:
            raise Unavailable("Kubernetes", "write", "anything")

        made.port._api.fence = closed
        writes: list[Callable[[], Any]] = [
            lambda: made.port.apply(config_map(name, made.owner, {})),
            lambda: made.port.delete("risk", Delete("v1", "ConfigMap", name, "x")),
            lambda: made.port.suspend("risk", Suspend(name, "x", suspend=True)),
            lambda: made.port.tell("risk", SetTrafficRule(name, "x", None)),
            lambda: made.port.write_status(made.owner, {}),
            lambda: made.port.set_finalizers(made.owner, ()),
        ]
        for write in writes:
            with pytest.raises(Unavailable, match="write anything"):
                await write()
        assert await made.live(MAPS, name) is None
