"""The status that is written, and the events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from modelyard.api.base import Status
from modelyard.api.conditions import progressing, ready, stalled
from modelyard.engine.report import conditions_of, dumped, merge, transitions, undecided

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=5)


def status(*conditions: Any) -> dict[str, Any]:
    return dumped(Status(conditions=conditions))


SYNCED = status(*ready("Synced", "All is well."))
WRITTEN = merge({}, SYNCED, 1, NOON)


def test_an_equal_status_is_not_written_again() -> None:
    assert merge(WRITTEN, SYNCED, 1, LATER) == WRITTEN


def test_the_transition_time_moves_exactly_when_the_status_flips() -> None:
    reworded = merge(WRITTEN, status(*ready("Retaining", "All is well, still.")), 1, LATER)
    broken = merge(WRITTEN, status(*stalled("NameTaken", "Choose another name.")), 1, LATER)
    assert {c["lastTransitionTime"] for c in reworded["conditions"]} == {"2026-01-01T12:00:00Z"}
    times = {c["type"]: c["lastTransitionTime"] for c in broken["conditions"]}
    assert times == {
        "Ready": "2026-01-01T12:05:00Z",
        "Reconciling": "2026-01-01T12:00:00Z",
        "Stalled": "2026-01-01T12:05:00Z",
    }


def test_a_new_generation_is_written_on_the_status_and_on_every_condition() -> None:
    new = merge(WRITTEN, SYNCED, 2, LATER)
    assert new["observedGeneration"] == 2
    assert {c["observedGeneration"] for c in new["conditions"]} == {2}
    assert {c["lastTransitionTime"] for c in new["conditions"]} == {"2026-01-01T12:00:00Z"}


def test_the_order_of_conditions_never_changes() -> None:
    backwards = {
        "conditions": [
            *reversed(SYNCED["conditions"]),
            {"type": "Alpha", "status": "True", "reason": "A"},
        ]
    }
    names = [c["type"] for c in merge({}, backwards, 1, NOON)["conditions"]]
    assert names == ["Ready", "Reconciling", "Stalled", "Alpha"]


def test_a_message_is_never_longer_than_the_crd_allows() -> None:
    new = merge({}, undecided({}, "InvalidSpec", "x" * 5000, 1), 1, NOON)
    assert len(conditions_of(new)["Ready"]["message"]) == 2048


def test_each_transition_is_an_event_once() -> None:
    told = transitions(WRITTEN, status(*stalled("NameTaken", "Choose another name.")))
    assert [(event.reason, event.message, event.warning) for event in told] == [
        ("NameTaken", "Choose another name.", True)
    ]


def test_a_changed_message_alone_is_no_event() -> None:
    assert transitions(WRITTEN, status(*ready("Synced", "42 runs."))) == ()


def test_an_object_that_is_reconciling_or_ready_has_no_warning() -> None:
    assert [
        (e.reason, e.warning)
        for e in transitions({}, status(*progressing("Creating", "Making it.")))
    ] == [("Creating", False)]
    assert [
        (e.reason, e.warning)
        for e in transitions(status(*progressing("Creating", "Making it.")), SYNCED)
    ] == [("Synced", False)]


def test_an_object_that_does_not_fit_its_kind_keeps_its_status_and_is_stalled() -> None:
    new = merge(
        WRITTEN | {"id": "7"},
        undecided(WRITTEN | {"id": "7"}, "InternalError", "A bug.", 1),
        1,
        LATER,
    )
    found = conditions_of(new)
    assert new["id"] == "7"
    assert (found["Ready"]["status"], found["Stalled"]["status"], found["Stalled"]["reason"]) == (
        "True",
        "True",
        "InternalError",
    )


def test_ready_becomes_unknown_with_another_generation() -> None:
    found = conditions_of(undecided(WRITTEN, "InvalidSpec", "No.", 2))
    assert (found["Ready"]["status"], found["Ready"]["reason"]) == ("Unknown", "InvalidSpec")


def test_a_timed_out_reconcile_is_reconciling_not_stalled() -> None:
    found = conditions_of(undecided(WRITTEN, "ReconcileTimedOut", "Slow.", 1, stalled=False))
    assert (found["Reconciling"]["status"], found["Stalled"]["status"]) == ("True", "False")
