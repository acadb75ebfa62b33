"""What the operator writes to MLflow about stages, what counts as drift, and what holds during
errors.
"""

from dataclasses import replace
from typing import Any

import pytest

from modelyard.kube.names import STAGES_TAG
from modelyard.plan import (
    Apply,
    CreateVersion,
    Delete,
    DeleteAlias,
    PutRecord,
    SetAlias,
    SetTags,
    TagTarget,
    TransitionStage,
)
from modelyard.ports import TrackedVersion
from tests.unit.builders import MINUTE, NOW, artifacts, message, outside, said
from tests.unit.model_world import World


def settled(**spec: Any) -> World:
    world = World(**spec)
    world.settle(140)
    world.check_end()
    return world


def holding(version: str = "v1", **more: Any) -> World:
    """Return a world in which a version is effective in production and nothing is left to do."""
    return settled(stages={"production": {"version": version}}, **more)


def moves(world: World) -> list[Any]:
    """Return the changes of MLflow until nothing is left to change."""
    before = len(world.done)
    for _ in range(60):
        world.look()
    return [
        action
        for action in world.done[before:]
        if not isinstance(action, Apply | Delete | PutRecord)
    ]


def aliases(world: World) -> dict[str, str]:
    assert world.tracked
    return dict(world.tracked.aliases)


# --- moves and their order ------------------------------------------------------------------------
def test_a_promotion_moves_alias_stage_and_tag_the_new_version_first():
    """A stage always has exactly one version; the tag is written last, so an unfinished move is
    recognized by it.
    """
    world = holding("v1")
    world.edit(production="v2")
    assert moves(world) == [
        SetAlias("risk.fraud", "production", "2"),
        TransitionStage("risk.fraud", "2", "Production", displacing=True),
        SetTags(TagTarget("version", "risk.fraud", "2"), {STAGES_TAG: "production"}),
        SetTags(TagTarget("version", "risk.fraud", "1"), {STAGES_TAG: ""}),
    ]


def test_nothing_is_moved_before_the_new_version_serves():
    world = holding("v1")
    world.edit(production="v2")
    for _ in range(20):
        if outside(world.fork().plan()) is not None:
            assert (world.front("production"), world.effective("production")) == ("v2", "v2")
        world.look()


def test_a_rollback_moves_everything_back():
    world = holding("v1")
    before = (aliases(world), world.versions["1"].stage)
    for version in ("v2", "v1"):
        world.edit(production=version)
        world.settle()
    assert (aliases(world), world.versions["1"].stage) == before
    assert world.versions["2"].stage == "Archived"
    assert [(e.from_, e.to, e.outcome) for e in world.model.status.history] == [
        (None, "v1", "Promoted"),
        ("v1", "v2", "Promoted"),
        ("v2", "v1", "RolledBack"),
    ]


def test_only_production_and_staging_have_an_mlflow_stage_and_every_stage_has_an_alias():
    world = settled(
        stages={
            "production": {"version": "v1"},
            "staging": {"version": "v2"},
            "canary": {"version": "v2"},
        }
    )
    assert aliases(world) == {"production": "1", "staging": "2", "canary": "2"}
    assert [world.versions[number].stage for number in "12"] == ["Production", "Staging"]
    world.edit(staging=None)
    world.settle()
    assert (world.versions["2"].stage, world.versions["2"].tags[STAGES_TAG]) == ("None", "canary")


def test_a_version_in_two_stages_has_the_higher_mlflow_stage_and_both_aliases():
    world = settled(stages={"production": {"version": "v1"}, "staging": {"version": "v1"}})
    assert (aliases(world), world.versions["1"].stage) == (
        {"production": "1", "staging": "1"},
        "Production",
    )
    assert world.model.status.summary == "production=v1 staging=v1"
    world.edit(production="v2")
    world.settle()
    assert [world.versions[number].stage for number in "12"] == ["Staging", "Production"]
    (known,) = [version for version in world.model.status.versions if version.name == "v1"]
    assert known.stages == ("staging",)


def test_a_version_s_tags_say_since_when_and_until_when_it_was_in_each_stage():
    world = holding("v1")
    world.edit(production="v2")
    world.settle()
    known = {version.name: version for version in world.model.status.versions}
    (held,) = known["v1"].held
    assert (held.stage, held.digest, held.until_time is None) == (
        "production",
        known["v1"].digest,
        False,
    )
    assert [(each.stage, each.until_time) for each in known["v2"].held] == [("production", None)]
    assert known["v3"].held == ()
    world.now += 10 * MINUTE
    world.settle()
    assert next(
        version for version in world.model.status.versions if version.name == "v1"
    ).held == (held,)
    world.edit(production="v1")
    world.settle()
    (again,) = next(version for version in world.model.status.versions if version.name == "v1").held
    assert (again.until_time, again.since_time > held.since_time) == (None, True)


