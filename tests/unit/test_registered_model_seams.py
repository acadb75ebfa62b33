"""Where a window, a watch, a plan, the record and autoPromote meet in one stage."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from modelyard.api.registered_model import OverrideStatus, RegisteredModel, Rejection, Stage
from modelyard.registered_model.observation import Evidence
from modelyard.registered_model.rejections import spec_hash
from modelyard.traffic import Answered
from tests.unit.builders import MINUTE, NOW
from tests.unit.models import A, B, C, after, decided, does, pods_of, record, served, stage_of
from tests.unit.test_dry_run import begun, dry, planned
from tests.unit.test_registered_model_watch import pods, watching

BAD = Evidence(answered={"production": Answered(50, 15)})


def automatic(model: RegisteredModel) -> RegisteredModel:
    """Return the model whose stage promotes the newest version."""
    stage = model.spec.stages["production"].model_copy(
        update={
            "version": None,
            "auto_promote": Stage.model_validate({"autoPromote": {"from": "newest"}}).auto_promote,
        }
    )
    return model.model_copy(
        update={"spec": model.spec.model_copy(update={"stages": {"production": stage}})}
    )


def test_a_breach_stays_recorded_though_three_newer_versions_were_rejected():
    kept = (A, B, C, record("vd", "4", "d"), record("ve", "5", "e"))
    versions = tuple(
        each.model_copy(update={"registered_time": NOW - timedelta(days=9 - day)})
        for day, each in enumerate(kept)
    )
    model = automatic(watching())
    says = {
        "spec_hash": spec_hash(model.spec.stages["production"]),
        "attempt": 0,
        "reason": "GateFailed",
        "message": "x",
        "time": NOW,
    }
    rejected = tuple(
        Rejection(version=each.name, digest=str(each.digest), **says) for each in versions[2:]
    )
    stage = model.status.stages["production"].model_copy(update={"rejected": rejected})
    model = model.model_copy(
        update={
            "status": model.status.model_copy(
                update={"stages": {"production": stage}, "versions": versions}
            )
        }
    )
    breached = decided(model, *pods(model), versions=versions, evidence=BAD)
    assert [each.version for each in breached.status.rejected] == ["vd", "ve", "vb"]
    model = after(model, breached)
    begun = decided(model, *pods(model), versions=versions, evidence=BAD)
    assert (
        begun.status.desired,
        begun.status.candidate is not None and begun.status.candidate.version,
    ) == ("va", "va")


def test_a_clearing_that_waits_for_dry_run_keeps_the_warm_version_and_the_watch():
    for model in (
        watching(version=None),
        stage_of(None, holds=B, since=MINUTE, previous=served(A), rollback={"window": "1h"}),
    ):
        held = decided(dry(model), *pods(model))
        assert (does(held), held.status.watch) == ([], model.status.stages["production"].watch)
    model = dry(watching(version=None))
    breached = decided(model, *pods(model), evidence=BAD)
    assert [event.reason for event in breached.events] == ["RolledBack"]
    begun = decided(after(model, breached), *pods(model), evidence=BAD)
    assert begun.status.candidate == served(A)


@pytest.mark.parametrize(
    ("rollback", "more", "when"),
    [
        (None, {}, "15 s after the switch"),
        ({"window": "1h"}, {}, "1h after the switch: they are kept for a rollback"),
        (
            {"automatic": {"watchFor": "10m"}},
            {},
            "10m after the switch: they are kept while vb is watched",
        ),
        (
            {"window": "1h", "automatic": {"watchFor": "10m"}},
            {},
            "1h after the switch: they are kept for a rollback",
        ),
        (
            {"automatic": {"watchFor": "10m"}},
            {"previous": served(B)},
            "15 s after the switch",
        ),  # a return is not watched
    ],
)
def test_a_plan_says_how_long_the_displaced_version_keeps_its_pods(
    rollback: dict[str, Any] | None, more: dict[str, Any], when: str
):
    model = begun(**({"rollback": rollback} if rollback else {}), **more)
    assert (
        planned(model, *pods_of(model, A, routed=True))["drain"]
        == f"the pods of va are deleted {when}"
    )


def test_an_override_of_the_effective_version_ends_its_watch_and_its_end_rolls_nothing_back():
    until = NOW + MINUTE
    model = watching(override={"version": "vb", "reason": "incident", "until": until.isoformat()})
    for _ in range(2):
        model = after(model, decided(model, *pods(model), evidence=BAD))
    assert model.status.stages["production"].watch is None
    model = after(model, decided(model, *pods(model), evidence=BAD, now=until))  # OverrideEnded
    rests = decided(model, *pods(model), evidence=BAD, now=until)
    assert (rests.record, rests.status.version, rests.status.rejected) == (False, "vb", ())


def test_a_plan_of_a_return_says_that_its_pods_exist_already():
    model = begun(previous=served(B), rollback={"window": "1h"}, since=MINUTE)
    there = planned(model, *pods_of(model, A, routed=True), *pods_of(model, B))
    assert (
        there["start"]
        == "1 pod of vb, kept for a rollback and there already, next to 1 pod of va, which keep"
        " serving"
    )


def test_a_plan_does_not_promise_a_return_to_the_version_of_an_override():
    model = begun()
    put = OverrideStatus(
        version="va", digest=A.digest, since_time=NOW - MINUTE, until_time=NOW, ended=True
    )
    stage = model.status.stages["production"].model_copy(update={"override": put})
    model = model.model_copy(
        update={"status": model.status.model_copy(update={"stages": {"production": stage}})}
    )
    raised = model.spec.stages["production"].model_copy(update={"attempt": 1})
    model = model.model_copy(
        update={"spec": model.spec.model_copy(update={"stages": {"production": raised}})}
    )
    assert (
        planned(model, *pods_of(model, A, routed=True))["record"]
        == "vb is effective; history: Promoted"
    )
