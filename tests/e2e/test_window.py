"""A rollback inside its window on a real cluster: under load, through a freeze, without a new
pod and without a lost request.
"""

from __future__ import annotations

import time

import pytest

from tests.bench.rollout import probing
from tests.e2e.fixtures import Trained
from tests.e2e.tenant import SERVING, Tenant

pytestmark = pytest.mark.e2e

SOON = 5
"""Seconds, five times what it should take; the figure itself is the bench's (`rollout`)."""
FREEZE = {"schedule": "* * * * *", "duration": "1h", "reason": "audit"}


def pods(tenant: Tenant) -> set[str]:
    """Return the uids of all pods that serve or served the stage."""
    return {
        pod["metadata"]["uid"]
        for pod in tenant.kube.list("Pod", tenant.name, "modelyard.io/stage=production")
    }


def effective(tenant: Tenant) -> bool:
    """Return whether the stage's desired version is effective, also by its conditions."""
    stage = tenant.stage()
    return bool(
        stage.get("version") == stage.get("desired")
        and not stage.get("candidate")
        and stage.get("previous")
    )


def test_a_rollback_inside_the_window_starts_no_pod_and_loses_no_request(
    tenant: Tenant, trained: Trained
):
    versions = {
        name: {"uri": tenant.copy_model(getattr(trained, name), name)} for name in ("v1", "v2")
    }
    stage = {"version": "v1", "serving": SERVING, "rollback": {"window": "1h"}}
    tenant.apply(
        "RegisteredModel", "fraud", {"versions": versions, "stages": {"production": stage}}
    )
    tenant.serves("v1")
    with tenant.load() as load:
        load.wait_for("v1", 50)
        tenant.promote("v2")
        load.wait_for("v2", 100)
        tenant.wait(
            "v2 is effective", lambda: effective(tenant) and tenant.stage()["version"] == "v2"
        )
        tenant.patch("mlmodel", "fraud", {"spec": {"freeze": [FREEZE]}})
        before = pods(tenant)
        assert tenant.pods() == {"v1", "v2"}
        assert "untilTime" in tenant.stage()["previous"]
        with probing(
            tenant.kube,
            tenant.name,
            f"http://fraud-production.{tenant.name}/v1/models/fraud:predict",
            "probe",
        ) as probe:
            begun = time.time()
            tenant.promote("v1")
            took = probe.first("v1", begun) - begun
        print(f"v1 answers {took:.2f} s after the patch")
        load.wait_for("v1", 100)
        tenant.wait(
            "v1 is effective", lambda: effective(tenant) and tenant.stage()["version"] == "v1"
        )
        assert pods(tenant) == before
        result = load.end()
    assert took < SOON
    assert result.lost == 0, result.errors
    assert set(result.answered) == {"v1", "v2"}
    assert [step["name"] for step in tenant.stage()["steps"]] == [
        "admit",
        "start",
        "switch",
        "record",
    ]
    tenant.patch("mlmodel", "fraud", {"spec": {"stages": {"production": {"rollback": None}}}})
    tenant.serves("v1")
