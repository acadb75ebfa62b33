"""Short stories of RegisteredModels, and the reasons that each of them reaches.

Every documented reason is reached by one (`test_reasons`). To add one: a coroutine that takes a
world, under `@STORIES.reaching(...)` with what it reaches, as `<Kind> <Reason>`; the engine's own
reasons are `Every kind <Reason>`. `test_life` has whole life cycles, `model_acts` the actions of
users.
"""

from __future__ import annotations

from dataclasses import replace

from modelyard.api.record import folder
from modelyard.api.record import name as object_name
from modelyard.errors import Forbidden, Invalid, Unavailable
from modelyard.plan import Manifest
from tests.story.model_acts import freezes, plans, registers, takes_no_entry, watches
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

__all__ = ["STORIES", "freezes", "plans", "registers", "watches"]

STORIES = Stories()


@STORIES.reaching(
    "RegisteredModel Registering",
    "RegisteredModel Registered",
    "RegisteredModel Promoting",
    "RegisteredModel Serving",
)
async def a_version_is_registered_and_promoted(world: World) -> None:
    registers(world)
    await world.run()
    world.promote("fraud", "production", "v1")
    await world.run()


@STORIES.reaching("RegisteredModel GatesPending", "RegisteredModel GateFailed")
async def a_gate_waits_for_a_metric_and_then_fails(world: World) -> None:
    quality = {"name": "quality", "metric": {"name": "f1", "atLeast": "0.9"}}
    registers(world, stages={"production": {"version": "v1", "gates": [quality]}})
    await world.run()
    run = world.status("trainingruns", "run")["mlflow"]["runId"]
    world.tracking.log_metric(run, "f1", 0.8)
    await world.run()


@STORIES.reaching("RegisteredModel GatesPending")
async def the_objective_is_turned_round_before_a_worse_version_is_trained(world: World) -> None:
    compared = {"name": "no-worse", "incumbent": {"metric": "f1"}}
    registers(world, stages={"production": {"version": "v1", "gates": [compared]}})
    world.patch("experiments", "fraud", lambda spec: spec.update(objective={"metric": "f1"}))
    await world.run()
    assert world.serving("fraud-production") == "v1", "there was nothing to compare with"
    world.patch(
        "experiments",
        "fraud",
        lambda spec: spec.update(objective={"metric": "f1", "goal": "Minimize"}),
    )
    world.apply(
        manifest(
            "TrainingRun",
            "other",
            experiment="fraud",
            trainer=TRAINER,
            register={"model": "fraud", "version": "v2"},
        )
    )
    await world.run()
    for name, value in (("run", 0.9), ("other", 0.1)):
        world.tracking.log_metric(
            world.status("trainingruns", name)["mlflow"]["runId"], "f1", value
        )
    goals = [world.status("trainingruns", name)["objective"]["goal"] for name in ("run", "other")]
    assert goals == ["Maximize", "Minimize"], "as it was when each began"
    world.promote("fraud", "production", "v2")
    await world.run()
    (gate,) = world.status("registeredmodels", "fraud")["stages"]["production"]["gates"]
    assert (
        gate["message"]
        == "which f1 is better? trained were v2 to minimize it, v1 to maximize it: set"
        " incumbent.direction"
    )
    assert world.serving("fraud-production") == "v1"


@STORIES.reaching(
    "RegisteredModel NotVerifiedYet",
    "RegisteredModel Verified",
    "RegisteredModel VerificationFailed",
    "RegisteredModel NothingToVerify",
)
async def what_serves_is_asked_again_and_fails_and_then_nothing_is_left_to_ask(
    world: World,
) -> None:
    quality = {"name": "quality", "metric": {"name": "accuracy", "atLeast": "0.9"}}
    registers(
        world,
        stages={"production": {"version": "v1", "gates": [quality], "reverify": {"every": "10m"}}},
    )
    await world.run()
    await world.run(11 * MINUTE)
    assert world.condition("registeredmodels", "fraud", "Verified") == ("True", "Verified")
    run = world.status("trainingruns", "run")["mlflow"]["runId"]
    world.tracking.log_metric(run, "accuracy", 0.8)
    await world.run(11 * MINUTE)
    assert world.condition("registeredmodels", "fraud", "Verified") == (
        "False",
        "VerificationFailed",
    )
    assert (world.condition("registeredmodels", "fraud"), world.serving("fraud-production")) == (
        ("True", "Serving"),
        "v1",
    )
    world.patch(
        "registeredmodels", "fraud", lambda spec: spec["stages"]["production"].update(gates=[])
    )
    world.promote("fraud", "production", None)
    await world.run()
    spec = {"version": "v1", "reverify": {"every": "10m"}}
    world.patch("registeredmodels", "fraud", lambda body: body["stages"].update(production=spec))
    await world.run()


