"""A promotion: admit, start, switch, record; one step a round, while stable is still serving."""

from typing import Any

import pytest

from modelyard.api.blocker import Blocker
from modelyard.api.registered_model import Draining, HeldStage, StepState
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.registered_model import promotion
from modelyard.registered_model.decision import StageDecision
from modelyard.registered_model.serving import DRAIN
from tests.unit.builders import DAY, NOW, SECOND
from tests.unit.models import (
    A,
    B,
    C,
    after,
    decided,
    deployment_in,
    displaced,
    does,
    pods_of,
    recorded_first,
    refusing,
    routes_to,
    served,
    stage_of,
    view_of,
)

UP = ["apply ControllerRevision/", "apply Deployment/"]
ROUTES = ["apply Service/", "apply PodDisruptionBudget/"]


def up(version: str) -> list[str]:
    """Return the actions that start a version's pods."""
    return [f"{words}{version}" for words in UP]


def routes(version: str) -> list[str]:
    """Return the action that routes to a version."""
    return [f"{words}{version}" for words in ROUTES]


def states(decision: StageDecision) -> dict[str, str]:
    """Return the steps and their states, as the status shows them."""
    return {step.name: step.state.value for step in decision.status.steps}


# --- forward --------------------------------------------------------------------------------------
def test_a_first_version_starts_before_anything_routes_to_it():
    model = recorded_first(stage_of("va"))
    assert model.status.stages["production"].candidate == served(A)
    starting = decided(model)
    assert does(starting) == up("va")
    assert starting.status.blocked
    assert (starting.status.blocked.reason, starting.status.blocked.needs_action) == (
        "Promoting",
        False,
    )
    assert does(decided(model, *pods_of(model, A, ready=0))) == []
    assert does(decided(model, *pods_of(model, A))) == routes("va")
    recorded = decided(model, *pods_of(model, A, routed=True))
    assert (recorded.actions, recorded.record) == ((), True)
    assert recorded.entry
    assert (recorded.entry.from_, recorded.entry.to, recorded.entry.outcome) == (
        None,
        "va",
        "Promoted",
    )
    assert (recorded.status.effective, recorded.status.since_time) == (served(A), NOW)


def test_a_new_version_starts_next_to_the_serving_one():
    model = recorded_first(stage_of("vb", holds=A), *pods_of(stage_of("va"), A, routed=True))
    old = pods_of(model, A, routed=True)
    assert does(decided(model, *old)) == up("vb")
    rising = decided(model, *old, *pods_of(model, B, ready=0))
    assert rising.actions == ()
    assert rising.status.blocked
    assert "next to va, which is still serving" in rising.status.blocked.message
    assert (rising.status.version, rising.status.desired, rising.status.ready_replicas) == (
        "va",
        "vb",
        1,
    )
    switch = decided(model, *old, *pods_of(model, B))
    assert does(switch) == routes("vb")
    assert routes_to(switch) == "vb"


def test_a_candidate_gets_the_traffic_when_all_its_pods_are_ready_and_of_the_last_template():
    model = stage_of("vb", holds=A, candidate=served(B), serving={"replicas": 3})
    old = pods_of(model, A, ready=3, replicas=3, routed=True)
    for status in (
        {"readyReplicas": 2, "availableReplicas": 2},
        {"observedGeneration": 0},
        {"updatedReplicas": 2},
    ):
        assert (
            routes_to(decided(model, *old, *pods_of(model, B, ready=3, replicas=3, **status)))
            is None
        )
    assert routes_to(decided(model, *old, *pods_of(model, B, ready=3, replicas=3))) == "vb"


def test_a_candidate_gets_the_traffic_when_its_pods_stay_ready_and_a_first_version_at_once():
    """A kubelet may report a new pod ready, then not ready, then ready again; requests in between
    fail.
    """
    model = stage_of("vb", holds=A, candidate=served(B))
    old = pods_of(model, A, routed=True)
    for pods in ({"availableReplicas": 0}, {"availableReplicas": 0, "readyReplicas": 0}):
        waits = decided(model, *old, *pods_of(model, B, **pods))
        assert routes_to(waits) is None
        assert waits.status.blocked
        assert waits.status.blocked.reason == "Promoting"
    assert routes_to(decided(model, *old, *pods_of(model, B))) == "vb"
    first = stage_of("vb", candidate=served(B))
    assert routes_to(decided(first, *pods_of(first, B, availableReplicas=0))) == "vb"


