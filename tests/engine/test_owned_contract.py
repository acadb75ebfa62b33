"""Ownership and being in sync: one suite against the fake cluster and against a real API server."""

from __future__ import annotations

import pytest

from modelyard.kube.applied import in_sync
from modelyard.kube.names import APPLIED_ANNOTATION
from tests.engine.ground import (
    DEPLOYMENTS,
    MAPS,
    REPLICA_SETS,
    SERVICES,
    Ground,
    config_map,
    deployment,
    names,
    owned,
    pod,
    service,
    there,
)


# --- what is owned --------------------------------------------------------------------------------
async def test_an_object_in_another_namespace_is_not_owned(ground: Ground, name: str) -> None:
    forged = config_map(name, ground.owner, {})
    forged["metadata"]["namespace"] = "fraud"
    await ground.create(forged)
    assert names(ground) == set()
    assert ground.cache.get(MAPS, "fraud", name) is not None


@pytest.mark.parametrize("ours", [True, False], ids=["ours", "somebody's"])
async def test_pods_are_owned_through_the_replica_set_of_our_deployment(
    ground: Ground, name: str, ours: bool
) -> None:
    await pod(ground, name, ours=ours)
    assert names(ground) == ({name, f"{name}-abc-x"} if ours else set())
    assert ground.cache.get(REPLICA_SETS, "risk", f"{name}-abc") is not None


# --- what is in sync ------------------------------------------------------------------------------
async def test_an_applied_object_is_in_sync(ground: Ground, name: str) -> None:
    for scope, made in {
        MAPS: config_map(name, ground.owner, {"a": "1"}),
        SERVICES: service(name, ground.owner),
        DEPLOYMENTS: deployment(
            name, ground.owner, [{"name": "one", "image": "a", "ports": [{"containerPort": 80}]}]
        ),
    }.items():
        await ground.port.apply(made)
        assert in_sync(made, await there(ground, scope, name))
    assert all(APPLIED_ANNOTATION in body["metadata"]["annotations"] for body in owned(ground))


async def test_fields_that_others_add_are_no_difference_and_stay(ground: Ground, name: str) -> None:
    """`kubectl set env`, `kubectl label`, `kubectl annotate`, a sidecar."""
    made = deployment(
        name,
        ground.owner,
        [{"name": "one", "image": "a", "env": [{"name": "OURS", "value": "1"}]}],
        nodeSelector={"a": "b"},
    )
    await ground.port.apply(made)
    live = await there(ground, DEPLOYMENTS, name)
    containers = live["spec"]["template"]["spec"]["containers"]
    containers[0]["env"] = [{"name": "THEIRS", "value": "1"}, *containers[0]["env"]]
    containers = [*containers, {"name": "sidecar", "image": "b"}]
    about = {"labels": {"theirs": "1"}, "annotations": {"theirs": "1"}}
    await ground.edit(
        DEPLOYMENTS,
        name,
        {"metadata": about, "spec": {"template": {"spec": {"containers": containers}}}},
    )
    edited = await there(ground, DEPLOYMENTS, name)
    assert edited["metadata"]["generation"] == 2
    assert in_sync(made, edited)
    await ground.port.apply(made)
    after = await there(ground, DEPLOYMENTS, name)
    pod = after["spec"]["template"]["spec"]
    assert {each["name"] for each in pod["containers"]} == {"one", "sidecar"}
    assert {each["name"] for each in pod["containers"][0]["env"]} == {"OURS", "THEIRS"}
    assert (after["metadata"]["labels"]["theirs"], after["metadata"]["annotations"]["theirs"]) == (
        "1",
        "1",
    )
    assert after["metadata"]["generation"] == 2


async def test_a_dropped_field_is_a_difference_and_is_removed(ground: Ground, name: str) -> None:
    container = {
        "name": "one",
        "image": "a",
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
    }
    more = deployment(name, ground.owner, [container], nodeSelector={"pool": "gpu"})
    less = deployment(name, ground.owner, [container | {"env": container["env"][:1]}])
    await ground.port.apply(more)
    assert not in_sync(less, await there(ground, DEPLOYMENTS, name))
    await ground.port.apply(less)
    live = await there(ground, DEPLOYMENTS, name)
    assert "nodeSelector" not in live["spec"]["template"]["spec"]
    assert [each["name"] for each in live["spec"]["template"]["spec"]["containers"][0]["env"]] == [
        "A"
    ]
    assert in_sync(less, live)
    assert not in_sync(more, live)


async def test_a_changed_field_of_ours_is_a_difference_and_is_reverted(
    ground: Ground, name: str
) -> None:
    made = deployment(
        name,
        ground.owner,
        [{"name": "one", "image": "a", "command": ["run"]}],
        nodeSelector={"pool": "gpu"},
    )
    await ground.port.apply(made)
    live = await there(ground, DEPLOYMENTS, name)
    container = live["spec"]["template"]["spec"]["containers"][0] | {"command": ["run", "--theirs"]}
    pod = {"containers": [container], "nodeSelector": {"pool": "cpu", "theirs": "1"}}
    await ground.edit(DEPLOYMENTS, name, {"spec": {"replicas": 5, "template": {"spec": pod}}})
    assert not in_sync(made, await there(ground, DEPLOYMENTS, name))
    await ground.port.apply(made)
    after = await there(ground, DEPLOYMENTS, name)
    assert in_sync(made, after)
    assert after["spec"]["replicas"] == 1
    assert after["spec"]["template"]["spec"]["nodeSelector"] == {"pool": "gpu"}
    assert after["spec"]["template"]["spec"]["containers"][0]["command"] == ["run"]


async def test_an_extra_label_in_a_selector_is_a_difference_and_is_removed(
    ground: Ground, name: str
) -> None:
    made = service(name, ground.owner)
    await ground.port.apply(made)
    await ground.edit(SERVICES, name, {"spec": {"selector": {"theirs": "1"}}})
    assert not in_sync(made, await there(ground, SERVICES, name))
    await ground.port.apply(made)
    after = await there(ground, SERVICES, name)
    assert after["spec"]["selector"] == {"app": "a"}
    assert in_sync(made, after)


async def test_objects_without_a_stamp_are_applied_once_more(ground: Ground, name: str) -> None:
    made = deployment(name, ground.owner, [{"name": "one", "image": "a"}])
    await ground.older(made)
    before = await there(ground, DEPLOYMENTS, name)
    assert not in_sync(made, before)
    await ground.port.apply(made)
    live = await there(ground, DEPLOYMENTS, name)
    assert in_sync(made, live)
    assert live["spec"] == before["spec"]  # no pod is replaced
    assert live["metadata"]["generation"] == 2