@STORIES.reaching("RegisteredModel WaitingForStage")
async def a_version_has_not_held_the_stage_that_it_must_come_from(world: World) -> None:
    registers(world, stages={"staging": {}, "production": {"version": "v1", "from": "staging"}})
    await world.run()


@STORIES.reaching("RegisteredModel Frozen")
async def a_freeze_holds_a_promotion(world: World) -> None:
    registers(world)
    await world.run()
    freezes(world, "4h")
    world.promote("fraud", "production", "v1")
    await world.run()


@STORIES.reaching("RegisteredModel Planned")
async def a_change_is_planned(world: World) -> None:
    registers(world)
    await world.run()
    plans(world, "v1")
    await world.run()


@STORIES.reaching("RegisteredModel FreezeInvalid")
async def a_freeze_has_a_time_zone_that_nobody_knows(world: World) -> None:
    registers(world)
    await world.run()
    freezes(world, "4h", timeZone="Europe/Atlantis")
    world.promote("fraud", "production", "v1")
    await world.run()


@STORIES.reaching("RegisteredModel RecordPending")
async def s3_takes_no_entry_of_the_history_until_no_promotion_starts(world: World) -> None:
    registers(world, production="v1")
    world.apply(
        manifest(
            "TrainingRun",
            "other",
            experiment="fraud",
            trainer=TRAINER,
            register={"model": "fraud", "version": "v2"},
        )
    )
    await world.run()
    takes_no_entry(world)
    world.promote("fraud", "production", None)
    await world.run()
    assert world.condition("registeredmodels", "fraud", "Synced") == ("False", "RecordPending")

    def more(body: Manifest) -> None:
        status = body["status"]
        first, last = status["history"][0], status["record"]["number"]
        status["history"] += [first | {"record": number} for number in range(last + 1, 42)]
        status["record"]["number"] = 41

    world.cluster.edit("registeredmodels", NAMESPACE, "fraud", more)
    world.promote("fraud", "production", "v2")
    await world.run()
    assert world.condition("registeredmodels", "fraud", "Stalled") == ("True", "RecordPending")


@STORIES.reaching("RegisteredModel RecordConflict")
async def something_else_lies_where_an_entry_of_the_history_belongs(world: World) -> None:
    registers(world)
    await world.run()
    uid = world.get("registeredmodels", "fraud")["metadata"]["uid"]
    world.store.put(f"s3://{world.tenants.bucket}/{folder(NAMESPACE, uid)}{object_name(1)}", b"{}")
    world.promote("fraud", "production", "v1")
    await world.run()
    assert world.serving("fraud-production") == "v1"


@STORIES.reaching("RegisteredModel OverrideEnded")
async def an_override_of_a_minute_ends(world: World) -> None:
    registers(world, production="v1")
    world.apply(
        manifest(
            "TrainingRun",
            "other",
            experiment="fraud",
            trainer=TRAINER,
            register={"model": "fraud", "version": "v2"},
        )
    )
    await world.run()
    until = (world.clock.now() + MINUTE).isoformat()
    override = {"version": "v2", "reason": "incident 4711", "until": until}
    world.patch(
        "registeredmodels",
        "fraud",
        lambda spec: spec["stages"]["production"].update(override=override),
    )
    await world.run()
    assert world.serving("fraud-production") == "v2"
    told = [each[2] for each in world.cluster.events if each[2].startswith("Overrid")]
    assert told == ["Overridden", "OverrideEndsSoon", "OverrideEnded", "OverrideEnded"], (
        "one event for each, and of the end also what to do"
    )


