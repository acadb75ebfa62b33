"""Objects of the builders, applied to a real API server by the adapter: in sync at once, with the
API server's merge keys.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from itertools import chain

import pytest

from modelyard.adapters.kubernetes import Kubernetes
from modelyard.adapters.kubernetes_api import Api, configuration, kind_of
from modelyard.api.registered_model import RegisteredModel, StageStatus, VersionStatus
from modelyard.api.training_run import TrainingRun
from modelyard.cache import Cache
from modelyard.kube.applied import ATOMIC_MAPS, MERGE_KEYS, in_sync, item_key
from modelyard.kube.owned import OWNED, OwnedKind
from modelyard.kube.pods import Runtime
from modelyard.registered_model import build as serving
from modelyard.registered_model.gates import pods as gates
from modelyard.registered_model.view import StageView
from modelyard.training_run import build as training
from tests.api.objects import DIGEST, PUBLIC_KEY, Manifest, model, training_run, without
from tests.harness import Cluster

PLURALS = ("experiments", "trainingruns", "registeredmodels")
RUNTIME = Runtime("modelyard/runtime:1.2.3", "IfNotPresent", "1.2.3")
NAME = "owned"
SERVING: Manifest = {
    "autoscaling": {"minReplicas": 1, "maxReplicas": 3},
    "resources": {"requests": {"cpu": "1000m", "memory": "0.5Gi"}, "limits": {"cpu": "1.5"}},
    "nodeSelector": {"pool": "serving"},
    "tolerations": [
        {"key": "gpu", "operator": "Exists"},
        {"key": "spot", "value": "x", "effect": "NoSchedule"},
    ],
}


def built(model: RegisteredModel, run: TrainingRun) -> dict[str, Manifest]:
    """Return all objects of the builders, with every field set."""
    what = serving.served("v1", DIGEST, RUNTIME)
    rolled_out = serving.template(
        model, "production", what, "s3://models/fraud", RUNTIME.pull_policy
    )
    pod_settings = serving.PodSettings(allow_code=True, pods_secret="modelyard-connection-pods")
    scaler = serving.autoscaler(model, "production", what)
    assert scaler is not None
    found = [
        serving.deployment(
            model, "production", what, rolled_out, replicas=2, pod_settings=pod_settings
        ),
        serving.revision(model, "production", what, rolled_out),
        serving.service(model, "production", what),
        serving.disruption_budget(model, "production", what),
        scaler,
        training.config_map(run),
        training.job(run, 1, "r1", RUNTIME),
    ]
    return {each["kind"]: each for each in found}


@pytest.fixture(scope="module")
def made(cluster: Cluster) -> Iterator[dict[str, Manifest]]:
    """Manifests of objects whose owners exist."""
    wanted = model(
        NAME,
        versions={"v1": {"uri": "s3://models/fraud"}},
        stages={"production": {"version": "v1", "serving": SERVING}},
    )
    trains = training_run(
        NAME,
        dataset={"name": "cards", "uri": "s3://data/cards.parquet", "digest": DIGEST},
        trainer={
            "script": {"configMap": "train"},
            "sign": {"secret": "modelyard-signing", "key": "key.pem"},
        },
        parameters={"max_depth": "6"},
        nodeSelector={"pool": "train"},
        tolerations=[{"key": "gpu", "operator": "Exists"}],
        imagePullSecrets=["registry"],
        resources={"requests": {"cpu": "1"}},
        activeDeadlineSeconds=600,
        suspend=True,
    )
    answers = [cluster.create(each) for each in (wanted, trains)]
    assert all(answer.ok for answer in answers), [answer.message for answer in answers]
    yield built(RegisteredModel.parse(answers[0].body), TrainingRun.parse(answers[1].body))
    for kind in ("RegisteredModel", "TrainingRun"):
        cluster.request("DELETE", cluster.path(kind, NAME))


@pytest.fixture
async def kubernetes(cluster: Cluster) -> AsyncIterator[Kubernetes]:
    api = Api(await configuration(str(cluster.server.kubeconfig)), lambda *_: None, deadline=60)
    yield Kubernetes(api, Cache(PLURALS))
    await api.close()


def live(cluster: Cluster, manifest: Manifest) -> Manifest:
    meta = manifest["metadata"]
    answer = cluster.request("GET", kind_of(manifest).path(meta["namespace"], meta["name"]))
    assert answer.ok, answer.message
    return answer.body


KINDS = [kind for kind in OWNED if not kind.through]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
async def test_built_objects_are_in_sync_once_applied(
    kind: OwnedKind, made: dict[str, Manifest], kubernetes: Kubernetes, cluster: Cluster
) -> None:
    """Defaults of the API server and other spellings of a quantity are no difference."""
    manifest = made[kind.kind]
    await kubernetes.apply(manifest)
    first = live(cluster, manifest)
    assert in_sync(manifest, first)
    await kubernetes.apply(manifest)
    assert (
        live(cluster, manifest)["metadata"]["resourceVersion"]
        == first["metadata"]["resourceVersion"]
    )


GATES: list[Manifest] = [
    {
        "name": "asks",
        "job": {
            "image": "team/test:1",
            "candidate": "Served",
            "resources": {"limits": {"cpu": "1500m"}},
        },
    },
    {
        "name": "answers",
        "smoke": {
            "requests": {"configMap": "cases", "key": "c.json", "digest": DIGEST},
            "maxLatency": "50ms",
        },
    },
    {"name": "signed", "signed": {"keys": [PUBLIC_KEY]}},
]


@pytest.fixture(scope="module")
def gated(cluster: Cluster) -> Iterator[list[Manifest]]:
    """Return Jobs of gates, and the candidate's Service that they send requests to, of an existing
    model.
    """
    spec = {"version": "v2", "gates": GATES}
    answer = cluster.create(
        model("gated", versions={"v2": {"uri": "s3://models/fraud"}}, stages={"production": spec})
    )
    assert answer.ok, answer.message
    there = RegisteredModel.parse(answer.body)
    version = VersionStatus(name="v2", uri="s3://models/fraud", digest=DIGEST)
    pod_settings = serving.PodSettings(allow_code=False, pods_secret="modelyard-connection")
    status = StageStatus(candidate=serving.served("v2", DIGEST, RUNTIME))
    view = StageView(
        "production", there, status, {"v2": version}, (), RUNTIME, pod_settings, datetime.now(UTC)
    )
    assert view.target is not None
    assert view.spec is not None
    yield [
        *(gates.job(view, gate) for gate in view.spec.gates),
        serving.private_service(there, "production", view.target),
    ]
    cluster.request("DELETE", cluster.path("RegisteredModel", "gated"))


async def test_objects_of_gates_are_accepted_and_in_sync_at_once(
    gated: list[Manifest], kubernetes: Kubernetes, cluster: Cluster
) -> None:
    """A Job is applied again after a lost answer: its immutable template must not be a difference
    then.
    """
    for manifest in gated:
        await kubernetes.apply(manifest)
        first = live(cluster, manifest)
        assert in_sync(manifest, first)
        await kubernetes.apply(manifest)
        assert (
            live(cluster, manifest)["metadata"]["resourceVersion"]
            == first["metadata"]["resourceVersion"]
        )


def test_pods_of_gates_are_admitted_where_pod_security_is_restricted(
    gated: list[Manifest], cluster: Cluster
) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    space = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "restricted-gates", "labels": labels},
    }
    assert cluster.request("POST", "/api/v1/namespaces", space).ok
    templates = [each["spec"]["template"] for each in gated if each["kind"] == "Job"]
    assert len(templates) == len(GATES)

    def admitted(spec: Manifest, template: Manifest) -> bool:
        meta = template["metadata"] | {"name": "gate", "namespace": "restricted-gates"}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
        return cluster.request(
            "POST", "/api/v1/namespaces/restricted-gates/pods", pod, dryRun="All"
        ).ok

    assert all(admitted(template["spec"], template) for template in templates)
    loose = without(templates[0], "spec", "securityContext")
    assert not admitted(loose["spec"], loose), "it is enforced"


POD = ("spec", "template", "spec")
DROPPED: dict[str, tuple[str | int, ...]] = {
    "nodeSelector": (*POD, "nodeSelector"),
    "tolerations": (*POD, "tolerations"),
    "a limit": (*POD, "containers", 0, "resources", "limits"),
    "a variable": (*POD, "containers", 0, "env", 0),
    "a mount": (*POD, "containers", 0, "volumeMounts", 1),
    "a label": ("metadata", "labels", "app.kubernetes.io/name"),
}


@pytest.mark.parametrize("path", DROPPED.values(), ids=DROPPED)
async def test_a_field_removed_from_the_manifest_is_removed_from_the_deployment(
    path: tuple[str | int, ...], made: dict[str, Manifest], kubernetes: Kubernetes, cluster: Cluster
) -> None:
    more = made["Deployment"]
    less = without(more, *path)
    await kubernetes.apply(more)
    assert not in_sync(less, live(cluster, more))
    await kubernetes.apply(less)
    assert in_sync(less, live(cluster, less))
    assert not in_sync(more, live(cluster, more))


# --- the lists of Kubernetes ----------------------------------------------------------------------
Visit = Callable[[str, Manifest], None]


@pytest.fixture(scope="module")
def schemas(cluster: Cluster) -> dict[str, dict[str, Manifest]]:
    """The API server's own schemas, by group and version."""
    versions = {kind.api_version for kind in OWNED}
    paths = {
        version: f"/openapi/v3/{'apis' if '/' in version else 'api'}/{version}"
        for version in versions
    }
    return {
        version: cluster.request("GET", path).body["components"]["schemas"]
        for version, path in paths.items()
    }


