"""promote --plan, --carry-out and --take-back against a real API server, and the same by the
client.
"""

from __future__ import annotations

import json

from modelyard.client.client import Client
from tests.cli.conftest import Person
from tests.cli.served import held, registered, runtime, serves
from tests.client.side import Side
from tests.harness import Manifest, until

PLAN = ("promote", "fraud", "v1", "--to", "production", "--plan")
ROWS = [
    {
        "stage": "production",
        "step": "admit",
        "does": "v1, sha256:111111111111, runs in runtime:1.2.3 (revision 1)",
    },
    {
        "stage": "production",
        "step": "start",
        "does": "2 pods of v1, next to 2 pods of v2, which keep serving",
    },
    {"stage": "staging", "step": "admit", "does": "of another stage"},
]


def asks(side: Side) -> tuple[bool, str | None]:
    spec = side.get("RegisteredModel", "fraud")["spec"]
    return bool(spec.get("dryRun")), spec["stages"]["production"].get("version")


def plans(there: Side, name: str = "fraud") -> None:
    """Write the operator's status with a plan while v1 is effective."""
    until(
        lambda: bool(there.get("RegisteredModel", name)["spec"].get("dryRun")),
        "a plan is asked for",
    )
    candidate = {"version": "v1", "digest": "sha256:" + "1" * 64, "runtime": runtime()}
    blocked = {
        "reason": "Planned",
        "message": "v1 waits: spec.dryRun is true. v2 is still serving.",
    }
    stages = held("v2", desired="v1", candidate=candidate, blocked=blocked)
    there.status(
        "RegisteredModel",
        name,
        "Planned",
        stages=stages,
        plan=ROWS,
        versions=registered("v1", "v2"),
    )


def test_a_plan_is_one_patch_and_is_printed_with_the_commands_that_end_it(
    side: Side, person: Person, fraud: Manifest
):
    with side.meanwhile("RegisteredModel", "fraud", plans):
        seen = person.sees(*PLAN, "--reason", "v2 is too slow")
    assert asks(side) == (True, "v1")
    after = side.get("RegisteredModel", "fraud")
    assert after["metadata"]["generation"] == fraud["metadata"]["generation"] + 1
    assert seen.splitlines()[-7:] == [
        "production: v1 is planned.",
        "STEP   DOES",
        "admit  v1, sha256:111111111111, runs in runtime:1.2.3 (revision 1)",
        "start  2 pods of v1, next to 2 pods of v2, which keep serving",
        "Nothing was done: spec.dryRun holds the change.",
        (
            "  to carry it out  python -m modelyard promote fraud v1 --to production --carry-out -n"
            f" {side.namespace}"
        ),
        (
            "  to take it back  python -m modelyard promote fraud v1 --to production --take-back -n"
            f" {side.namespace}"
        ),
    ]
    again = person.sees(*PLAN)
    assert "v1 is planned already; nothing was changed." in again
    assert (
        side.get("RegisteredModel", "fraud")["metadata"]["resourceVersion"]
        == after["metadata"]["resourceVersion"]
    )


def test_a_plan_is_carried_out_and_followed(side: Side, person: Person, fraud: Manifest):
    with side.meanwhile("RegisteredModel", "fraud", plans):
        person.sees(*PLAN)

    def operator(there: Side) -> None:
        until(lambda: asks(there) == (False, "v1"), "it is carried out")
        serves(there, "v1", plan=[], stages=held("v1", candidate=None))

    with side.meanwhile("RegisteredModel", "fraud", operator):
        seen = person.sees(*PLAN[:-1], "--carry-out")
    assert seen.splitlines()[-1] == "production holds v1."


def test_a_plan_is_taken_back(side: Side, person: Person, fraud: Manifest):
    with side.meanwhile("RegisteredModel", "fraud", plans):
        person.sees(*PLAN)
    assert (
        person.sees(*PLAN[:-1], "--take-back")
        == "production: the plan is taken back; it holds v2.\n"
    )
    assert asks(side) == (False, "v2")


