"""The gate `signed` in the step `trial`: its Job, and which of its messages fail a version."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modelyard.api.gates import Gate
from modelyard.registered_model.gates import pods
from tests.unit.builders import RUNTIME
from tests.unit.models import B, after, decided, does, view_of
from tests.unit.test_registered_model_trial import OLD, STABLE, applied, begun, job_of, pod_of, told

PEM = "-----BEGIN PUBLIC KEY-----\nMFkw$(A)\n-----END PUBLIC KEY-----\n"
SIGNED = {"name": "signed", "signed": {"keys": [PEM, PEM]}}


def said(reason: str) -> dict[str, str]:
    return {"text": f'{{"reason": "{reason}", "message": "why"}}'}


def test_the_signed_job_reads_the_version_with_the_keys_of_s3_and_nothing_else_of_the_secret():
    decision = decided(begun(SIGNED), *STABLE)
    assert does(decision) == ["apply Job/vb"], "the candidate has no pod"
    spec = applied(decision, "Job")["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    env = {
        each["name"]: each.get("value") or each["valueFrom"]["secretKeyRef"]["key"]
        for each in container["env"]
    }
    assert (env["MODELYARD_CANDIDATE_URI"], env["MODELYARD_CANDIDATE_DIGEST"]) == (
        "s3://b/vb",
        B.digest,
    )
    assert (env["AWS_SECRET_ACCESS_KEY"], "envFrom" in container) == (
        "AWS_SECRET_ACCESS_KEY",
        False,
    )
    literal = PEM.replace("$", "$$")
    assert container["command"] == [
        "python",
        "-m",
        "modelyard_runtime.signed",
        "--key",
        literal,
        "--key",
        literal,
    ]
    assert (spec["backoffLimit"], spec["template"]["spec"]["activeDeadlineSeconds"]) == (0, 3600)
    newer = replace(
        view_of(begun(SIGNED)), runtime=replace(RUNTIME, image="registry/modelyard/runtime:newer")
    )
    (container,) = pods.job(newer, Gate.model_validate(SIGNED))["spec"]["template"]["spec"][
        "containers"
    ]
    assert container["image"] == "registry/modelyard/runtime:newer", (
        "one that knows the gate, whatever the candidate is served by"
    )


@pytest.mark.parametrize(
    ("ended", "verdict", "said"),
    [
        (said("SignatureMissing"), "Fail", "the signature: why"),
        (said("SignatureInvalid"), "Fail", "the signature: why"),
        (said("ArtifactDigestMismatch"), "Fail", "its files: why"),
        (said("ArtifactInvalid"), "Fail", "its files: why"),
        (said("ArtifactMissing"), "Error", "its files: why"),
        (said("StoreUnavailable"), "Error", "its files: why"),
        (said("ConnectionRefused"), "Error", "its files: why"),
        (said("LoadFailed"), "Error", "its files: why"),
        (
            {"text": '{"reason": ["SignatureInvalid"], "message": "forged"}'},
            "Error",
            "exit code 1: forged",
        ),
        ({"text": "Traceback"}, "Error", "exit code 1: Traceback"),
        ({"why": "OOMKilled"}, "Error", "it used more memory than its limit"),
        ({"reason": "DeadlineExceeded"}, "Error", "it did not end within 60 minutes"),
    ],
)
def test_only_a_message_about_the_files_fails_a_signed_gate_and_anything_else_is_retried(
    ended: dict[str, Any], verdict: str, said: str
):
    model = begun(SIGNED)
    job = job_of(model, end="Failed")
    assert told(model, job, pod_of(job, 1, **ended))[:2] == (verdict, said)
    job = job_of(model, end="Failed", at=OLD)
    later = does(decided(model, *STABLE, job, pod_of(job, 1, **ended)))
    assert later == ([f"delete Job/{job['metadata']['name']}"] if verdict == "Error" else [])


def test_a_signed_version_passes_with_the_name_of_its_key_and_is_not_checked_twice():
    model = begun(SIGNED)
    job = job_of(model, end="Complete")
    passing = decided(
        model,
        *STABLE,
        job,
        pod_of(job, 0, '{"message": "signed by the key 0123456789abcdef, 7 files"}'),
    )
    assert passing.status.gates[0].message == "signed by the key 0123456789abcdef, 7 files"
    assert "apply Job/vb" not in does(decided(after(model, passing), *STABLE))
