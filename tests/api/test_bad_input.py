"""What the API server answers to invalid objects: each row is an object and part of the message."""

import pytest

from tests.api.bad_analyses import ANALYSES
from tests.api.bad_experiments import EXPERIMENTS
from tests.api.bad_freezes import FREEZES
from tests.api.bad_gates import GATES
from tests.api.bad_models import MODELS
from tests.api.bad_rollbacks import ROLLBACKS
from tests.api.bad_rollouts import ROLLOUTS
from tests.api.bad_runs import RUNS
from tests.api.objects import (
    Manifest,
    approval,
    without,
)
from tests.harness import Cluster

APPROVALS = {
    "no approver": (without(approval(), "spec", "approver"), "spec.approver: Required value"),
    "an empty approver": (
        approval(approver=""),
        "spec.approver in body should be at least 1 chars long",
    ),
    "no digest": (without(approval(), "spec", "digest"), "spec.digest: Required value"),
    "a short digest": (approval(digest="sha256:00"), "spec.digest in body should match"),
    "another decision": (approval(decision="Maybe"), 'supported values: "Approve", "Reject"'),
    "a name with dots": (
        approval("fraud.production"),
        "a ModelApproval's name is at most 200 lower case letters",
    ),
}


def rows(table: dict[str, tuple[Manifest, str]]) -> list[object]:
    return [pytest.param(manifest, words, id=name) for name, (manifest, words) in table.items()]


TABLES = (EXPERIMENTS, RUNS, MODELS, GATES, ROLLBACKS, FREEZES, APPROVALS, ANALYSES, ROLLOUTS)


@pytest.mark.parametrize(("manifest", "words"), [each for table in TABLES for each in rows(table)])
def test_an_invalid_object_is_refused_with_a_message(
    manifest: Manifest, words: str, cluster: Cluster
):
    answer = cluster.check(manifest)
    assert not answer.ok
    assert words in answer.message