# --- stages that go -------------------------------------------------------------------------------
@pytest.mark.parametrize("how", [None, ...], ids=["cleared", "removed"])
def test_a_stage_that_is_cleared_or_removed_leaves_nothing_behind(how: Any):
    world = settled(stages={"production": {"version": "v1"}, "staging": {"version": "v2"}})
    world.edit(production=how)
    world.settle()
    world.check_end()
    assert (aliases(world), world.versions["1"].stage, world.versions["1"].tags[STAGES_TAG]) == (
        {"staging": "2"},
        "Archived",
        "",
    )
    left = {kind for kind, name in world.children if "production" in name}
    assert left == ({"ControllerRevision"} if how is None else set()), (
        "promoted again, it is served as it was"
    )
    last = world.model.status.history[-1]
    assert (last.stage, last.from_, last.to, last.outcome) == ("production", "v1", None, "Cleared")
    assert world.model.status.summary == (
        "production=none staging=v2" if how is None else "staging=v2"
    )


def test_a_stage_removed_while_mlflow_was_down_is_removed_there_when_it_answers():
    world = holding("v1")
    world.away = "MLflow"
    world.edit(production=...)
    for _ in range(10):
        world.look()
    assert world.front("production") == "v1"
    world.away = ""
    world.settle()
    world.check_end()
    assert aliases(world) == {}


def test_a_lost_status_is_rebuilt_and_no_pod_is_touched():
    """It is rebuilt from the tags in MLflow and the serving objects."""
    world = settled(stages={"production": {"version": "v1"}, "staging": {"version": "v2"}})
    uids = world.uids()
    world.edit(staging=...)
    world.model = world.model.model_copy(update={"status": type(world.model.status)()})
    world.settle(140)
    world.check_end()
    assert world.effective("production") == "v1"
    assert world.uids().items() <= uids.items()
    assert world.numbers == 4, "no version was registered again"


@pytest.mark.parametrize("away", ["", "MLflow"])
def test_a_serving_version_without_a_status_is_replaced_and_never_dropped(away: str):
    world = holding("v1")
    world.model = world.model.model_copy(update={"status": type(world.model.status)()})
    world.away = away
    world.edit(production="v2")
    for _ in range(20):
        world.look()
        assert world.front("production") in ({"v1"} if away else {"v1", "v2"})
    world.away = ""
    world.settle()
    assert world.effective("production") == "v2"


def test_an_object_restored_from_a_backup_has_its_old_state():
    """It has a new uid, no status and no owned objects; the annotation says that MLflow's model is
    its own.
    """
    world = settled(stages={"production": {"version": "v1"}, "staging": {"version": "v2"}})
    world.patch(versions={})
    world.restore()
    world.settle(140)
    world.check_end()
    assert (world.effective("production"), world.effective("staging"), world.numbers) == (
        "v1",
        "v2",
        4,
    )
    assert {there.tags["modelyard.io/uid"] for there in world.versions.values()} == {"uid-restored"}
    assert "DriftReverted" not in world.events


def test_restored_with_other_bytes_in_the_bucket_it_does_not_serve_them():
    world = holding("v1")
    world.stored[artifacts("v1")] = "f"
    world.restore()
    world.settle(140)
    assert said(world.model.status) == "Stalled ArtifactDigestMismatch"
    assert world.of_kind("Deployment") == []


# --- drift ----------------------------------------------------------------------------------------
def test_aliases_that_another_client_moved_in_mlflow_are_put_back_and_reported():
    world = holding("v1")
    world.alias("production", "2")
    assert moves(world) == [SetAlias("risk.fraud", "production", "1")]
    assert "DriftReverted" in world.events
    world.check_end()


@pytest.mark.parametrize("stage", ["None", "Staging", "Archived"])
def test_an_mlflow_stage_that_another_client_moved_is_put_back(stage: Any):
    world = holding("v1")
    world.versions["1"] = replace(world.versions["1"], stage=stage)
    assert moves(world) == [TransitionStage("risk.fraud", "1", "Production")]
    assert "DriftReverted" in world.events


def test_a_promotion_is_not_drift():
    world = holding("v1")
    for version in ("v2", None, "v1"):
        world.edit(production=version)
        world.settle()
    assert "DriftReverted" not in world.events


def test_with_warn_drift_stays_though_mlflow_was_down_meanwhile():
    world = holding("v1", drift="Warn")
    world.alias("production", "2")
    world.settle()
    world.away = "MLflow"
    world.settle()
    world.away = ""
    world.settle()
    assert aliases(world) == {"production": "2"}
    assert message(world.model.status, "Synced").startswith("MLflow itself was changed")


def test_with_warn_a_promotion_moves_only_what_was_promoted():
    world = settled(
        stages={"production": {"version": "v1"}, "staging": {"version": "v1"}}, drift="Warn"
    )
    world.alias("production", "2")
    world.settle()
    world.edit(staging="v2")
    world.settle()
    assert aliases(world) == {"production": "2", "staging": "2"}
    assert message(world.model.status, "Synced").startswith("MLflow itself was changed")
    world.edit(production="v2")
    world.settle()
    assert world.model.status.is_true("Synced")


