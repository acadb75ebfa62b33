"""A rollout in steps on a real cluster, under load: to its end, aborted at every moment, and
stopped by its failures.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelyard.kube.names import ALLOW_CODE_LABEL, TRAFFIC_ANNOTATION
from tests.demo import install
from tests.demo.load import steady_load
from tests.e2e.fixtures import Trained
from tests.e2e.tenant import SERVING, TABLE, Tenant
from tests.e2e.test_operator_killed import kill
from tests.e2e.test_watch import moody

pytestmark = pytest.mark.e2e

STEPS: list[dict[str, Any]] = [{"weight": 30}, {"hold": "8s"}, {"weight": 60}, {"pause": {}}]
PAUSED: list[dict[str, Any]] = [{"weight": 0}, {"pause": {}}, {"weight": 30}, {"pause": {}}]


def canary(
    tenant: Tenant, first: str, second: str, steps: list[dict[str, Any]], **rollout: Any
) -> None:
    """v1 is serving, and v2 will be rolled out in steps."""
    asked = {"strategy": "Canary", "steps": steps, **rollout}
    stage = {"version": "v1", "serving": SERVING, "rollout": asked}
    tenant.apply(
        "RegisteredModel",
        "fraud",
        {
            "versions": {"v1": {"uri": first}, "v2": {"uri": second}},
            "stages": {"production": stage},
        },
    )
    tenant.wait(
        "v1 serves",
        lambda: tenant.stage().get("readyReplicas") == 1 and tenant.stage().get("version") == "v1",
    )


def at(tenant: Tenant, weight: int) -> None:
    """Return when all stable pods apply a weight."""

    def there() -> bool:
        rollout = tenant.stage().get("rollout") or {}
        return bool(
            rollout.get("weight") == weight
            and rollout.get("of", 0) > 0
            and rollout.get("appliedBy") == rollout.get("of")
        )

    tenant.wait(f"weight {weight} is applied", there)


def rules(tenant: Tenant) -> list[str]:
    """Return the traffic rules of the stage's pods."""
    pods = tenant.kube.list("Pod", tenant.name, "modelyard.io/stage=production")
    return [
        told
        for each in pods
        if (told := (each["metadata"].get("annotations") or {}).get(TRAFFIC_ANNOTATION))
    ]


def resume(tenant: Tenant, number: int) -> None:
    tenant.patch(
        "mlmodel", "fraud", {"spec": {"stages": {"production": {"rollout": {"resumed": number}}}}}
    )


def test_a_version_is_rolled_out_in_steps_without_a_lost_request(tenant: Tenant, trained: Trained):
    canary(tenant, tenant.copy_model(trained.v1, "v1"), tenant.copy_model(trained.v2, "v2"), STEPS)
    with tenant.load() as load:
        load.wait_for("v1", 20)
        tenant.promote("v2")
        at(tenant, 30)
        load.wait_for("v2", 10)
        assert tenant.stage()["version"] == "v1"
        at(tenant, 60)
        tenant.wait(
            "it is paused",
            lambda: tenant.stage().get("blocked", {}).get("reason") == "RolloutPaused",
        )
        assert json.loads(rules(tenant)[0])["weight"] == 60
        counts = tenant.stage()["rollout"]
        assert counts["stable"]["requests"] > 0
        assert counts["candidate"]["failures"] == 0
        resume(tenant, 1)
        tenant.serves("v2")
        load.wait_for("v2", 20)
        result = load.end()
    assert result.lost == 0, result.errors
    assert set(result.answered) == {"v1", "v2"}
    assert not rules(tenant)
    assert [step["name"] for step in tenant.stage()["steps"]] == [
        "admit",
        "start",
        "rollout",
        "switch",
        "record",
    ]
    assert "rollout" not in tenant.stage()


@pytest.mark.alone  # it kills the operator
def test_setting_the_version_back_aborts_a_rollout_at_every_moment(
    tenant: Tenant, trained: Trained
):
    canary(tenant, tenant.copy_model(trained.v1, "v1"), tenant.copy_model(trained.v2, "v2"), PAUSED)

    def gone(how: str) -> None:
        tenant.promote("v1")
        tenant.serves("v1")
        assert not rules(tenant), how

    with tenant.load() as load:
        load.wait_for("v1", 20)
        tenant.promote("v2")
        gone("before the candidate's objects exist")
        tenant.promote("v2")
        tenant.wait("the candidate starts", lambda: "v2" in tenant.pods())
        gone("early")
        tenant.promote("v2")
        at(tenant, 0)
        resume(tenant, 1)
        at(tenant, 30)
        load.wait_for("v2", 10)
        gone("in the middle")
        tenant.promote("v2")
        at(tenant, 0)
        resume(tenant, 2)
        at(tenant, 30)
        kill(tenant.kube)
        gone("late, and the operator had died")
        result = load.end()
    assert result.lost == 0, result.errors
    outcomes = [each["outcome"] for each in tenant.status("RegisteredModel")["history"]]
    assert outcomes[-2:] == ["Aborted", "Aborted"]


def test_a_candidate_that_fails_is_stopped_and_no_caller_notices(tenant: Tenant, trained: Trained):
    tenant.kube.kubectl("label", "namespace", tenant.name, f"{ALLOW_CODE_LABEL}=true")
    first = tenant.copy_model(trained.v1, "v1")
    analysis = {"interval": "5s", "minRequests": 50}
    canary(
        tenant, first, moody(tenant, first), [{"weight": 20}, {"hold": "10m"}], analysis=analysis
    )
    url = f"http://fraud-production.{tenant.name}/v1/models/fraud:predict"
    bad = {"instances": [[1e9, *row[1:]] for row in TABLE]}
    with steady_load(tenant.kube, install.RUNTIME, tenant.name, url, bad) as load:
        tenant.promote("v2")
        at(tenant, 20)
        said = tenant.says("RegisteredModel", "fraud", "RolloutFailed")["message"]
        load.wait_for("v1", 20)
        result = load.end()
    assert "errors: Fail." in said
    assert "v2 was rejected, and v1 is still serving" in said
    assert (result.lost, set(result.answered)) == (0, {"v1"}), (
        "what the candidate fails is answered by the stable version"
    )
    tenant.wait("no pod splits", lambda: not rules(tenant))
    tenant.wait(
        "what was counted is gone",
        lambda: tenant.kube.get("ConfigMap", "fraud-production-rollout", tenant.name) is None,
    )
    rejected = tenant.stage()["rejected"][-1]
    assert (rejected["version"], rejected["reason"]) == ("v2", "RolloutFailed")
    assert tenant.status("RegisteredModel")["history"][-1]["outcome"] == "Rejected"