def test_the_change_is_recorded_with_how_long_it_took():
    model = stage_of("vb", holds=A, candidate=served(B), start_time=NOW - 90 * SECOND, desired="vb")
    decision = decided(model, *pods_of(model, A), *pods_of(model, B, routed=True))
    assert decision.entry
    assert (decision.entry.from_, decision.entry.to, decision.entry.duration_seconds) == (
        "va",
        "vb",
        90,
    )
    status = decision.status
    assert (status.effective, status.previous, status.start_time, status.candidate) == (
        served(B),
        displaced(A),
        None,
        None,
    )
    assert status.draining == (
        Draining(identity=served(A).runtime.identity, until_time=NOW + DRAIN),
    )


def test_every_step_is_shown_with_its_state_and_since_when():
    """The same tuple gives the next action, the progress and the condition's message."""
    model = stage_of("vb", holds=A)
    assert states(decided(model)) == {
        "admit": "Active",
        "start": "Waiting",
        "switch": "Waiting",
        "record": "Waiting",
    }
    model = recorded_first(model)
    starting = decided(model, *pods_of(model, A, routed=True), *pods_of(model, B, ready=0))
    assert states(starting) == {
        "admit": "Done",
        "start": "Active",
        "switch": "Waiting",
        "record": "Waiting",
    }
    assert [step.detail for step in starting.status.steps] == [
        "vb is admitted",
        "0 of 1 pods are ready",
        "",
        "",
    ]
    assert [step.since_time for step in starting.status.steps[1:]] == [NOW, None, None]
    later = decided(
        after(model, starting),
        *pods_of(model, A, routed=True),
        *pods_of(model, B, ready=0),
        now=NOW + DAY,
    )
    assert later.status.steps == starting.status.steps, (
        "a step whose state is the same keeps its time"
    )
    done = decided(model, *pods_of(model, A), *pods_of(model, B, routed=True))
    assert set(states(done).values()) == {"Done"}


def test_each_step_derives_its_state_from_the_view_alone_and_all_are_computed():
    model = stage_of("vb", holds=A, candidate=served(B))
    found = promotion.steps(
        view_of(model, *pods_of(model, A, routed=True), *pods_of(model, B)), NOW
    )
    assert [(step.name, step.state) for step in found] == [
        ("admit", StepState.DONE),
        ("start", StepState.DONE),
        ("switch", StepState.ACTIVE),
        ("record", StepState.WAITING),
    ]
    assert promotion.current(found).name == "switch"
    assert tuple(step.name for step in found) == promotion.ALWAYS


# --- what cannot be admitted ----------------------------------------------------------------------
BLOCKED = Blocker(reason=Reason.ARTIFACT_MISSING, message="Nothing is stored.", needs_action=True)


@pytest.mark.parametrize(
    ("versions", "reason", "needs_action"),
    [
        ((A,), "VersionUnknown", True),
        ((A, B.model_copy(update={"blocked": BLOCKED})), "ArtifactMissing", True),
        ((A, B.model_copy(update={"mlflow_version": None})), "WaitingForVersion", False),
        (
            (A, B.model_copy(update={"digest": None, "mlflow_version": None})),
            "WaitingForVersion",
            False,
        ),
    ],
    ids=["nothing declares it", "blocked", "not registered", "not recorded"],
)
def test_a_version_that_cannot_be_admitted_is_not_recorded_as_the_candidate(
    versions: Any, reason: str, needs_action: bool
):
    model = stage_of("vb", holds=A)
    decision = decided(model, *pods_of(model, A, routed=True), versions=versions)
    assert (decision.actions, decision.record, decision.status.candidate) == ((), False, None)
    assert decision.status.blocked
    assert (decision.status.blocked.reason, decision.status.blocked.needs_action) == (
        reason,
        needs_action,
    )
    assert states(decision)["admit"] == ("Failed" if needs_action else "Waiting")
    assert decision.status.effective == served(A)


def test_a_waiting_candidate_keeps_its_pods_and_one_that_can_never_be_promoted_does_not():
    model = stage_of("vb", holds=A, candidate=served(B), start_time=NOW)
    there = (*pods_of(model, A, routed=True), *pods_of(model, B, ready=0))
    waits = decided(model, *there, versions=(A, B.model_copy(update={"mlflow_version": None})))
    assert (waits.actions, waits.status.candidate) == ((), served(B))
    bad = (A, B.model_copy(update={"blocked": BLOCKED}))
    dropped = decided(model, *there, versions=bad)
    assert (dropped.actions, dropped.record, dropped.status.candidate) == ((), True, None)
    gone = decided(after(model, dropped), *there, versions=bad)
    assert [words.split("/")[0] for words in does(gone)] == [
        "delete Deployment",
        "delete ControllerRevision",
    ]


