"""The chart on a real cluster, last of all: an upgrade while objects are on their way loses nothing; an uninstallation leaves nothing."""

import pytest

from tests.demo import install
from tests.demo.kube import Kube
from tests.e2e.conftest import VALUES, Trained
from tests.e2e.tenant import LABEL, Tenant

pytestmark = pytest.mark.e2e


def operators(kube: Kube) -> set[str]:
    """The operator's pods, those that are going included."""
    return {pod["metadata"]["name"] for pod in kube.list("Pod", install.NAMESPACE, "app.kubernetes.io/component=operator")}


def test_an_upgrade_loses_nothing_on_its_way(tenant: Tenant, trained: Trained):
    tenant.model(stages={"production": "v1"}, versions={"v1": {"uri": tenant.copy_model(trained.v1, "v1")}})
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


@pytest.mark.timeout(900)
def test_an_uninstallation_leaves_nothing(operator: Kube):
    """Of the release, its kinds and its namespaces; and then it is installed again for whoever comes next."""
    operator.kubectl("delete", "namespace", "-l", LABEL, "--timeout=180s", timeout=200)
    risk = Tenant(operator, "risk")
    risk.experiment("left-behind")
    risk.ready("Experiment", "left-behind")
    install.uninstall(operator)
    kinds = "crd,clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding,namespace,pv"
    names = operator.kubectl("get", kinds, "-o", "name").split()
    assert [name for name in names if "modelyard" in name.replace("modelyard-control-plane", "") or name == "namespace/risk"] == []
    left = operator.kubectl("get", "persistentvolumes", "-o", "jsonpath={.items[*].spec.claimRef.namespace}").split()
    assert install.NAMESPACE not in left
    install.install(operator, VALUES)
    install.wait_ready(operator)
    risk.experiment("again")
    risk.ready("Experiment", "again")
