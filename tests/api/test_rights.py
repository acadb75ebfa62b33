"""The table of rights compared with the operator's requests: it needs all rights, and no others. On
a real API server with an audit log.
"""

import copy
import subprocess
from collections.abc import AsyncIterator, Iterator

import pytest
import yaml
from kubernetes.aio import config
from kubernetes.aio.client import Configuration

from modelyard.adapters.kubernetes import Kubernetes
from modelyard.adapters.kubernetes_api import Api
from modelyard.api.kinds import KINDS
from modelyard.cache import Cache
from modelyard.controller import FINALIZER
from modelyard.errors import Conflict, Forbidden
from modelyard.kube.names import MANAGED_BY, UID_LABEL
from modelyard.kube.pods import owner
from modelyard.plan import Delete, SetTrafficRule
from tests.api.objects import Manifest, approval, experiment, model, training_run
from tests.api.rights import OPERATOR, ROOT, SERVED, Guarded, Use, grant, guarded, needed
from tests.harness import until

PLURALS = tuple(kind.resource.PLURAL for kind in KINDS)
FINALIZERS = {Use("update", "modelyard.io", f"{plural}/finalizers") for plural in PLURALS}
POD = {"containers": [{"name": "c", "image": "i"}]}
CHILDREN = {
    ("v1", "ConfigMap"): {"data": {"a": "b"}},
    ("v1", "Service"): {"spec": {"ports": [{"port": 80}]}},
    ("apps/v1", "Deployment"): {
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": POD},
        }
    },
    ("batch/v1", "Job"): {"spec": {"template": {"spec": POD | {"restartPolicy": "Never"}}}},
    ("autoscaling/v2", "HorizontalPodAutoscaler"): {
        "spec": {
            "maxReplicas": 1,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "c"},
        }
    },
    ("policy/v1", "PodDisruptionBudget"): {"spec": {"minAvailable": 1}},
    ("apps/v1", "ControllerRevision"): {"revision": 1, "data": {"a": "b"}},
}


def child(api_version: str, kind: str, parent: Manifest) -> Manifest:
    """Return an owned object as the builders create it: labelled, with an owner reference."""
    meta = parent["metadata"]
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": f"{meta['name']}-child",
            "namespace": SERVED,
            "labels": {MANAGED_BY: "modelyard", UID_LABEL: meta["uid"]},
            "ownerReferences": owner(parent["kind"], meta["name"], meta["uid"]),
        },
        **CHILDREN[api_version, kind],
    }


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded(tmp_path_factory.mktemp("rights")) as running:
        yield running


@pytest.fixture(scope="module")
def parents(there: Guarded) -> list[Manifest]:
    """One object of each kind, in a namespace without a connection."""
    made = []
    for manifest in (experiment(), training_run(), model(), approval()):
        placed = manifest | {"metadata": manifest["metadata"] | {"namespace": SERVED}}
        answer = there.cluster.request(
            "POST", there.cluster.path(manifest["kind"], namespace=SERVED), placed
        )
        assert answer.ok, answer.message
        made.append(answer.body)
    return made


