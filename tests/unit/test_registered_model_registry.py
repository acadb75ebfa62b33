"""What MLflow is told of the stages, what is taken for drift, and what holds while something is wrong: whole lives in a small world."""

from dataclasses import replace
from typing import Any

import pytest

from modelyard.kube.names import STAGES_TAG
from modelyard.plan import DeleteAlias, SetAlias, SetVersionTags, TransitionStage
from modelyard.ports import TrackedVersion
from tests.unit.builders import MINUTE, NOW, message, outside, said
from tests.unit.test_registered_model import decide
from tests.unit.test_registered_model_settles import World


def settled(**spec: Any) -> World:
    world = World(**spec)
    world.settle(120)
    world.check_end()
    return world


def holding(version: str = "v1", **more: Any) -> World:
    """A world in which production holds a version, and all is well."""
    return settled(stages={"production": {"version": version}}, **more)


def moves(world: World) -> list[Any]:
    """What is moved in MLflow until nothing is left to move."""
    found = []
    for _ in range(60):
        plan = decide(world.model, world.seen(), world.now)
        if (action := outside(plan)) is not None:
            found.append(action)
        world.look()
    return found


def aliases(world: World) -> dict[str, str]:
    assert world.tracked
    return dict(world.tracked.aliases)


# --- what is moved, and in which order ------------------------------------------------------------------
def test_a_promotion_moves_alias_stage_and_tag_the_new_holder_first():
    """At no moment has a stage no holder, or two; the tag comes last, for by it an unfinished move is known."""
    world = holding("v1")
    world.edit(production="v2")
    assert moves(world) == [
        SetAlias("risk.fraud", "production", "2"),
        TransitionStage("risk.fraud", "2", "Production", displacing=True),
        SetVersionTags("risk.fraud", "2", {STAGES_TAG: "production"}),
        SetVersionTags("risk.fraud", "1", {STAGES_TAG: ""}),
    ]


def test_nothing_is_moved_before_the_new_version_serves():
    world = holding("v1")
    world.edit(production="v2")
    for _ in range(20):
        action = outside(decide(world.model, world.seen(), world.now))
        if action is not None:
            assert (world.front("production"), world.holder("production")) == ("v2", "v2")
        world.look()


def test_a_rollback_moves_everything_back():
    world = holding("v1")
    before = (aliases(world), world.versions["1"].stage)
    for version in ("v2", "v1"):
        world.edit(production=version)
        world.settle()
    assert (aliases(world), world.versions["1"].stage) == before
    assert world.versions["2"].stage == "Archived"
    assert [(e.from_, e.to, e.reason) for e in world.model.status.history] == [
        (None, "v1", "Promoted"),
        ("v1", "v2", "Promoted"),
        ("v2", "v1", "RolledBack"),
    ]


def test_only_production_and_staging_have_a_stage_of_mlflow_s_and_every_stage_has_an_alias():
    world = settled(stages={"production": {"version": "v1"}, "staging": {"version": "v2"}, "canary": {"version": "v2"}})
    assert aliases(world) == {"production": "1", "staging": "2", "canary": "2"}
    assert [world.versions[number].stage for number in "12"] == ["Production", "Staging"]
    world.edit(staging=None)
    world.settle()
    assert (world.versions["2"].stage, world.versions["2"].tags[STAGES_TAG]) == ("None", "canary")


def test_a_version_in_two_stages_has_the_higher_one_of_mlflow_s_and_both_aliases():
    world = settled(stages={"production": {"version": "v1"}, "staging": {"version": "v1"}})
    assert (aliases(world), world.versions["1"].stage) == ({"production": "1", "staging": "1"}, "Production")
    assert world.model.status.summary == "production=v1 staging=v1"
    world.edit(production="v2")
    world.settle()
    assert [world.versions[number].stage for number in "12"] == ["Staging", "Production"]
    (known,) = [version for version in world.model.status.versions if version.name == "v1"]
    assert known.stages == ("staging",)


