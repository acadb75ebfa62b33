"""A version that fails after the switch is rolled back automatically, under load, and no request is
lost but its own failures.
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from modelyard.kube.names import ALLOW_CODE_LABEL
from tests.e2e.fixtures import Trained
from tests.e2e.tenant import SERVING, TABLE, Tenant

pytestmark = pytest.mark.e2e

CODE = """\
class Moody:
    def predict(self, rows, params=None):
        if (rows.iloc[:, 0] > 1e8).any():
            raise RuntimeError("no such amount")
        return [0.5] * len(rows)


def _load_pyfunc(path):
    return Moody()
"""
"""A model that fails for some rows."""
AUTOMATIC = {"automatic": {"maxErrorRate": "0.001", "minRequests": 20}}


def moody(tenant: Tenant, like: str) -> str:
    """Store a version with the inputs of another one, which fails for some rows; return its URI."""
    target = f"{tenant.name}/models/moody"
    with tenant.s3() as s3:
        there = s3.get_object(
            Bucket=tenant.bucket, Key=f"{like.removeprefix(f's3://{tenant.bucket}/')}/MLmodel"
        )
        signature = yaml.safe_load(there["Body"].read())["signature"]
        flavor = {"loader_module": "moody", "code": "code"}
        mlmodel = yaml.safe_dump({"flavors": {"python_function": flavor}, "signature": signature})
        for path, text in {"MLmodel": mlmodel, "code/moody.py": CODE}.items():
            s3.put_object(Bucket=tenant.bucket, Key=f"{target}/{path}", Body=text.encode())
    return f"s3://{tenant.bucket}/{target}"


def pods_of(tenant: Tenant, version: str) -> set[str]:
    found = tenant.kube.list(
        "Pod", tenant.name, f"modelyard.io/stage=production,modelyard.io/version={version}"
    )
    return {each["metadata"]["uid"] for each in found}


def test_a_failing_version_is_rolled_back_automatically_under_load(
    tenant: Tenant, trained: Trained
):
    tenant.kube.kubectl("label", "namespace", tenant.name, f"{ALLOW_CODE_LABEL}=true")
    first = tenant.copy_model(trained.v1, "v1")
    versions: dict[str, Any] = {"v1": {"uri": first}, "v2": {"uri": moody(tenant, first)}}
    production = {"version": "v1", "serving": SERVING, "rollback": AUTOMATIC}
    tenant.apply(
        "RegisteredModel", "fraud", {"versions": versions, "stages": {"production": production}}
    )
    tenant.wait(
        "v1 serves",
        lambda: tenant.stage().get("readyReplicas") == 1 and tenant.stage().get("version") == "v1",
    )
    warm = pods_of(tenant, "v1")
    bad = {"instances": [[1e9, *row[1:]] for row in TABLE]}
    with tenant.load(rate=20) as load:
        load.wait_for("v1", 20)
        tenant.promote("v2")
        load.wait_for("v2", 40)
        assert tenant.stage()["watch"].keys() >= {"sinceTime", "untilTime", "displaced"}
        assert pods_of(tenant, "v1") == warm, "what was displaced keeps its pods"
        tenant.wait(
            "the pods of v2 were asked",
            lambda: tenant.stage().get("watch", {}).get("requests", 0) > 0,
            60,
        )

        def gone() -> bool:
            code, _, _ = tenant.ask("v1/models/fraud:predict", bad)
            assert code in {200, 500}, "v1 predicts what v2 fails on"
            return bool(tenant.stage().get("version") == "v1")

        tenant.wait("it is rolled back automatically", gone, 90)
        load.wait_for("v1", 20)
        result = load.end()
    assert (result.lost, set(result.answered)) == (0, {"v1", "v2"}), result.errors
    assert pods_of(tenant, "v1") == warm, "without a new pod"
    said = tenant.says("RegisteredModel", "fraud", "RolledBack")["message"]
    assert "v2 was rejected, and v1 is still serving. After the switch " in said
    assert """-p '{"spec":{"stages":{"production":{"version":"v1"}}}}'""" in said
    assert tenant.get("RegisteredModel")["spec"]["stages"]["production"]["version"] == "v2", (
        "the spec is the user's"
    )
    assert tenant.status("RegisteredModel")["history"][-1]["outcome"] == "RolledBack"
    assert tenant.events("RolledBack")
    tenant.promote("v1")
    tenant.serves("v1")
