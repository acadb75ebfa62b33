"""The record in S3: an operator that may die at any moment, and an S3 that may refuse entries."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelyard.api.history import HistoryEntry, Outcome, RecordedEntry, RecordStatus
from modelyard.api.record import check, digest_of, folder, name, number_in
from modelyard.api.registered_model import RegisteredModel, RegisteredModelStatus
from modelyard.engine import report
from modelyard.plan import Act, Finalize, PutRecord, Record
from modelyard.registered_model import record
from modelyard.registered_model.decide import finalize
from modelyard.registered_model.history import LENGTH
from tests.unit.builders import BUCKET, NAMESPACE, NOW, body, message, registered_model
from tests.unit.model_world import World
from tests.unit.model_world_crashes import crashes

PLACE = f"s3://{BUCKET}/{folder(NAMESPACE, 'uid-fraud')}"


def findings(world: World, **heads: str) -> list[tuple[int, str]]:
    """Return the problems of a world's record."""
    objects = sorted(
        (number_in(uri.removeprefix(PLACE)) or 0, content) for uri, content in world.records.items()
    )
    known = world.model.status.record
    assert known is not None
    expected = {known.number: {"the status": str(known.digest)}} | {
        int(at[1:]): {"the head": digest} for at, digest in heads.items()
    }
    return [
        (found.number, found.message)
        for found in check(objects, "uid-fraud", expected, known.number)
    ]


def promoted(*versions: str, **more: Any) -> World:
    """Return a world in which these versions were effective in production, one after the other."""
    world = World(stages={"production": {"version": versions[0]}})
    for attribute, value in more.items():
        setattr(world, attribute, value)
    world.settle()
    for version in versions[1:]:
        world.edit(production=version)
        world.settle()
    return world


def pending(count: int, **status: Any) -> RegisteredModel:
    """Return a model with `count` entries that S3 does not have."""
    entries = [
        HistoryEntry(
            time=NOW, stage="production", to="v1", outcome=Outcome.PROMOTED, record=number + 1
        )
        for number in range(max(0, count - LENGTH), count)
    ]
    known = RecordStatus(number=count, digest="sha256:" + "0" * 64)
    return registered_model(
        status=RegisteredModelStatus(history=tuple(entries), record=known, **status)
    )


# --- what is stored -------------------------------------------------------------------------------
def test_every_entry_is_stored_and_the_status_names_the_newest_with_its_digest():
    world = promoted("v1", "v2", "v1")
    assert sorted(world.records) == [f"{PLACE}{number:010}.json" for number in (1, 2, 3)]
    known = world.model.status.record
    assert known is not None
    assert (known.number, known.pending, known.stored) == (
        3,
        0,
        RecordedEntry(number=3, digest=known.digest),
    )
    assert known.digest == digest_of(world.records[PLACE + name(3)])
    assert findings(world) == []
    assert [entry.record for entry in world.model.status.history] == [1, 2, 3]
    stored = json.loads(world.records[PLACE + name(2)])
    assert stored["previous"] == digest_of(world.records[PLACE + name(1)])
    assert stored["model"] == {"namespace": NAMESPACE, "name": "fraud", "uid": "uid-fraud"}
    assert (stored["entry"]["from"], stored["entry"]["to"], stored["entry"]["outcome"]) == (
        "v1",
        "v2",
        "Promoted",
    )


def test_an_operator_that_dies_anywhere_stores_the_same_bytes():
    world = promoted("v1")
    world.edit(production="v2")
    died = crashes(world)
    assert any(other.records != world.records for other in died), (
        "one died between the record and the status"
    )
    for other in died:
        other.settle()
        assert findings(other) == []
        assert len(other.records) == 2


