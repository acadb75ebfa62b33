"""Freezes: when they begin and end, with daylight saving; a promotion waits for the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from modelyard.api.calendar import _began, frozen
from modelyard.api.freeze import Freeze
from modelyard.api.registered_model import RegisteredModel
from modelyard.plan import Apply, Manifest
from modelyard.registered_model.decision import StageDecision
from tests.unit.builders import MINUTE, NOW, live
from tests.unit.models import NEWER, A, B, after, decided, does, pods_of, served, stage_of

BERLIN = "Europe/Berlin"


def window(schedule: str = "0 18 * * 5", duration: str = "62h", **more: Any) -> Freeze:
    return Freeze(**({"schedule": schedule, "duration": duration, "reason": "weekend"} | more))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def until(moment: str, *freezes: Freeze) -> str | None:
    found = frozen(freezes, at(moment))
    return None if found is None else f"{found.until:%a %H:%M}" if found.until is not None else "?"


# --- the calendar ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("moment", "end"),
    [
        ("2026-02-06T17:59:59+00:00", None),
        ("2026-02-06T18:00:00+00:00", "Mon 08:00"),
        ("2026-02-08T12:00:00+00:00", "Mon 08:00"),
        ("2026-02-09T07:59:59+00:00", "Mon 08:00"),
        ("2026-02-09T08:00:00+00:00", None),
    ],
)
def test_a_freeze_begins_with_its_minute_and_is_over_at_its_end(moment: str, end: str | None):
    assert until(moment, window()) == end


def test_a_schedule_is_read_in_its_time_zone():
    weekend = window(timeZone=BERLIN)
    assert until("2026-02-06T17:30:00+01:00", weekend) is None
    assert until("2026-02-06T18:00:00+01:00", weekend) == "Mon 07:00", "in UTC; 08:00 in Berlin"
    assert until("2026-07-03T18:00:00+02:00", weekend) == "Mon 06:00"


def test_daylight_saving_changes_make_a_freeze_neither_longer_nor_shorter():
    weekend = window(timeZone=BERLIN)
    assert until("2026-03-28T12:00:00+01:00", weekend) == "Mon 07:00", (
        "09:00 in Berlin, where it is summer by then"
    )
    assert until("2026-10-24T12:00:00+02:00", weekend) == "Mon 06:00", (
        "07:00 in Berlin, where it is winter by then"
    )


def test_a_skipped_hour_starts_right_after_and_a_repeated_one_starts_once():
    night = window("30 2 * * *", "45m", timeZone=BERLIN)
    assert until("2026-03-29T00:59:00+00:00", night) is None
    assert until("2026-03-29T01:00:00+00:00", night) == "Sun 01:45", (
        "02:30 is not there: 03:00 in Berlin"
    )
    assert until("2026-10-25T00:30:00+00:00", night) == "Sun 01:15", "02:30 for the first time"
    assert until("2026-10-25T01:14:00+00:00", night) == "Sun 01:15", "the clocks show 02:14 again"
    assert until("2026-10-25T01:30:00+00:00", night) is None, "02:30 for the second time"


def test_consecutive_freezes_without_a_gap_have_one_end():
    weekend, monday = window(), window("0 8 * * 1", "4h", reason="release of the month")
    found = frozen((weekend, monday), at("2026-02-08T12:00:00+00:00"))
    assert found is not None
    assert (found.reason, f"{found.until:%a %H:%M}", f"{found.again:%a %H:%M}") == (
        "weekend",
        "Mon 12:00",
        "Mon 08:00",
    )
    assert until("2026-02-09T08:00:00+00:00", weekend, monday) == "Mon 12:00"


def test_a_freeze_that_never_ends_has_no_known_end():
    assert until("2026-02-09T08:00:00+00:00", window("0 * * * *", "1h")) == "?"


def test_a_freeze_on_a_rare_day_is_found():
    assert until("2028-02-29T12:00:00+00:00", window("0 0 29 2 *", "1d")) == "Wed 00:00"
    assert until("2026-02-28T12:00:00+00:00", window("0 0 29 2 *", "1d")) is None


def test_the_cost_of_a_tenant_s_freezes_is_bounded():
    """They are evaluated in the event loop that all tenants share: 16 rare ones, and one every
    minute.
    """
    rare = [window(f"{minute} 0 31 2 7#5", "999d", timeZone=BERLIN) for minute in range(15)]
    _began.cache_clear()
    assert until("2026-02-09T08:00:00+00:00", *rare, window("* * * * *", "1m")) == "?"
    assert _began.cache_info().misses <= 16 * 9, (
        "each search is of days that matter, not of fifty years"
    )


SCHEDULES = ["0 18 * * 5", "30 2 * * *", "*/20 1-3 * * *", "15 */2 * * *", "0 3 1 * *", "5 4 * * 0"]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(SCHEDULES),
    st.sampled_from([BERLIN, "America/New_York", "Asia/Kolkata", "UTC"]),
    st.integers(0, 525_600).map(lambda minutes: NOW + timedelta(minutes=minutes)),
    st.integers(1, 200),
)
def test_a_freeze_is_in_force_exactly_when_it_began_less_than_its_duration_ago(
    schedule: str, zone: str, now: datetime, hours: int
):
    """Compared with following the schedule forward, as cron does."""
    first = (now - timedelta(hours=hours, minutes=1)).astimezone(ZoneInfo(zone))
    begins = takewhile(
        lambda moment: moment <= now, (each.astimezone(UTC) for each in CronSim(schedule, first))
    )
    ends = [moment + timedelta(hours=hours) for moment in begins]
    expected = bool(ends) and ends[-1] > now
    assert (frozen((window(schedule, f"{hours}h", timeZone=zone),), now) is not None) is expected


# --- a promotion ----------------------------------------------------------------------------------
ALWAYS = {"schedule": "0 0 * * *", "duration": "1d", "reason": "audit"}
NOON = {"schedule": "0 10 * * *", "duration": "4h", "reason": "noon"}
"""In force at NOW, 12:00, until 14:00."""


def begun(*freezes: dict[str, Any], **stage: Any) -> RegisteredModel:
    """va is effective, vb is desired and recorded as the candidate."""
    found = stage_of("vb", holds=A, **({"candidate": served(B), "start_time": NOW} | stage))
    return found.model_copy(
        update={
            "spec": found.spec.model_copy(
                update={"freeze": tuple(Freeze(**each) for each in freezes)}
            )
        }
    )


STABLE = pods_of(begun(), A, routed=True)


def states(decision: StageDecision) -> dict[str, str]:
    return {step.name: step.state.value for step in decision.status.steps}


def blocked(decision: StageDecision) -> tuple[str, bool] | None:
    return (
        (decision.status.blocked.reason, decision.status.blocked.needs_action)
        if decision.status.blocked
        else None
    )


def test_a_candidate_waits_without_pods_until_the_freeze_ends_and_the_stage_says_until_when():
    waiting = decided(begun(NOON), *STABLE)
    assert does(waiting) == []
    assert states(waiting) == {
        "admit": "Done",
        "freeze": "Waiting",
        "start": "Waiting",
        "switch": "Waiting",
        "record": "Waiting",
    }
    assert blocked(waiting) == ("Frozen", False)
    assert waiting.status.blocked is not None
    assert waiting.status.blocked.message == (
        "vb waits: the stage is frozen until 2026-01-01 14:00 UTC (noon). va is still serving. It"
        " continues automatically, if its gates pass then. An override does not wait:"
        " modelyard override fraud vb --stage production"
    )
    assert waiting.requeue_after == timedelta(hours=2)
    later = decided(after(begun(NOON), waiting), *STABLE, now=NOW + MINUTE)
    assert later.status.steps == waiting.status.steps, (
        "what has not changed keeps its time: nothing is written"
    )
    ended = decided(begun(NOON), *STABLE, now=NOW + timedelta(hours=2))
    assert states(ended)["freeze"] == "Done"
    assert does(ended), "it starts"


def test_a_freeze_that_begins_while_a_candidate_starts_deletes_its_pods_unless_it_is_routed():
    starting = decided(begun(NOON), *STABLE, *pods_of(begun(), B, ready=0))
    assert states(starting)["freeze"] == "Waiting"
    assert does(starting) == [f"delete Deployment/fraud-production-vb-{served(B).runtime.identity}"]
    ready = pods_of(begun(), B, routed=True)
    routed = decided(
        begun(NOON),
        *(each for each in STABLE if each["kind"] not in {"Service", "PodDisruptionBudget"}),
        *ready,
    )
    assert states(routed)["freeze"] == "Done"
    assert (routed.status.version, routed.entry is not None) == ("vb", True)


def test_a_freeze_that_begins_while_a_gate_tests_the_candidate_deletes_the_job_too():
    asked = [{"name": "answers", "smoke": {}}]
    off, on = begun(asked=asked), begun(NOON, asked=asked)
    there = [*STABLE, *pods_of(off, B)]
    there += [
        live(each.manifest)
        for each in decided(off, *there).actions
        if isinstance(each, Apply) and each.manifest["kind"] == "Service"
    ]
    (job,) = [
        live(each.manifest, {"active": 1})
        for each in decided(off, *there).actions
        if isinstance(each, Apply)
    ]
    assert sorted(each.split("/")[0] for each in does(decided(on, *there, job))) == [
        "delete Deployment",
        "delete Job",
        "delete Service",
    ]


def test_a_freeze_of_another_stage_is_no_step_of_this_one():
    elsewhere = NOON | {"stages": ["staging"]}
    assert "freeze" not in states(decided(begun(elsewhere), *STABLE))
    assert (
        states(decided(begun(elsewhere, NOON | {"stages": ["staging", "production"]}), *STABLE))[
            "freeze"
        ]
        == "Waiting"
    )


def test_without_a_freeze_the_steps_are_unchanged():
    assert list(states(decided(begun(), *STABLE))) == ["admit", "start", "switch", "record"]


def frozen_model(model: RegisteredModel, *freezes: dict[str, Any]) -> RegisteredModel:
    return model.model_copy(
        update={
            "spec": model.spec.model_copy(
                update={"freeze": tuple(Freeze(**each) for each in freezes)}
            )
        }
    )


def test_changes_of_serving_clearing_a_return_and_an_override_do_not_wait():
    steady = decided(frozen_model(stage_of("va", holds=A), ALWAYS), *STABLE)
    assert (blocked(steady), does(steady)) == (None, [])
    cleared = decided(frozen_model(stage_of(None, holds=A), ALWAYS), *STABLE)
    assert cleared.entry is not None
    back = decided(
        frozen_model(
            stage_of("vb", holds=A, previous=served(B), candidate=served(B), start_time=NOW), ALWAYS
        ),
        *STABLE,
    )
    assert list(states(back)) == ["admit", "start", "switch", "record"]
    override = {"version": "vb", "reason": "incident", "until": NOW + timedelta(hours=1)}
    noted = decided(frozen_model(stage_of("va", holds=A, override=override), ALWAYS), *STABLE)
    pulled = decided(
        after(frozen_model(stage_of("va", holds=A, override=override), ALWAYS), noted), *STABLE
    )
    assert pulled.status.candidate == served(B)


def test_a_refresh_waits_too():
    refresh = frozen_model(stage_of("va", holds=A, attempt=1), NOON)
    admitted = decided(refresh, *STABLE, runtime=NEWER)
    waiting = decided(after(refresh, admitted), *STABLE, runtime=NEWER)
    assert (states(waiting)["freeze"], blocked(waiting)) == ("Waiting", ("Frozen", False))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"schedule": "0 25 * * *"}, 'the schedule "0 25 * * *": Bad hour'),
        ({"schedule": "0 0 30 2 *"}, "Bad day-of-month"),
        ({"timeZone": "Europe/Atlantis"}, "there is no time zone Europe/Atlantis"),
        ({"timeZone": "Europe"}, "there is no time zone Europe"),
        ({"timeZone": "../etc/passwd"}, "there is no time zone ../etc/passwd"),
    ],
)
def test_an_invalid_freeze_delays_all_changes_and_is_reported_also_without_a_promotion(
    wrong: dict[str, Any], words: str
):
    held = decided(begun(NOON | wrong), *STABLE)
    assert (states(held)["freeze"], blocked(held), does(held)) == (
        "Failed",
        ("FreezeInvalid", True),
        [],
    )
    steady: tuple[Manifest, ...] = STABLE
    said = decided(frozen_model(stage_of("va", holds=A), NOON | wrong), *steady)
    assert blocked(said) == ("FreezeInvalid", True)
    assert said.status.blocked is not None
    assert words in said.status.blocked.message
    assert "Correct spec.freeze" in said.status.blocked.message
