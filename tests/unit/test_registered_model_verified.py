"""What a verification withdraws and restores: the record, other stages, the condition."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from modelyard.api.base import condition
from modelyard.api.registered_model import (
    HeldStage,
    RegisteredModel,
    StageStatus,
    StepStatus,
    Verification,
)
from modelyard.errors import Unavailable
from modelyard.plan import Rest
from modelyard.registered_model.conditions import with_verified
from modelyard.registered_model.decide import on_error
from modelyard.registered_model.held import with_held
from modelyard.registered_model.in_sync import in_sync
from tests.unit.builders import NOW, SECOND
from tests.unit.models import A, B, after, decided, does, pods_of, served, stage_of
from tests.unit.test_registered_model_gates import GATE, VERSIONS
from tests.unit.test_registered_model_verification import (
    DAILY,
    DAY,
    FAILED,
    OPEN,
    PASSED,
    SOAK,
    STABLE,
    decide,
    holding,
)


# --- withdrawn verdicts ---------------------------------------------------------------------------
def held_after(
    known: Verification | None, before: HeldStage | None = None, *, at: Any = NOW
) -> HeldStage:
    version = A.model_copy(update={"held": (before,) if before is not None else ()})
    stage = StageStatus(version="va", digest=A.digest, since_time=NOW - DAY, verification=known)
    (found,) = with_held([version], {"staging": stage}, at)
    return found.held[0]


HELD = HeldStage(stage="staging", digest=A.digest, since_time=NOW - DAY)


@pytest.mark.parametrize(
    ("known", "before", "verified"),
    [
        (None, None, None),
        (Verification(), HELD, None),
        (PASSED, HELD, True),
        (FAILED, HELD, False),
        (FAILED, HELD.model_copy(update={"verified": True}), False),
        (Verification(), HELD.model_copy(update={"verified": False}), False),
        (None, HELD.model_copy(update={"verified": False}), None),  # `reverify` was removed
        # It is effective again: that does not lift a Fail.
        (Verification(), HELD.model_copy(update={"verified": False, "until_time": NOW}), False),
        (Verification(), HELD.model_copy(update={"verified": True, "until_time": NOW}), None),
        (
            Verification(),
            HELD.model_copy(update={"verified": False, "until_time": NOW, "digest": B.digest}),
            None,
        ),
    ],
)
def test_the_record_of_a_version_has_its_last_verdict(
    known: Verification | None, before: HeldStage | None, verified: bool | None
):
    found = held_after(known, before)
    assert (found.verified, found.since_time) == (verified, NOW - DAY)


def test_the_time_in_a_stage_begins_again_with_the_pass_after_a_fail():
    passed = PASSED.model_copy(update={"time": NOW})
    found = held_after(passed, HELD.model_copy(update={"verified": False}))
    assert (found.verified, found.since_time) == (True, NOW)
    assert held_after(passed, found, at=NOW + DAY) == found, "once"


def test_a_version_that_failed_when_it_was_effective_before_is_verified_at_once():
    failed = HELD.model_copy(update={"stage": "production", "verified": False})
    versions = (VERSIONS[0].model_copy(update={"held": (failed,)}),)
    model = holding(*GATE, reverify={"every": "100d"}, verification=Verification(), since=SECOND)
    assert not decide(model).record
    assert decide(model, versions=versions).record


WITHDRAWN = (HELD.model_copy(update={"verified": False}),)
STAGED = VERSIONS[1].model_copy(
    update={"held": tuple(each.model_copy(update={"digest": B.digest}) for each in WITHDRAWN)}
)
TRUSTED = STAGED.model_copy(
    update={"held": tuple(each.model_copy(update={"verified": True}) for each in STAGED.held)}
)


@pytest.mark.parametrize("wants", [{"from": "staging"}, {"asked": [SOAK]}])
def test_no_stage_promotes_a_version_that_failed_in_its_from_stage(wants: dict[str, Any]):
    model = stage_of("vb", holds=A, candidate=served(B), start_time=NOW, **wants)
    refused = decide(model, versions=(VERSIONS[0], STAGED))
    assert (does(refused), refused.record) == ([], False)
    assert refused.status.blocked is not None
    assert "failed its verification in staging" in refused.status.blocked.message
    assert "verif" in refused.status.blocked.message.partition("failed")[2]
    taken = decide(model, versions=(VERSIONS[0], TRUSTED))
    assert taken.record or "apply Deployment/vb" in does(taken)


@pytest.mark.parametrize("wants", [{"from": "staging"}, {"asked": [SOAK]}])
def test_past_verdicts_are_checked_again_until_the_service_routes_to_the_version(
    wants: dict[str, Any],
):
    model = stage_of("vb", holds=A, candidate=served(B), start_time=NOW, **wants)
    passes = decide(model, versions=(VERSIONS[0], TRUSTED))
    begun = after(model, passes) if passes.record else model
    ready = pods_of(model, B)
    switching = decide(begun, *ready, versions=(VERSIONS[0], TRUSTED))
    assert "apply Service/vb" in does(switching)
    withdrawn = decide(begun, *ready, versions=(VERSIONS[0], STAGED))
    assert "apply Service/vb" not in does(withdrawn)
    assert withdrawn.status.blocked is not None
    # Requests have reached it: going back is a rollback, which a user decides.
    routed = decided(
        begun, *pods_of(model, A), *pods_of(model, B, routed=True), versions=(VERSIONS[0], STAGED)
    )
    assert (routed.record, routed.status.version) == (True, "vb")


# --- the condition --------------------------------------------------------------------------------
def verified(model: RegisteredModel) -> tuple[str, str, str]:
    found = with_verified(model, model.status, NOW).condition("Verified")
    return (found.status, found.reason, found.message) if found is not None else ("", "", "")


@pytest.mark.parametrize(
    ("known", "status", "reason", "message"),
    [
        (
            Verification(),
            "Unknown",
            "NotVerifiedYet",
            "production: va has not been asked about since it took the stage",
        ),
        (PASSED, "True", "Verified", "production: va was verified at 2025-12-31 12:00 UTC"),
        (
            PASSED.model_copy(
                update={"start_time": NOW, "waiting": "integration: its Job has not begun"}
            ),
            "True",
            "Verified",
            (
                "production: va was verified at 2025-12-31 12:00 UTC. It is asked since 2026-01-01"
                " 12:00 UTC: integration: its Job has"
            ),
        ),
        (
            FAILED,
            "False",
            "VerificationFailed",
            "production: va is still serving, and failed its verification at 2025-12-31 12:00 UTC.",
        ),
    ],
)
def test_the_condition_summarizes_the_stages_with_reverify(
    known: Verification, status: str, reason: str, message: str
):
    found = verified(holding(*GATE, verification=known))
    assert found[:2] == (status, reason)
    assert found[2].startswith(message)


def test_a_verdict_is_too_old_when_its_gates_give_none_for_longer_than_every():
    waits = PASSED.model_copy(
        update={"start_time": NOW, "waiting": "answers: waits for the key cases.json"}
    )
    model = holding(*GATE, verification=waits)
    for passed, status in ((timedelta(hours=24), "True"), (timedelta(hours=25), "Unknown")):
        found = with_verified(model, model.status, NOW + passed).condition("Verified")
        assert found is not None
        assert (found.status, "waits for the key" in found.message) == (status, True)


def test_there_is_no_condition_where_no_stage_has_reverify():
    assert verified(holding(*GATE, reverify=None)) == ("", "", "")
    asked = holding(*GATE, verification=PASSED)
    known = with_verified(asked, asked.status, NOW)
    assert known.condition("Verified") is not None
    assert with_verified(holding(*GATE, reverify=None), known, NOW).condition("Verified") is None
    assert verified(stage_of(None, asked=GATE, reverify=DAILY)) == (
        "Unknown",
        "NotVerifiedYet",
        "No version is effective.",
    )


def test_an_open_round_is_reconciled_when_the_operator_starts():
    model = holding(*GATE, verification=PASSED)
    said = tuple(condition(name, True, "Serving") for name in ("Ready", "Synced"))
    there = model.model_copy(
        update={
            "status": model.status.model_copy(update={"observed_generation": 7, "conditions": said})
        }
    )
    assert in_sync(there, STABLE)
    stages = {
        "production": there.status.stages["production"].model_copy(update={"verification": OPEN})
    }
    assert not in_sync(
        there.model_copy(update={"status": there.status.model_copy(update={"stages": stages})}),
        STABLE,
    )


@pytest.mark.parametrize("dependency", ["Kubernetes", "MLflow"])
def test_the_condition_stays_while_a_dependency_is_down(dependency: str):
    plan = on_error(
        holding(*GATE, verification=FAILED), Unavailable(dependency, "read", "x", "no answer"), NOW
    )
    assert isinstance(plan, Rest)
    found = plan.status.condition("Verified")
    assert found is not None
    assert (found.status, found.reason) == ("False", "VerificationFailed")


def test_a_longer_detail_of_an_earlier_release_is_still_read():
    step = StepStatus.model_validate({"name": "start", "state": "Active", "detail": "x" * 128})
    assert step.detail == "x" * 72
