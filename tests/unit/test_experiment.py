"""Experiment: two values and a clock in, a plan out."""

from dataclasses import replace
from itertools import product

import pytest

from modelyard.api.experiment import Experiment
from modelyard.errors import Ambiguous, Forbidden, Invalid, ModelyardError, Unavailable
from modelyard.experiment import controller
from modelyard.experiment.decide import decide, finalize, in_sync, on_error
from modelyard.experiment.observation import Observation
from modelyard.kube import tags
from modelyard.kube.names import NAME_TAG, UID_TAG
from modelyard.plan import (
    Act,
    ArchiveRun,
    CreateBucket,
    CreateExperiment,
    DeleteExperiment,
    DeleteTags,
    Finalize,
    Record,
    RestoreExperiment,
    SetTags,
    TagTarget,
)
from modelyard.ports import TrackedRun, Usage
from tests.unit.builders import (
    BUCKET,
    DAY,
    NOW,
    URL,
    actions,
    experiment,
    message,
    outside,
    recorded,
    said,
    status_of,
    tracked_experiment,
    tracked_run,
    written,
)

OURS = tracked_experiment()
TARGET = TagTarget("experiment", "12")
BEST = {"metric": "accuracy", "goal": "Maximize"}


def observed(**more) -> Observation:
    return Observation(
        **({"bucket": BUCKET, "tracked": OURS, "tracking_url": URL, "usage": Usage(0, 0)} | more)
    )


# --- what is missing ------------------------------------------------------------------------------
def test_a_missing_bucket_is_created_first():
    plan = decide(experiment(), observed(usage=None, tracked=None), NOW)
    assert plan == Act((CreateBucket(BUCKET),))


def test_an_experiment_is_created_below_its_own_prefix_and_marked_as_ours():
    plan = decide(
        experiment(description="cards", tags={"team": "risk"}), observed(tracked=None), NOW
    )
    assert actions(plan) == (
        CreateExperiment(
            "risk/fraud",
            f"s3://{BUCKET}/risk/fraud",
            {
                "mlflow.note.content": "cards",
                "team": "risk",
                **tags.recorded(["team"]),
                "modelyard.io/uid": "uid-fraud",
                "modelyard.io/namespace": "risk",
                "modelyard.io/name": "fraud",
            },
        ),
    )


def test_our_tags_in_a_spec_do_not_take_over_an_experiment():
    plan = decide(
        experiment(tags={UID_TAG: "uid-other", NAME_TAG: "other"}), observed(tracked=None), NOW
    )
    action = outside(plan)
    assert isinstance(action, CreateExperiment)
    assert (action.tags[UID_TAG], action.tags[NAME_TAG]) == ("uid-fraud", "fraud")


def test_an_experiment_deleted_in_mlflow_is_restored_before_anything_is_set():
    plan = decide(
        experiment(description="new"), observed(tracked=tracked_experiment(deleted=True)), NOW
    )
    assert actions(plan) == (RestoreExperiment("12"),)


def test_our_tags_follow_the_spec_and_other_tags_stay():
    there = tracked_experiment(team="old", theirs="kept")
    plan = decide(
        experiment(tags={"team": "risk"}, description="cards"), observed(tracked=there), NOW
    )
    assert actions(plan) == (
        SetTags(
            TARGET, {**tags.recorded(["team"]), "team": "risk", "mlflow.note.content": "cards"}
        ),
    )


def test_a_tag_removed_from_the_spec_is_deleted_and_other_tags_stay():
    there = tracked_experiment(team="risk", theirs="kept", **tags.recorded(["team"]))
    plan = decide(experiment(), observed(tracked=there), NOW)
    assert actions(plan) == (DeleteTags(TARGET, ("team",)),)


def test_nothing_to_do_has_no_actions():
    plan = decide(experiment(), observed(), NOW)
    assert (plan.requeue_after, said(plan)) == (None, "Ready Synced")


# --- names in use ---------------------------------------------------------------------------------
SOMEBODY_ELSES = tracked_experiment(**{UID_TAG: "uid-of-another"})


