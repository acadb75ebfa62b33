"""An override: its checks, the progress of a change by it, and the way back after its end."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from modelyard.client import overriding
from modelyard.client.errors import ClientError, NotFound, Refused
from modelyard.client.progress import Change, State, stage_change
from tests.cli.objects import NOW, SYNCED, before, held, model, progressing, ready, served, version

DAY = timedelta(days=1)
UNTIL = NOW + timedelta(hours=1)
ASKED = overriding.OverrideRequest("v4", "incident 4711", UNTIL)
NOTED = {
    "version": "v4",
    "digest": version("v4")["digest"],
    "sinceTime": NOW.isoformat(),
    "untilTime": UNTIL.isoformat(),
}
SPEC = {"version": "v4", "reason": "incident 4711", "until": UNTIL.isoformat()}
ENDED = {
    "reason": "OverrideEnded",
    "message": "The override ended, and v4 is still serving.",
    "needsAction": True,
}
VERSIONS = [version(name) for name in ("v2", "v4")]


def there(
    stage: dict[str, Any],
    *,
    attempt: int = 0,
    override: bool = True,
    versions: Any = VERSIONS,
    **more: Any,
) -> Any:
    """Return the model whose spec wants v2 in production."""
    spec = {"version": "v2", "attempt": attempt} | ({"override": SPEC} if override else {})
    return model({"production": stage}, spec_stages={"production": spec}, versions=versions, **more)


# --- requests -------------------------------------------------------------------------------------
def test_an_end_is_a_time_in_utc_or_a_duration():
    assert overriding.override_request("v4", "x", timedelta(hours=1), NOW).until == UNTIL
    assert (
        overriding.override_request(
            "v4", "x", datetime.fromisoformat("2026-01-02T15:00:00.5+02:00"), NOW
        ).until
        == UNTIL
    )
    assert overriding.moment("", "90m") == timedelta(minutes=90)
    assert overriding.moment("", "") == overriding.USUAL
    assert overriding.moment("2026-01-02T13:00:00Z", "") == UNTIL


def test_the_limit_of_a_day_allows_for_another_clock_and_more_is_refused():
    assert (
        overriding.override_request("v4", "x", NOW + DAY, NOW - timedelta(seconds=30)).until
        == NOW + DAY
    )
    for until in (DAY + timedelta(hours=1), timedelta(0), NOW.replace(tzinfo=None)):
        with pytest.raises(ValueError, match=r"a day at most|which is past|no time zone"):
            overriding.override_request("v4", "x", until, NOW)
    with pytest.raises(ValueError, match="needs a reason"):
        overriding.override_request("v4", "  ", DAY, NOW)


@pytest.mark.parametrize(
    ("place", "more", "error", "words"),
    [
        ("canary", {}, NotFound, "has no stage canary. Its stages: production."),
        ("production", {"versions": VERSIONS[:1]}, NotFound, "has no version v4. It has: v2."),
        (
            "production",
            {"versions": [version("v4", mlflowVersion=None)]},
            Refused,
            "v4 of risk/fraud is not registered yet",
        ),
    ],
)
def test_an_override_without_effect_is_refused(
    place: str, more: dict[str, Any], error: type[ClientError], words: str
):
    with pytest.raises(error, match=words):
        overriding.check(there(held("v2", before(hours=3)), **more), place, ASKED)


def test_an_override_a_day_old_cannot_be_extended_and_a_younger_one_can():
    since = NOW - timedelta(hours=23)
    whole = NOTED | {"sinceTime": since.isoformat(), "untilTime": (since + DAY).isoformat()}
    longer = overriding.OverrideRequest("v4", "x", NOW + timedelta(hours=4))
    with pytest.raises(
        Refused, match=r"lasts a day at most. Set v4 as the stage's version, or roll back"
    ):
        overriding.check(there(held("v4", before(hours=3), override=whole)), "production", longer)
    overriding.check(there(held("v4", before(hours=3), override=NOTED)), "production", longer)


def test_the_patches_set_and_remove_an_override():
    override = {"version": "v4", "reason": "incident 4711", "until": "2026-01-02T13:00:00Z"}
    assert overriding.patch("production", ASKED) == {
        "spec": {"stages": {"production": {"override": override}}}
    }
    assert overriding.end_patch("production") == {
        "spec": {"stages": {"production": {"override": None}}}
    }
    overriding.ends(there({}), "production")
    with pytest.raises(NotFound, match="production of risk/fraud has no override"):
        overriding.ends(there({}, override=False), "production")


# --- its progress ---------------------------------------------------------------------------------
STARTING = {"reason": "Promoting", "message": "v4 is starting next to v2."}
UNREGISTERED = ENDED | {
    "message": "The override asks for v4, which was not registered when the override was first"
    " seen."
}


@pytest.mark.parametrize(
    ("stage", "observed", "state"),
    [
        (held("v2", before(hours=3)), 2, State.UNOBSERVED),
        (held("v2", before(hours=3), override=NOTED), 3, State.UNDER_WAY),
        (
            held(
                "v2",
                before(hours=3),
                desired="v4",
                override=NOTED,
                candidate=served("v4"),
                blocked=STARTING,
            ),
            3,
            State.UNDER_WAY,
        ),
        (held("v4", before(hours=3), override=NOTED), 3, State.DONE),
        (
            held("v2", before(hours=3), override=NOTED | {"digest": None}, blocked=UNREGISTERED),
            3,
            State.FAILED,
        ),
    ],
)
def test_the_progress_of_a_change_by_an_override(
    stage: dict[str, Any], observed: int, state: State
):
    conditions = [
        *(progressing if state is State.UNDER_WAY else ready)("Serving", "production"),
        SYNCED,
    ]
    found = there(stage, observed=observed, conditions=conditions)
    assert stage_change(found, Change("production", "v4", 3)).state is state


# --- going back -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("stage", "more", "wanted"),
    [
        (
            held("v4", before(hours=3), override=NOTED | {"attempt": 2}, blocked=ENDED),
            {},
            {"attempt": 3},
        ),
        (held("v4", before(hours=3), override=NOTED), {"override": False}, {"attempt": 1}),
        (held("v4", before(hours=3), override=NOTED), {}, {}),
        (held("v4", before(hours=3), override=NOTED, blocked=ENDED), {"attempt": 1}, {}),
        (held("v4", before(hours=3), desired="v2", override=NOTED), {"override": False}, {}),
        (held("v2", before(hours=3), override=NOTED), {"override": False}, {}),
        (held("v2", before(hours=3)), {"override": False}, {}),
    ],
)
def test_a_stage_goes_back_by_attempt_once_no_override_is_in_force(
    stage: dict[str, Any], more: dict[str, Any], wanted: dict[str, int]
):
    assert overriding.back(there(stage, **more), "production") == wanted