def test_a_candidate_that_is_blocked_after_the_switch_drains():
    """Its bytes vanish between the switch and the record: requests may still reach its pods."""
    model = stage_of("vb", holds=A, candidate=served(B), start_time=NOW)
    there = (*pods_of(model, A), *pods_of(model, B, routed=True))
    bad = (A, B.model_copy(update={"blocked": BLOCKED}))
    dropped = after(model, decided(model, *there, versions=bad))
    back = decided(dropped, *there, versions=bad)
    assert does(back) == routes("va")
    assert (
        does(decided(dropped, *pods_of(model, A, routed=True), *pods_of(model, B), versions=bad))
        == []
    )


# --- back, sideways, away -------------------------------------------------------------------------
def test_going_back_is_a_promotion_that_is_called_a_rollback():
    """The version's record, not the history, says that it was effective before."""
    once = A.model_copy(
        update={"held": (HeldStage(stage="production", since_time=NOW - DAY, until_time=NOW),)}
    )
    model = stage_of("va", holds=B, candidate=served(A))
    decision = decided(
        model, *pods_of(model, B), *pods_of(model, A, routed=True), versions=(once, B)
    )
    assert decision.entry
    assert decision.entry.outcome == "RolledBack"


def test_a_draining_version_gets_the_traffic_again_at_once():
    drains = (Draining(identity=served(A).runtime.identity, until_time=NOW + 10 * SECOND),)
    model = stage_of("va", holds=B, candidate=served(A), previous=served(A), draining=drains)
    decision = decided(model, *pods_of(model, A), *pods_of(model, B, routed=True))
    assert (does(decision), routes_to(decision)) == (routes("va"), "va")


def test_a_to_b_to_a_before_b_is_ready_keeps_a_and_deletes_all_of_b():
    model = stage_of("va", holds=A, desired="vb", start_time=NOW, candidate=served(B))
    there = (*pods_of(model, A, routed=True), *pods_of(model, B, ready=0))
    dropped = recorded_first(model, *there)
    decision = decided(dropped, *there)
    assert [words.split("/")[0] for words in does(decision)] == [
        "delete Deployment",
        "delete ControllerRevision",
    ]
    status = decision.status
    assert (status.blocked, decision.entry, status.desired, status.start_time, status.draining) == (
        None,
        None,
        "va",
        None,
        (),
    )


def test_a_to_b_to_a_after_the_service_has_switched_switches_it_back_and_b_drains():
    model = stage_of("va", holds=A, desired="vb", candidate=served(B))
    there = (*pods_of(model, A), *pods_of(model, B, routed=True))
    dropped = recorded_first(model, *there)
    back = decided(dropped, *there)
    assert (does(back), routes_to(back)) == (routes("va"), "va")
    assert back.requeue_after == DRAIN
    switched = (*pods_of(model, A, routed=True), *pods_of(model, B))
    assert does(decided(dropped, *switched, now=NOW + DRAIN - SECOND)) == []
    gone = decided(dropped, *switched, now=NOW + DRAIN)
    assert [words.split("/")[0] for words in does(gone)] == [
        "delete Deployment",
        "delete ControllerRevision",
    ]


def test_a_change_from_b_to_c_midway_promotes_c_and_deletes_b_while_a_serves():
    model = stage_of("vc", holds=A, desired="vb", candidate=served(B), start_time=NOW - 60 * SECOND)
    there = (*pods_of(model, A, routed=True), *pods_of(model, B, ready=0))
    model = recorded_first(model, *there)
    assert model.status.stages["production"].candidate is None
    model = recorded_first(model, *there)
    decision = decided(model, *there)
    assert does(decision)[:2] == up("vc")
    assert [words.split("/")[0] for words in does(decision)[2:]] == [
        "delete Deployment",
        "delete ControllerRevision",
    ]
    assert (decision.status.desired, decision.status.candidate, decision.status.start_time) == (
        "vc",
        served(C),
        NOW,
    )


