"""A plan: its checks, its progress, and the patches that carry it out or take it back."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.client import planning
from modelyard.client.errors import NotFound, Refused
from modelyard.client.freezing import frozen
from modelyard.client.progress import Change, State
from tests.cli.objects import NOW, before, held, model, served, version

BEFORE = before(hours=3)
VERSIONS = [version(name) for name in ("v2", "v3")]
PLANNED = {"reason": "Planned", "message": "v3 waits: spec.dryRun is true."}
HELD = held("v2", BEFORE, desired="v3", candidate=served("v3"), blocked=PLANNED)
ROW = {"stage": "production", "step": "admit", "does": "v3 is admitted"}


def there(
    stage: dict[str, Any], wanted: str | None = "v2", *, dry_run: bool = False, **more: Any
) -> Any:
    """Return the model whose spec wants a version in production."""
    found = model({"production": stage}, wanted=wanted, versions=VERSIONS, **more)
    return found.model_copy(update={"spec": found.spec.model_copy(update={"dry_run": dry_run})})


REST = held("v2", BEFORE)


def test_a_plan_is_one_patch_with_the_resource_version_that_was_read():
    found = there(REST)
    planning.check(found, "production", "v3")
    meta = {"resourceVersion": found.metadata.resource_version}
    assert planning.patch(found, "production", {"version": "v3", "requestedBy": "rita"}) == {
        "metadata": meta,
        "spec": {
            "dryRun": True,
            "stages": {"production": {"version": "v3", "requestedBy": "rita"}},
        },
    }
    planned = there(HELD, "v3", dry_run=True)
    assert planning.carry_out(planned, "production", "v3") == {
        "metadata": meta,
        "spec": {"dryRun": False},
    }
    back = {"dryRun": False, "stages": {"production": {"version": "v2"}}}
    assert planning.take_back(planned, "production", "v3", {}) == {"metadata": meta, "spec": back}


def test_taking_back_the_plan_of_a_first_version_sets_none():
    first = there(
        {"desired": "v3", "candidate": served("v3"), "blocked": PLANNED}, "v3", dry_run=True
    )
    assert planning.take_back(first, "production", "v3", {})["spec"]["stages"]["production"] == {
        "version": None
    }


@pytest.mark.parametrize(
    ("found", "asked", "error", "words"),
    [
        (there(REST), ("canary", "v3"), NotFound, "has no stage canary. Its stages: production"),
        (there(REST), ("production", "v9"), NotFound, "has no version v9. It has: v2, v3"),
        (
            there(REST),
            ("production", "v2"),
            Refused,
            "v2 is already effective in production of risk/fraud: nothing to plan",
        ),
        (there(HELD, "v3"), ("production", "v2"), Refused, r"is being changed \(production: v3\)"),
        (
            there(REST, None),
            ("production", "v3"),
            Refused,
            r"is being changed \(production: no version\)",
        ),
        (
            there(HELD, "v3", dry_run=True),
            ("production", "v2"),
            Refused,
            r"has another plan \(production: v3\)",
        ),
        (
            there(REST, generation=4, observed=3),
            ("production", "v3"),
            Refused,
            "has not observed the last change",
        ),
    ],
)
def test_changes_that_cannot_be_planned_are_refused(
    found: Any, asked: tuple[str, str], error: type[Exception], words: str
):
    with pytest.raises(error, match=words):
        planning.check(found, *asked)


def test_only_the_existing_plan_is_carried_out():
    with pytest.raises(Refused, match="has no plan to promote v3 to production"):
        planning.carry_out(there(REST), "production", "v3")
    with pytest.raises(Refused, match=r"has another plan \(production: v3\)"):
        planning.carry_out(there(HELD, "v3", dry_run=True), "production", "v2")
    with pytest.raises(Refused, match="has no plan"):
        planning.take_back(there(HELD, "v3"), "production", "v3", {})


def test_a_plan_is_done_when_the_operator_reports_it():
    change = Change("production", "v3", 3)
    assert planning.plan_progress(there(HELD, "v3", dry_run=True), change).state is State.DONE
    assert (
        planning.plan_progress(
            there(held("v2", BEFORE, desired="v3"), "v3", dry_run=True), change
        ).state
        is State.UNDER_WAY
    )
    failed = held(
        "v2",
        BEFORE,
        desired="v3",
        blocked={"reason": "VersionUnknown", "message": "x", "needsAction": True},
    )
    assert planning.plan_progress(there(failed, "v3", dry_run=True), change).state is State.FAILED
    assert (
        planning.plan_progress(there(HELD, "v3", dry_run=True), Change("production", "v3", 4)).state
        is State.UNOBSERVED
    )


@pytest.mark.parametrize(
    ("freeze", "said"),
    [
        (
            {"schedule": "0 10 * * *", "duration": "4h", "reason": "noon"},
            "until 2026-01-02 14:00 UTC: noon",
        ),
        ({"schedule": "0 13 * * *", "duration": "4h", "reason": "later"}, None),
        (
            {"schedule": "0 10 * * *", "duration": "4h", "reason": "noon", "stages": ["staging"]},
            None,
        ),
        (
            {"schedule": "0 * * * *", "duration": "1h", "reason": "always"},
            "without a known end: always",
        ),
        (
            {"schedule": "0 25 * * *", "duration": "4h", "reason": "x"},
            'until spec.freeze can be read: the schedule "0 25 * * *": Bad hour',
        ),
    ],
)
def test_a_freeze_window_of_the_model_is_shown_before_a_promotion(
    freeze: dict[str, Any], said: str | None
):
    assert frozen(model(freeze=[freeze]), "production", NOW) == said
