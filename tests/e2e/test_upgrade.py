"""An upgrade of the operator with another runtime image: nothing restarts, a refresh loses no
request, a rollback restores version and runtime.
"""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.cluster.settings import Settings
from tests.demo import install
from tests.demo.kube import Kube
from tests.e2e.fixtures import LITTLE, VALUES, Trained
from tests.e2e.tenant import Tenant
from tests.e2e.written import run

pytestmark = [pytest.mark.e2e, pytest.mark.alone]

MODELS = ("fraud", "churn", "limits")
REPOSITORY = install.RUNTIME.partition(":")[0]
NEXT = f"{REPOSITORY}:next"


@pytest.fixture
def upgraded(operator: Kube) -> Iterator[dict[str, object]]:
    """Yield the chart's values for an operator with another runtime image; restore the usual one
    afterwards.
    """
    names = [f"docker.io/{name}" for name in (install.RUNTIME, NEXT)]
    subprocess.run(
        [
            "docker",
            "exec",
            Settings.read().node,
            "ctr",
            "-n",
            "k8s.io",
            "images",
            "tag",
            "--force",
            *names,
        ],
        check=True,
    )
    # MLflow is in the same image, and is not changed.
    mlflow = {"repository": REPOSITORY, "tag": install.RUNTIME.partition(":")[2]}
    yield VALUES | {
        "runtime": {"image": {"tag": "next"}},
        "demo": VALUES["demo"] | {"mlflow": LITTLE | {"image": mlflow}},
    }
    install.install(operator, VALUES)
    install.wait_ready(operator)


def pods(tenant: Tenant) -> dict[str, set[str]]:
    """Return the uids of each model's serving pods."""
    labels = "modelyard.io/stage=production,modelyard.io/model="
    return {
        name: {
            pod["metadata"]["uid"] for pod in tenant.kube.list("Pod", tenant.name, labels + name)
        }
        for name in MODELS
    }


def image(tenant: Tenant, model: str = "fraud") -> str:
    """Return the image that serves a model's stage."""
    return str(tenant.stage(model)["runtime"]["image"])


@pytest.mark.timeout(900)
def test_three_models_under_load_outlive_an_upgrade_and_are_refreshed(
    tenant: Tenant, trained: Trained, upgraded: dict[str, object]
):
    versions = {
        name: {"uri": tenant.copy_model(uri, name)}
        for name, uri in (("v1", trained.v1), ("v2", trained.v2))
    }
    for name in MODELS:
        tenant.model(name, {"production": "v1"}, versions=versions)
    for name in MODELS:
        tenant.serves("v1", model=name)
    before = pods(tenant)
    with ExitStack() as stack:
        loads = [
            stack.enter_context(tenant.load(model=name, name=f"load-{name}", rate=20))
            for name in MODELS
        ]

        install.install(tenant.kube, upgraded)
        install.wait_ready(tenant.kube)
        for name in MODELS:
            tenant.wait(
                f"{name} is known to be served with an older runtime",
                lambda name=name: (
                    tenant.status("RegisteredModel", name)["operatorRuntime"]["image"] == NEXT
                ),
            )
            tenant.ready("RegisteredModel", name)
            assert image(tenant, name) == install.RUNTIME
        assert pods(tenant) == before, "an upgrade restarts nothing"

        tenant.promote("v2")
        tenant.serves("v2")
        assert image(tenant) == NEXT
        tenant.promote("v1")
        tenant.serves("v1")
        assert image(tenant) == install.RUNTIME, "a rollback restores the runtime too"

        run(tenant.kube, f"modelyard refresh --all --yes -n {tenant.name}", 400)
        for name in MODELS:
            tenant.serves("v1", model=name)
            assert image(tenant, name) == NEXT
            assert tenant.status("RegisteredModel", name)["history"][-1]["outcome"] == "Refreshed"
            tenant.wait(
                f"the pods of {name} are new",
                lambda name=name: not pods(tenant)[name] & before[name],
            )
        code, headers, _ = tenant.ask("v2/health/ready")
        assert (code, headers["modelyard-runtime"]) == (200, tenant.stage()["runtime"]["identity"])
        results = [load.end() for load in loads]
    assert [result.lost for result in results] == [0, 0, 0], [result.errors for result in results]
