"""promote, rollback, retry and refresh against a real API server: one patch each, followed to
its end.
"""

import json
from typing import Any

import pytest

from tests.cli.conftest import Person
from tests.cli.served import HISTORY, NEW, OLD, TIME, VERSIONS, held, registered, runtime, serves
from tests.client.side import Side
from tests.harness import Manifest, until


# --- promoting ------------------------------------------------------------------------------------
def asked_for(side: Side, version: str) -> bool:
    return bool(
        side.get("RegisteredModel", "fraud")["spec"]["stages"]["production"]["version"] == version
    )


def test_a_promotion_is_one_patch_and_is_followed_to_its_end(
    side: Side, person: Person, fraud: Manifest
):
    def operator(there: Side) -> None:
        until(lambda: asked_for(there, "v1"), "v1 is asked for")
        serves(there, "v1")

    with side.meanwhile("RegisteredModel", "fraud", operator):
        done = person.says(
            "promote", "fraud", "v1", "--to", "production", "--reason", "v2 is too slow"
        )
    assert done.returncode == 0, done.stderr
    assert f"{side.namespace}/fraud  production: v2 → v1" in done.stdout
    assert done.stdout.splitlines()[-1] == "production holds v1."
    after = side.get("RegisteredModel", "fraud")
    assert after["spec"]["stages"]["production"]["reason"] == "v2 is too slow"
    assert after["metadata"]["generation"] == fraud["metadata"]["generation"] + 1


def test_a_rejected_promotion_ends_with_its_reason(side: Side, person: Person, fraud: Manifest):
    def operator(there: Side) -> None:
        until(lambda: asked_for(there, "v1"), "v1 is asked for")
        blocked = {
            "reason": "ServingFailed",
            "message": "v1 was rejected, and v2 is still serving.",
            "needsAction": True,
        }
        stages = held("v2", desired="v1", blocked=blocked)
        there.status(
            "RegisteredModel",
            "fraud",
            "ServingFailed",
            "production: in other words",
            ready=False,
            stages=stages,
        )

    with side.meanwhile("RegisteredModel", "fraud", operator):
        done = person.says("promote", "fraud", "v1", "--to", "production")
    assert done.returncode == 1
    assert (
        done.stderr
        == f"Error: production of {side.namespace}/fraud: ServingFailed: v1 was rejected, and v2 is"
        " still serving.\n"
    )


def test_the_steps_of_a_promotion_are_printed(side: Side, person: Person, fraud: Manifest):
    process = person.begins("promote", "fraud", "v1", "--to", "production")
    until(lambda: asked_for(side, "v1"), "v1 is asked for")
    steps = [
        {"name": "admit", "state": "Done"},
        {"name": "start", "state": "Active", "detail": "0 of 1 pods are ready"},
    ]
    blocked = {
        "reason": "Promoting",
        "message": "v1 is starting next to v2, which is still serving.",
    }
    side.status(
        "RegisteredModel",
        "fraud",
        "Promoting",
        stages=held("v2", desired="v1", steps=steps, blocked=blocked),
    )
    assert process.stdout is not None
    told = [process.stdout.readline()]
    while told[-1] and "v1 is starting" not in told[-1]:
        told.append(process.stdout.readline())
    assert told[-1] == "production: v1 is starting next to v2, which is still serving.\n"
    serves(side, "v1")
    out, err = process.communicate(timeout=240)
    assert (process.returncode, out.splitlines()[-1]) == (0, "production holds v1."), err


def test_a_change_that_another_user_supersedes_ends_at_once(
    side: Side, person: Person, fraud: Manifest
):
    def other(there: Side) -> None:
        until(lambda: asked_for(there, "v1"), "v1 is asked for")
        there.patch(
            "RegisteredModel", "fraud", {"spec": {"stages": {"production": {"version": "v2"}}}}
        )

    with side.meanwhile("RegisteredModel", "fraud", other):
        done = person.says("promote", "fraud", "v1", "--to", "production")
    assert done.returncode == 1
    assert (
        done.stderr
        == f"Error: production of {side.namespace}/fraud: Superseded: Another user has since asked"
        " for v2.\n"
    )


