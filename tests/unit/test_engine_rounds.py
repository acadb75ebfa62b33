"""One reconcile, round by round: what it reads and how often, repeated plans, refused applies,
finalizing.
"""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from modelyard.api.conditions import progressing
from modelyard.controller import FINALIZER
from modelyard.engine.report import conditions_of
from modelyard.errors import Ambiguous, Conflict, Forbidden, Invalid, ModelyardError, Unavailable
from modelyard.plan import Act, Apply, Finalize, Manifest, Record, Rest, SetTags, TagTarget
from tests.engine.toy import Toy, Toys, manifest, toy_status
from tests.fakes.calls import Phase
from tests.fakes.mlflow import FakeTracking
from tests.unit.engine_world import DOWN, MINUTE, World

READS = ("experiment", "usage")
_NUMBERS = itertools.count()


@pytest.fixture
def world() -> World:
    return World()


def change_spec(world: World, **spec: object) -> None:
    world.cluster.edit("experiments", "risk", "fraud", lambda body: body["spec"].update(spec))


def touch_owned(world: World) -> None:
    """Change an owned object in a way that needs no action."""

    def touch(body: Manifest) -> None:
        body["metadata"].setdefault("annotations", {})["example.com/touched"] = f"{next(_NUMBERS)}"

    world.cluster.edit("v1/ConfigMap", "risk", "fraud-0", touch)


# --- reads ----------------------------------------------------------------------------------------
async def test_one_reconcile_reads_mlflow_and_s3_once_and_again_only_after_its_own_write(
    world: World,
) -> None:
    world.cluster.create(manifest(stored=True, noted=True, children=2))
    await world.settle()
    assert world.toys.rounds["fraud"] == 4
    order = [
        name
        for name in world.outside
        if name in {*READS, "create_experiment", "apply", "write_status"}
    ]
    # What S3 said still holds after a write to MLflow.
    assert order == [
        "experiment",
        "usage",
        "create_experiment",
        "experiment",
        "apply",
        "apply",
        "write_status",
        "write_status",
    ], "what S3 said still holds"


async def test_an_ambiguous_write_drops_kept_answers_too(world: World) -> None:
    """The write may have happened."""
    world.cluster.create(manifest(children=0))
    world.cluster.fail_next(
        "create_experiment", Ambiguous("MLflow", "create experiment", "risk/fraud"), after=True
    )
    await world.settle(within=MINUTE)
    assert (
        world.condition("Ready"),
        world.count("create_experiment"),
        world.count("experiment"),
    ) == (("True", "Synced"), 1, 2)


async def test_without_reads_valid_for_every_reconcile_reads(world: World) -> None:
    world.cluster.create(manifest(busy=True))
    await world.settle()
    for _ in range(2):
        before = world.count("experiment")
        touch_owned(world)
        await world.settle()
        assert world.count("experiment") == before + 1


@pytest.fixture
async def under_way() -> World:
    """Return a world in which a change is under way, and answers were read just now."""
    world = World(Toys(reads_valid_for=timedelta(seconds=30)))
    world.cluster.create(manifest(busy=True, stored=True))
    await world.settle()
    world.calls.log.clear()
    return world


async def test_while_a_change_is_under_way_owned_objects_cause_no_reads(under_way: World) -> None:
    for _ in range(3):
        rounds = under_way.toys.rounds["fraud"]
        under_way.clock.advance(5)
        touch_owned(under_way)
        await under_way.settle()
        assert under_way.toys.rounds["fraud"] == rounds + 1
    assert under_way.count(*READS) == 0


async def test_an_answer_is_never_older_than_reads_valid_for_however_often_it_is_used(
    under_way: World,
) -> None:
    for _ in range(5):
        under_way.clock.advance(5)
        touch_owned(under_way)
        await under_way.settle()
    assert under_way.count(*READS) == 0, "25 s"
    under_way.clock.advance(5)
    touch_owned(under_way)
    await under_way.settle()
    assert under_way.count(*READS) == 2, "30 s"


