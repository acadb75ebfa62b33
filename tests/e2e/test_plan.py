"""A plan on a cluster: it changes neither MLflow, nor pods, nor the Service, and is then carried
out.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.fixtures import Trained
from tests.e2e.tenant import SERVING, Tenant

pytestmark = pytest.mark.e2e


def outside(tenant: Tenant) -> dict[str, Any]:
    """Return everything that a promotion changes: MLflow's model, and every serving object, by uid
    and version.
    """
    kinds = ("Deployment", "Pod", "Service", "PodDisruptionBudget", "Job")
    served = {
        kind: sorted(each["metadata"]["uid"] for each in tenant.kube.list(kind, tenant.name))
        for kind in kinds
    }
    service = tenant.kube.get("Service", "fraud-production", tenant.name)
    assert service is not None
    return {
        "served": served,
        "service": (service["spec"]["selector"], service["metadata"]["resourceVersion"]),
        "model": tenant.mlflow_model(),
        "versions": tenant.mlflow_versions(),
    }


def test_a_plan_changes_nothing_and_is_then_carried_out(tenant: Tenant, trained: Trained):
    versions = {
        name: {"uri": tenant.copy_model(getattr(trained, name), name)} for name in ("v1", "v2")
    }
    tenant.apply(
        "RegisteredModel",
        "fraud",
        {"versions": versions, "stages": {"production": {"version": "v1", "serving": SERVING}}},
    )
    tenant.serves("v1")
    before = outside(tenant)
    tenant.patch(
        "mlmodel", "fraud", {"spec": {"dryRun": True, "stages": {"production": {"version": "v2"}}}}
    )
    tenant.says("RegisteredModel", "fraud", "Planned", "Reconciling")
    rows = {row["step"]: row["does"] for row in tenant.status("RegisteredModel")["plan"]}
    assert list(rows) == ["admit", "start", "switch", "record", "mlflow", "drain"]
    assert rows["switch"] == "the Service fraud-production routes to v2 instead of v1"
    assert rows["mlflow"].startswith(
        "alias production to v2, stage Production for v2, stage Archived for v1"
    )
    assert outside(tenant) == before
    assert tenant.predict()[0] == "v1"
    tenant.patch("mlmodel", "fraud", {"spec": {"dryRun": False}})
    tenant.serves("v2")
    assert tenant.mlflow_holders()["@production"] == "v2"
    assert tenant.status("RegisteredModel").get("plan", []) == []