@pytest.mark.parametrize("deleted", [False, True])
def test_a_name_of_another_owner_is_never_taken_over(deleted: bool):
    plan = decide(
        experiment(tags={"team": "risk"}),
        observed(tracked=replace(SOMEBODY_ELSES, deleted=deleted)),
        NOW,
    )
    assert said(plan) == "Stalled NameTaken"
    assert "kubectl annotate mlexp fraud -n risk modelyard.io/adopt=true" in message(plan)
    assert plan.requeue_after is not None, "no event says when the name is free"


def test_the_message_distinguishes_an_earlier_object_from_another_client():
    assert "an earlier object of this name" in message(
        decide(experiment(), observed(tracked=SOMEBODY_ELSES), NOW)
    )
    assert "another client" in message(
        decide(experiment(), observed(tracked=replace(OURS, tags={})), NOW)
    )


def test_another_owner_s_experiment_is_not_in_the_status():
    """TrainingRuns read the id there, and would write into another owner's experiment."""
    before = written(experiment(), decide(experiment(), observed(), NOW))
    assert before.status.mlflow is not None
    assert status_of(decide(before, observed(tracked=SOMEBODY_ELSES), NOW)).mlflow is None


def test_adoption_is_explicit_and_marks_it_as_ours():
    asked = experiment(about={"annotations": {"modelyard.io/adopt": "true"}})
    assert actions(decide(asked, observed(tracked=SOMEBODY_ELSES), NOW)) == (
        SetTags(TARGET, {UID_TAG: "uid-fraud"}),
    )
    refused = experiment(about={"annotations": {"modelyard.io/adopt": "false"}})
    assert said(decide(refused, observed(tracked=SOMEBODY_ELSES), NOW)) == "Stalled NameTaken"


# --- what is seen ---------------------------------------------------------------------------------
def test_the_status_shows_runs_and_artifacts():
    runs = (
        tracked_run("a", metrics={"accuracy": 0.91}),
        tracked_run("b", metrics={"accuracy": 0.93}, tags={NAME_TAG: "fraud-2"}),
        tracked_run("c", "FAILED", metrics={"accuracy": 0.99}),
        tracked_run("d", "KILLED"),
        tracked_run("e", "RUNNING", metrics={"accuracy": 0.99}),
        tracked_run("f", "SCHEDULED"),
    )
    status = status_of(
        decide(
            experiment(objective=BEST),
            observed(runs=runs, deleted_runs=2, usage=Usage(41, 1048576)),
            NOW,
        )
    )
    assert status.mlflow
    assert (status.mlflow.id, status.mlflow.name) == ("12", "risk/fraud")
    assert status.mlflow.url == f"{URL}/#/experiments/12"
    assert status.artifacts
    assert (status.artifacts.uri, status.artifacts.objects) == (f"s3://{BUCKET}/risk/fraud/", 41)
    assert status.runs
    assert status.runs.model_dump(exclude_none=True) == {
        "running": 2,
        "finished": 2,
        "failed": 2,
        "deleted": 2,
    }
    assert status.best_run
    assert (status.best_run.run_id, status.best_run.training_run, status.best_run.value) == (
        "b",
        "fraud-2",
        "0.93",
    )


@pytest.mark.parametrize(("goal", "best"), [("Maximize", "b"), ("Minimize", "a")])
def test_the_best_run_by_either_goal(goal: str, best: str):
    runs = (
        tracked_run("a", metrics={"loss": 0.1}),
        tracked_run("b", metrics={"loss": 0.2}),
        tracked_run("c"),
    )
    found = status_of(
        decide(experiment(objective={"metric": "loss", "goal": goal}), observed(runs=runs), NOW)
    ).best_run
    assert found
    assert found.run_id == best


def test_of_two_equal_runs_the_earlier_one_is_and_stays_the_best():
    runs = [
        tracked_run("new", metrics={"accuracy": 0.9}),
        tracked_run("old", metrics={"accuracy": 0.9}, ended=DAY),
    ]
    for order in (runs, runs[::-1]):
        found = status_of(
            decide(experiment(objective=BEST), observed(runs=tuple(order)), NOW)
        ).best_run
        assert found
        assert found.run_id == "old"


