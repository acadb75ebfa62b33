"""approve and reject against a real API server: digest and name are filled in, and approvals that
would not count are refused.
"""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.api.approvals import registrar_of
from modelyard.api.model_approval import Decision, ModelApproval
from modelyard.cli.views.approvals import decided
from tests.cli.conftest import Person, Seen
from tests.cli.objects import about, model
from tests.client.side import Side
from tests.harness import Manifest

DIGEST = f"sha256:{'3' * 64}"
APPROVED = {"name": "approved", "approvals": {"atLeast": 2, "expireAfter": "7d"}}
PIPELINE = {"name": "pipeline", "external": {}}


def asking(
    side: Side, *gates: Manifest, by: str = "rita", registrar: str | None = None, **version: Any
) -> None:
    """Create the model fraud, whose stage production wants v3."""
    stage = {"version": "v3", "requestedBy": by, "gates": list(gates or (APPROVED, PIPELINE))}
    side.ours(
        "RegisteredModel",
        "fraud",
        {"versions": {"v3": {"runId": "3"}}, "stages": {"production": stage}},
    )
    known = (
        {"name": "v3", "digest": DIGEST} | version | ({"registrar": registrar} if registrar else {})
    )
    side.status("RegisteredModel", "fraud", "ApprovalWanted", "", ready=False, versions=[known])


def me(side: Side) -> str:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = side.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body).body
    return str(answer["status"]["userInfo"]["username"])


def said(side: Side) -> list[Manifest]:
    path = f"/apis/modelyard.io/v1alpha1/namespaces/{side.namespace}/modelapprovals"
    return [each["spec"] for each in side.request("GET", path).body["items"]]


def test_an_approval_has_the_digest_and_the_name_and_a_second_one_replaces_it(
    side: Side, person: Person
):
    asking(side)
    first = person.sees(
        "approve", "fraud", "v3", "--stage", "production", "--comment", "checked on August"
    )
    assert f"{side.namespace}/fraud  production: v3 is approved by {me(side)}." in first
    about_v3 = {
        "model": "fraud",
        "stage": "production",
        "version": "v3",
        "digest": DIGEST,
        "approver": me(side),
    }
    assert said(side) == [about_v3 | {"decision": "Approve", "comment": "checked on August"}]
    person.sees("reject", "fraud", "v3", "-s", "production", "--comment", "the holdout leaked")
    assert said(side) == [about_v3 | {"decision": "Reject", "comment": "the holdout leaked"}]
    person.sees(
        "approve",
        "fraud",
        "v3",
        "-s",
        "production",
        "--gate",
        "pipeline",
        "--evidence",
        "https://ci.example/7",
    )
    assert len(said(side)) == 2


def test_a_dry_run_changes_nothing(side: Side, person: Person):
    asking(side)
    assert "nothing was changed" in person.sees(
        "approve", "fraud", "v3", "--stage", "production", "--dry-run"
    )
    assert said(side) == []


@pytest.mark.parametrize("why", ["asked", "registered"])
def test_an_approval_that_would_not_count_is_refused_and_a_rejection_is_not(
    side: Side, person: Person, why: str
):
    asking(
        side,
        by=me(side) if why == "asked" else "rita",
        registrar=registrar_of(me(side)) if why == "registered" else None,
    )
    done = person.says("approve", "fraud", "v3", "--stage", "production")
    assert done.returncode != 0
    verb = "asked for" if why == "asked" else "registered"
    assert (
        f"{me(side)} {verb} v3, so this approval would not count for production of"
        f" {side.namespace}/fraud" in done.stderr
    )
    assert said(side) == []
    person.sees("reject", "fraud", "v3", "--stage", "production")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("v9", "-s", "production"), "has no version v9. It has: v3."),
        (("v3", "-s", "prod"), "has no stage prod. Its stages: production."),
        (
            ("v3", "-s", "production", "--gate", "legal"),
            "has no gate legal to approve. It has: approved, pipeline.",
        ),
    ],
)
def test_an_unknown_name_is_reported_with_the_existing_ones(
    side: Side, person: Person, words: tuple[str, ...], message: str
):
    asking(side)
    done = person.says("approve", "fraud", *words)
    assert (done.returncode, message in done.stderr) == (3, True), done.stderr


def test_without_such_a_gate_or_with_two_the_error_says_what_to_name(side: Side, person: Person):
    asking(side, PIPELINE)
    assert (
        "has no gate approvals; its external gates are pipeline: name one."
        in person.says("approve", "fraud", "v3", "-s", "production").stderr
    )
    side.patch(
        "RegisteredModel",
        "fraud",
        {"spec": {"stages": {"production": {"gates": [APPROVED, APPROVED | {"name": "legal"}]}}}},
    )
    assert (
        "has several gates approvals: name one of approved, legal."
        in person.says("approve", "fraud", "v3", "-s", "production").stderr
    )


# --- screens --------------------------------------------------------------------------------------
def approval(decision: Decision = Decision.APPROVE, **spec: Any) -> ModelApproval:
    named = {
        "model": "fraud",
        "stage": "production",
        "version": "v3",
        "digest": DIGEST,
        "approver": "bob@example.com",
    }
    return ModelApproval.parse(
        about("ModelApproval", "fraud-production-v3-bob")
        | {"spec": named | {"decision": decision.value} | spec}
    )


def test_the_screens_of_approvals(seen: Seen):
    stages = {"production": {"version": "v3", "requestedBy": "rita", "gates": [APPROVED]}}
    seen(
        "approve",
        decided(
            model(spec_stages=stages),
            approval(comment="checked on August", evidence="https://wiki.example/v3"),
        ),
    )
    seen(
        "reject",
        decided(model(spec_stages=stages), approval(Decision.REJECT, comment="the holdout leaked")),
    )
    seen(
        "approve-early",
        decided(
            model(spec_stages={"production": {"version": "v2", "gates": [APPROVED]}}), approval()
        ),
    )