def test_a_displaced_version_says_until_when_it_served_and_a_serving_one_does_not():
    world = holding("v1")
    world.edit(production="v2")
    world.settle()
    known = {version.name: version for version in world.model.status.versions}
    assert known["v1"].served_until is not None
    assert (known["v2"].served_until, known["v3"].served_until) == (None, None)
    kept = known["v1"].served_until
    world.now += 10 * MINUTE
    world.settle()
    assert next(version for version in world.model.status.versions if version.name == "v1").served_until == kept
    world.edit(production="v1")
    world.settle()
    assert next(version for version in world.model.status.versions if version.name == "v1").served_until is None


# --- stages that go ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", [None, ...], ids=["cleared", "removed"])
def test_a_stage_that_is_cleared_or_removed_leaves_nothing_behind(how: Any):
    world = settled(stages={"production": {"version": "v1"}, "staging": {"version": "v2"}})
    world.edit(production=how)
    world.settle()
    world.check_end()
    assert (aliases(world), world.versions["1"].stage, world.versions["1"].tags[STAGES_TAG]) == ({"staging": "2"}, "Archived", "")
    assert [name for _, name in world.children if "production" in name] == []
    last = world.model.status.history[-1]
    assert (last.stage, last.from_, last.to, last.reason) == ("production", "v1", None, "Cleared")
    assert world.model.status.summary == ("production=none staging=v2" if how is None else "staging=v2")


def test_a_stage_that_was_removed_while_mlflow_was_away_is_taken_from_mlflow_when_it_is_back():
    world = holding("v1")
    world.away = True
    world.edit(production=...)
    for _ in range(10):
        world.look()
    assert world.front("production") == "v1"
    world.away = False
    world.settle()
    world.check_end()
    assert aliases(world) == {}


def test_a_status_that_is_lost_is_found_again_and_nobody_notices():
    """Restored from a backup without its status: the tags in MLflow and the children say what was."""
    world = settled(stages={"production": {"version": "v1"}, "staging": {"version": "v2"}})
    children = {name: child["metadata"]["uid"] for name, child in world.children.items()}
    world.edit(staging=...)
    world.model = world.model.model_copy(update={"status": type(world.model.status)()})
    world.settle(120)
    world.check_end()
    assert world.holder("production") == "v1"
    assert {name: child["metadata"]["uid"] for name, child in world.children.items()}.items() <= children.items()


@pytest.mark.parametrize("away", [False, True])
def test_what_serves_without_a_status_is_replaced_and_never_dropped(away: bool):
    world = holding("v1")
    world.model = world.model.model_copy(update={"status": type(world.model.status)()})
    world.away = away
    world.edit(production="v2")
    for _ in range(20):
        world.look()
        assert world.front("production") in ({"v1"} if away else {"v1", "v2"})
    world.away = False
    world.settle()
    assert world.holder("production") == "v2"


# --- drift ------------------------------------------------------------------------------------------------
def test_what_somebody_moved_in_mlflow_is_put_back_and_said():
    world = holding("v1")
    world.alias("production", "2")
    assert moves(world) == [SetAlias("risk.fraud", "production", "1")]
    assert "DriftReverted" in world.events
    world.check_end()


@pytest.mark.parametrize("stage", ["None", "Staging", "Archived"])
def test_a_stage_of_mlflow_s_that_somebody_moved_is_put_back(stage: Any):
    world = holding("v1")
    world.versions["1"] = replace(world.versions["1"], stage=stage)
    assert moves(world) == [TransitionStage("risk.fraud", "1", "Production")]
    assert "DriftReverted" in world.events


def test_a_promotion_is_no_drift():
    world = holding("v1")
    for version in ("v2", None, "v1"):
        world.edit(production=version)
        world.settle()
    assert "DriftReverted" not in world.events


def test_with_warn_it_is_said_and_stays():
    world = holding("v1", drift="Warn")
    world.alias("production", "2")
    world.settle()
    assert aliases(world) == {"production": "2"}
    synced = world.model.status.condition("Synced")
    assert synced
    assert (synced.status, synced.reason) == ("False", "Drifted")
    assert "SetAlias" in synced.message
    assert said(world.model.status) == "Ready Serving", "what is served is as the spec says"


