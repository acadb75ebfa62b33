"""The operator killed during the story: the same end, nothing twice; and serving does not need
it.
"""

import random
from collections.abc import Callable

import pytest

from tests.demo import install
from tests.demo.kube import Kube
from tests.e2e.fixtures import Trained
from tests.e2e.tenant import Tenant

pytestmark = [pytest.mark.e2e, pytest.mark.alone]

OPERATOR = "app.kubernetes.io/name=modelyard,app.kubernetes.io/component=operator"


def kill(kube: Kube) -> None:
    """Kill the operator's pods at once: no drain, the Lease is not released."""
    for pod in kube.list("Pod", install.NAMESPACE, OPERATOR):
        kube.kubectl(
            "delete",
            "pod",
            pod["metadata"]["name"],
            "-n",
            install.NAMESPACE,
            "--grace-period=0",
            "--force",
        )


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_random_moments_the_story_ends_the_same(tenant: Tenant, seed: int):
    """The operator is killed after a random number of its writes following each step."""
    dice = random.Random(seed)

    def after_writes(what: Callable[[], None], versions: Callable[[], list[str]]) -> None:
        """Request a step, and kill the operator after a random number of its writes."""
        seen = {*versions()}
        what()
        wanted = dice.randint(1, 4)
        tenant.wait(
            f"{wanted} writes",
            lambda: len({*versions()} | seen) >= len(seen) + wanted or ended(),
            60,
        )
        kill(tenant.kube)

    def versions() -> list[str]:
        kinds = ("Experiment", "TrainingRun", "RegisteredModel", "Job", "Deployment", "Service")
        return [
            each["metadata"]["resourceVersion"]
            for kind in kinds
            for each in tenant.kube.list(kind, tenant.name)
        ]

    def ended() -> bool:
        bodies = [
            body
            for kind in ("TrainingRun", "RegisteredModel")
            for body in tenant.kube.list(kind, tenant.name)
        ]
        said = [
            {
                each["type"]: each["status"]
                for each in (body.get("status") or {}).get("conditions", [])
            }
            for body in bodies
        ]
        return bool(bodies) and all(each.get("Ready") == "True" for each in said)

    def begin() -> None:
        tenant.experiment()
        tenant.model(stages={"production": None})
        for version, rounds in (("v1", "20"), ("v2", "3")):
            tenant.run(
                f"fraud-{version}",
                parameters={"n_estimators": rounds},
                register={"model": "fraud", "version": version},
            )

    after_writes(begin, versions)
    tenant.wait("a Job is there", lambda: tenant.kube.list("Job", tenant.name))
    kill(tenant.kube)
    for name in ("fraud-v1", "fraud-v2"):
        tenant.ready("TrainingRun", name, 240)
    for version in ("v1", "v2"):
        after_writes(lambda version=version: tenant.promote(version), versions)  # type: ignore[misc]
        tenant.serves(version, seconds=180)

    for name in ("fraud-v1", "fraud-v2"):
        body = tenant.get("TrainingRun", name)
        assert [run["info"]["status"] for run in tenant.mlflow_runs(body["metadata"]["uid"])] == [
            "FINISHED"
        ], "one run an attempt"
        assert body["status"]["attempt"] == 1
    tags = [
        {tag["key"]: tag["value"] for tag in each["tags"]}["modelyard.io/version"]
        for each in tenant.mlflow_versions()
    ]
    assert sorted(tags) == ["v1", "v2"], "one version in MLflow a version of ours"
    assert tenant.mlflow_holders() == {"Production": "v2", "@production": "v2"}
    history = tenant.status("RegisteredModel")["history"]
    assert [(each.get("from"), each["to"], each["outcome"]) for each in history] == [
        (None, "v1", "Promoted"),
        ("v1", "v2", "Promoted"),
    ]
    assert tenant.predict()[0] == "v2"
    assert len(tenant.kube.list("Deployment", tenant.name)) == 1


def test_serving_does_not_need_the_operator(tenant: Tenant, trained: Trained):
    uris = {
        "v1": {"uri": tenant.copy_model(trained.v1, "v1")},
        "v2": {"uri": tenant.copy_model(trained.v2, "v2")},
    }
    tenant.model(stages={"production": "v1"}, versions=uris)
    tenant.serves("v1")
    with tenant.load() as load:
        tenant.kube.kubectl(
            "scale", "deployment", "modelyard", "-n", install.NAMESPACE, "--replicas=0"
        )
        try:
            tenant.wait(
                "the operator is gone",
                lambda: not tenant.kube.list("Pod", install.NAMESPACE, OPERATOR),
            )
            tenant.promote("v2")
            load.wait_for("v1", 250)
        finally:
            tenant.kube.kubectl(
                "scale", "deployment", "modelyard", "-n", install.NAMESPACE, "--replicas=1"
            )
        tenant.serves("v2")
        result = load.end()
    assert result.lost == 0, result.errors
    assert set(result.answered) == {"v1", "v2"}
