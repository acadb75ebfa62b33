"""Which stages a refresh changes, and its patch."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.api.registered_model import OperatorRuntime
from modelyard.client.errors import NotFound, Refused
from modelyard.client.progress import Change
from modelyard.client.refreshing import RuntimeState, changes, patch, plan, stages_to_refresh
from tests.cli.objects import NEW, OLD, before, held, model, runtime

BEFORE = before(hours=3)


def stage_state(
    status: dict[str, Any] | None, wanted: str | None = "v2", image: str | None = NEW
) -> tuple[RuntimeState, str]:
    there = model(
        {} if status is None else {"production": status},
        spec_stages={"production": {"version": wanted}},
    )
    operator = OperatorRuntime(image=image, revision=1) if image else None
    there = there.model_copy(
        update={"status": there.status.model_copy(update={"operator_runtime": operator})}
    )
    (found,) = plan(there)
    return found.state, found.words


@pytest.mark.parametrize(
    ("status", "more", "state", "words"),
    [
        (
            held("v2", BEFORE),
            {},
            RuntimeState.OLDER,
            f"v2 is served with {OLD}; the operator's is {NEW}",
        ),
        (
            held("v2", BEFORE),
            {"image": OLD},
            RuntimeState.CURRENT,
            f"v2 is served with the operator's runtime already, {OLD}",
        ),
        (
            held("v2", BEFORE, runtime=runtime(NEW) | {"revision": 0}),
            {},
            RuntimeState.OLDER,
            f"v2 is served with {NEW}, with pods of an older",
        ),
        (
            held("v2", BEFORE),
            {"wanted": "v3"},
            RuntimeState.CHANGING,
            "v2 is effective, and the spec asks for something else",
        ),
        (
            held("v2", BEFORE),
            {"wanted": None},
            RuntimeState.CHANGING,
            "v2 is effective, and the spec asks for something else",
        ),
        (
            None,
            {},
            RuntimeState.CHANGING,
            "nothing is effective, and the spec asks for something else",
        ),
        ({}, {"wanted": None}, RuntimeState.EMPTY, "no version is effective"),
        (
            held("v2", BEFORE),
            {"image": None},
            RuntimeState.UNKNOWN,
            "the operator has not recorded its runtime yet",
        ),
        (
            held("v2", BEFORE, runtime=None),
            {},
            RuntimeState.UNKNOWN,
            "the operator has not recorded its runtime yet",
        ),
    ],
)
def test_how_a_stage_s_runtime_compares_with_the_operator_s(
    status: dict[str, Any] | None, more: dict[str, Any], state: RuntimeState, words: str
):
    found, said = stage_state(status, **more)
    assert found is state
    assert said.startswith(words)


STAGES = {name: {"version": "v2", "attempt": 1} for name in ("canary", "production", "staging")} | {
    "empty": {"version": None}
}
THREE = model(
    {
        "canary": held("v2", BEFORE, runtime=runtime(NEW), attempt=1),
        "production": held("v2", BEFORE, attempt=1),
        "staging": held("v2", BEFORE, attempt=4),
        "empty": {},
    },
    spec_stages=STAGES,
)


def test_all_older_stages_or_the_named_one_are_refreshed():
    assert stages_to_refresh(THREE, None) == ["production", "staging"]
    assert stages_to_refresh(THREE, "staging") == ["staging"]
    assert stages_to_refresh(THREE, "canary") == []


def test_a_stage_that_cannot_be_refreshed_is_refused_by_name():
    with pytest.raises(
        NotFound,
        match=r"risk/fraud has no stage prod\. Its stages: canary, empty, production, staging",
    ):
        stages_to_refresh(THREE, "prod")
    with pytest.raises(
        Refused, match="empty of risk/fraud cannot be refreshed: no version is effective"
    ):
        stages_to_refresh(THREE, "empty")


def test_a_refresh_raises_attempt_above_the_spec_s_and_the_status_s():
    assert patch(THREE, ["production", "staging"]) == {
        "spec": {"stages": {"production": {"attempt": 2}, "staging": {"attempt": 5}}}
    }


def test_the_requested_attempt_is_read_from_the_answer():
    assert changes(THREE, ["production"]) == (Change("production", "v2", 3, 1),)


def test_a_stage_whose_override_has_ended_is_not_refreshed_because_that_would_roll_back():
    blocked = {"reason": "OverrideEnded", "message": "The override ended.", "needsAction": True}
    override = {"version": "v2", "sinceTime": BEFORE, "untilTime": BEFORE}
    ended, words = stage_state(held("v2", BEFORE, override=override, blocked=blocked), wanted="v1")
    assert (ended, words[:35]) == (RuntimeState.OVERRIDDEN, "v2 is effective, an override of the")
    in_force, _ = stage_state(held("v2", BEFORE, override=override), wanted="v1")
    assert in_force is RuntimeState.OLDER