async def test_a_requeued_plan_reads_again() -> None:
    world = World(Toys(reads_valid_for=timedelta(seconds=30)))
    world.cluster.create(manifest(busy=True, again=10))
    await world.settle()
    before = world.count("experiment")
    world.clock.advance(9)
    touch_owned(world)
    await world.settle()
    assert world.count("experiment") == before
    world.clock.advance(10)
    await world.settle()
    assert world.count("experiment") == before + 1


async def test_a_changed_spec_drops_kept_answers(under_way: World) -> None:
    change_spec(under_way, value="red")
    await under_way.settle()
    assert under_way.count(*READS) == 2


async def test_a_trigger_drops_kept_answers(under_way: World) -> None:
    under_way.engine.trigger(under_way.engine_key())
    await under_way.settle()
    assert under_way.count(*READS) == 2


async def test_our_own_write_drops_kept_answers(under_way: World) -> None:
    under_way.toys.restless["fraud"] = Act(
        (SetTags(TagTarget("experiment", "1"), {"team": "risk"}),)
    )
    touch_owned(under_way)
    await under_way.settle()
    assert under_way.condition("Reconciling") == ("True", "NoProgress")
    assert under_way.outside[:4] == [
        "set_experiment_tags",
        "experiment",
        "set_experiment_tags",
        "experiment",
    ]


async def test_another_connection_drops_kept_answers(under_way: World) -> None:
    another = FakeTracking(calls=under_way.calls)
    another.experiments |= under_way.tracking.experiments
    under_way.connect(another)
    touch_owned(under_way)
    await under_way.settle()
    assert under_way.count(*READS) == 2


async def test_an_error_drops_kept_answers(under_way: World) -> None:
    under_way.toys.raises["fraud"] = DOWN
    touch_owned(under_way)
    await under_way.settle()
    under_way.toys.raises.clear()
    touch_owned(under_way)
    await under_way.settle()
    assert under_way.count(*READS) == 2


async def test_an_object_that_is_ready_keeps_nothing(under_way: World) -> None:
    change_spec(under_way, busy=False)
    await under_way.settle()
    assert under_way.condition("Ready") == ("True", "Synced")
    under_way.calls.log.clear()
    touch_owned(under_way)
    await under_way.settle()
    assert under_way.count(*READS) == 2


async def test_an_object_of_the_same_name_inherits_no_reads(under_way: World) -> None:
    under_way.cluster.edit(
        "experiments", "risk", "fraud", lambda body: body["metadata"].update(finalizers=[])
    )
    under_way.cluster.remove("experiments", "risk", "fraud")
    under_way.cluster.create(manifest(busy=True, stored=True))
    await under_way.settle()
    assert under_way.count(*READS) == 2


# --- repeated plans -------------------------------------------------------------------------------
async def test_a_repeated_act_is_carried_out_twice_and_then_ends_the_reconcile(
    world: World,
) -> None:
    config = manifest() | {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "odd", "namespace": "risk"},
    }
    world.toys.restless["fraud"] = Act((Apply(config),))
    world.cluster.create(manifest(outside=False))
    assert await world.engine.step() == (world.engine_key(), "failed")
    assert (world.count("apply"), world.toys.rounds["fraud"]) == (2, 3)
    assert world.condition("Reconciling") == ("True", "NoProgress")
    message = conditions_of(world.toy()["status"])["Reconciling"]["message"]
    assert "does not last (ConfigMap odd)" in message
    assert world.engine.next_time is not None
    assert world.engine.next_time > world.clock.time(), "it is retried, but not at once"


async def test_a_repeated_record_ends_the_reconcile_too(world: World) -> None:
    world.cluster.create(manifest(outside=False))
    world.toys.restless["fraud"] = Record(
        toy_status(Toy.parse(world.toy()), None, *progressing("Noted", "Noted."))
    )
    assert await world.engine.step() == (world.engine_key(), "failed")
    assert (world.toys.rounds["fraud"], world.count("write_status")) == (3, 2)
    assert world.condition("Reconciling") == ("True", "NoProgress")
    assert "(its status)" in conditions_of(world.toy()["status"])["Reconciling"]["message"]


