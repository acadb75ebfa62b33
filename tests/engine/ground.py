"""The cluster of the contract tests, twice: in memory, and the adapter with a real API server
behind it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import yaml

from modelyard.adapters.kubernetes import Kubernetes
from modelyard.adapters.kubernetes_api import KINDS, Api, configuration
from modelyard.api.approvals import FORGED_IS_REFUSED
from modelyard.cache import Cache
from modelyard.kube.names import FIELD_MANAGER, MANAGED_BY, UID_LABEL
from modelyard.plan import Manifest
from tests.cluster.apiserver import ApiServer
from tests.engine.rig import CRDS, User, until, user
from tests.engine.toy import manifest
from tests.fakes.cluster import FakeCluster, controlled_by

__all__ = [
    "DEPLOYMENTS",
    "JOBS",
    "MAPS",
    "PODS",
    "REPLICA_SETS",
    "SERVICES",
    "TOYS",
    "Fake",
    "Ground",
    "config_map",
    "deployment",
    "job",
    "names",
    "owned",
    "pod",
    "real",
    "service",
    "there",
]

TOYS, MAPS, DEPLOYMENTS, JOBS = "experiments", "v1/ConfigMap", "apps/v1/Deployment", "batch/v1/Job"
SERVICES, REPLICA_SETS, PODS = "v1/Service", "apps/v1/ReplicaSet", "v1/Pod"

FORGED: Manifest = {
    "apiVersion": "modelyard.io/v1alpha1",
    "kind": "ModelApproval",
    "metadata": {"generateName": "contract-"},
    "spec": {
        "model": "m",
        "stage": "s",
        "version": "v",
        "digest": f"sha256:{'0' * 64}",
        "decision": "Reject",
        "approver": "contract",
    },
}
POLICY: dict[str, Manifest] = {
    "validatingadmissionpolicies": {
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": ["modelyard.io"],
                    "apiVersions": ["*"],
                    "operations": ["CREATE"],
                    "resources": ["modelapprovals"],
                }
            ]
        },
        "validations": [
            {
                "expression": "object.spec.approver == request.userInfo.username",
                "message": FORGED_IS_REFUSED,
            }
        ],
    },
    "validatingadmissionpolicybindings": {"policyName": "contract", "validationActions": ["Deny"]},
}
"""The policy on approvals; the chart's own policy has its tests in tests/chart."""


class Ground(Protocol):
    """A cluster with its ports, and the actions of users."""

    port: Kubernetes | FakeCluster
    cache: Cache
    owner: Manifest
    """A toy, which owns what the tests apply."""

    async def create(self, body: Manifest) -> Manifest: ...
    async def live(self, scope: str, name: str) -> Manifest | None: ...
    async def edit(self, scope: str, name: str, patch: Manifest) -> Manifest: ...
    async def remove(self, scope: str, name: str) -> None: ...
    async def older(self, body: Manifest) -> None: ...
    async def tell(self, body: Manifest, reason: str, note: str, minute: int) -> None:
        """Record an event about an object as Kubernetes' controllers do, at a minute of a fixed
        hour.
        """
        ...

    async def guard(self, in_force: bool) -> None:
        """Install or remove the policy that stops users from approving in another user's name."""
        ...


class Fake:
    def __init__(self) -> None:
        self.cache = Cache([TOYS])
        self.port = FakeCluster(self.cache)
        self.port.secrets["risk", "there"] = {"KEY": "value"}
        self.owner = self.port.create(manifest("owner"))
        self.told: dict[str, tuple[int, str]] = {}

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

    async def older(self, body: Manifest) -> None:
        """Apply as an earlier release did, without a stamp."""
        self.port.create(body)

    async def tell(self, body: Manifest, reason: str, note: str, minute: int) -> None:
        if reason == "FailedCreate":
            uid = body["metadata"]["uid"]
            self.told[uid] = max(self.told.get(uid, (0, "")), (minute, note))
            self.port.creation_errors[uid] = self.told[uid][1]

    async def guard(self, in_force: bool) -> None:
        self.port.guarded = in_force


