"""resume, abort, and a promotion that is followed through its rollout, against a real API
server.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Person
from tests.cli.served import TIME, held, runtime, serves
from tests.client.side import Side
from tests.harness import Manifest, until

VIEW = [
    {
        "apiGroups": ["modelyard.io"],
        "resources": ["registeredmodels"],
        "verbs": ["get", "list", "watch"],
    }
]
STEPS = [{"weight": 5}, {"hold": "30m"}, {"pause": {}}, {"weight": 50}]
COUNTED = {
    "stable": {"requests": 9120, "failures": 3},
    "candidate": {"requests": 480, "failures": 0},
}
HOLDS = (
    "v1 gets 5 % of the requests (step 2 of 5, hold 30m), and v2 the others. The step holds until"
    " 2100-01-01 00:00:00 UTC."
)
PAUSED = "v1 gets 5 % of the requests (step 3 of 5, pause), and v2 the others. It is paused."
FAILS = (
    "v1 was rejected, and v2 is still serving. errors: Fail. 19 of 240 candidate requests failed, 4"
    " of 23,760 stable."
)


@pytest.fixture
def stepped(side: Side, fraud: Manifest) -> None:
    """Create the model fraud, whose production rolls out in steps."""
    stage = {"rollout": {"strategy": "Canary", "steps": STEPS}}
    side.patch("RegisteredModel", "fraud", {"spec": {"stages": {"production": stage}}})
    serves(side, "v2")


def is_asked(side: Side, **what: Any) -> bool:
    stage = side.get("RegisteredModel", "fraud")["spec"]["stages"]["production"]
    return what.items() <= (stage | {"resumed": stage["rollout"].get("resumed", 0)}).items()


def at(side: Side, index: int, reason: str, message: str, **more: Any) -> None:
    """Write the operator's status while v1 is at a step."""
    rollout = {
        "stepsHash": "0",
        "index": index,
        "sinceTime": TIME,
        "weight": 5,
        "appliedBy": 1,
        "of": 1,
    } | COUNTED
    steps = [{"name": name, "state": "Done"} for name in ("admit", "start")]
    steps.append(
        {
            "name": "rollout",
            "state": "Waiting" if reason == "RolloutPaused" else "Active",
            "detail": "weight 5",
        }
    )
    stage = {
        "desired": "v1",
        "candidate": {"version": "v1", "digest": "sha256:" + "1" * 64, "runtime": runtime()},
        "steps": steps,
        "blocked": {"reason": reason, "message": message, "needsAction": False},
        "rollout": rollout,
    }
    side.status(
        "RegisteredModel",
        "fraud",
        reason,
        "production: in other words",
        stages=held("v2", **(stage | more)),
    )


def ended(side: Side, version: str, **more: Any) -> None:
    serves(
        side,
        version,
        stages=held(version, **({"candidate": None, "rollout": None, "steps": []} | more)),
    )


def test_a_promotion_is_followed_through_its_steps_to_its_end(
    side: Side, person: Person, stepped: None
):
    process = person.begins("promote", "fraud", "v1", "--to", "production")
    until(lambda: is_asked(side, version="v1"), "v1 is asked for")
    at(side, 1, "RollingOut", HOLDS)
    assert process.stdout is not None
    told = [process.stdout.readline()]
    while told[-1] and "The step holds" not in told[-1]:
        told.append(process.stdout.readline())
    assert told[-1] == f"production: {HOLDS}\n"
    ended(side, "v1")
    out, err = process.communicate(timeout=240)
    assert (process.returncode, out.splitlines()[-1]) == (0, "production holds v1."), err


def test_a_promotion_ends_at_a_pause_and_says_so_and_with_a_timeout_it_waits(
    side: Side, person: Person, stepped: None
):
    def operator(there: Side) -> None:
        until(lambda: is_asked(there, version="v1"), "v1 is asked for")
        at(there, 2, "RolloutPaused", PAUSED)

    with side.meanwhile("RegisteredModel", "fraud", operator):
        done = person.says("promote", "fraud", "v1", "--to", "production")
    assert done.returncode == 6
    assert (
        f"production of {side.namespace}/fraud: RolloutPaused: {PAUSED} It keeps its weight until"
        " then." in done.stderr
    )
    waiting = person.says("promote", "fraud", "v1", "--to", "production", "--timeout", "2")
    assert waiting.returncode == 6
    assert f"production: {PAUSED}\n" in waiting.stdout, "it is said, and not waited for in silence"
    assert "Timed out after 2 s" in waiting.stderr


def test_ctrl_c_leaves_the_rollout_running(side: Side, person: Person, stepped: None):
    process = person.begins("promote", "fraud", "v1", "--to", "production")
    until(lambda: is_asked(side, version="v1"), "v1 is asked for")
    at(side, 1, "RollingOut", HOLDS)
    assert process.stdout is not None
    while "The step holds" not in (line := process.stdout.readline()):
        assert line, "it ended"
    code, out, _ = person.interrupts(process)
    assert code == 130
    assert f"status fraud --watch -n {side.namespace}" in out
    assert is_asked(side, version="v1")


def test_a_rollout_that_its_analysis_stops_ends_with_the_figures(
    side: Side, person: Person, stepped: None
):
    def operator(there: Side) -> None:
        until(lambda: is_asked(there, version="v1"), "v1 is asked for")
        blocked = {"reason": "RolloutFailed", "message": FAILS, "needsAction": True}
        there.status(
            "RegisteredModel",
            "fraud",
            "RolloutFailed",
            ready=False,
            stages=held("v2", desired="v1", blocked=blocked),
        )

    with side.meanwhile("RegisteredModel", "fraud", operator):
        done = person.says("promote", "fraud", "v1", "--to", "production")
    assert (done.returncode, done.stderr) == (
        1,
        f"Error: production of {side.namespace}/fraud: RolloutFailed: {FAILS}\n",
    )