def rewritten(child: Manifest) -> None:
    child["data"] = {"value": "theirs"}
    child["metadata"]["annotations"].pop("modelyard.io/content")


async def test_a_change_that_another_controller_reverts_ends_the_reconcile(world: World) -> None:
    """Consecutive plans differ, but one of them repeats."""

    world.cluster.create(manifest(children=2, outside=False))
    await world.settle()
    world.calls.log.clear()

    def fight(operation: str, phase: Phase) -> None:
        if (operation, phase) == ("apply", "before"):
            number = world.count("apply") % 2
            world.cluster.edit("v1/ConfigMap", "risk", f"fraud-{number}", rewritten)

    world.calls.on_call = fight
    world.cluster.edit("v1/ConfigMap", "risk", "fraud-0", rewritten)
    step = await world.engine.step()
    assert step is not None
    assert step[1] == "failed"
    assert world.count("apply") < 8
    assert world.condition("Reconciling") == ("True", "NoProgress")


async def test_an_object_that_makes_progress_again_becomes_ready(world: World) -> None:
    world.cluster.create(manifest(outside=False))
    world.toys.restless["fraud"] = Record(
        toy_status(Toy.parse(world.toy()), None, *progressing("Noted", "Noted."))
    )
    await world.settle()
    world.toys.restless.clear()
    await world.settle(within=MINUTE)
    assert (world.condition("Ready"), world.condition("Reconciling")) == (
        ("True", "Synced"),
        ("False", "Synced"),
    )


async def test_a_recorded_status_is_written_before_the_next_round(world: World) -> None:
    seen: list[tuple[str, str]] = []
    world.cluster.create(manifest(noted=True, children=0))

    def look(operation: str, phase: Phase) -> None:
        if (operation, phase) == ("write_status", "before") and "status" in world.toy():
            seen.append(world.condition("Reconciling"))

    world.calls.on_call = look
    await world.settle()
    assert (seen, world.condition("Ready"), world.toy()["status"]["noted"]) == (
        [("True", "Noted")],
        ("True", "Synced"),
        True,
    )


# --- refused applies ------------------------------------------------------------------------------
def refuse(world: World, name: str, error: ModelyardError) -> None:
    """Make the API server refuse every apply of one ConfigMap."""
    world.cluster.refuses["ConfigMap", name] = error


QUOTA = Forbidden("Kubernetes", "apply ConfigMap", "risk/fraud-1", "exceeded quota")
INVALID = Invalid("Kubernetes", "apply ConfigMap", "risk/fraud-1", "data: Invalid value")


@pytest.mark.parametrize("error", [QUOTA, INVALID], ids=["quota", "invalid"])
async def test_a_refused_apply_ends_the_reconcile_and_is_reported(
    world: World, error: Invalid
) -> None:
    refuse(world, "fraud-1", error)
    world.cluster.create(manifest(children=3))
    await world.settle()
    applied = [each["metadata"]["name"] for each in world.cluster.all("v1/ConfigMap")]
    assert applied == ["fraud-0"], "what comes after it may rely on it"
    assert world.condition("Stalled") == ("True", "RequestRefused")
    assert error.detail in conditions_of(world.toy()["status"])["Stalled"]["message"]


@pytest.mark.parametrize("error", [QUOTA, INVALID], ids=["quota", "invalid"])
async def test_a_kind_that_survives_refusals_decides_what_follows(error: Invalid) -> None:
    world = World(Toys(survives_refusals=True))
    refuse(world, "fraud-1", error)
    world.cluster.create(manifest(children=3))
    await world.settle()
    assert [each["metadata"]["name"] for each in world.cluster.all("v1/ConfigMap")] == [
        "fraud-0",
        "fraud-2",
    ]
    assert world.condition("Stalled") == ("True", "Refused")
    assert conditions_of(world.toy()["status"])["Stalled"]["message"] == "fraud-1"
    assert world.count("apply") == 3, "what is refused is not repeated within the reconcile"


