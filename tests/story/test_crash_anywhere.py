"""Kill the operator before and after every write of a story: the end must be the same.

Nothing may be created twice in MLflow or S3. The story is the whole one: experiment, a failed
attempt and its repetition, two versions, promotion, promotion, rollback, deletion.
A second walk has ambiguous answers (commit, then error) instead of crashes.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from modelyard.api.record import check, folder, number_in
from modelyard.errors import Ambiguous
from modelyard.plan import Manifest
from tests.fakes.calls import Phase
from tests.fakes.cluster import Killed
from tests.story.world import NAMESPACE, World, manifest

TRAINER = {"xgboost": {"task": "classification"}}
WRITES = frozenset(
    {
        "apply", "delete", "write_status", "set_finalizers", "create_bucket", "create_experiment",
        "set_experiment_tags", "create_run", "log_parameters", "set_run_tags", "finish_run",
        "reopen_run", "delete_run", "create_model", "set_model_tags", "create_version",
        "set_version_tags", "transition", "set_alias", "delete_alias", "delete_experiment",
        "delete_model_tags", "delete_experiment_tags", "create",
    }
)  # fmt: skip
SLICES = 8
GATES = [
    {"name": "quality", "metric": {"name": "accuracy", "atLeast": "0.5"}},
    {"name": "no-worse", "incumbent": {"metric": "accuracy"}},
]


async def live(world: World) -> None:
    """The story: what users do, each step when the world has settled."""
    world.failing["fraud-001"] = 1
    world.apply(
        manifest(
            "Experiment",
            "fraud",
            objective={"metric": "accuracy", "goal": "Maximize"},
            deletionPolicy="Delete",
        ),
        manifest(
            "TrainingRun",
            "fraud-001",
            experiment="fraud",
            trainer=TRAINER,
            backoffLimit=1,
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
        manifest(
            "RegisteredModel", "fraud", stages={"production": {"version": "v1", "gates": GATES}}
        ),
    )
    await world.run()
    world.promote("fraud", "production", "v2")
    await world.run()
    world.promote("fraud", "production", "v1")
    await world.run()


async def end(world: World) -> dict[str, Any]:
    """Return what users see in the end, without what a crash may change: times, ids, numbers of
    reads.
    """
    model = await world.tracking.model(f"{NAMESPACE}.fraud")
    versions = await world.tracking.versions(f"{NAMESPACE}.fraud")
    names = {
        v.version: v.tags["modelyard.io/version"] for v in versions
    }  # which of two is registered first may differ
    status = world.status("registeredmodels", "fraud")
    return {
        "conditions": {
            (plural, name): sorted(
                (c["type"], c["status"], c["reason"])
                for c in world.status(plural, name)["conditions"]
            )
            for plural, name in (
                ("experiments", "fraud"),
                ("trainingruns", "fraud-001"),
                ("trainingruns", "fraud-002"),
                ("registeredmodels", "fraud"),
            )
        },
        "attempts": [
            world.status("trainingruns", name)["attempt"] for name in ("fraud-001", "fraud-002")
        ],
        "aliases": {alias: names[number] for alias, number in model.aliases.items()}
        if model
        else None,
        "versions": sorted(
            (v.tags["modelyard.io/version"], v.stage, v.tags["modelyard.io/stages"])
            for v in versions
        ),
        "history": [(e.get("from"), e.get("to"), e["outcome"]) for e in status["history"]],
        "stages": {
            name: (s["version"], s["readyReplicas"]) for name, s in status["stages"].items()
        },
        "serving": world.serving("fraud-production"),
        "children": sorted((c["kind"], nameless(c)) for c in children(world) if c["kind"] != "Pod"),
        "bucket": sorted(world.tenants.world),
        "record": recorded(world),
    }


def recorded(world: World, name: str = "fraud") -> list[tuple[int, str]]:
    """Return number and outcome of each entry of a model's history in S3; check its chain against
    the status.
    """
    body = world.get("registeredmodels", name)
    uid, record = body["metadata"]["uid"], body["status"]["record"]
    assert record["stored"] == {"number": record["number"], "digest": record["digest"]}, (
        "an entry waits"
    )
    place = folder(NAMESPACE, uid)
    there = {
        key: data
        for key, data in world.tenants.world[world.tenants.bucket].items()
        if key.startswith(place)
    }
    objects = sorted((number_in(key.removeprefix(place)) or 0, data) for key, data in there.items())
    heads = {record["number"]: {"the status": record["digest"]}}
    assert list(check(objects, uid, heads, record["number"])) == []
    return [(number, str(json.loads(data)["entry"]["outcome"])) for number, data in objects]


def nameless(child: Manifest) -> str:
    """Return the name without its identity: a model from another attempt has another digest."""
    name: str = child["metadata"]["name"]
    return name.removesuffix(f"-{child['metadata']['labels'].get('modelyard.io/identity', '')}")


def children(world: World) -> list[Manifest]:
    applied = (
        "apps/v1/Deployment",
        "apps/v1/ControllerRevision",
        "v1/Service",
        "policy/v1/PodDisruptionBudget",
        "v1/ConfigMap",
    )
    scopes = ("batch/v1/Job", *applied)
    return [each for scope in scopes for each in world.cluster.all(scope)]


async def nothing_twice(world: World) -> None:
    """Check I1: one experiment, one run per attempt, one MLflow version per version."""
    assert len(world.tracking.experiments) == 1
    runs = Counter(
        (r.tags["modelyard.io/uid"], r.tags["modelyard.io/attempt"])
        for r in world.tracking.runs_by_id.values()
    )
    assert set(runs.values()) == {1}, runs
    versions = Counter(
        v.tags["modelyard.io/version"] for v in await world.tracking.versions(f"{NAMESPACE}.fraud")
    )
    assert set(versions.values()) == {1}, versions


def strike(
    world: World,
    number: int,
    phase: Phase,
    blow: Callable[[], BaseException],
    only: frozenset[str] | None = None,
) -> None:
    """Have the n-th call (of these methods) crash or fail, once."""
    seen = 0
    done = False

    def hook(operation: str, at: Phase) -> None:
        nonlocal seen, done
        if only is not None and operation not in only:
            return
        if at == "before":
            seen += 1
        if not done and seen == number and at == phase:
            done = True
            raise blow()

    world.calls.on_call = hook


@pytest.fixture(scope="module")
def undisturbed() -> tuple[dict[str, Any], int]:
    """How the undisturbed story ends, and how many writes it takes."""

    async def lived() -> tuple[dict[str, Any], int]:
        world = World()
        await live(world)
        await nothing_twice(world)
        return await end(world), len(world.calls.named(*WRITES))

    return asyncio.run(lived())


@pytest.mark.parametrize("part", range(SLICES))
async def test_killed_after_any_write(part: int, undisturbed):
    """ "After write n" equals "before write n+1": between them are only reads."""
    wanted, writes = undisturbed
    for number in range(1 + part, writes + 1, SLICES):
        world = World()
        strike(world, number, "after", Killed, WRITES)
        await live(world)
        assert world.restarts == 1
        await nothing_twice(world)
        assert await end(world) == wanted, f"killed after write {number}"


async def test_killed_before_the_first_write(undisturbed):
    world = World()
    strike(world, 1, "before", Killed, WRITES)
    await live(world)
    await nothing_twice(world)
    assert await end(world) == undisturbed[0]


@pytest.mark.parametrize("part", range(SLICES))
async def test_an_unacknowledged_write(part: int, undisturbed):
    wanted, writes = undisturbed
    for number in range(1 + part, writes + 1, SLICES):
        world = World()
        strike(
            world,
            number,
            "after",
            lambda: Ambiguous("MLflow", "do", "something", "no whole answer"),
            WRITES - {"event"},
        )
        await live(world)
        await nothing_twice(world)
        assert await end(world) == wanted, f"write {number} was not acknowledged"