# --- resume ---------------------------------------------------------------------------------------
def test_a_resume_is_one_patch_and_is_followed(side: Side, person: Person, stepped: None):
    side.patch("RegisteredModel", "fraud", {"spec": {"stages": {"production": {"version": "v1"}}}})
    at(side, 1, "RollingOut", HOLDS)
    refused = person.says("resume", "fraud", "--stage", "production")
    assert refused.returncode == 1
    assert "v1 is at step 2 of 5: hold 30m, which is no pause." in refused.stderr
    at(side, 2, "RolloutPaused", PAUSED)
    assert "nothing was changed" in person.sees(
        "resume", "fraud", "--stage", "production", "--dry-run"
    )
    assert is_asked(side, resumed=0)

    def operator(there: Side) -> None:
        until(lambda: is_asked(there, resumed=1), "it is resumed")
        ended(there, "v1")

    with side.meanwhile("RegisteredModel", "fraud", operator):
        seen = person.sees("resume", "fraud", "--stage", "production").splitlines()
    assert (
        seen[0] == f"{side.namespace}/fraud  production: v2 → v1 continues after step 3 of 5: pause"
    )
    assert seen[1].split()[1:] == ["5%", "v1", "applied", "by", "1/1", "pods"]
    assert seen[2:4] == [
        "  v2  9,120 requests, 3 failed (0.033 %)",
        "  v1  480 requests, none failed",
    ]
    assert seen[-1] == "production holds v1."
    assert person.says("resume", "fraud", "--stage", "prod").returncode == 3


# --- output ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("command", ["resume", "abort"])
def test_nothing_is_printed_before_the_api_server_accepts(
    side: Side, person: Person, stepped: None, tmp_path: Path, command: str
):
    side.user("vera", VIEW, tmp_path)
    side.patch("RegisteredModel", "fraud", {"spec": {"stages": {"production": {"version": "v1"}}}})
    at(side, 2, "RolloutPaused", PAUSED)
    vera = f"system:serviceaccount:{side.namespace}:vera"
    done = person.says(command, "fraud", "--stage", "production", "--as", vera)
    assert (done.returncode, done.stdout) == (4, "")
    assert "vera may not patch registeredmodels" in done.stderr


def test_a_rollback_at_a_pause_names_the_abandoned_candidate(
    side: Side, person: Person, stepped: None
):
    side.patch("RegisteredModel", "fraud", {"spec": {"stages": {"production": {"version": "v1"}}}})
    at(side, 2, "RolloutPaused", PAUSED)
    seen = person.sees("rollback", "fraud", "--stage", "production", "--no-wait")
    first = "Back to v2: it is still effective, and v1 is given up at step 3 of 5: pause.\n"
    assert seen.startswith(first)
    assert is_asked(side, version="v2")


# --- abort ----------------------------------------------------------------------------------------
def test_an_abort_sets_the_version_back_and_is_followed_until_nothing_is_left(
    side: Side, person: Person, stepped: None
):
    side.patch(
        "RegisteredModel",
        "fraud",
        {"spec": {"stages": {"production": {"version": "v1", "reason": "better"}}}},
    )
    at(side, 1, "RollingOut", HOLDS)

    def operator(there: Side) -> None:
        until(lambda: is_asked(there, version="v2"), "it is given up")
        ended(there, "v2")

    with side.meanwhile("RegisteredModel", "fraud", operator):
        seen = person.sees("abort", "fraud", "--stage", "production").splitlines()
    assert seen[0] == f"{side.namespace}/fraud  production: v1 is given up, and v2 keeps the stage"
    assert seen[-1] == "production holds v2."
    assert "reason" not in side.get("RegisteredModel", "fraud")["spec"]["stages"]["production"]
    again = person.says("abort", "fraud", "--stage", "production")
    assert again.returncode == 1
    assert "There is nothing to abort in production" in again.stderr


def test_an_abort_sets_the_requester_in_a_stage_with_approvals(
    side: Side, person: Person, stepped: None
):
    approved = {
        "version": "v1",
        "requestedBy": "rita",
        "gates": [{"name": "approved", "approvals": {}}],
    }
    side.patch("RegisteredModel", "fraud", {"spec": {"stages": {"production": approved}}})
    at(side, 1, "RollingOut", HOLDS)
    seen = person.sees(
        "abort", "fraud", "--stage", "production", "--no-wait", "--reason", "rather tomorrow"
    )
    assert "Requested. To watch it:" in seen
    assert is_asked(side, version="v2", requestedBy="admin", reason="rather tomorrow")


def test_an_abort_that_another_user_supersedes_ends_at_once(
    side: Side, person: Person, stepped: None
):
    def other(there: Side) -> None:
        until(lambda: is_asked(there, version="v1"), "v1 is asked for")
        at(there, 1, "RollingOut", HOLDS)
        there.patch(
            "RegisteredModel", "fraud", {"spec": {"stages": {"production": {"version": "v2"}}}}
        )

    with side.meanwhile("RegisteredModel", "fraud", other):
        done = person.says("promote", "fraud", "v1", "--to", "production")
    assert (done.returncode, "Superseded: Another user has since asked for v2." in done.stderr) == (
        1,
        True,
    )
