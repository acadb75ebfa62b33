"""Which ModelApprovals count, and the verdicts of approval gates."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.api.approvals import ApprovalTarget, registrar_of, standings
from modelyard.api.model_approval import (
    ApprovalReason,
    Decision,
    ModelApproval,
    ModelApprovalSpec,
    ModelApprovalStatus,
)
from modelyard.model_approval import controller
from modelyard.model_approval.decide import decide
from modelyard.model_approval.observation import Observation
from modelyard.plan import Act, Delete
from modelyard.registered_model.gates.judging import judge
from modelyard.registered_model.observation import Evidence
from tests.unit.builders import DAY, NOW, meta, registered_model
from tests.unit.models import A, B, after, decided, does, pods_of, served, stage_of, view_of

HOUR = timedelta(hours=1)
CANDIDATE = B.model_copy(update={"registrar": registrar_of("dana")})
TWO = {"name": "people", "approvals": {"atLeast": 2, "expireAfter": "7d"}}
PIPELINE = {"name": "pipeline", "external": {}}


def says(
    who: str, *, age: timedelta = HOUR, name: str = "", deleted: bool = False, **spec: Any
) -> ModelApproval:
    """Return a ModelApproval of vb for production."""
    about = {
        "model": "fraud",
        "stage": "production",
        "version": "vb",
        "digest": str(B.digest),
        "decision": Decision.APPROVE,
    }
    when = {"creation_timestamp": NOW - age, "uid": f"uid-{name or who}"} | (
        {"deletion_timestamp": NOW} if deleted else {}
    )
    about |= {"approver": who} | spec
    return ModelApproval(
        metadata=meta(name or who, **when),
        spec=ModelApprovalSpec.model_validate(about),
        status=ModelApprovalStatus(),
    )


def verdict(
    *said: ModelApproval,
    gates: tuple[Any, ...] = (TWO,),
    candidate: Any = CANDIDATE,
    **evidence: Any,
) -> tuple[str, str]:
    """Return the verdict of production's first gate, for a promotion that rita requested."""
    model = stage_of(
        "vb", holds=A, candidate=served(candidate), asked=list(gates), requestedBy="rita"
    )
    view = view_of(
        model,
        versions=(A, candidate),
        evidence=Evidence(approvals=said, **evidence),
        dependencies_down=True,
    )
    result = judge(view, NOW)[0]
    return result.status.verdict.value, result.status.message


@pytest.mark.parametrize(
    ("said", "verdict_", "message"),
    [
        ([], "Pending", "0 of 2"),
        ([says("bob"), says("carla")], "Pass", "2 of 2: bob, carla"),
        (
            [says("carla", age=2 * HOUR), says("bob"), says("anna")],
            "Pass",
            "3 of 2: carla, anna, bob",
        ),
        (
            [says("bob"), says("bob", name="again")],
            "Pending",
            "1 of 2: bob; not counted: bob (Duplicate)",
        ),
        ([says("bob"), says("rita")], "Pending", "1 of 2: bob; not counted: rita (OwnWork)"),
        ([says("bob"), says("dana")], "Pending", "1 of 2: bob; not counted: dana (OwnWork)"),
        (
            [says("bob"), says("carla", age=7 * DAY)],
            "Pending",
            "1 of 2: bob; not counted: carla (Expired)",
        ),
        (
            [says("bob"), says("carla", age=7 * DAY - timedelta(seconds=1))],
            "Pass",
            "2 of 2: carla, bob",
        ),
        (
            [says("bob"), says("carla", digest=A.digest)],
            "Pending",
            "1 of 2: bob; not counted: carla (OtherDigest)",
        ),
        ([says("bob"), says("carla", version="va")], "Pending", "1 of 2: bob"),
        ([says("bob"), says("carla", stage="staging")], "Pending", "1 of 2: bob"),
        ([says("bob"), says("ci", gate="pipeline")], "Pending", "1 of 2: bob"),
        ([says("bob"), says("carla", deleted=True)], "Pending", "1 of 2: bob"),
        (
            [says("bob"), says("carla"), says("olga", decision="Reject", comment="it  leaks")],
            "Fail",
            "rejected by olga: it  leaks",
        ),
        ([says("olga", decision="Reject", age=30 * DAY)], "Fail", "rejected by olga"),
        ([says("rita", decision="Reject")], "Fail", "rejected by rita"),
        (
            [says("olga", decision="Reject", digest=A.digest)],
            "Pending",
            "0 of 2; not counted: olga (OtherDigest)",
        ),
    ],
)
def test_which_approvals_count(said: list[ModelApproval], verdict_: str, message: str):
    """MLflow is down in all cases: approvals count all the same."""
    assert verdict(*said, gates=(TWO, PIPELINE)) == (verdict_, message)


