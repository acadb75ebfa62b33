"""The history entries of a stage that changes, and of one that does not."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.api.history import NAMES, HistoryEntry, Outcome
from modelyard.api.registered_model import OverrideStatus, Rejection
from modelyard.registered_model import history
from modelyard.registered_model.decision import StageDecision
from modelyard.registered_model.history import event
from modelyard.registered_model.observation import Evidence
from modelyard.registered_model.overrides import ended
from modelyard.registered_model.rejections import spec_hash
from modelyard.registered_model.step import rejected
from tests.unit.builders import NOW
from tests.unit.model_world import World
from tests.unit.models import A, B, C, after, decided, pods_of, served, stage_of, view_of
from tests.unit.test_approvals import says
from tests.unit.test_registered_model_override import (
    HOUR,
    PODS,
    VERSIONS,
    overridden,
    override,
    settled,
    spec,
)

QUALITY = {"name": "quality", "metric": {"name": "accuracy", "atLeast": "0.9"}}
PEOPLE = {"name": "people", "approvals": {"atLeast": 1, "expireAfter": "7d"}}


def entry_of(decision: Any) -> HistoryEntry:
    """Return the history entry that a decision adds."""
    assert decision.entry is not None, "the history gains nothing"
    return HistoryEntry.model_validate(decision.entry.model_dump(by_alias=True))


def test_a_reason_is_recorded_for_one_change_only():
    world = World(stages={"production": {"version": "v1"}})
    world.settle()
    told = [
        ("v2", "better on the holdout"),
        ("v1", None),
        ("v2", None),
        (None, "retired \x1b[31m"),
        ("v1", "needed"),
        ("v2", "needed"),
    ]
    for version, why in told:
        world.edit(production={"version": version} | ({"reason": why} if why else {}))
        world.settle()
    assert [(entry.to, entry.reason) for entry in world.model.status.history] == [
        ("v1", None),
        ("v2", "better on the holdout"),
        ("v1", None),
        ("v2", None),
        (None, "retired"),
        ("v1", "needed"),
        ("v2", None),
    ]


def test_the_reason_of_a_rejected_change_is_recorded_when_it_succeeds():
    world = World(stages={"production": {"version": "v1"}})
    world.settle()
    world.edit(production={"version": "v3", "reason": "faster"})
    world.settle()
    assert world.model.status.history[-1].outcome == "Rejected"
    world.broken.clear()
    world.edit(production={"attempt": 1})
    world.settle()
    assert [(entry.outcome, entry.reason) for entry in world.model.status.history][-1] == (
        "Promoted",
        "faster",
    )


def test_another_reason_does_not_lift_a_rejection():
    assert spec_hash(stage_of("va", reason="x").spec.stages["production"]) == spec_hash(
        stage_of("va").spec.stages["production"]
    )


def test_the_entry_of_a_promotion_has_requester_approvers_and_gate_results():
    model = stage_of(
        "vb",
        holds=A,
        candidate=served(B),
        asked=[PEOPLE],
        requestedBy="rita@example.com",
        start_time=NOW - HOUR,
    )
    seen: dict[str, Any] = {"versions": (A, B), "evidence": Evidence(approvals=(says("bob"),))}
    model = after(model, decided(model, *pods_of(model, A, routed=True), **seen))
    routed = (*pods_of(model, A), *pods_of(model, B, routed=True))
    made = entry_of(decided(model, *routed, **seen))
    assert (made.outcome, made.from_, made.to, made.duration_seconds) == (
        "Promoted",
        "va",
        "vb",
        3600,
    )
    assert (made.requested_by, made.approved_by, made.gates) == (
        "rita@example.com",
        "bob",
        "people Pass",
    )


def test_a_rejection_is_in_the_history_with_its_figures():
    model = stage_of("vb", holds=A, candidate=served(B), asked=[PEOPLE], requestedBy="rita")
    no = Evidence(approvals=(says("olga", decision="Reject", comment="no tests"),))
    decision = decided(model, *pods_of(model, A, routed=True), versions=(A, B), evidence=no)
    made = entry_of(decision)
    assert (made.outcome, made.from_, made.to, made.digest) == ("Rejected", "va", "vb", B.digest)
    assert made.reason == "GateFailed: people: rejected by olga: no tests."
    assert (made.requested_by, made.approved_by, made.gates) == ("rita", None, "people Fail")


@pytest.mark.parametrize(
    ("desired", "outcomes"), [("va", ["Aborted"]), (None, ["Aborted", "Cleared"])]
)
def test_an_abandoned_candidate_is_in_the_history(desired: str | None, outcomes: list[str]):
    model = stage_of(desired, holds=A, candidate=served(B), requestedBy="rita", reason="wrong data")
    found = []
    for _ in outcomes:
        decision = decided(model, *pods_of(model, A, routed=True))
        found.append(entry_of(decision))
        model = after(model, decision)
    assert [made.outcome for made in found] == outcomes
    made = found[0]
    assert (made.from_, made.to, made.digest, made.runtime) == (
        "va",
        "vb",
        B.digest,
        served(B).runtime,
    )
    assert (found[-1].reason, made.requested_by) == ("wrong data", "rita")
    # A reason is recorded once: for the candidate's replacement, if there is one.
    assert made.reason == ("wrong data" if desired == "va" else None)


def test_the_reason_of_a_change_is_not_recorded_for_the_candidate_that_it_displaces():
    world = World(stages={"production": {"version": "v1"}})
    world.broken.clear()
    world.settle()
    world.edit(production={"version": "v2", "reason": "faster", "requestedBy": "olga"})
    while world.model.status.stages["production"].candidate is None:
        world.look()
    world.edit(production={"version": "v3", "reason": "better", "requestedBy": "rita"})
    world.settle()
    told = [
        (entry.outcome, entry.to, entry.reason, entry.requested_by)
        for entry in world.model.status.history[1:]
    ]
    assert told == [("Aborted", "v2", None, "rita"), ("Promoted", "v3", "better", "rita")]


def test_a_rejected_override_has_no_requested_by():
    until = NOW + HOUR
    over = OverrideStatus(version="vc", digest=C.digest, since_time=NOW, until_time=until)
    asked = {"version": "vc", "reason": "incident", "until": until.isoformat()}
    model = stage_of("vb", holds=A, candidate=served(C), override=asked, requestedBy="rita")
    status = model.status.stages["production"].model_copy(update={"override": over})
    view = view_of(after(model, StageDecision(status)), *pods_of(model, A, routed=True))
    gone = rejected(
        view, "start", "ServingFailed", "it crashes", NOW, runtime=served(C).runtime.identity
    )
    assert gone.record is not None
    made = history.rejected(view, gone.record, NOW)
    assert made is not None
    assert (made.to, made.requested_by) == ("vc", None)


def test_an_override_that_ends_is_in_the_history_once():
    model = overridden()
    model = after(model, decided(model, *PODS["A"], *PODS["B"], versions=VERSIONS))
    late = NOW + 2 * HOUR
    made = entry_of(decided(model, *PODS["B"], versions=VERSIONS, now=late))
    assert (made.outcome, made.from_, made.to, made.duration_seconds) == (
        "OverrideEnded",
        "vb",
        "vb",
        None,
    )
    model, kept = settled(model, *PODS["B"], now=late)
    assert kept.entry is None
    assert kept.status.blocked is not None
    # Set again, it is another override and ends again.
    again = spec(model, override=override(until=4 * HOUR))
    again, _ = settled(again, *PODS["B"], now=late)
    assert (
        entry_of(decided(spec(again), *PODS["B"], versions=VERSIONS, now=late)).outcome
        == "OverrideEnded"
    )


def test_an_override_whose_end_is_moved_has_not_ended():
    model = spec(overridden(), override=override(until=3 * HOUR))
    decision = decided(model, *PODS["B"], versions=VERSIONS, now=NOW)
    assert (decision.record, decision.entry) == (True, None)


def test_an_override_removed_and_set_again_unchanged_ends_again():
    model = after(overridden(), decided(spec(overridden()), *PODS["B"], versions=VERSIONS))
    assert model.status.stages["production"].override is not None
    assert model.status.stages["production"].override.ended
    model = after(model, decided(spec(model, override=override()), *PODS["B"], versions=VERSIONS))
    stage = spec(model).spec.stages["production"]
    assert ended(stage, model.status.stages["production"], NOW) is not None


def test_gate_results_fit_their_field():
    many = [QUALITY | {"name": f"gate-of-a-long-name-{number}"} for number in range(8)]
    model = stage_of("vb", holds=A, candidate=served(B), asked=many)
    made = entry_of(
        decided(
            model,
            *pods_of(model, A, routed=True),
            versions=(A, B),
            evidence=Evidence(runs={"r": None}),
        )
    )
    assert made.gates is not None
    assert len(made.gates) <= NAMES
    assert made.gates.endswith(" more")


@pytest.mark.parametrize("outcome", list(Outcome))
def test_each_outcome_has_an_event_with_the_digest_of_its_object(outcome: Outcome):
    runtime = served(B).runtime
    made = HistoryEntry(
        time=NOW,
        stage="production",
        from_="va",
        to="vb",
        runtime=runtime,
        outcome=outcome,
        reason="x",
        record=7,
    )
    told = event(made, "sha256:" + "0" * 64)
    assert told.reason == outcome
    assert told.message.startswith("production")
    assert told.message.endswith(f"(record 7, sha256:{'0' * 64})")


def test_a_recorded_rejection_is_not_recorded_again():
    model = stage_of("vb", holds=A, candidate=served(B))
    known = Rejection(
        version="vb",
        digest=str(B.digest),
        spec_hash=spec_hash(model.spec.stages["production"]),
        reason="x",
        message="",
        time=NOW,
    )
    model = stage_of("vb", holds=A, candidate=served(B), rejected=(known,))
    decision = decided(model, *pods_of(model, A, routed=True))
    assert (decision.record, decision.entry) == (True, None)
