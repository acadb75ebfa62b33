"""Overrides: a version becomes effective at once, and when the override ends a user decides."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from modelyard.api.base import condition
from modelyard.api.registered_model import OverrideStatus, RegisteredModel, Rejection
from modelyard.plan import Manifest
from modelyard.registered_model import overrides
from modelyard.registered_model.conditions import news
from modelyard.registered_model.decision import StageDecision
from modelyard.registered_model.in_sync import in_sync
from modelyard.registered_model.rejections import spec_hash
from tests.unit.builders import DAY, MINUTE, NOW
from tests.unit.models import (
    NEWER,
    A,
    B,
    C,
    after,
    decided,
    does,
    pods_of,
    record,
    served,
    stage_of,
)

HOUR = timedelta(hours=1)
GATE = [{"name": "quality", "metric": {"name": "accuracy", "atLeast": "0.9"}}]
VERSIONS = (A, B.model_copy(update={"mlflow_version": "2"}), C)
PODS = {"A": pods_of(stage_of("va"), A, routed=True), "B": pods_of(stage_of("va"), B, routed=True)}


def override(version: str = "vb", *, until: timedelta = HOUR, **more: Any) -> dict[str, Any]:
    return {
        "version": version,
        "reason": "incident 4711",
        "until": (NOW + until).isoformat(),
    } | more


def settled(
    model: RegisteredModel, *owned: Manifest, now: Any = NOW, **more: Any
) -> tuple[RegisteredModel, StageDecision]:
    """Record the status if a decision asks for it, then return the next decision."""
    more = {"versions": VERSIONS} | more
    for _ in range(6):
        decision = decided(model, *owned, now=now, **more)
        if not decision.record:
            return model, decision
        model = after(model, decision)
    raise AssertionError("it records without an end")


def spec(model: RegisteredModel, **stage: Any) -> RegisteredModel:
    """Return the same model with another spec of the stage."""
    return model.model_copy(update={"spec": stage_of(stage.pop("version", "va"), **stage).spec})


def overridden(**more: Any) -> RegisteredModel:
    """vb is effective by an override of an hour; the spec's own version is va."""
    model, starting = settled(
        stage_of("va", holds=A, asked=GATE, override=override(**more)), *PODS["A"]
    )
    assert does(starting) == ["apply ControllerRevision/vb", "apply Deployment/vb"]
    recorded = decided(model, *PODS["A"], *PODS["B"], versions=VERSIONS)
    assert recorded.entry is not None
    assert (recorded.entry.outcome, recorded.entry.reason, recorded.entry.to) == (
        "Overridden",
        "incident 4711",
        "vb",
    )
    return after(model, recorded)


def test_an_override_becomes_effective_without_gates_and_says_so():
    model = overridden()
    held, kept = settled(model, *PODS["A"], *PODS["B"])
    assert (kept.status.version, kept.status.desired, kept.status.blocked) == ("vb", "vb", None)
    assert kept.status.override is not None
    assert (kept.status.override.since_time, kept.status.override.until_time) == (NOW, NOW + HOUR)
    assert kept.requeue_after is not None
    assert kept.requeue_after <= HOUR
    assert held.status.stages["production"].gates == ()


def test_an_override_begins_when_it_is_recorded_and_its_time_does_not_move():
    first = decided(stage_of("va", holds=A, override=override()), *PODS["A"], versions=VERSIONS)
    assert first.record
    assert does(first) == []
    assert first.status.candidate is None
    later = decided(
        after(stage_of("va", holds=A, override=override()), first),
        *PODS["A"],
        versions=VERSIONS,
        now=NOW + MINUTE,
    )
    assert later.status.override == first.status.override