@pytest.mark.parametrize(
    ("said", "verdict_", "message"),
    [
        ([], "Pending", "waits for a ModelApproval that names the gate pipeline"),
        (
            [says("bob"), says("carla")],
            "Pending",
            "waits for a ModelApproval that names the gate pipeline",
        ),
        (
            [says("ci", gate="pipeline", evidence="https://ci/7")],
            "Pass",
            "ci approves: https://ci/7",
        ),
        ([says("rita", gate="pipeline")], "Pass", "rita approves"),
        (
            [says("ci", gate="pipeline"), says("scan", gate="pipeline", decision="Reject")],
            "Fail",
            "rejected by scan",
        ),
    ],
)
def test_another_system_may_judge_too(said: list[ModelApproval], verdict_: str, message: str):
    assert verdict(*said, gates=(PIPELINE, TWO)) == (verdict_, message)


def test_two_approval_gates_need_approvals_for_each_by_name():
    groups = (TWO | {"approvals": {"atLeast": 1}}, {"name": "legal", "approvals": {"atLeast": 1}})
    assert verdict(says("bob"), gates=groups) == ("Pending", "0 of 1")
    assert verdict(says("bob", gate="people"), gates=groups) == ("Pass", "1 of 1: bob")
    assert verdict(says("bob", gate="legal"), gates=groups) == ("Pending", "0 of 1")


def test_where_the_policies_are_not_in_force_nothing_passes_and_nothing_fails():
    for gates in ((TWO,), (PIPELINE,)):
        said = (
            says("bob"),
            says("carla"),
            says("ci", gate="pipeline"),
            says("eve", decision="Reject"),
        )
        assert verdict(*said, gates=gates, unguarded="not in force") == ("Error", "not in force")


def test_a_version_that_does_not_say_who_registered_it_fails_where_that_is_required():
    required = {"name": "people", "approvals": {"atLeast": 1, "excludeRegistrar": "Required"}}
    assert verdict(says("bob"), gates=(required,), candidate=B)[0] == "Fail"
    assert verdict(says("bob"), gates=(required,)) == ("Pass", "1 of 1: bob")


PEOPLE = st.sampled_from(["rita", "dana", "bob", "carla", "anna"])
SAID = st.lists(
    st.tuples(PEOPLE, st.integers(0, 10), st.sampled_from(list(Decision)), st.booleans()),
    max_size=8,
)


@given(SAID)
def test_four_eyes_always_hold(said: list[tuple[str, int, Decision, bool]]):
    """A Pass needs two fresh approvals for these bytes, by users who neither requested nor
    registered the version, and no rejection.
    """
    every = [
        says(
            who,
            age=days * DAY,
            name=f"{who}-{number}",
            decision=decision,
            **({} if same else {"digest": str(A.digest)}),
        )
        for number, (who, days, decision, same) in enumerate(said)
    ]
    right = {
        who
        for who, days, decision, same in said
        if same and days < 7 and decision is Decision.APPROVE
    } - {"rita", "dana"}
    rejected = any(same and decision is Decision.REJECT for _, _, decision, same in said)
    assert verdict(*every)[0] == ("Fail" if rejected else "Pass" if len(right) >= 2 else "Pending")


# --- in a promotion -------------------------------------------------------------------------------
ONE = [{"name": "people", "approvals": {}}]
BEGUN = stage_of(
    "vb", holds=A, candidate=served(CANDIDATE), start_time=NOW, asked=ONE, requestedBy="rita"
)
STABLE = pods_of(BEGUN, A, routed=True)
VERSIONS = (A, CANDIDATE)


def heard_of(*said: ModelApproval) -> dict[str, Any]:
    return {"versions": VERSIONS, "evidence": Evidence(approvals=said)}