def test_an_impossible_plan_or_carry_out_is_refused_and_nothing_is_written(
    side: Side, person: Person, fraud: Manifest
):
    done = person.says(*PLAN[:-1], "--carry-out")
    assert (done.returncode, "has no plan to promote v1 to production" in done.stderr) == (1, True)
    done = person.says("promote", "fraud", "v2", "--to", "production", "--plan")
    assert (done.returncode, "v2 is already effective in production" in done.stderr) == (1, True)
    assert person.says(*PLAN, "--take-back").returncode == 2
    assert "nothing was changed" in person.sees(*PLAN, "--dry-run")
    side.patch("RegisteredModel", "fraud", {"spec": {"stages": {"production": {"version": "v1"}}}})
    serves(side, "v2", stages=held("v2", desired="v1"))
    done = person.says(*PLAN)
    assert (done.returncode, "is being changed (production: v1)" in done.stderr) == (1, True)
    assert asks(side) == (False, "v1")


def test_a_version_that_cannot_be_promoted_says_how_the_plan_is_taken_back(
    side: Side, person: Person, fraud: Manifest
):
    def operator(there: Side) -> None:
        until(lambda: asks(there) == (True, "v1"), "a plan is asked for")
        blocked = {
            "reason": "GateFailed",
            "message": "v1 was rejected, and v2 is still serving.",
            "needsAction": True,
        }
        there.status(
            "RegisteredModel",
            "fraud",
            "GateFailed",
            ready=False,
            stages=held("v2", desired="v1", blocked=blocked),
        )

    with side.meanwhile("RegisteredModel", "fraud", operator):
        done = person.says(*PLAN)
    assert (done.returncode, "v1 was rejected" in done.stderr) == (1, True)
    assert (
        "To take it back: python -m modelyard promote fraud v1 --to production --take-back -n"
        f" {side.namespace}" in done.stdout
    )
    assert (
        person.sees(*PLAN[:-1], "--take-back")
        == "production: the plan is taken back; it holds v2.\n"
    )


def test_an_ordinary_promotion_waits_until_dry_run_is_removed(
    side: Side, person: Person, fraud: Manifest
):
    with side.meanwhile("RegisteredModel", "fraud", plans):
        person.sees(*PLAN)
    done = person.says(*PLAN[:-1])
    assert (done.returncode, "Planned: v1 waits: spec.dryRun is true." in done.stderr) == (6, True)


def test_the_status_shows_a_plan(side: Side, person: Person, fraud: Manifest):
    with side.meanwhile("RegisteredModel", "fraud", plans):
        assert json.loads(person.sees(*PLAN, "-o", "json"))["spec"]["dryRun"] is True
    seen = person.sees("status", "fraud")
    assert "dryRun: changes of versions are only planned" in seen
    assert "start  2 pods of v1, next to 2 pods of v2" in seen


def test_a_notebook_plans_shows_carries_out_and_takes_back(side: Side, fraud: Manifest):
    with Client(side.namespace, kubeconfig=str(side.server.kubeconfig)) as client:
        with side.meanwhile("RegisteredModel", "fraud", plans):
            plan = client.models.plan("fraud", "v1", "production")
        assert [row.step for row in plan.steps] == ["admit", "start"]
        assert repr(plan).splitlines() == [
            f"Plan of {side.namespace}/fraud, production: v2 → v1",
            "STEP   DOES",
            "admit  v1, sha256:111111111111, runs in runtime:1.2.3 (revision 1)",
            "start  2 pods of v1, next to 2 pods of v2, which keep serving",
            "Nothing is done yet: .carry_out() does it, .take_back() drops it.",
        ]
        html = plan._repr_html_()
        assert "next to 2 pods of v2" in html
        assert "plan of production" in client.models.get("fraud")._repr_html_()
        plan.take_back()
        assert asks(side) == (False, "v2")
        serves(side, "v2", plan=[], stages=held("v2", candidate=None))
        with side.meanwhile("RegisteredModel", "fraud", plans):
            plan = client.models.plan("fraud", "v1", "production")

        def operator(there: Side) -> None:
            until(lambda: asks(there) == (False, "v1"), "it is carried out")
            serves(there, "v1", plan=[], stages=held("v1", candidate=None))

        with side.meanwhile("RegisteredModel", "fraud", operator):
            assert plan.carry_out().stages()["production"] == "v1"
