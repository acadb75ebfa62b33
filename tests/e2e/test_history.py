"""The record of a history on a cluster: tampering with its objects is found, and foreign objects
are not overwritten.
"""

from __future__ import annotations

import json

import pytest

from modelyard.api.record import folder, name
from tests.e2e.fixtures import Trained
from tests.e2e.tenant import SERVING, Tenant
from tests.e2e.test_gates import says

pytestmark = pytest.mark.e2e


def test_tampering_with_a_history_is_found_and_foreign_objects_are_never_overwritten(
    tenant: Tenant, trained: Trained
):
    versions = {
        each: {"uri": tenant.copy_model(getattr(trained, each), each)} for each in ("v1", "v2")
    }
    tenant.apply(
        "RegisteredModel",
        "fraud",
        {"versions": versions, "stages": {"production": {"version": "v1", "serving": SERVING}}},
    )
    tenant.serves("v1")
    tenant.patch(
        "mlmodel",
        "fraud",
        {"spec": {"stages": {"production": {"version": "v2", "reason": "better"}}}},
    )
    tenant.serves("v2")
    known = tenant.wait("both entries are stored", lambda: stored(tenant, 2))
    tenant.wait(
        "an event has the digest",
        lambda: any(known["digest"] in each for each in tenant.events("Promoted")),
    )
    whole = says(tenant, "history", "verify", "fraud", "--head", f"2:{known['digest']}")
    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert "is whole: 2 entries in S3" in whole.stdout
    place = folder(tenant.name, tenant.get("RegisteredModel")["metadata"]["uid"])
    with tenant.s3() as s3:
        first = s3.get_object(Bucket=tenant.bucket, Key=place + name(1))["Body"].read()
        s3.put_object(
            Bucket=tenant.bucket, Key=place + name(1), Body=first.replace(b'"v1"', b'"v9"')
        )
        s3.put_object(Bucket=tenant.bucket, Key=place + name(3), Body=b"{}")
    found = says(tenant, "history", "verify", "fraud", "-o", "json")
    assert found.returncode == 1, found.stdout + found.stderr
    assert [each["number"] for each in json.loads(found.stdout)["findings"]] == [1, 3, 3], (
        "no entry, and beyond the status"
    )
    tenant.patch("mlmodel", "fraud", {"spec": {"stages": {"production": {"version": "v1"}}}})
    assert name(3) in tenant.says("RegisteredModel", "fraud", "RecordConflict")["message"]
    with tenant.s3() as s3:
        assert s3.get_object(Bucket=tenant.bucket, Key=place + name(3))["Body"].read() == b"{}"
        s3.delete_object(Bucket=tenant.bucket, Key=place + name(3))
    tenant.wait("the operator writes its own", lambda: stored(tenant, 3))
    tenant.serves("v1")
    listed = says(tenant, "history", "fraud", "--all", "-o", "json")
    assert [(each["to"], each["outcome"]) for each in json.loads(listed.stdout)][1:] == [
        ("v2", "Promoted"),
        ("v1", "RolledBack"),
    ]


def stored(tenant: Tenant, number: int) -> dict[str, str] | None:
    """Return the newest entry in S3, if it has this number."""
    found: dict[str, str] = (tenant.status("RegisteredModel").get("record") or {}).get(
        "stored"
    ) or {}
    return found if found.get("number") == number else None
