"""`dryRun`: changes wait, the serving version is kept, and the plan shows what would be done."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from modelyard.api.model_status import DOES, PLANNED
from modelyard.api.registered_model import RegisteredModel, StageStatus
from modelyard.api.stage_status import DETAIL
from modelyard.errors import Unavailable
from modelyard.ports import TrackedVersion
from modelyard.registered_model import plans
from modelyard.registered_model.conditions import news
from modelyard.registered_model.decision import StageDecision
from modelyard.registered_model.observation import Evidence
from tests.unit.builders import NOW, live, tracked_model, tracked_run, tracked_version
from tests.unit.models import (
    NEWER,
    A,
    B,
    after,
    around,
    decided,
    digest,
    does,
    pods_of,
    record,
    recorded_first,
    recording,
    routes_to,
    served,
    stage_of,
    view_of,
)

QUALITY: dict[str, Any] = {"name": "quality", "metric": {"name": "f1", "atLeast": "0.9"}}
RUN = B.model_copy(update={"run_id": "run-b"})
ASKS: dict[str, Any] = {"name": "answers", "smoke": {}}
PEOPLE: dict[str, Any] = {"name": "approved", "approvals": {"atLeast": 2}}


def dry(model: RegisteredModel) -> RegisteredModel:
    """Return the model with `dryRun`."""
    return model.model_copy(update={"spec": model.spec.model_copy(update={"dry_run": True})})


def begun(**stage: Any) -> RegisteredModel:
    """va is effective, vb is desired and recorded as the candidate; `dryRun` is set."""
    return dry(stage_of("vb", holds=A, **({"candidate": served(B), "start_time": NOW} | stage)))


STABLE = pods_of(begun(), A, routed=True)


def states(decision: StageDecision) -> dict[str, str]:
    return {step.name: step.state.value for step in decision.status.steps}


def blocked(decision: StageDecision) -> tuple[str, bool] | None:
    return (
        (decision.status.blocked.reason, decision.status.blocked.needs_action)
        if decision.status.blocked
        else None
    )


# --- what waits -----------------------------------------------------------------------------------
def test_a_version_is_admitted_and_waits_without_pods():
    asked = dry(stage_of("vb", holds=A))
    held = decided(recorded_first(asked, *STABLE), *STABLE)
    assert held.status.candidate == served(B), "what turning it off carries out"
    assert (does(held), blocked(held), held.entry) == ([], ("Planned", False), None)
    assert states(held) == {
        "admit": "Done",
        "plan": "Waiting",
        "start": "Waiting",
        "switch": "Waiting",
        "record": "Waiting",
    }
    again = decided(after(begun(), held), *STABLE, now=NOW + timedelta(minutes=1))
    assert again.status == held.status, "waiting costs no write"


def test_one_event_is_emitted_also_when_a_gate_fails():
    held = decided(begun(), *STABLE)
    told = news({"production": StageStatus()}, {"production": held.status})
    assert [event.reason for event in told] == ["Planned"]
    assert news({"production": held.status}, {"production": held.status}) == ()
    assert held.status.blocked is not None
    assert "spec.dryRun is true. va is still serving." in held.status.blocked.message
    assert (
        'kubectl patch mlmodel fraud --type merge -p \'{"spec":{"dryRun":false}}\''
        in held.status.blocked.message
    )


def test_turned_off_a_new_operator_carries_out_what_was_recorded():
    model = begun()
    off = model.model_copy(update={"spec": model.spec.model_copy(update={"dry_run": False})})
    starts = decided(off, *STABLE, runtime=NEWER)
    assert starts.status.candidate == served(B)
    assert does(starts) == ["apply ControllerRevision/vb", "apply Deployment/vb"]


def test_set_while_a_candidate_starts_it_deletes_the_candidate_s_pods_and_jobs():
    model = begun(asked=[ASKS])
    off = model.model_copy(update={"spec": model.spec.model_copy(update={"dry_run": False})})
    ready = pods_of(off, B)
    trying = decided(off, *STABLE, *ready, *_private(off, *STABLE, *ready))
    jobs = [
        action.manifest
        for action in trying.actions
        if getattr(action, "manifest", {}).get("kind") == "Job"
    ]
    assert len(jobs) == 1
    job = jobs[0] | {"metadata": jobs[0]["metadata"] | {"uid": "uid-job"}, "status": {"active": 1}}
    held = decided(model, *STABLE, *ready, job)
    assert sorted(each.split("/")[0] for each in does(held)) == ["delete Deployment", "delete Job"]
    assert blocked(held) == ("Planned", False)


def _private(model: RegisteredModel, *owned: Any) -> list[Any]:
    """Return the candidate's own Service, as the API server has it."""
    decision = decided(model, *owned)
    return [
        live(action.manifest)
        for action in decision.actions
        if getattr(action, "manifest", {}).get("kind") == "Service"
    ]