def test_a_promotion_that_takes_too_long_says_so_and_continues(
    side: Side, person: Person, fraud: Manifest
):
    done = person.says("promote", "fraud", "v1", "--to", "production", "--timeout", "1")
    assert done.returncode == 6
    assert f"status fraud --watch -n {side.namespace}" in done.stderr
    assert asked_for(side, "v1")


def test_a_promotion_that_is_not_waited_for_prints_the_object_for_programs(
    side: Side, person: Person, fraud: Manifest
):
    done = person.says("promote", "fraud", "v1", "--to", "production", "--no-wait", "-o", "json")
    assert json.loads(done.stdout)["spec"]["stages"]["production"]["version"] == "v1"
    assert "Requested." in done.stderr


def test_a_dry_run_changes_nothing(side: Side, person: Person, fraud: Manifest):
    assert "nothing was changed" in person.sees(
        "promote", "fraud", "v1", "--to", "production", "--dry-run"
    )
    assert (
        side.get("RegisteredModel", "fraud")["metadata"]["resourceVersion"]
        == fraud["metadata"]["resourceVersion"]
    )


def test_promoting_the_effective_version_writes_nothing(
    side: Side, person: Person, fraud: Manifest
):
    seen = person.sees("promote", "fraud", "v2", "--to", "production")
    assert (
        seen == f"{side.namespace}/fraud  production: the spec asks for v2 already; nothing was"
        " changed.\n"
        "production holds v2.\n"
    )
    assert (
        side.get("RegisteredModel", "fraud")["metadata"]["resourceVersion"]
        == fraud["metadata"]["resourceVersion"]
    )


def test_a_rollback_goes_to_the_previous_version_and_clears_the_reason_of_the_last_change(
    side: Side, person: Person, fraud: Manifest
):
    side.patch(
        "RegisteredModel", "fraud", {"spec": {"stages": {"production": {"reason": "better"}}}}
    )

    def operator(there: Side) -> None:
        until(lambda: asked_for(there, "v1"), "v1 is asked for")
        serves(there, "v1")

    with side.meanwhile("RegisteredModel", "fraud", operator):
        seen = person.sees("rollback", "fraud", "--stage", "production")
    assert seen.startswith("Back to v1: it was in the stage before.\n")
    assert "reason" not in side.get("RegisteredModel", "fraud")["spec"]["stages"]["production"]


def test_a_rollback_says_whether_the_version_is_warm_and_which_gates_apply_after_its_window(
    side: Side, person: Person, fraud: Manifest
):
    previous = {"version": "v1", "digest": "sha256:" + "1" * 64, "runtime": runtime()}
    known = [each | {"digest": "sha256:" + each["name"][1] * 64} for each in registered("v1", "v2")]
    serves(side, "v2", versions=known, stages=held("v2", previous=previous))
    assert "v1 has no pods: they start first.\n" in person.sees(
        "rollback", "fraud", "--stage", "production", "--dry-run"
    )
    side.patch(
        "RegisteredModel",
        "fraud",
        {"spec": {"stages": {"production": {"rollback": {"window": "1h"}}}}},
    )
    assert (
        "The window of v1 has ended (rollback.window): it is promoted like any other version."
        in person.sees("rollback", "fraud", "--stage", "production", "--dry-run")
    )
    warm = held("v2", previous=previous | {"untilTime": "2100-01-01T00:00:00Z"}, desiredReplicas=1)
    serves(side, "v2", versions=known, stages=warm)
    assert (
        "v1 is warm until 2100-01-01 00:00 UTC: its pods are running, and the switch is immediate."
        in person.sees("rollback", "fraud", "--stage", "production", "--dry-run")
    )
    assert "v1 warm until 2100-01-01 00:00 UTC" in person.sees("status", "fraud")


