"""The watches of owned objects, on a real API server: what they select, in which form, and a
missing API.
"""

from __future__ import annotations

import asyncio
from asyncio.trsock import TransportSocket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from modelyard.adapters.kubernetes import Kubernetes
from modelyard.adapters.kubernetes_api import KINDS, Api, Kind, configuration
from modelyard.adapters.kubernetes_watch import WATCHED, Watch
from modelyard.cache import Cache, Change, Key
from modelyard.kube.applied import same_content, with_content
from modelyard.kube.names import FIELD_MANAGER, MANAGED_BY, UID_LABEL
from modelyard.plan import Manifest
from tests.cluster.apiserver import ApiServer
from tests.engine.ground import TOYS, config_map, deployment
from tests.engine.proxy import Proxy
from tests.engine.rig import CRDS, User, until
from tests.fakes.cluster import controlled_by

MAPS, PODS, SETS = KINDS["v1", "ConfigMap"], KINDS["v1", "Pod"], KINDS["apps/v1", "ReplicaSet"]
DEPLOYMENTS = KINDS["apps/v1", "Deployment"]
WIDGETS = Kind("example.modelyard.io/v1", "Widget", "widgets", optional=True)


class Side:
    """The operator's side: a cache, the adapter, and its running watches."""

    def __init__(self, api: Api) -> None:
        self.api, self.cache = api, Cache([TOYS])
        self.port = Kubernetes(api, self.cache)
        self.told: list[Change] = []
        self.cache.subscribe(self.told.append)
        self.restarts: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def watch(self, *kinds: Kind, namespace: str | None = None) -> None:
        """Start watching; return when the first lists are complete."""
        note = lambda plural, reason: self.restarts.append(f"{plural} {reason}")  # noqa: E731
        watches = [
            Watch(self.api, self.cache, kind, namespace, absent=0.2, restarted=note)
            for kind in kinds
        ]
        self.tasks += [asyncio.create_task(each.run()) for each in watches]
        async with asyncio.timeout(90):
            for each in watches:
                await each.synced.wait()

    def owned(self, owner: Manifest) -> set[str]:
        return {body["metadata"]["name"] for body in self.cache.owned(owner["metadata"]["uid"])}

    def sockets(self) -> list[TransportSocket]:
        """Return the sockets that requests are using now; aiohttp closes them without waiting."""
        connector = self.api._session.connector
        assert connector is not None
        transports = [each.transport for each in connector._acquired]
        return [each.get_extra_info("socket") for each in transports if each is not None]

    async def knows(self, kind: Kind, name: str, namespace: str = "risk") -> Manifest:
        async def known() -> Manifest | None:
            return self.cache.get(kind.scope, namespace, name)

        return await until(known, f"{kind.kind} {name} is known", 30)


@asynccontextmanager
async def operating(kubeconfig: Any) -> AsyncIterator[Side]:
    api = Api(await configuration(str(kubeconfig)), lambda *_: None, deadline=60)
    made = Side(api)
    try:
        yield made
    finally:
        sockets = made.sockets()
        for task in made.tasks:
            task.cancel()
        await asyncio.gather(*made.tasks, return_exceptions=True)
        await api.close()

        async def closed() -> bool:
            return all(each.fileno() == -1 for each in sockets)

        await until(closed, "TLS has said goodbye")


@pytest.fixture
async def side(server: ApiServer) -> AsyncIterator[Side]:
    async with operating(server.kubeconfig) as made:
        yield made


