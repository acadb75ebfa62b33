"""A verification on a real cluster: the version fails, is still serving, is not promoted further,
and passes again.
"""

from __future__ import annotations

import json

import pytest

from tests.e2e.fixtures import Trained
from tests.e2e.tenant import SERVING, TABLE, Tenant
from tests.e2e.test_gates import QUALITY, log, run_with_model, says
from tests.e2e.test_trials import ASKS, job, of_gates

pytestmark = pytest.mark.e2e


def held(tenant: Tenant) -> bool | None:
    """Return staging's record of v2."""
    (version,) = [
        each for each in tenant.status("RegisteredModel")["versions"] if each["name"] == "v2"
    ]
    found: bool | None = next(
        each.get("verified") for each in version["held"] if each["stage"] == "staging"
    )
    return found


def test_a_version_that_fails_its_verification_keeps_serving_and_is_not_promoted_until_it_passes(
    tenant: Tenant, trained: Trained
):
    tenant.experiment()
    run = run_with_model(tenant, trained.v2)
    log(tenant, run, 0.95)
    versions = {"v1": {"uri": tenant.copy_model(trained.v1, "v1")}, "v2": {"runId": run}}
    asks = job(ASKS, candidate="Served", env=[{"name": "TABLE", "value": json.dumps(TABLE)}])
    staging = {
        "version": "v2",
        "serving": SERVING,
        "gates": [QUALITY, asks],
        "reverify": {"every": "24h"},
    }
    tenant.apply(
        "RegisteredModel",
        "fraud",
        {"versions": versions, "stages": {"staging": staging, "production": {"version": "v1"}}},
    )
    tenant.serves("v2", "staging", seconds=240)
    passed = says(tenant, "verify", "fraud", "--stage", "staging")
    assert passed.returncode == 0, passed.stdout + passed.stderr
    message = tenant.stage(stage="staging")["verification"]["message"]
    assert f"integration: exit code 0: {len(TABLE)} rows answered by v2" in message, (
        "it asked the stage's own Service"
    )
    assert held(tenant) is True
    tenant.wait("the Jobs are gone with their pods", lambda: not of_gates(tenant, "Job"))
    log(tenant, run, 0.8)
    failed = says(tenant, "verify", "fraud", "--stage", "staging")
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "VerificationFailed: quality: accuracy is 0.8, below 0.9" in failed.stderr
    assert "NOT verified" in says(tenant, "status", "fraud").stdout
    assert tenant.predict("staging")[0] == "v2", "it keeps serving"
    assert held(tenant) is False
    tenant.wait(
        "an event says so",
        lambda: any(
            "accuracy is 0.8, below 0.9" in each for each in tenant.events("VerificationFailed")
        ),
    )
    tenant.patch(
        "mlmodel",
        "fraud",
        {"spec": {"stages": {"production": {"version": "v2", "from": "staging"}}}},
    )
    waits = tenant.wait(
        "production waits",
        lambda: (tenant.stage().get("blocked") or {}).get("reason") == "WaitingForStage",
    )
    assert waits
    assert tenant.predict()[0] == "v1"
    log(tenant, run, 0.95)
    again = says(tenant, "verify", "fraud", "--stage", "staging")
    assert again.returncode == 0, again.stdout + again.stderr
    tenant.serves("v2")