def test_a_rollback_of_a_change_under_way_keeps_the_effective_version(
    side: Side, person: Person, fraud: Manifest
):
    side.patch("RegisteredModel", "fraud", {"spec": {"stages": {"production": {"version": "v1"}}}})
    assert person.sees("rollback", "fraud", "--stage", "production", "--no-wait").startswith(
        "Back to v2: it is still effective, and v1 is given up.\n"
    )
    assert asked_for(side, "v2")


def test_a_rollback_ends_auto_promote(side: Side, person: Person, fraud: Manifest):
    automatic = {"autoPromote": {"from": "newest"}, "version": None}
    side.patch("RegisteredModel", "fraud", {"spec": {"stages": {"production": automatic}}})
    serves(side, "v2")
    assert "production  v2" in (seen := person.sees("status", "fraud"))
    assert "takes the newest" in seen
    seen = person.sees("rollback", "fraud", "--stage", "production", "--no-wait")
    assert seen.startswith("Back to v1: it was in the stage before.\n")
    assert "\nproduction no longer takes the newest version automatically.\n" in seen
    assert {"version": "v1"}.items() <= side.get("RegisteredModel", "fraud")["spec"]["stages"][
        "production"
    ].items()
    assert "autoPromote" not in side.get("RegisteredModel", "fraud")["spec"]["stages"]["production"]


def test_a_rollback_without_a_previous_version_is_refused(
    side: Side, person: Person, fraud: Manifest
):
    side.patch(
        "RegisteredModel",
        "fraud",
        {"status": {"history": HISTORY[:1], "stages": held("v1", previous=None)}},
        "/status",
    )
    side.patch("RegisteredModel", "fraud", {"spec": {"stages": {"production": {"version": "v1"}}}})
    done = person.says("rollback", "fraud", "--stage", "production")
    assert done.returncode == 3
    assert "name one with --to" in done.stderr


# --- gates ----------------------------------------------------------------------------------------
QUALITY = {"name": "quality", "metric": {"name": "accuracy", "atLeast": "0.9"}}
SOAKED = {"name": "soaked", "soak": {"stage": "staging", "for": "24h"}}


def gated(side: Side) -> None:
    """Give production two gates, and write that the operator has observed it."""
    side.patch(
        "RegisteredModel",
        "fraud",
        {"spec": {"stages": {"staging": {}, "production": {"gates": [QUALITY, SOAKED]}}}},
    )
    serves(side, "v2")


def says(side: Side, blocked: Manifest, *gates: tuple[str, str, str], **more: Any) -> None:
    """Write the operator's status while v1 has not passed its gates."""
    said = [
        {"name": name, "verdict": verdict, "message": message, "time": TIME, "gateHash": "0"}
        for name, verdict, message in gates
    ]
    judged = {"judged": {"version": "v1", "digest": "sha256:" + "1" * 64}, "gates": said}
    steps = [
        {"name": "admit", "state": "Done"},
        {"name": "gates", "state": "Waiting", "detail": "0 of 2 pass"},
    ]
    stages = held("v2", **({"desired": "v1", "steps": steps, "blocked": blocked} | judged | more))
    ready = False if blocked.get("needsAction") else None
    side.status(
        "RegisteredModel",
        "fraud",
        blocked["reason"],
        "production: in other words",
        ready=ready,
        stages=stages,
    )


PENDING = {
    "reason": "GatesPending",
    "message": "v1 waits for its gates. v2 is still serving. soaked: 2h of 24h.",
    "needsAction": False,
}
FAILED = {
    "reason": "GateFailed",
    "message": "v1 was rejected, and v2 is still serving.",
    "needsAction": True,
}
PASSES, SOAKS = ("quality", "Pass", "accuracy is 0.95"), ("soaked", "Pending", "2h of 24h")
FAILS = ("quality", "Fail", "accuracy is 0.8, below 0.9")