def test_a_version_that_is_routed_to_continues():
    ready = pods_of(begun(), B, routed=True)
    routed = decided(
        begun(),
        *(each for each in STABLE if each["kind"] not in {"Service", "PodDisruptionBudget"}),
        *ready,
    )
    assert (routed.status.version, routed.entry is not None) == ("vb", True)


def test_an_override_does_not_wait_and_its_version_is_not_planned():
    override = {"version": "vb", "reason": "incident", "until": NOW + timedelta(hours=1)}
    asked = dry(stage_of("va", holds=A, override=override))
    pulled = decided(after(asked, decided(asked, *STABLE)), *STABLE)
    assert pulled.status.candidate == served(B)
    starts = decided(after(asked, pulled), *STABLE)
    assert does(starts) == ["apply ControllerRevision/vb", "apply Deployment/vb"]


def test_the_return_of_a_displaced_version_and_a_refresh_wait():
    back = decided(
        dry(stage_of("vb", holds=A, previous=served(B), candidate=served(B), start_time=NOW)),
        *STABLE,
    )
    assert (blocked(back), does(back)) == (("Planned", False), [])
    refresh = dry(stage_of("va", holds=A, attempt=1))
    waiting = decided(
        after(refresh, decided(refresh, *STABLE, runtime=NEWER)), *STABLE, runtime=NEWER
    )
    assert (blocked(waiting), does(waiting)) == (("Planned", False), [])


def test_clearing_waits_and_the_serving_version_is_healed_and_scaled_meanwhile():
    held = decided(dry(stage_of(None, holds=A)), *STABLE)
    assert (held.entry, does(held), blocked(held)) == (None, [], ("Planned", False))
    assert (held.status.version, held.status.desired, held.status.ready_replicas) == ("va", None, 1)
    lost = decided(
        dry(stage_of(None, holds=A)), *(each for each in STABLE if each["kind"] != "Deployment")
    )
    assert does(lost) == ["apply Deployment/va"]
    more = decided(dry(stage_of(None, holds=A, serving={"replicas": 3})), *STABLE)
    assert does(more) == ["apply Deployment/va"]


def test_while_mlflow_is_down_a_stage_whose_clearing_waits_is_restored_too():
    lost = decided(
        stage_of(None, holds=A),
        *(each for each in STABLE if each["kind"] != "Deployment"),
        dependencies_down=True,
    )
    assert (does(lost), blocked(lost)) == (["apply Deployment/va"], ("Promoting", False))


def test_a_stage_removed_from_the_spec_is_left_as_it_is():
    model = dry(stage_of("va", holds=A))
    gone = model.model_copy(update={"spec": model.spec.model_copy(update={"stages": {}})})
    held = decided(gone, *STABLE)
    assert (held.entry, held.actions, blocked(held)) == (None, (), ("Planned", False))


def test_a_candidate_that_is_cleared_instead_is_dropped():
    cleared = dry(stage_of(None, holds=A, candidate=served(B), start_time=NOW))
    dropped = decided(cleared, *STABLE)
    assert (dropped.record, dropped.status.candidate, dropped.status.version) == (True, None, "va")


def test_the_serving_version_is_kept_healed_and_scaled():
    assert blocked(decided(dry(stage_of("va", holds=A)), *STABLE)) is None
    scaled = decided(begun(serving={"replicas": 3}), *STABLE)
    assert does(scaled) == ["apply Deployment/va"]
    lost = decided(begun(), *(each for each in STABLE if each["kind"] != "Service"))
    assert routes_to(lost) == "va"


def test_a_gate_that_fails_is_shown_and_rejects_nothing():
    model = begun(asked=[QUALITY])
    model = recording(model, A, RUN, stages=model.status.stages)
    failed = Evidence(runs={"run-b": replace(tracked_run("run-b"), metrics={"f1": 0.1})})
    held = decided(model, *STABLE, evidence=failed, versions=(A, RUN))
    assert (states(held)["gates"], held.status.gates[0].message) == (
        "Failed",
        "f1 is 0.1, below 0.9",
    )
    assert (held.record, held.status.rejected, held.events, blocked(held)) == (
        False,
        (),
        (),
        ("Planned", False),
    )
    assert [event.reason for event in news({}, {"production": held.status})] == ["Planned"]


