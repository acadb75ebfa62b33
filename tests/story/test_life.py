"""Whole stories through the real engine: an experiment, its runs, promotions, a rollback."""

from datetime import timedelta

from modelyard.errors import Invalid
from tests.story.world import NAMESPACE, World, manifest

TRAINER = {"xgboost": {"task": "classification"}}


def fraud(world: World) -> None:
    """Experiment, two runs that register, a model without a version in production."""
    world.apply(
        manifest(
            "Experiment",
            "fraud",
            objective={"metric": "accuracy", "goal": "Maximize"},
            tags={"team": "risk"},
        ),
        manifest(
            "TrainingRun",
            "fraud-001",
            experiment="fraud",
            trainer=TRAINER,
            parameters={"max_depth": "6"},
            register={"model": "fraud", "version": "v1"},
        ),
        manifest(
            "TrainingRun",
            "fraud-002",
            experiment="fraud",
            trainer=TRAINER,
            register={"model": "fraud", "version": "v2"},
        ),
        manifest("RegisteredModel", "fraud", stages={"staging": {}, "production": {}}),
    )


def deployed(world: World) -> list[str]:
    """Return the versions that have a Deployment."""
    return [
        each["metadata"]["labels"]["modelyard.io/version"]
        for each in world.cluster.all("apps/v1/Deployment")
    ]


async def test_from_nothing_to_a_served_version_and_back():
    world = World()
    fraud(world)
    await world.run()
    assert world.condition("experiments", "fraud") == ("True", "Synced")
    assert world.condition("trainingruns", "fraud-001") == ("True", "Succeeded")
    assert world.condition("trainingruns", "fraud-002") == ("True", "Succeeded")
    assert [v["name"] for v in world.status("registeredmodels", "fraud")["versions"]] == [
        "v1",
        "v2",
    ]

    world.promote("fraud", "production", "v1")
    await world.run()
    assert world.condition("registeredmodels", "fraud") == ("True", "Serving")
    assert world.serving("fraud-production") == "v1"
    model = await world.tracking.model(f"{NAMESPACE}.fraud")
    assert model is not None
    assert model.aliases == {"production": "1"}

    world.promote("fraud", "production", "v2")
    await world.run()
    world.promote("fraud", "production", "v1")
    await world.run()
    status = world.status("registeredmodels", "fraud")
    assert [(e.get("from"), e["to"], e["outcome"]) for e in status["history"]] == [
        (None, "v1", "Promoted"),
        ("v1", "v2", "Promoted"),
        ("v2", "v1", "RolledBack"),
    ]
    stages = {
        version.version: version.stage
        for version in await world.tracking.versions(f"{NAMESPACE}.fraud")
    }
    assert stages == {"1": "Production", "2": "Archived"}
    assert deployed(world) == ["v1"]


async def test_a_settled_world_is_left_alone():
    world = World()
    fraud(world)
    world.promote("fraud", "production", "v1")
    await world.run()
    writes = {"apply", "delete", "write_status", "set_finalizers", "event"}
    before = len(world.calls.named(*writes))
    await world.run(timedelta(minutes=11))
    assert [c.operation for c in world.calls.named(*writes)][before:] == []


async def test_clearing_a_stage_deletes_its_serving_objects():
    world = World()
    fraud(world)
    world.promote("fraud", "production", "v1")
    await world.run()
    world.promote("fraud", "production", None)
    await world.run()
    assert world.serving("fraud-production") is None
    assert world.cluster.all("apps/v1/Deployment") == []
    model = await world.tracking.model(f"{NAMESPACE}.fraud")
    assert model is not None
    assert model.aliases == {}


async def test_a_version_that_cannot_be_loaded_leaves_the_stable_one_serving():
    world = World()
    fraud(world)
    world.promote("fraud", "production", "v1")
    await world.run()
    world.broken["v2"] = '{"reason": "LoadFailed", "message": "model.ubj is cut short"}'
    world.promote("fraud", "production", "v2")
    await world.run()
    assert world.condition("registeredmodels", "fraud", "Stalled") == ("True", "ServingFailed")
    assert world.serving("fraud-production") == "v1"
    assert world.status("registeredmodels", "fraud")["stages"]["production"]["version"] == "v1"
    assert deployed(world) == ["v1"]
    world.promote("fraud", "production", "v1")
    await world.run()
    assert world.condition("registeredmodels", "fraud") == ("True", "Serving")