def walk(kind: OwnedKind, schemas: dict[str, Manifest], visit: Visit) -> None:
    """Visit every field below an object's metadata and spec, by its name and its schema."""
    group = {
        "": "core",
        "apps": "apps",
        "batch": "batch",
        "autoscaling": "autoscaling",
        "policy": "policy",
    }[kind.group]
    version = kind.api_version.rpartition("/")[2]
    todo = [f"io.k8s.api.{group}.{version}.{kind.kind}"]
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        if name in seen or name.endswith("Status"):
            continue
        seen.add(name)
        for field, schema in schemas[name].get("properties", {}).items():
            visit(field, schema)
            below = [
                schema,
                schema.get("items", {}),
                *schema.get("allOf", ()),
                *schema.get("items", {}).get("allOf", ()),
            ]
            todo += [each["$ref"].rpartition("/")[2] for each in below if "$ref" in each]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_lists_are_merged_by_the_keys_in_the_api_servers_schema(
    kind: OwnedKind, schemas: dict[str, dict[str, Manifest]]
) -> None:
    wrong: list[str] = []

    def visit(field: str, schema: Manifest) -> None:
        if schema.get("type") != "array" or field in {"managedFields", "ephemeralContainers"}:
            return
        keys = (
            schema.get("x-kubernetes-list-map-keys")
            if schema.get("x-kubernetes-list-type") == "map"
            else None
        )
        if keys is None:
            item: Manifest = dict.fromkeys((*chain(*MERGE_KEYS.get(field, ())), "name"), "x")
            ours = item_key(field, [item])
            wrong.extend([f"{field} is atomic"] if ours is not None else [])
            return
        one, other = dict.fromkeys(keys, "x"), dict.fromkeys(keys, "x") | {keys[0]: "y"}
        key_of = item_key(field, [one, other])
        same = (
            key_of is not None
            and key_of(one) != key_of(other)
            and key_of(one) == key_of(one | {"more": 1})
        )
        wrong.extend([] if same else [f"{field} is merged by {keys}"])

    walk(kind, schemas[kind.api_version], visit)
    assert wrong == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_atomic_maps_are_compared_as_a_whole(
    kind: OwnedKind, schemas: dict[str, dict[str, Manifest]]
) -> None:
    found: dict[str, bool] = {}

    def visit(field: str, schema: Manifest) -> None:
        if "additionalProperties" in schema:
            found[field] = (
                found.get(field, False) or schema.get("x-kubernetes-map-type") == "atomic"
            )

    walk(kind, schemas[kind.api_version], visit)
    # A LabelSelector is replaced as a whole, and its only map with it.
    assert {field for field, atomic in found.items() if atomic} | {"matchLabels"} <= ATOMIC_MAPS
    assert {field for field, atomic in found.items() if not atomic} - {
        "matchLabels"
    } & ATOMIC_MAPS == set()
