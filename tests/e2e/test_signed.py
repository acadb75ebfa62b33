"""A gate `signed` on a real cluster: a signed model is promoted, and the same one with a flipped
bit is not.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from modelyard.api.digest import FileDigest
from modelyard_runtime.signature import FILE, fingerprint, sign
from tests.e2e.fixtures import Trained
from tests.e2e.tenant import SERVING, Tenant

pytestmark = pytest.mark.e2e

KEY = ec.generate_private_key(ec.SECP256R1())
PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def signed(tenant: Tenant, uri: str, name: str, *, flipped: str | None = None) -> str:
    """Copy a model, sign the copy, and then flip the last bit of one of its files."""
    copy = tenant.copy_model(uri, name)
    prefix = copy.removeprefix(f"s3://{tenant.bucket}/") + "/"
    with tenant.s3() as s3:
        listed = s3.list_objects_v2(Bucket=tenant.bucket, Prefix=prefix)["Contents"]
        tree = {
            each["Key"].removeprefix(prefix): s3.get_object(Bucket=tenant.bucket, Key=each["Key"])[
                "Body"
            ].read()
            for each in listed
        }
        files = [
            FileDigest(path, len(data), hashlib.sha256(data).hexdigest())
            for path, data in tree.items()
        ]
        written = {FILE: sign(name, files, KEY)}
        if flipped is not None:
            written[flipped] = tree[flipped][:-1] + bytes([tree[flipped][-1] ^ 1])
        for path, data in written.items():
            s3.put_object(Bucket=tenant.bucket, Key=prefix + path, Body=data)
    return copy


def gate(tenant: Tenant) -> dict[str, Any]:
    (found,) = tenant.stage()["gates"]
    return dict(found)


def test_a_signed_model_is_promoted_and_one_with_a_flipped_bit_is_not(
    tenant: Tenant, trained: Trained
):
    flipped = "requirements.txt"
    versions = {
        "v1": {"uri": signed(tenant, trained.v1, "v1")},
        "v2": {"uri": signed(tenant, trained.v1, "v2", flipped=flipped)},
        "v3": {"uri": tenant.copy_model(trained.v1, "v3")},
    }
    production = {
        "version": "v1",
        "serving": SERVING,
        "gates": [{"name": "signed", "signed": {"keys": [PEM]}}],
    }
    tenant.apply(
        "RegisteredModel", "fraud", {"versions": versions, "stages": {"production": production}}
    )
    tenant.serves("v1", seconds=240)
    short = fingerprint(KEY.public_key())
    assert gate(tenant)["message"].startswith(f"signed by the key {short}, ")
    for version, said in (
        ("v2", f"{flipped} was changed after it was signed; signed by the key {short}"),
        ("v3", f"there is no {FILE} among"),
    ):
        tenant.promote(version)
        message = tenant.wait(
            f"{version} is rejected", lambda name=version: rejection(tenant, name), 180
        )
        assert (
            f"{version} was rejected, and v1 is still serving. signed: the signature: {said}"
            in message
        )
        assert tenant.stage()["version"] == "v1"
        assert tenant.predict()[0] == "v1"
        deployments = tenant.kube.list("Deployment", tenant.name)
        assert not [each for each in deployments if f"-{version}-" in each["metadata"]["name"]], (
            "it had no pods"
        )


def rejection(tenant: Tenant, version: str) -> str | None:
    """Return the stage's message about a rejected version."""
    message = (tenant.stage().get("blocked") or {}).get("message", "")
    return message if message.startswith(f"{version} was rejected") else None