@pytest.mark.parametrize(("until", "last"), [(HOUR, HOUR), (3 * DAY, DAY)])
def test_when_an_override_ends_nothing_switches_and_the_message_has_both_options(
    until: timedelta, last: timedelta
):
    model = overridden(until=until)
    everything = (*PODS["B"],)
    _, before = settled(model, *everything, now=NOW + last - MINUTE)
    assert before.status.blocked is None
    ended, after_it = settled(model, *everything, now=NOW + last)
    assert after_it.status.blocked is not None
    assert (after_it.status.blocked.reason, after_it.status.blocked.needs_action) == (
        "OverrideEnded",
        True,
    )
    assert after_it.status.version == "vb"
    assert (
        "Go back to va" in after_it.status.blocked.message
        or "go back to va" in after_it.status.blocked.message
    )
    # One option: it becomes the spec's version.
    kept, quiet = settled(spec(ended, version="vb", asked=GATE), *everything, now=NOW + last)
    assert (quiet.status.version, quiet.status.blocked, quiet.status.override) == ("vb", None, None)
    assert kept.spec.stages["production"].version == "vb"
    # The other: back to the spec's version by raising attempt; that is not reverted half-way.
    back = spec(ended, version="va", attempt=1, asked=GATE)
    going, starting = settled(back, *everything, now=NOW + last)
    assert does(starting)[:1] == ["apply ControllerRevision/va"]
    once_more = decided(
        after(going, starting), *everything, *PODS["A"], versions=VERSIONS, now=NOW + last + MINUTE
    )
    assert once_more.status.desired == "va"


def test_the_version_of_an_override_does_not_return_without_gates():
    ended = overridden()
    back = spec(ended, version="va", attempt=1, asked=GATE)
    model, _ = settled(back, *PODS["B"], now=NOW + HOUR)
    recorded = decided(model, *PODS["A"], *pods_of(model, B), versions=VERSIONS, now=NOW + HOUR)
    assert (recorded.status.version, recorded.status.previous) == ("va", None)
    again, waiting = settled(
        spec(after(model, recorded), version="vb", attempt=1, asked=GATE), *PODS["A"], now=NOW + DAY
    )
    assert does(waiting) == []
    assert [step.name for step in waiting.status.steps][:2] == ["admit", "gates"]
    assert again.status.stages["production"].version == "va"


def test_an_override_that_is_removed_leaves_its_version_serving():
    model = spec(overridden(), version="va", asked=GATE)
    removed, kept = settled(model, *PODS["B"])
    assert kept.status.version == "vb"
    assert kept.status.blocked is not None
    assert "was removed" in kept.status.blocked.message
    assert removed.status.stages["production"].version == "vb"


def test_an_override_that_has_ended_does_not_begin_again_when_the_stage_goes_back():
    ended = overridden(until=3 * DAY)
    back = spec(ended, version="va", attempt=1, override=override(until=3 * DAY), asked=GATE)
    model, _ = settled(back, *PODS["B"], now=NOW + DAY)
    recorded = decided(model, *PODS["A"], *pods_of(model, B), versions=VERSIONS, now=NOW + DAY)
    assert recorded.status.version == "va"
    _, quiet = settled(after(model, recorded), *PODS["A"], now=NOW + DAY + HOUR)
    assert quiet.status.desired == "va"
    assert quiet.status.blocked is None or quiet.status.blocked.reason == "OverrideEnded"


def test_a_version_that_is_not_registered_is_not_waited_for():
    unknown = stage_of("va", holds=A, override=override("v9"))
    model, kept = settled(unknown, *PODS["A"])
    assert (kept.status.version, kept.status.desired) == ("va", "va")
    assert kept.status.blocked is not None
    assert "was not registered when the override was first seen" in kept.status.blocked.message
    # Registering the name afterwards has no effect.
    _, still = settled(model, *PODS["A"], versions=(*VERSIONS, record("v9", "9")))
    assert still.status.desired == "va"


def test_other_bytes_than_when_the_override_was_set_do_not_become_effective():
    model = stage_of("va", holds=A, override=override())
    noted = after(model, decided(model, *PODS["A"], versions=VERSIONS))
    other = VERSIONS[1].model_copy(update={"digest": C.digest})
    _, refused = settled(noted, *PODS["A"], versions=(A, other, C))
    assert refused.status.blocked is not None
    assert refused.status.blocked.reason == "ArtifactDigestMismatch"
    assert does(refused) == []


