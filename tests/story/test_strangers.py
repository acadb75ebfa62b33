"""Foreign objects that claim to be owned: they must not decide anything about a run or a model.

Their creator knows the uid of our object. References from another namespace do not count. In our
namespace a user who may edit can name our object as the controller; then only the status counts.
"""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.kube.names import FIELD_MANAGER, MANAGED_BY, STAGE_LABEL, UID_LABEL
from modelyard.plan import Manifest
from tests.fakes.cluster import controlled_by
from tests.story.stories import RUNNING, trains
from tests.story.world import NAMESPACE, World, manifest

JOB, POD, DEPLOYMENT = "batch/v1/Job", "v1/Pod", "apps/v1/Deployment"
REASON = '{"reason": "DatasetInvalid", "message": "call 0190 123456"}'


def stranger(
    kind: str, name: str, owner: Manifest, namespace: str, *, forged: bool, **labels: str
) -> Manifest:
    """Return an object with our labels and, if it is forged, a controller reference to an object
    of ours.
    """
    about: Manifest = {
        "name": name,
        "namespace": namespace,
        "labels": {MANAGED_BY: FIELD_MANAGER, UID_LABEL: owner["metadata"]["uid"], **labels},
    }
    about |= {"ownerReferences": [controlled_by(owner)]} if forged else {}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "trainer", "env": []}]},
    }
    spec = (
        {"containers": []}
        if kind == "Pod"
        else {"template": template, "suspend": True, "replicas": 0}
    )
    return {
        "apiVersion": {"Job": "batch/v1", "Pod": "v1"}.get(kind, "apps/v1"),
        "kind": kind,
        "metadata": about,
        "spec": spec,
    }


def completes(world: World, job: Manifest) -> None:
    """Create a complete Job with a pod that ended with a message."""
    made, meta = world.cluster.create(job), job["metadata"]
    world.cluster.edit(
        JOB,
        meta["namespace"],
        meta["name"],
        lambda body: body.update(status={"conditions": [{"type": "Complete", "status": "True"}]}),
    )
    pod = stranger(
        "Pod", f"{meta['name']}-x", made, meta["namespace"], forged=True, **{"job-name": "run-1"}
    )
    world.cluster.create(pod)
    ended = {"name": "trainer", "state": {"terminated": {"exitCode": 1, "message": REASON}}}
    world.cluster.edit(
        POD,
        meta["namespace"],
        f"{meta['name']}-x",
        lambda body: body.update(status={"phase": "Failed", "containerStatuses": [ended]}),
    )


def told(world: World) -> str:
    """Return everything that the run's statuses have ever contained."""
    return str([call.arguments[1] for call in world.calls.named("write_status")])


WHERE: dict[str, tuple[str, bool, str]] = {
    "another namespace": ("theirs", False, "run-1"),
    "another namespace, forged": ("theirs", True, "run-1"),
    "ours, another name": (NAMESPACE, False, "other"),
    "ours, another name, forged": (NAMESPACE, True, "other"),
    "ours, the attempt's name, forged": (NAMESPACE, True, "run-1"),
}


@pytest.mark.parametrize("where", WHERE)
async def test_a_job_that_the_operator_did_not_create_does_not_end_a_run(where: str):
    """It exists before the run's own Job, because the run waits for its Experiment."""
    namespace, forged, name = WHERE[where]
    world = World()
    world.fates["run"] = RUNNING
    world.apply(manifest("TrainingRun", "run", experiment="fraud", trainer={"xgboost": {}}))
    await world.run()
    completes(
        world, stranger("Job", name, world.get("trainingruns", "run"), namespace, forged=forged)
    )
    world.apply(manifest("Experiment", "fraud"))
    await world.run()
    assert world.condition("trainingruns", "run") == ("False", "Training")
    assert "0190" not in told(world)
    job = world.cluster.live(JOB, NAMESPACE, "run-1")
    assert job is not None
    assert world.status("trainingruns", "run")["jobUID"] == job["metadata"]["uid"]
    assert len(world.calls.named("delete")) == (name == "run-1" and namespace == NAMESPACE), (
        "once, and nothing else"
    )


async def test_a_job_that_replaces_ours_does_not_end_a_run():
    world = World()
    trains(world, fate=RUNNING)
    await world.run()
    ours = world.get("trainingruns", "run")
    run = ours["status"]["mlflow"]["runId"]
    theirs = stranger("Job", "run-1", ours, NAMESPACE, forged=True)
    theirs["spec"]["template"]["spec"]["containers"][0]["env"] = [
        {"name": "MLFLOW_RUN_ID", "value": run}
    ]
    world.cluster.deaf = True  # the operator observes one, then the other
    world.cluster.remove(JOB, NAMESPACE, "run-1")
    completes(world, theirs)
    world.cluster.relisten()
    await world.run()
    assert world.condition("trainingruns", "run") == ("False", "Training")
    assert "0190" not in told(world)


@pytest.mark.parametrize(
    ("namespace", "forged", "many"),
    [
        (NAMESPACE, True, 10_000),
        (NAMESPACE, False, 1000),
        ("theirs", True, 1000),
        ("theirs", False, 1000),
    ],
)
async def test_ten_thousand_foreign_objects_are_neither_deleted_nor_waited_for(
    namespace: str, *, forged: bool, many: int
):
    world = World()
    trains(world, fate=RUNNING)
    await world.run()
    ours = world.get("trainingruns", "run")
    world.cluster.deaf = True
    for number in range(many):
        world.cluster.create(stranger("Job", f"x-{number}", ours, namespace, forged=forged))
    world.cluster.relisten()
    await world.run()
    assert world.calls.named("delete") == []
    world.cluster.remove("trainingruns", NAMESPACE, "run")
    await world.run()
    assert world.cluster.live("trainingruns", NAMESPACE, "run") is None
    assert [call.arguments[1].name for call in world.calls.named("delete")] == ["run-1"]


@pytest.mark.parametrize("stages", [1, 80])
async def test_a_model_s_foreign_objects_are_deleted_a_few_at_a_time_and_fit_its_status(
    stages: int,
):
    """They name our model as controller, so the operator deletes them; serving does not wait for
    that.
    """
    world = World()
    world.apply(manifest("RegisteredModel", "fraud"))
    await world.run()
    model = world.get("registeredmodels", "fraud")
    world.cluster.deaf = True
    for number in range(400):
        theirs: Any = stranger(
            "ReplicaSet",
            f"x-{number}",
            model,
            NAMESPACE,
            forged=True,
            **{STAGE_LABEL: f"s{number % stages}"},
        )
        world.cluster.create(theirs | {"kind": "ControllerRevision"})
    world.cluster.relisten()
    world.calls.log.clear()
    await world.run()
    assert world.condition("registeredmodels", "fraud") == ("True", "Registered")
    assert [
        body
        for body in world.cluster.all("apps/v1/ControllerRevision")
        if "x-" in body["metadata"]["name"]
    ] == []
    assert len(world.calls.named("delete")) == 400
    rounds = " ".join(
        call.operation for call in world.calls.named("delete", "namespace_labels")
    ).split("namespace_labels")
    assert max(each.count("delete") for each in rounds) <= 50
    assert all(
        len(status["stages"]) <= 16
        for _, status in (call.arguments for call in world.calls.named("write_status"))
    )
