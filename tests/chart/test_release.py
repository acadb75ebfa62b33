"""Install, upgrade and uninstall a release with helm, on a real API server without nodes."""

from __future__ import annotations

import base64
import re
import shutil
from pathlib import Path

import pytest

from modelyard.api.kinds import KINDS
from tests.chart.api import EXPERIMENTS, RUNS, Api, eventually, path_of
from tests.chart.conftest import uninstall
from tests.chart.helm import (
    CHART,
    NAMESPACE,
    RELEASE,
    ROOT,
    TEST_VALUES,
    Refused,
    helm,
    install,
    kubectl,
)
from tests.chart.values import CREDIT, SETS
from tests.cluster.apiserver import ApiServer

pytestmark = pytest.mark.api


def upgrade(server: ApiServer, *files: Path) -> str:
    words = [word for file in files for word in ("--values", str(file))]
    return helm(
        "upgrade", RELEASE, CHART, "--namespace", NAMESPACE, *words, kubeconfig=server.kubeconfig
    )


NOISE = {"events", "leases", "apiservices", "componentstatuses", "ipaddresses"}


def everything(server: ApiServer) -> set[str]:
    """Return every object of every kind as `plural.group/name`, except those that Kubernetes writes
    itself.
    """
    admin = Api(server)
    groups = [
        group["preferredVersion"]["groupVersion"] for group in admin.get("/apis").body["groups"]
    ]
    found = set()
    for version in ["v1", *groups]:
        # A kind may be deleted between two requests: then it has no objects.
        for each in admin.get(f"/apis/{version}" if "/" in version else f"/api/{version}").body.get(
            "resources", []
        ):
            if "/" not in each["name"] and "list" in each["verbs"] and each["name"] not in NOISE:
                items = admin.get(path_of(f"{version}/{each['name']}")).body.get("items", [])
                suffix = f".{version.split('/')[0]}" if "/" in version else ""
                found |= {f"{each['name']}{suffix}/{item['metadata']['name']}" for item in items}
    return found


