"""Stories of `autoPromote`, with the operator killed anywhere."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from modelyard.plan import Manifest
from tests.story.approval_stories import APPROVED
from tests.story.killed import Life, Undisturbed, killed_after_each_write, lived, writes
from tests.story.model_acts import freezes, watches
from tests.story.stories import TRAINER
from tests.story.test_gates import QUALITY, ended, told
from tests.story.world import World, manifest

NEWEST = {"autoPromote": {"from": "newest"}}
SLICES = 3


def begins(world: World, **stages: Any) -> None:
    world.apply(
        manifest("Experiment", "fraud"), manifest("RegisteredModel", "fraud", stages=stages)
    )


async def registers(world: World, version: str, f1: float | None = None, **more: Any) -> None:
    """Train and register a version, a minute after the previous one."""
    world.clock.advance(60)
    register = {"model": "fraud", "version": version} | more
    world.apply(
        manifest(
            "TrainingRun",
            f"train-{version}",
            experiment="fraud",
            trainer=TRAINER,
            register=register,
        )
    )
    await world.run()
    if f1 is not None:
        await measures(world, version, f1)


async def measures(world: World, version: str, f1: float) -> None:
    world.tracking.log_metric(
        world.status("trainingruns", f"train-{version}")["mlflow"]["runId"], "f1", f1
    )
    await world.run()


def stage(world: World, name: str = "production") -> Manifest:
    found: Manifest = world.status("registeredmodels", "fraud")["stages"].get(name, {})
    return found


def history(world: World) -> list[tuple[str | None, str | None, str]]:
    return [
        (entry.get("from"), entry.get("to"), entry["outcome"])
        for entry in world.status("registeredmodels", "fraud").get("history", [])
    ]


def asks(world: World, name: str = "production", **patch: Any) -> None:
    """Change a stage as a merge patch does."""

    def change(spec: Manifest) -> None:
        merged = spec["stages"][name] | patch
        spec["stages"][name] = {key: value for key, value in merged.items() if value is not None}

    world.patch("registeredmodels", "fraud", change)


async def live(world: World) -> None:
    """v1 and v3 pass, v2 does not."""
    begins(world, production=NEWEST | {"gates": [QUALITY]})
    for version, f1 in (("v1", 0.95), ("v2", 0.5), ("v3", 0.97)):
        await registers(world, version, f1)


async def end(world: World) -> dict[str, Any]:
    found = stage(world)
    return {
        "ready": world.condition("registeredmodels", "fraud"),
        "stage": (found["version"], found["desired"], found["readyReplicas"]),
        "rejected": [each["version"] for each in found["rejected"]],
        "history": history(world),
        "serving": world.serving("fraud-production"),
    }


LIFE = Life(live, end)


@pytest.fixture(scope="module")
def undisturbed() -> Undisturbed:
    return lived(LIFE)


def test_versions_that_pass_are_promoted_and_those_that_fail_are_skipped(undisturbed: Undisturbed):
    assert undisturbed.end == {
        "ready": ("True", "Serving"),
        "stage": ("v3", "v3", 1),
        "rejected": ["v2"],
        "history": [
            (None, "v1", "AutoPromoted"),
            ("v1", "v2", "Rejected"),
            ("v1", "v3", "AutoPromoted"),
        ],
        "serving": "v3",
    }


@pytest.mark.parametrize("part", range(SLICES))
async def test_the_end_is_the_same_wherever_the_operator_is_killed(
    part: int, undisturbed: Undisturbed
):
    await killed_after_each_write(LIFE, undisturbed, part, SLICES)


async def test_a_version_that_fails_gets_an_event_with_its_figures_and_the_stage_stays_ready():
    world = World()
    begins(world, production=NEWEST | {"gates": [QUALITY]})
    await registers(world, "v1", 0.95)
    await registers(world, "v2", 0.5)
    (message,) = [
        message for _, _, reason, message, _ in world.cluster.events if reason == "GateFailed"
    ]
    assert message == "production does not take v2. quality: f1 is 0.5, below 0.9."
    assert (world.condition("registeredmodels", "fraud"), stage(world).get("blocked")) == (
        ("True", "Serving"),
        None,
    )
    assert ended(world) == {"AutoPromoted": 1, "Rejected": 1}
    before = writes(world)
    await world.run(timedelta(minutes=30))
    assert writes(world) == before, "what was rejected is not tried again"


async def test_nothing_is_reported_of_a_version_before_it_was_read():
    world = World()
    accurate = {"name": "accurate", "metric": {"name": "accuracy", "atLeast": "0.85"}}
    begins(world, production=NEWEST | {"gates": [accurate]})
    await registers(world, "v1")
    written = (
        status
        for body, status in (call.arguments for call in world.calls.named("write_status"))
        if body["kind"] == "RegisteredModel"
    )
    stages = [status.get("stages", {}).get("production", {}) for status in written]
    said = {(gate["verdict"], gate["message"]) for each in stages for gate in each.get("gates", [])}
    assert said == {
        ("Pass", "accuracy is 0.9: at least 0.85"),
        ("Pending", "the version is being recorded: nothing was read of it yet"),
    }


async def test_a_rejected_version_is_retried_when_attempt_is_raised_and_nothing_is_refreshed():
    world = World()
    begins(world, production=NEWEST | {"gates": [QUALITY]})
    await registers(world, "v1", 0.95)
    await registers(world, "v2", 0.5)
    asks(world, attempt=1)
    await world.run()
    found = stage(world)
    assert (
        found["version"],
        found["attempt"],
        [each["attempt"] for each in found["rejected"]],
    ) == ("v1", 1, [1]), "and it failed again"
    await measures(world, "v2", 0.92)
    asks(world, attempt=2)
    await world.run()
    tries = [("v1", "v2", "Rejected"), ("v1", "v2", "Rejected"), ("v1", "v2", "AutoPromoted")]
    assert history(world) == [(None, "v1", "AutoPromoted"), *tries]


async def test_after_a_manual_rollback_only_later_versions_are_promoted():
    world = World()
    begins(world, production=NEWEST)
    for version in ("v1", "v2"):
        await registers(world, version)
    asks(world, autoPromote=None, version="v1")
    await world.run()
    await registers(world, "v3")
    assert stage(world)["version"] == "v1", "setting version ended it"
    asks(world, **NEWEST, version=None)
    await world.run()
    assert stage(world)["version"] == "v3", "it was registered after the rollback"
    asks(world, autoPromote=None, version="v2")
    await world.run()
    asks(world, **NEWEST, version=None)
    await world.run(timedelta(minutes=30))
    assert (stage(world)["version"], world.condition("registeredmodels", "fraud")) == (
        "v2",
        ("True", "Serving"),
    ), "v3 is held"
    await registers(world, "v4")
    assert history(world)[-2:] == [("v3", "v2", "RolledBack"), ("v2", "v4", "AutoPromoted")]


async def test_promotions_wait_for_a_freeze_and_at_its_end_only_the_newest_is_promoted():
    world = World()
    begins(world, production=NEWEST)
    await registers(world, "v1")
    freezes(world, "20m")
    for version in ("v2", "v3"):
        await registers(world, version)
        found = stage(world)
        assert (found["version"], found["desired"], found["blocked"]["reason"]) == (
            "v1",
            version,
            "Frozen",
        )
    await world.run(timedelta(minutes=20))
    assert history(world) == [(None, "v1", "AutoPromoted"), ("v1", "v3", "AutoPromoted")]


async def test_a_pending_approval_is_decided_before_a_newer_version_is_tried():
    world = World()
    begins(world, production=NEWEST | {"gates": [APPROVED]})
    await registers(world, "v1", registeredBy="dana")
    await registers(world, "v2")
    assert (stage(world)["desired"], stage(world)["blocked"]["reason"]) == ("v1", "ApprovalWanted")
    assert len(told(world, "ApprovalWanted")) == 1
    digests = {
        each["name"]: each["digest"]
        for each in world.status("registeredmodels", "fraud")["versions"]
    }
    for who in ("dana", "bob", "rita"):
        about = {"model": "fraud", "stage": "production", "version": "v1", "digest": digests["v1"]}
        world.apply(
            manifest("ModelApproval", f"by-{who}", **about, decision="Approve", approver=who)
        )
    await world.run()
    assert history(world) == [(None, "v1", "AutoPromoted")], "bob and rita; dana registered it"
    assert world.condition("modelapprovals", "by-dana")[1] == "Effective"
    assert (stage(world)["desired"], stage(world)["blocked"]["reason"]) == (
        "v2",
        "ApprovalWanted",
    ), "and then about the next"


async def test_a_newer_version_replaces_one_that_waits_for_its_gates():
    world = World()
    begins(world, production=NEWEST | {"gates": [QUALITY]})
    await registers(world, "v1")
    assert (stage(world)["desired"], stage(world)["blocked"]["reason"]) == ("v1", "GatesPending")
    await registers(world, "v2", 0.95)
    assert history(world) == [(None, "v2", "AutoPromoted")]
    await measures(world, "v1", 0.99)
    assert stage(world)["version"] == "v2", "never an older one"


async def test_a_version_that_was_never_in_the_from_stage_blocks_no_other():
    world = World()
    begins(world, staging=NEWEST | {"gates": [QUALITY]}, production=NEWEST | {"from": "staging"})
    for version, f1 in (("v1", 0.95), ("v2", 0.5)):
        await registers(world, version, f1)
    assert [stage(world, name)["version"] for name in ("staging", "production")] == ["v1", "v1"]
    assert world.condition("registeredmodels", "fraud") == ("True", "Serving"), (
        "production does not wait for what staging rejected"
    )
    await registers(world, "v3", 0.97)
    assert [stage(world, name)["version"] for name in ("staging", "production")] == ["v3", "v3"]


async def test_a_version_whose_bytes_are_missing_is_reported_and_a_newer_one_is_promoted():
    world = World()
    begins(world, production=NEWEST)
    await registers(world, "v1")
    asks(world, autoPromote=None, version="v1")
    await registers(world, "v2")
    uri = next(
        each["uri"]
        for each in world.status("registeredmodels", "fraud")["versions"]
        if each["name"] == "v2"
    )
    await world.store.delete_prefix(f"{uri}/")
    asks(world, **NEWEST, version=None)
    await world.run()
    assert (stage(world)["version"], world.condition("registeredmodels", "fraud")) == (
        "v1",
        ("False", "ArtifactMissing"),
    )
    before = writes(world)
    await world.run(timedelta(minutes=30))
    assert writes(world) == before, "it does not go back and forth"
    await registers(world, "v3")
    assert (stage(world)["version"], world.condition("registeredmodels", "fraud")) == (
        "v3",
        ("True", "Serving"),
    )


async def test_a_version_registered_again_after_mlflow_lost_it_does_not_count_as_newer():
    world = World()
    begins(world, production=NEWEST)
    for version in ("v1", "v2"):
        await registers(world, version)
    (uri,) = (
        each["uri"]
        for each in world.status("registeredmodels", "fraud")["versions"]
        if each["name"] == "v1"
    )
    files = {
        each.path: await world.store.read(f"{uri}/{each.path}", 1000)
        for each in await world.store.objects(uri)
    }
    await world.tracking.delete_version("risk.fraud", "1")
    await world.store.delete_prefix(f"{uri}/")
    await world.run(timedelta(minutes=6))
    for path, content in files.items():
        world.store.put(f"{uri}/{path}", content or b"")
    await world.run(timedelta(minutes=6))
    numbers = {
        each["name"]: each["mlflowVersion"]
        for each in world.status("registeredmodels", "fraud")["versions"]
    }
    assert numbers == {"v1": "3", "v2": "2"}
    assert stage(world)["version"] == "v2"


async def test_during_an_override_nothing_is_promoted_and_afterwards_a_user_decides():
    world = World()
    begins(world, production=NEWEST)
    for version in ("v1", "v2"):
        await registers(world, version)
    until = (world.clock.now() + timedelta(minutes=20)).isoformat()
    asks(world, override={"version": "v1", "reason": "incident", "until": until})
    await world.run()
    await registers(world, "v3")
    assert stage(world)["version"] == "v1"
    await world.run(timedelta(minutes=20))
    found = stage(world)
    assert (found["version"], found["blocked"]["reason"]) == ("v1", "OverrideEnded")
    assert '{"autoPromote":null,"override":null,"version":"v1"}' in found["blocked"]["message"]
    assert "Or go back to the newest version: " in found["blocked"]["message"]
    asks(world, override=None, attempt=1)
    await world.run()
    assert history(world)[-1] == ("v1", "v3", "AutoPromoted")


async def test_a_stage_that_is_cleared_stays_clear():
    world = World()
    begins(world, production=NEWEST)
    await registers(world, "v1")
    asks(world, autoPromote=None)
    await registers(world, "v2")
    assert (stage(world).get("version"), world.serving("fraud-production")) == (None, None)


async def test_a_version_that_fails_after_the_switch_is_rolled_back_and_the_next_is_promoted():
    world = World()
    begins(world, production=NEWEST | {"rollback": {"automatic": {}}})
    await registers(world, "v1")
    await registers(world, "v2")
    assert stage(world)["version"] == "v2"
    watches(world, "v2", 60)
    await world.run()
    assert history(world)[-1] == ("v2", "v1", "RolledBack")
    assert (world.serving("fraud-production"), world.condition("registeredmodels", "fraud")) == (
        "v1",
        ("True", "Serving"),
    )
    await registers(world, "v3")
    assert history(world)[-1] == ("v1", "v3", "AutoPromoted")
