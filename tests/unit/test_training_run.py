"""A TrainingRun while it trains: two values and a clock in, a plan out.

Its start, failures and end are in the files next to this one.
"""

from dataclasses import replace
from typing import Any

import pytest

from modelyard.api.experiment import Objective
from modelyard.api.training_run import ObjectiveStatus
from modelyard.errors import Forbidden, Invalid, ModelyardError, Unavailable
from modelyard.plan import (
    Apply,
    Manifest,
    Owned,
    Plan,
    SetTags,
    Suspend,
    TagTarget,
)
from modelyard.training_run import build, controller
from modelyard.training_run.decide import in_sync, on_error
from tests.unit.builders import (
    HOUR,
    NOW,
    RUNTIME,
    URL,
    actions,
    applied,
    deleted,
    live,
    registered_model,
    said,
    status_of,
    training_run,
    written,
)
from tests.unit.training_run_world import READY, attempt, decide, observed, running, training


# --- while it trains ------------------------------------------------------------------------------
def test_while_it_trains_metrics_progress_and_time_left_are_reported():
    run = training_run(parameters={"depth": "6"})
    ours = running(
        run,
        statuses=[{"name": "trainer", "state": {"running": {"startedAt": "2026-01-01T11:59:00Z"}}}],
    )
    metrics = {"accuracy": 0.912345678, "modelyard.progress": 40.0, "system/cpu": 3.0}
    plan = decide(run, training(run, ours, metrics=metrics, parameters={"depth": "6"}), NOW)
    assert said(plan) == "Reconciling Training"
    assert plan.requeue_after is not None, "metrics come without an event"
    status = written(run, plan).status
    assert {metric.name: metric.value for metric in status.metrics} == {"accuracy": "0.912346"}
    assert status.progress
    assert (status.progress.percent, status.progress.eta_seconds) == (40, 90)
    assert (status.attempt, status.job, status.parameters) == (1, "fraud-1-1", {"depth": "6"})
    assert status.mlflow
    assert (status.mlflow.run_id, status.mlflow.url) == ("r1", f"{URL}/#/experiments/12/runs/r1")


@pytest.mark.parametrize("value", [-1.0, 101.0, float("nan"), float("inf")])
def test_invalid_progress_is_not_reported(value: float):
    run = training_run()
    assert (
        status_of(
            decide(run, training(run, running(run), metrics={"modelyard.progress": value}), NOW)
        ).progress
        is None
    )


def test_what_a_script_logs_fits_into_the_status():
    """Autologging logs hundreds of metrics; the API server refuses a status with more than the
    schema allows.
    """
    run = training_run(parameters={"zz": "1"})
    logged = {f"p{n:03}": "x" * 7000 for n in range(300)} | {"zz": "1"}
    plan = decide(
        run,
        training(
            run, running(run), parameters=logged, metrics={f"m{n}": float(n) for n in range(50)}
        ),
        NOW,
    )
    status = written(run, plan).status
    assert (len(status.parameters), len(status.metrics)) == (256, 32)
    assert status.parameters["zz"] == "1", "those of the spec come first"
    assert status.omitted_parameters == 45
    assert status.parameters["p000"] == "x" * 984 + "... and 6016 more characters"


def test_a_value_that_fits_stays_whole_and_a_name_that_does_not_is_left_out():
    run = training_run(parameters={"long": "y" * 6000, "unlogged": "z"})
    logged = {
        "fits": "x" * 1024,
        "over": "x" * 1025,
        "n" * 250: "1",
        "n" * 251: "1",
        "long": "y" * 6000,
        "unlogged": "z",
    }
    after = written(run, decide(run, training(run, running(run), parameters=logged), NOW))
    shown = after.status.parameters
    assert set(shown) == set(logged) - {"n" * 251}
    assert after.status.omitted_parameters == 1
    assert (shown["fits"], shown["over"]) == ("x" * 1024, "x" * 984 + "... and 41 more characters")
    assert after.parameters["long"] == "y" * 6000, "the spec has it whole"
    other = after.model_copy(update={"spec": training_run(parameters={"long": "other"}).spec})
    assert other.parameters["long"] == shown["long"], (
        "MLflow has another one, and that is what counts"
    )
    assert (
        written(
            run, decide(run, training(run, running(run), parameters={"a": "1"} | logged), NOW)
        ).status.omitted_parameters
        == 1
    )