def test_a_promotion_that_waits_for_time_ends_and_says_what_it_waits_for_and_how_to_continue(
    side: Side, person: Person, fraud: Manifest
):
    gated(side)

    def operator(there: Side) -> None:
        until(lambda: asked_for(there, "v1"), "v1 is asked for")
        says(there, PENDING, PASSES, SOAKS)

    with side.meanwhile("RegisteredModel", "fraud", operator):
        done = person.says("promote", "fraud", "v1", "--to", "production")
    assert done.returncode == 6
    assert "gates  quality (metric), soaked (soak)" in done.stdout
    assert "production  ✓ quality Pass for v1: accuracy is 0.95\n" in done.stdout
    assert "production  ○ soaked Pending for v1: 2h of 24h\n" in done.stdout
    assert (
        f"production of {side.namespace}/fraud: GatesPending: v1 waits for its gates."
        in done.stderr
    )
    assert f"status fraud --watch -n {side.namespace}" in done.stderr
    assert asked_for(side, "v1"), "it continues"


def test_a_promotion_is_waited_for_as_long_as_the_timeout_says(
    side: Side, person: Person, fraud: Manifest
):
    gated(side)
    process = person.begins("promote", "fraud", "v1", "--to", "production", "--timeout", "120")
    until(lambda: asked_for(side, "v1"), "v1 is asked for")
    says(side, PENDING, PASSES, SOAKS)
    assert process.stdout is not None
    told = [process.stdout.readline()]
    while told[-1] and "waits for its gates" not in told[-1]:
        told.append(process.stdout.readline())
    assert told[-1] == f"production: {PENDING['message']}\n"
    serves(side, "v1")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out.splitlines()[-1]) == (0, "production holds v1."), err


def test_a_gate_that_fails_ends_a_promotion_with_its_verdict(
    side: Side, person: Person, fraud: Manifest
):
    gated(side)

    def operator(there: Side) -> None:
        until(lambda: asked_for(there, "v1"), "v1 is asked for")
        says(there, FAILED, FAILS)

    with side.meanwhile("RegisteredModel", "fraud", operator):
        done = person.says("promote", "fraud", "v1", "--to", "production")
    assert done.returncode == 1
    assert "production  ✗ quality Fail for v1: accuracy is 0.8, below 0.9\n" in done.stdout
    assert (
        done.stderr
        == f"Error: production of {side.namespace}/fraud: GateFailed: v1 was rejected, and v2 is"
        " still serving.\n"
    )


def test_a_rejected_version_is_retried_by_a_command_and_others_are_refused(
    side: Side, person: Person, fraud: Manifest
):
    gated(side)
    refused = person.says("retry", "fraud", "--stage", "production")
    assert refused.returncode == 1
    assert "There is nothing to retry in production" in refused.stderr
    side.patch("RegisteredModel", "fraud", {"spec": {"stages": {"production": {"version": "v1"}}}})
    rejected = {
        "version": "v1",
        "digest": "sha256:" + "1" * 64,
        "specHash": "0",
        "attempt": 0,
        "reason": "GateFailed",
        "time": TIME,
    }
    says(
        side,
        FAILED,
        FAILS,
        rejected=[rejected | {"message": "quality: accuracy is 0.8, below 0.9."}],
    )
    assert "nothing was changed" in person.sees(
        "retry", "fraud", "--stage", "production", "--dry-run"
    )
    assert attempt(side) == 0

    def operator(there: Side) -> None:
        until(lambda: attempt(there) == 1, "another attempt is asked for")
        serves(there, "v1", stages=held("v1", attempt=1))

    with side.meanwhile("RegisteredModel", "fraud", operator):
        done = person.says("retry", "fraud", "--stage", "production")
    assert done.returncode == 0, done.stderr
    first = (
        f"{side.namespace}/fraud  production: trying v1 again, which was rejected:"
        " GateFailed: quality: accuracy is 0.8, below 0.9."
    )
    assert (done.stdout.splitlines()[0], done.stdout.splitlines()[-1]) == (
        first,
        "production holds v1.",
    )


