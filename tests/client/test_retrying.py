"""Which rejection a retry ends, and when there is none."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.client.errors import NotFound, Refused
from modelyard.client.retrying import patch, rejection
from tests.cli.objects import before, held, model, version

BEFORE = before(hours=3)
BLOCKED = {"reason": "GateFailed", "message": "v3 was rejected.", "needsAction": True}
REJECTION = {
    "version": "v3",
    "digest": version("v3")["digest"],
    "specHash": "0",
    "attempt": 4,
    "reason": "GateFailed",
    "message": "quality: accuracy is 0.8, below 0.9.",
    "time": BEFORE,
}
REJECTED = held(
    "v2",
    BEFORE,
    desired="v3",
    blocked=BLOCKED,
    rejected=[REJECTION | {"reason": "LoadFailed"}, REJECTION],
)


def test_the_rejection_in_force_is_the_one_that_blocks_the_stage_and_attempt_is_raised_above_it():
    there = model({"production": REJECTED}, wanted="v3")
    assert rejection(there, "production").message == REJECTION["message"]
    assert patch(there, "production") == {"spec": {"stages": {"production": {"attempt": 5}}}}


def test_a_rejected_runtime_is_retried_too():
    refresh = held("v2", BEFORE, blocked=BLOCKED, rejected=[REJECTION | {"version": "v2"}])
    assert rejection(model({"production": refresh}), "production").version == "v2"


NOT_BLOCKED: dict[str, Any] = {"rejected": [REJECTION]}
UNSCHEDULABLE = {"reason": "Unschedulable", "message": "No node has room.", "needsAction": True}


@pytest.mark.parametrize(
    ("stage", "more", "words"),
    [
        (
            held("v2", BEFORE, **NOT_BLOCKED),
            {},
            "v2 is effective. To serve it with the operator's current runtime: modelyard refresh.",
        ),
        (held("v3", BEFORE, **NOT_BLOCKED), {"wanted": "v3"}, "v3 is effective"),
        (held("v2", BEFORE, desired="v3"), {"wanted": "v3"}, "v3 is being promoted"),
        (
            held("v2", BEFORE, desired="v3", blocked=UNSCHEDULABLE, **NOT_BLOCKED),
            {"wanted": "v3"},
            "v3 is not rejected, Unschedulable: No node has room.",
        ),
        (
            held("v2", BEFORE),
            {"wanted": "v3"},
            "the operator has not observed that the spec asks for v3",
        ),
        (
            REJECTED,
            {"wanted": "v3", "observed": 2},
            "the operator has not observed that the spec asks for v3",
        ),
        ({}, {"wanted": None}, "the spec asks for no version there"),
    ],
)
def test_a_version_that_is_not_rejected_is_not_retried(
    stage: dict[str, Any], more: dict[str, Any], words: str
):
    with pytest.raises(Refused) as refused:
        rejection(model({"production": stage}, **more), "production")
    assert str(refused.value).startswith("There is nothing to retry in production of risk/fraud")
    assert words in str(refused.value)


def test_a_missing_stage_is_named_with_the_existing_ones():
    with pytest.raises(
        NotFound, match=r"risk/fraud has no stage prod\. Its stages: production, staging"
    ):
        rejection(model(), "prod")
