"""`autoPromote`: which version a stage promotes, and that it settles whatever is rejected."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.api.blocker import VersionBlocker
from modelyard.api.registered_model import (
    HeldStage,
    Rejection,
    Stage,
    StageStatus,
    StepStatus,
    VersionStatus,
)
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.registered_model.newest import REJECTIONS, Choice, held_until, remembered
from modelyard.registered_model.rejections import is_in_force, spec_hash
from tests.unit.builders import MINUTE, NOW
from tests.unit.models import digest, record, served

SPEC = Stage.model_validate({"autoPromote": {"from": "newest"}})
IDENTITY = "1f2e3d4c"


def version(number: int, **more: Any) -> VersionStatus:
    """v1 was registered a minute after NOW, v2 another minute later."""
    return record(
        f"v{number}", str(number), f"{number or 0:x}", registered_time=NOW + number * MINUTE, **more
    )


def rejection(
    number: int, *, spec: Stage = SPEC, attempt: int = 0, at: int = 0, runtime: str | None = None
) -> Rejection:
    about = {"version": f"v{number}", "digest": digest(f"{number or 0:x}"), "runtime": runtime}
    return Rejection(
        **about,
        spec_hash=spec_hash(spec),
        attempt=attempt,
        reason="GateFailed",
        message="",
        time=NOW + timedelta(seconds=at),
    )


def chosen(
    status: StageStatus, *versions: VersionStatus, spec: Stage = SPEC, routed: str | None = None
) -> str | None:
    rejections = [each for each in status.rejected if is_in_force(spec, each)]
    return Choice(
        spec, status, {each.name: each for each in versions}, routed, rejections, lambda _: IDENTITY
    ).version()


def holds(number: int | None = 1, **more: Any) -> StageStatus:
    return StageStatus(
        version=f"v{number}" if number else None, digest=digest(f"{number or 0:x}"), **more
    )


V1, V2, V3 = (version(number) for number in (1, 2, 3))
STAGED = HeldStage(stage="staging", digest=V2.digest, since_time=NOW)
GONE = VersionBlocker.of(Reason.ARTIFACT_MISSING, "gone", needs_action=True)
BEGUN = {"candidate": served(V2), "desired": "v2"}


def steps(**states: str) -> tuple[StepStatus, ...]:
    return tuple(StepStatus(name=name, state=state) for name, state in states.items())  # type: ignore[arg-type]


WAITS = steps(admit="Done", freeze="Done", gates="Waiting", approval="Waiting", start="Waiting")
ASKED = steps(admit="Done", freeze="Done", gates="Done", approval="Waiting", start="Waiting")
APPROVED = steps(admit="Done", freeze="Done", gates="Done", approval="Done", start="Active")
FROZEN_THEN = steps(
    admit="Done", freeze="Waiting", gates="Done", approval="Waiting", start="Waiting"
)


@pytest.mark.parametrize(
    ("says", "wanted", "status", "versions"),
    [
        ("the newest", "v3", holds(1), (V1, V2, V3)),
        ("however they are listed", "v3", holds(1), (V3, V1, V2)),
        ("the first of all", "v2", StageStatus(), (V1, V2)),
        ("nothing, where there is none", None, StageStatus(), ()),
        ("never an older one", "v3", holds(3), (V1, V2, V3)),
        ("not one that MLflow has not", "v1", holds(1), (V1, version(2, mlflow_version=None))),
        ("not one without a digest", "v1", holds(1), (V1, V2.model_copy(update={"digest": None}))),
        ("not one that is blocked", "v2", holds(1), (V1, V2, version(3, blocked=GONE))),
        (
            "but one that it is at already says so",
            "v3",
            holds(1, desired="v3"),
            (V1, V2, version(3, blocked=GONE)),
        ),
        ("not a rejected one", "v2", holds(1, rejected=(rejection(3),)), (V1, V2, V3)),
        (
            "nor the same bytes by another name",
            "v1",
            holds(1, rejected=(rejection(2),)),
            (V1, V2.model_copy(update={"name": "w2"})),
        ),
        (
            "one that was rejected before attempt was raised",
            "v3",
            holds(1, rejected=(rejection(3, attempt=-0),)),
            (V1, V3),
        ),
        (
            "one that other pods failed at",
            "v3",
            holds(1, rejected=(rejection(3, runtime="00000000"),)),
            (V1, V3),
        ),
        (
            "not one that such pods fail at",
            "v1",
            holds(1, rejected=(rejection(3, runtime=IDENTITY),)),
            (V1, V3),
        ),
        ("not one from before a rollback", "v1", holds(1, hold_time=NOW + 2 * MINUTE), (V1, V2)),
        ("one from after it", "v3", holds(1, hold_time=NOW + 2 * MINUTE), (V1, V2, V3)),
        ("nothing else, where its own record is lost", "v1", holds(1), (V2, V3)),
        ("the newer one while gates are asked", "v3", holds(1, **BEGUN, steps=WAITS), (V1, V2, V3)),
        ("the one that people are asked about", "v2", holds(1, **BEGUN, steps=ASKED), (V1, V2, V3)),
        ("the one that they have approved", "v2", holds(1, **BEGUN, steps=APPROVED), (V1, V2, V3)),
        ("the same when a freeze begins", "v2", holds(1, **BEGUN, steps=FROZEN_THEN), (V1, V2, V3)),
        (
            "not that one when it was rejected",
            "v3",
            holds(1, **BEGUN, steps=ASKED, rejected=(rejection(2),)),
            (V1, V2, V3),
        ),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_which_version_a_stage_promotes(
    says: str, wanted: str | None, status: StageStatus, versions: tuple[VersionStatus, ...]
):
    spec = SPEC.model_copy(update={"attempt": 1}) if "attempt was raised" in says else SPEC
    assert chosen(status, *versions, spec=spec) == wanted, says


def test_a_version_with_traffic_is_not_replaced():
    status = holds(1, **BEGUN, steps=steps(admit="Done", start="Done", switch="Active"))
    assert chosen(status, V1, V2, V3, routed=served(V2).runtime.identity) == "v2"
    assert chosen(status, V1, V2, V3, routed="00000000") == "v3"


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        ((), "v1"),
        ((STAGED,), "v2"),
        ((STAGED.model_copy(update={"until_time": NOW + MINUTE}),), "v2"),
        ((STAGED.model_copy(update={"digest": V3.digest}),), "v1"),
        ((STAGED.model_copy(update={"stage": "other"}),), "v1"),
        ((STAGED.model_copy(update={"verified": False}),), "v1"),
    ],
)
def test_with_from_only_versions_that_were_in_that_stage_are_promoted(
    held: tuple[HeldStage, ...], wanted: str
):
    spec = SPEC.model_copy(update={"from_": "staging"})
    assert chosen(holds(1), V1, V2.model_copy(update={"held": held}), V3, spec=spec) == wanted


def test_two_versions_of_one_second_are_ordered_by_mlflow_s_number():
    first, second = (
        record(name, number, name, registered_time=NOW)
        for name, number in (("a", "9"), ("b", "10"))
    )
    assert chosen(StageStatus(), second, first) == "b"


def test_the_same_moment_counts_whether_it_was_read_from_mlflow_or_from_a_status():
    fresh = version(2).model_copy(
        update={"registered_time": NOW + 2 * MINUTE + timedelta(milliseconds=900)}
    )
    assert held_until([V1, fresh]) == NOW + 2 * MINUTE
    assert chosen(holds(1, hold_time=NOW + 2 * MINUTE), V1, fresh) == "v1"
    assert held_until([]) is None


@given(st.permutations(range(2, 9)), st.sets(st.integers(2, 8)), st.integers(1, 4))
def test_each_version_is_tried_once_in_any_order_and_whatever_fails(
    come: list[int], passing: set[int], at_once: int
):
    """Versions appear in any order, some at a time; each chosen one passes, or is rejected and
    recorded as the stage does it.
    """
    there, status, tried = {1: V1}, holds(1), []
    for begin in range(0, len(come), at_once):
        there |= {number: version(number) for number in come[begin : begin + at_once]}
        while (name := chosen(status, *there.values())) != status.version:
            number = int(str(name)[1:])
            tried.append(number)
            assert tried.count(number) == 1, f"v{number} is tried again: {tried}"
            if number in passing:
                status = holds(number, rejected=status.rejected)
                continue
            versions = {each.name: each for each in there.values()}
            every = (*status.rejected, rejection(number, at=len(tried)))
            status = status.model_copy(
                update={
                    "rejected": remembered(every, versions, lambda each: is_in_force(SPEC, each))
                }
            )
            assert len(status.rejected) <= REJECTIONS
    best = max((number for number in passing if number in there and number in tried), default=1)
    assert status.version == f"v{best}", "and never an older one"


def test_rejections_that_no_longer_count_make_room_first():
    old = SPEC.model_copy(update={"from_": "staging"})
    every = (*(rejection(number, spec=old, at=number) for number in (4, 5, 6)), rejection(2, at=9))
    versions = {each.name: each for each in map(version, range(1, 7))}
    kept = remembered(every, versions, lambda each: is_in_force(SPEC, each))
    assert [each.version for each in kept] == ["v5", "v6", "v2"], "oldest first"


def test_rejections_of_deleted_versions_make_room_before_others():
    every = tuple(rejection(number, at=number) for number in (2, 3, 4, 9))
    versions = {each.name: each for each in map(version, range(1, 5))}
    assert [each.version for each in remembered(every, versions, lambda _: True)] == [
        "v2",
        "v3",
        "v4",
    ]


def test_a_rejection_outlives_turning_auto_promote_on_or_off():
    assert spec_hash(SPEC) == spec_hash(Stage(version="v1")) == spec_hash(Stage())
