"""RegisteredModel from many initial states: reconcile until nothing is left to do, checking every
round.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.builders import PROPERTY, artifacts
from tests.unit.model_world import BROKEN, QUIET, ROUNDS, SERVED, VERSIONS, World
from tests.unit.model_world_crashes import crashes
from tests.unit.model_world_state import STAGES

SOME, FEWER = settings(PROPERTY, max_examples=20), settings(PROPERTY, max_examples=10)
"""A world is dear: each round of it checks everything that must hold."""

NONE, TWO, SCALED = (
    {"replicas": 0},
    {"replicas": 2},
    {"autoscaling": {"min_replicas": 2, "max_replicas": 4}},
)
ALWAYS = {"runtime": {"update": "Always"}}
WINDOWS = [{"rollback": {"window": "1h"}}, {"rollback": None}]
wanted = st.sampled_from(
    [
        *VERSIONS,
        "v1",
        "v2",
        None,
        ...,
        *WINDOWS,
        *({"serving": serving} for serving in (NONE, TWO, SCALED, ALWAYS)),
    ]
)
edits = st.lists(
    st.tuples(st.sampled_from(STAGES), wanted, st.integers(0, 12)), min_size=1, max_size=6
)


def look(world: World, rounds: int) -> None:
    for _ in range(rounds):
        world.look()


@SOME
@given(edits, st.booleans())
def test_settles_however_the_spec_changes(changes: list[tuple[str, Any, int]], eager: bool):
    world = World()
    world.eager = eager
    for stage, version, rounds in changes:
        world.edit(**{stage: version})
        look(world, rounds)
    world.settle(ROUNDS + 25 * len(changes))
    world.check_end()
    world.now += timedelta(hours=1)
    world.settle()
    world.check_end()
    assert not [stage for stage in STAGES if world.warm(world.status(stage))], "the window is over"
    kept = world.model
    world.now += timedelta(hours=1)
    world.settle(QUIET)
    assert world.model == kept, "I6: a stable spec makes no write"


happens = st.tuples(
    st.sampled_from(["upgrade", "refresh", "mend", "version", "version", "version"]),
    st.sampled_from(STAGES[:2]),
    st.sampled_from([*VERSIONS[:3], "v1", {"serving": ALWAYS}, {"serving": {"runtime": {}}}]),
    st.integers(0, 10),
)


@FEWER
@given(st.lists(happens, min_size=2, max_size=7), st.booleans())
def test_settles_through_upgrades_refreshes_and_rejections(
    changes: list[tuple[str, str, Any, int]], eager: bool
):
    world = World(stages={"production": {"version": "v1"}})
    world.settle()
    world.eager = eager
    for number, (what, stage, version, rounds) in enumerate(changes):
        if what == "upgrade":
            world.upgrade(f"2.0.{number}")
        elif what == "refresh":
            world.refresh(stage)
        elif what == "mend":
            world.broken = set()
        else:
            world.edit(**{stage: version})
        look(world, rounds)
    world.settle(ROUNDS + 25 * len(changes))
    if (
        not [stage for stage in world.model.status.stages.values() if stage.rejected]
        or world.broken
    ):
        world.check_end()  # a rejected version stays rejected, though it could be loaded by now
    always = [
        name
        for name, stage in world.model.spec.stages.items()
        if stage.version and stage.serving.runtime.update == "Always"
    ]
    for name in always:
        status = world.status(name)
        assert status.blocked or (
            status.effective and status.effective.runtime.image == world.runtime.image
        )
    check_upgrade(world)


def check_upgrade(world: World) -> None:
    """If no stage follows the operator and none is rejected, another release rolls nothing."""
    for name in world.model.spec.stages:
        world.edit(**{name: {"version": world.effective(name), "serving": {"runtime": {}}}})
    world.settle(ROUNDS)
    uids = world.uids()
    world.upgrade("3.0.0")
    world.settle(ROUNDS)
    assert world.uids() == uids, "an upgrade of the operator rolls nothing"


@FEWER
@given(
    edits, st.lists(st.integers(1, 10), min_size=1, max_size=4), st.sampled_from(["MLflow", "S3"])
)
def test_settles_though_dependencies_are_down_at_times_and_nothing_switches_meanwhile(
    changes: list[tuple[str, Any, int]], turns: list[int], away: str
):
    world = World(stages={"production": {"version": "v1"}})
    world.settle()
    for number, (stage, version, rounds) in enumerate(changes):
        world.away = away if number % 2 == 0 else ""
        routed = {name: world.routed(name) for name in STAGES}
        world.edit(**{stage: version})
        look(world, rounds + turns[number % len(turns)])
        if world.away == "MLflow":
            check_frozen(world, routed)
    world.away = ""
    world.settle(ROUNDS + 25 * len(changes))
    world.check_end()


def check_frozen(world: World, routed: dict[str, str | None]) -> None:
    """While MLflow is down, each Service selects only what is stable or was routed to before."""
    for name in STAGES:
        effective = world.status(name).effective
        stable = effective.runtime.identity if effective else None
        assert world.routed(name) in {routed[name], stable, None}


@FEWER
@given(
    edits,
    st.sampled_from(["Deployment", "Service", "ControllerRevision", "PodDisruptionBudget"]),
    st.sampled_from(STAGES),
)
def test_a_refused_apply_in_one_stage_stops_no_other(
    changes: list[tuple[str, Any, int]], kind: str, refused: str
):
    world, plain = World(), World()
    for stage, version, rounds in changes:
        for each in (world, plain):
            each.edit(**{stage: version})
        world.refused = {(kind, each["metadata"]["name"]) for each in plain.of_kind(kind, refused)}
        look(world, rounds)
        look(plain, rounds)
        world.refused |= {(kind, each["metadata"]["name"]) for each in plain.of_kind(kind, refused)}
    for each in (world, plain):
        each.settle(ROUNDS + 25 * len(changes))
    for stage in STAGES:
        if stage != refused:
            assert (world.effective(stage), world.front(stage)) == (
                plain.effective(stage),
                plain.front(stage),
            )
    world.refused = set()
    world.now += timedelta(minutes=1)
    world.settle(ROUNDS)
    world.check_end()


meddling = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "alias",
                "no alias",
                "stage",
                "child",
                "version",
                "tags",
                "stages",
                "deleted",
                "forged",
            ]
        ),
        st.sampled_from(STAGES),
        st.integers(1, 3),
        st.integers(0, 6),
    ),
    min_size=1,
    max_size=5,
)


@FEWER
@given(meddling)
def test_changes_by_others_are_put_back_and_roll_nothing(
    hands: list[tuple[str, str, int, int]],
):
    world = World(stages={"production": {"version": "v1"}, "staging": {"version": "v2"}})
    world.settle(2 * ROUNDS)
    pods = {key: uid for key, uid in world.uids().items() if key[0] == "Deployment"}
    deleted = False
    for what, stage, number, rounds in hands:
        deleted = deleted or what == "child"
        meddle(world, what, stage, str(number))
        look(world, rounds)
    world.settle(2 * ROUNDS)
    world.check_end()
    assert {world.effective("production"), world.effective("staging")} == {"v1", "v2"}
    assert (
        deleted or {key: uid for key, uid in world.uids().items() if key[0] == "Deployment"} == pods
    )


def meddle(world: World, what: str, stage: str, number: str) -> None:
    assert world.tracked
    there = world.versions.get(number)
    if what == "alias" and stage in world.model.spec.stages and there:
        world.alias(stage, number)
    elif what == "no alias":
        world.alias(stage, None)
    elif what == "stage" and there:
        world.versions[number] = replace(
            there, stage=("Production", "Staging", "Archived")[int(number) - 1]
        )
    elif what == "version":
        by_hand = world.create("risk.fraud", "s3://b/by-hand", None, {})
        world.versions[by_hand] = replace(world.versions[by_hand], stage="Production")
    elif what == "tags" and there and "modelyard.io/uri" in there.tags:
        world.tag(
            number,
            {"modelyard.io/uri": artifacts("v2"), "modelyard.io/digest": "sha256:" + "2" * 64},
        )
    elif what == "stages" and there and "modelyard.io/uri" in there.tags:
        world.tag(number, {"modelyard.io/stages": stage})
    elif what == "deleted" and there and world.number("v3") != number:
        del world.versions[number]
        gone = {alias for alias, version in world.tracked.aliases.items() if version == number}
        for alias in gone:
            world.alias(alias, None)
    elif what == "forged" and there:
        tags = dict(there.tags) | {"modelyard.io/digest": "sha256:" + "f" * 64}
        world.create("risk.fraud", f"s3://b/forged-{len(world.versions)}", None, tags)
    elif what == "child":
        deletable = sorted(key for key, child in world.children.items() if child["kind"] in SERVED)
        if deletable:
            del world.children[deletable[int(number) % len(deletable)]]


@pytest.mark.parametrize(
    "route",
    [
        ("v1", "v2", "v1"),
        ("v1", BROKEN, "v1"),
        ("v1", None, "v2", ...),
        ("v1", "upgrade", "refresh", "v2", "v1"),
    ],
    ids=str,
)
def test_a_crash_between_any_two_steps_changes_nothing(route: tuple[Any, ...]):
    """The operator keeps no state of its own: a status that was never written is decided again."""
    world = World()
    for turn in route:
        if turn == "upgrade":
            world.upgrade()
        elif turn == "refresh":
            world.refresh("production")
        else:
            world.edit(production=turn)
        forks = crashes(world)
        world.check_end()
        for crashed in forks:
            crashed.settle()
            assert crashed.told() == world.told()
