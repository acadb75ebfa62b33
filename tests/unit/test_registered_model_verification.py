"""`reverify`: when a verification begins, what it evaluates, and what its verdict withdraws or
restores.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from modelyard.api.registered_model import RegisteredModel, Verdict, Verification, VersionStatus
from modelyard.plan import Apply, Manifest
from modelyard.registered_model.conditions import with_verified
from modelyard.registered_model.decision import StageDecision
from modelyard.registered_model.gates import pods
from modelyard.registered_model.gates.judging import open_again
from modelyard.registered_model.verification import carried
from tests.unit.builders import MINUTE, NOW, SECOND, live, pod
from tests.unit.models import (
    NEWER,
    A,
    B,
    after,
    decided,
    does,
    pods_of,
    record,
    refusing,
    served,
    stage_of,
    view_of,
)
from tests.unit.test_registered_model_gates import GATE, VERSIONS, values

DAY = timedelta(days=1)
DAILY = {"every": "24h"}
JOB = {"name": "integration", "job": {"image": "team/test:1"}}
ASKS = {"name": "integration", "job": {"image": "team/test:1", "candidate": "Served"}}
DIGEST = "sha256:" + "1" * 64
SMOKE = {
    "name": "answers",
    "smoke": {"requests": {"configMap": "cases", "key": "c.json", "digest": DIGEST}},
}
SOAK = {"name": "soaked", "soak": {"stage": "staging", "for": "1h"}}
STAMP = "2026-01-01T11:59:58Z"
PASSED = Verification(
    start_time=NOW - DAY,
    verdict="Pass",
    time=NOW - DAY,
    message="quality: accuracy is 0.95: at least 0.9",
)
FAILED = PASSED.model_copy(
    update={"verdict": Verdict.FAIL, "message": "quality: accuracy is 0.8, below 0.9"}
)
OPEN = Verification(start_time=NOW, waiting="its gates are being asked")


def holding(*gates: dict[str, Any], reverify: Any = DAILY, **stage: Any) -> RegisteredModel:
    """va is effective and desired."""
    return stage_of("va", **({"holds": A, "asked": list(gates), "reverify": reverify} | stage))


STABLE = pods_of(holding(), A, routed=True)


def decide(model: RegisteredModel, *owned: Manifest, **more: Any) -> StageDecision:
    return decided(
        model, *STABLE, *owned, **({"versions": VERSIONS, "evidence": values(va=0.95)} | more)
    )


def word(decision: StageDecision) -> Verification:
    assert decision.status.verification is not None
    return decision.status.verification


def job_of(model: RegisteredModel, end: str = "", index: int = 0) -> Manifest:
    """Return the Job of a gate in the open round, or the last one; `end` is Complete or Failed."""
    known = model.status.stages["production"].verification
    assert known is not None
    view = view_of(model, *STABLE, round=known.start_time)
    assert view.spec is not None
    ends = (
        [
            {
                "type": end,
                "status": "True",
                "lastTransitionTime": STAMP,
                "reason": "BackoffLimitExceeded",
            }
        ]
        if end
        else []
    )
    status = {"startTime": STAMP, "conditions": ends} | (
        {"completionTime": STAMP} if end == "Complete" else {}
    )
    return live(pods.job(view, view.spec.gates[index]), status, uid="uid-job")


def ended_pod(job: Manifest, code: int, text: str = "") -> Manifest:
    ended = {"exitCode": code, "message": text, "startedAt": STAMP, "finishedAt": STAMP}
    return pod(
        job,
        "Failed" if code else "Succeeded",
        statuses=[{"name": "gate", "state": {"terminated": ended}}],
    )


# --- when a round begins --------------------------------------------------------------------------
def test_a_stage_without_reverify_has_no_verification_and_reads_nothing():
    decision = decide(holding(*GATE, reverify=None))
    assert (decision.status.verification, decision.requeue_after, decision.record) == (
        None,
        None,
        False,
    )


@pytest.mark.parametrize(
    ("reverify", "known", "begins", "again"),
    [
        ({"every": "24h"}, None, True, None),  # effective for a day: no verdict since then
        ({"every": "25h"}, None, False, timedelta(hours=1)),
        ({"every": "24h"}, PASSED, True, None),
        ({"every": "2d"}, PASSED, False, DAY),
        ({"every": "2d", "attempt": 1}, PASSED, True, None),
        ({"every": "2d", "attempt": 1}, PASSED.model_copy(update={"attempt": 1}), False, DAY),
        ({"attempt": 1}, None, True, None),
        ({"attempt": 1}, PASSED.model_copy(update={"attempt": 1}), False, None),
        (
            {"attempt": 1},
            PASSED.model_copy(update={"attempt": 2}),
            False,
            None,
        ),  # restored from a backup
        (
            {"every": "2d"},
            PASSED.model_copy(update={"start_time": NOW - MINUTE}),
            True,
            None,
        ),  # a round without a verdict
    ],
)
def test_a_round_begins_when_it_is_due_or_requested(
    reverify: Any, known: Verification | None, begins: bool, again: timedelta | None
):
    decision = decide(holding(*GATE, reverify=reverify, verification=known))
    assert (decision.record, decision.actions) == (begins, ()), (
        "it is recorded before anything is asked"
    )
    assert word(decision).is_open is begins
    assert decision.requeue_after == again
    if begins:
        assert (word(decision).start_time, word(decision).attempt) == (
            NOW,
            reverify.get("attempt", 0),
        )
        before = known or Verification()
        assert (word(decision).verdict, word(decision).time, word(decision).message) == (
            before.verdict,
            before.time,
            before.message,
        )


def test_between_rounds_nothing_is_read_or_written():
    model = holding(*GATE, verification=PASSED.model_copy(update={"time": NOW}))
    rests = decide(model, evidence=values())
    assert (rests.actions, rests.record, rests.status.verification) == (
        (),
        False,
        model.status.stages["production"].verification,
    )
    assert open_again(model, "production") == ()


@pytest.mark.parametrize(
    "gates", [(), (SOAK,), ({"name": "same", "signature": {}}, {"name": "ok", "approvals": {}})]
)
def test_gates_that_judge_a_change_are_not_evaluated_again(gates: tuple[dict[str, Any], ...]):
    model = holding(
        *gates, requestedBy="rita", reverify={"every": "10m", "attempt": 3}, verification=OPEN
    )
    decision = decide(model)
    assert (decision.record, decision.actions, decision.requeue_after, word(decision).is_open) == (
        False,
        (),
        None,
        False,
    )
    found = with_verified(model, after(model, decision).status, NOW).condition("Verified")
    assert found is not None
    assert (found.status, found.reason) == ("Unknown", "NothingToVerify")


def test_no_round_begins_while_mlflow_is_down_or_an_override_is_in_force():
    assert not decide(holding(*GATE), dependencies_down=True).record
    override = {"version": "vb", "reason": "incident", "until": (NOW + MINUTE).isoformat()}
    overridden = holding(*GATE, override=override, verification=OPEN)
    noted = after(overridden, decide(overridden))
    noted = after(noted, decide(noted))
    given_up = decide(noted)
    assert noted.status.stages["production"].override is not None
    assert given_up.status.verification is not None
    assert not given_up.status.verification.is_open
    # Back on va after the override, it is verified at once: the round has no verdict yet.
    back = noted.model_copy(update={"spec": holding(*GATE, reverify={"every": "100d"}).spec})
    lasting = {"candidate": None, "verification": given_up.status.verification, "override": None}
    status = noted.status.stages["production"].model_copy(update=lasting)
    back = back.model_copy(
        update={"status": back.status.model_copy(update={"stages": {"production": status}})}
    )
    assert decide(back, now=NOW + 5 * MINUTE).record


# --- evaluation and verdict -----------------------------------------------------------------------
def test_a_metric_is_read_again_and_its_verdict_is_recorded_with_figures():
    model = holding(*GATE, verification=OPEN)
    assert [gate.name for gate in open_again(model, "production")] == ["quality"]
    fails = decide(model, evidence=values(va=0.8))
    assert fails.record
    assert (word(fails).verdict, word(fails).time, word(fails).waiting) == ("Fail", NOW, None)
    assert word(fails).message == "quality: accuracy is 0.8, below 0.9"
    (event,) = fails.events
    assert (event.reason, event.warning) == ("VerificationFailed", True)
    assert event.message == (
        "production: va is still serving, and failed its verification at 2026-01-01 12:00 UTC."
        " quality: accuracy is 0.8, below 0.9. Promote another version, roll back (modelyard"
        " rollback fraud --stage production), or correct the cause and ask again: modelyard verify"
        " fraud --stage production"
    )
    later = decide(after(model, fails), now=NOW + MINUTE)
    assert (does(later), later.status.version, later.record) == ([], "va", False), (
        "it keeps serving"
    )
    assert later.requeue_after == DAY - MINUTE


def test_a_pass_restores_what_a_fail_withdrew_with_one_event():
    model = holding(
        *GATE, verification=FAILED.model_copy(update={"start_time": NOW, "waiting": "asked"})
    )
    passes = decide(model)
    assert (passes.record, word(passes).verdict) == (True, "Pass")
    assert [(event.reason, event.warning) for event in passes.events] == [("Verified", False)]
    again = decide(after(model, passes), now=NOW + DAY)
    assert (again.record, word(again).is_open) == (True, True)
    assert decide(after(model, again), now=NOW + DAY).events == (), "a Pass after a Pass is no news"


@pytest.mark.parametrize("known", [PASSED, FAILED])
def test_pending_and_error_keep_the_last_verdict(known: Verification):
    model = holding(
        *GATE, verification=known.model_copy(update={"start_time": NOW, "waiting": "asked"})
    )
    pending = decide(model, evidence=values())
    assert not pending.record
    assert word(pending).waiting == "quality: waits for the metric accuracy of va's run va"
    away = decide(model, dependencies_down=True)
    assert word(away).waiting == "quality: MLflow or S3 does not answer"
    for each in (pending, away):
        assert (word(each).verdict, word(each).time, word(each).message) == (
            known.verdict,
            known.time,
            known.message,
        )
        assert each.requeue_after == MINUTE


def test_a_job_runs_in_each_round_under_a_name_of_its_own_without_any_pod_of_a_candidate():
    model = holding(JOB, verification=OPEN)
    begins = decide(model)
    assert does(begins) == ["apply Job/va"]
    first = job_of(model)
    assert does(decide(model, first)) == [], "it is searched before it is created"
    runs = after(model, decide(model, first))
    complete = job_of(model, "Complete")
    passes = decide(runs, complete, ended_pod(complete, 0, '{"message": "12 requests"}'))
    assert (passes.record, word(passes).verdict, word(passes).message) == (
        True,
        "Pass",
        "integration: exit code 0: 12 requests",
    )
    ended = after(model, passes)
    assert does(decide(ended, complete)) == [f"delete Job/{complete['metadata']['name']}"]
    names = {
        job_of(each)["metadata"]["name"]
        for each in (
            model,
            holding(JOB, verification=OPEN.model_copy(update={"start_time": NOW + SECOND})),
            holding(JOB, verification=OPEN.model_copy(update={"attempt": 1})),
            holding(ASKS, verification=OPEN),
            holding(JOB, verification=OPEN, holds=served(A, NEWER)),
        )
    }
    promoting = view_of(stage_of("va", candidate=served(A), asked=[JOB]))
    assert promoting.spec is not None
    assert len({*names, pods.job_name(promoting, promoting.spec.gates[0])}) == 6


def test_the_job_of_a_fail_stays_with_its_log_until_the_next_round():
    model = holding(JOB, verification=OPEN)
    failed = job_of(model, "Failed")
    there = (failed, ended_pod(failed, 1, "no column amount"))
    fails = decide(model, *there)
    assert word(fails).message == "integration: exit code 1: no column amount"
    rests = after(model, fails)
    for dependencies_down in (False, True):
        assert does(decide(rests, *there, dependencies_down=dependencies_down)) == []
    again = after(rests, decide(rests, *there, now=NOW + DAY))
    assert does(decide(again, *there, now=NOW + DAY)) == [
        f"delete Job/{failed['metadata']['name']}",
        "apply Job/va",
    ]


def test_requests_go_to_the_stage_s_own_service_from_this_operator_s_program():
    model = holding(SMOKE, verification=OPEN)
    decision = decide(model, runtime=NEWER)
    (job,) = [each.manifest for each in decision.actions if isinstance(each, Apply)]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    env = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    assert env["MODELYARD_CANDIDATE_URL"] == "http://fraud-production.risk"
    assert env["MODELYARD_CANDIDATE_VERSION"] == "va"
    assert container["image"] == NEWER.image, (
        "a runtime of an earlier release may not know the arguments"
    )
    assert model.status.stages["production"].runtime != NEWER.image


def test_a_job_that_sends_requests_waits_for_a_pod_and_for_the_service():
    model = holding(ASKS, verification=OPEN)
    starting = decided(model, *pods_of(model, A, routed=True, ready=0))
    assert "apply Job/va" not in does(starting)
    assert word(starting).waiting == "integration: waits for a pod of va"
    elsewhere = (*pods_of(model, A), *pods_of(model, B, routed=True))
    complete = job_of(model, "Complete")
    other = decided(model, *elsewhere, complete, ended_pod(complete, 1))
    assert (other.record, word(other).waiting) == (
        False,
        "integration: the Service routes to another version",
    )
    scaled = holding(ASKS, verification=OPEN, serving={"replicas": 0})
    assert word(decided(scaled)).waiting == "integration: waits for a pod of va"


def test_a_job_that_the_api_server_refuses_is_an_error_that_says_so():
    model = holding(
        JOB, verification=PASSED.model_copy(update={"start_time": NOW, "waiting": "asked"})
    )
    name = job_of(model)["metadata"]["name"]
    refused = decide(model, refusals=refusing(("Job", name)))
    assert (does(refused), refused.requeue_after) == ([], MINUTE)
    assert (
        word(refused).waiting
        == "integration: Kubernetes refuses its Job: admission webhook said no"
    )
    assert word(refused).verdict == "Pass"


def test_the_jobs_of_a_stage_with_zero_replicas_stay_while_they_are_read():
    model = holding(JOB, verification=OPEN, serving={"replicas": 0})
    assert does(decided(model)) == ["apply Job/va"]
    assert does(decided(model, job_of(model))) == []


def test_one_fail_ends_the_round_while_others_still_run():
    model = holding(JOB, *GATE, verification=OPEN)
    fails = decide(model, job_of(model), evidence=values(va=0.8))
    assert (fails.record, word(fails).message) == (True, "quality: accuracy is 0.8, below 0.9")
    assert does(decide(after(model, fails), job_of(model)))[0].startswith("delete Job/")


def test_a_raised_attempt_restarts_an_open_round():
    model = holding(
        JOB,
        reverify={"attempt": 1},
        verification=OPEN.model_copy(update={"start_time": NOW - MINUTE}),
    )
    anew = decide(model, job_of(model))
    assert (anew.record, word(anew).start_time, word(anew).attempt) == (True, NOW, 1)


def test_a_version_whose_record_has_other_bytes_is_not_judged_by_it():
    model = holding(*GATE, verification=OPEN)
    other = record("va", "1", "z")
    assert (
        word(decide(model, versions=(other,))).waiting
        == "quality: the record of the version is lost"
    )
    for versions in ((other,), (VERSIONS[1],)):
        lost = decide(holding(JOB, verification=OPEN), versions=versions)
        assert not [each for each in does(lost) if "Job" in each]
        assert word(lost).waiting == "integration: the record of the version is lost"


def test_the_job_of_an_abandoned_round_is_deleted_at_once():
    override = {"version": "va", "reason": "incident", "until": (NOW + MINUTE).isoformat()}
    model = holding(JOB, override=override, verification=OPEN)
    noted = after(model, decide(model))
    job = job_of(noted)
    assert does(decide(noted, job)) == [f"delete Job/{job['metadata']['name']}"]
    unasked = holding(JOB, reverify=None, verification=OPEN)
    assert does(decide(unasked, job)) == [f"delete Job/{job['metadata']['name']}"]


# --- a promotion meanwhile ------------------------------------------------------------------------
def test_rounds_continue_while_a_promotion_waits_or_was_rejected():
    """It may wait for approvals for days, and a rejected version may stay in the spec
    indefinitely.
    """
    asks = {"name": "ok", "external": {}}
    model = stage_of(
        "vb",
        holds=A,
        candidate=served(B),
        start_time=NOW,
        asked=[JOB, asks],
        reverify=DAILY,
        verification=OPEN,
    )
    decision = decide(model)
    assert sorted(does(decision)) == ["apply Job/va", "apply Job/vb"], "each has Jobs of its own"
    view = view_of(model, round=NOW)
    assert view.spec is not None
    there = live(pods.job(view, view.spec.gates[0]), {"startTime": STAMP}, uid="uid-job")
    assert does(decide(model, there)) == ["apply Job/vb"]
    # vb waits only for an external system; the Job that verifies va is not the promotion's and
    # stays.
    without = stage_of(
        "vb",
        holds=A,
        candidate=served(B),
        start_time=NOW,
        asked=[asks],
        reverify=DAILY,
        verification=OPEN,
    )
    assert does(decide(without, there)) == [f"delete Job/{there['metadata']['name']}"]


def test_with_another_version_the_verdict_is_dropped_but_not_the_attempt_that_was_carried_out():
    model = stage_of(
        "vb", holds=A, candidate=served(B), start_time=NOW, asked=[JOB], reverify={"attempt": 3},
        verification=FAILED.model_copy(update={"attempt": 3}),
        judged={"version": "vb", "digest": B.digest},
    )  # fmt: skip
    known = carried_by(model, B)
    assert known == Verification(attempt=3)
    # A refresh serves the same bytes.
    assert carried_by(model, A) == model.status.stages["production"].verification
    assert carried_by(stage_of("vb", holds=A, reverify=None, verification=FAILED), B) is None


def carried_by(model: RegisteredModel, version: VersionStatus) -> Verification | None:
    return carried(view_of(model), version.name, str(version.digest))