def test_while_approvals_are_missing_the_candidate_has_no_pods_and_the_stage_says_how_to_approve():
    waiting = decided(BEGUN, *STABLE, *pods_of(BEGUN, CANDIDATE), **heard_of())
    assert [each for each in does(waiting) if "Deployment" in each] == [
        f"delete Deployment/fraud-production-vb-{served(CANDIDATE).runtime.identity}"
    ]
    blocked = waiting.status.blocked
    assert blocked is not None
    assert (blocked.reason, blocked.needs_action) == ("ApprovalWanted", False)
    assert blocked.message == (
        "vb waits to be approved (0 of 1 pass). va is still serving. people: 0 of 1."
        " To approve: modelyard approve fraud vb --stage production"
    )
    assert [step.name for step in waiting.status.steps] == [
        "admit",
        "approval",
        "start",
        "switch",
        "record",
    ]


def test_a_pass_is_withdrawn_until_the_service_routes_to_the_version_and_not_after():
    passing = decided(BEGUN, *STABLE, **heard_of(says("bob")))
    assert passing.record
    model = after(BEGUN, passing)
    ready = (*STABLE, *pods_of(model, CANDIDATE))
    assert does(decided(model, *ready, **heard_of(says("bob"))))[0] == "apply Service/vb"
    withdrawn = decided(model, *ready, **heard_of())
    assert withdrawn.status.blocked is not None
    assert withdrawn.status.blocked.reason == "ApprovalWanted"
    assert not any(each.startswith("apply Service") for each in does(withdrawn))
    routed = (*pods_of(model, A), *pods_of(model, CANDIDATE, routed=True))
    assert decided(model, *routed, **heard_of()).status.version == "vb"
    rejecting = decided(model, *ready, **heard_of(says("olga", decision="Reject")))
    assert [each.reason for each in rejecting.status.rejected] == ["GateFailed"]
    assert (
        decided(model, *routed, **heard_of(says("olga", decision="Reject"))).status.version == "vb"
    )


def test_another_requester_does_not_lift_a_rejection():
    rejected = after(BEGUN, decided(BEGUN, *STABLE, **heard_of(says("olga", decision="Reject"))))
    other = rejected.model_copy(update={"spec": stage_of("vb", asked=ONE, requestedBy="fred").spec})
    found = decided(other, *STABLE, **heard_of())
    assert found.status.blocked is not None
    assert found.status.blocked.reason == "GateFailed"


# --- the approval itself --------------------------------------------------------------------------
def test_a_useless_approval_is_deleted_when_it_is_an_hour_old_and_no_sooner():
    young, old = (
        says("bob", age=HOUR - timedelta(seconds=1), model="gone"),
        says("bob", age=HOUR, model="gone"),
    )
    assert decide(old, Observation(None, (old,)), NOW) == Act(
        (Delete("modelyard.io/v1alpha1", "ModelApproval", "bob", "uid-bob"),)
    )
    assert not isinstance(decide(young, Observation(None, (young,)), NOW), Act)
    recorded, other = (
        says("bob", age=30 * DAY),
        says("eve", age=30 * DAY, digest=f"sha256:{'f' * 64}"),
    )
    model = BEGUN.model_copy(
        update={
            "status": BEGUN.status.model_copy(
                update={"versions": VERSIONS, "mlflow_name": "risk.fraud"}
            )
        }
    )
    assert not isinstance(decide(recorded, Observation(model, (recorded,)), NOW), Act)
    assert isinstance(decide(other, Observation(model, (other,)), NOW), Act)
    # A status that was lost or not yet written does not show what is recorded.
    assert not isinstance(decide(other, Observation(registered_model(), (other,)), NOW), Act)


def test_each_approval_is_reconciled_when_its_state_changes_next():
    stage = BEGUN.spec.stages["production"]
    gate = stage.gates[0].model_copy(
        update={"approvals": stage.gates[0].approvals.model_copy(update={"expire_after": "2h"})}
    )  # type: ignore[union-attr]
    for age, reason, left in (
        (0, "Counts", 108),
        (107, "Counts", 1),
        (108, "ExpiresSoon", 12),
        (119, "ExpiresSoon", 1),
        (120, "Expired", None),
    ):
        approval = says("bob", age=timedelta(minutes=age))
        ((_, said),) = standings(
            [approval], ApprovalTarget("production", stage, gate, CANDIDATE), NOW
        )
        assert said.reason == ApprovalReason(reason), age
        assert (said.next_time - NOW if said.next_time else None) == (
            timedelta(minutes=left) if left else None
        ), age


def test_an_approval_reconciles_others_of_its_approver_and_a_model_those_that_name_it():
    assert {relation.plural for relation in controller().relations} == {
        "registeredmodels",
        "modelapprovals",
    }
