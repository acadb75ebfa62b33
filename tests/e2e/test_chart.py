"""The chart and the kustomizations on a real cluster, last of all.

An upgrade loses no changes under way, and an uninstallation leaves nothing.
"""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.cluster.images import MINIO
from tests.cluster.settings import Settings
from tests.demo import install
from tests.demo.kube import Kube
from tests.e2e.fixtures import VALUES, Trained
from tests.e2e.tenant import LABEL, Tenant

pytestmark = [pytest.mark.e2e, pytest.mark.alone]


def operators(kube: Kube) -> set[str]:
    """Return the operator's pods, also terminating ones."""
    return {
        pod["metadata"]["name"]
        for pod in kube.list("Pod", install.NAMESPACE, "app.kubernetes.io/component=operator")
    }


def test_an_upgrade_loses_no_changes_under_way(tenant: Tenant, trained: Trained):
    # An earlier test may have installed with other values: the upgrade below would restart MLflow
    # during the training.
    install.install(tenant.kube, VALUES)
    install.wait_ready(tenant.kube)
    tenant.model(
        stages={"production": "v1"}, versions={"v1": {"uri": tenant.copy_model(trained.v1, "v1")}}
    )
    tenant.serves("v1")
    before = operators(tenant.kube)
    with tenant.load() as load:
        tenant.experiment()
        tenant.run("midway", register={"model": "fraud", "version": "v2"})
        tenant.wait("its Job is there", lambda: tenant.kube.list("Job", tenant.name))
        install.install(tenant.kube, VALUES | {"log": {"level": "debug"}, "replicas": 2})
        install.wait_ready(tenant.kube)
        tenant.wait("the operator is another", lambda: not before & operators(tenant.kube))
        body = tenant.ready("TrainingRun", "midway", 240)
        tenant.promote("v2")
        tenant.serves("v2")
        result = load.end()
    assert result.lost == 0, result.errors
    assert len(tenant.mlflow_runs(body["metadata"]["uid"])) == 1
    install.install(tenant.kube, VALUES)
    install.wait_ready(tenant.kube)


def test_a_killed_upgrade_is_repeated(operator: Kube):
    """Helm refuses to upgrade a release that it thinks is being upgraded."""
    waiting = ["--set", "nodeSelector.modelyard\\.io/no-such=node", "--wait", "--timeout", "10m"]
    helm = [operator.tools / "helm", *install.COMMAND, *waiting]
    with subprocess.Popen(helm, env=operator.environment, cwd=install.ROOT) as process:
        try:
            operator.wait(
                "Helm has begun",
                lambda: operator.list("Secret", install.NAMESPACE, install.PENDING),
            )
        finally:
            process.kill()
    install.install(operator, VALUES)
    install.wait_ready(operator)
    assert not operator.list("Secret", install.NAMESPACE, install.PENDING)


def left_behind(kube: Kube) -> list[str]:
    """Return everything of ours in the cluster, also namespaces."""
    kinds = "crd,clusterrole,clusterrolebinding,validatingadmissionpolicy,"
    kinds += "validatingadmissionpolicybinding,namespace,pv"
    names = kube.kubectl("get", kinds, "-o", "name").split()
    claims = kube.kubectl(
        "get", "persistentvolumes", "-o", "jsonpath={.items[*].spec.claimRef.namespace}"
    ).split()
    node = Settings.read().node
    ours = [name for name in names if "modelyard" in name.replace(node, "")]
    ours += [name for name in names if name == "namespace/risk"]
    return [*ours, *(name for name in claims if name == install.NAMESPACE)]


@pytest.mark.timeout(900)
def test_an_uninstallation_leaves_nothing(operator: Kube):
    """Nothing of the release, its kinds and its namespaces; installed again, it works again."""
    operator.kubectl("delete", "namespace", "-l", LABEL, "--timeout=180s", timeout=200)
    risk = Tenant(operator, "risk")
    risk.experiment("left-behind")
    risk.ready("Experiment", "left-behind")
    install.uninstall(operator)
    assert left_behind(operator) == []
    install.install(operator, VALUES)
    install.wait_ready(operator)
    risk.experiment("again")
    risk.ready("Experiment", "again")


def overlay(folder: Path) -> Path:
    """Write a kustomization like that in docs/install.md: the demo's, with the node's images."""
    # kustomize takes no absolute path and none above the overlay's parents but by a relative one.
    (folder / "modelyard").symlink_to(install.ROOT)
    (folder / "here").mkdir()
    runtime = {"name": "MODELYARD_RUNTIME_IMAGE", "value": install.RUNTIME}
    patch = {
        "spec": {"template": {"spec": {"containers": [{"name": "operator", "env": [runtime]}]}}}
    }
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["../modelyard/manifests/demo"],
        "images": [
            {"name": "modelyard/operator", "newTag": "dev"},
            {"name": "modelyard/runtime", "newTag": "dev"},
            {"name": "minio/minio", "newName": MINIO.split(":")[0], "newTag": "dev"},
        ],
        "patches": [
            {
                "target": {"kind": "Deployment", "name": install.RELEASE},
                "patch": yaml.safe_dump(
                    {
                        "apiVersion": "apps/v1",
                        "kind": "Deployment",
                        "metadata": {"name": install.RELEASE},
                    }
                    | patch
                ),
            }
        ],
    }
    (folder / "here" / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return folder / "here"


@pytest.mark.timeout(1800)
def test_without_helm_it_is_installed_shows_its_samples_and_leaves_nothing(
    operator: Kube, tmp_path: Path
):
    """`kubectl apply -k`, every sample as it is written, `kubectl delete -k`."""
    operator.kubectl("delete", "namespace", "-l", LABEL, "--timeout=180s", timeout=200)
    install.uninstall(operator)
    folder = overlay(tmp_path)
    operator.kubectl("apply", "--server-side", "-k", str(folder), timeout=200)
    try:
        install.wait_ready(operator)
        show_samples(operator)
    finally:  # whatever happened, Helm finds a cluster without it
        for kinds in (
            "registeredmodels",
            "trainingruns,experiments",
        ):  # as in docs/install.md: versions of stages are kept
            operator.kubectl("delete", kinds, "--all", "--all-namespaces", timeout=200)
        operator.kubectl("delete", "-k", str(folder), "--timeout=180s", timeout=200)
    assert left_behind(operator) == []
    install.install(operator, VALUES)
    install.wait_ready(operator)


def show_samples(operator: Kube) -> None:
    """Check that every sample becomes Ready as written, except for the image's tag."""
    risk = Tenant(operator, "risk")
    # An external run would wait for a notebook (tests/e2e/test_external.py).
    samples = sorted(
        path
        for path in (install.ROOT / "manifests" / "samples").iterdir()
        if path.is_dir() and path.name != "external"
    )
    applied = set()
    for sample in samples:
        text = "\n---\n".join(file.read_text() for file in sorted(sample.glob("*.yaml")))
        applied |= {
            (each["kind"], each["metadata"]["name"]) for each in yaml.safe_load_all(text) if each
        }
        operator.kubectl(
            "apply", "-f", "-", stdin=text.replace("modelyard/runtime:0.1.0", install.RUNTIME)
        )
    shown = [
        each
        for each in sorted(applied)
        if each[0] in ("Experiment", "TrainingRun", "RegisteredModel")
    ]
    assert {kind for kind, _ in shown} == {"Experiment", "TrainingRun", "RegisteredModel"}
    for kind, name in shown:
        risk.ready(kind, name, 240)
    assert (
        operator.get("RegisteredModel", "churn", "risk")["status"]["stages"]["dev"]["version"]
        == "v1"
    )
