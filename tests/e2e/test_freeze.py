"""A stop for the whole cluster and its end, by the ConfigMap that the operator watches, without a
restart.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from modelyard.kube.names import FREEZE_CONFIG_MAP
from tests.demo import install
from tests.e2e.fixtures import Trained
from tests.e2e.tenant import SERVING, Tenant

pytestmark = [pytest.mark.alone, pytest.mark.e2e]


def test_a_stop_delays_a_promotion_which_continues_when_the_stop_is_removed(
    tenant: Tenant, trained: Trained
):
    versions = {
        name: {"uri": tenant.copy_model(getattr(trained, name), name)} for name in ("v1", "v2")
    }
    tenant.apply(
        "RegisteredModel",
        "fraud",
        {"versions": versions, "stages": {"production": {"version": "v1", "serving": SERVING}}},
    )
    tenant.serves("v1")
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    stop = json.dumps({"stop": {"reason": "incident 4711", "until": until}})
    place = ("-n", install.NAMESPACE, "configmap", FREEZE_CONFIG_MAP)
    tenant.kube.kubectl("create", *place, f"--from-literal=calendar.json={stop}")
    try:
        tenant.patch("mlmodel", "fraud", {"spec": {"stages": {"production": {"version": "v2"}}}})
        said = tenant.says("RegisteredModel", "fraud", "Frozen", "Reconciling")["message"]
        assert "(incident 4711). v1 is still serving." in said
        assert not [
            each
            for each in tenant.kube.list("Deployment", tenant.name)
            if "v2" in each["metadata"]["name"]
        ]
    finally:
        tenant.kube.kubectl("delete", *place)
    tenant.serves("v2")