def test_the_running_image_is_recorded_once():
    run = training_run()
    ours = running(
        run,
        statuses=[{"name": "trainer", "imageID": "registry/x@sha256:1", "state": {"running": {}}}],
    )
    world = training(run, ours)
    assert actions(decide(run, world, NOW)) == (
        SetTags(TagTarget("run", "r1"), {"modelyard.io/image": "registry/x@sha256:1"}),
    )
    tagged = replace(
        world.runs[1], tags={**world.runs[1].tags, "modelyard.io/image": "registry/x@sha256:1"}
    )
    assert actions(decide(run, replace(world, runs={1: tagged}), NOW)) == ()


def test_a_deleted_or_changed_config_map_is_restored():
    """Without it a waiting pod would never start."""
    run = training_run()
    world = training(run)
    config, there = world.owned
    other = config | {
        "metadata": config["metadata"] | {"annotations": {"modelyard.io/content": "0"}}
    }
    older = config | {"metadata": config["metadata"] | {"annotations": {}}}
    for left, gone in [
        ((there,), []),
        ((other, there), ["ConfigMap/fraud-1-config"]),
        ((older, there), ["ConfigMap/fraud-1-config"]),
    ]:
        plan = decide(run, replace(world, owned=left), NOW)
        assert list(applied(plan)) == ["ConfigMap/fraud-1-config"]
        assert deleted(plan) == gone, "its data cannot be changed"


# --- suspend, resume, queues ----------------------------------------------------------------------
def test_suspending_ends_the_pod_and_resuming_starts_another_in_the_same_run():
    run, held = training_run(), training_run(suspend=True)
    world = training(run, running(run))
    ending = decide(held, world, NOW)
    there = next(each for each in world.owned if each["kind"] == "Job")
    uid = there["metadata"]["uid"]
    assert actions(ending) == (Suspend("fraud-1-1", uid, True),)
    there = there | {"spec": there["spec"] | {"suspend": True}}
    world = replace(world, owned=(world.owned[0], there))
    assert said(decide(held, world, NOW)) == "Reconciling Suspended"
    assert actions(decide(run, world, NOW)) == (Suspend("fraud-1-1", uid, False),)


def test_pods_pull_by_the_secrets_of_the_run_and_by_those_of_the_operator():
    runtime = replace(RUNTIME, pull_secrets=("registry", "mirror"))

    def secrets(*named: str) -> Any:
        job = build.job(training_run(image_pull_secrets=list(named)), 1, "r1", runtime)
        return [each["name"] for each in job["spec"]["template"]["spec"]["imagePullSecrets"]]

    assert secrets("team", "registry") == ["team", "registry", "mirror"]
    assert secrets() == ["registry", "mirror"]


@pytest.mark.parametrize("suspend", [False, True])
def test_a_job_of_an_earlier_release_can_still_be_suspended_and_resumed(suspend: bool):
    """A Job's template is immutable, and this release would build another image: only `suspend` is
    applied.
    """
    run, before = training_run(suspend=suspend), training_run(suspend=not suspend)
    there = live(build.job(before, 1, "r1", replace(RUNTIME, image="modelyard/runtime:0.9")))
    plan = decide(run, observed(live(build.config_map(run)), there, runs=(attempt(),)), NOW)
    assert actions(plan) == (Suspend("fraud-1-1", there["metadata"]["uid"], suspend),)


def test_a_suspended_run_keeps_its_status():
    """I6: the status has no estimate that changes with the clock."""
    run = training_run(suspend=True)
    world = observed(
        live(build.config_map(run)),
        live(build.job(run, 1, "r1", RUNTIME)),
        runs=(attempt(metrics={"modelyard.progress": 40.0}),),
    )
    before = written(run, decide(run, world, NOW))
    assert before.status.progress
    assert before.status.progress.eta_seconds is None
    assert written(before, decide(before, world, NOW + 5 * HOUR), NOW + 5 * HOUR) == before


QUEUED = {"labels": {"kueue.x-k8s.io/queue-name": "team"}}


def test_a_queue_decides_when_its_job_starts():
    run = training_run(about=QUEUED)
    made = applied(decide(run, observed(runs=(attempt(),)), NOW))["Job/fraud-1-1"]
    assert made["spec"]["suspend"] is True
    assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"
    config = live(build.config_map(run))
    held = decide(run, observed(config, live(made), runs=(attempt(),)), NOW)
    assert said(held) == "Reconciling Queued"
    admitted = live(made | {"spec": made["spec"] | {"suspend": False}})
    going = decide(run, observed(config, admitted, running(run), runs=(attempt(),)), NOW)
    assert said(going) == "Reconciling Training"


