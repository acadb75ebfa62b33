"""The gate `smoke`: its pod, and which of its messages are a verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modelyard.plan import Manifest
from modelyard.registered_model import build
from modelyard.registered_model.gates import pods
from tests.unit.builders import live
from tests.unit.models import RUNTIME, A, B, decided, does, pods_of, served, view_of
from tests.unit.test_registered_model_trial import DIGEST, OLD, SMOKE, STABLE, begun, job_of, pod_of

MODEL = begun(SMOKE)
THERE = (*STABLE, *pods_of(MODEL, B), live(build.private_service(MODEL, "production", served(B))))


def smoke_container(gate: dict[str, Any]) -> tuple[Manifest, list[str]]:
    """Return the container that sends a gate's requests, built by an upgraded operator, and its
    pod's volumes.
    """
    listed = B.model_copy(update={"listing_digest": DIGEST})
    view = view_of(
        begun(gate), versions=(A, listed), runtime=replace(RUNTIME, image="modelyard/runtime:newer")
    )
    assert view.spec is not None
    spec = pods.job(view, view.spec.gates[0])["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    return container, [volume["name"] for volume in spec["volumes"]]


def test_the_smoke_job_runs_in_the_operators_runtime_and_gets_the_keys_of_s3_one_by_one():
    container, volumes = smoke_container(SMOKE)
    assert container["image"] == "modelyard/runtime:newer", "its arguments are of that release"
    assert "envFrom" not in container, "whatever else is in the Secret does not reach it"
    keys = {
        each["name"]: each["valueFrom"]["secretKeyRef"]
        for each in container["env"]
        if "valueFrom" in each
    }
    assert set(keys) >= {
        "AWS_SECRET_ACCESS_KEY",
        "MLFLOW_S3_ENDPOINT_URL",
        "MODELYARD_BUCKET",
        "MODELYARD_READ_BUCKETS",
    }
    assert not [name for name in keys if "TRACKING" in name]
    assert {key["name"] for key in keys.values()} == {"modelyard-connection"}
    assert container["command"][:3] == ["python", "-m", "modelyard_runtime.smoke"]
    assert container["command"][-2:] == ["--max-latency", "50ms"]
    assert volumes == ["tmp", "modelyard", "requests"]
    (requests,) = [
        each["configMap"]
        for each in job_of(begun(SMOKE))["spec"]["template"]["spec"]["volumes"]
        if each["name"] == "requests"
    ]
    assert requests == {
        "name": "cases",
        "items": [{"key": "c.json", "path": "requests.json"}],
        "optional": True,
    }


@pytest.mark.parametrize(
    ("requests", "arguments"),
    [
        (
            {"requests": {"uri": "s3://data/risk/$(A).json", "digest": DIGEST}},
            ["--uri", "s3://data/risk/$$(A).json", "--digest", DIGEST],
        ),
        ({}, []),
    ],
    ids=["in S3", "the input example alone"],
)
def test_without_a_config_map_nothing_is_mounted_and_the_program_knows_the_version_s_listing(
    requests: dict[str, Any], arguments: list[str]
):
    container, volumes = smoke_container({"name": "answers", "smoke": requests})
    names = ["--name", "fraud", "--namespace", "risk"]
    assert container["command"][3:] == [
        *names,
        *arguments,
        "--listing",
        DIGEST,
        "--tolerance",
        "0.000001",
    ]
    assert volumes == ["tmp", "modelyard"]
    assert {"name": "MODELYARD_CANDIDATE_URI", "value": "s3://b/vb"} in container["env"]


@pytest.mark.parametrize(
    ("said", "verdict", "message"),
    [
        ('{"reason": "RequestsMissing", "message": "why"}', "Pending", "why"),
        ('{"reason": "CandidateUnreachable", "message": "why"}', "Error", "why"),
        ('{"reason": "StoreUnavailable", "message": "why"}', "Error", "why"),
        ('{"reason": "ConnectionRefused", "message": "why"}', "Error", "why"),
        ('{"reason": "ArtifactDigestMismatch", "message": "why"}', "Error", "why"),
        (
            '{"reason": ["RequestsFailed"], "message": "why"}',
            "Error",
            "its program broke: exit code 66: why",
        ),
        ("Traceback: a bug", "Error", "its program broke: exit code 66: Traceback: a bug"),
        ('{"reason": "RequestsDigestMismatch", "message": "why"}', "Fail", "why"),
        ('{"reason": "RequestsFailed", "message": "why"}', "Fail", "why"),
    ],
)
def test_only_a_message_about_the_version_is_a_verdict_and_the_rest_is_retried(
    said: str, verdict: str, message: str
):
    fresh, old = job_of(MODEL, end="Failed"), job_of(MODEL, end="Failed", at=OLD)
    found = decided(MODEL, *THERE, fresh, pod_of(fresh, 66, said))
    assert (found.status.gates[0].verdict.value, found.status.gates[0].message) == (
        verdict,
        message,
    )
    assert does(found) == []
    later = does(decided(MODEL, *THERE, old, pod_of(old, 66, said)))
    assert later == ([f"delete Job/{old['metadata']['name']}"] if verdict != "Fail" else [])


def test_a_candidate_that_takes_ten_minutes_fails():
    slow = job_of(MODEL, end="Failed", at=OLD)
    found = decided(MODEL, *THERE, slow, pod_of(slow, 143, reason="DeadlineExceeded"))
    assert (found.status.gates[0].verdict.value, found.status.gates[0].message) == (
        "Fail",
        "it did not end within 10 minutes",
    )