@STORIES.reaching("RegisteredModel RolledBack")
async def a_version_fails_after_the_switch(world: World) -> None:
    registers(world, production="v1")
    world.apply(
        manifest(
            "TrainingRun",
            "other",
            experiment="fraud",
            trainer=TRAINER,
            register={"model": "fraud", "version": "v2"},
        )
    )
    await world.run()
    world.patch(
        "registeredmodels",
        "fraud",
        lambda spec: spec["stages"]["production"].update(version="v2", rollback={"automatic": {}}),
    )
    await world.run(MINUTE)
    assert world.serving("fraud-production") == "v2"
    watches(world, "v2", failing=50)
    await world.run()
    assert world.serving("fraud-production") == "v1"


@STORIES.reaching("RegisteredModel WatchFailed")
async def a_first_version_fails_after_the_switch(world: World) -> None:
    registers(world, stages={"production": {"version": "v1", "rollback": {"automatic": {}}}})
    await world.run(MINUTE)
    watches(world, "v1", failing=50)
    await world.run()
    assert world.serving("fraud-production") == "v1"


@STORIES.reaching("RegisteredModel ScaledToZero")
async def a_stage_is_scaled_to_nothing(world: World) -> None:
    registers(world, production="v1")
    await world.run()
    world.patch(
        "registeredmodels",
        "fraud",
        lambda spec: spec["stages"]["production"].update(serving={"replicas": 0}),
    )
    await world.run()


@STORIES.reaching("RegisteredModel WaitingForVersion")
async def a_stage_asks_for_a_version_that_still_trains(world: World) -> None:
    registers(world, fate=RUNNING, production="v1")
    await world.run()


@STORIES.reaching("RegisteredModel VersionUnknown")
async def a_stage_asks_for_a_version_that_nobody_declares(world: World) -> None:
    world.apply(manifest("RegisteredModel", "fraud", stages={"production": {"version": "v9"}}))
    await world.run()


@STORIES.reaching("RegisteredModel VersionHeld")
async def the_run_that_a_stage_waits_for_is_created_again(world: World) -> None:
    registers(world, fate=RUNNING, production="v1")
    await world.run()
    world.cluster.remove("trainingruns", NAMESPACE, "run")
    await world.run()
    world.apply(
        manifest(
            "TrainingRun",
            "run",
            experiment="fraud",
            trainer=TRAINER,
            register={"model": "fraud", "version": "v1"},
        )
    )
    await world.run()


@STORIES.reaching("RegisteredModel VersionInvalid")
async def a_version_comes_from_a_run_that_failed(world: World) -> None:
    trains(world, fate=ends(1))
    world.apply(
        manifest(
            "RegisteredModel",
            "fraud",
            versions={"v1": {"trainingRun": "run"}},
            stages={"production": {"version": "v1"}},
        )
    )
    await world.run()


@STORIES.reaching("RegisteredModel VersionTaken")
async def a_version_is_declared_again_from_another_source(world: World) -> None:
    registers(world, production="v1")
    await world.run()
    world.patch(
        "registeredmodels",
        "fraud",
        lambda spec: spec.update(versions={"v1": {"uri": "s3://mlflow-artifacts/risk/other"}}),
    )
    await world.run()


@STORIES.reaching("RegisteredModel ArtifactMissing")
async def there_is_nothing_where_a_version_should_be(world: World) -> None:
    world.apply(manifest("Experiment", "fraud"))
    versions = {"v1": {"uri": "s3://mlflow-artifacts/risk/nothing"}}
    world.apply(
        manifest(
            "RegisteredModel", "fraud", versions=versions, stages={"production": {"version": "v1"}}
        )
    )
    await world.run()


@STORIES.reaching("RegisteredModel ArtifactDigestMismatch")
async def the_files_of_a_version_are_overwritten(world: World) -> None:
    registers(world)
    await world.run()
    (logged,) = world.tracking.logged.values()
    world.store.put(f"{logged.uri}/model.ubj", b"other trees")
    world.promote("fraud", "production", "v1")
    await world.run(6 * MINUTE)


@STORIES.reaching("RegisteredModel NotServing")
async def the_pods_that_serve_are_evicted(world: World) -> None:
    registers(world, production="v1")
    await world.run()
    world.fates["v1"] = Fate()
    await world.run(6 * MINUTE)