# --- refreshing -----------------------------------------------------------------------------------
def attempt(side: Side, name: str = "fraud") -> int:
    return int(side.get("RegisteredModel", name)["spec"]["stages"]["production"].get("attempt", 0))


def upgraded(side: Side) -> None:
    """Write the status as an operator of the next release does in its first reconcile."""
    serves(side, "v2", operatorRuntime={"image": NEW, "revision": 1})


def test_a_stage_with_the_operators_runtime_is_not_refreshed(
    side: Side, person: Person, fraud: Manifest
):
    seen = person.sees("refresh", "fraud")
    first = (
        f"{side.namespace}/fraud  production: v2 is served with the operator's runtime already,"
        f" {OLD}"
    )
    assert seen == f"{first}\nThere is nothing to refresh; nothing was changed.\n"
    assert attempt(side) == 0


@pytest.mark.parametrize(
    "words", [("fraud",), ("fraud", "--stage", "production"), ("--all",)], ids=" ".join
)
def test_a_refresh_raises_attempt_by_one_and_is_followed_to_its_end(
    side: Side, person: Person, fraud: Manifest, words: tuple[str, ...]
):
    upgraded(side)

    def operator(there: Side) -> None:
        until(lambda: attempt(there) == 1, "a refresh is asked for")
        serves(
            there,
            "v2",
            operatorRuntime={"image": NEW, "revision": 1},
            stages=held("v2", NEW, attempt=1),
        )

    with side.meanwhile("RegisteredModel", "fraud", operator):
        done = person.says("refresh", *words, "--yes")
    assert done.returncode == 0, done.stderr
    first = f"{side.namespace}/fraud  production: v2 is served with {OLD}; the operator's is {NEW}"
    assert (done.stdout.splitlines()[0], done.stdout.splitlines()[-1]) == (
        first,
        f"production of {side.namespace}/fraud is refreshed.",
    )
    assert asked_for(side, "v2")


def test_a_refresh_asks_first_and_needs_a_model_or_all(side: Side, person: Person, fraud: Manifest):
    upgraded(side)
    done = person.says("refresh", "fraud")
    assert done.returncode == 2
    assert "Refresh 1 stage? There is no terminal to confirm this; use --yes." in done.stderr
    for words in ((), ("fraud", "--all"), ("--all", "--stage", "production")):
        wrong = person.says("refresh", *words)
        assert wrong.returncode == 2
        assert "name a MODEL" in wrong.stderr
    assert "nothing was changed" in person.sees("refresh", "fraud", "--dry-run")
    assert person.says("refresh", "fraud", "--stage", "canary", "--yes").returncode == 3
    assert attempt(side) == 0


def test_a_failed_refresh_leaves_the_following_models_unchanged(
    side: Side, person: Person, fraud: Manifest
):
    upgraded(side)
    side.ours(
        "RegisteredModel",
        "later",
        {"versions": VERSIONS, "stages": {"production": {"version": "v2"}}},
    )
    serves(side, "v2", "later", operatorRuntime={"image": NEW, "revision": 1})

    def operator(there: Side) -> None:
        until(lambda: attempt(there) == 1, "a refresh is asked for")
        blocked = {
            "reason": "ServingFailed",
            "message": "v2 was rejected, and v2 is still serving.",
            "needsAction": True,
        }
        there.status(
            "RegisteredModel",
            "fraud",
            "ServingFailed",
            ready=False,
            stages=held("v2", blocked=blocked),
        )

    with side.meanwhile("RegisteredModel", "fraud", operator):
        done = person.says("refresh", "--all", "--yes")
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"Error: production of {side.namespace}/fraud: ServingFailed: v2 was rejected"
    )
    assert attempt(side, "later") == 0