async def test_a_failed_attempt_is_retried_with_its_own_run():
    world = World()
    world.failing["again"] = 2
    world.apply(
        manifest("Experiment", "fraud"),
        manifest("TrainingRun", "again", experiment="fraud", trainer=TRAINER, backoffLimit=2),
    )
    await world.run()
    assert world.condition("trainingruns", "again") == ("True", "Succeeded")
    runs = sorted(
        (r.tags["modelyard.io/attempt"], r.status) for r in world.tracking.runs_by_id.values()
    )
    assert runs == [("1", "FAILED"), ("2", "FAILED"), ("3", "FINISHED")]


async def test_a_run_waits_for_its_experiment():
    world = World()
    world.apply(manifest("TrainingRun", "early", experiment="fraud", trainer=TRAINER))
    await world.run()
    assert world.condition("trainingruns", "early") == ("False", "WaitingForExperiment")
    world.apply(manifest("Experiment", "fraud"))
    await world.run()
    assert world.condition("trainingruns", "early") == ("True", "Succeeded")


async def test_changes_of_another_client_in_mlflow_are_put_back():
    world = World()
    fraud(world)
    world.promote("fraud", "production", "v1")
    await world.run()
    await world.tracking.set_alias(f"{NAMESPACE}.fraud", "production", "2")
    await world.run(timedelta(minutes=6))
    model = await world.tracking.model(f"{NAMESPACE}.fraud")
    assert model is not None
    assert model.aliases == {"production": "1"}
    assert any(reason == "DriftReverted" for _, _, reason, _, _ in world.cluster.events)
    assert world.condition("registeredmodels", "fraud", "Synced") == ("True", "Synced")


async def test_deleting_everything_leaves_nothing_in_the_cluster():
    world = World()
    fraud(world)
    world.promote("fraud", "production", "v1")
    await world.run()
    for plural, name in (
        ("trainingruns", "fraud-001"),
        ("trainingruns", "fraud-002"),
        ("registeredmodels", "fraud"),
        ("experiments", "fraud"),
    ):
        world.cluster.remove(plural, NAMESPACE, name)
    await world.run()
    for scope in (
        "experiments",
        "trainingruns",
        "registeredmodels",
        "apps/v1/Deployment",
        "v1/Service",
        "batch/v1/Job",
    ):
        assert world.cluster.all(scope) == []
    assert await world.tracking.model(f"{NAMESPACE}.fraud") is not None


async def test_a_job_that_kubernetes_refuses_for_its_resources_fails_its_run_permanently():
    world = World()
    detail = (
        'Job.batch "greedy-1" is invalid: spec.template.spec.containers[0].resources.requests:'
        ' Invalid value: "2Gi": must be less'
    )
    world.cluster.refuses["Job", "greedy-1"] = Invalid(
        "Kubernetes", "apply Job", f"{NAMESPACE}/greedy-1", detail
    )
    world.apply(
        manifest("Experiment", "fraud"),
        manifest("TrainingRun", "greedy", experiment="fraud", trainer=TRAINER, backoffLimit=3),
    )
    await world.run()
    assert world.condition("trainingruns", "greedy", "Succeeded") == ("False", "InvalidResources")
    assert [
        (run.status, run.tags["modelyard.io/attempt"]) for run in world.tracking.runs_by_id.values()
    ] == [("FAILED", "1")]
    assert world.cluster.all("batch/v1/Job") == []


async def test_parameters_too_large_for_a_pod_end_a_run_before_anything_is_created():
    world = World()
    parameters = {f"p{number}": "x" * 5000 for number in range(30)}
    world.apply(
        manifest("Experiment", "fraud"),
        manifest(
            "TrainingRun", "large", experiment="fraud", trainer=TRAINER, parameters=parameters
        ),
    )
    await world.run()
    assert world.condition("trainingruns", "large", "Succeeded") == ("False", "InvalidParameters")
    assert (world.tracking.runs_by_id, world.cluster.all("batch/v1/Job")) == ({}, [])
    world.cluster.remove("trainingruns", NAMESPACE, "large")
    await world.run()
    assert world.cluster.all("trainingruns") == []