async def family(side: Side, admin: User, name: str) -> tuple[Manifest, Manifest, Manifest]:
    """Create a toy with a Deployment and the objects that its controllers create; return toy,
    ReplicaSet and pod.
    """
    toy = await admin.create(name, outside=False)
    side.cache.put(TOYS, toy)
    made = deployment(name, toy, [{"name": "one", "image": "a"}])
    await side.port.apply(made)
    above = await admin.must("GET", DEPLOYMENTS.path("risk", name))
    labels = made["metadata"]["labels"] | {"app": "a"}
    about = {"namespace": "risk", "labels": labels}
    spec = {
        "replicas": 0,
        "selector": made["spec"]["selector"],
        "template": made["spec"]["template"],
    }
    below = {
        "metadata": about | {"name": f"{name}-abc", "ownerReferences": [controlled_by(above)]},
        "spec": spec,
    }
    replica_set = await admin.must(
        "POST", SETS.path("risk"), {"apiVersion": "apps/v1", "kind": "ReplicaSet"} | below
    )
    lowest = {
        "metadata": about
        | {"name": f"{name}-abc-x", "ownerReferences": [controlled_by(replica_set)]}
    }
    pod = await admin.must(
        "POST", PODS.path("risk"), lowest | {"spec": made["spec"]["template"]["spec"]}
    )
    return toy, replica_set, pod


async def test_a_pod_is_owned_as_soon_as_its_replica_set_is_known(side: Side, admin: User) -> None:
    name = f"watch-{uuid4().hex[:8]}"
    toy, replica_set, pod = await family(side, admin, name)
    await side.watch(PODS)
    await side.knows(PODS, pod["metadata"]["name"])
    assert side.owned(toy) == {name}
    side.told.clear()
    await side.watch(SETS)
    assert side.owned(toy) == {name, pod["metadata"]["name"]}
    assert Key(TOYS, "risk", name) in {owner for change in side.told for owner in change.owners}
    kept = await side.knows(SETS, replica_set["metadata"]["name"])
    assert kept.keys() == {"apiVersion", "kind", "metadata"}
    assert (kept["apiVersion"], kept["kind"]) == ("apps/v1", "ReplicaSet")


async def test_replica_sets_come_as_metadata_only_in_list_and_stream(
    server: ApiServer, admin: User, between: Proxy
) -> None:
    async with operating(between.kubeconfig(server.folder)) as side:
        name = f"watch-{uuid4().hex[:8]}"
        toy, listed, _ = await family(side, admin, name)
        await side.watch(*WATCHED)
        await side.knows(SETS, listed["metadata"]["name"])
        streamed = {key: listed[key] for key in ("apiVersion", "kind", "spec")} | {
            "metadata": {
                key: listed["metadata"][key] for key in ("namespace", "labels", "ownerReferences")
            }
            | {"name": f"{name}-def"}
        }
        await admin.must("POST", SETS.path("risk"), streamed)
        await side.knows(SETS, f"{name}-def")
        asked = [
            request.accept for request in between.trace if request.path.endswith("/replicasets")
        ]
        assert [each.partition(";")[2] for each in asked[:2]] == [
            "as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            "as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
        ]
        assert side.owned(toy) == {name, f"{name}-abc-x"}


@pytest.mark.parametrize("kind", WATCHED, ids=lambda kind: kind.kind)
async def test_an_empty_list_is_complete_at_once(side: Side, kind: Kind) -> None:
    await side.watch(kind, namespace="fraud")
    assert side.restarts == []


async def test_a_pod_s_change_and_deletion_reconcile_its_owner(side: Side, admin: User) -> None:
    name = f"watch-{uuid4().hex[:8]}"
    toy, _, pod = await family(side, admin, name)
    await side.watch(*WATCHED)
    side.told.clear()

    async def woken() -> bool:
        return any(
            change.scope == "v1/Pod" and Key(TOYS, "risk", name) in change.owners
            for change in side.told
        )

    path = PODS.path("risk", pod["metadata"]["name"])
    await admin.must(
        "PATCH", path, {"metadata": {"annotations": {"a": "1"}}}, "application/merge-patch+json"
    )
    await until(woken, "the toy is woken by a change")
    side.told.clear()
    await admin.must("DELETE", f"{path}?gracePeriodSeconds=0")
    await until(woken, "the toy is woken by the end")

    async def gone() -> bool:
        return side.owned(toy) == {name}

    await until(gone, "the pod is gone")