@pytest.fixture(scope="module")
def worked(
    there: Guarded, parents: list[Manifest], tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The log of an operator that starts with those rights, takes the lease, watches, and reports
    missing rights.
    """
    out = tmp_path_factory.mktemp("operator") / "log"
    process = there.operator(out)
    try:

        def reported() -> bool:
            assert process.poll() is None, out.read_text()
            bodies = [
                there.cluster.request(
                    "GET", there.cluster.path(each["kind"], each["metadata"]["name"], SERVED)
                ).body
                for each in parents
            ]
            return all(body.get("status", {}).get("conditions") for body in bodies)

        until(reported, "every object has conditions", 60)
        events = f"/apis/events.k8s.io/v1/namespaces/{SERVED}/events"
        until(lambda: there.cluster.request("GET", events).body["items"], "an event is there", 30)
        lease = f"/apis/coordination.k8s.io/v1/namespaces/{OPERATOR}/leases/modelyard"
        first = there.cluster.request("GET", lease).body["metadata"]["resourceVersion"]
        until(
            lambda: (
                there.cluster.request("GET", lease).body["metadata"]["resourceVersion"] != first
            ),
            "the lease is renewed",
            30,
        )
    finally:
        process.terminate()
        try:
            process.wait(120)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return out.read_text()


@pytest.fixture
def known() -> Cache:
    """The adapter's cache."""
    return Cache(PLURALS)


@pytest.fixture
async def kubernetes(there: Guarded, worked: str, known: Cache) -> AsyncIterator[Kubernetes]:
    """The adapter, as the operator's account."""
    configuration = Configuration()
    await config.load_kube_config(
        config_file=str(there.kubeconfig), client_configuration=configuration
    )
    api = Api(configuration, lambda *_: None, deadline=60)
    yield Kubernetes(api, known)
    await api.close()


async def test_the_operator_needs_all_of_its_rights_and_nothing_else(
    there: Guarded, worked: str, parents: list[Manifest], kubernetes: Kubernetes, known: Cache
):
    run = next(each for each in parents if each["kind"] == "TrainingRun")
    known.put("trainingruns", run)
    for api_version, kind in CHILDREN:
        manifest = child(api_version, kind, run)
        await kubernetes.apply(manifest)
        applied = kubernetes.owned(run["metadata"]["uid"])
        (uid,) = [each["metadata"]["uid"] for each in applied if each["kind"] == kind]
        await kubernetes.delete(
            SERVED, Delete(api_version, kind, manifest["metadata"]["name"], uid)
        )
    await kubernetes.tell(SERVED, SetTrafficRule("absent", "uid", "{}"))
    await kubernetes.namespace_labels(SERVED)
    await kubernetes.config_map(SERVED, "absent")
    assert "any user may approve in another's name here" in str(
        await kubernetes.unguarded(SERVED)
    ), "no policy is installed here"
    assert await kubernetes.creation_error(SERVED, run["metadata"]["uid"]) is None
    for parent in parents:
        path = there.cluster.path(parent["kind"], parent["metadata"]["name"], SERVED)
        body = there.cluster.request("GET", path).body
        newer = await kubernetes.set_finalizers(
            body, (*body["metadata"].get("finalizers", ()), FINALIZER)
        )
        with pytest.raises(Conflict):
            await kubernetes.set_finalizers(body, ())
        await kubernetes.set_finalizers(newer, ())

    said = next(each for each in parents if each["kind"] == "ModelApproval")
    meta = said["metadata"]
    known.put("modelapprovals", said)
    await kubernetes.delete(
        SERVED, Delete(said["apiVersion"], said["kind"], meta["name"], meta["uid"])
    )
    assert kubernetes.get("modelapprovals", SERVED, meta["name"]) is None
    assert (
        there.cluster.request("GET", there.cluster.path("ModelApproval", meta["name"], SERVED)).code
        == 404
    )

    # It does not exist, and the operator reads it when it starts working.
    assert "modelyard-promote is not in force: the policy is missing" in worked
    seen, refused = there.seen()
    assert [(each["verb"], each["requestURI"]) for each in refused] == []
    assert seen - needed() == set(), "done, and not in the table"
    assert needed() - seen - FINALIZERS == set(), "in the table, and never done"


async def test_of_all_secrets_only_the_connection_is_read(there: Guarded, kubernetes: Kubernetes):
    assert await kubernetes.secret(SERVED, "modelyard-connection") is None
    with pytest.raises(Forbidden):
        await kubernetes.secret(SERVED, "somebody-elses")


@pytest.mark.parametrize("kind", ["Experiment", "TrainingRun", "RegisteredModel"])
async def test_an_object_that_blocks_its_owners_deletion_needs_the_right_on_finalizers(
    there: Guarded, parents: list[Manifest], kind: str
):
    rights = yaml.safe_load((ROOT / "charts" / "modelyard" / "files" / "rbac.yaml").read_text())
    less = copy.deepcopy(rights)
    less["served"] = [
        rule
        for rule in less["served"]
        if not all(name.endswith("/finalizers") for name in rule["resources"])
    ]
    assert len(less["served"]) == len(rights["served"]) - 1
    grant(there.cluster, less, "less")
    (parent,) = [each for each in parents if each["kind"] == kind]
    manifest = child("v1", "ConfigMap", parent)

    def refusal(account: str) -> str | None:
        done = there.cluster.kubectl(
            "--token", there.token(account), "--kubeconfig", "/dev/null",
            "--server", there.cluster.server.url,
            "--certificate-authority", str(there.cluster.server.ca),
            "apply", "--server-side", "--dry-run=server", "-f", "-",
            stdin=yaml.safe_dump(manifest), check=False,
        )  # fmt: skip
        return done.stderr if done.returncode else None

    assert "cannot set blockOwnerDeletion" in until(lambda: refusal("less"), "it is refused")
    assert refusal("modelyard") is None
