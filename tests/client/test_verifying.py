"""A verification: its patch, its progress and its text."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.client.client import Client
from modelyard.client.errors import Failed, NotFound, Refused
from modelyard.client.progress import State
from modelyard.client.verifying import Verify, patch, verification_progress, verification_text
from tests.cli.objects import NOW, QUALITY, before, condition, held, model, ready
from tests.client.side import Side
from tests.harness import until

EARLIER, SINCE = before(hours=3), before(minutes=2)
PASS = {
    "attempt": 1,
    "startTime": EARLIER,
    "verdict": "Pass",
    "time": EARLIER,
    "message": "quality: accuracy is 0.95",
}
FAIL = PASS | {"verdict": "Fail", "message": "quality: accuracy is 0.8, below 0.9"}
ASKED = Verify("production", "v2", 1, 3)
NOTHING = condition(
    "Verified", None, "NothingToVerify", "reverify of production asks nothing: add a gate."
)


def serving(
    verification: dict[str, Any] | None = None, *, asks: dict[str, Any] | None = None, **more: Any
) -> Any:
    """Return a model with v2 effective in production, whose spec has `reverify` unless it is
    None.
    """
    spec = {"version": "v2"} | ({"reverify": asks} if asks is not None else {})
    stage = held(
        "v2",
        before(days=1),
        **({"verification": verification} if verification else {}) | more.pop("stage", {}),
    )
    return model(
        {"production": stage},
        spec_stages={"production": spec, "staging": {"version": None}},
        **more,
    )


@pytest.mark.parametrize(
    ("asks", "known", "attempt"),
    [
        (None, None, 1),
        ({"every": "24h"}, None, 1),
        ({"attempt": 3}, None, 4),
        ({"attempt": 1}, PASS | {"attempt": 6}, 7),
    ],
)
def test_the_attempt_is_raised_above_the_spec_s_and_the_status_s(
    asks: Any, known: Any, attempt: int
):
    asked, found = patch(serving(known, asks=asks), "production")
    assert found == {"spec": {"stages": {"production": {"reverify": {"attempt": attempt}}}}}
    assert (asked.stage, asked.version, asked.attempt) == ("production", "v2", attempt)


def test_a_stage_that_is_empty_or_missing_is_refused():
    with pytest.raises(Refused, match="no version is effective there"):
        patch(serving(), "staging")
    with pytest.raises(NotFound, match="has no stage prod"):
        patch(serving(), "prod")


OVERRIDE = {"version": "v2", "sinceTime": EARLIER, "untilTime": EARLIER}


@pytest.mark.parametrize(
    ("there", "state", "words"),
    [
        (serving(PASS, asks={"attempt": 1}, generation=2), State.UNOBSERVED, "not observed"),
        (serving(PASS, asks={"attempt": 1}, observed=2), State.UNOBSERVED, "not observed"),
        (serving(PASS, asks={"attempt": 0}), State.SUPERSEDED, "set reverify.attempt back"),
        (serving(PASS), State.SUPERSEDED, "set reverify.attempt back"),
        (serving(PASS | {"attempt": 0}, asks={"attempt": 1}), State.UNDER_WAY, "it has not begun"),
        (serving(asks={"attempt": 1}), State.UNDER_WAY, "it has not begun"),
        (
            serving(asks={"attempt": 1}, stage={"override": OVERRIDE}),
            State.UNDER_WAY,
            "an override is in force until",
        ),
        (
            serving(asks={"attempt": 1}, conditions=[*ready("Serving", ""), NOTHING]),
            State.FAILED,
            "add a gate",
        ),
        (
            serving(
                PASS | {"startTime": SINCE, "waiting": "answers: its Job runs"}, asks={"attempt": 1}
            ),
            State.UNDER_WAY,
            "its Job runs",
        ),
        (
            serving(PASS | {"startTime": SINCE}, asks={"attempt": 1}),
            State.UNDER_WAY,
            "it has not begun",
        ),  # an override ended the round
        (serving(PASS, asks={"attempt": 1}), State.DONE, "accuracy is 0.95"),
        (
            serving(PASS, asks={"attempt": 4}),
            State.DONE,
            "accuracy is 0.95",
        ),  # another user has asked once more
        (serving(FAIL, asks={"attempt": 1}), State.FAILED, "below 0.9"),
        (
            serving(
                FAIL, asks={"attempt": 1}, stage={"version": "v1", "verification": {"attempt": 1}}
            ),
            State.SUPERSEDED,
            "v1 is effective",
        ),
    ],
)
def test_the_progress_of_a_verification(there: Any, state: State, words: str):
    found = verification_progress(there, ASKED)
    assert (found.state, words in found.message) == (state, True), found


@pytest.mark.parametrize(
    ("known", "words", "tone"),
    [
        (None, "not verified yet", "quiet"),
        (PASS, "verified 3h ago", "good"),
        (FAIL, "NOT verified, 3h ago: quality: accuracy is 0.8, below 0.9", "bad"),
        (
            PASS | {"startTime": SINCE, "waiting": "answers: its Job runs"},
            "verified 3h ago; asked again 2m ago: answers: its Job runs",
            "busy",
        ),
    ],
)
def test_the_text_has_the_last_verdict_and_the_present_round(known: Any, words: str, tone: str):
    found = verification_text(serving(known, asks={"every": "24h"}), "production", NOW)
    assert found is not None
    assert (found.words, found.tone) == (words, tone)


def test_there_is_no_text_without_reverify_or_an_effective_version():
    assert verification_text(serving(PASS), "production", NOW) is None
    assert verification_text(serving(asks={"every": "24h"}), "staging", NOW) is None


# --- on a real API server -------------------------------------------------------------------------
def test_verify_raises_a_failed_gate_with_its_message_and_does_not_wait_with_seconds_0(side: Side):
    stages = {"production": {"version": "v1", "gates": [QUALITY]}}
    side.ours("RegisteredModel", "verified", {"stages": stages, "versions": {"v1": {"runId": "a"}}})
    known = {"version": "v1", "desired": "v1"}
    side.status(
        "RegisteredModel", "verified", "Serving", "", ready=True, stages={"production": known}
    )

    def attempt(there: Side) -> int:
        asked = (
            there.get("RegisteredModel", "verified")["spec"]["stages"]["production"].get("reverify")
            or {}
        )
        return int(asked.get("attempt", 0))

    def fails(there: Side) -> None:
        until(lambda: attempt(there) == 1, "it is asked for")
        stage = {"production": known | {"verification": FAIL}}
        there.status("RegisteredModel", "verified", "Serving", "", ready=True, stages=stage)

    with Client(side.namespace, kubeconfig=str(side.server.kubeconfig)) as client:
        with (
            side.meanwhile("RegisteredModel", "verified", fails),
            pytest.raises(Failed, match=r"below 0\.9") as failed,
        ):
            client.models.verify("verified", "production", seconds=180)
        assert failed.value.reason == "VerificationFailed"
        again = client.models.verify("verified", "production", seconds=0)
    assert again.spec.stages["production"].reverify is not None
    assert attempt(side) == 2