def test_an_entry_of_an_earlier_release_keeps_its_bytes():
    known = {
        "time": "2026-01-01T12:00:00Z",
        "stage": "production",
        "to": "v1",
        "outcome": "Promoted",
        "record": 1,
    }
    status = {"history": [known], "record": {"number": 1, "digest": "sha256:" + "0" * 64}}
    model = registered_model(status=RegisteredModelStatus.model_validate(status))
    (link,) = record.chain(model)
    assert link.content == (
        b'{"entry":{"outcome":"Promoted","stage":"production","time":"2026-01-01T12:00:00Z","to":"v1"},'
        b'"model":{"name":"fraud","namespace":"risk","uid":"uid-fraud"},"number":1}'
    )
    again = RegisteredModel.parse(body(model) | {"status": report.dumped(model.status)})
    assert record.chain(again) == (link,), "as the API server gives it back"


def test_a_new_object_reads_nothing_from_s3_and_one_of_an_earlier_release_reads_its_record():
    world = promoted("v1")
    before = world.model.status.record
    world.model = world.model.model_copy(
        update={"status": world.model.status.model_copy(update={"record": None})}
    )
    world.settle()
    assert world.model.status.record == before
    new = World()
    new.records = {PLACE + name(7): b"of an object that was deleted, which had another uid"}
    new.look()
    assert new.model.status.record == RecordStatus(number=0), "nothing was read"


def test_a_lost_status_continues_where_its_record_ends():
    world = promoted("v1", "v2")
    world.model = world.model.model_copy(update={"status": RegisteredModelStatus()})
    world.settle()
    world.edit(production="v1")
    world.settle()
    assert len(world.records) == 3
    assert findings(world) == []


def test_a_status_lost_together_with_its_model_in_mlflow_continues_where_its_record_ends():
    world = promoted("v1", "v2")
    world.model = world.model.model_copy(update={"status": RegisteredModelStatus()})
    world.tracked, world.versions = None, {}
    world.settle()
    world.edit(production="v1")
    world.settle()
    assert len(world.records) == 3
    assert findings(world) == []


def test_an_s3_object_that_is_no_entry_is_not_read_as_the_newest_one():
    world = promoted("v1", "v2")
    foreign = PLACE + name(9_999_999_999)
    world.records[foreign] = b"{}"
    world.model = world.model.model_copy(update={"status": RegisteredModelStatus()})
    world.settle()
    world.edit(production="v1")
    world.settle()
    del world.records[foreign]
    assert (len(world.records), findings(world)) == (3, [])


# --- what is not stored ---------------------------------------------------------------------------
def test_an_s3_that_refuses_writes_stops_neither_serving_nor_mlflow_nor_the_status():
    world = promoted("v1", "v2", storing=False)
    status = world.model.status
    assert world.routed("production") == status.stages["production"].runtime.identity  # type: ignore[union-attr] # it is effective
    assert (status.stages["production"].version, world.tracked.aliases) == (
        "v2",
        {"production": "2"},
    )  # type: ignore[union-attr]
    assert status.is_true("Ready")
    said = status.condition("Synced")
    assert said is not None
    assert (said.status, said.reason) == ("False", "RecordPending")
    assert said.message.startswith(
        "2 entries of the history are not in S3 yet: S3: create object s3://"
    )
    world.storing = True
    world.settle()
    assert world.model.status.is_true("Synced")
    assert findings(world) == []


def test_with_forty_pending_entries_no_promotion_starts_and_urgent_changes_do_not_wait():
    world = promoted("v1", "v2")
    world.storing = False
    others = pending(42).status.history[2:]
    known = world.model.status.record
    assert known is not None
    history = (*world.model.status.history, *others)
    status = world.model.status.model_copy(
        update={"history": history, "record": known.model_copy(update={"number": 42})}
    )
    world.model = world.model.model_copy(update={"status": status})
    world.broken.clear()
    world.edit(production="v3")
    world.settle()
    stage = world.model.status.stages["production"]
    assert (stage.version, stage.candidate, stage.blocked.reason if stage.blocked else "") == (
        "v2",
        None,
        "RecordPending",
    )
    assert "40 entries of the history are not in S3 yet" in message(world.model.status, "Stalled")
    world.edit(production="v1")
    world.settle()
    assert world.model.status.stages["production"].version == "v1", (
        "the version displaced last comes back"
    )
    until = {"version": "v3", "reason": "incident", "until": "2030-01-01T00:00:00Z"}
    world.edit(production={"override": until})
    world.settle()
    assert world.model.status.stages["production"].version == "v3", "an override does not wait"
    world.edit(production={"override": None})
    world.storing = True
    world.settle(200)
    assert world.model.status.record is not None
    assert (world.model.status.record.pending, len(world.model.status.history) <= LENGTH) == (
        0,
        True,
    )
    numbers = sorted(number_in(uri.removeprefix(PLACE)) or 0 for uri in world.records)
    assert numbers == list(range(1, world.model.status.record.number + 1)), "none was lost"


