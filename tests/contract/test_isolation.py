"""Only the tenant's Secret decides how a tenant is served, not the operator's environment or home
folder.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from tests import servers
from tests.faults import fault_proxy

pytestmark = pytest.mark.contract

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import asyncio, json, sys
from modelyard.adapters.connection import Tenants
from modelyard.errors import ModelyardError
from tests.local import limits

async def main():
    secret = json.loads(sys.argv[1])
    async def read(namespace, name):
        return secret
    tenants = Tenants(read, lambda *_: None, limits=limits())
    tenant = await tenants.tenant("risk")
    usage = await tenant.store.usage(f"s3://{secret['MODELYARD_BUCKET']}/risk/")
    try:
        await tenant.tracking.experiment("x")
    except ModelyardError as error:
        said = type(error).__name__
    await tenants.close()
    print(json.dumps([usage.objects, said]))

asyncio.run(main())
"""


async def test_a_hostile_environment_changes_nothing(
    minio: servers.Minio, name: str, tmp_path: Path
):
    hand = minio.s3()
    hand.create_bucket(Bucket=f"own-{name}")
    hand.put_object(Bucket=f"own-{name}", Key="risk/x", Body=b"x")
    hand.close()
    nobody = f"http://127.0.0.1:{servers.free_port()}"
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login thief password thief\n")
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = thief\naws_secret_access_key = thief\n"
    )
    (tmp_path / ".aws" / "config").write_text(
        f"[default]\nregion = mars\nendpoint_url = {nobody}\ns3 =\n  addressing_style = virtual\n"
    )
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "NETRC": str(tmp_path / ".netrc"),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "operator"), str(ROOT)]),
        "AWS_PROFILE": "no-such-profile",
        "AWS_ACCESS_KEY_ID": "thief",
        "AWS_SECRET_ACCESS_KEY": "thief",
        "AWS_SESSION_TOKEN": "thief",
        "AWS_DEFAULT_REGION": "mars",
        "AWS_ENDPOINT_URL": nobody,
        "AWS_ENDPOINT_URL_S3": nobody,
        "AWS_MAX_ATTEMPTS": "7",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "MLFLOW_TRACKING_URI": nobody,
        "MLFLOW_TRACKING_USERNAME": "thief",
        "MLFLOW_TRACKING_PASSWORD": "thief",
        **dict.fromkeys(
            ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"), nobody
        ),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), ""),
    }
    async with fault_proxy(minio.url) as proxy:
        secret = {
            "MLFLOW_TRACKING_URI": proxy.url,
            "MLFLOW_S3_ENDPOINT_URL": proxy.url,
            "AWS_ACCESS_KEY_ID": minio.access_key,
            "AWS_SECRET_ACCESS_KEY": minio.secret_key,
            "MODELYARD_BUCKET": f"own-{name}",
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            SCRIPT,
            json.dumps(secret),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    objects, _ = json.loads(output)
    assert objects == 1
    assert [seen.target.partition("?")[0] for seen in proxy.seen] == [
        f"/own-{name}",
        "/api/2.0/mlflow/experiments/get-by-name",
    ]
    assert f"Credential={minio.access_key}/" in proxy.seen[0].headers["authorization"]
    assert "/us-east-1/s3/" in proxy.seen[0].headers["authorization"]
    assert "x-amz-security-token" not in proxy.seen[0].headers
    assert "authorization" not in proxy.seen[1].headers
