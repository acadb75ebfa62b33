"""What keeps the fake cluster honest: one suite against it and against the adapter with a real API server behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol
from uuid import uuid4

import pytest

from modelyard.adapters.kubernetes import Kubernetes
from modelyard.adapters.kubernetes_api import KINDS, Api, configuration
from modelyard.cache import Cache
from modelyard.errors import Conflict, Invalid
from modelyard.kube.names import UID_LABEL
from modelyard.plan import Delete, Manifest
from tests.cluster.apiserver import ApiServer
from tests.engine.rig import User, user
from tests.engine.toy import manifest
from tests.fakes.cluster import FakeCluster

TOYS, MAPS, DEPLOYMENTS = "experiments", "v1/ConfigMap", "apps/v1/Deployment"


class Ground(Protocol):
    """A cluster with its ports, and what users do in it."""

    port: Kubernetes | FakeCluster
    cache: Cache

    async def create(self, body: Manifest) -> Manifest: ...
    async def live(self, scope: str, name: str) -> Manifest | None: ...
    async def edit(self, scope: str, name: str, patch: Manifest) -> Manifest: ...
    async def remove(self, scope: str, name: str) -> None: ...


class Fake:
    def __init__(self) -> None:
        self.cache = Cache([TOYS])
        self.port = FakeCluster(self.cache)
        self.port.secrets["risk", "there"] = {"KEY": "value"}

    async def create(self, body: Manifest) -> Manifest:
        return self.port.create(body)

    async def live(self, scope: str, name: str) -> Manifest | None:
        return self.port.live(scope, "risk", name)

    async def edit(self, scope: str, name: str, patch: Manifest) -> Manifest:
        def merge(body: Manifest, change: Manifest) -> None:
            for key, value in change.items():
                if isinstance(value, dict):
                    merge(body.setdefault(key, {}), value)
                else:
                    body[key] = value

        return self.port.edit(scope, "risk", name, lambda body: merge(body, patch))

    async def remove(self, scope: str, name: str) -> None:
        self.port.remove(scope, "risk", name)


class Real:
    """No watch runs here: what the cache knows, it knows by our own writes."""

    def __init__(self, api: Api, admin: User) -> None:
        self.cache = Cache([TOYS])
        self.port = Kubernetes(api, self.cache, namespaces=("risk",), page_size=2)
        self.admin = admin

    def _path(self, scope: str, name: str = "") -> str:
        kind = next(kind for kind in KINDS.values() if scope in {kind.plural, kind.scope})
        return kind.path("risk", name)

    async def create(self, body: Manifest) -> Manifest:
        scope = TOYS if body["kind"] == "Experiment" else f"{body['apiVersion']}/{body['kind']}"
        made = await self.admin.must("POST", self._path(scope), body)
        self.cache.put(scope, made)
        return made

    async def live(self, scope: str, name: str) -> Manifest | None:
        status, body = await self.admin.request("GET", self._path(scope, name))
        return body if status == 200 else None

    async def edit(self, scope: str, name: str, patch: Manifest) -> Manifest:
        return await self.admin.must("PATCH", self._path(scope, name), patch, "application/merge-patch+json")

    async def remove(self, scope: str, name: str) -> None:
        await self.admin.must("DELETE", self._path(scope, name))


@asynccontextmanager
async def real(server: ApiServer) -> AsyncIterator[Real]:
    api = Api(await configuration(str(server.kubeconfig)), lambda *_: None, deadline=10)
    try:
        async with user(server) as admin:
            await admin.request("POST", "/api/v1/namespaces/risk/secrets", {"metadata": {"name": "there"}, "stringData": {"KEY": "value"}})
            yield Real(api, admin)
    finally:
        await api.close()


@pytest.fixture(params=["fake", "real"])
async def ground(request: pytest.FixtureRequest, server: ApiServer) -> AsyncIterator[Ground]:
    if request.param == "fake":
        yield Fake()
    else:
        async with real(server) as made:
            yield made


@pytest.fixture
def name() -> str:
    return f"contract-{uuid4().hex[:8]}"


def config_map(name: str, data: dict[str, str], labels: dict[str, str] | None = None) -> Manifest:
    meta = {"name": name, "namespace": "risk", "labels": {UID_LABEL: "owner"} | (labels or {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def deployment(name: str, containers: list[Manifest], selector: str = "a") -> Manifest:
    template = {"metadata": {"labels": {"app": selector}}, "spec": {"containers": containers}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": selector}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "risk"}, "spec": spec}


# --- apply ----------------------------------------------------------------------------------------------
async def test_apply_creates_and_is_seen_at_once(ground: Ground, name: str) -> None:
    await ground.port.apply(config_map(name, {"a": "1"}))
    seen = [child for child in ground.port.owned("owner") if child["metadata"]["name"] == name]
    assert [(child["apiVersion"], child["kind"], child["data"]) for child in seen] == [("v1", "ConfigMap", {"a": "1"})]
    assert seen[0]["metadata"]["uid"]


async def test_applying_the_same_again_changes_nothing(ground: Ground, name: str) -> None:
    await ground.port.apply(config_map(name, {"a": "1"}))
    before = await ground.live(MAPS, name)
    await ground.port.apply(config_map(name, {"a": "1"}))
    after = await ground.live(MAPS, name)
    assert before is not None
    assert after is not None
    assert before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]


async def test_what_is_said_no_more_goes_and_what_others_said_stays(ground: Ground, name: str) -> None:
    await ground.port.apply(config_map(name, {"ours": "1", "dropped": "1"}, {"ours": "1"}))
    await ground.edit(MAPS, name, {"data": {"theirs": "1", "ours": "overwritten"}, "metadata": {"labels": {"theirs": "1"}}})
    await ground.port.apply(config_map(name, {"ours": "2"}, {"ours": "2"}))
    live = await ground.live(MAPS, name)
    assert live is not None
    assert live["data"] == {"ours": "2", "theirs": "1"}
    assert live["metadata"]["labels"] == {UID_LABEL: "owner", "ours": "2", "theirs": "1"}


async def test_containers_merge_by_name(ground: Ground, name: str) -> None:
    one, two = {"name": "one", "image": "a"}, {"name": "two", "image": "b"}
    await ground.port.apply(deployment(name, [one, two]))
    await ground.port.apply(deployment(name, [{"name": "one", "image": "new"}]))
    live = await ground.live(DEPLOYMENTS, name)
    assert live is not None
    assert [(c["name"], c["image"]) for c in live["spec"]["template"]["spec"]["containers"]] == [("one", "new")]
    assert live["metadata"]["generation"] == 2


async def test_what_may_not_change_is_refused(ground: Ground, name: str) -> None:
    await ground.port.apply(deployment(name, [{"name": "one", "image": "a"}]))
    with pytest.raises(Invalid, match="immutable"):
        await ground.port.apply(deployment(name, [{"name": "one", "image": "a"}], selector="b"))


async def test_somebody_elses_object_is_never_taken_over(ground: Ground, name: str) -> None:
    theirs = config_map(name, {"theirs": "1"})
    theirs["metadata"]["labels"] = {}
    await ground.create(theirs)
    with pytest.raises(Invalid, match="there is one already"):
        await ground.port.apply(config_map(name, {"ours": "1"}))
    live = await ground.live(MAPS, name)
    assert live is not None
    assert live["data"] == {"theirs": "1"}


async def test_a_child_of_another_object_is_never_taken_over(ground: Ground, name: str) -> None:
    await ground.port.apply(config_map(name, {"a": "1"}))
    with pytest.raises(Invalid, match="there is one already"):
        await ground.port.apply(config_map(name, {"a": "2"}, {UID_LABEL: "another"}))


async def test_a_status_is_not_applied(ground: Ground, name: str) -> None:
    await ground.port.apply(deployment(name, [{"name": "one", "image": "a"}]) | {"status": {"replicas": 7}})
    live = await ground.live(DEPLOYMENTS, name)
    assert live is not None
    assert live.get("status", {}).get("replicas") != 7


# --- delete ---------------------------------------------------------------------------------------------
async def test_a_child_goes_and_is_gone_at_once(ground: Ground, name: str) -> None:
    await ground.port.apply(config_map(name, {}))
    uid = next(child["metadata"]["uid"] for child in ground.port.owned("owner") if child["metadata"]["name"] == name)
    await ground.port.delete("risk", Delete("v1", "ConfigMap", name, uid))
    assert await ground.live(MAPS, name) is None
    assert name not in {child["metadata"]["name"] for child in ground.port.owned("owner")}


async def test_another_of_the_same_name_is_left_alone(ground: Ground, name: str) -> None:
    await ground.port.apply(config_map(name, {}))
    await ground.port.delete("risk", Delete("v1", "ConfigMap", name, "another-uid"))
    assert await ground.live(MAPS, name) is not None


async def test_deleting_what_is_gone_is_no_error(ground: Ground, name: str) -> None:
    await ground.port.delete("risk", Delete("v1", "ConfigMap", name, "uid"))


async def test_a_child_with_a_finalizer_is_seen_on_its_way_out(ground: Ground, name: str) -> None:
    body = config_map(name, {})
    body["metadata"]["finalizers"] = ["test.example/holds"]
    made = await ground.create(body)
    await ground.port.delete("risk", Delete("v1", "ConfigMap", name, made["metadata"]["uid"]))
    seen = [child for child in ground.port.owned("owner") if child["metadata"]["name"] == name]
    assert ["deletionTimestamp" in child["metadata"] for child in seen] == [True]
    await ground.edit(MAPS, name, {"metadata": {"finalizers": []}})


# --- our own objects ------------------------------------------------------------------------------------
async def test_a_status_is_replaced_whole_whether_or_not_there_was_one(ground: Ground, name: str) -> None:
    made = await ground.create(manifest(name, value="x") | {"status": {"dropped": "by the API server"}})
    assert "status" not in made
    first = await ground.port.write_status(made, {"a": 1, "list": [1]})
    second = await ground.port.write_status(made, {"b": 2})
    assert (first["status"], second["status"]) == ({"a": 1, "list": [1]}, {"b": 2})
    assert second["metadata"]["generation"] == 1
    live = await ground.live(TOYS, name)
    assert live is not None
    assert live["status"] == {"b": 2}


async def test_a_status_does_not_reach_another_object_of_the_same_name(ground: Ground, name: str) -> None:
    made = await ground.create(manifest(name))
    await ground.remove(TOYS, name)
    await ground.create(manifest(name))
    with pytest.raises(Conflict):
        await ground.port.write_status(made, {"a": 1})
    live = await ground.live(TOYS, name)
    assert live is not None
    assert "status" not in live


async def test_a_status_of_what_is_gone_is_a_conflict_and_is_forgotten(ground: Ground, name: str) -> None:
    made = await ground.create(manifest(name))
    await ground.remove(TOYS, name)
    with pytest.raises(Conflict):
        await ground.port.write_status(made, {"a": 1})
    assert ground.port.get(TOYS, "risk", name) is None


async def test_finalizers_need_the_newest_version(ground: Ground, name: str) -> None:
    made = await ground.create(manifest(name))
    newer = await ground.port.set_finalizers(made, ("modelyard.io/outside",))
    assert newer["metadata"]["finalizers"] == ["modelyard.io/outside"]
    with pytest.raises(Conflict):
        await ground.port.set_finalizers(made, ())
    await ground.port.set_finalizers(newer, ())
    live = await ground.live(TOYS, name)
    assert live is not None
    assert not live["metadata"].get("finalizers")


async def test_an_object_goes_with_its_last_finalizer_and_takes_no_new_one(ground: Ground, name: str) -> None:
    made = await ground.port.set_finalizers(await ground.create(manifest(name)), ("modelyard.io/outside",))
    await ground.remove(TOYS, name)
    leaving = await ground.live(TOYS, name)
    assert leaving is not None
    assert "deletionTimestamp" in leaving["metadata"]
    with pytest.raises(Invalid):
        await ground.port.set_finalizers(leaving, ("modelyard.io/outside", "another.example/one"))
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


async def test_the_generation_counts_changes_of_the_spec_alone(ground: Ground, name: str) -> None:
    await ground.create(manifest(name))
    labelled = await ground.edit(TOYS, name, {"metadata": {"labels": {"a": "b"}}})
    changed = await ground.edit(TOYS, name, {"spec": {"value": "x"}})
    assert (labelled["metadata"]["generation"], changed["metadata"]["generation"]) == (1, 2)


# --- the rest -------------------------------------------------------------------------------------------
async def test_a_secret_is_read_by_name(ground: Ground) -> None:
    assert await ground.port.secret("risk", "there") == {"KEY": "value"}
    assert await ground.port.secret("risk", "nowhere") is None


async def test_an_event_is_recorded_or_forgotten_but_never_an_error(ground: Ground, name: str) -> None:
    made = await ground.create(manifest(name))
    await ground.port.event(made, "Reason", "A message.", warning=False)
    await ground.port.event(made, "not a reason" * 50, "x" * 5000, warning=True)


async def test_the_adapter_reads_what_the_api_server_serves(server: ApiServer) -> None:
    async with real(server) as made:
        assert await made.port.unserved(["experiments", "trainingruns"]) == ("trainingruns",)
        assert "kubernetes.io/metadata.name" in await made.port.namespace_labels("risk")


async def test_nothing_is_written_behind_the_fence(server: ApiServer, name: str) -> None:
    async with real(server) as made:

        def closed() -> None:
            raise Conflict("Kubernetes", "write", "anything")

        made.port._api.fence = closed
        writes: list[Callable[[], Any]] = [
            lambda: made.port.apply(config_map(name, {})),
            lambda: made.port.delete("risk", Delete("v1", "ConfigMap", name, "x")),
            lambda: made.port.write_status(manifest(name), {}),
        ]
        with pytest.raises(Conflict):
            await writes[0]()
        assert await made.live(MAPS, name) is None