@pytest.mark.parametrize("waiting", [False, True])
def test_b_to_c_after_the_service_has_switched_to_b_lets_b_drain(waiting: bool):
    """Also when C is not registered yet, so that nothing is admitted for a while."""
    versions = (A, B, C.model_copy(update={"mlflow_version": None} if waiting else {}))
    model = stage_of("vc", holds=A, desired="vb", candidate=served(B))
    model = recorded_first(
        model, *pods_of(model, A), *pods_of(model, B, routed=True), versions=versions
    )
    switched = (*pods_of(model, A, routed=True), *pods_of(model, B))
    model = model if waiting else recorded_first(model, *switched)
    assert [
        words
        for words in does(decided(model, *switched, versions=versions))
        if words.startswith("delete")
    ] == []
    late = decided(model, *switched, versions=versions, now=NOW + DRAIN)
    assert [words.split("/")[0] for words in does(late) if words.startswith("delete")] == [
        "delete Deployment",
        "delete ControllerRevision",
    ]


def test_another_first_version_is_routed_to_only_when_it_is_ready():
    """The first candidate was routed to and not effective yet."""
    model = stage_of("vb", desired="va", candidate=served(A))
    there = pods_of(model, A, routed=True)
    model = recorded_first(recorded_first(model, *there), *there)
    decision = decided(model, *there)
    assert [words for words in does(decision) if "production" in words] == [
        "delete Service/fraud-production",
        "delete PodDisruptionBudget/fraud-production",
    ]
    assert routes_to(decision) is None


def test_two_promotions_within_the_drain_let_both_drain():
    first = Draining(identity=served(A).runtime.identity, until_time=NOW + 5 * SECOND)
    model = stage_of("vc", holds=B, candidate=served(C), draining=(first,))
    there = (*pods_of(model, A), *pods_of(model, B), *pods_of(model, C, routed=True))
    decision = decided(model, *there)
    assert {each.identity for each in decision.status.draining} == {
        served(A).runtime.identity,
        served(B).runtime.identity,
    }
    model = after(model, decision)
    assert does(decided(model, *there)) == []
    early = decided(model, *there, now=NOW + 5 * SECOND)
    assert [action.name for action in early.actions] == [
        deployment_in(pods_of(model, A))["metadata"]["name"]
    ] * 2  # type: ignore[union-attr]


def test_no_version_is_its_own_previous_version():
    """Cleared, then promoted again: a rollback would change nothing."""
    model = stage_of("va", candidate=served(A), previous=served(A))
    assert decided(model, *pods_of(model, A, routed=True)).status.previous is None
    model = stage_of("va", candidate=served(A), previous=served(B))
    assert decided(model, *pods_of(model, A, routed=True)).status.previous == displaced(B)


# --- refused by the API server --------------------------------------------------------------------
def test_an_object_of_a_candidate_that_the_api_server_refuses_is_named_and_retried():
    model = stage_of("vb", holds=A, candidate=served(B))
    name = deployment_in(pods_of(model, B))["metadata"]["name"]
    decision = decided(
        model, *pods_of(model, A, routed=True), refusals=refusing(("Deployment", name))
    )
    assert decision.actions == ()
    assert decision.status.blocked
    assert (decision.status.blocked.reason, decision.status.blocked.needs_action) == (
        "RequestRefused",
        True,
    )
    assert "admission webhook said no" in decision.status.blocked.message
    assert (states(decision)["start"], decision.requeue_after) == ("Failed", 30 * SECOND)


def test_a_refused_switch_leaves_the_stable_version_recorded():
    model = stage_of("vb", holds=A, candidate=served(B))
    there = (*pods_of(model, A, routed=True), *pods_of(model, B))
    decision = decided(model, *there, refusals=refusing(("Service", "fraud-production")))
    assert (decision.actions, decision.record, states(decision)["switch"]) == ((), False, "Failed")
    assert decision.status.effective == served(A)


# --- while MLflow or S3 is away -------------------------------------------------------------------
def test_while_a_dependency_is_down_a_candidate_starts_and_the_stage_does_not_switch():
    model = stage_of("vb", holds=A, candidate=served(B))
    old = pods_of(model, A, routed=True)
    assert does(decided(model, *old, dependencies_down=True)) == up("vb")
    held = decided(model, *old, *pods_of(model, B), dependencies_down=True)
    assert (held.actions, states(held)["switch"]) == ((), "Waiting")
    assert held.status.blocked
    assert "when MLflow and S3 answer" in held.status.blocked.message


def test_while_a_dependency_is_down_a_stage_with_zero_replicas_does_not_switch_either():
    model = stage_of("vb", holds=A, candidate=served(B), serving={"replicas": 0})
    assert not decided(model, dependencies_down=True).record
    assert decided(model).record