class Real:
    """The adapter without watches: only our own writes fill the cache."""

    def __init__(self, api: Api, admin: User) -> None:
        self.cache = Cache([TOYS])
        self.port = Kubernetes(api, self.cache, namespaces=("risk",), page_size=2, resync=0)
        self.admin = admin
        self.owner: Manifest = {}

    def _path(self, scope: str, name: str = "", namespace: str = "risk") -> str:
        kind = next(kind for kind in KINDS.values() if scope in {kind.plural, kind.scope})
        return kind.path(namespace, name)

    async def create(self, body: Manifest) -> Manifest:
        scope = TOYS if body["kind"] == "Experiment" else f"{body['apiVersion']}/{body['kind']}"
        path = self._path(scope, namespace=body["metadata"]["namespace"])
        made = await self.admin.must("POST", path, body)
        self.cache.put(scope, made)
        return made

    async def tell(self, body: Manifest, reason: str, note: str, minute: int) -> None:
        meta = body["metadata"]
        when = f"2026-11-28T07:{minute:02}:00Z"
        about = {key: meta[key] for key in ("name", "namespace", "uid")}
        event = {
            "metadata": {"generateName": f"{meta['name']}.", "namespace": meta["namespace"]},
            "involvedObject": {"apiVersion": body["apiVersion"], "kind": body["kind"], **about},
            "reason": reason,
            "message": note,
            "type": "Warning",
            "firstTimestamp": when,
            "lastTimestamp": when,
        }
        await self.admin.must("POST", f"/api/v1/namespaces/{meta['namespace']}/events", event)

    async def live(self, scope: str, name: str) -> Manifest | None:
        status, body = await self.admin.request("GET", self._path(scope, name))
        return body if status == 200 else None

    async def edit(self, scope: str, name: str, patch: Manifest) -> Manifest:
        return await self.admin.must(
            "PATCH", self._path(scope, name), patch, "application/merge-patch+json"
        )

    async def remove(self, scope: str, name: str) -> None:
        await self.admin.must(
            "DELETE", self._path(scope, name), {"propagationPolicy": "Background"}
        )

    async def older(self, body: Manifest) -> None:
        path = self._path(f"{body['apiVersion']}/{body['kind']}", body["metadata"]["name"])
        media = "application/apply-patch+yaml"
        await self.admin.must("PATCH", f"{path}?fieldManager={FIELD_MANAGER}", body, media)

    async def guard(self, in_force: bool) -> None:
        """Install the kind and a policy like the chart's `approval` in all that is checked here, or
        remove it.
        """
        definition = Path(__file__).parents[2] / "crds" / "modelyard.io_modelapprovals.yaml"
        await self.admin.request("POST", CRDS, yaml.safe_load(definition.read_text()))
        for plural, spec in POLICY.items():
            path = f"/apis/admissionregistration.k8s.io/v1/{plural}"
            if in_force:
                await self.admin.must(
                    "POST", path, {"metadata": {"name": "contract"}, "spec": spec}
                )
            else:
                await self.admin.request("DELETE", f"{path}/contract")

        async def takes_effect() -> bool:
            status, answer = await self.admin.request(
                "POST", self._path("modelapprovals") + "?dryRun=All", FORGED
            )
            return FORGED_IS_REFUSED in str(answer) if in_force else status == 201

        await until(takes_effect, f"the policy is in force: {in_force}")


@asynccontextmanager
async def real(server: ApiServer) -> AsyncIterator[Real]:
    api = Api(await configuration(str(server.kubeconfig)), lambda *_: None, deadline=60)
    try:
        async with user(server) as admin:
            await admin.request(
                "POST",
                "/api/v1/namespaces/risk/secrets",
                {"metadata": {"name": "there"}, "stringData": {"KEY": "value"}},
            )
            made = Real(api, admin)
            made.owner = await made.create(manifest(f"owner-{uuid4().hex[:8]}"))
            yield made
            await admin.clear()
    finally:
        await api.close()


def meta(name: str, owner: Manifest, labels: dict[str, str] | None = None) -> Manifest:
    """Return the metadata of an owned object."""
    ours = {UID_LABEL: owner["metadata"]["uid"], MANAGED_BY: FIELD_MANAGER}
    about = {"name": name, "namespace": "risk", "labels": ours | (labels or {})}
    return about | {"ownerReferences": [controlled_by(owner)]}


def config_map(
    name: str, owner: Manifest, data: dict[str, str], labels: dict[str, str] | None = None
) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": meta(name, owner, labels),
        "data": data,
    }


def deployment(
    name: str, owner: Manifest, containers: list[Manifest], selector: str = "a", **pod: Any
) -> Manifest:
    template = {"metadata": {"labels": {"app": selector}}, "spec": {"containers": containers} | pod}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": selector}}, "template": template}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta(name, owner),
        "spec": spec,
    }


def job(name: str, owner: Manifest, image: str = "a") -> Manifest:
    pod = {"restartPolicy": "Never", "containers": [{"name": "one", "image": image}]}
    spec = {"suspend": False, "backoffLimit": 0, "template": {"spec": pod}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta(name, owner), "spec": spec}


def service(name: str, owner: Manifest) -> Manifest:
    spec = {"selector": {"app": "a"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta(name, owner), "spec": spec}


async def pod(ground: Ground, name: str, *, ours: bool = True) -> Manifest:
    """Create a Deployment, its ReplicaSet and its pod, named `<name>-abc-x`; return the pod."""
    made = deployment(name, ground.owner, [{"name": "one", "image": "a"}])
    if ours:
        await ground.port.apply(made)
    else:
        del made["metadata"]["ownerReferences"]
        await ground.create(made)
    above = await there(ground, DEPLOYMENTS, name)
    labels = above["metadata"]["labels"] | made["spec"]["template"]["metadata"]["labels"]
    set_ = {
        "name": f"{name}-abc",
        "namespace": "risk",
        "labels": labels,
        "ownerReferences": [controlled_by(above)],
    }
    spec = {key: made["spec"][key] for key in ("selector", "template")} | {"replicas": 0}
    below = await ground.create(
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": set_, "spec": spec}
    )
    about = set_ | {"name": f"{name}-abc-x", "ownerReferences": [controlled_by(below)]}
    return await ground.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": about,
            "spec": made["spec"]["template"]["spec"],
        }
    )


def owned(ground: Ground) -> list[Manifest]:
    return list(ground.port.owned(ground.owner["metadata"]["uid"]))


def names(ground: Ground) -> set[str]:
    return {body["metadata"]["name"] for body in owned(ground)}


async def there(ground: Ground, scope: str, name: str) -> Manifest:
    live = await ground.live(scope, name)
    assert live is not None
    return live