async def test_a_refusal_is_retried_by_the_next_reconcile() -> None:
    world = World(Toys(survives_refusals=True, reads_valid_for=timedelta(minutes=10)))
    refuse(world, "fraud-1", QUOTA)
    world.cluster.create(manifest(children=2))
    await world.settle()
    world.cluster.refuses.clear()
    touch_owned(world)
    await world.settle()
    assert world.condition("Ready") == ("True", "Synced")
    assert len(world.cluster.all("v1/ConfigMap")) == 2


@pytest.mark.parametrize(
    "error", [Conflict("Kubernetes", "apply", "x"), Unavailable("Kubernetes", "apply", "x")]
)
async def test_a_failed_apply_stops_the_rest(world: World, error: ModelyardError) -> None:
    refuse(world, "fraud-0", error)
    world.cluster.create(manifest(children=3))
    await world.engine.step()
    assert world.cluster.all("v1/ConfigMap") == []
    assert "status" not in world.toy(), "it is repeated, not reported"


async def test_a_refused_external_action_always_ends_the_reconcile() -> None:
    world = World(Toys(survives_refusals=True))
    world.cluster.create(manifest(children=0))
    world.cluster.fail_next(
        "create_experiment", Invalid("MLflow", "create experiment", "risk/fraud", "no")
    )
    await world.settle()
    assert world.condition("Stalled") == ("True", "RequestRefused")


async def test_events_of_a_refused_plan_are_not_recorded(world: World) -> None:
    world.cluster.create(manifest(children=0))
    world.cluster.fail_next(
        "create_experiment", Invalid("MLflow", "create experiment", "risk/fraud", "no")
    )
    await world.settle()
    assert "Created" not in [event[2] for event in world.cluster.events]


# --- finalizing -----------------------------------------------------------------------------------
async def test_finalize_removes_our_finalizer_and_records_its_events(world: World) -> None:
    body = manifest()
    body["metadata"]["finalizers"] = ["another.controller/holds"]
    world.cluster.create(body)
    await world.settle()
    assert world.toy()["metadata"]["finalizers"] == ["another.controller/holds", FINALIZER]
    world.cluster.remove("experiments", "risk", "fraud")
    await world.settle()
    assert world.toy()["metadata"]["finalizers"] == ["another.controller/holds"]
    assert world.cluster.events[-1] == (
        "Experiment",
        "fraud",
        "Finalized",
        "Nothing external is left.",
        False,
    )


async def test_an_error_may_finalize_too(world: World) -> None:
    world.cluster.create(manifest())
    await world.settle()
    world.toys.raises["fraud"] = Invalid(
        "Kubernetes", "read connection", "risk/modelyard-connection", "there is no Secret"
    )
    world.cluster.remove("experiments", "risk", "fraud")
    await world.settle()
    assert world.cluster.live("experiments", "risk", "fraud") is None
    assert world.cluster.events[-1][2:] == ("LeftBehind", "The connection is gone.", True)
    assert world.count("delete_experiment") == 0


async def test_only_a_deleted_object_is_finalized(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.toys.restless["fraud"] = Finalize()
    world.cluster.create(manifest(outside=False))
    await world.settle()
    assert world.condition("Stalled") == ("True", "InternalError")
    assert "only an object that is being deleted is finalized" in caplog.text


async def test_an_idle_plan_during_deletion_keeps_the_finalizer(world: World) -> None:
    world.cluster.create(manifest())
    await world.settle()
    world.cluster.fail_next("delete_experiment", DOWN)
    world.cluster.remove("experiments", "risk", "fraud")
    await world.settle()
    assert FINALIZER in world.toy()["metadata"]["finalizers"]
    assert world.condition("Ready") == ("False", "MLflowUnavailable")
    await world.settle(within=MINUTE)
    assert world.cluster.live("experiments", "risk", "fraud") is None


# --- the rules of a plan --------------------------------------------------------------------------
def test_a_round_acts_at_least_once_and_has_at_most_one_external_effect() -> None:
    tags = [SetTags(TagTarget("run", f"r{number}"), {"x": "1"}) for number in range(2)]
    with pytest.raises(AssertionError, match="at most one external effect"):
        Act(tuple(tags))
    with pytest.raises(AssertionError, match="a round that does nothing is a Rest"):
        Act(())
    assert Rest(None) != Record(None)