def secret(admin: Api, name: str, namespace: str) -> dict[str, str]:
    data = admin.get(path_of("v1/secrets", namespace, name)).body["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


class Left:
    """Objects compared with the expected ones: true if equal; otherwise the repr shows the
    difference.
    """

    def __init__(self, found: set[str], expected: set[str]) -> None:
        self.more, self.less = found - expected, expected - found

    def __bool__(self) -> bool:
        return not self.more and not self.less

    def __repr__(self) -> str:
        return f"too much: {sorted(self.more)}, too little: {sorted(self.less)}"


def prepared(server: ApiServer) -> set[str]:
    """Prepare the release's namespace; return everything that exists then."""
    admin = Api(server)
    admin.create(path_of("v1/namespaces"), {"metadata": {"name": NAMESPACE}})
    eventually(
        lambda: admin.get(path_of("v1/configmaps", NAMESPACE, "kube-root-ca.crt")).code == 200,
        "the namespace has its ConfigMap",
    )
    eventually(
        lambda: admin.get(path_of("v1/serviceaccounts", NAMESPACE, "default")).code == 200,
        "the namespace has its ServiceAccount",
    )
    return everything(server)


def test_uninstalling_leaves_the_crds_and_nothing_else(clean, values):
    before = prepared(clean)
    # A claim is protected until a controller that does not run here says otherwise.
    install(clean.kubeconfig, TEST_VALUES, values({"replicas": 2} | SETS["demo without claims"]))
    added = everything(clean) - before
    assert {
        "deployments.apps/modelyard",
        "deployments.apps/modelyard-mlflow",
        "namespaces/risk",
        "poddisruptionbudgets.policy/modelyard",
    } <= added
    uninstall(clean)
    crds = {
        f"customresourcedefinitions.apiextensions.k8s.io/{kind}.modelyard.io"
        for kind in (kind.resource.PLURAL for kind in KINDS)
    }
    eventually(lambda: Left(everything(clean) - before, crds), "only the CRDs are left")


def test_with_crds_keep_false_nothing_at_all_is_left(clean, values):
    before = prepared(clean)
    install(clean.kubeconfig, values(SETS["nothing kept"]))
    assert len(everything(clean) - before) > 10
    uninstall(clean)
    eventually(lambda: Left(everything(clean) - before, set()), "nothing is left")


def test_the_crds_and_their_objects_outlive_the_release_and_the_next_one_takes_them_over(
    clean, values
):
    admin = Api(clean)
    install(clean.kubeconfig, values({"tenants": [CREDIT]}))
    body = {"metadata": {"name": "scores"}, "spec": {"description": "kept"}}
    assert (
        admin.create(
            path_of(EXPERIMENTS, "credit"),
            body | {"apiVersion": "modelyard.io/v1alpha1", "kind": "Experiment"},
        ).code
        == 201
    )
    uninstall(clean)
    assert admin.get(path_of(EXPERIMENTS, "credit", "scores")).body["spec"]["description"] == "kept"
    install(clean.kubeconfig, values({"tenants": [CREDIT]}))
    assert admin.get(path_of(EXPERIMENTS, "credit", "scores")).body["spec"]["description"] == "kept"
    assert secret(admin, "modelyard-connection", "credit")["MODELYARD_BUCKET"] == "credit-artifacts"


def test_an_upgrade_keeps_the_keys_and_replaces_no_pod_without_need(clean, values):
    admin = Api(clean)
    install(clean.kubeconfig, TEST_VALUES)
    keys = secret(admin, f"{RELEASE}-minio", NAMESPACE)

    def generations() -> dict[str, int]:
        items = admin.get(path_of("apps/v1/deployments", NAMESPACE)).body["items"]
        return {item["metadata"]["name"]: item["metadata"]["generation"] for item in items}

    first = generations()
    upgrade(clean, TEST_VALUES)
    assert secret(admin, f"{RELEASE}-minio", NAMESPACE) == keys
    assert (
        secret(admin, "modelyard-connection", "risk")["AWS_SECRET_ACCESS_KEY"]
        == keys["MINIO_ROOT_PASSWORD"]
    )
    assert generations() == first
    upgrade(clean, TEST_VALUES, values({"log": {"level": "debug"}}))
    assert generations() == first | {RELEASE: first[RELEASE] + 1}
    upgrade(clean, TEST_VALUES, values({"demo": {"minio": {"rootPassword": "another-password"}}}))
    assert (
        secret(admin, "modelyard-connection", "risk")["AWS_SECRET_ACCESS_KEY"] == "another-password"
    )
    assert generations()[f"{RELEASE}-minio"] == first[f"{RELEASE}-minio"] + 1


def test_an_upgrade_brings_the_crds_up_to_date(clean, tmp_path):
    """Helm never upgrades a chart's crds/; that is why they are templates here."""
    older = tmp_path / "older"
    shutil.copytree(CHART, older)
    file = older / "files" / "crds" / "modelyard.io_experiments.yaml"
    file.write_text(file.read_text().replace("- mlexp\n", "- oldname\n"))

    def short_names() -> list[str]:
        path = path_of(
            "apiextensions.k8s.io/v1/customresourcedefinitions", name="experiments.modelyard.io"
        )
        return Api(clean).get(path).body["spec"]["names"]["shortNames"]

    helm(
        "install",
        RELEASE,
        older,
        "--namespace",
        NAMESPACE,
        "--create-namespace",
        kubeconfig=clean.kubeconfig,
    )
    assert short_names() == ["oldname"]
    upgrade(clean)
    assert short_names() == ["mlexp"]
    helm("rollback", RELEASE, "1", "--namespace", NAMESPACE, kubeconfig=clean.kubeconfig)
    assert short_names() == ["oldname"], (
        "docs/how-to/upgrade.md: a rollback brings the older CRDs back"
    )


def test_a_removed_tenant_loses_its_connection_and_keeps_its_namespace(clean, values):
    admin = Api(clean)
    install(clean.kubeconfig, values({"tenants": [CREDIT]}))
    assert admin.get(path_of("v1/secrets", "credit", "modelyard-connection")).code == 200
    upgrade(clean, values({"tenants": []}))
    assert admin.get(path_of("v1/secrets", "credit", "modelyard-connection")).code == 404
    assert admin.get(path_of("v1/namespaces", name="credit")).body["status"]["phase"] == "Active"


def test_a_name_in_use_is_refused_before_anything_is_created(clean):
    kubectl(
        "create",
        "clusterrole",
        RELEASE,
        "--verb=get",
        "--resource=pods",
        kubeconfig=clean.kubeconfig,
    )
    try:
        with pytest.raises(Refused, match="invalid ownership metadata"):
            install(clean.kubeconfig)
        assert Api(clean).get(path_of("apps/v1/deployments", NAMESPACE)).body["items"] == []
    finally:
        kubectl("delete", "clusterrole", RELEASE, kubeconfig=clean.kubeconfig)


TRAINING = {"experiment": "fraud", "trainer": {"xgboost": {}}}


def test_without_the_crd_of_models_only_our_own_kinds_are_refused(clean, values):
    """A policy whose parameter kind is missing fails; policies on foreign kinds ignore that
    failure.
    """
    admin = Api(clean)
    kubectl(
        "apply",
        "--server-side",
        "-f",
        ROOT / "crds" / "modelyard.io_trainingruns.yaml",
        kubeconfig=clean.kubeconfig,
    )
    install(clean.kubeconfig, values(SETS["no CRDs"]))
    run = {
        "apiVersion": "modelyard.io/v1alpha1",
        "metadata": {"name": "a"},
        "kind": "TrainingRun",
        "spec": TRAINING,
    }
    # The message about the missing parameter kind depends on whether this server has ever had it.
    refused = re.compile(r"'modelyard-runs' denied request: failed to configure \w+: .*paramKind")
    path = path_of(RUNS, "default") + "?dryRun=All"
    eventually(
        lambda: refused.search(admin.create(path, run).message),
        "the policy on TrainingRuns misses its parameters",
    )
    service = {"metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}}
    answer = admin.create(path_of("v1/services", "default") + "?dryRun=All", service)
    assert answer.code == 201, answer.message