@pytest.mark.parametrize("value", [float("nan"), None])
def test_a_run_without_a_number_is_never_best(value: float | None):
    runs = (tracked_run("a", metrics={} if value is None else {"accuracy": value}),)
    assert status_of(decide(experiment(objective=BEST), observed(runs=runs), NOW)).best_run is None


@pytest.mark.parametrize("name", ["Not A Name", "", "x" * 64])
def test_a_hand_written_tag_is_no_training_run(name: str):
    plan = decide(
        experiment(objective=BEST),
        observed(
            runs=(tracked_run("a", metrics={"accuracy": float("inf")}, tags={NAME_TAG: name}),)
        ),
        NOW,
    )
    assert status_of(plan).best_run
    assert (status_of(plan).best_run.training_run, status_of(plan).best_run.value) == (None, "inf")
    written(experiment(), plan)


# --- retention ------------------------------------------------------------------------------------
def retained(*runs: TrackedRun, unreferenced: tuple[str, ...] | None = None, **spec) -> str | None:
    """Return the run to delete; the observation says which runs no model version came from."""
    free = frozenset(run.id for run in runs) if unreferenced is None else frozenset(unreferenced)
    ours, world = experiment(**spec), observed(runs=runs, unreferenced=free)
    plan = decide(ours, world, NOW)
    if isinstance(plan, Record):
        plan = decide(written(ours, plan), world, NOW)
    action = outside(plan)
    assert action is None or isinstance(action, ArchiveRun)
    return action.run if action else None


NINETY = {"runs": "90d"}
OLD, OLDER = tracked_run("old", ended=91 * DAY), tracked_run("older", ended=95 * DAY)


def test_without_retention_everything_is_kept():
    assert retained(OLD) is None


def test_an_expired_run_is_deleted_the_oldest_first():
    assert retained(tracked_run("young", ended=89 * DAY), OLD, OLDER, retention=NINETY) == "older"
    assert retained(tracked_run("exact", ended=90 * DAY), retention=NINETY) is None


def test_a_failed_run_expires_like_any_other():
    assert (
        retained(
            tracked_run("failed", "FAILED", ended=91 * DAY), retention=NINETY | {"keep_best": 5}
        )
        == "failed"
    )


def test_an_active_run_is_never_expired():
    running = tracked_run("running", "RUNNING", start=NOW - 200 * DAY)
    assert retained(running, retention=NINETY) is None


def test_the_best_are_kept_whatever_their_age():
    runs = [
        tracked_run(f"r{n}", ended=(100 + n) * DAY, metrics={"accuracy": 0.5 + n / 100})
        for n in range(4)
    ]
    assert retained(*runs, retention=NINETY | {"keep_best": 3}, objective=BEST) == "r0"
    assert retained(*runs[1:], retention=NINETY | {"keep_best": 3}, objective=BEST) is None


def test_without_an_objective_the_newest_are_kept():
    runs = [tracked_run(f"r{n}", ended=(100 + n) * DAY) for n in range(3)]
    assert retained(*runs, retention=NINETY | {"keep_best": 2}) == "r2"


def test_a_run_that_a_model_version_came_from_is_never_deleted():
    assert retained(OLD, OLDER, unreferenced=("old",), retention=NINETY) == "old"
    assert retained(OLD, OLDER, unreferenced=(), retention=NINETY) is None


def test_a_run_not_yet_checked_for_model_versions_is_kept():
    """Observing checks some runs at a time; an unchecked run may be the source of a version."""
    runs = [tracked_run(f"r{n:02}", ended=(200 - n) * DAY) for n in range(40)]
    assert retained(*runs, unreferenced=(), retention=NINETY) is None


def test_while_runs_are_deleted_the_experiment_is_ready_and_says_so_first():
    ours, world = (
        experiment(retention=NINETY),
        observed(runs=(OLD, OLDER), unreferenced=frozenset({"older"})),
    )
    first = decide(ours, world, NOW)
    assert recorded(first) == "Ready Retaining"
    ours = written(ours, first)
    plan = decide(ours, world, NOW)
    assert isinstance(plan, Act)
    assert (plan.actions, [event.reason for event in plan.events]) == (
        (ArchiveRun("older"),),
        ["RunExpired"],
    )
    following = decide(
        ours, observed(runs=(OLD,), unreferenced=frozenset({"old"}), deleted_runs=1), NOW
    )
    assert actions(following) == (ArchiveRun("old"),), "it was said before"
    assert said(decide(ours, observed(deleted_runs=2), NOW)) == "Ready Synced"