def test_an_outage_in_the_middle_of_a_promotion_is_not_drift():
    """If it counted as drift, Warn would never move the rest. A promotion has four
    moves.
    """
    for after in range(1, 5):
        world = holding("v1", drift="Warn")
        world.edit(production="v2")
        moved = 0
        while moved < after:
            moved += outside(world.fork().plan()) is not None
            world.look()
        world.away = "MLflow"
        world.settle()
        world.away = ""
        world.settle()
        world.check_end()


def test_tags_of_the_version_in_production_are_put_back_and_roll_nothing():
    """Users who train may write tags; the status says which bytes are in production."""
    world = holding("v1")
    uids = world.uids()
    world.tag(
        "1", {"modelyard.io/uri": artifacts("v2"), "modelyard.io/digest": "sha256:" + "2" * 64}
    )
    assert moves(world) == [
        SetTags(
            TagTarget("version", "risk.fraud", "1"),
            {"modelyard.io/uri": artifacts("v1"), "modelyard.io/digest": "sha256:" + "1" * 64},
        )
    ]
    assert "DriftReverted" in world.events
    assert world.uids() == uids
    world.check_end()


def test_bytes_and_digest_tag_that_are_overwritten_together_are_a_mismatch():
    world = holding("v1")
    uids = world.uids()
    world.stored[artifacts("v1")] = "2"
    world.tag("1", {"modelyard.io/digest": "sha256:" + "2" * 64})
    world.settle()
    assert said(world.model.status) == "Stalled ArtifactDigestMismatch"
    assert "v1 is still serving" in message(world.model.status)
    assert world.uids() == uids
    world.stored[artifacts("v1")] = "1"
    world.settle()
    world.check_end()


def test_a_version_deleted_in_mlflow_and_redeclared_with_another_source_stays_the_recorded_one():
    world = holding("v1")
    uids = world.uids()
    del world.versions["1"]
    world.alias("production", None)
    world.stored["s3://mlflow-artifacts/risk/fraud/other"] = "9"
    world.patch(versions={"v1": {"uri": "s3://mlflow-artifacts/risk/fraud/other"}})
    again = next(action for action in moves(world) if isinstance(action, CreateVersion))
    assert (again.source, again.tags["modelyard.io/digest"]) == (
        artifacts("v1"),
        "sha256:" + "1" * 64,
    )
    assert world.uids() == uids
    world.check_registry()
    assert said(world.model.status) == "Stalled VersionTaken"


def test_a_version_lost_with_its_bytes_is_not_registered_with_others():
    world = holding("v1")
    del world.versions["1"]
    world.alias("production", None)
    world.stored[artifacts("v1")] = "9"
    assert [action for action in moves(world) if isinstance(action, CreateVersion)] == []
    assert said(world.model.status) == "Stalled ArtifactDigestMismatch"


def test_a_forged_version_with_our_tags_is_never_served_or_moved():
    world = holding("v1")
    uids = world.uids()
    world.versions["1"] = replace(world.versions["1"], tags={})
    forged = world.create(
        "risk.fraud",
        "s3://b/forged",
        None,
        {
            "modelyard.io/uid": "uid-fraud",
            "modelyard.io/version": "v1",
            "modelyard.io/stages": "production",
        },
    )
    moved = moves(world)
    assert {action.target.version for action in moved if isinstance(action, SetTags)} == {"1"}
    assert world.uids() == uids
    assert aliases(world) == {"production": "1"}
    assert world.versions[forged].stage == "None"


# --- what belongs to others -----------------------------------------------------------------------
def by_hand(world: World, number: str = "9", stage: Any = "None") -> None:
    world.versions[number] = TrackedVersion(
        "risk.fraud", number, "s3://b/by-hand", None, stage, True, {"theirs": "1"}, NOW
    )


def test_aliases_and_versions_of_others_are_left_alone():
    world = holding("v1")
    by_hand(world, stage="Staging")
    world.alias("champion", "9")
    world.alias("staging", "9")
    assert moves(world) == []
    assert aliases(world) == {"production": "1", "champion": "9", "staging": "9"}


def test_a_version_of_others_never_has_the_mlflow_stage_of_ours():
    """models:/risk.fraud/Production resolves to the newest version in that MLflow stage."""
    world = holding("v1")
    by_hand(world, stage="Production")
    assert moves(world) == [TransitionStage("risk.fraud", "9", "Archived")]
    assert "DriftReverted" in world.events


def test_an_adopted_model_keeps_its_aliases_until_our_first_version_is_effective():
    world = World(stages={"production": {"version": "v1"}})
    for _ in range(2):
        world.look()
    by_hand(world, stage="Production")
    world.alias("production", "9")
    found = []
    while world.effective("production") is None:
        found.append((aliases(world), world.versions["9"].stage))
        world.look()
    assert set(map(str, found)) == {str(({"production": "9"}, "Production"))}
    world.settle()
    assert (aliases(world), world.versions["9"].stage) == ({"production": "1"}, "Archived")


def test_a_stage_that_the_spec_keeps_empty_is_emptied():
    world = settled(stages={"production": {"version": None}})
    world.alias("production", "1")
    assert moves(world) == [DeleteAlias("risk.fraud", "production")]
