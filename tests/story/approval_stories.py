"""Stories of ModelApprovals, and of stages that wait for them, as in `model_stories`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from modelyard.adapters.kubernetes_approvals import UNGUARDED
from modelyard.api.wire import DATASET_TAGS
from modelyard.errors import Forbidden
from modelyard.plan import Manifest
from tests.story.model_acts import registers
from tests.story.stories import MINUTE, RUNNING, Stories, answers
from tests.story.world import World, manifest

__all__ = ["STORIES", "approves", "asks"]

STORIES = Stories()
APPROVED = {"name": "approved", "approvals": {"atLeast": 2, "expireAfter": "2h"}}
HALF_AN_HOUR = timedelta(minutes=30)


def asks(world: World, *gates: Manifest, **stage: Any) -> None:
    """Apply a model whose stage production wants v1, registered by dana and requested by rita."""
    stage = {"version": "v1", "requestedBy": "rita", "gates": list(gates)} | stage
    registers(world, stages={"production": stage})
    world.patch("trainingruns", "run", lambda spec: spec["register"].update(registeredBy="dana"))


def approves(world: World, who: str, name: str = "", **spec: Any) -> None:
    """Create a ModelApproval that approves, unless `spec` says otherwise."""
    digest = next(
        (
            each.get("digest")
            for each in world.status("registeredmodels", "fraud").get("versions", [])
        ),
        None,
    )
    about = {
        "model": "fraud",
        "stage": "production",
        "version": "v1",
        "digest": digest or f"sha256:{'0' * 64}",
    }
    world.apply(
        manifest(
            "ModelApproval",
            name or f"by-{who}",
            **about | {"decision": "Approve", "approver": who} | spec,
        )
    )


async def passes(world: World, hours: int) -> None:
    """Let some hours pass, with everything that becomes due in them."""
    for _ in range(2 * hours):
        await world.run(HALF_AN_HOUR)


def verdict(world: World) -> tuple[str, str]:
    """Return the verdict of production's first gate."""
    gate = world.status("registeredmodels", "fraud")["stages"]["production"]["gates"][0]
    return gate["verdict"], gate["message"]


def effective(world: World) -> str | None:
    found: str | None = world.status("registeredmodels", "fraud")["stages"]["production"].get(
        "version"
    )
    return found


@STORIES.reaching(
    "RegisteredModel ApprovalWanted", "RegisteredModel Serving", "ModelApproval Counts",
    "ModelApproval OwnWork", "ModelApproval Duplicate", "ModelApproval Effective",
)  # fmt: skip
async def two_others_approve_what_one_asked_for(world: World) -> None:
    asks(world, APPROVED)
    await world.run()
    assert world.cluster.all("apps/v1/Deployment") == [], "nothing starts while people are awaited"
    wanted = [each for each in world.cluster.events if each[2] == "ApprovalWanted"]
    assert len(wanted) == 1, wanted
    assert "modelyard approve fraud v1 --stage production" in wanted[0][3]
    for who, name in (("rita", ""), ("dana", ""), ("bob", ""), ("bob", "bob-again")):
        approves(world, who, name)
    await world.run()
    assert verdict(world)[0] == "Pending"
    assert verdict(world)[1].startswith("1 of 2: bob; not counted: ")
    assert effective(world) is None
    approves(world, "carla")
    await world.run()
    assert verdict(world) == ("Pass", "2 of 2: bob, carla")
    assert effective(world) == "v1"


@STORIES.reaching("RegisteredModel GatesPending")
async def a_stage_waits_for_people_while_another_one_waits_for_something_else(world: World) -> None:
    quality = {"name": "quality", "metric": {"name": "f1", "atLeast": "0.9"}}
    asks(world, APPROVED)
    world.patch(
        "registeredmodels",
        "fraud",
        lambda spec: spec["stages"].update(canary={"version": "v1", "gates": [quality]}),
    )
    await world.run(HALF_AN_HOUR)
    assert world.condition("registeredmodels", "fraud") == ("False", "GatesPending")
    told = [each[3] for each in world.cluster.events if each[2] == "ApprovalWanted"]
    assert [each.partition(" (")[0] for each in told] == ["production: v1 waits to be approved"]


@STORIES.reaching("RegisteredModel GateFailed")
async def one_rejects_and_the_rejection_stays_until_it_is_tried_again(world: World) -> None:
    asks(world, APPROVED)
    await world.run()
    approves(world, "bob")
    approves(world, "olga", decision="Reject", comment="the holdout leaked")
    await world.run()
    assert verdict(world) == ("Fail", "rejected by olga: the holdout leaked")
    world.cluster.remove("modelapprovals", "risk", "by-olga")
    approves(world, "carla")
    await world.run()
    assert effective(world) is None, "a rejected version is not retried automatically"
    world.patch(
        "registeredmodels", "fraud", lambda spec: spec["stages"]["production"].update(attempt=1)
    )
    await world.run()
    assert effective(world) == "v1"