def test_a_queued_job_that_is_to_be_suspended_is_taken_from_its_queue():
    """If it were only suspended, the queue would start it again."""
    run = training_run(about=QUEUED, suspend=True)
    world = training(run, running(run))
    assert deleted(decide(run, world, NOW)) == ["Job/fraud-1-1"]
    gone = replace(world, owned=world.owned[:1])
    assert said(decide(run, gone, NOW)) == "Reconciling Suspended"


# --- errors ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Unavailable("MLflow", "search runs", "12"), "Reconciling MLflowUnavailable"),
        (Unavailable("S3", "read", "s3://b/k"), "Reconciling StoreUnavailable"),
        (Forbidden("MLflow", "create run", "fraud-1"), "Stalled ConnectionRefused"),
        (
            Invalid("Kubernetes", "apply Job", "risk/fraud-1-1", "exceeded quota"),
            "Stalled RequestRefused",
        ),
        (
            Invalid("Kubernetes", "read connection", "risk/modelyard-connection"),
            "Stalled ConnectionMissing",
        ),
    ],
)
def test_an_error_names_its_cause_and_keeps_the_status(error: ModelyardError, words: str):
    run = training_run()
    before = written(run, decide(run, training(run, running(run), metrics={"accuracy": 0.9}), NOW))
    plan = on_error(before, error, NOW)
    assert (plan.requeue_after, said(plan)) == (None, words)
    assert (status_of(plan).mlflow, status_of(plan).metrics, status_of(plan).attempt) == (
        before.status.mlflow,
        before.status.metrics,
        1,
    )


def test_an_unchanged_world_gives_the_same_plan_twice():
    """Two reconciles of one world give the same plan, including the status."""
    run = training_run(dataset={"name": "cards"})
    world = training(run, running(run), metrics={"modelyard.progress": 50.0})
    first: Plan[Any] = decide(run, world, NOW)
    assert decide(run, world, NOW) == first
    assert not in_sync(written(run, first), world.owned)


def test_only_jobs_and_configuration_of_ours_are_ever_written():
    run = training_run(suspend=True)
    for action in actions(decide(run, training(training_run(), running(run)), NOW)):
        assert isinstance(action, Owned)
        if isinstance(action, Apply):
            assert action.manifest["metadata"]["ownerReferences"][0]["uid"] == "uid-fraud-1"


def test_a_new_model_reconciles_the_runs_that_wait_for_it():
    relation = next(
        relation
        for relation in controller(RUNTIME).relations
        if relation.plural == "registeredmodels"
    )
    register, ended = {"model": "fraud", "version": "v1"}, "2026-01-01T00:00:00Z"
    runs = [
        {
            "metadata": {"name": "waits"},
            "spec": {"register": register},
            "status": {"completionTime": ended},
        },
        {
            "metadata": {"name": "done"},
            "spec": {"register": register},
            "status": {"completionTime": ended, "registered": register},
        },
        {"metadata": {"name": "trains"}, "spec": {"register": register}},
        {
            "metadata": {"name": "other"},
            "spec": {"register": {"model": "else"}},
            "status": {"completionTime": ended},
        },
        {"metadata": {"name": "none"}, "spec": {}, "status": {"completionTime": ended}},
    ]

    class Cluster:
        def select(self, plural: str, namespace: str) -> list[Manifest]:
            return runs

    found = relation.keys(
        {"metadata": {"name": registered_model().metadata.name, "namespace": "risk"}}, Cluster()
    )  # type: ignore[arg-type]
    assert list(found) == ["waits"]


def test_the_objective_is_recorded_as_it_was_when_the_training_began():
    """A gate uses it, and users who train may change the Experiment's objective."""
    run = training_run()
    spec = READY.spec.model_copy(update={"objective": Objective(metric="f1")})
    first = status_of(
        decide(run, replace(training(run), experiment=READY.model_copy(update={"spec": spec})), NOW)
    )
    assert first.objective == ObjectiveStatus(metric="f1", goal="Maximize")
    begun = run.model_copy(update={"status": first})
    turned = READY.spec.model_copy(update={"objective": Objective(metric="f1", goal="Minimize")})
    for there in (READY.model_copy(update={"spec": turned}), READY, None):
        assert (
            status_of(decide(begun, replace(training(run), experiment=there), NOW)).objective
            == first.objective
        )
    # An objective set later does not apply to a training that had begun.
    without = run.model_copy(update={"status": status_of(decide(run, training(run), NOW))})
    assert (
        status_of(
            decide(
                without,
                replace(training(run), experiment=READY.model_copy(update={"spec": turned})),
                NOW,
            )
        ).objective
        is None
    )
