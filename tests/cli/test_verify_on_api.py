"""`verify` against a real API server: one patch, followed to the verdict that the operator
writes.
"""

from __future__ import annotations

import pytest

from tests.cli.conftest import Person
from tests.cli.served import TIME, held, serves
from tests.client.side import Side
from tests.harness import Manifest, until

LATER = "2026-01-01T00:01:00Z"


def attempt(side: Side) -> int:
    """Return `reverify.attempt` of production."""
    asked = (
        side.get("RegisteredModel", "fraud")["spec"]["stages"]["production"].get("reverify") or {}
    )
    return int(asked.get("attempt", 0))


def says(side: Side, number: int, verdict: str, message: str) -> None:
    """Act as the operator: begin the round, then write a verdict."""
    until(lambda: attempt(side) == number, "it is asked for")
    begun = {"attempt": number, "startTime": TIME, "waiting": "its gates are being asked"}
    serves(side, "v2", stages=held("v2", verification=begun))
    serves(
        side,
        "v2",
        stages=held(
            "v2",
            verification=begun
            | {"waiting": None, "verdict": verdict, "time": LATER, "message": message},
        ),
    )


@pytest.mark.parametrize(
    ("verdict", "code", "last"),
    [
        (
            "Fail",
            1,
            (
                "Error: production of {}/fraud: VerificationFailed: quality: accuracy is 0.8, below"
                " 0.9\n"
            ),
        ),
        ("Pass", 0, "production: v2 is verified.\n"),
    ],
)
def test_verify_ends_with_the_verdict_of_the_gates(
    side: Side, person: Person, fraud: Manifest, verdict: str, code: int, last: str
):
    def operator(there: Side) -> None:
        says(there, 1, verdict, "quality: accuracy is 0.8, below 0.9")

    with side.meanwhile("RegisteredModel", "fraud", operator):
        done = person.says("verify", "fraud", "--stage", "production")
    assert done.returncode == code, done.stderr
    assert done.stdout.startswith(
        f"{side.namespace}/fraud  production: the gates judge v2 again.\n"
    )
    assert (done.stdout + done.stderr).endswith(last.format(side.namespace))
    assert attempt(side) == 1
    assert side.get("RegisteredModel", "fraud")["spec"]["stages"]["production"]["version"] == "v2"


def test_verify_without_waiting_as_a_dry_run_and_after_a_timeout(
    side: Side, person: Person, fraud: Manifest
):
    assert "nothing was changed" in person.sees(
        "verify", "fraud", "--stage", "production", "--dry-run"
    )
    assert attempt(side) == 0
    assert "Requested." in person.sees("verify", "fraud", "-s", "production", "--no-wait")
    assert attempt(side) == 1
    late = person.says("verify", "fraud", "--stage", "production", "--timeout", "1")
    assert (late.returncode, attempt(side)) == (6, 2)
    unknown = person.says("verify", "fraud", "--stage", "prod")
    assert unknown.returncode == 3
