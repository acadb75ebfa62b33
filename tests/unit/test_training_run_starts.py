"""A TrainingRun before its first attempt trains: waiting, its MLflow run, parameters, its Job."""

from typing import Any

import pytest

from modelyard.plan import (
    CreateRun,
    LogParameters,
    Manifest,
)
from modelyard.training_run import build, controller
from tests.unit.builders import (
    NOW,
    RUNTIME,
    actions,
    applied,
    deleted,
    experiment,
    job,
    live,
    message,
    outside,
    said,
    training_run,
    written,
)
from tests.unit.training_run_world import OURS, READY, attempt, decide, observed, running, training


# --- before it starts -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    "there",
    [
        None,
        experiment(),
        READY.model_copy(
            update={"metadata": READY.metadata.model_copy(update={"deletion_timestamp": NOW})}
        ),
    ],
    ids=["none", "not in MLflow", "being deleted"],
)
def test_a_run_waits_for_its_experiment_and_says_so(there: Any):
    plan = decide(training_run(), observed(experiment=there), NOW)
    assert said(plan) == "Reconciling WaitingForExperiment"
    assert "starts automatically" in message(plan)
    assert ("If the name is misspelt, delete this TrainingRun" in message(plan)) == (there is None)


def test_a_ready_experiment_reconciles_the_runs_that_wait_for_it():
    relation = next(
        relation for relation in controller(RUNTIME).relations if relation.plural == "experiments"
    )
    runs = [
        {"metadata": {"name": name}, "spec": {"experiment": of}, "status": status}
        for name, of, status in NAMED
    ]

    class Cluster:
        def select(self, plural: str, namespace: str) -> list[Manifest]:
            return runs if (plural, namespace) == ("trainingruns", "risk") else []

    assert list(relation.keys({"metadata": {"name": "fraud", "namespace": "risk"}}, Cluster())) == [
        "waits",
        "new",
    ]  # type: ignore[arg-type]


NAMED: list[tuple[str, str, Any]] = [
    ("waits", "fraud", {}),
    ("new", "fraud", None),
    ("runs", "fraud", {"mlflow": {"runId": "r1"}}),
    ("other", "else", {}),
]


def test_the_mlflow_run_is_created_first_with_tags_for_its_attempt_and_code_version():
    plan = decide(training_run(), observed(), NOW)
    tags = OURS | {"modelyard.io/attempt": "1", "modelyard.io/code.version": "modelyard 1.2.3"}
    assert actions(plan) == (CreateRun("12", "fraud-1", tags),)


def test_a_script_s_code_version_is_the_digest_of_its_text():
    plan = decide(
        training_run(trainer={"script": {"config_map": "train"}}),
        observed(script="sha256:abc"),
        NOW,
    )
    action = outside(plan)
    assert isinstance(action, CreateRun)
    assert action.tags["modelyard.io/code.version"] == "sha256:abc"


def test_a_run_with_an_image_gets_no_code_version_from_us():
    action = outside(decide(training_run(trainer={"container": {"image": "a:1"}}), observed(), NOW))
    assert isinstance(action, CreateRun)
    assert "modelyard.io/code.version" not in action.tags


def test_a_missing_script_is_named_and_looked_for_again():
    plan = decide(
        training_run(trainer={"script": {"config_map": "train", "key": "a.py"}}), observed(), NOW
    )
    assert said(plan) == "Stalled ConfigurationMissing"
    assert "train" in message(plan)
    assert "a.py" in message(plan)
    assert plan.requeue_after is not None, "no watch reports a user's ConfigMap"


def test_nothing_is_created_for_a_dataset_that_the_namespace_may_not_read():
    plan = decide(
        training_run(), observed(dataset="it is outside what this namespace may read"), NOW
    )
    assert said(plan) == "Stalled DatasetUnavailable"
    assert "spec.dataset.uri: it is outside" in message(plan)
    assert plan.requeue_after is not None, "no watch tells of the connection"


def test_nothing_is_created_for_a_run_that_starts_suspended():
    plan = decide(training_run(suspend=True), observed(), NOW)
    assert said(plan) == "Reconciling Suspended"


def test_parameters_are_logged_before_anything_trains():
    run = training_run(parameters={"depth": "6", "rate": "0.1"})
    assert actions(decide(run, observed(runs=(attempt(),)), NOW)) == (
        LogParameters("r1", {"depth": "6", "rate": "0.1"}),
    )
    assert actions(decide(run, observed(runs=(attempt(parameters={"depth": "6"}),)), NOW)) == (
        LogParameters("r1", {"rate": "0.1"}),
    )


@pytest.mark.parametrize(
    "trainer",
    [{"script": {"config_map": "train"}}, {"container": {"image": "a:1"}}],
    ids=["script", "container"],
)
@pytest.mark.parametrize("end", ["Complete", "Failed"])
def test_user_code_may_log_parameters_and_the_operator_logs_the_rest_at_the_end(
    trainer: Any, end: str
):
    run = training_run(
        parameters={"depth": "6", "subsample": "1"}, trainer=trainer, backoff_limit=1
    )
    logged = {"subsample": "1.0"}
    assert list(applied(decide(run, observed(runs=(attempt(),), script="sha256:a"), NOW))) == [
        "ConfigMap/fraud-1-config",
        "Job/fraud-1-1",
    ]
    assert outside(decide(run, training(run, running(run), parameters=logged), NOW)) is None
    there = job(build.job(run, 1, "r1", RUNTIME), end)
    closed = attempt(1, "FINISHED" if end == "Complete" else "FAILED", parameters=logged)
    for world in (observed(there, runs=(closed,)), observed(runs=(closed,))):
        assert actions(decide(run, world, NOW)) == (LogParameters("r1", {"depth": "6"}),)


def test_a_parameter_that_a_script_logged_otherwise_is_left_as_it_is():
    """MLflow would always refuse another value."""
    run = training_run(parameters={"depth": "6"})
    assert outside(decide(run, observed(runs=(attempt(parameters={"depth": "7"}),)), NOW)) is None


def test_the_job_is_created_together_with_its_configuration():
    plan = decide(training_run(), observed(runs=(attempt(),)), NOW)
    assert list(applied(plan)) == ["ConfigMap/fraud-1-config", "Job/fraud-1-1"]
    environment = applied(plan)["Job/fraud-1-1"]["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "MLFLOW_RUN_ID", "value": "r1"} in environment


def test_a_deleted_job_is_created_again_for_the_same_attempt():
    run = written(training_run(), decide(training_run(), training(training_run()), NOW))
    assert run.status.job_uid == "uid-job-fraud-1-1"
    gone = observed(live(build.config_map(run)), runs=(attempt(),))
    # First the loss of the recorded Job is recorded: the next one has another uid.
    run = written(run, decide(run, gone, NOW))
    assert run.status.job_uid is None
    plan = decide(run, gone, NOW)
    assert list(applied(plan)) == ["ConfigMap/fraud-1-config", "Job/fraud-1-1"]
    assert deleted(plan) == ["ConfigMap/fraud-1-config"]