def test_a_change_without_room_in_the_history_is_not_carried_out():
    assert (
        record.room(pending(49).status.record),
        record.room(pending(50).status.record),
        record.room(None),
    ) == (1, 0, 0)
    world = promoted("v1")
    world.storing = False
    known = world.model.status.record
    assert known is not None
    status = world.model.status.model_copy(
        update={
            "history": pending(51).status.history,
            "record": known.model_copy(update={"number": 51}),
        }
    )
    world.model = world.model.model_copy(update={"status": status})
    world.edit(production=None)
    world.settle()
    stage = world.model.status.stages["production"]
    assert (stage.version, stage.blocked.reason if stage.blocked else "") == ("v1", "RecordPending")
    assert [entry.record for entry in world.model.status.history] == list(range(2, 52)), (
        "a pending entry never leaves the status"
    )


def test_without_room_in_the_history_an_override_does_not_begin_and_moves_no_traffic():
    world = promoted("v1", "v2")
    world.storing = False
    known = world.model.status.record
    assert known is not None
    update = {
        "history": pending(52).status.history,
        "record": known.model_copy(update={"number": 52}),
    }
    world.model = world.model.model_copy(
        update={"status": world.model.status.model_copy(update=update)}
    )
    routed = world.routed("production")
    world.edit(
        production={
            "override": {"version": "v1", "reason": "incident", "until": "2030-01-01T00:00:00Z"}
        }
    )
    world.settle()
    stage = world.model.status.stages["production"]
    assert (stage.version, stage.candidate, stage.blocked.reason if stage.blocked else "") == (
        "v2",
        None,
        "RecordPending",
    )
    assert world.routed("production") == routed


@pytest.mark.parametrize("wants", ["cleared", "override ended"])
def test_serving_objects_are_healed_though_the_history_has_no_room(wants: str):
    world = promoted("v1", "v2")
    world.storing = False
    if wants != "cleared":
        world.edit(
            production={
                "override": {"version": "v1", "reason": "incident", "until": "2030-01-01T00:00:00Z"}
            }
        )
        world.settle()
    known = world.model.status.record
    assert known is not None
    update = {
        "history": pending(52).status.history,
        "record": known.model_copy(update={"number": 52}),
    }
    world.model = world.model.model_copy(
        update={"status": world.model.status.model_copy(update=update)}
    )
    world.edit(production=None if wants == "cleared" else {"override": None})
    world.settle()
    kinds = ("Deployment", "Service")
    for key in [key for key in world.children if key[0] in kinds]:
        del world.children[key]
    world.settle()
    assert {key[0] for key in world.children} >= set(kinds)
    assert world.model.status.stages["production"].version == ("v2" if wants == "cleared" else "v1")


def test_promotions_under_way_have_reserved_room():
    assert record.is_full(pending(39).status.record, 1)
    assert not record.is_full(pending(39).status.record, 0)
    assert not record.is_full(None, 16)


def test_another_object_at_the_key_of_an_entry_is_reported_and_stays():
    world = promoted("v1")
    world.records[PLACE + name(2)] = b"{}"
    world.edit(production="v2")
    world.settle()
    assert world.model.status.stages["production"].version == "v2", "promotions go on"
    assert world.records[PLACE + name(2)] == b"{}"
    said = world.model.status.condition("Stalled")
    assert said is not None
    assert (said.status, said.reason) == ("True", "RecordConflict")
    assert f"{PLACE}0000000002.json is not entry 2 of the history" in said.message
    del world.records[PLACE + name(2)]
    world.settle()
    assert world.model.status.is_true("Ready")
    assert findings(world) == []


