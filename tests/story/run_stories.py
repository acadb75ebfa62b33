"""Short stories of Experiments and TrainingRuns, and the reasons that each of them reaches.

Every documented reason is reached by one (`test_reasons`); the engine's reasons for every kind are
here too.

To add some: a coroutine that takes a world, under `@STORIES.reaching(...)` with what it reaches, as
`<Kind> <Reason>`; the engine's own reasons are `Every kind <Reason>`. Whole life cycles are in
`test_life`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from modelyard.errors import Forbidden, Invalid, Unavailable
from modelyard.ports import TrackedExperiment
from tests.fakes.calls import Phase
from tests.fakes.mlflow import FakeTracking
from tests.story.stories import (
    MINUTE,
    RUNNING,
    TRAINER,
    UNAVAILABLE,
    Live,
    Stories,
    Story,
    answers,
    ends,
    trains,
    waits,
)
from tests.story.world import NAMESPACE, Fate, World, manifest

__all__ = ["STORIES"]

STORIES = Stories()


# --- Experiment -----------------------------------------------------------------------------------
@STORIES.reaching("Experiment Synced", "Experiment Retaining")
async def old_runs_are_deleted(world: World) -> None:
    world.apply(manifest("Experiment", "fraud", retention={"runs": "1h"}))
    await world.run()
    for _ in range(3):
        run = await world.tracking.create_run("1", "by hand", {})
        await world.tracking.finish_run(run, "FINISHED")
    world.clock.advance(timedelta(hours=2))
    await world.run()
    assert all(run.deleted for run in world.tracking.runs_by_id.values())


@STORIES.reaching("Experiment NameTaken")
async def a_name_is_taken_in_mlflow(world: World) -> None:
    await world.tracking.create_experiment(f"{NAMESPACE}/fraud", "s3://elsewhere/fraud", {})
    world.apply(manifest("Experiment", "fraud"))
    await world.run()


@STORIES.reaching("Experiment MLflowUnavailable", "TrainingRun MLflowUnavailable")
async def mlflow_goes_down(world: World) -> None:
    trains(world, fate=RUNNING)
    await world.run()
    answers(world, UNAVAILABLE, "experiment", "runs")
    await world.run(6 * MINUTE)


@STORIES.reaching("Experiment StoreUnavailable", "TrainingRun StoreUnavailable")
async def s3_goes_down(world: World) -> None:
    trains(world, fate=RUNNING)
    await world.run()
    del world.fates["run"]
    world.cluster.remove("batch/v1/Job", NAMESPACE, "run-1")
    answers(world, Unavailable("S3", "read", "s3://b/k", "no answer"), "usage", "read")
    await world.run(6 * MINUTE)


@STORIES.reaching("Experiment ConnectionMissing", "TrainingRun ConnectionMissing")
async def the_connection_is_deleted(world: World) -> None:
    trains(world, fate=RUNNING)
    await world.run()
    world.tenants.wrong[NAMESPACE] = "there is no Secret"
    await world.run(6 * MINUTE)


@STORIES.reaching("Experiment ConnectionRefused", "TrainingRun ConnectionRefused")
async def the_password_is_changed(world: World) -> None:
    trains(world, fate=RUNNING)
    await world.run()
    answers(world, Forbidden("MLflow", "search", "risk/fraud"), "experiment", "runs")
    await world.run(6 * MINUTE)


@STORIES.reaching("Experiment RequestRefused")
async def mlflow_refuses_a_tag(world: World) -> None:
    world.apply(manifest("Experiment", "fraud"))
    await world.run()
    answers(
        world,
        Invalid("MLflow", "tag experiment", "1", "the key is too long"),
        "set_experiment_tags",
    )
    world.patch("experiments", "fraud", lambda spec: spec.update(description="cards"))
    await world.run()


# --- TrainingRun: before and while it trains ------------------------------------------------------
@STORIES.reaching("TrainingRun WaitingForExperiment")
async def a_run_comes_before_its_experiment(world: World) -> None:
    world.apply(manifest("TrainingRun", "run", experiment="fraud", trainer=TRAINER))
    await world.run()


@STORIES.reaching("TrainingRun Suspended")
async def a_run_is_suspended(world: World) -> None:
    trains(world, suspend=True)
    await world.run()


@STORIES.reaching("TrainingRun Queued")
async def a_queue_holds_the_job(world: World) -> None:
    trains(world, labels={"kueue.x-k8s.io/queue-name": "team"})
    await world.run()


@STORIES.reaching("TrainingRun Scheduling", "TrainingRun Training")
async def a_pod_starts_and_trains(world: World) -> None:
    trains(world, fate=RUNNING)
    await world.run()


@STORIES.reaching("TrainingRun Unschedulable")
async def no_node_fits_the_pod(world: World) -> None:
    scheduled = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes are available",
    }
    trains(world, fate=Fate({"phase": "Pending", "conditions": [scheduled]}))
    await world.run()


@STORIES.reaching("TrainingRun ImagePullFailed")
async def the_image_does_not_exist(world: World) -> None:
    trains(world, fate=waits("ImagePullBackOff"), trainer={"container": {"image": "team/train:1"}})
    await world.run()


@STORIES.reaching("TrainingRun ConfigurationMissing")
async def the_script_is_missing(world: World) -> None:
    trains(world, trainer={"script": {"configMap": "train", "key": "train.py"}})
    await world.run()


@STORIES.reaching("TrainingRun NoPod")
async def a_job_gets_no_pod_and_nothing_says_why(world: World) -> None:
    trains(world, fate=Fate())
    await world.run()


@STORIES.reaching("TrainingRun QuotaExceeded")
async def a_quota_refuses_the_pod(world: World) -> None:
    trains(
        world,
        fate=Fate(refused='Error creating: pods "run-1-x" is forbidden: exceeded quota: pods'),
    )
    await world.run()


@STORIES.reaching("TrainingRun PodRefused")
async def pod_security_refuses_the_pod(world: World) -> None:
    trains(
        world,
        fate=Fate(refused='Error creating: pods "run-1-x" is forbidden: violates PodSecurity'),
    )
    await world.run()


@STORIES.reaching("TrainingRun RequestRefused")
async def a_quota_refuses_the_job(world: World) -> None:
    world.cluster.refuses["Job", "run-1"] = Forbidden(
        "Kubernetes", "apply Job", "risk/run-1", "exceeded quota"
    )
    trains(world)
    await world.run()


@STORIES.reaching("TrainingRun InvalidResources")
async def kubernetes_refuses_the_resources(world: World) -> None:
    detail = (
        'Job.batch "run-1" is invalid: spec.template.spec.containers[0].resources.requests: Invalid'
        ' value: "2Gi"'
    )
    world.cluster.refuses["Job", "run-1"] = Invalid("Kubernetes", "apply Job", "risk/run-1", detail)
    trains(world)
    await world.run()


# --- TrainingRun: how it ends ---------------------------------------------------------------------
@STORIES.reaching("TrainingRun Retrying", "TrainingRun Succeeded", "TrainingRun Registering")
async def a_failed_attempt_is_repeated_and_succeeds(world: World) -> None:
    world.failing["run"] = 1
    trains(world, backoffLimit=1)
    await world.run()


@STORIES.reaching("TrainingRun Interrupted", "TrainingRun Succeeded")
async def a_node_is_drained_and_the_container_exits_with_0(world: World) -> None:
    trains(world, fate=RUNNING, trainer={"container": {"image": "team/train:1"}})
    await world.run()
    del world.fates["run"]
    now = world.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    end = {
        "completionTime": now,
        "conditions": [{"type": "Complete", "status": "True", "reason": "Completed"}],
    }
    world.tracking.end_run(world.status("trainingruns", "run")["mlflow"]["runId"], "FINISHED")
    world.cluster.remove("v1/Pod", NAMESPACE, "run-1-pod")
    world.cluster.edit("batch/v1/Job", NAMESPACE, "run-1", lambda body: body.update(status=end))
    await world.run()
    assert world.condition("trainingruns", "run", "Succeeded") == ("True", "Succeeded")
    assert [run.models for run in world.tracking.runs_by_id.values()] == [
        (*world.tracking.logged,)
    ], "trained again, in the same run"


@STORIES.reaching("TrainingRun Failed")
async def a_script_fails(world: World) -> None:
    trains(world, fate=ends(1))
    await world.run()


@STORIES.reaching("TrainingRun OutOfMemory")
async def the_kernel_kills_the_trainer(world: World) -> None:
    trains(world, fate=ends(137, because="OOMKilled"))
    await world.run()


@STORIES.reaching("TrainingRun DeadlineExceeded")
async def training_takes_too_long(world: World) -> None:
    trains(world, fate=replace(ends(143), failed="DeadlineExceeded"), activeDeadlineSeconds=60)
    await world.run()


def a_program_says(reason: str, code: int, container: str) -> Live:
    async def live(world: World) -> None:
        trains(
            world,
            fate=ends(code, container=container, reason=reason, message="why"),
            dataset={"name": "cards"},
        )
        await world.run()

    return live


for _reason, _code, _container in (
    ("VolumeFull", 73, "trainer"),
    ("ScriptInvalid", 67, "trainer"),
    ("SigningKeyUnusable", 67, "trainer"),
    ("InvalidParameters", 67, "trainer"),
    ("DatasetDigestMismatch", 65, "data"),
    ("DatasetUnavailable", 66, "data"),
    ("DatasetInvalid", 67, "data"),
):
    STORIES[f"a_program_says_{_reason}"] = Story(
        a_program_says(_reason, _code, _container), frozenset({f"TrainingRun {_reason}"})
    )


@STORIES.reaching("TrainingRun HeartbeatLost")
async def a_notebook_falls_silent(world: World) -> None:
    trains(world, trainer={"external": {}})
    world.notebooks["run"] = ["beat", "quiet"]
    await world.run(5 * MINUTE)


@STORIES.reaching("TrainingRun ExperimentGone")
async def the_mlflow_run_is_deleted_while_it_trains(world: World) -> None:
    trains(world, fate=RUNNING)
    await world.run()
    for run in world.tracking.runs_by_id:
        await world.tracking.delete_run(run)
    await world.run()


@STORIES.reaching("TrainingRun WaitingForModel")
async def the_model_to_register_with_does_not_exist(world: World) -> None:
    trains(world, register={"model": "fraud", "version": "v1"})
    await world.run()


@STORIES.reaching("TrainingRun VersionTaken")
async def two_runs_register_the_same_version(world: World) -> None:
    world.apply(manifest("RegisteredModel", "fraud"))
    trains(world, register={"model": "fraud", "version": "v1"})
    await world.run()
    world.apply(
        manifest(
            "TrainingRun",
            "again",
            experiment="fraud",
            trainer=TRAINER,
            register={"model": "fraud", "version": "v1"},
        )
    )
    await world.run()


@STORIES.reaching("TrainingRun VersionHeld")
async def a_run_is_through_before_the_one_that_holds_its_version(world: World) -> None:
    world.apply(manifest("RegisteredModel", "fraud"))
    trains(world, fate=RUNNING, register={"model": "fraud", "version": "v1"})
    await world.run()
    world.apply(
        manifest(
            "TrainingRun",
            "later",
            experiment="fraud",
            trainer=TRAINER,
            register={"model": "fraud", "version": "v1"},
        )
    )
    await world.run()


@STORIES.reaching("TrainingRun NoModel")
async def a_run_logs_no_model(world: World) -> None:
    trains(world, trainer={"external": {}}, register={"model": "fraud", "version": "v1"})
    await world.run(timedelta(seconds=20))
    world.tracking.end_run(world.status("trainingruns", "run")["mlflow"]["runId"], "FINISHED")
    await world.run()


# --- the engine's reasons for every kind
# ------------------------------------------------------------
@STORIES.reaching("Every kind InvalidSpec")
async def the_crd_is_of_another_release(world: World) -> None:
    world.apply(manifest("Experiment", "fraud", retention={"runs": 90}))
    await world.run()


@STORIES.reaching("Every kind ReconcileTimedOut", deadline=0.05)
async def mlflow_never_ends_an_answer(world: World) -> None:
    class Hanging(FakeTracking):
        async def experiment(self, name: str) -> TrackedExperiment | None:
            await asyncio.Event().wait()
            return None

    world.tenants.tracking = Hanging()
    world.apply(manifest("Experiment", "fraud"))
    await world.run(timedelta(seconds=1))


@STORIES.reaching("Every kind NoProgress", logs=True)
async def another_client_changes_a_tag_back(world: World) -> None:
    def revert(operation: str, phase: Phase) -> None:
        if operation == "set_experiment_tags" and phase == "after":
            (there,) = world.tracking.experiments.values()
            world.tracking.experiments[there.id] = replace(
                there, tags=there.tags | {"mlflow.note.content": "theirs"}
            )

    world.apply(manifest("Experiment", "fraud"))
    await world.run()
    world.calls.on_call = revert
    world.patch("experiments", "fraud", lambda spec: spec.update(description="ours"))
    await world.run()


@STORIES.reaching("Every kind InternalError", logs=True)
async def the_operator_has_a_bug(world: World) -> None:
    answers(world, ZeroDivisionError("oops"), "usage")
    world.apply(manifest("Experiment", "fraud"))
    await world.run()
