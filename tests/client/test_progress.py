"""Whether a change is complete, decided by fields: tables of states with their results."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.api.registered_model import RegisteredModel
from modelyard.client.progress import (
    Change,
    Progress,
    State,
    asked_for,
    model_fraction,
    moving_steps,
    stage_blocker,
    stage_change,
)
from tests.cli.objects import (
    ASKED,
    DONE,
    GATED,
    NEW,
    SYNCED,
    before,
    condition,
    gate_of,
    held,
    judged,
    model,
    progressing,
    ready,
    served,
    stalled,
    steps,
)

V3 = Change("production", "v3", 3)
STARTING = {"reason": "Promoting", "message": "v3 is starting next to v2."}
REJECTED = {"reason": "ServingFailed", "message": "v3 was rejected.", "needsAction": True}
MOVING = held(
    "v2",
    before(hours=3),
    desired="v3",
    candidate=served("v3", NEW),
    steps=steps("Done", "Active"),
    blocked=STARTING,
)
EFFECTIVE = held("v3", before(seconds=1))
FOLLOWS = condition("Synced", False, "Promoting", "MLflow is being brought up to date.")
DRIFTED = condition("Synced", False, "Drifted", "Another user moved v1.")
AWAY = condition("Synced", None, "MLflowUnavailable", "MLflow does not answer.")
IN_STAGING = {"reason": "VersionUnknown", "message": "Nothing declares v9.", "needsAction": True}
SERVING = ready("Serving", "production: v3.")


def asked(
    stage: dict[str, Any],
    *,
    synced: dict[str, Any] = SYNCED,
    others: dict[str, Any] | None = None,
    **more: Any,
) -> RegisteredModel:
    """Return a model whose spec wants v3 in production, with this status of the stage."""
    conditions = [*more.pop("conditions", SERVING), synced]
    return model(
        {"production": stage} | (others or {}), conditions=conditions, **({"wanted": "v3"} | more)
    )


STAGES: dict[str, tuple[RegisteredModel, State, str]] = {
    "it is effective and MLflow agrees": (asked(EFFECTIVE), State.DONE, ""),
    "it is effective and drift is only warned of": (
        asked(EFFECTIVE, synced=DRIFTED),
        State.DONE,
        "",
    ),
    "it is effective and another stage is stalled": (
        asked(
            EFFECTIVE,
            others={"staging": {"blocked": IN_STAGING}},
            conditions=stalled("VersionUnknown", "staging: Nothing declares v9."),
        ),
        State.DONE,
        "",
    ),
    "it is effective and the other stage is on its way": (
        asked(EFFECTIVE, conditions=progressing("Promoting", "staging: v9")),
        State.DONE,
        "",
    ),
    "MLflow does not follow yet": (
        asked(EFFECTIVE, synced=FOLLOWS),
        State.UNDER_WAY,
        FOLLOWS["message"],
    ),
    "MLflow is away": (asked(EFFECTIVE, synced=AWAY), State.UNDER_WAY, AWAY["message"]),
    "it is starting": (asked(MOVING), State.UNDER_WAY, STARTING["message"]),
    "it has rejected the version": (
        asked(MOVING | {"blocked": REJECTED, "steps": steps("Failed")}),
        State.FAILED,
        REJECTED["message"],
    ),
    "it is effective and its pods need action": (
        asked(EFFECTIVE | {"blocked": REJECTED}),
        State.FAILED,
        REJECTED["message"],
    ),
    "it is effective and its pods are too few": (
        asked(EFFECTIVE | {"blocked": STARTING}),
        State.UNDER_WAY,
        STARTING["message"],
    ),
    "a step says what it waits for": (
        asked(
            MOVING
            | {"blocked": None, "steps": steps("Done", "Active", detail="1 of 2 pods are ready")}
        ),
        State.UNDER_WAY,
        "1 of 2 pods are ready",
    ),
    "the status is of an older spec": (asked(EFFECTIVE, observed=2), State.UNOBSERVED, ""),
    "the read is older than the write": (
        asked(EFFECTIVE, generation=2, observed=2),
        State.UNOBSERVED,
        "",
    ),
    "the read is older than the write, and asks for another version": (
        asked(held("v2", before(hours=1)), generation=2, observed=2, wanted="v2"),
        State.UNOBSERVED,
        "",
    ),
    "the stage's status is of the change before, which was blocked": (
        asked(held("v2", before(hours=1), blocked=REJECTED)),
        State.UNDER_WAY,
        "",
    ),
    "the stage has no status yet": (model({}, wanted="v3"), State.UNDER_WAY, ""),
    "the model's name is taken": (
        asked(MOVING, conditions=stalled("NameTaken", "It is another's.")),
        State.FAILED,
        "It is another's.",
    ),
    "the model's name is taken, and another stage needs action for another reason": (
        asked(
            MOVING,
            others={"staging": {"blocked": IN_STAGING}},
            conditions=stalled("NameTaken", "It is another's."),
        ),
        State.FAILED,
        "It is another's.",
    ),
    "the namespace has no connection": (
        asked(MOVING, conditions=stalled("ConnectionMissing", "Create the Secret.")),
        State.FAILED,
        "Create the Secret.",
    ),
    "another stage's reason stalls the model": (
        asked(
            MOVING,
            others={"staging": {"blocked": IN_STAGING}},
            conditions=stalled("VersionUnknown", "production: not this one"),
        ),
        State.UNDER_WAY,
        STARTING["message"],
    ),
    "another user has asked for another version": (
        asked(MOVING, wanted="v1"),
        State.SUPERSEDED,
        "Another user has since asked for v1.",
    ),
    "another user has cleared the stage": (
        asked(MOVING, wanted=None),
        State.SUPERSEDED,
        "Another user has since asked for no version.",
    ),
    "another user has asked for another version, which the operator has not observed": (
        asked(MOVING, wanted="v1", generation=4, observed=2),
        State.SUPERSEDED,
        "Another user has since asked for v1.",
    ),
    "another user has removed the stage": (
        asked(MOVING, spec_stages={"staging": {}}),
        State.SUPERSEDED,
        "Another user has since asked for no version.",
    ),
}


@pytest.mark.parametrize("name", STAGES)
def test_the_progress_of_a_change(name: str):
    there, state, message = STAGES[name]
    found = stage_change(there, V3)
    assert found.state is state
    assert message in found.message
    assert (found.message == "") == (message == "" and state is not State.UNOBSERVED)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("it has rejected the version", "ServingFailed"),
        ("the model's name is taken", "NameTaken"),
        ("another user has asked for another version", "Superseded"),
    ],
)
def test_a_failed_or_superseded_change_is_an_error_with_its_reason(name: str, reason: str):
    there, _, message = STAGES[name]
    failed = stage_change(there, V3).failure("production of risk/fraud")
    assert failed is not None
    assert (failed.reason, failed.message) == (reason, message)
    assert str(failed).startswith(f"production of risk/fraud: {reason}: ")


def test_a_change_under_way_or_done_is_no_error():
    assert stage_change(asked(EFFECTIVE), V3).failure("") is None
    assert stage_change(asked(MOVING), V3).failure("") is None
    assert stage_change(asked(EFFECTIVE, observed=2), V3).failure("") is None


# --- gates ----------------------------------------------------------------------------------------
PENDING = {"reason": "GatesPending", "message": "v3 waits for its gates."}
PASS, OPEN, ERROR = (
    gate_of(name, verdict, "")
    for name, verdict in (("quality", "Pass"), ("soaked", "Pending"), ("quality", "Error"))
)
GATED_STEPS = steps("Done", "Waiting", detail="1 of 2 pass", names=GATED)
STARTED = steps("Done", "Done", "Active", names=GATED)


def gated(*gates: dict[str, Any], about: str = "v3", **more: Any) -> RegisteredModel:
    stage = held(
        "v2",
        before(hours=3),
        desired="v3",
        steps=GATED_STEPS,
        blocked=PENDING,
        **judged(about, *gates),
    )
    return asked(stage | more, spec_stages=ASKED)


@pytest.mark.parametrize(
    ("there", "waits"),
    [
        (gated(PASS, OPEN), True),
        (gated(ERROR, OPEN), False),
        (gated(gate_of("soaked", "Error", "")), False),
        (gated(PASS), False),
        (gated(OPEN, about="v2"), False),
        (gated(gate_of("answers", "Pending", "the Job runs")), False),
        (gated(PASS, OPEN, steps=STARTED), False),
        (gated(blocked=STARTING), False),
        (gated(blocked={"reason": "WaitingForStage", "message": "v3 has not held staging."}), True),
        (gated(blocked={"reason": "Frozen", "message": "v3 waits: the stage is frozen."}), True),
        (
            gated(blocked={"reason": "WaitingForVersion", "message": "v3 is being registered."}),
            False,
        ),
    ],
    ids=str,
)
def test_whether_a_change_waits_for_a_user_or_another_stage(there: RegisteredModel, waits: bool):
    found = stage_change(there, V3)
    assert (found.state, found.waits_for_others) == (State.UNDER_WAY, waits)


def test_gates_are_those_of_the_desired_version():
    found = stage_change(gated(PASS, OPEN), V3).gates
    assert found is not None
    assert (found.version, found.summary, [gate.name for gate in found.open]) == (
        "v3",
        "1 of 2 pass v3",
        ["soaked"],
    )
    assert stage_change(gated(PASS, about="v2"), V3).gates is None
    assert stage_change(gated(), V3).gates is None


# --- clearing -------------------------------------------------------------------------------------
CLEAR = Change("production", None, 3)


@pytest.mark.parametrize(
    ("stage", "synced", "state"),
    [
        ({}, SYNCED, State.DONE),
        (None, SYNCED, State.DONE),
        ({}, FOLLOWS, State.UNDER_WAY),
        (held("v2", before(hours=1)), SYNCED, State.UNDER_WAY),
        (held("v2", before(hours=1), desired=None), SYNCED, State.UNDER_WAY),
    ],
)
def test_the_progress_of_a_clearing(
    stage: dict[str, Any] | None, synced: dict[str, Any], state: State
):
    stages = {} if stage is None else {"production": stage}
    there = model(stages, wanted=None, conditions=[*ready("Registered", ""), synced])
    assert stage_change(there, CLEAR).state is state


# --- a refresh ------------------------------------------------------------------------------------
REFRESH = Change("production", "v2", 3, attempt=2)


@pytest.mark.parametrize(
    ("asked_attempt", "more", "state"),
    [
        (2, {"attempt": 1}, State.UNDER_WAY),
        (2, {"attempt": 1, "candidate": served("v2", NEW)}, State.UNDER_WAY),
        (2, {"attempt": 2, "candidate": served("v2", NEW)}, State.UNDER_WAY),
        (2, {"attempt": 2}, State.DONE),
        (3, {"attempt": 3}, State.DONE),
        (1, {"attempt": 1}, State.SUPERSEDED),
        (2, {"attempt": 1, "blocked": REJECTED}, State.FAILED),
    ],
)
def test_the_progress_of_a_refresh(asked_attempt: int, more: dict[str, Any], state: State):
    stages = {"production": {"version": "v2", "attempt": asked_attempt}}
    there = model({"production": held("v2", before(hours=3), **more)}, spec_stages=stages)
    assert stage_change(there, REFRESH).state is state


# --- for displays ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("there", "fraction"),
    [
        (asked(EFFECTIVE), 1.0),
        (asked(EFFECTIVE, synced=FOLLOWS), 0.8),
        (asked(MOVING), 0.2),
        (asked(MOVING | {"steps": steps("Done", "Done", "Active")}), 0.4),
        (asked(EFFECTIVE, observed=2), 0.0),
        (model({}, wanted="v3"), 0.0),
    ],
)
def test_the_progress_fraction_of_a_change(there: RegisteredModel, fraction: float):
    assert stage_change(there, V3).fraction == pytest.approx(fraction)
    assert model_fraction(there) == pytest.approx(fraction)


def test_a_model_s_fraction_is_that_of_its_slowest_stage_and_none_without_versions():
    both = {"production": {"version": "v3"}, "staging": {"version": "v1"}}
    assert model_fraction(
        asked(MOVING, spec_stages=both, others={"staging": held("v1", before(hours=1))})
    ) == pytest.approx(0.2)
    assert model_fraction(model({}, spec_stages={})) is None
    assert model_fraction(model({}, wanted=None)) is None


def test_the_current_step_of_a_change():
    found = stage_change(asked(MOVING), V3)
    assert found.step is not None
    assert (found.step.name, [step.state for step in found.steps]) == (
        "start",
        ["Done", "Active", "Waiting", "Waiting"],
    )
    assert Progress(State.DONE, steps=stage_change(asked(EFFECTIVE), V3).steps).step is None


def test_steps_and_blocker_are_shown_for_the_present_change_only():
    assert [step.name for step in moving_steps(asked(MOVING), "production")] == [
        "admit",
        "start",
        "switch",
        "record",
    ]
    assert moving_steps(asked(EFFECTIVE | {"steps": DONE}), "production") == ()
    assert moving_steps(asked(MOVING, observed=2), "production") == ()
    blocker = stage_blocker(asked(MOVING), "production")
    assert blocker is not None
    assert blocker.message == STARTING["message"]
    for there in (
        asked(MOVING, observed=2),
        asked(MOVING, wanted="v1"),
        asked(EFFECTIVE),
        model({}, wanted="v3"),
    ):
        assert stage_blocker(there, "production") is None


def test_the_desired_change_is_that_of_the_spec():
    there = model(spec_stages={"production": {"version": "v2", "attempt": 4}})
    assert asked_for(there, "production") == Change("production", "v2", 3, 4)
    assert asked_for(there, "canary") == Change("canary", None, 3, 0)


# --- overrides ------------------------------------------------------------------------------------
OVERRIDE = {"version": "v2", "reason": "incident 4711", "until": "2030-01-01T00:00:00Z"}
IN_FORCE = held(
    "v2",
    before(hours=1),
    override={"version": "v2", "sinceTime": before(hours=1), "untilTime": "2030-01-01T00:00:00Z"},
)
ENDED = IN_FORCE | {
    "blocked": {
        "reason": "OverrideEnded",
        "message": "The override ended, and v2 is still serving.",
        "needsAction": True,
    }
}


def overridden(stage: dict[str, Any], wanted: str | None = "v3") -> RegisteredModel:
    return model(
        {"production": stage},
        spec_stages={"production": {"version": wanted, "override": OVERRIDE}},
        conditions=[*SERVING, SYNCED],
    )


@pytest.mark.parametrize("wanted", ["v2", "v3", None])
def test_an_override_in_force_decides_the_desired_version(wanted: str | None):
    there = overridden(IN_FORCE, wanted)
    assert asked_for(there, "production").version == "v2"
    assert stage_change(there, asked_for(there, "production")).state is State.DONE
    assert (
        moving_steps(there, "production"),
        stage_blocker(there, "production"),
        model_fraction(there),
    ) == ((), None, 1.0)


def test_a_version_that_an_override_blocks_is_superseded_or_failed():
    found = stage_change(overridden(IN_FORCE), V3)
    assert (found.state, found.reason) == (State.SUPERSEDED, "Superseded")
    assert (
        found.message
        == "An override gives the stage to v2 until 2030-01-01 00:00 UTC; until then spec.version"
        " decides nothing."
    )
    found = stage_change(overridden(ENDED), V3)
    assert (found.state, found.reason, found.message) == (
        State.FAILED,
        "OverrideEnded",
        "The override ended, and v2 is still serving.",
    )
    assert stage_blocker(overridden(ENDED), "production") is not None
    assert (
        stage_change(overridden(ENDED), asked_for(overridden(ENDED), "production")).state
        is State.FAILED
    )


def test_a_change_not_yet_observed_is_not_judged_by_an_earlier_override():
    there = overridden(IN_FORCE)
    later = there.model_copy(
        update={"metadata": there.metadata.model_copy(update={"generation": 4})}
    )
    assert stage_change(later, Change("production", "v3", 4)).state is State.UNOBSERVED
