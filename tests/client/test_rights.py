"""The chart's policies, from its manifests, and the client's errors for their refusals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.client.client import Client
from modelyard.client.errors import ClientError, NotAllowed
from tests.client.conftest import VERBS
from tests.client.side import Side
from tests.harness import until

EDIT = [
    {
        "apiGroups": ["modelyard.io"],
        "resources": ["experiments", "registeredmodels"],
        "verbs": VERBS,
    }
]


@pytest.fixture
def alice(side: Side, policies: None, tmp_path: Path) -> Iterator[Client]:
    with Client(side.namespace, kubeconfig=str(side.user("alice", EDIT, tmp_path))) as there:
        yield there


def denied(what) -> NotAllowed:
    """Return the refusal, once the API server enforces the policies."""

    def refusal() -> NotAllowed | None:
        try:
            what()
        except NotAllowed as error:
            return error
        except ClientError:
            return None
        return None

    return until(refusal, "it is refused", 60)


def test_promoting_needs_the_verb_on_the_stage(alice: Client, side: Side):
    side.ours(
        "RegisteredModel",
        "fraud",
        {"stages": {"production": {}}, "versions": {"v1": {"runId": "a"}, "v2": {"runId": "b"}}},
    )
    turns = iter(["v1", "v2"] * 1000)
    error = denied(lambda: alice.models.set_stage("fraud", next(turns), "production", seconds=0))
    assert (error.verb, error.resource, error.namespace) == (
        "promote",
        "registeredmodels/production",
        side.namespace,
    )
    assert "alice may not change stage production (version) of" in str(error)
    assert "ValidatingAdmissionPolicy" not in str(error)
    assert not alice.kube.can("promote", "registeredmodels/production")


def test_purging_needs_the_verb_on_the_kind(alice: Client, side: Side):
    names = (f"e{number}" for number in range(1000))
    error = denied(
        lambda: alice.experiments.create(next(names), deletion_policy="Delete", seconds=0)
    )
    assert (error.verb, error.resource) == ("purge", "experiments")
    assert "may not set deletionPolicy: Delete" in str(error)