def test_a_very_long_retention_is_valid():
    assert retained(OLD, retention={"runs": "9999999d"}) is None


# --- deletion and errors --------------------------------------------------------------------------
def leaving(policy: str = "Delete", **more) -> Experiment:
    return experiment(about={"deleting": True}, deletion_policy=policy, **more)


def test_by_default_mlflow_keeps_its_experiment():
    plan = finalize(leaving("Retain"), observed(), NOW)
    assert plan == Finalize()


def test_with_delete_the_mlflow_experiment_is_deleted_first():
    first = finalize(leaving(), observed(), NOW)
    assert first == Act((DeleteExperiment("12"),))
    assert (
        finalize(leaving(), observed(tracked=tracked_experiment(deleted=True)), NOW) == Finalize()
    )
    assert finalize(leaving(), observed(tracked=None), NOW) == Finalize()


def test_an_experiment_stays_while_a_stage_has_a_version_from_it():
    plan = finalize(leaving(), observed(in_use=("v2 in production of fraud",)), NOW)
    assert isinstance(plan, Finalize)
    (left,) = plan.events
    assert (left.reason, left.warning) == ("LeftBehind", True)
    assert "that are in use: v2 in production of fraud." in left.message


def test_another_owner_s_experiment_is_never_deleted():
    plan = finalize(leaving(), observed(tracked=SOMEBODY_ELSES), NOW)
    assert plan == Finalize()


GONE = Invalid("Kubernetes", "read connection", "risk/modelyard-connection", "there is no Secret")
ERRORS = [
    (GONE, "Stalled ConnectionMissing"),
    (Unavailable("MLflow", "read experiment", "risk/fraud"), "Reconciling MLflowUnavailable"),
    (Ambiguous("MLflow", "create experiment", "risk/fraud"), "Reconciling MLflowUnavailable"),
    (Unavailable("S3", "list", "s3://b/"), "Reconciling StoreUnavailable"),
    (Forbidden("S3", "list", "s3://b/"), "Stalled ConnectionRefused"),
    (Invalid("MLflow", "tag experiment", "12", "a tag is too long"), "Stalled RequestRefused"),
]


@pytest.mark.parametrize(("error", "words"), ERRORS)
def test_an_error_names_its_cause_and_keeps_the_status(error: ModelyardError, words: str):
    before = written(experiment(), decide(experiment(), observed(usage=Usage(3, 9)), NOW))
    plan = on_error(before, error, NOW)
    assert (plan.requeue_after, said(plan)) == (None, words)
    assert status_of(plan).mlflow == before.status.mlflow
    assert status_of(plan).artifacts == before.status.artifacts


@pytest.mark.parametrize(
    ("error", "policy"), [*product([error for error, _ in ERRORS], ["Retain", "Delete"])]
)
def test_a_deletion_waits_for_external_cleanup_only_while_it_is_possible(
    error: ModelyardError, policy: str
):
    plan = on_error(leaving(policy), error, NOW)
    assert isinstance(plan, Finalize) == (policy == "Retain" or error is GONE)
    assert bool(plan.events) == (policy == "Delete" and error is GONE), (
        "what is left behind is said"
    )


def test_a_restart_reconciles_only_objects_with_something_to_do():
    ready = written(experiment(), decide(experiment(), observed(), NOW))
    assert in_sync(ready, ())
    assert not in_sync(
        ready.model_copy(update={"metadata": ready.metadata.model_copy(update={"generation": 2})}),
        (),
    )
    assert not in_sync(written(experiment(), on_error(experiment(), GONE, NOW)), ())
    assert not in_sync(experiment(), ())


def test_a_finished_run_reconciles_its_experiment():
    (relation,) = controller().relations
    run = {"spec": {"experiment": "fraud"}}
    assert list(relation.keys(run, None)) == []  # type: ignore[arg-type]
    assert list(
        relation.keys(run | {"status": {"completionTime": "2026-01-01T00:00:00Z"}}, None)
    ) == ["fraud"]  # type: ignore[arg-type]
