"""Derived names fit their limits, are stable, and are unique per owner."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.api.kinds import KINDS
from modelyard.kube import names
from modelyard.registered_model.build import served
from tests.unit.builders import PROPERTY, RUNTIME

LONGEST = {kind.resource.KIND: kind.longest for kind in KINDS}
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
IDENTITY = "1f2e3d4c"
POD_SUFFIX = len("-6b8c4f9d7c-x7x7x")
"""What a Deployment puts behind a pod's name; a Job puts six characters."""


def labels(longest: int) -> st.SearchStrategy[str]:
    inner = st.text("ab0-", max_size=longest - 2) | st.just("-" * (longest - 2))
    return st.just("a") | inner.map(lambda text: f"a{text}9")


runs, models, stages, versions = (
    labels(LONGEST["TrainingRun"]),
    labels(LONGEST["RegisteredModel"]),
    labels(30),
    labels(63),
)


def test_a_name_that_fits_is_kept():
    assert names.bounded("fraud-production") == "fraud-production"
    assert names.bounded("a" * 63) == "a" * 63


def test_a_longer_name_is_shortened_with_a_digest():
    one, other = names.bounded("a" * 64), names.bounded("a" * 65)
    assert one != other
    assert len(one) == len(other) == 63
    assert one == names.bounded("a" * 64), "the same tomorrow"


@PROPERTY
@given(labels(80))
def test_a_shortened_name_is_a_valid_name(text: str):
    assert LABEL.fullmatch(names.bounded(text, 20))
    assert len(names.bounded(text, 20)) <= 20


@PROPERTY
@given(runs, st.integers(1, 21))
def test_a_job_and_its_pods_have_names_that_fit(run: str, attempt: int):
    name = names.job_name(run, attempt)
    assert LABEL.fullmatch(name)
    assert len(name) + 6 <= 63


@PROPERTY
@given(models, stages)
def test_a_stage_s_address_is_never_shortened(model: str, stage: str):
    """Users write it down: http://<model>-<stage>.<namespace>."""
    assert names.serving_name(model, stage) == f"{model}-{stage}"
    assert len(names.serving_name(model, stage)) <= 63


@PROPERTY
@given(models, stages, versions)
def test_a_version_s_deployment_and_its_pods_have_names_that_fit(
    model: str, stage: str, version: str
):
    name = names.version_workload(model, stage, version, IDENTITY)
    assert LABEL.fullmatch(name)
    assert len(name) + POD_SUFFIX <= 63


@PROPERTY
@given(runs, st.integers(1, 21), runs, st.integers(1, 21))
def test_no_two_attempts_share_a_job(run: str, attempt: int, other: str, another: int):
    if (run, attempt) != (other, another):
        assert names.job_name(run, attempt) != names.job_name(other, another)


@pytest.mark.parametrize("stage", ["production", "a-stage-with-a-name-that-is-30-c"[:30]])
def test_versions_with_long_names_have_deployments_of_their_own(stage: str):
    """Only their ends differ, which a mere cut would lose."""
    found = {
        names.version_workload("m" * 32, stage, "v" * 62 + end, IDENTITY) for end in "0123456789"
    }
    assert len(found) == 10


def test_models_of_two_namespaces_never_share_a_name_in_mlflow():
    """A namespace has no dots."""
    assert names.mlflow_model_name("risk", "fraud") == "risk.fraud"
    assert names.experiment_name("risk", "fraud") == "risk/fraud"
    assert names.experiment_prefix("bucket", "risk", "fraud") == "s3://bucket/risk/fraud/"


def test_external_objects_are_tagged_with_their_owner():
    assert names.owner_tags("risk", "fraud", "u1") == {
        "modelyard.io/uid": "u1",
        "modelyard.io/namespace": "risk",
        "modelyard.io/name": "fraud",
    }


def test_names_that_join_to_the_same_text_have_separate_deployments():
    one, other = (
        served(version, "sha256:a", RUNTIME).runtime.identity for version in ("canary-v1", "v1")
    )
    assert names.version_workload("fraud", "eu", "canary-v1", one) != names.version_workload(
        "fraud", "eu-canary", "v1", other
    )
