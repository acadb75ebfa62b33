"""The chart on a real cluster, last of all: an uninstallation leaves nothing."""

import pytest

from tests.demo import install
from tests.demo.kube import Kube
from tests.e2e.conftest import VALUES
from tests.e2e.tenant import LABEL, Tenant

pytestmark = pytest.mark.e2e


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