async def test_objects_without_our_labels_are_not_read(side: Side, admin: User) -> None:
    name = f"watch-{uuid4().hex[:8]}"
    toy = await admin.create(name, outside=False)
    for number, labels in enumerate(
        [{MANAGED_BY: FIELD_MANAGER}, {UID_LABEL: "x"}, {MANAGED_BY: FIELD_MANAGER, UID_LABEL: "x"}]
    ):
        body = config_map(f"{name}-{number}", toy, {})
        body["metadata"]["labels"] = labels
        await admin.must("POST", MAPS.path("risk"), body)
    await side.watch(MAPS)
    names = {body["metadata"]["name"] for body in side.cache.every("v1/ConfigMap")}
    assert {each for each in names if each.startswith(name)} == {f"{name}-2"}


async def test_a_removed_label_is_restored_by_one_apply(side: Side, admin: User) -> None:
    """The object leaves the watch's selector, which arrives as a deletion, and is the same object
    when it is back.
    """
    name = f"watch-{uuid4().hex[:8]}"
    toy = await admin.create(name, outside=False)
    side.cache.put(TOYS, toy)
    await side.watch(MAPS)
    made = with_content(config_map(name, toy, {"a": "1"}))
    await side.port.apply(made)
    await admin.must(
        "PATCH",
        MAPS.path("risk", name),
        {"metadata": {"labels": {UID_LABEL: None}}},
        "application/merge-patch+json",
    )

    async def left() -> bool:
        return side.owned(toy) == set()

    await until(left, "it has left the selector")
    await side.port.apply(made)
    assert side.owned(toy) == {name}
    # The watch's event that it is back comes later and changes nothing.
    await side.port.apply(config_map(f"{name}-later", toy, {}))
    await until(lambda: side.knows(MAPS, f"{name}-later"), "the watch has caught up")
    (known,) = [
        body
        for body in side.cache.owned(toy["metadata"]["uid"])
        if body["metadata"]["name"] == name
    ]
    assert same_content(made, known)
    assert "data" not in known, "of a ConfigMap only the metadata is kept"


# --- an API that may be absent --------------------------------------------------------------------
def widget(name: str, toy: Manifest) -> Manifest:
    body = config_map(name, toy, {})
    return {"apiVersion": WIDGETS.api_version, "kind": WIDGETS.kind, "metadata": body["metadata"]}


DEFINITION: Manifest = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.modelyard.io"},
    "spec": {
        "group": "example.modelyard.io",
        "scope": "Namespaced",
        "names": {
            "kind": "Widget",
            "plural": "widgets",
            "singular": "widget",
            "listKind": "WidgetList",
        },
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object"}},
            }
        ],
    },
}


async def test_an_optional_api_is_watched_while_it_is_served(side: Side, admin: User) -> None:
    name = f"watch-{uuid4().hex[:8]}"
    toy = await admin.create(name, outside=False)
    await side.watch(WIDGETS, MAPS)  # it is missing, which does not delay the start
    assert side.restarts == []
    await admin.must("POST", CRDS, DEFINITION)

    async def created() -> bool:
        return (await admin.request("POST", WIDGETS.path("risk"), widget(name, toy)))[0] in {
            201,
            409,
        }

    await until(created, "the API is served")
    await side.knows(WIDGETS, name)
    # When it is no longer served its objects stay: no watch reports their deletion.
    path = f"{CRDS}/{DEFINITION['metadata']['name']}"
    served = [{"op": "replace", "path": "/spec/versions/0/served", "value": False}]
    await admin.must("PATCH", path, served, "application/json-patch+json")

    async def forgotten() -> bool:
        return side.cache.get(WIDGETS.scope, "risk", name) is None

    await until(forgotten, "it is forgotten")
    await admin.must("DELETE", path)


async def test_a_required_api_is_waited_for(side: Side) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):  # not for a condition: this is how long it is missing
            await side.watch(replace(WIDGETS, plural="gadgets", optional=False))
    assert "gadgets absent" in side.restarts
