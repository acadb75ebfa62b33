"""Other clients change owned objects, or create objects that look owned."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from modelyard.kube.names import version_workload
from modelyard.plan import Manifest
from modelyard.registered_model import build
from tests.fakes.cluster import controlled_by
from tests.story.test_life import fraud
from tests.story.world import NAMESPACE, RUNTIME, World

DEPLOYMENT, POD, SERVICE = "apps/v1/Deployment", "v1/Pod", "v1/Service"
NAME = "v1"
"""The Deployment of this version, where a Deployment is meant."""
SELECTOR = {"pool": "serving"}


async def served(**serving: Any) -> World:
    """Return a world in which v1 is effective in production."""
    world = World()
    fraud(world)
    stage = {"version": "v1", "serving": {"replicas": 1} | serving}
    world.patch("registeredmodels", "fraud", lambda spec: spec["stages"].update(production=stage))
    await world.run()
    assert world.condition("registeredmodels", "fraud") == ("True", "Serving")
    world.calls.log.clear()
    return world


def identity(world: World, version: str) -> str:
    """Return the identity of a version's serving objects."""
    found = next(
        each
        for each in world.status("registeredmodels", "fraud")["versions"]
        if each["name"] == version
    )
    return build.served(version, found["digest"], RUNTIME).runtime.identity


def named(world: World, scope: str, name: str) -> str:
    """Return an object's name; that of a Deployment for a version."""
    return (
        version_workload("fraud", "production", name, identity(world, name))
        if scope == DEPLOYMENT
        else name
    )


def live(world: World, scope: str, name: str, namespace: str = NAMESPACE) -> Manifest:
    body = world.cluster.live(scope, namespace, named(world, scope, name))
    assert body is not None
    return body


def pod_of(body: Manifest) -> Manifest:
    spec: Manifest = body["spec"]["template"]["spec"]
    return spec


# --- fields of others, and fields that we dropped
# ----------------------------------------------------
ADDED: dict[str, Callable[[Manifest], Any]] = {
    "a variable": lambda body: pod_of(body)["containers"][0]["env"].append(
        {"name": "THEIRS", "value": "1"}
    ),
    "a sidecar": lambda body: pod_of(body)["containers"].append(
        {"name": "sidecar", "image": "proxy"}
    ),
    "a volume": lambda body: pod_of(body)["volumes"].insert(0, {"name": "theirs", "emptyDir": {}}),
    "a label": lambda body: body["metadata"]["labels"].update(theirs="1"),
    "an annotation": lambda body: body["metadata"]["annotations"].update(
        {"deployment.kubernetes.io/revision": "2"}
    ),
}


@pytest.mark.parametrize("change", ADDED.values(), ids=ADDED)
async def test_fields_that_another_controller_adds_to_a_deployment_stay_and_cause_no_write(
    change: Callable[[Manifest], Any],
) -> None:
    world = await served()
    edited = world.cluster.edit(DEPLOYMENT, NAMESPACE, named(world, DEPLOYMENT, NAME), change)
    await world.run(timedelta(seconds=30))
    assert world.calls.named("apply", "delete") == []
    assert len(world.calls.log) < 30
    after = live(world, DEPLOYMENT, NAME)
    assert (after["spec"], after["metadata"]["labels"]) == (
        edited["spec"],
        edited["metadata"]["labels"],
    )
    # And statuses are written as always.
    world.patch(
        "registeredmodels",
        "fraud",
        lambda spec: spec["stages"]["production"]["serving"].update(replicas=2),
    )
    await world.run()
    assert world.status("registeredmodels", "fraud")["stages"]["production"]["readyReplicas"] == 2


@pytest.mark.parametrize(
    "given",
    [{"nodeSelector": SELECTOR}, {"tolerations": [{"key": "gpu", "operator": "Exists"}]}],
    ids=str,
)
async def test_a_field_removed_from_the_spec_is_removed_from_the_deployment(
    given: Manifest,
) -> None:
    (field,) = given
    world = await served(**given)
    assert pod_of(live(world, DEPLOYMENT, NAME))[field] == given[field]
    world.patch(
        "registeredmodels", "fraud", lambda spec: spec["stages"]["production"]["serving"].pop(field)
    )
    await world.run()
    assert field not in pod_of(live(world, DEPLOYMENT, NAME))
    assert len(world.calls.named("apply")) == 1
    assert world.condition("registeredmodels", "fraud") == ("True", "Serving")


CHANGED: dict[str, tuple[str, str, Callable[[Manifest], Any]]] = {
    "the command": (
        DEPLOYMENT,
        NAME,
        lambda body: pod_of(body)["containers"][0]["command"].append("--theirs"),
    ),
    "the number of pods": (DEPLOYMENT, NAME, lambda body: body["spec"].update(replicas=5)),
    "a pool more": (DEPLOYMENT, NAME, lambda body: pod_of(body)["nodeSelector"].update(theirs="1")),
    "the address": (
        SERVICE,
        "fraud-production",
        lambda body: body["spec"]["selector"].update(theirs="1"),
    ),
    "our stamp": (DEPLOYMENT, NAME, lambda body: body["metadata"].pop("annotations")),
    "our label": (
        SERVICE,
        "fraud-production",
        lambda body: body["metadata"]["labels"].pop("modelyard.io/uid"),
    ),
}