def a_pod_cannot_serve(fate: Fate) -> Live:
    async def live(world: World) -> None:
        world.fates["v1"] = fate
        registers(world, production="v1")
        await world.run()

    return live


UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/3 nodes are available",
}
for _reason, _fate in {
    "ServingFailed": ends(
        67, container="model", reason="LoadFailed", message="model.ubj is cut short"
    ),
    "CodeModelForbidden": ends(
        67, container="model", reason="CodeModelForbidden", message="it is a pickle"
    ),
    "ArtifactInvalid": ends(67, container="fetch", reason="ArtifactInvalid", message="../x"),
    "VolumeFull": ends(73, container="fetch", reason="VolumeFull", message="no space left"),
    "OutOfMemory": ends(137, container="model", because="OOMKilled"),
    "Unschedulable": Fate({"phase": "Pending", "conditions": [UNSCHEDULABLE]}),
    "ImagePullFailed": waits("ErrImagePull"),
    "ConfigurationMissing": waits("CreateContainerConfigError"),
    "QuotaExceeded": Fate(failed='pods "x" is forbidden: exceeded quota: team'),
    "PodRefused": Fate(failed='pods "x" is forbidden: violates PodSecurity "restricted:latest"'),
}.items():
    _live = a_pod_cannot_serve(
        replace(_fate, failed="" if _fate.failed == "BackoffLimitExceeded" else _fate.failed)
    )
    STORIES[f"a_pod_cannot_serve_{_reason}"] = Story(
        _live, frozenset({f"RegisteredModel {_reason}"})
    )


@STORIES.reaching("RegisteredModel NameTaken")
async def a_model_s_name_is_taken_in_mlflow(world: World) -> None:
    await world.tracking.create_model(f"{NAMESPACE}.fraud", "", {})
    world.apply(manifest("RegisteredModel", "fraud"))
    await world.run()


@STORIES.reaching("RegisteredModel Drifted", "RegisteredModel Synced")
async def another_client_moves_an_alias(world: World) -> None:
    registers(world, production="v1", drift="Warn")
    await world.run()
    await world.tracking.delete_alias(f"{NAMESPACE}.fraud", "production")
    await world.run(6 * MINUTE)


@STORIES.reaching("RegisteredModel MLflowUnavailable")
async def mlflow_goes_down_while_a_model_is_served(world: World) -> None:
    registers(world, production="v1")
    await world.run()
    answers(world, UNAVAILABLE, "model", "versions")
    await world.run(6 * MINUTE)


@STORIES.reaching("RegisteredModel StoreUnavailable")
async def s3_goes_down_before_a_version_is_registered(world: World) -> None:
    registers(
        world,
        fate=RUNNING,
        production="v2",
        versions={"v2": {"uri": "s3://mlflow-artifacts/risk/v2"}},
    )
    answers(world, Unavailable("S3", "read", "s3://b/k", "no answer"), "read", "objects", "digest")
    await world.run(6 * MINUTE)


@STORIES.reaching("RegisteredModel ConnectionMissing")
async def a_model_s_namespace_has_no_connection(world: World) -> None:
    world.tenants.wrong[NAMESPACE] = "there is no Secret"
    world.apply(manifest("RegisteredModel", "fraud"))
    await world.run()


@STORIES.reaching("RegisteredModel ConnectionRefused")
async def mlflow_refuses_the_password_of_a_model_s_namespace(world: World) -> None:
    answers(world, Forbidden("MLflow", "find model", "risk.fraud"), "model")
    world.apply(manifest("RegisteredModel", "fraud"))
    await world.run()


@STORIES.reaching("RegisteredModel RequestRefused")
async def mlflow_refuses_a_model(world: World) -> None:
    answers(
        world,
        Invalid("MLflow", "create model", "risk.fraud", "the name is reserved"),
        "create_model",
    )
    world.apply(manifest("RegisteredModel", "fraud"))
    await world.run()


@STORIES.reaching("RegisteredModel Deleting")
async def a_model_is_deleted_with_its_registry_entry(world: World) -> None:
    registers(world, deletionPolicy="Delete")
    await world.run()
    world.cluster.remove("registeredmodels", NAMESPACE, "fraud")
    await world.run()