def test_with_warn_it_stays_though_mlflow_was_away_meanwhile():
    world = holding("v1", drift="Warn")
    world.alias("production", "2")
    world.settle()
    world.away = True
    world.settle()
    world.away = False
    world.settle()
    assert aliases(world) == {"production": "2"}
    assert message(world.model.status, "Synced").startswith("Somebody moved")


def test_with_warn_a_promotion_still_moves_and_nothing_but_what_was_promoted():
    world = settled(stages={"production": {"version": "v1"}, "staging": {"version": "v1"}}, drift="Warn")
    world.alias("production", "2")
    world.settle()
    world.edit(staging="v2")
    world.settle()
    assert aliases(world) == {"production": "2", "staging": "2"}
    assert message(world.model.status, "Synced").startswith("Somebody moved")
    world.edit(production="v2")
    world.settle()
    assert world.model.status.is_true("Synced")


def test_an_outage_in_the_middle_of_a_promotion_is_no_drift():
    """With Warn the other half would never be moved. A promotion has four moves."""
    for after in range(1, 5):
        world = holding("v1", drift="Warn")
        world.edit(production="v2")
        moved = 0
        while moved < after:
            moved += outside(decide(world.model, world.seen(), world.now)) is not None
            world.look()
        world.away = True
        world.settle()
        world.away = False
        world.settle()
        world.check_end()


# --- what belongs to others -------------------------------------------------------------------------------
def by_hand(world: World, number: str = "9", stage: Any = "None") -> None:
    world.versions[number] = TrackedVersion("risk.fraud", number, "s3://b/by-hand", None, stage, True, {"theirs": "1"}, NOW)


def test_aliases_and_versions_of_others_are_left_alone():
    world = holding("v1")
    by_hand(world, stage="Staging")
    world.alias("champion", "9")
    world.alias("staging", "9")
    assert moves(world) == []
    assert aliases(world) == {"production": "1", "champion": "9", "staging": "9"}


def test_a_version_of_others_never_answers_for_a_stage_of_ours():
    """models:/risk.fraud/Production is the newest version there."""
    world = holding("v1")
    by_hand(world, stage="Production")
    assert moves(world) == [TransitionStage("risk.fraud", "9", "Archived")]
    assert "DriftReverted" in world.events


def test_a_model_that_is_adopted_goes_on_answering_until_our_first_version_is_up():
    world = World(stages={"production": {"version": "v1"}})
    for _ in range(2):
        world.look()
    by_hand(world, stage="Production")
    world.alias("production", "9")
    found = []
    while world.holder("production") is None:
        found.append((aliases(world), world.versions["9"].stage))
        world.look()
    assert set(map(str, found)) == {str(({"production": "9"}, "Production"))}
    world.settle()
    assert (aliases(world), world.versions["9"].stage) == ({"production": "1"}, "Archived")


def test_a_stage_that_the_spec_keeps_empty_is_emptied():
    world = settled(stages={"production": {"version": None}})
    world.alias("production", "1")
    assert moves(world) == [DeleteAlias("risk.fraud", "production")]


# --- why a stage changed hands --------------------------------------------------------------------------
def annotated(world: World, value: str) -> None:
    about = world.model.metadata.model_copy(update={"annotations": {"reason.modelyard.io/production": value}})
    world.model = world.model.model_copy(update={"metadata": about})


def test_the_history_says_why_if_it_was_said_of_this_very_change():
    world = holding("v1")
    for version, why in (
        ("v2", "v2: better on the holdout"),
        ("v1", None),
        ("v2", None),
        (None, "none: retired \x1b[31m"),
        ("v1", "v2: of another"),
    ):
        if why:
            annotated(world, why)
        world.edit(production=version)
        world.settle()
    assert [(entry.to, entry.note) for entry in world.model.status.history] == [
        ("v1", None),
        ("v2", "better on the holdout"),
        ("v1", None),
        ("v2", None),
        (None, "retired [31m"),
        ("v1", None),
    ]