@pytest.mark.parametrize(("scope", "name", "change"), CHANGED.values(), ids=CHANGED)
async def test_a_changed_field_of_ours_is_put_back_by_one_apply(
    scope: str, name: str, change: Callable[[Manifest], Any]
) -> None:
    world = await served(nodeSelector=SELECTOR)
    before = live(world, scope, name)
    world.cluster.edit(scope, NAMESPACE, named(world, scope, name), change)
    await world.run(timedelta(seconds=30))
    after = live(world, scope, name)
    assert (after["spec"], after["metadata"]["labels"]) == (
        before["spec"],
        before["metadata"]["labels"],
    )
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"]
    assert len(world.calls.named("apply")) == 1


# --- objects that only look owned
# ---------------------------------------------------------------------
def forged(
    body: Manifest, name: str, namespace: str = NAMESPACE, owner: Manifest | None = None
) -> Manifest:
    """Return an object with our labels that is not ours."""
    meta = body["metadata"]
    labels = meta["labels"] | {"modelyard.io/version": "v0"}
    about: Manifest = {"name": name, "namespace": namespace, "labels": labels}
    about |= {"ownerReferences": [controlled_by(owner)]} if owner else {}
    return {key: body[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": about}


async def test_a_deployment_with_our_labels_is_neither_deleted_nor_waited_for() -> None:
    world = await served()
    ours = live(world, DEPLOYMENT, NAME)
    model = world.get("registeredmodels", "fraud")
    for name, namespace, owner in (
        ("theirs", NAMESPACE, None),
        (ours["metadata"]["name"], "theirs", model),
        ("theirs", "theirs", None),
    ):
        world.cluster.create(forged(ours, name, namespace, owner))
    await world.run()
    assert world.calls.named("apply", "delete") == []
    assert world.condition("registeredmodels", "fraud") == ("True", "Serving")
    world.promote("fraud", "production", None)
    await world.run()
    left = {
        (body["metadata"]["namespace"], body["metadata"]["name"])
        for body in world.cluster.all(DEPLOYMENT)
    }
    assert left == {
        (NAMESPACE, "theirs"),
        ("theirs", ours["metadata"]["name"]),
        ("theirs", "theirs"),
    }


async def test_a_pod_with_our_labels_does_not_affect_our_version() -> None:
    """A candidate is not rejected for the message of another user's pod."""
    world = await served()
    world.promote("fraud", "production", "v2")
    theirs = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "theirs", "namespace": NAMESPACE},
    }
    above = world.cluster.create(theirs)
    labels = live(world, DEPLOYMENT, NAME)["metadata"]["labels"]
    labels = labels | {"modelyard.io/version": "v2", "modelyard.io/identity": identity(world, "v2")}
    ended = {
        "name": "model",
        "state": {"terminated": {"exitCode": 67, "message": '{"reason": "CodeModelForbidden"}'}},
    }
    for number, owner in enumerate((None, above, world.get("registeredmodels", "fraud"))):
        about = {
            "name": f"theirs-{number}",
            "namespace": NAMESPACE,
            "labels": labels,
            "creationTimestamp": "2100-01-01T00:00:00Z",
        }
        about |= {"ownerReferences": [controlled_by(owner)]} if owner else {}
        world.cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": {}})
        world.cluster.edit(
            POD,
            NAMESPACE,
            f"theirs-{number}",
            lambda body: body.update(status={"containerStatuses": [ended]}),
        )
    await world.run()
    assert world.condition("registeredmodels", "fraud") == ("True", "Serving")
    assert world.serving("fraud-production") == "v2"


async def test_a_job_with_our_labels_outlives_our_run() -> None:
    world = World()
    fraud(world)
    await world.run()
    (ours, *_) = [
        body
        for body in world.cluster.all("batch/v1/Job")
        if body["metadata"]["name"].startswith("fraud-001")
    ]
    world.cluster.create(forged(ours, "theirs") | {"status": {}})
    world.cluster.edit(
        "batch/v1/Job", NAMESPACE, "theirs", lambda body: body["spec"].update(suspend=True)
    )
    world.cluster.remove("trainingruns", NAMESPACE, "fraud-001")
    await world.run()
    assert world.cluster.live("trainingruns", NAMESPACE, "fraud-001") is None
    assert [body["metadata"]["name"] for body in world.cluster.all("batch/v1/Job")] == [
        "fraud-002-1",
        "theirs",
    ]


async def test_another_owner_s_object_with_our_labels_is_not_taken_over() -> None:
    world = await served()
    theirs = forged(live(world, DEPLOYMENT, NAME), named(world, DEPLOYMENT, "v2"))
    world.cluster.create(theirs)
    world.promote("fraud", "production", "v2")
    await world.run()
    assert world.serving("fraud-production") == "v1"
    assert "ownerReferences" not in live(world, DEPLOYMENT, "v2")["metadata"]
    assert world.condition("registeredmodels", "fraud")[0] == "False"