def test_the_same_object_at_the_key_of_an_entry_counts_as_stored():
    world = promoted("v1")
    other = world.fork()
    for each in (world, other):
        each.edit(production="v2")
    other.settle()
    world.records |= other.records
    world.settle()
    assert world.model.status.is_true("Synced")
    assert findings(world) == []


# --- the end of an object -------------------------------------------------------------------------
@pytest.mark.parametrize("takes", [True, False])
def test_a_deleted_object_s_entries_are_stored_if_s3_accepts_them(takes: bool):
    world = promoted("v1", "v2", storing=False)
    world.storing, world.refusals = takes, {}
    deleting = world.model.metadata.model_copy(update={"deletion_timestamp": NOW})
    world.model = world.model.model_copy(update={"metadata": deleting})
    for _ in range(20):
        plan = finalize(world.model, world.observed(), NOW)
        if isinstance(plan, Finalize):
            break
        match plan:
            case Act((PutRecord() as action,)):
                world.store(action)
            case Record(status):
                world.model = world.model.model_copy(update={"status": status})
            case _:
                raise AssertionError(plan)
    assert isinstance(plan, Finalize)
    assert (len(world.records), [event.message for event in plan.events]) == (
        (2, [])
        if takes
        else (
            0,
            ["2 of 2 entries of the history were not in S3 yet, and are lost with this object."],
        )
    )


# --- checking a record ----------------------------------------------------------------------------
def altered(content: bytes) -> bytes:
    return content.replace(b'"stage":"production"', b'"stage":"staging"')


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (lambda there: there.pop(2), [(2, "It is missing.")]),
        (lambda there: there.pop(4), [(4, "It is missing.")]),
        (lambda there: there.pop(1), [(1, "It is missing.")]),
        (lambda there: there.clear(), [(number, "It is missing.") for number in (1, 2, 3, 4)]),
        (
            lambda there: there.update({2: altered(there[2])}),
            [(2, "It does not match the digest in entry 3")],
        ),
        (lambda there: there.update({4: altered(there[4])}), [(4, "It has the digest sha256:")]),
        (
            lambda there: there.update({2: there[3], 3: there[2]}),
            [
                (2, "It holds the entry 3: entries were reordered."),
                (3, "It holds the entry 2: entries were reordered."),
                (3, "It does not match"),
            ],
        ),
        (
            lambda there: there.update({4: b"[]"}),
            [(4, "It is not an entry in JSON"), (4, "It has the digest")],
        ),
        (
            lambda there: there.update({4: there[4].replace(b"uid-fraud", b"uid-other")}),
            [(4, "It is the entry of another model."), (4, "It has the digest")],
        ),
    ],
)
def test_tampering_with_a_record_is_found_with_the_entry_s_number(
    tamper: Any, found: list[tuple[int, str]]
):
    world = promoted("v1", "v2", "v1", "v2")
    there = {number_in(uri.removeprefix(PLACE)): content for uri, content in world.records.items()}
    tamper(there)
    world.records = {PLACE + name(number or 0): content for number, content in there.items()}
    seen = findings(world)
    assert [
        (number, said[: len(words)]) for (number, said), (_, words) in zip(seen, found, strict=True)
    ] == found


def test_a_completely_rewritten_record_is_found_by_a_head_kept_elsewhere():
    world = promoted("v1", "v2")
    kept = digest_of(world.records[PLACE + name(1)])
    model = world.model.model_copy(update={"status": pending(2).status})
    world.records = {PLACE + name(link.number): link.content for link in record.chain(model)}
    forged = record.chain(model)[-1]
    known = RecordStatus(
        number=2, digest=forged.digest, stored=RecordedEntry(number=2, digest=forged.digest)
    )
    world.model = world.model.model_copy(
        update={"status": world.model.status.model_copy(update={"record": known})}
    )
    assert findings(world) == []
    ((number, said),) = findings(world, n1=kept)
    assert number == 1
    assert said.endswith(f"the head says {kept}: it or an earlier entry was altered.")
