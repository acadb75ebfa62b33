"""Experiment from many initial states: apply each plan to a small model of the world until nothing
is left to do.
"""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from modelyard.experiment.decide import decide
from modelyard.experiment.observation import Observation
from modelyard.kube.names import UID_TAG
from modelyard.plan import (
    ArchiveRun,
    CreateBucket,
    CreateExperiment,
    DeleteTags,
    Record,
    Rest,
    RestoreExperiment,
    SetTags,
)
from modelyard.ports import Usage
from tests.unit.builders import (
    DAY,
    NOW,
    PROPERTY,
    actions,
    experiment,
    said,
    tracked_experiment,
    tracked_run,
    written,
)
from tests.unit.test_experiment import BEST, OURS, observed

ages = st.integers(0, 200).map(lambda days: timedelta(days=days, seconds=1))
some_runs = st.lists(
    st.tuples(st.sampled_from(["FINISHED", "FAILED", "KILLED", "RUNNING"]), ages, st.floats()),
    max_size=5,
).map(
    lambda found: tuple(
        tracked_run(f"r{n}", status, ended=age, start=NOW - 300 * DAY, metrics={"accuracy": value})
        for n, (status, age, value) in enumerate(found)
    )
)
worlds = st.builds(
    observed,
    tracked=st.sampled_from(
        [
            None,
            OURS,
            replace(OURS, deleted=True),
            replace(OURS, tags={UID_TAG: "uid-fraud"}),
            tracked_experiment(team="x"),
        ]
    ),
    runs=some_runs,
    usage=st.sampled_from([None, Usage(1, 2)]),
)
specs = st.fixed_dictionaries(
    {},
    optional={
        "tags": st.just({"team": "risk"}),
        "description": st.just("cards"),
        "objective": st.sampled_from([BEST, BEST | {"goal": "Minimize"}]),
        "retention": st.builds(
            lambda runs, best: {"runs": runs, "keep_best": best},
            st.sampled_from(["0s", "90d"]),
            st.integers(0, 3),
        ),
    },
)


def performed(world: Observation, action) -> Observation:
    """Return the world after MLflow carried out an action."""
    match action:
        case CreateBucket():
            return replace(world, usage=Usage(0, 0))
        case CreateExperiment(name, location, made):
            assert world.bucket_exists
            return replace(
                world, tracked=replace(OURS, name=name, location=location, tags=made), runs=()
            )
        case RestoreExperiment():
            assert world.tracked
            return replace(world, tracked=replace(world.tracked, deleted=False))
        case DeleteTags(_, keys):
            assert world.tracked
            return replace(
                world,
                tracked=replace(
                    world.tracked,
                    tags={
                        key: value for key, value in world.tracked.tags.items() if key not in keys
                    },
                ),
            )
        case SetTags(_, changed):
            assert world.tracked
            assert not world.tracked.deleted
            return replace(
                world, tracked=replace(world.tracked, tags={**world.tracked.tags, **changed})
            )
        case ArchiveRun(run):
            assert run in world.unreferenced, (
                "a run that a version came from, or that was not checked"
            )
            kept = tuple(each for each in world.runs if each.id != run)
            return replace(world, runs=kept, deleted_runs=world.deleted_runs + 1)
    raise AssertionError(action)


@PROPERTY
@given(worlds, specs, st.frozensets(st.sampled_from(["r0", "r1", "r2", "r3"])))
def test_settles_from_anywhere(world: Observation, spec, versions: frozenset[str]):
    """Every initial state is Ready within six rounds plus one per run; after that the status never
    changes.
    """
    world = replace(world, unreferenced=frozenset(run.id for run in world.runs) - versions)
    ours, limit = experiment(**spec), 6 + len(world.runs)
    for _ in range(limit):
        plan = decide(ours, world, NOW)
        if isinstance(plan, Rest):
            break
        if isinstance(plan, Record):
            ours = written(ours, plan)
        else:
            world = performed(world, *actions(plan))
    assert said(plan) == "Ready Synced"
    ours = written(ours, plan)
    again = decide(ours, world, NOW + timedelta(minutes=10))
    assert isinstance(again, Rest)
    assert written(ours, again, NOW + timedelta(minutes=10)).status == ours.status