def test_a_rejection_by_a_gate_may_be_overridden_and_one_by_its_pods_may_not():
    model = stage_of("va", holds=A, asked=GATE, override=override())
    hash_ = spec_hash(model.spec.stages["production"])
    by_gate = Rejection(
        version="vb",
        digest=str(B.digest),
        spec_hash=hash_,
        reason="GateFailed",
        message="quality: too low.",
        time=NOW,
    )
    by_pods = by_gate.model_copy(
        update={"runtime": served(B).runtime.identity, "reason": "ServingFailed"}
    )

    def with_(rejection: Rejection) -> RegisteredModel:
        status = model.status.stages["production"].model_copy(update={"rejected": (rejection,)})
        return model.model_copy(
            update={"status": model.status.model_copy(update={"stages": {"production": status}})}
        )

    assert does(settled(with_(by_gate), *PODS["A"])[1])[:1] == ["apply ControllerRevision/vb"]
    _, refused = settled(with_(by_pods), *PODS["A"])
    assert refused.status.blocked is not None
    assert refused.status.blocked.reason == "ServingFailed"


def test_a_cleared_stage_may_be_overridden_and_stays_so_until_it_ends():
    model, starting = settled(stage_of(None, override=override()))
    assert does(starting) == ["apply ControllerRevision/vb", "apply Deployment/vb"]
    bad, kept = settled(stage_of(None, override=override("v9")))
    assert kept.status.blocked is not None
    assert bad.status.stages["production"].override is not None
    assert model.status.stages["production"].candidate == served(B)


@pytest.mark.parametrize("until", ["past", "too late", "unregistered"])
def test_the_version_of_an_override_stays_when_the_next_one_has_no_effect(until: str):
    model = overridden()
    next_one = (
        override("v9")
        if until == "unregistered"
        else override("vc", until=-HOUR if until == "past" else 2 * MINUTE)
    )
    model, kept = settled(spec(model, version="va", override=next_one), *PODS["B"])
    later, kept = settled(model, *PODS["B"], now=NOW + HOUR)
    assert (kept.status.version, kept.status.desired) == ("vb", "vb")
    assert kept.status.blocked is not None
    assert (kept.status.blocked.reason, kept.status.blocked.needs_action) == ("OverrideEnded", True)
    assert '"version":"vb"' in kept.status.blocked.message
    removed, kept = settled(spec(later, version="va"), *PODS["B"], now=NOW + HOUR)
    assert kept.status.desired == "vb"
    _, back = settled(spec(removed, version="va", attempt=1), *PODS["B"], now=NOW + HOUR)
    assert back.status.desired == "va"


def test_a_refresh_during_an_override_is_not_reverted_when_it_ends_before_the_pods_are_ready():
    held = overridden()
    raised = spec(held, version="va", override=override(), attempt=1)
    model, refreshing = settled(raised, *PODS["B"], runtime=NEWER)
    assert does(refreshing)
    _, ended = settled(model, *PODS["B"], runtime=NEWER, now=NOW + HOUR)
    assert ended.status.desired == "vb"


def test_a_refresh_of_an_override_s_version_is_recorded_as_a_refresh():
    held = overridden()
    model, _ = settled(
        spec(held, version="va", override=override(), attempt=1), *PODS["B"], runtime=NEWER
    )
    newer = served(B, NEWER)
    done = decided(
        model, *PODS["B"], *pods_of(model, newer, routed=True), versions=VERSIONS, runtime=NEWER
    )
    assert done.entry is not None
    assert (done.entry.outcome, done.entry.reason) == ("Refreshed", None)


def test_the_end_of_an_override_reconciles_a_stage_whose_pods_are_still_starting():
    _, starting = settled(stage_of("va", holds=A, override=override()), *PODS["A"])
    assert starting.requeue_after is not None
    assert starting.requeue_after <= HOUR


@pytest.mark.parametrize(
    ("until", "shown"),
    [
        ("2026-01-01T14:30:00.9+02:00", "2026-01-01 12:30:00"),
        ("9999-12-31T23:59:59-12:00", "2026-01-02 12:00:00"),
        ("0001-01-01T00:00:00+12:00", "1970-01-01 00:00:00"),
    ],
)
def test_any_valid_time_ends_an_override_and_is_shown_in_utc(until: str, shown: str):
    model = stage_of("va", holds=A, override=override("v9") | {"until": until})
    noted = decided(model, *PODS["A"], versions=VERSIONS).status.override
    assert noted is not None
    assert f"{noted.until_time:%Y-%m-%d %H:%M:%S}" == shown
    assert noted.until_time.utcoffset() == timedelta(0)