@pytest.mark.parametrize(
    "freeze", [None, {"schedule": "0 10 * * *", "duration": "4h", "reason": "noon"}]
)
def test_all_steps_before_dry_run_are_shown_though_one_waits(freeze: dict[str, Any] | None):
    model = begun(**{"from": "staging", "asked": [PEOPLE]})
    if freeze is not None:
        spec = type(model.spec).model_validate(
            model.spec.model_dump(by_alias=True) | {"freeze": [freeze]}
        )
        model = model.model_copy(update={"spec": spec})
    held = decided(model, *STABLE)
    expected = {"admit": "Done", "from": "Waiting"} | ({"freeze": "Waiting"} if freeze else {})
    assert states(held) == expected | dict.fromkeys(
        ("plan", "approval", "start", "switch", "record"), "Waiting"
    )
    assert blocked(held) == ("Planned", False)
    assert held.requeue_after == (timedelta(hours=2) if freeze else None), (
        "the plan says when it changes"
    )


# --- the plan -------------------------------------------------------------------------------------
def planned(model: RegisteredModel, *owned: Any, **more: Any) -> dict[str, str]:
    """Return the plan of the stage production, by step."""
    versions = tuple(
        replace(_tracked(str(number), name), source=f"s3://b/{name}")
        for number, name in enumerate(("va", "vb", "vc"), 1)
    )
    seen = around(model, **({"versions": versions} | more))
    seen = replace(seen, model=tracked_model(aliases={"production": "1"}))
    found = plans.rows(model, seen, [view_of(model, *owned)], NOW)
    assert {row.stage for row in found} <= {"production"}
    return {row.step: row.does for row in found}


def _tracked(number: str, name: str) -> TrackedVersion:
    """Return a version in MLflow, where va is in production."""
    held: dict[str, Any] = {"stage": "Production", "stages": "production"} if name == "va" else {}
    return tracked_version(number, name, text=name[-1], **held)


def test_a_plan_shows_what_each_step_would_do():
    model = begun(**{"from": "staging", "asked": [ASKS, PEOPLE], "serving": {"replicas": 2}})
    assert planned(model, *STABLE) == {
        "admit": f"vb, {digest('b')[:19]}, runs in runtime:1.2.3 (revision"
        f" {served(B).runtime.revision})",
        "from": "Waiting: vb has not held staging",
        "trial": "asked by Jobs, next to one pod of vb: answers Pending",
        "approval": "asked of people or other systems: approved Pending",
        "start": "2 pods of vb, next to 2 pods of va, which keep serving",
        "switch": "the Service fraud-production routes to vb instead of va",
        "record": "vb is effective; va becomes previous; history: Promoted",
        "mlflow": "alias production to vb, stage Production for vb, stage Archived for va, tags of"
        " vb, va",
        "drain": "the pods of va are deleted 15 s after the switch",
    }


def test_plans_of_a_first_version_a_return_a_refresh_and_zero_replicas():
    first = planned(dry(stage_of("vb", candidate=served(B), start_time=NOW)))
    assert (first["start"], first["switch"]) == (
        "1 pod of vb",
        "the Service fraud-production routes to vb",
    )
    assert first["record"] == "vb is effective; history: Promoted"
    assert "drain" not in first
    back = planned(
        dry(
            stage_of(
                "vb", holds=A, previous=served(B), candidate=served(B), start_time=NOW, asked=[ASKS]
            )
        ),
        *STABLE,
    )
    assert "trial" not in back, "it comes back without gates"
    refresh = dry(stage_of("va", holds=A, attempt=1, candidate=served(A, NEWER), start_time=NOW))
    assert planned(refresh, *STABLE)["record"] == "va is effective; history: Refreshed"
    assert (
        planned(refresh, *STABLE)["start"]
        == "1 pod of va with the operator's runtime, next to 1 pod of va as it runs now, which keep"
        " serving"
    )
    assert "mlflow" not in planned(refresh, *STABLE)
    idle = planned(begun(serving={"replicas": 0}), *STABLE)
    assert (idle["start"], "switch" in idle, "drain" in idle) == (
        "no pods: serving.replicas is 0",
        False,
        False,
    )


CANARY = {
    "strategy": "Canary",
    "steps": [{"weight": 5}, {"hold": "10m"}, {"pause": {}}, {"weight": 50}],
}