@STORIES.reaching("ModelApproval ExpiresSoon", "ModelApproval Expired")
async def an_approval_expires_before_the_second_one_comes(world: World) -> None:
    asks(world, APPROVED)
    await world.run()
    approves(world, "bob")
    await passes(world, 2)
    told = [each[2] for each in world.cluster.events if each[0] == "ModelApproval"]
    assert told == ["Counts", "ExpiresSoon", "Expired"]
    approves(world, "carla")
    await world.run()
    assert verdict(world) == ("Pending", "1 of 2: carla; not counted: bob (Expired)")


@STORIES.reaching("RegisteredModel ApprovalWanted", "ModelApproval Counts")
async def an_approval_is_withdrawn_while_the_candidate_starts(world: World) -> None:
    world.fates["v1"] = RUNNING
    asks(world, APPROVED | {"approvals": {"atLeast": 1}})
    await world.run()
    approves(world, "bob")
    await world.run()
    assert len(world.cluster.all("apps/v1/Deployment")) == 1
    world.cluster.remove("modelapprovals", "risk", "by-bob")
    await world.run()
    assert verdict(world) == ("Pending", "0 of 1")
    assert world.cluster.all("apps/v1/Deployment") == []
    del world.fates["v1"]
    approves(world, "carla")
    await world.run()
    assert effective(world) == "v1"
    world.cluster.remove("modelapprovals", "risk", "by-carla")
    await world.run()
    assert (effective(world), verdict(world)) == ("v1", ("Pass", "1 of 1: carla")), (
        "what has taken the stage keeps it"
    )


@STORIES.reaching(
    "ModelApproval NotAskedFor",
    "ModelApproval OtherDigest",
    "ModelApproval NoSuchGate",
    "ModelApproval Counts",
)
async def an_approval_is_for_bytes_a_gate_and_a_version_that_is_asked_for(world: World) -> None:
    asks(world, {"name": "pipeline", "external": {}}, version=None)
    await world.run()
    approves(world, "system:serviceaccount:ci:release", "early", gate="pipeline")
    approves(world, "bob", "unnamed")
    await world.run()
    assert world.condition("modelapprovals", "early") == ("False", "NotAskedFor")
    approves(world, "eve", "other", gate="pipeline", digest=f"sha256:{'f' * 64}")
    world.cluster.guarded = False
    world.promote("fraud", "production", "v1")
    await world.run()
    assert verdict(world) == ("Error", UNGUARDED), "never a Pass"
    assert world.condition("modelapprovals", "other") == ("False", "OtherDigest")
    world.cluster.guarded = True
    await world.run()
    assert effective(world) == "v1"


@STORIES.reaching("ModelApproval NoSuchGate")
async def what_no_stage_can_use_is_deleted_after_an_hour(world: World) -> None:
    asks(world, APPROVED)
    await world.run()
    approves(world, "bob")
    approves(world, "eve", digest=f"sha256:{'f' * 64}")
    approves(world, "eve", "of-another", model="gone")
    await world.run()
    assert world.condition("modelapprovals", "of-another") == ("False", "NoSuchGate")
    await passes(world, 1)
    assert [each["metadata"]["name"] for each in world.cluster.all("modelapprovals")] == ["by-bob"]


@STORIES.reaching("ModelApproval RequestRefused")
async def the_deletion_of_what_no_stage_can_use_is_refused(world: World) -> None:
    asks(world, APPROVED)
    await world.run()
    approves(world, "eve", "of-another", model="gone")
    refusal = Forbidden("Kubernetes", "delete ModelApproval", "risk/of-another", "a policy says no")
    answers(world, refusal, "delete")
    await passes(world, 2)
    assert world.condition("modelapprovals", "of-another", "Stalled") == ("True", "RequestRefused")


@STORIES.reaching("RegisteredModel ApprovalWanted", "RegisteredModel GateFailed")
async def a_dataset_gets_too_old_while_people_are_awaited(world: World) -> None:
    """The model is reconciled at that time, though nothing else happens."""
    world.notebooks["run"] = ["beat"]
    asks(world, {"name": "fresh", "dataset": {"maxAge": "2h"}}, APPROVED)
    world.patch("trainingruns", "run", lambda spec: spec.update(trainer={"external": {}}))
    await world.run()
    run = world.status("trainingruns", "run")["mlflow"]["runId"]
    await world.tracking.set_run_tags(
        run, {f"{DATASET_TAGS}digest": f"sha256:{'1' * 64}", f"{DATASET_TAGS}rows": "10"}
    )
    world.notebooks["run"] = ["well", "quiet"]
    await world.run(MINUTE)
    assert verdict(world)[0] == "Pass", verdict(world)
    approves(world, "bob")
    await passes(world, 1)
    assert verdict(world)[0] == "Pass"
    await passes(world, 2)
    assert verdict(world)[0] == "Fail"
    told = [each[3] for each in world.cluster.events if each[2] == "GateFailed"]
    assert len(told) == 1, told
    approves(world, "carla")
    await world.run()
    assert effective(world) is None