@pytest.mark.parametrize(("until", "soon"), [(HOUR, timedelta(minutes=6)), (3 * DAY, HOUR)])
def test_one_event_is_emitted_before_an_override_ends(until: timedelta, soon: timedelta):
    now = NOW + MINUTE  # the displaced version has drained
    model, kept = settled(overridden(until=until), *PODS["B"], now=now)
    last = NOW + min(until, DAY)
    assert (kept.requeue_after, kept.status.override and kept.status.override.ends_soon) == (
        last - soon - now,
        None,
    )
    due = settled(model, *PODS["B"], now=last - soon)[1]
    assert (due.requeue_after, due.status.override and due.status.override.ends_soon) == (
        soon,
        True,
    )
    before, after_it = ({"production": each.status} for each in (kept, due))
    (told,) = news(before, after_it)
    assert (told.reason, told.warning) == ("OverrideEndsSoon", True)
    assert told.message.startswith(
        f"production: the override ends at {last:%Y-%m-%d %H:%M:%S} UTC. vb keeps serving then"
    )
    assert news(after_it, after_it) == ()
    # An override that is set again has another end, which gets another event.
    longer = spec(
        after(model, due), version="va", asked=GATE, override=override(until=DAY - MINUTE)
    )
    renewed = settled(longer, *PODS["B"], now=last - soon)[1]
    assert renewed.status.override is not None
    assert renewed.status.override.ends_soon is None


def test_the_event_is_emitted_also_while_pods_still_start():
    model, _ = settled(stage_of("va", holds=A, override=override()), *PODS["A"])
    late = settled(model, *PODS["A"], now=NOW + HOUR - MINUTE)[1]
    assert late.status.override is not None
    assert (late.status.override.ends_soon, late.status.version) == (True, "va")


def test_a_restarted_operator_reconciles_a_stage_whose_override_may_be_due():
    held, kept = settled(overridden(), *PODS["B"], now=NOW + MINUTE)
    model = after(held, kept)
    ready = tuple(condition(name, True, "Serving") for name in ("Ready", "Synced"))
    status = model.status.model_copy(
        update={"conditions": ready, "observed_generation": model.metadata.generation}
    )
    assert not in_sync(model.model_copy(update={"status": status}), PODS["B"])
    stages = {"production": status.stages["production"].model_copy(update={"override": None})}
    assert in_sync(
        model.model_copy(update={"status": status.model_copy(update={"stages": stages})}), PODS["B"]
    )


def test_the_blocker_of_an_override_that_ended_is_removed_by_the_next_one():
    """A client that follows the next override would read it as its end."""
    ended, said = settled(overridden(), *PODS["B"], now=NOW + HOUR)
    assert said.status.blocked is not None
    assert (
        "modelyard promote fraud vb --to production, or kubectl patch mlmodel fraud"
        in said.status.blocked.message
    )
    assert "modelyard rollback fraud --stage production --to va" in said.status.blocked.message
    stalled = after(ended, said)
    next_one = spec(stalled, version="va", asked=GATE, override=override("vc", until=2 * HOUR))
    noted = decided(next_one, *PODS["B"], versions=VERSIONS, now=NOW + HOUR)
    assert noted.record
    assert noted.status.override is not None
    assert (noted.status.override.version, noted.status.blocked) == ("vc", None)


def test_the_patch_of_a_message_has_requested_by_where_it_is_required():
    for more, said in (({}, {}), ({"requestedBy": "rita"}, {"requestedBy": "<your user name>"})):
        model = stage_of("va", holds=A, **more)
        spec = model.spec.stages["production"]
        put = OverrideStatus(
            version="va",
            digest=A.digest,
            since_time=NOW - MINUTE,
            until_time=NOW - MINUTE,
            ended=True,
        )
        stage = model.status.stages["production"].model_copy(update={"override": put})
        asked = spec.model_copy(update={"version": "vb"})
        blocker = overrides.trouble("fraud", "production", asked, stage, NOW)
        assert blocker is not None
        patch = json.loads(blocker.message.split("-p '")[1].split("'")[0])
        assert patch == {
            "spec": {"stages": {"production": {"override": None, "version": "va"} | said}}
        }
