"""Stages with `autoPromote`: their text, and the effect of a version that a user sets."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.api.registered_model import RegisteredModel
from modelyard.client import newest
from modelyard.client.errors import Refused
from modelyard.client.progress import Change, State, asked_for, stage_blocker, stage_change
from modelyard.client.retrying import patch, rejection
from tests.cli.objects import NOW, before, held, model, version

AUTOMATIC: dict[str, Any] = {
    "production": {"autoPromote": {"from": "newest"}},
    "staging": {"version": None},
}
VERSIONS = [version("v1"), version("v2"), version("v3")]
FAILED: dict[str, Any] = {
    "version": "v3",
    "digest": version("v3")["digest"],
    "specHash": "0",
    "attempt": 0,
    "reason": "GateFailed",
    "message": "quality: accuracy is 0.8, below 0.9.",
    "time": before(hours=1),
}
V2_FAILED = FAILED | {"version": "v2", "digest": version("v2")["digest"], "time": before(minutes=1)}
FROZEN = {"reason": "Frozen", "message": "v3 waits."}


def automatic(
    holds: str = "v2", *, versions: list[dict[str, Any]] = VERSIONS, observed: int = 3, **stage: Any
) -> RegisteredModel:
    about = {"production": held(holds, before(hours=3), **stage)}
    return model(about, spec_stages=AUTOMATIC, versions=versions, observed=observed)


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (automatic("v3"), "takes the newest"),
        (automatic("v2", desired="v3"), "takes the newest"),
        (automatic("v2", rejected=[FAILED]), "takes the newest; v3 was rejected"),
        (
            automatic("v2", holdTime=NOW.isoformat()),
            "takes the newest; v3 is held: the stage was rolled back after it was registered",
        ),
        (automatic("v2", versions=[]), "takes the newest"),
        (model(), None),
    ],
)
def test_the_text_of_a_stage(there: RegisteredModel, said: str | None):
    assert newest.description(there, "production") == said


def test_a_version_set_by_a_user_ends_auto_promote_in_that_stage_only():
    assert newest.stopped(automatic(), "production") == {"autoPromote": None}
    assert (
        newest.stopped(automatic(), "staging")
        == newest.stopped(model(), "production")
        == newest.stopped(model(), "new")
        == {}
    )


def test_a_retry_is_of_the_newest_rejected_version():
    assert rejection(automatic("v1", rejected=[FAILED, V2_FAILED]), "production").version == "v3"
    assert patch(automatic("v1", rejected=[FAILED]), "production") == {
        "spec": {"stages": {"production": {"attempt": 1}}}
    }
    with pytest.raises(Refused, match="it takes the newest version, and has rejected none"):
        rejection(automatic("v3", rejected=[FAILED]), "production")


def test_a_stage_wants_the_version_that_the_operator_has_chosen():
    there = automatic("v2", desired="v3", blocked=FROZEN)
    assert asked_for(there, "production").version == "v3"
    blocker = stage_blocker(there, "production")
    assert blocker is not None
    assert blocker.reason == "Frozen"


@pytest.mark.parametrize(
    ("there", "state", "reason"),
    [
        (automatic("v2", observed=2), State.UNOBSERVED, ""),
        (automatic("v2", desired="v3", blocked=FROZEN), State.UNDER_WAY, "Frozen"),
        (automatic("v3"), State.DONE, ""),
        (automatic("v2", rejected=[FAILED]), State.FAILED, "GateFailed"),
        (automatic("v2"), State.SUPERSEDED, "Superseded"),
    ],
)
def test_whether_a_version_s_promotion_is_over(there: RegisteredModel, state: State, reason: str):
    found = stage_change(there, Change("production", "v3", 3))
    assert (found.state, found.reason) == (state, reason)