def test_a_plan_shows_the_steps_of_a_rollout_and_its_first_number_of_pods():
    model = begun(canary=CANARY, serving={"replicas": 4})
    rows = planned(model, *STABLE)
    assert list(rows) == ["admit", "start", "rollout", "switch", "record", "mlflow", "drain"]
    assert rows["start"] == "1 pod of vb, next to 4 pods of va, which keep serving"
    assert rows["rollout"] == "5 steps: weight 5, hold 10m, pause, weight 50, weight 100"
    judged = begun(canary=CANARY | {"analysis": {}})
    assert planned(judged, *STABLE)["rollout"].startswith(
        "5 steps, judged by an analysis: weight 5, "
    )
    long = begun(canary=CANARY | {"steps": [{"weight": 5}, {"hold": "999999s"}] * 8})
    assert planned(long, *STABLE)["rollout"].startswith("17 steps: weight 5, ")
    assert len(planned(long, *STABLE)["rollout"]) == DOES


def test_a_plan_shows_that_rollout_steps_are_skipped_and_why():
    first = planned(dry(stage_of("vb", candidate=served(B), start_time=NOW, canary=CANARY)))
    assert (first["rollout"], first["start"]) == (
        "passed: no version serves that could split its requests",
        "1 pod of vb",
    )
    old = served(A).model_copy(
        update={"runtime": served(A).runtime.model_copy(update={"revision": 3})}
    )
    before = begun(canary=CANARY, serving={"replicas": 4})
    stage = before.status.stages["production"].model_copy(update={"runtime": old.runtime})
    before = before.model_copy(
        update={"status": before.status.model_copy(update={"stages": {"production": stage}})}
    )
    rows = planned(before, *STABLE)
    assert rows["rollout"] == "passed: the runtime of va is too old to split (modelyard refresh)"
    assert len(rows["rollout"]) <= DETAIL, "the status has it whole"
    assert rows["start"].startswith("4 pods of vb")
    back = dry(
        stage_of(
            "vb", holds=A, previous=served(B), candidate=served(B), start_time=NOW, canary=CANARY
        )
    )
    assert "rollout" not in planned(back, *STABLE), "it comes back without steps"


def test_a_plan_of_clearing():
    assert planned(dry(stage_of(None, holds=A, desired_replicas=2)), *STABLE) == {
        "clear": "the Service fraud-production is deleted, and 2 pods of va: no pod answers",
        "record": "no version is effective; va becomes previous; history: Cleared",
        "mlflow": "alias production is removed, stage Archived for va, tags of va",
    }


def test_a_plan_ends_at_the_first_thing_that_blocks_it():
    assert list(planned(dry(stage_of("v9", holds=A)), *STABLE)) == ["admit"]
    assert planned(dry(stage_of("v9", holds=A)), *STABLE)["admit"].startswith(
        "Failed: Nothing declares the version v9."
    )
    assert planned(dry(stage_of("vb", holds=A)), *STABLE) == {}, (
        "not before the candidate is recorded"
    )


def test_there_is_no_plan_without_a_change_or_without_dry_run():
    assert planned(dry(stage_of("va", holds=A)), *STABLE) == {}
    model = begun()
    assert (
        planned(
            model.model_copy(update={"spec": model.spec.model_copy(update={"dry_run": False})}),
            *STABLE,
        )
        == {}
    )
    assert (
        planned(
            begun(),
            *(each for each in STABLE if each["kind"] != "Service"),
            *pods_of(begun(), B, routed=True),
        )
        == {}
    )


def test_a_plan_says_that_mlflow_does_not_answer():
    away = Unavailable("MLflow", "search", "versions")
    assert (
        planned(begun(), *STABLE, dependency_error=away)["mlflow"]
        == "cannot be told: MLflow does not answer"
    )


def test_a_plan_of_many_stages_is_bounded_and_says_how_many_rows_are_left_out():
    spec = {f"s{number:02}": {"version": "vb"} for number in range(16)}
    base = dry(stage_of("vb"))
    model = base.model_copy(
        update={"spec": type(base.spec).model_validate({"dryRun": True, "stages": spec})}
    )
    model = recording(
        model,
        A,
        B,
        stages={name: StageStatus(candidate=served(B), start_time=NOW) for name in spec},
    )
    view = view_of(model, versions=(A, B))
    views = [
        replace(view, name=name, status=status) for name, status in model.status.stages.items()
    ]
    found = plans.rows(model, around(model), views, NOW)
    assert len(found) == PLANNED
    assert (found[-1].stage, found[-1].step) == ("", "more")
    assert "more rows, of 12 stages, found no place" in found[-1].does
    assert max(len(row.does) for row in found) <= DOES


def test_a_row_with_long_names_is_truncated():
    long = record("v" * 63, "2", "b", uri="s3://b/long")
    model = dry(stage_of(long.name, holds=A, candidate=served(long), start_time=NOW))
    model = recording(model, A, long, stages=model.status.stages)
    view = view_of(model, *STABLE, versions=(A, long))
    assert all(len(row.does) <= DOES for row in plans.rows(model, around(model), [view], NOW))
